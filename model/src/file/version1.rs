//! Network files of version 1, upgraded as they are read.
//!
//! Version 1 had an operation for each kind of linear layer, one weight matrix a layer (`n.weights` or `n.gains`), inputs of the image
//! channel by channel and in each channel row by row, a neuron also for the readout, and four kinds of masks.

use super::{Array, KEY, fill};
use crate::container::{self, Tensors};
use crate::error::ModelError;
use crate::network::{
    self, Grid, ImageShape, LayerId, Mask, Neuron, Origin, SlotOrder, Source, Taps, Term, Walk,
};
use crate::tap_order::tap_by_tap;
use serde::Deserialize;

#[derive(Deserialize)]
struct Header {
    network: Network,
}

#[derive(Deserialize)]
struct Network {
    name: String,
    image: ImageShape,
    classes: usize,
    layers: Vec<Layer>,
    seed: u32,
    #[serde(default)]
    class_names: Vec<String>,
    #[serde(default)]
    checkpoint: Option<Origin>,
}

#[derive(Deserialize)]
struct Layer {
    name: String,
    operation: Operation,
    grid: Grid,
    channels: usize,
    walk: Walk,
    neuron: Mode,
    theta: Vec<i32>,
    v0: Vec<i32>,
    order: SlotOrder,
    rotate: u32,
    mask_site: Option<MaskSite>,
    mask_ratio: u8,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", tag = "op")]
enum Operation {
    Analog { patch: Patch, weights: Weights, bias: Vec<i32> },
    Dense { input: LayerId, gather: Gather, weights: Weights, bias: Vec<i32> },
    Shortcut { inputs: Vec<LayerId>, gains: Vec<i8>, bias: Vec<i32> },
    Scores { query: LayerId, key: LayerId, heads: usize, bias: Vec<i32>, fraction: u32 },
    Context { scores: LayerId, value: LayerId, heads: usize, fraction: u32 },
    Readout { input: LayerId, weights: Weights, bias: Vec<i32> },
}

#[derive(Deserialize)]
struct Patch {
    kernel: usize,
    stride: usize,
    padding: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Gather {
    Token,
    Merge,
}

#[derive(Deserialize)]
struct Weights {
    outputs: usize,
    inputs: usize,
    data: Vec<i8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    If,
    TwoPhase,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum MaskSite {
    Query,
    Key,
    Attention,
    Fc1,
}

/// Reads a network of version 1, its header and its tensors, as one of this version. It has not been validated.
pub(super) fn read(header: &str, tensors: &mut Tensors<'_>) -> Result<network::Network, ModelError> {
    let Header { network } = container::header(header, KEY)?;
    let Network { name, image, classes, layers, seed, class_names, checkpoint } = network;
    let upgrade = |(index, mut layer): (usize, Layer)| {
        fill(index, arrays(&mut layer), tensors)?;
        Upgrade { index, image }.layer(layer)
    };
    let layers = layers.into_iter().enumerate().map(upgrade).collect::<Result<_, _>>()?;
    let border = Vec::new();
    Ok(network::Network { name, image, border, classes, layers, seed, class_names, checkpoint })
}

fn arrays(layer: &mut Layer) -> Vec<(&'static str, Array<'_>)> {
    let mut arrays = match &mut layer.operation {
        Operation::Analog { weights, bias, .. }
        | Operation::Dense { weights, bias, .. }
        | Operation::Readout { weights, bias, .. } => {
            vec![("weights", Array::Bytes(&mut weights.data)), ("bias", Array::Integers(bias))]
        }
        Operation::Shortcut { gains, bias, .. } => {
            vec![("gains", Array::Bytes(gains)), ("bias", Array::Integers(bias))]
        }
        Operation::Scores { bias, .. } => vec![("bias", Array::Integers(bias))],
        Operation::Context { .. } => Vec::new(),
    };
    arrays.push(("theta", Array::Integers(&mut layer.theta)));
    arrays.push(("v0", Array::Integers(&mut layer.v0)));
    arrays
}

/// The upgrade of layer `index` of a network that takes `image`.
struct Upgrade {
    index: usize,
    image: ImageShape,
}

impl Upgrade {
    fn layer(&self, layer: Layer) -> Result<network::Layer, ModelError> {
        let Layer { name, operation, grid, channels, walk, theta, v0, order, rotate, .. } = layer;
        let mode = match layer.neuron {
            Mode::If => Neuron::IF,
            Mode::TwoPhase => Neuron::TWO_PHASE,
        };
        let label = layer.mask_site.map(|site| match site {
            MaskSite::Query => "q",
            MaskSite::Key => "k",
            MaskSite::Attention => "attn",
            MaskSite::Fc1 => "fc1",
        });
        let mask = Mask { label: label.map(str::to_owned), ratio: layer.mask_ratio, ..Mask::default() };
        let neuron = if let Operation::Readout { .. } = operation { None } else { Some(mode) };
        let operation = self.operation(&name, channels, operation)?;
        Ok(network::Layer { name, operation, grid, channels, walk, neuron, theta, v0, order, rotate, mask })
    }

    fn operation(
        &self,
        name: &str,
        channels: usize,
        operation: Operation,
    ) -> Result<network::Operation, ModelError> {
        let dense =
            |source, taps, data| Term { source, taps, weights: network::Weights::Dense(data), shift: 0 };
        Ok(match operation {
            Operation::Analog { patch: Patch { kernel, stride, padding }, weights, bias } => {
                let (pixels, depth) = (kernel.saturating_mul(kernel), self.image.channels);
                let inputs = weights.inputs;
                let data = self.rows(name, channels, weights)?;
                self.equal(name, "weight columns", inputs, pixels.saturating_mul(depth))?;
                let data = if inputs == 0 { data } else { tap_by_tap(&data, pixels, depth) };
                let taps = Taps::square(kernel, stride, padding);
                network::Operation::Linear { terms: vec![dense(Source::Image, taps, data)], bias }
            }
            Operation::Dense { input, gather, weights, bias } => {
                let taps = match gather {
                    Gather::Token => Taps::TOKEN,
                    Gather::Merge => Taps::square(2, 2, 0),
                };
                let data = self.rows(name, channels, weights)?;
                network::Operation::Linear { terms: vec![dense(Source::Plane(input), taps, data)], bias }
            }
            Operation::Shortcut { inputs, gains, bias } => {
                self.equal(name, "number of gains", gains.len(), inputs.len().saturating_mul(channels))?;
                let of_input = |(k, &id): (usize, &LayerId)| {
                    Term::diagonal(id, gains[k * channels..][..channels].to_vec())
                };
                network::Operation::Linear { terms: inputs.iter().enumerate().map(of_input).collect(), bias }
            }
            Operation::Readout { input, weights, bias } => {
                let data = self.rows(name, channels, weights)?;
                network::Operation::Linear { terms: vec![Term::dense(input, data)], bias }
            }
            Operation::Scores { query, key, heads, bias, fraction } => {
                network::Operation::Scores { query, key, heads, bias, fraction }
            }
            Operation::Context { scores, value, heads, fraction } => {
                network::Operation::Context { scores, value, heads, fraction }
            }
        })
    }

    /// The weights of a matrix with a row for each channel.
    fn rows(&self, name: &str, channels: usize, weights: Weights) -> Result<Vec<i8>, ModelError> {
        let Weights { outputs, inputs, data } = weights;
        self.equal(name, "weight rows", outputs, channels)?;
        self.equal(name, "number of weights", data.len(), outputs.saturating_mul(inputs))?;
        Ok(data)
    }

    fn equal(&self, name: &str, what: &str, found: usize, allowed: usize) -> Result<(), ModelError> {
        if found == allowed {
            return Ok(());
        }
        Err(ModelError::Layer {
            index: self.index,
            layer: isa::names::shown(name),
            what: what.to_owned(),
            found: found.to_string(),
            allowed: allowed.to_string(),
        })
    }
}
