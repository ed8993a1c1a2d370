//! A small random checkpoint, written tensor by tensor as training exports it.

#![allow(dead_code, reason = "each test uses its own part")]

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::HashMap;

/// Architecture of the checkpoint: two stages, shifted windows, two heads.
pub const HEADER: &str = r#"{"format": "mst-checkpoint", "version": 1, "image": {"height": 8, "width": 8, "channels": 2},
    "patch": 2, "dims": [6, 8], "depths": [2, 1], "heads": [2, 1], "window": 2, "mlp_ratio": 2, "levels": 8, "classes": 3,
    "bn_eps": 1e-5, "training": {"seed": 1}}"#;

/// Float tensors by name, with their shapes.
pub type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * (self.bits() >> 40) as f32 / (1u64 << 24) as f32
    }
}

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

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) {
        let reach = (3.0 / inputs as f32).sqrt();
        self.uniform(format!("{name}.weight"), &[outputs, inputs], -reach, reach);
        self.batch_norm(&format!("{name}.bn"), outputs);
        self.uniform(format!("{name}.threshold"), &[1], 0.7, 1.5);
    }
}

/// The tensors of a checkpoint with the architecture of [`HEADER`].
pub fn tensors(seed: u64) -> Tensors {
    let mut w = Writer { random: Random(seed), tensors: Vec::new() };
    w.linear("patch_embed", 6, 8);
    for (stage, (dim, heads, depth)) in [(6, 2, 2), (8, 1, 1)].into_iter().enumerate() {
        for block in 0..depth {
            let name = |part: &str| format!("stages.{stage}.blocks.{block}.{part}");
            w.norm(&name("norm1"), dim);
            for part in ["attn.q", "attn.k", "attn.v", "attn.proj"] {
                w.linear(&name(part), dim, dim);
            }
            w.uniform(name("attn.q.bias"), &[dim], -0.2, 0.2);
            w.uniform(name("attn.bias_table"), &[9, heads], -0.6, 0.4);
            w.uniform(name("attn.score_threshold"), &[1], 0.5, 1.0);
            w.uniform(name("attn.context_threshold"), &[1], 0.5, 1.0);
            w.norm(&name("norm2"), dim);
            w.linear(&name("mlp.fc1"), 2 * dim, dim);
            w.linear(&name("mlp.fc2"), dim, 2 * dim);
        }
    }
    w.norm("stages.0.merge.norm", 6);
    w.linear("stages.0.merge.reduction", 8, 24);
    w.norm("head.norm", 8);
    w.uniform("head.weight".to_owned(), &[3, 8], -1.0, 1.0);
    w.uniform("head.bias".to_owned(), &[3], -0.2, 0.2);
    w.tensors
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
    let mut random = Random(seed);
    (0..128).map(|_| random.bits() as u8).collect()
}
