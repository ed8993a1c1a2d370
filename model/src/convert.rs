//! From a float checkpoint to an integer network.
//!
//! A spike of a site with threshold `l` stands for the activation `l`, so a site's firing rate times `l` is its QCFS activation.
//! With BN folded to `y = gain * (W x) + offset`, the float drive of neuron `o` is `offset[o] + sum_i a[o,i] * s[i]` with
//! `a[o,i] = gain[o] * W[o,i] * l_in`, to be compared with `l_out`. Dividing both sides by a scale that is free for every
//! neuron gives integers: `w = round(a / scale)`, `b = round(offset / scale)`, `theta = round(l_out / scale)`, and with
//! `v0 = theta / 2` the spike count of a two-phase neuron is QCFS's clip-floor-shift with `levels = T`.

mod quantise;

use crate::checkpoint::{Architecture, Attention, BatchNorm, Block, Checkpoint, Linear, Norm};
use crate::error::ModelError;
use crate::network::{
    Gather, Grid, Layer, LayerId, MaskSite, Network, Operation, Patch, SlotOrder, Walk, Weights, Windows,
};
use isa::Neuron;
use quantise::{Deviations, ROOM, integer, largest, one_sided, quantise, theta_fits};
use serde::Serialize;

/// How to convert.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvertOptions {
    /// Name of the network.
    pub name: String,
    /// Neuron mode of all layers.
    pub neuron: Neuron,
    /// Number of time steps that scales leave room for, in a 24-bit membrane and the 16-bit bias rows of scores. More may
    /// still fit.
    pub time_steps: u32,
}

impl ConvertOptions {
    /// Two-phase neurons, room for 16 time steps.
    pub fn new(name: impl Into<String>) -> ConvertOptions {
        ConvertOptions { name: name.into(), neuron: Neuron::TwoPhase, time_steps: 16 }
    }
}

/// Largest fraction of scores and context.
const MAX_FRACTION: u32 = 7;

/// Converts a checkpoint. Layers keep the checkpoint's names; scores and context are `attn.scores` and `attn.context`. Layers
/// that were trained with masks are masked.
///
/// # Errors
/// If a value is too large for an integer network, or the result does not [validate](Network::validate).
pub fn convert(checkpoint: &Checkpoint, options: &ConvertOptions) -> Result<Network, ModelError> {
    convert_and_measure(checkpoint, options).map(|(network, _)| network)
}

/// Converts a checkpoint like [`convert`], and says for each layer what became of its float values.
///
/// # Errors
/// Like [`convert`].
pub fn convert_and_measure(
    checkpoint: &Checkpoint,
    options: &ConvertOptions,
) -> Result<(Network, Vec<Precision>), ModelError> {
    let (layers, precision) = (Vec::new(), Vec::new());
    let mut converter = Converter { checkpoint, options, layers, thresholds: Vec::new(), precision };
    converter.network()?;
    let Architecture { image, classes, .. } = checkpoint.architecture;
    let network = Network::new(options.name.clone(), image, classes, converter.layers, 1);
    network.validate()?;
    Ok((network, converter.precision))
}

/// What a layer's threshold was, and what rounding did to what it adds up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Precision {
    /// Threshold of the activation in the checkpoint; absent for the readout.
    pub threshold: Option<f32>,
    /// Of weights, gains or (scores) position biases; absent for context, which adds nothing but spikes.
    pub rounding: Option<Rounding>,
}

/// How far rounded values lie from those of the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rounding {
    /// Root of the mean square error, as a share of that of the values.
    pub relative_rms: f64,
    /// Largest error, as a share of the largest value of the same neuron.
    pub largest: f64,
}

struct Converter<'a> {
    checkpoint: &'a Checkpoint,
    options: &'a ConvertOptions,
    layers: Vec<Layer>,
    /// What a spike of each layer stands for.
    thresholds: Vec<f64>,
    precision: Vec<Precision>,
}

/// Where a layer's tokens lie and how they are walked.
#[derive(Clone, Copy)]
struct Place {
    grid: Grid,
    walk: Walk,
}

/// The integers of a linear layer.
struct Rounded {
    weights: Weights,
    bias: Vec<i32>,
    theta: Vec<i32>,
    deviations: Deviations,
}

impl Converter<'_> {
    fn network(&mut self) -> Result<(), ModelError> {
        let checkpoint = self.checkpoint;
        let architecture = &checkpoint.architecture;
        let mut stream = vec![self.patch_embed()?];
        for (s, stage) in checkpoint.stages.iter().enumerate() {
            let place = Place { grid: architecture.grid(s), walk: Walk::Raster };
            for (b, block) in stage.blocks.iter().enumerate() {
                let windows = architecture.windows(s, b);
                self.block(&format!("stages.{s}.blocks.{b}"), block, place, windows, &mut stream)?;
            }
            if let Some(merge) = &stage.merge {
                let norm = self.norm(&format!("stages.{s}.merge.norm"), &merge.norm, place, &stream)?;
                let name = format!("stages.{s}.merge.reduction");
                let place = Place { grid: architecture.grid(s + 1), ..place };
                stream = vec![self.dense(&name, &merge.reduction, place, norm, Gather::Merge)?];
            }
        }
        let place = Place { grid: architecture.grid(checkpoint.stages.len() - 1), walk: Walk::Raster };
        let norm = self.norm("head.norm", &checkpoint.head.norm, place, &stream)?;
        self.readout(place, norm)
    }

    fn patch_embed(&mut self) -> Result<LayerId, ModelError> {
        let architecture = &self.checkpoint.architecture;
        let (name, linear) = ("patch_embed", &self.checkpoint.patch_embed);
        let place = Place { grid: architecture.grid(0), walk: Walk::Raster };
        let Rounded { weights, bias, theta, deviations } = self.matrix(name, linear, 1.0 / 255.0, 255.0)?;
        let patch = Patch { kernel: architecture.patch, stride: architecture.patch, padding: 0 };
        let operation = Operation::Analog { patch, weights, bias };
        let id = self.push(name, operation, place, theta, Some(linear.threshold));
        Ok(self.measured(id, &deviations))
    }

    fn block(
        &mut self,
        name: &str,
        block: &Block,
        place: Place,
        windows: Windows,
        stream: &mut Vec<LayerId>,
    ) -> Result<(), ModelError> {
        let norm1 = self.norm(&format!("{name}.norm1"), &block.norm1, place, stream)?;
        let attended = Place { walk: Walk::Windows(windows), ..place };
        // Keys and values first: while the queries are computed, hardware can already fetch them.
        let mut site = |part: &str, linear| {
            self.dense(&format!("{name}.attn.{part}"), linear, attended, norm1, Gather::Token)
        };
        let attention = &block.attention;
        let (key, value) = (site("k", &attention.k)?, site("v", &attention.v)?);
        let query = site("q", &attention.q)?;
        self.layers[key.0].mask_site = Some(MaskSite::Key);
        self.layers[query.0].mask_site = Some(MaskSite::Query);
        self.decorrelate(query);
        let scores = self.scores(&format!("{name}.attn.scores"), attention, attended, query, key)?;
        let context = self.context(&format!("{name}.attn.context"), attention, attended, scores, value)?;
        stream.push(self.dense(
            &format!("{name}.attn.proj"),
            &attention.proj,
            place,
            context,
            Gather::Token,
        )?);
        let norm2 = self.norm(&format!("{name}.norm2"), &block.norm2, place, stream)?;
        let fc1 = self.dense(&format!("{name}.mlp.fc1"), &block.fc1, place, norm2, Gather::Token)?;
        self.layers[fc1.0].mask_site = Some(MaskSite::Fc1);
        stream.push(self.dense(&format!("{name}.mlp.fc2"), &block.fc2, place, fc1, Gather::Token)?);
        Ok(())
    }

    /// Queries and attention fire in another order than what they are multiplied with.
    fn decorrelate(&mut self, id: LayerId) {
        self.layers[id.0].order = SlotOrder::Spread;
        self.layers[id.0].rotate = 3;
    }

    /// BN and QCFS of the residual stream, which is the sum of the planes of `stream`.
    fn norm(
        &mut self,
        name: &str,
        norm: &Norm,
        place: Place,
        stream: &[LayerId],
    ) -> Result<LayerId, ModelError> {
        let BatchNorm { gain, offset } = &norm.norm;
        let channels = gain.len();
        let mut gains = vec![0; stream.len() * channels];
        let (mut bias, mut theta, mut deviations) = (Vec::new(), Vec::new(), Deviations::default());
        for c in 0..channels {
            let terms: Vec<f64> = stream.iter().map(|id| gain[c] * self.thresholds[id.0]).collect();
            let neuron = quantise(name, &terms, offset[c], norm.threshold, 1.0, self.options.time_steps)?;
            deviations.add(&terms, neuron.scale);
            neuron.weights.iter().enumerate().for_each(|(k, &gain)| gains[k * channels + c] = gain);
            bias.push(neuron.bias);
            theta.push(neuron.theta);
        }
        let operation = Operation::Shortcut { inputs: stream.to_vec(), gains, bias };
        let id = self.push(name, operation, place, theta, Some(norm.threshold));
        Ok(self.measured(id, &deviations))
    }

    fn dense(
        &mut self,
        name: &str,
        linear: &Linear,
        place: Place,
        input: LayerId,
        gather: Gather,
    ) -> Result<LayerId, ModelError> {
        let Rounded { weights, bias, theta, deviations } =
            self.matrix(name, linear, self.thresholds[input.0], 1.0)?;
        let operation = Operation::Dense { input, gather, weights, bias };
        let id = self.push(name, operation, place, theta, Some(linear.threshold));
        Ok(self.measured(id, &deviations))
    }

    /// Eq. 7: `QCFS(q k' / sqrt(d) + bias)`, divided by what one coincidence stands for.
    fn scores(
        &mut self,
        name: &str,
        attention: &Attention,
        place: Place,
        query: LayerId,
        key: LayerId,
    ) -> Result<LayerId, ModelError> {
        let heads = attention.bias_table.ncols();
        let head_size = attention.q.weight.nrows() / heads;
        let unit = self.thresholds[query.0] * self.thresholds[key.0] / (head_size as f64).sqrt();
        let threshold = f64::from(attention.score_threshold);
        let largest = attention.bias_table.iter().fold(0f64, |largest, &b| largest.max(f64::from(b).abs()));
        // Bias rows are 16 bits wide and start two-phase accumulators from T * bias + v0.
        let start =
            (f64::from(self.options.time_steps) * (largest / unit + 0.5) + 0.5 * threshold / unit).abs();
        let fits = |fraction: u32| {
            start * f64::from(1 << fraction) < 32_767.0 && theta_fits(threshold / unit, fraction)
        };
        let fraction = (0..=MAX_FRACTION).rev().find(|&fraction| fits(fraction)).unwrap_or(0);
        let scale = unit / f64::from(1 << fraction);
        let theta = integer(name, threshold / scale)?.max(1);
        let by_head = attention.bias_table.t();
        let bias = by_head.iter().map(|&b| integer(name, f64::from(b) / scale)).collect::<Result<_, _>>()?;
        let mut deviations = Deviations::default();
        for head in by_head.rows() {
            deviations.add(&head.iter().map(|&b| b.into()).collect::<Vec<_>>(), scale);
        }
        let operation = Operation::Scores { query, key, heads, bias, fraction };
        let id = self.push(name, operation, place, vec![theta; heads], Some(attention.score_threshold));
        self.measured(id, &deviations);
        self.layers[id.0].mask_site = Some(MaskSite::Attention);
        self.decorrelate(id);
        Ok(id)
    }

    fn context(
        &mut self,
        name: &str,
        attention: &Attention,
        place: Place,
        scores: LayerId,
        value: LayerId,
    ) -> Result<LayerId, ModelError> {
        let heads = attention.bias_table.ncols();
        let threshold = f64::from(attention.context_threshold);
        let ratio = threshold / (self.thresholds[scores.0] * self.thresholds[value.0]);
        let fraction = (0..=MAX_FRACTION).rev().find(|&fraction| theta_fits(ratio, fraction)).unwrap_or(0);
        let theta = integer(name, ratio * f64::from(1 << fraction))?.max(1);
        let operation = Operation::Context { scores, value, heads, fraction };
        let channels = attention.v.weight.nrows();
        Ok(self.push(name, operation, place, vec![theta; channels], Some(attention.context_threshold)))
    }

    /// All classes share one scale, so that their logits compare. A logit times `T * tokens * scale / threshold` is the
    /// integer; the bias is added once a time step, the mean over tokens is left as a sum.
    fn readout(&mut self, place: Place, input: LayerId) -> Result<(), ModelError> {
        let head = &self.checkpoint.head;
        let tokens = place.grid.tokens() as f64;
        let per_step = |bias: f32| f64::from(bias) * tokens / self.thresholds[input.0];
        let steps = f64::from(self.options.time_steps);
        let scale =
            head.weight.rows().into_iter().zip(&head.bias).fold(f64::MIN_POSITIVE, |scale, (row, &bias)| {
                let row: Vec<f64> = row.iter().map(|&w| f64::from(w)).collect();
                let reach = steps * (tokens * one_sided(&row) + per_step(bias).abs());
                scale.max(largest(&row) / 127.0).max(reach / ROOM)
            });
        let weight = |&w: &f32| (f64::from(w) / scale).round() as i8;
        let (outputs, inputs) = head.weight.dim();
        let weights = Weights { outputs, inputs, data: head.weight.iter().map(weight).collect() };
        let bias =
            head.bias.iter().map(|&b| integer("head", per_step(b) / scale)).collect::<Result<_, _>>()?;
        let mut deviations = Deviations::default();
        for row in head.weight.rows() {
            deviations.add(&row.iter().map(|&w| w.into()).collect::<Vec<_>>(), scale);
        }
        let id = self.push("head", Operation::Readout { input, weights, bias }, place, Vec::new(), None);
        self.measured(id, &deviations);
        Ok(())
    }

    /// Integers of a linear layer with BN. `unit` is what an input of 1 stands for, `most` its largest value.
    fn matrix(&self, name: &str, linear: &Linear, unit: f64, most: f64) -> Result<Rounded, ModelError> {
        let (outputs, inputs) = linear.weight.dim();
        let (mut data, mut bias, mut theta) = (Vec::with_capacity(outputs * inputs), Vec::new(), Vec::new());
        let mut deviations = Deviations::default();
        for (o, row) in linear.weight.rows().into_iter().enumerate() {
            let terms: Vec<f64> = row.iter().map(|&w| linear.norm.gain[o] * f64::from(w) * unit).collect();
            let (offset, steps) = (linear.norm.offset[o], self.options.time_steps);
            let neuron = quantise(name, &terms, offset, linear.threshold, most, steps)?;
            deviations.add(&terms, neuron.scale);
            data.extend(neuron.weights);
            bias.push(neuron.bias);
            theta.push(neuron.theta);
        }
        Ok(Rounded { weights: Weights { outputs, inputs, data }, bias, theta, deviations })
    }

    fn push(
        &mut self,
        name: &str,
        operation: Operation,
        place: Place,
        theta: Vec<i32>,
        threshold: Option<f32>,
    ) -> LayerId {
        let channels = match (&operation, place.walk) {
            (Operation::Scores { .. }, Walk::Windows(windows)) => windows.tokens(),
            (Operation::Readout { weights, .. }, _) => weights.outputs,
            _ => theta.len(),
        };
        // Nothing reads the readout.
        self.thresholds.push(threshold.map_or(1.0, f64::from));
        self.precision.push(Precision { threshold, rounding: None });
        self.layers.push(Layer {
            channels,
            walk: place.walk,
            neuron: self.options.neuron,
            mask_ratio: self.checkpoint.masks.get(name).map_or(0, |ratio| ratio.0),
            ..Layer::new(name, operation, place.grid, theta)
        });
        LayerId(self.layers.len() - 1)
    }

    fn measured(&mut self, id: LayerId, deviations: &Deviations) -> LayerId {
        self.precision[id.0].rounding = Some(deviations.rounding());
        id
    }
}
