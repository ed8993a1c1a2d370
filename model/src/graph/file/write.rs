//! Writes graph files.

use super::{KEY, VERSION};
use crate::container::format_error;
use crate::error::ModelError;
use crate::graph::{Activation, ActivationKind, Graph, Groups, Node, NodeOp};
use crate::network::{Mask, Taps};
use crate::output;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::Path;

impl Graph {
    /// Writes the graph to a file as [`output::write`] does.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        let written = output::write(path, &self.to_bytes()?);
        written.map_err(|source| ModelError::Io { path: path.to_owned(), source })
    }

    /// The bytes of the graph's file: the same for the same graph.
    ///
    /// # Errors
    /// If the graph is too large for the format.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let mut tensors = Tensors(Vec::new());
        let nodes: Vec<Value> = self.nodes.iter().map(|node| self.node_json(node, &mut tensors)).collect();
        let mut header = json!({
            "version": VERSION,
            "name": self.name,
            "image": self.image,
            "input": {"mean": self.input.mean, "std": self.input.std},
            "classes": self.classes,
            "nodes": nodes,
        });
        if !self.class_names.is_empty() {
            header["class_names"] = json!(self.class_names);
        }
        if let Some(example) = &self.example {
            header["example"] = json!({"pixels": example.pixels, "logits": example.logits});
        }
        let failed = |error: &dyn std::fmt::Display| format_error(format!("cannot write the graph: {error}"));
        let views = tensors.0.iter().map(|tensor| {
            TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes)
                .map(|view| (tensor.name.as_str(), view))
        });
        let views: Vec<_> = views.collect::<Result<_, _>>().map_err(|e| failed(&e))?;
        let metadata = HashMap::from([(KEY.to_owned(), header.to_string())]);
        safetensors::serialize(views, Some(metadata)).map_err(|e| failed(&e))
    }

    fn node_json(&self, node: &Node, tensors: &mut Tensors) -> Value {
        let inputs: Vec<&str> = node.inputs.iter().map(|&input| self.node(input).name.as_str()).collect();
        let mut object = Map::new();
        let mut set = |name: &str, value: Value| object.insert(name.to_owned(), value);
        set("name", json!(node.name));
        set("op", json!(node.op.name()));
        set("inputs", json!(inputs));
        match &node.op {
            NodeOp::Input | NodeOp::Add | NodeOp::Flatten | NodeOp::Mean | NodeOp::Merge => {}
            NodeOp::Conv(conv) => {
                let weight: Vec<f32> = conv.weight.iter().copied().collect();
                tensors.floats(&node.name, "weight", conv.weight.shape(), &weight);
                conv.bias.iter().for_each(|bias| tensors.floats(&node.name, "bias", &[bias.len()], bias));
                taps(conv.taps, &mut set);
                let groups = if conv.groups == Groups::Depthwise { conv.weight.dim().0 } else { 1 };
                set("groups", json!(groups));
            }
            NodeOp::Linear(linear) => {
                let weight: Vec<f32> = linear.weight.iter().copied().collect();
                tensors.floats(&node.name, "weight", linear.weight.shape(), &weight);
                linear.bias.iter().for_each(|bias| tensors.floats(&node.name, "bias", &[bias.len()], bias));
            }
            NodeOp::BatchNorm(norm) => {
                tensors.doubles(&node.name, "gain", &norm.gain);
                tensors.doubles(&node.name, "offset", &norm.offset);
            }
            NodeOp::Activation(activation) => {
                tensors.floats(
                    &node.name,
                    "threshold",
                    &[activation.thresholds.len()],
                    &activation.thresholds,
                );
                levels(activation, &mut set);
                mask("mask", &activation.mask, &mut set);
            }
            NodeOp::AvgPool(pool) => {
                set("kernel", json!([pool.rows.kernel, pool.columns.kernel]));
                taps(*pool, &mut set);
            }
            NodeOp::MaxPool(pool) => {
                set("kernel", json!([pool.taps.rows.kernel, pool.taps.columns.kernel]));
                taps(pool.taps, &mut set);
                mask("mask", &pool.mask, &mut set);
            }
            NodeOp::Attention(attention) => {
                set("window", json!(attention.windows.size));
                set("shift", json!(attention.windows.shift));
                set("heads", json!(attention.heads));
                set("activation", json!(attention.scores.kind.name()));
                levels(&attention.scores, &mut set);
                mask("mask", &attention.scores.mask, &mut set);
                mask("context_mask", &attention.context.mask, &mut set);
                let table: Vec<f32> = attention.bias_table.iter().copied().collect();
                tensors.floats(&node.name, "bias_table", attention.bias_table.shape(), &table);
                let (scores, context) = (&attention.scores.thresholds, &attention.context.thresholds);
                tensors.floats(&node.name, "score_threshold", &[scores.len()], scores);
                tensors.floats(&node.name, "context_threshold", &[context.len()], context);
            }
        }
        Value::Object(object)
    }
}

/// Sets an attribute.
type Set<'s> = dyn FnMut(&str, Value) -> Option<Value> + 's;

fn taps(taps: Taps, set: &mut Set<'_>) {
    set("stride", json!([taps.rows.stride, taps.columns.stride]));
    set("padding", json!([taps.rows.padding, taps.columns.padding]));
}

fn levels(activation: &Activation, set: &mut Set<'_>) {
    if let ActivationKind::Qcfs { levels } = activation.kind {
        set("levels", json!(levels));
    }
}

fn mask(name: &str, mask: &Mask, set: &mut Set<'_>) {
    if *mask == Mask::default() {
        return;
    }
    let mut object = json!({"ratio": f64::from(mask.ratio) / 256.0, "shared": mask.shared});
    let words = [("label", &mask.label), ("draws_of", &mask.draws_of)];
    for (name, word) in words.into_iter().filter_map(|(name, word)| Some((name, word.as_ref()?))) {
        object[name] = json!(word);
    }
    set(name, object);
}

struct Tensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

struct Tensors(Vec<Tensor>);

impl Tensors {
    fn floats(&mut self, node: &str, part: &str, shape: &[usize], values: &[f32]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.0.push(Tensor {
            name: format!("{node}.{part}"),
            dtype: Dtype::F32,
            shape: shape.to_vec(),
            bytes,
        });
    }

    fn doubles(&mut self, node: &str, part: &str, values: &[f64]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.0.push(Tensor {
            name: format!("{node}.{part}"),
            dtype: Dtype::F64,
            shape: vec![values.len()],
            bytes,
        });
    }
}
