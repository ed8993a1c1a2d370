//! A small random checkpoint, written tensor by tensor as training exports it.

#![allow(dead_code, reason = "each test uses its own part")]

#[path = "../random/mod.rs"]
mod random;

use model::checkpoint::Architecture;
use model::network::ImageShape;
pub use random::Random;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::HashMap;

/// Architecture of the checkpoint: two stages, shifted windows, two heads.
pub const HEADER: &str = r#"{"format": "mst-checkpoint", "version": 1, "image": {"height": 8, "width": 8, "channels": 2},
    "patch": 2, "dims": [6, 8], "depths": [2, 1], "heads": [2, 1], "window": 2, "mlp_ratio": 2, "levels": 8, "classes": 3,
    "bn_eps": 1e-5, "training": {"seed": 1}}"#;

/// What a checkpoint's linear layers end in, besides QCFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    BatchNorm,
    BiasAndBatchNorm,
    Bias,
    Nothing,
}

/// A checkpoint to be written.
#[derive(Clone, Debug)]
pub struct Plan {
    pub architecture: Architecture,
    /// Endings of q, k, v and proj of all blocks, of fc1 and fc2, of patch embedding and merging.
    pub endings: [Ending; 3],
}

impl Plan {
    /// The plan of [`HEADER`].
    pub fn fixed() -> Plan {
        Plan { architecture: serde_json::from_str(HEADER).unwrap(), endings: [Ending::BatchNorm; 3] }
    }

    /// Any shape that is allowed, small enough to be run in an instant.
    pub fn random(seed: u64) -> Plan {
        let mut random = Random(seed);
        let mut size = |low: usize, high: usize| low + random.bits() as usize % (high - low + 1);
        let (stages, window, patch) = (size(1, 3), size(1, 3), size(1, 4));
        let mut side = || ((window * size(1, 2)) << (stages - 1)) * patch;
        let (height, width) = (side(), side());
        let image = ImageShape { height, width, channels: size(1, 3) };
        let heads: Vec<usize> = (0..stages).map(|_| size(1, 3)).collect();
        let endings = [Ending::BatchNorm, Ending::BiasAndBatchNorm, Ending::Bias, Ending::Nothing];
        let architecture = Architecture {
            image,
            patch,
            dims: heads.iter().map(|heads| heads * size(1, 8)).collect(),
            depths: (0..stages).map(|_| size(0, 2)).collect(),
            window,
            mlp_ratio: size(1, 4),
            levels: size(1, 16) as u32,
            classes: size(1, 12),
            bn_eps: [1e-5, 1e-3][size(0, 1)],
            heads,
        };
        Plan { architecture, endings: [(); 3].map(|()| endings[size(0, 3)]) }
    }

    /// The JSON of the metadata.
    pub fn header(&self) -> String {
        let mut header = serde_json::to_value(&self.architecture).unwrap();
        header["format"] = "mst-checkpoint".into();
        header["version"] = 1.into();
        header.to_string()
    }

    /// The bytes of the whole file.
    pub fn bytes(&self, seed: u64) -> Vec<u8> {
        file(Some(&self.header()), &self.tensors(seed))
    }

    /// Its tensors.
    pub fn tensors(&self, seed: u64) -> Tensors {
        let Architecture { image, patch, dims, depths, heads, window, mlp_ratio, classes, .. } =
            &self.architecture;
        let [attention, mlp, other] = self.endings;
        let mut w = Writer { random: Random(seed), tensors: Vec::new() };
        w.linear("patch_embed", dims[0], image.channels * patch * patch, other);
        for stage in 0..dims.len() {
            let dim = dims[stage];
            for block in 0..depths[stage] {
                let name = |part: &str| format!("stages.{stage}.blocks.{block}.{part}");
                w.norm(&name("norm1"), dim);
                for part in ["attn.q", "attn.k", "attn.v", "attn.proj"] {
                    w.linear(&name(part), dim, dim, attention);
                }
                w.uniform(
                    name("attn.bias_table"),
                    &[(2 * window - 1) * (2 * window - 1), heads[stage]],
                    -0.6,
                    0.4,
                );
                w.uniform(name("attn.score_threshold"), &[1], 0.5, 1.0);
                w.uniform(name("attn.context_threshold"), &[1], 0.5, 1.0);
                w.norm(&name("norm2"), dim);
                w.linear(&name("mlp.fc1"), mlp_ratio * dim, dim, mlp);
                w.linear(&name("mlp.fc2"), dim, mlp_ratio * dim, mlp);
            }
            if let Some(&next) = dims.get(stage + 1) {
                w.norm(&format!("stages.{stage}.merge.norm"), dim);
                w.linear(&format!("stages.{stage}.merge.reduction"), next, 4 * dim, other);
            }
        }
        let last = dims[dims.len() - 1];
        w.norm("head.norm", last);
        w.uniform("head.weight".to_owned(), &[*classes, last], -1.0, 1.0);
        w.uniform("head.bias".to_owned(), &[*classes], -0.2, 0.2);
        w.tensors
    }
}

/// Float tensors by name, with their shapes.
pub type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

struct Writer {
    random: Random,
    tensors: Tensors,
}

impl Writer {
    fn uniform(&mut self, name: String, shape: &[usize], low: f32, high: f32) {
        let values = (0..shape.iter().product()).map(|_| self.random.between(low, high)).collect();
        self.tensors.push((name, shape.to_vec(), values));
    }

    fn batch_norm(&mut self, name: &str, channels: usize) {
        self.uniform(format!("{name}.weight"), &[channels], -0.6, 1.2);
        self.uniform(format!("{name}.bias"), &[channels], 0.0, 0.7);
        self.uniform(format!("{name}.running_mean"), &[channels], -0.2, 0.4);
        self.uniform(format!("{name}.running_var"), &[channels], 0.1, 0.6);
    }

    fn norm(&mut self, name: &str, channels: usize) {
        self.batch_norm(name, channels);
        self.uniform(format!("{name}.threshold"), &[1], 0.7, 1.5);
    }

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize, ending: Ending) {
        let reach = (3.0 / inputs as f32).sqrt();
        self.uniform(format!("{name}.weight"), &[outputs, inputs], -reach, reach);
        if matches!(ending, Ending::Bias | Ending::BiasAndBatchNorm) {
            self.uniform(format!("{name}.bias"), &[outputs], -0.2, 0.5);
        }
        if matches!(ending, Ending::BatchNorm | Ending::BiasAndBatchNorm) {
            self.batch_norm(&format!("{name}.bn"), outputs);
        }
        self.uniform(format!("{name}.threshold"), &[1], 0.7, 1.5);
    }
}

/// The tensors of a checkpoint with the architecture of [`HEADER`].
pub fn tensors(seed: u64) -> Tensors {
    Plan::fixed().tensors(seed)
}

/// The bytes of a safetensors file.
pub fn file(header: Option<&str>, tensors: &Tensors) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    let metadata = header.map(|header| HashMap::from([("mst".to_owned(), header.to_owned())]));
    safetensors::serialize(views, metadata).unwrap()
}

/// The bytes of a whole checkpoint.
pub fn checkpoint(seed: u64) -> Vec<u8> {
    file(Some(HEADER), &tensors(seed))
}

/// An image for it.
pub fn image(seed: u64) -> Vec<u8> {
    image_of(seed, 128)
}

/// An image of any size.
pub fn image_of(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Random(seed);
    (0..bytes).map(|_| random.bits() as u8).collect()
}
