//! The tensors of a checkpoint, all as float32.

use super::BatchNorm;
use crate::container::{Stored, Tensors};
use crate::error::ModelError;
use half::{bf16, f16};
use safetensors::Dtype;
use std::collections::BTreeMap;

/// The tensors of a batch norm.
pub(crate) const NORM_PARTS: [&str; 4] = ["weight", "bias", "running_mean", "running_var"];

/// Float tensors by name. Reading one takes it out, so that what remains is what nothing reads.
pub(crate) struct Floats(BTreeMap<String, Tensor>);

struct Tensor {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// Widens or narrows every tensor to float32, exactly.
pub(crate) fn floats(tensors: Tensors<'_>) -> Result<Floats, ModelError> {
    let convert = |(name, stored): (String, Stored<'_>)| {
        let values = elements(&name, &stored)?;
        check(&name, &values, "finite", |value| value.is_finite())?;
        Ok((name, Tensor { shape: stored.shape, values }))
    };
    tensors.0.into_iter().map(convert).collect::<Result<_, _>>().map(Floats)
}

fn elements(name: &str, stored: &Stored<'_>) -> Result<Vec<f32>, ModelError> {
    let data = stored.data;
    Ok(match stored.dtype {
        Dtype::F32 => data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
        Dtype::F16 => data.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect(),
        Dtype::BF16 => data.as_chunks().0.iter().map(|&bytes| bf16::from_le_bytes(bytes).to_f32()).collect(),
        Dtype::F64 => {
            let values = data.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes));
            values.enumerate().map(|(index, value)| narrowed(name, index, value)).collect::<Result<_, _>>()?
        }
        _ => {
            return Err(ModelError::TensorType {
                name: name.to_owned(),
                found: stored.kind(),
                expected: "floats: F32, F16, BF16 or F64".to_owned(),
            });
        }
    })
}

fn narrowed(name: &str, index: usize, value: f64) -> Result<f32, ModelError> {
    let narrow = value as f32;
    // What is not finite in either is refused as such.
    if f64::from(narrow) == value || !value.is_finite() {
        return Ok(narrow);
    }
    Err(ModelError::Narrowing { name: name.to_owned(), index, value })
}

/// Refuses the first element for which `ok` is false.
pub(crate) fn check(
    name: &str,
    values: &[f32],
    expected: &'static str,
    ok: impl Fn(f32) -> bool,
) -> Result<(), ModelError> {
    match values.iter().position(|&value| !ok(value)) {
        None => Ok(()),
        Some(index) => {
            Err(ModelError::TensorValue { name: name.to_owned(), index, value: values[index], expected })
        }
    }
}

impl Floats {
    /// Whether a tensor is there and was not taken yet.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The name of a tensor that was not taken.
    pub fn left(&self) -> Option<&str> {
        self.0.keys().next().map(String::as_str)
    }

    /// A vector; sides of 1 around it do not matter.
    pub fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, ModelError> {
        let Tensor { shape, values } = self.take(name)?;
        if values.len() == length && long_sides(&shape) <= 1 {
            return Ok(values);
        }
        Err(wrong_shape(name, &shape, format!("[{length}]")))
    }

    /// A tensor of `sides` sides, with its shape.
    pub fn array(
        &mut self,
        name: &str,
        sides: usize,
        expected: &str,
    ) -> Result<(Vec<usize>, Vec<f32>), ModelError> {
        let Tensor { shape, values } = self.take(name)?;
        if shape.len() == sides && !values.is_empty() {
            return Ok((shape, values));
        }
        Err(wrong_shape(name, &shape, expected.to_owned()))
    }

    /// One number, or one for each of `length` channels; as many numbers as channels in either case.
    pub fn one_or_each(&mut self, name: &str, length: usize) -> Result<Vec<f32>, ModelError> {
        let Tensor { shape, values } = self.take(name)?;
        match *values {
            [value] => Ok(vec![value; length]),
            _ if values.len() == length && long_sides(&shape) <= 1 => Ok(values),
            _ => Err(wrong_shape(name, &shape, format!("[], [1] or [{length}]"))),
        }
    }

    /// Batch norm of `names`: weight, bias, running mean and variance; `affine=False` leaves out the first two, which are 1 and 0 then.
    /// `expected` says what variances may be, with `eps` under the name that the file has for it.
    pub fn batch_norm(
        &mut self,
        [weight, bias, mean, variance]: [String; 4],
        channels: usize,
        eps: f64,
        expected: &'static str,
    ) -> Result<BatchNorm, ModelError> {
        let affine = self.contains(&weight) || self.contains(&bias);
        let mut part = |name: &str| self.vector(name, channels);
        let (weight, bias) = match affine {
            true => (part(&weight)?, part(&bias)?),
            false => (vec![1.0; channels], vec![0.0; channels]),
        };
        let (mean, variances) = (part(&mean)?, part(&variance)?);
        check(&variance, &variances, expected, |value| value >= 0.0 && f64::from(value) + eps > 0.0)?;
        let gain = weight.iter().zip(&variances).map(|(&w, &v)| f64::from(w) / (f64::from(v) + eps).sqrt());
        let gain: Vec<f64> = gain.collect();
        let offset = bias.iter().zip(&gain).zip(&mean).map(|((&b, g), &m)| f64::from(b) - g * f64::from(m));
        Ok(BatchNorm { offset: offset.collect(), gain })
    }

    /// A matrix of this many rows and columns, with the shape that it was stored in: what is behind the first side may be
    /// spread over several, such as those of a convolution's kernel, if `columns` lists them.
    pub fn matrix(
        &mut self,
        name: &str,
        rows: usize,
        columns: &[&[usize]],
    ) -> Result<(Vec<usize>, Vec<f32>), ModelError> {
        let Tensor { shape, values } = self.take(name)?;
        let fits = |columns: &&[usize]| shape.first() == Some(&rows) && shape[1..] == **columns;
        if columns.iter().any(fits) {
            return Ok((shape, values));
        }
        let shapes = columns.iter().map(|columns| format!("{:?}", [&[rows][..], columns].concat()));
        Err(wrong_shape(name, &shape, shapes.collect::<Vec<_>>().join(" or ")))
    }

    fn take(&mut self, name: &str) -> Result<Tensor, ModelError> {
        self.0.remove(name).ok_or_else(|| ModelError::MissingTensor { name: name.to_owned() })
    }
}

/// Sides other than 1.
fn long_sides(shape: &[usize]) -> usize {
    shape.iter().filter(|&&side| side != 1).count()
}

fn wrong_shape(name: &str, found: &[usize], expected: String) -> ModelError {
    ModelError::TensorType { name: name.to_owned(), found: format!("{found:?}"), expected }
}
