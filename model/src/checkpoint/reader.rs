//! From named tensors to the parts of a checkpoint.

use super::tensors::{Floats, NORM_PARTS, check};
use super::{Architecture, Attention, BatchNorm, Block, Head, Linear, Merge, Norm, Stage};
use crate::error::ModelError;
use ndarray::Array2;

/// What to do about a tensor that nothing reads.
const NAMES: &str = ": leave it out, or export it under the name that docs/checkpoint.md gives it";

/// What tensors make up.
pub(super) struct Parts {
    pub patch_embed: Linear,
    pub stages: Vec<Stage>,
    pub head: Head,
}

/// Takes every tensor that the architecture has, and refuses what is left.
pub(super) fn read(architecture: &Architecture, tensors: Floats) -> Result<Parts, ModelError> {
    let mut reader = Reader { architecture, tensors };
    let patch_embed = reader.patch_embed()?;
    let stages = (0..architecture.dims.len()).map(|stage| reader.stage(stage)).collect::<Result<_, _>>()?;
    let head = reader.head()?;
    reader.nothing_left()?;
    Ok(Parts { patch_embed, stages, head })
}

struct Reader<'a> {
    architecture: &'a Architecture,
    tensors: Floats,
}

impl Reader<'_> {
    fn patch_embed(&mut self) -> Result<Linear, ModelError> {
        let Architecture { image, patch, ref dims, .. } = *self.architecture;
        // A convolution's kernel is the matrix of the flattened patch.
        let kernel = [image.channels, patch, patch];
        let weight = self.matrix("patch_embed.weight", dims[0], &[&[kernel.iter().product()], &kernel])?;
        self.behind("patch_embed", weight)
    }

    fn stage(&mut self, stage: usize) -> Result<Stage, ModelError> {
        let dims = &self.architecture.dims;
        let blocks = (0..self.architecture.depths[stage]).map(|block| self.block(stage, block));
        let blocks = blocks.collect::<Result<_, _>>()?;
        let merge = match dims.get(stage + 1) {
            None => None,
            Some(&next) => Some(Merge {
                norm: self.norm(&format!("stages.{stage}.merge.norm"), dims[stage])?,
                reduction: self.reduction(&format!("stages.{stage}.merge.reduction"), next, dims[stage])?,
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
                bias_table: self.matrix(&name("attn.bias_table"), positions, &[&[heads]])?,
                score_thresholds: self.thresholds(&name("attn.score_threshold"), heads)?,
                context_thresholds: self.thresholds(&name("attn.context_threshold"), dim)?,
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
            weight: self.matrix("head.weight", classes, &[&[dim]])?,
            bias: self.tensors.vector("head.bias", classes)?,
        })
    }

    /// The matrix of merging; a convolution with a 2 x 2 kernel and stride 2 is one, too.
    fn reduction(&mut self, name: &str, outputs: usize, channels: usize) -> Result<Linear, ModelError> {
        let (weight_name, kernel) = (format!("{name}.weight"), [channels, 2, 2]);
        let (shape, values) = self.tensors.matrix(&weight_name, outputs, &[&[4 * channels], &kernel])?;
        let weight = if shape.len() == 2 {
            array(outputs, values)
        } else {
            // Inputs of a kernel are channel by channel, those of the matrix neighbour by neighbour.
            let kernel = array(outputs, values);
            Array2::from_shape_fn((outputs, 4 * channels), |(o, i)| {
                kernel[(o, i % channels * 4 + i / channels)]
            })
        };
        self.behind(name, weight)
    }

    /// A linear layer of every token; a convolution with a kernel of one token is one, too.
    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<Linear, ModelError> {
        let shapes: [&[usize]; 3] = [&[inputs], &[inputs, 1], &[inputs, 1, 1]];
        let weight = self.matrix(&format!("{name}.weight"), outputs, &shapes)?;
        self.behind(name, weight)
    }

    /// What stands behind a linear layer's weight: BN, a bias, both or neither, and QCFS.
    fn behind(&mut self, name: &str, weight: Array2<f32>) -> Result<Linear, ModelError> {
        let outputs = weight.nrows();
        let norm_name = format!("{name}.bn");
        // One of the four is enough: then there is a batch norm.
        let normed = NORM_PARTS.iter().any(|part| self.tensors.contains(&format!("{norm_name}.{part}")));
        let mut norm = if normed {
            self.batch_norm(&norm_name, outputs)?
        } else {
            BatchNorm { gain: vec![1.0; outputs], offset: vec![0.0; outputs] }
        };
        let bias = format!("{name}.bias");
        if self.tensors.contains(&bias) {
            let bias = self.tensors.vector(&bias, outputs)?;
            for ((offset, gain), bias) in norm.offset.iter_mut().zip(&norm.gain).zip(bias) {
                *offset += gain * f64::from(bias);
            }
        }
        Ok(Linear { weight, norm, thresholds: self.thresholds(&format!("{name}.threshold"), outputs)? })
    }

    fn norm(&mut self, name: &str, channels: usize) -> Result<Norm, ModelError> {
        let norm = self.batch_norm(name, channels)?;
        Ok(Norm { norm, thresholds: self.thresholds(&format!("{name}.threshold"), channels)? })
    }

    fn batch_norm(&mut self, name: &str, channels: usize) -> Result<BatchNorm, ModelError> {
        let names = NORM_PARTS.map(|part| format!("{name}.{part}"));
        let expected = "0 or more, and with bn_eps above 0";
        self.tensors.batch_norm(names, channels, self.architecture.bn_eps, expected)
    }

    /// One threshold for all channels, or one for each.
    fn thresholds(&mut self, name: &str, channels: usize) -> Result<Vec<f32>, ModelError> {
        let values = self.tensors.one_or_each(name, channels)?;
        // QCFS multiplies by levels / threshold, which must be a number.
        let levels = self.architecture.levels as f32;
        check(name, &values, "positive (2^-119 or more)", |value| {
            value > 0.0 && (levels / value).is_finite()
        })?;
        Ok(values)
    }

    fn matrix(&mut self, name: &str, rows: usize, columns: &[&[usize]]) -> Result<Array2<f32>, ModelError> {
        let (_, values) = self.tensors.matrix(name, rows, columns)?;
        Ok(array(rows, values))
    }

    fn nothing_left(&self) -> Result<(), ModelError> {
        match self.tensors.left() {
            None => Ok(()),
            Some(name) => Err(ModelError::UnexpectedTensor { name: name.to_owned(), hint: NAMES }),
        }
    }
}

/// Values of this many rows.
fn array(rows: usize, values: Vec<f32>) -> Array2<f32> {
    let columns = values.len() / rows;
    Array2::from_shape_vec((rows, columns), values).expect("as many values as the shape says")
}
