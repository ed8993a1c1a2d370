//! A Masked Spiking Transformer's checkpoint (`mst-checkpoint` 1) as a graph.

use super::{Activation, ActivationKind, Attention, Conv, Graph, Groups, Linear, Node, NodeId, NodeOp};
use crate::checkpoint::{self, BatchNorm, Block, Checkpoint};
use crate::network::{Mask, Taps, Windows};
use ndarray::{Array2, Array4};

/// What its graph is called.
const NAME: &str = "checkpoint";

impl From<&Checkpoint> for Graph {
    /// Activations have the names that the checkpoint's tensors and its converted network have.
    fn from(checkpoint: &Checkpoint) -> Graph {
        let mut builder = Builder { checkpoint, nodes: Vec::new() };
        builder.network();
        Graph {
            name: NAME.to_owned(),
            image: checkpoint.architecture.image,
            input: checkpoint.input.clone(),
            nodes: builder.nodes,
            classes: checkpoint.architecture.classes,
            class_names: checkpoint.class_names.clone(),
            example: checkpoint.example.clone(),
        }
    }
}

struct Builder<'c> {
    checkpoint: &'c Checkpoint,
    nodes: Vec<Node>,
}

impl Builder<'_> {
    fn push(&mut self, name: impl Into<String>, inputs: &[NodeId], op: NodeOp) -> NodeId {
        self.nodes.push(Node { name: name.into(), inputs: inputs.to_vec(), op });
        NodeId(self.nodes.len() - 1)
    }

    fn network(&mut self) {
        let checkpoint = self.checkpoint;
        let image = self.push("image", &[], NodeOp::Input);
        let mut stream = self.patch_embed(image);
        for (s, stage) in checkpoint.stages.iter().enumerate() {
            for (b, block) in stage.blocks.iter().enumerate() {
                let windows = checkpoint.architecture.windows(s, b);
                let heads = checkpoint.architecture.heads[s];
                stream = self.block(&format!("stages.{s}.blocks.{b}"), block, windows, heads, stream);
            }
            if let Some(merge) = &stage.merge {
                let norm = self.norm(&format!("stages.{s}.merge.norm"), &merge.norm, stream);
                let merged = self.push(format!("stages.{s}.merge"), &[norm], NodeOp::Merge);
                stream = self.linear(&format!("stages.{s}.merge.reduction"), &merge.reduction, merged, None);
            }
        }
        let norm = self.norm("head.norm", &checkpoint.head.norm, stream);
        let mean = self.push("head.mean", &[norm], NodeOp::Mean);
        let checkpoint::Head { weight, bias, .. } = &checkpoint.head;
        let head = Linear { weight: weight.clone(), bias: Some(bias.clone()) };
        self.push("head", &[mean], NodeOp::Linear(head));
    }

    /// A patch is a kernel as large as its stride.
    fn patch_embed(&mut self, image: NodeId) -> NodeId {
        let checkpoint::Linear { weight, norm, thresholds } = &self.checkpoint.patch_embed;
        let architecture = &self.checkpoint.architecture;
        let (patch, channels) = (architecture.patch, architecture.image.channels);
        let weight = Array4::from_shape_fn((weight.nrows(), channels, patch, patch), |(o, c, y, x)| {
            weight[(o, (c * patch + y) * patch + x)]
        });
        let conv = Conv { weight, bias: None, taps: Taps::square(patch, patch, 0), groups: Groups::One };
        let conv = self.push("patch_embed.conv", &[image], NodeOp::Conv(conv));
        self.activated("patch_embed", norm, thresholds, conv, None)
    }

    fn block(&mut self, name: &str, block: &Block, windows: Windows, heads: usize, stream: NodeId) -> NodeId {
        let norm1 = self.norm(&format!("{name}.norm1"), &block.norm1, stream);
        let attention = &block.attention;
        // Keys and values first: while the queries are computed, hardware can already fetch them.
        let key = self.linear(&format!("{name}.attn.k"), &attention.k, norm1, Some("k"));
        let value = self.linear(&format!("{name}.attn.v"), &attention.v, norm1, None);
        let query = self.linear(&format!("{name}.attn.q"), &attention.q, norm1, Some("q"));
        let (scores, context) = (format!("{name}.attn.scores"), format!("{name}.attn.context"));
        let attend = Attention {
            windows,
            heads,
            bias_table: attention.bias_table.clone(),
            scores: self.activation(&scores, &attention.score_thresholds, Some("attn")),
            context: self.activation(&context, &attention.context_thresholds, None),
        };
        let context = self.push(format!("{name}.attn"), &[query, key, value], NodeOp::Attention(attend));
        let proj = self.linear(&format!("{name}.attn.proj"), &attention.proj, context, None);
        let stream = self.push(format!("{name}.attn.add"), &[stream, proj], NodeOp::Add);
        let norm2 = self.norm(&format!("{name}.norm2"), &block.norm2, stream);
        let fc1 = self.linear(&format!("{name}.mlp.fc1"), &block.fc1, norm2, Some("fc1"));
        let fc2 = self.linear(&format!("{name}.mlp.fc2"), &block.fc2, fc1, None);
        self.push(format!("{name}.mlp.add"), &[stream, fc2], NodeOp::Add)
    }

    fn linear(
        &mut self,
        name: &str,
        linear: &checkpoint::Linear,
        input: NodeId,
        label: Option<&str>,
    ) -> NodeId {
        let weight: Array2<f32> = linear.weight.clone();
        let sum =
            self.push(format!("{name}.linear"), &[input], NodeOp::Linear(Linear { weight, bias: None }));
        self.activated(name, &linear.norm, &linear.thresholds, sum, label)
    }

    fn norm(&mut self, name: &str, norm: &checkpoint::Norm, input: NodeId) -> NodeId {
        self.activated(name, &norm.norm, &norm.thresholds, input, None)
    }

    fn activated(
        &mut self,
        name: &str,
        norm: &BatchNorm,
        thresholds: &[f32],
        input: NodeId,
        label: Option<&str>,
    ) -> NodeId {
        let normed = self.push(format!("{name}.bn"), &[input], NodeOp::BatchNorm(norm.clone()));
        let activation = self.activation(name, thresholds, label);
        self.push(name, &[normed], NodeOp::Activation(activation))
    }

    /// The activation of the layer `name`.
    fn activation(&self, name: &str, thresholds: &[f32], label: Option<&str>) -> Activation {
        let mask = self.checkpoint.masks.get(name).cloned().unwrap_or_default();
        Activation {
            kind: ActivationKind::Qcfs { levels: self.checkpoint.architecture.levels },
            thresholds: thresholds.to_vec(),
            mask: Mask { label: label.map(str::to_owned), ..mask },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LowerOptions, lower};
    use super::*;
    use crate::Network;
    use std::path::{Path, PathBuf};

    /// All checkpoints of the repository: the shipped transformers and the exporter's sample. The others that ship are graphs.
    fn checkpoints() -> Vec<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folders = std::fs::read_dir(root.join("../models")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> = folders
            .map(|folder| folder.join("checkpoint.safetensors"))
            .filter(|file| file.exists() && Checkpoint::load(file).is_ok())
            .collect();
        files.push(root.join("tests/golden/own_swin.safetensors"));
        assert_eq!(files.len(), 6);
        files
    }

    /// Weights, biases, thresholds, orders, masks: bit for bit.
    #[test]
    fn shipped_checkpoints_lower_to_the_shipped_networks() {
        let mut compared = 0;
        for file in checkpoints() {
            let Ok(shipped) = Network::load(&file.with_file_name("net.mst")) else { continue };
            let checkpoint = Checkpoint::load(&file).unwrap();
            let lowered = lower(&Graph::from(&checkpoint), &LowerOptions::default()).unwrap().network;
            assert_eq!(lowered.layers.len(), shipped.layers.len());
            for (layer, expected) in lowered.layers.iter().zip(&shipped.layers) {
                assert!(layer == expected, "{}: layer `{}`", file.display(), expected.name);
            }
            compared += 1;
        }
        assert_eq!(compared, 5);
    }

    #[test]
    fn the_graph_computes_the_logits_of_its_checkpoint() {
        for file in checkpoints() {
            let checkpoint = Checkpoint::load(&file).unwrap();
            let graph = Graph::from(&checkpoint);
            graph.check_example().unwrap();
            let image: Vec<u8> = (0..graph.image.bytes()).map(|n| (n * n % 251) as u8).collect();
            let (logits, expected) = (graph.logits(&image).unwrap(), checkpoint.logits(&image).unwrap());
            for (logit, expected) in logits.iter().zip(&expected) {
                // A float32 sum may fall on the other side of a step.
                assert!((logit - expected).abs() < 0.5, "{}: {logits:?}, {expected:?}", file.display());
            }
        }
    }
}
