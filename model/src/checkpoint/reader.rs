//! From named tensors to the parts of a checkpoint.

use super::{Architecture, Attention, BatchNorm, Block, Checkpoint, Head, Linear, Merge, Norm, Stage};
use crate::container::{Tensors, check};
use crate::error::ModelError;
use crate::mask_rules::MaskRatio;
use ndarray::Array2;
use std::collections::BTreeMap;

/// The tensors of a batch norm.
const NORM_PARTS: [&str; 4] = ["weight", "bias", "running_mean", "running_var"];

/// What to do about a tensor that nothing reads.
const NAMES: &str = ": leave it out, or export it under the name that docs/checkpoint.md gives it";

/// Takes every tensor that the architecture has, and refuses what is left.
pub(super) fn read(
    architecture: Architecture,
    masks: BTreeMap<String, MaskRatio>,
    tensors: Tensors<'_>,
) -> Result<Checkpoint, ModelError> {
    let mut reader = Reader { architecture: &architecture, tensors };
    let patch_embed = reader.patch_embed()?;
    let stages = (0..architecture.dims.len()).map(|stage| reader.stage(stage)).collect::<Result<_, _>>()?;
    let head = reader.head()?;
    reader.nothing_left()?;
    Ok(Checkpoint { architecture, patch_embed, stages, head, masks })
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

    /// A linear layer with BN, with a bias, with both or with neither.
    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<Linear, ModelError> {
        let weight = self.matrix(&format!("{name}.weight"), outputs, inputs)?;
        let norm_name = format!("{name}.bn");
        // One of the four is enough: then the others must be there, too.
        let normed = NORM_PARTS.iter().any(|part| self.tensors.contains(&format!("{norm_name}.{part}")));
        let mut norm = if normed {
            self.batch_norm(&norm_name, outputs)?
        } else {
            BatchNorm { gain: vec![1.0; outputs], offset: vec![0.0; outputs] }
        };
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
        let [weight, bias, mean, variance] = NORM_PARTS;
        let (weight, bias, mean, variance) = (part(weight)?, part(bias)?, part(mean)?, part(variance)?);
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
        match self.tensors.left() {
            None => Ok(()),
            Some(name) => Err(ModelError::UnexpectedTensor { name: name.to_owned(), hint: NAMES }),
        }
    }
}
