//! Trained float networks, imported from safetensors.
//!
//! A checkpoint holds float32 tensors and, under the metadata key `mst`, its architecture as JSON. The network it describes is
//! analog: every activation is `QCFS(x) = threshold * clip(floor(x * levels / threshold + 1/2) / levels, 0, 1)`, which
//! an integrate-and-fire neuron with that threshold emits over `levels` time steps.
//! ```text
//! embed   x = QCFS(BN(W patch)), pixels in 0..1
//! block   h = QCFS(BN(x));  q, k, v = QCFS(BN(W h));  a = QCFS(q k' / sqrt(head size) + bias)
//!         x += QCFS(BN(W QCFS(a v)));  h = QCFS(BN(x));  x += QCFS(BN(W2 QCFS(BN(W1 h))))
//! merge   x = QCFS(BN(W [four neighbours of QCFS(BN(x))]))
//! head    logits = W mean over tokens of QCFS(BN(x)) + b
//! ```

mod masks;
mod reader;
mod unmappable;

use crate::container::{self, format_error};
use crate::error::ModelError;
use crate::mask_rules::MaskRatio;
use crate::network::{Grid, ImageShape, Windows};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The metadata key of the header.
pub const KEY: &str = "mst";
/// The header's `format`.
pub const FORMAT: &str = "mst-checkpoint";
/// The header's `version`.
pub const VERSION: u64 = 1;

/// Everything that fixes the network's shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// Input.
    pub image: ImageShape,
    /// Rows, columns and stride of a patch.
    pub patch: usize,
    /// Channels of each stage.
    pub dims: Vec<usize>,
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// Attention heads of each stage.
    pub heads: Vec<usize>,
    /// Rows and columns of an attention window.
    pub window: usize,
    /// Channels of the first MLP layer, in multiples of the stage's.
    pub mlp_ratio: usize,
    /// Levels of the activations.
    pub levels: u32,
    /// Number of classes.
    pub classes: usize,
    /// What batch norm adds to the variance.
    pub bn_eps: f64,
}

/// A trained float network.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Its shape.
    pub architecture: Architecture,
    /// Pixels to tokens: inputs are the pixels of a patch, channel by channel, row by row.
    pub patch_embed: Linear,
    /// Stages, each on a token grid of half the rows and columns of the one before.
    pub stages: Vec<Stage>,
    /// Classifier.
    pub head: Head,
    /// Share of spikes that training dropped, by the name of the layer in the converted network. Empty if it dropped none.
    pub masks: BTreeMap<String, MaskRatio>,
}

/// Batch norm as an affine map: `y = gain * x + offset`, one each a channel.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    /// `weight / sqrt(running_var + eps)`.
    pub gain: Vec<f64>,
    /// `bias - gain * running_mean`.
    pub offset: Vec<f64>,
}

/// BN, then QCFS.
#[derive(Clone, Debug)]
pub struct Norm {
    /// Batch norm.
    pub norm: BatchNorm,
    /// Threshold.
    pub threshold: f32,
}

/// Linear, BN if there is one, then QCFS.
#[derive(Clone, Debug)]
pub struct Linear {
    /// Outputs x inputs.
    pub weight: Array2<f32>,
    /// Batch norm, the identity if there is none; a bias of the linear layer is folded into its offset.
    pub norm: BatchNorm,
    /// Threshold.
    pub threshold: f32,
}

/// Window attention.
#[derive(Clone, Debug)]
pub struct Attention {
    /// Queries.
    pub q: Linear,
    /// Keys.
    pub k: Linear,
    /// Values.
    pub v: Linear,
    /// Relative positions (as [`Windows::relative`] counts them) x heads.
    pub bias_table: Array2<f32>,
    /// Threshold of the attention matrix.
    pub score_threshold: f32,
    /// Threshold of attention times values.
    pub context_threshold: f32,
    /// Projection.
    pub proj: Linear,
}

/// Attention and MLP.
#[derive(Clone, Debug)]
pub struct Block {
    /// Before attention.
    pub norm1: Norm,
    /// Attention.
    pub attention: Attention,
    /// Before the MLP.
    pub norm2: Norm,
    /// First MLP layer.
    pub fc1: Linear,
    /// Second MLP layer.
    pub fc2: Linear,
}

/// Patch merging: the tokens (0,0), (0,1), (1,0), (1,1) of a 2x2 square become one.
#[derive(Clone, Debug)]
pub struct Merge {
    /// Before merging.
    pub norm: Norm,
    /// Four tokens to one.
    pub reduction: Linear,
}

/// Blocks on one token grid.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Blocks.
    pub blocks: Vec<Block>,
    /// Absent in the last stage.
    pub merge: Option<Merge>,
}

/// Classifier.
#[derive(Clone, Debug)]
pub struct Head {
    /// Before the mean over tokens.
    pub norm: Norm,
    /// Classes x channels.
    pub weight: Array2<f32>,
    /// One a class.
    pub bias: Vec<f32>,
}

impl Architecture {
    /// Token grid of a stage.
    pub fn grid(&self, stage: usize) -> Grid {
        Grid {
            rows: (self.image.height / self.patch) >> stage,
            columns: (self.image.width / self.patch) >> stage,
        }
    }

    /// Attention windows of a block: odd blocks are shifted by half a window, unless one window covers the grid.
    pub fn windows(&self, stage: usize, block: usize) -> Windows {
        let grid = self.grid(stage);
        let shifted = block % 2 == 1 && grid.rows.min(grid.columns) > self.window;
        Windows { size: self.window, shift: if shifted { self.window / 2 } else { 0 } }
    }

    /// Checks every number and that the grids divide.
    ///
    /// # Errors
    /// Names the first number that is out of range.
    pub fn validate(&self) -> Result<(), ModelError> {
        let refuse = |what: &'static str, found: String, allowed: &str| {
            Err(ModelError::Network { what, found, allowed: allowed.to_owned() })
        };
        let ImageShape { height, width, channels } = self.image;
        let stages = self.dims.len();
        let numbers =
            [("image height", height, 4096), ("image width", width, 4096), ("image channels", channels, 64)];
        let numbers = numbers.into_iter().chain([("number of stages", stages, 8), ("patch", self.patch, 64)]);
        let numbers = numbers.chain([("window", self.window, 64), ("mlp_ratio", self.mlp_ratio, 64)]);
        let numbers =
            numbers.chain([("classes", self.classes, 65536), ("levels", self.levels as usize, 256)]);
        let numbers = numbers.chain(self.dims.iter().map(|&dim| ("dims", dim, 8192)));
        let numbers = numbers.chain(self.heads.iter().map(|&heads| ("heads", heads, 8192)));
        for (what, found, most) in numbers {
            if !(1..=most).contains(&found) {
                return refuse(what, found.to_string(), &format!("1..={most}"));
            }
        }
        if self.depths.len() != stages || self.heads.len() != stages {
            let found = format!("{}, {} and {} entries", stages, self.depths.len(), self.heads.len());
            return refuse("dims, depths and heads", found, "one entry a stage each");
        }
        if let Some(depth) = self.depths.iter().find(|&&depth| depth > 256) {
            return refuse("depths", depth.to_string(), "0..=256");
        }
        if !(self.bn_eps >= 0.0 && self.bn_eps < 1.0) {
            return refuse("bn_eps", self.bn_eps.to_string(), "0 to 1");
        }
        if height % self.patch != 0 || width % self.patch != 0 {
            return refuse(
                "patch",
                self.patch.to_string(),
                &format!("a divisor of {height} and {width} pixels"),
            );
        }
        for stage in 0..stages {
            let Grid { rows, columns } = self.grid(stage);
            if !self.dims[stage].is_multiple_of(self.heads[stage]) {
                return refuse(
                    "heads",
                    self.heads[stage].to_string(),
                    &format!("a divisor of {}", self.dims[stage]),
                );
            }
            if rows == 0 || columns == 0 || rows % self.window != 0 || columns % self.window != 0 {
                let allowed = format!("a divisor of the {rows}x{columns} tokens of stage {stage}");
                return refuse("window", self.window.to_string(), &allowed);
            }
            if stage + 1 < stages && (rows % 2 != 0 || columns % 2 != 0) {
                return refuse("token grid", format!("{rows}x{columns}"), "even, as another stage follows");
            }
        }
        Ok(())
    }
}

impl Checkpoint {
    /// Reads a checkpoint file.
    ///
    /// # Errors
    /// If the file cannot be read or is not a complete checkpoint of a known architecture: names the path and what is wrong.
    pub fn load(path: &Path) -> Result<Checkpoint, ModelError> {
        container::read_file(path, Checkpoint::from_bytes)
    }

    /// Reads a checkpoint from the bytes of its file.
    ///
    /// # Errors
    /// If it is truncated, corrupt or foreign, if it names or holds something that has no spiking counterpart (layer norm, softmax,
    /// GELU), if a tensor is missing, superfluous or of another shape than the architecture says, if an element is not finite, a
    /// variance negative, a threshold not positive or a mask out of range.
    pub fn from_bytes(bytes: &[u8]) -> Result<Checkpoint, ModelError> {
        let (text, tensors) = container::open(bytes, KEY, "a checkpoint of this project")?;
        let header: serde_json::Value = container::header(&text, KEY, VERSION)?;
        let format = header.get("format").and_then(serde_json::Value::as_str).unwrap_or("none");
        if format != FORMAT {
            return Err(format_error(format!(
                "unknown architecture: format `{format}`, expected `{FORMAT}`"
            )));
        }
        unmappable::check_header(&header)?;
        unmappable::check_tensors(&tensors)?;
        let architecture: Architecture = container::header(&text, KEY, VERSION)?;
        architecture.validate()?;
        let masks = masks::read(&header, &architecture)?;
        reader::read(architecture, masks, tensors)
    }
}
