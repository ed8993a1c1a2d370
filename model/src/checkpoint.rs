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

use crate::container::{self, Tensors, check, format_error};
use crate::error::ModelError;
use crate::network::{Grid, ImageShape, Windows};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
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

/// Linear, BN, then QCFS.
#[derive(Clone, Debug)]
pub struct Linear {
    /// Outputs x inputs.
    pub weight: Array2<f32>,
    /// Batch norm; a bias of the linear layer is folded into its offset.
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
    /// If it is truncated, corrupt or foreign, if a tensor is missing, superfluous or of another shape than the architecture
    /// says, if an element is not finite, a variance negative or a threshold not positive.
    pub fn from_bytes(bytes: &[u8]) -> Result<Checkpoint, ModelError> {
        let (text, tensors) = container::open(bytes, KEY, "a checkpoint of this project")?;
        let header: serde_json::Value = container::header(&text, KEY, VERSION)?;
        let format = header.get("format").and_then(serde_json::Value::as_str).unwrap_or("none");
        if format != FORMAT {
            return Err(format_error(format!(
                "unknown architecture: format `{format}`, expected `{FORMAT}`"
            )));
        }
        let architecture: Architecture = container::header(&text, KEY, VERSION)?;
        architecture.validate()?;
        let mut reader = Reader { architecture: &architecture, tensors };
        let patch_embed = reader.patch_embed()?;
        let stages =
            (0..architecture.dims.len()).map(|stage| reader.stage(stage)).collect::<Result<_, _>>()?;
        let head = reader.head()?;
        reader.nothing_left()?;
        Ok(Checkpoint { architecture, patch_embed, stages, head })
    }
}

struct Reader<'a> {
    architecture: &'a Architecture,
    tensors: Tensors<'a>,
}

impl Reader<'_> {
    fn patch_embed(&mut self) -> Result<Linear, ModelError> {
        let Architecture { image, patch, ref dims, .. } = *self.architecture;
        self.linear("patch_embed", dims[0], image.channels * patch * patch)
    }

    fn stage(&mut self, stage: usize) -> Result<Stage, ModelError> {
        let dims = &self.architecture.dims;
        let blocks = (0..self.architecture.depths[stage]).map(|block| self.block(stage, block));
        let blocks = blocks.collect::<Result<_, _>>()?;
        let merge = match dims.get(stage + 1) {
            None => None,
            Some(&next) => Some(Merge {
                norm: self.norm(&format!("stages.{stage}.merge.norm"), dims[stage])?,
                reduction: self.linear(&format!("stages.{stage}.merge.reduction"), next, 4 * dims[stage])?,
            }),
        };
        Ok(Stage { blocks, merge })
    }

    fn block(&mut self, stage: usize, block: usize) -> Result<Block, ModelError> {
        let (dim, heads) = (self.architecture.dims[stage], self.architecture.heads[stage]);
        let positions = self.architecture.windows(stage, block).positions();
        let hidden = dim * self.architecture.mlp_ratio;
        let name = |part: &str| format!("stages.{stage}.blocks.{block}.{part}");
        Ok(Block {
            norm1: self.norm(&name("norm1"), dim)?,
            attention: Attention {
                q: self.linear(&name("attn.q"), dim, dim)?,
                k: self.linear(&name("attn.k"), dim, dim)?,
                v: self.linear(&name("attn.v"), dim, dim)?,
                bias_table: self.matrix(&name("attn.bias_table"), positions, heads)?,
                score_threshold: self.threshold(&name("attn.score_threshold"))?,
                context_threshold: self.threshold(&name("attn.context_threshold"))?,
                proj: self.linear(&name("attn.proj"), dim, dim)?,
            },
            norm2: self.norm(&name("norm2"), dim)?,
            fc1: self.linear(&name("mlp.fc1"), hidden, dim)?,
            fc2: self.linear(&name("mlp.fc2"), dim, hidden)?,
        })
    }

    fn head(&mut self) -> Result<Head, ModelError> {
        let (dim, classes) =
            (self.architecture.dims[self.architecture.dims.len() - 1], self.architecture.classes);
        Ok(Head {
            norm: self.norm("head.norm", dim)?,
            weight: self.matrix("head.weight", classes, dim)?,
            bias: self.tensors.floats("head.bias", &[classes])?,
        })
    }

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<Linear, ModelError> {
        let weight = self.matrix(&format!("{name}.weight"), outputs, inputs)?;
        let mut norm = self.batch_norm(&format!("{name}.bn"), outputs)?;
        let bias = format!("{name}.bias");
        if self.tensors.contains(&bias) {
            let bias = self.tensors.floats(&bias, &[outputs])?;
            for ((offset, gain), bias) in norm.offset.iter_mut().zip(&norm.gain).zip(bias) {
                *offset += gain * f64::from(bias);
            }
        }
        Ok(Linear { weight, norm, threshold: self.threshold(&format!("{name}.threshold"))? })
    }

    fn norm(&mut self, name: &str, channels: usize) -> Result<Norm, ModelError> {
        let norm = self.batch_norm(name, channels)?;
        Ok(Norm { norm, threshold: self.threshold(&format!("{name}.threshold"))? })
    }

    fn batch_norm(&mut self, name: &str, channels: usize) -> Result<BatchNorm, ModelError> {
        let mut part = |part: &str| self.tensors.floats(&format!("{name}.{part}"), &[channels]);
        let (weight, bias, mean, variance) =
            (part("weight")?, part("bias")?, part("running_mean")?, part("running_var")?);
        let eps = self.architecture.bn_eps;
        check(&format!("{name}.running_var"), &variance, "0 or more, and with bn_eps above 0", |value| {
            value >= 0.0 && f64::from(value) + eps > 0.0
        })?;
        let gain = weight.iter().zip(&variance).map(|(&w, &v)| f64::from(w) / (f64::from(v) + eps).sqrt());
        let gain: Vec<f64> = gain.collect();
        let offset = bias.iter().zip(&gain).zip(&mean).map(|((&b, g), &m)| f64::from(b) - g * f64::from(m));
        Ok(BatchNorm { offset: offset.collect(), gain })
    }

    fn threshold(&mut self, name: &str) -> Result<f32, ModelError> {
        let values = self.tensors.floats(name, &[1])?;
        check(name, &values, "positive", |value| value > 0.0)?;
        Ok(values[0])
    }

    fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<Array2<f32>, ModelError> {
        let values = self.tensors.floats(name, &[rows, columns])?;
        Ok(Array2::from_shape_vec((rows, columns), values).expect("as many values as the shape says"))
    }

    fn nothing_left(&self) -> Result<(), ModelError> {
        let Some(name) = self.tensors.left() else { return Ok(()) };
        let lower = name.to_lowercase();
        let unsupported =
            ["layernorm", "layer_norm", "softmax", "gelu", "relu"].iter().any(|part| lower.contains(part));
        let hint = if unsupported {
            ": layer norm, softmax, GELU and ReLU do not convert to integrate-and-fire neurons; train with BN and QCFS"
        } else {
            ""
        };
        Err(ModelError::UnexpectedTensor { name: name.to_owned(), hint })
    }
}
