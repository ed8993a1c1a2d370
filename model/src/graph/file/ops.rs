//! From attributes and tensors to what a node computes.

use super::attributes::Attributes;
use super::{TensorSet, wrong};
use crate::checkpoint::BatchNorm;
use crate::checkpoint::tensors::{NORM_PARTS, check};
use crate::error::ModelError;
use crate::graph::{Activation, ActivationKind, Attention, Conv, Groups, Linear, MaxPool, NodeOp, Shape};
use crate::network::{Taps, Windows};
use ndarray::{Array2, Array4};
use serde_json::Value;

/// What batch norm adds to the variance if a node does not say.
const EPS: f64 = 1e-5;

/// Operations, as files call them.
pub(super) const OPS: [&str; 14] = [
    "input",
    "conv",
    "linear",
    "batch_norm",
    "qcfs",
    "relu_clip",
    "if",
    "add",
    "avg_pool",
    "max_pool",
    "flatten",
    "mean",
    "merge",
    "attention",
];

/// Reads a node's operation; `inputs` are the shapes of what it reads.
pub(super) fn read(
    attributes: &Attributes<'_>,
    inputs: &[Shape],
    tensors: &mut TensorSet,
) -> Result<NodeOp, ModelError> {
    // A node without inputs that needs one is refused when its shape is found.
    let channels = inputs.first().map_or(0, |shape| shape.channels);
    let mut reader = Reader { attributes, tensors, channels };
    Ok(match attributes.op {
        "input" => NodeOp::Input,
        "conv" => NodeOp::Conv(reader.conv()?),
        "linear" => NodeOp::Linear(reader.linear()?),
        "batch_norm" => NodeOp::BatchNorm(reader.batch_norm()?),
        "qcfs" | "relu_clip" | "if" => NodeOp::Activation(reader.activation()?),
        "add" => NodeOp::Add,
        "avg_pool" => NodeOp::AvgPool(reader.avg_pool()?),
        "max_pool" => NodeOp::MaxPool(reader.max_pool()?),
        "flatten" => NodeOp::Flatten,
        "mean" => NodeOp::Mean,
        "merge" => NodeOp::Merge,
        "attention" => NodeOp::Attention(reader.attention()?),
        other => unreachable!("`{other}` was checked"),
    })
}

struct Reader<'a, 'j> {
    attributes: &'a Attributes<'j>,
    tensors: &'a mut TensorSet,
    /// Of the first input.
    channels: usize,
}

impl Reader<'_, '_> {
    fn tensor(&self, part: &str) -> String {
        format!("{}.{part}", self.attributes.name)
    }

    fn conv(&mut self) -> Result<Conv, ModelError> {
        let (channels, attributes) = (self.channels, self.attributes);
        attributes.only(
            "dilation",
            &Value::from(1u64),
            "export a larger kernel with zeros between its weights, which computes the same, or train without dilation",
        )?;
        attributes.only("padding_mode", &Value::from("zeros"), "train with padding of zeros")?;
        let groups = attributes.number("groups", Some(1), 1, 1 << 16)?;
        let name = self.tensor("weight");
        let expected = "[outputs, inputs, kernel rows, kernel columns]";
        let (shape, values) = self.tensors.floats.array(&name, 4, expected)?;
        let (outputs, inputs) = (shape[0], shape[1]);
        let groups = match groups {
            1 => Groups::One,
            _ if groups == channels && outputs == channels && inputs == 1 => Groups::Depthwise,
            _ => {
                return Err(attributes.unmappable(
                    format!("groups is {groups}, for {channels} inputs and {outputs} outputs; it may be 1, or as many as both (depthwise)"),
                    "export the weight as one of all inputs, with zeros outside the groups, which computes the same",
                ));
            }
        };
        let taps = attributes.taps([shape[2], shape[3]], [1, 1])?;
        let weight = Array4::from_shape_vec((outputs, inputs, shape[2], shape[3]), values)
            .expect("as many values as the shape says");
        Ok(Conv { weight, bias: self.bias(outputs)?, taps, groups })
    }

    fn linear(&mut self) -> Result<Linear, ModelError> {
        let name = self.tensor("weight");
        let (shape, values) = self.tensors.floats.array(&name, 2, "[outputs, inputs]")?;
        let weight =
            Array2::from_shape_vec((shape[0], shape[1]), values).expect("as many values as the shape says");
        Ok(Linear { weight, bias: self.bias(shape[0])? })
    }

    fn bias(&mut self, outputs: usize) -> Result<Option<Vec<f32>>, ModelError> {
        let name = self.tensor("bias");
        match self.tensors.floats.contains(&name) {
            true => self.tensors.floats.vector(&name, outputs).map(Some),
            false => Ok(None),
        }
    }

    /// Running statistics, as PyTorch has them (`affine=False` leaves out weight and bias), or `gain` and `offset`.
    fn batch_norm(&mut self) -> Result<BatchNorm, ModelError> {
        let channels = self.channels;
        let eps = match self.attributes.get("eps") {
            None => EPS,
            Some(value) => {
                let eps = value.as_f64().filter(|eps| (0.0..1.0).contains(eps));
                eps.ok_or_else(|| wrong(&self.attributes.entry("eps"), value, "a number from 0 to below 1"))?
            }
        };
        let [gain, offset] = ["gain", "offset"].map(|part| self.tensor(part));
        let there =
            |name: &String| self.tensors.doubles.contains_key(name) || self.tensors.floats.contains(name);
        if there(&gain) || there(&offset) {
            return Ok(BatchNorm { gain: self.doubles(&gain)?, offset: self.doubles(&offset)? });
        }
        let names = NORM_PARTS.map(|part| self.tensor(part));
        let floats = &mut self.tensors.floats;
        if !names[2..].iter().any(|name| floats.contains(name)) {
            return Err(self.attributes.unmappable(
                "its running statistics (`running_mean`, `running_var`) are missing".to_owned(),
                "measure them: build the batch norms with track_running_stats=True, load these weights, run training images through the \
                 network in training mode (`model.train()`) without an optimizer step, and export again",
            ));
        }
        floats.batch_norm(names, channels, eps, "0 or more, and with eps above 0")
    }

    fn doubles(&mut self, name: &str) -> Result<Vec<f64>, ModelError> {
        match self.tensors.doubles.remove(name) {
            Some(values) if values.len() == self.channels => Ok(values),
            Some(values) => Err(ModelError::TensorType {
                name: name.to_owned(),
                found: format!("[{}]", values.len()),
                expected: format!("[{}]", self.channels),
            }),
            None => {
                let values = self.tensors.floats.vector(name, self.channels)?;
                Ok(values.into_iter().map(f64::from).collect())
            }
        }
    }

    fn activation(&mut self) -> Result<Activation, ModelError> {
        let kind = self.kind(self.attributes.op)?;
        self.attributes.only("reset", &Value::from("subtract"), "train with a reset by subtraction")?;
        let thresholds = self.thresholds("threshold", self.channels, kind)?;
        Ok(Activation { kind, thresholds, mask: self.attributes.mask("mask")? })
    }

    fn kind(&self, name: &str) -> Result<ActivationKind, ModelError> {
        Ok(match name {
            "qcfs" => ActivationKind::Qcfs { levels: self.attributes.number("levels", None, 1, 256)? as u32 },
            "relu_clip" => ActivationKind::ReluClip,
            _ => ActivationKind::If,
        })
    }

    /// One threshold for all channels, or one for each.
    fn thresholds(
        &mut self,
        part: &str,
        channels: usize,
        kind: ActivationKind,
    ) -> Result<Vec<f32>, ModelError> {
        let name = self.tensor(part);
        let values = self.tensors.floats.one_or_each(&name, channels)?;
        // QCFS multiplies by levels / threshold, which must be a number.
        let levels = if let ActivationKind::Qcfs { levels } = kind { levels as f32 } else { 1.0 };
        check(&name, &values, "positive (2^-119 or more)", |value| {
            value > 0.0 && (levels / value).is_finite()
        })?;
        Ok(values)
    }

    /// Kernel, stride (the kernel if absent) and padding; frameworks' roundings of sizes that do not divide are refused.
    fn pool_taps(&self) -> Result<Taps, ModelError> {
        let remedy = "train with sizes rounded down, or pad the input explicitly";
        self.attributes.only("ceil_mode", &Value::Bool(false), remedy)?;
        let kernel = self.attributes.pair("kernel", None, 1)?;
        self.attributes.taps(kernel, kernel)
    }

    fn avg_pool(&self) -> Result<Taps, ModelError> {
        let taps = self.pool_taps()?;
        // Without padding, every count includes it.
        match self.attributes.get("count_include_pad") {
            Some(Value::Bool(false)) if taps.is_padded() => Err(self.attributes.unmappable(
                "count_include_pad is false, so borders divide by fewer than the rest, and a weight is the same at all positions".to_owned(),
                "pool without padding or with count_include_pad=True, and train again",
            )),
            Some(Value::Bool(_)) | None => Ok(taps),
            Some(other) => Err(wrong(&self.attributes.entry("count_include_pad"), other, "true or false")),
        }
    }

    fn max_pool(&self) -> Result<MaxPool, ModelError> {
        self.attributes.only("dilation", &Value::from(1u64), "train without dilation")?;
        Ok(MaxPool { taps: self.pool_taps()?, mask: self.attributes.mask("mask")? })
    }

    fn attention(&mut self) -> Result<Attention, ModelError> {
        let attributes = self.attributes;
        let size = attributes.number("window", None, 1, 64)?;
        let shift = attributes.number("shift", Some(0), 0, size - 1)?;
        let heads = attributes.number("heads", None, 1, 8192)?;
        let allowed = "\"qcfs\", \"relu_clip\" or \"if\"; softmax has no counterpart: put QCFS of `q k' / sqrt(d) + bias` in its place and train again";
        let kind = match attributes.get("activation") {
            None => "qcfs",
            Some(Value::String(kind)) if ["qcfs", "relu_clip", "if"].contains(&kind.as_str()) => kind,
            Some(other) => return Err(wrong(&attributes.entry("activation"), other, allowed)),
        };
        let kind = self.kind(kind)?;
        let windows = Windows { size, shift };
        let name = self.tensor("bias_table");
        let (_, bias) = self.tensors.floats.matrix(&name, windows.positions(), &[&[heads]])?;
        let bias_table = Array2::from_shape_vec((windows.positions(), heads), bias)
            .expect("as many values as the shape says");
        let scores = self.thresholds("score_threshold", heads, kind)?;
        let context = self.thresholds("context_threshold", self.channels, kind)?;
        let mask = attributes.mask("mask")?;
        Ok(Attention {
            windows,
            heads,
            bias_table,
            scores: Activation { kind, thresholds: scores, mask },
            context: Activation { kind, thresholds: context, mask: attributes.mask("context_mask")? },
        })
    }
}
