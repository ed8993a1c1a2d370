//! Trained float networks, imported from safetensors.
//!
//! A checkpoint holds float tensors and, under the metadata key `mst`, its architecture as JSON. The network it describes is
//! analog: every activation is `QCFS(x) = threshold * clip(floor(x * levels / threshold + 1/2) / levels, 0, 1)`, which
//! an integrate-and-fire neuron with that threshold emits over `levels` time steps.
//! ```text
//! embed   x = QCFS(BN(W patch)), pixels in 0..1, less `mean` and divided by `std`
//! block   h = QCFS(BN(x));  q, k, v = QCFS(BN(W h));  a = QCFS(q k' / sqrt(head size) + bias)
//!         x += QCFS(BN(W QCFS(a v)));  h = QCFS(BN(x));  x += QCFS(BN(W2 QCFS(BN(W1 h))))
//! merge   x = QCFS(BN(W [four neighbours of QCFS(BN(x))]))
//! head    logits = W mean over tokens of QCFS(BN(x)) + b
//! ```
//!
//! A file is read in two steps. First what it says is brought into one form: names without the prefixes of wrappers, float32
//! elements, numbers for lists of equal ones. Then every part takes its tensors, and what is left over is refused.

mod architecture;
mod classes;
pub(crate) mod example;
mod foreign;
pub(crate) mod header;
mod input;
mod kinds;
mod masks;
mod names;
mod reader;
pub(crate) mod tensors;
mod unmappable;
mod warning;

pub use architecture::Architecture;
pub use example::{Agreement, Example};
pub use input::Normalisation;
pub use warning::Warning;

use crate::container;
use crate::error::ModelError;
use crate::network::Mask;
use ndarray::Array2;
use std::collections::BTreeMap;
use std::path::Path;

/// The metadata key of the header.
pub const KEY: &str = container::CHECKPOINT.key;
/// The header's `format`.
pub const FORMAT: &str = "mst-checkpoint";
/// The header's `version`.
pub const VERSION: u64 = 1;

/// A trained float network.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Its shape.
    pub architecture: Architecture,
    /// What is done to pixels before the patch embedding.
    pub input: Normalisation,
    /// Pixels to tokens: inputs are the pixels of a patch, channel by channel, row by row.
    pub patch_embed: Linear,
    /// Stages, each on a token grid of half the rows and columns of the one before.
    pub stages: Vec<Stage>,
    /// Classifier.
    pub head: Head,
    /// The masks of training, by the name of the layer in the converted network. Empty if there were none.
    pub masks: BTreeMap<String, Mask>,
    /// Names of the classes, one a class; empty if the file has none.
    pub class_names: Vec<String>,
    /// Images with the logits that the framework computed for them, if the file has some.
    pub example: Option<Example>,
    /// What the file left unsaid, or said in vain.
    pub warnings: Vec<Warning>,
}

/// Batch norm as an affine map: `y = gain * x + offset`, one each a channel.
#[derive(Clone, Debug, PartialEq)]
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
    /// Thresholds, one a channel.
    pub thresholds: Vec<f32>,
}

/// Linear, BN if there is one, then QCFS.
#[derive(Clone, Debug)]
pub struct Linear {
    /// Outputs x inputs.
    pub weight: Array2<f32>,
    /// Batch norm, the identity if there is none; a bias of the linear layer is folded into its offset.
    pub norm: BatchNorm,
    /// Thresholds, one an output.
    pub thresholds: Vec<f32>,
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
    /// Relative positions (as [`relative`](crate::network::Windows::relative) counts them) x heads.
    pub bias_table: Array2<f32>,
    /// Thresholds of the attention matrix, one a head.
    pub score_thresholds: Vec<f32>,
    /// Thresholds of attention times values, one a channel.
    pub context_thresholds: Vec<f32>,
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
    /// GELU, a leak), if a tensor is missing, superfluous or of another shape than the architecture says, if an element is no
    /// finite float32, a variance negative, a threshold not positive or an entry of the header out of range.
    pub fn from_bytes(bytes: &[u8]) -> Result<Checkpoint, ModelError> {
        let (text, tensors) = container::open(bytes, &container::CHECKPOINT)?;
        let mut header = header::read(&text)?;
        let tensors = names::normalise(tensors)?;
        header.check_kinds(tensors.0.keys().map(String::as_str))?;
        unmappable::check(&tensors, header.entry("norm").is_some())?;
        let architecture = header.architecture()?;
        let parts = reader::read(&architecture, tensors::floats(tensors)?)?;
        Ok(Checkpoint {
            input: Normalisation::read(&header, architecture.image.channels)?,
            patch_embed: parts.patch_embed,
            stages: parts.stages,
            head: parts.head,
            masks: masks::read(&header, &architecture)?,
            class_names: classes::read(&header, architecture.classes)?,
            example: Example::read(&header, &architecture)?,
            warnings: header.warnings,
            architecture,
        })
    }
}
