//! From a float checkpoint to an integer network.
//!
//! A spike of a site with threshold `l` stands for the activation `l`, so a site's firing rate times `l` is its QCFS activation.
//! With BN folded to `y = gain * (W x) + offset`, the float drive of neuron `o` is `offset[o] + sum_i a[o,i] * s[i]` with
//! `a[o,i] = gain[o] * W[o,i] * l[i]`, to be compared with `l[o]`; thresholds `l` may differ from channel to channel. Dividing both sides by a scale that is free for every
//! neuron gives integers: `w = round(a / scale)`, `b = round(offset / scale)`, `theta = round(l_out / scale)`, and with
//! `v0 = theta / 2` the spike count of a two-phase neuron is QCFS's clip-floor-shift with `levels = T`.

mod attention;
mod quantise;

use crate::checkpoint::{Architecture, BatchNorm, Block, Checkpoint, Linear, Norm};
use crate::error::ModelError;
use crate::network::{
    Grid, Layer, LayerId, Mask, Network, Neuron, Operation, Schedule, SlotOrder, Source, Taps, Term, Walk,
    Weights, Windows,
};
use crate::run::{Configured, RunOptions};
use crate::tap_order::tap_by_tap;
use ndarray::ArrayView1;
use quantise::{Deviations, ROOM, Site, integer, largest, one_sided};
use serde::Serialize;

/// How to convert.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvertOptions {
    /// Name of the network.
    pub name: String,
    /// When the neurons of all layers fire.
    pub schedule: Schedule,
    /// Number of time steps that scales leave room for, in a 24-bit membrane and the 16-bit bias rows of scores. More may
    /// still fit.
    pub time_steps: u32,
}

impl ConvertOptions {
    /// Two-phase neurons, room for 16 time steps.
    pub fn new(name: impl Into<String>) -> ConvertOptions {
        ConvertOptions { name: name.into(), schedule: Schedule::AfterAll, time_steps: 16 }
    }
}

/// Converts a checkpoint. Layers keep the checkpoint's names; scores and context are `attn.scores` and `attn.context`. Layers
/// that were trained with masks are masked.
///
/// # Errors
/// If a value is too large or a threshold too small for an integer network, or the result does not [configure](Network::configure)
/// for the time steps that it is to have room for.
pub fn convert(checkpoint: &Checkpoint, options: &ConvertOptions) -> Result<Network, ModelError> {
    convert_and_measure(checkpoint, options).map(|converted| converted.network)
}

/// Converts a checkpoint like [`convert`], and says for each layer what became of its float values.
///
/// # Errors
/// Like [`convert`].
pub fn convert_and_measure(
    checkpoint: &Checkpoint,
    options: &ConvertOptions,
) -> Result<Converted, ModelError> {
    let (layers, precision) = (Vec::new(), Vec::new());
    let mut converter = Converter { checkpoint, options, layers, units: Vec::new(), precision };
    converter.network()?;
    let Architecture { image, classes, .. } = checkpoint.architecture;
    let mut network = Network::new(options.name.clone(), image, classes, converter.layers, 1);
    network.class_names.clone_from(&checkpoint.class_names);
    network.validate()?;
    let time_steps = options.time_steps;
    let no_room = |source| ModelError::Room { time_steps, source: Box::new(source) };
    let configured = network.configure(&RunOptions::new(time_steps)).map_err(no_room)?;
    Ok(Converted { network, configured, precision: converter.precision })
}

/// A converted network, and what conversion did.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The network.
    pub network: Network,
    /// The network as it runs for the time steps that it has room for, with the bounds of its sums.
    pub configured: Configured,
    /// One a layer.
    pub precision: Vec<Precision>,
}

/// What a layer's threshold was, and what rounding did to what it adds up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Precision {
    /// Smallest and largest threshold of the activations in the checkpoint; absent for the readout.
    pub threshold: Option<[f32; 2]>,
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
    /// What a spike of each layer's channels (scores: heads) stands for.
    units: Vec<Vec<f64>>,
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
    /// Row by row, in the order of the checkpoint's inputs.
    weights: Vec<i8>,
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
                stream = vec![self.dense(&name, &merge.reduction, place, norm, Taps::square(2, 2, 0))?];
            }
        }
        let place = Place { grid: architecture.grid(checkpoint.stages.len() - 1), walk: Walk::Raster };
        let norm = self.norm("head.norm", &checkpoint.head.norm, place, &stream)?;
        self.readout(place, norm)
    }

    fn patch_embed(&mut self) -> Result<LayerId, ModelError> {
        let Checkpoint { architecture, input, patch_embed: linear, .. } = self.checkpoint;
        let name = "patch_embed";
        let place = Place { grid: architecture.grid(0), walk: Walk::Raster };
        let channel = |i: usize| i / (architecture.patch * architecture.patch);
        let inputs = 0..linear.weight.ncols();
        let units: Vec<f64> = inputs.map(|i| input.step(channel(i))).collect();
        // Normalised pixels are not 0 where bytes are: what those add goes into the bias.
        let mut norm = linear.norm.clone();
        for ((row, gain), offset) in linear.weight.rows().into_iter().zip(&norm.gain).zip(&mut norm.offset) {
            let black: f64 =
                row.iter().enumerate().map(|(i, &w)| f64::from(w) * input.black(channel(i))).sum();
            *offset += gain * black;
        }
        let mut rounded = self.matrix(name, linear, &norm, &units, 255.0)?;
        let pixels = architecture.patch * architecture.patch;
        rounded.weights = tap_by_tap(&rounded.weights, pixels, architecture.image.channels);
        let taps = Taps::square(architecture.patch, architecture.patch, 0);
        Ok(self.push_rounded(name, rounded, (Source::Image, taps), place, &linear.thresholds))
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
            self.dense(&format!("{name}.attn.{part}"), linear, attended, norm1, Taps::TOKEN)
        };
        let attention = &block.attention;
        let (key, value) = (site("k", &attention.k)?, site("v", &attention.v)?);
        let query = site("q", &attention.q)?;
        self.layers[key.0].mask.label = Some("k".to_owned());
        self.layers[query.0].mask.label = Some("q".to_owned());
        self.decorrelate(query);
        let scores = self.scores(&format!("{name}.attn.scores"), attention, attended, query, key)?;
        let context = self.context(&format!("{name}.attn.context"), attention, attended, scores, value)?;
        stream.push(self.dense(
            &format!("{name}.attn.proj"),
            &attention.proj,
            place,
            context,
            Taps::TOKEN,
        )?);
        let norm2 = self.norm(&format!("{name}.norm2"), &block.norm2, place, stream)?;
        let fc1 = self.dense(&format!("{name}.mlp.fc1"), &block.fc1, place, norm2, Taps::TOKEN)?;
        self.layers[fc1.0].mask.label = Some("fc1".to_owned());
        stream.push(self.dense(&format!("{name}.mlp.fc2"), &block.fc2, place, fc1, Taps::TOKEN)?);
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
        let site = self.site(name, 1.0);
        let mut gains = vec![0; stream.len() * channels];
        let (mut bias, mut theta, mut deviations) = (Vec::new(), Vec::new(), Deviations::default());
        for c in 0..channels {
            let terms: Vec<f64> = stream.iter().map(|id| gain[c] * self.units[id.0][c]).collect();
            let neuron = site.quantise(c, &terms, offset[c], norm.thresholds[c])?;
            deviations.add(&terms, neuron.scale);
            neuron.weights.iter().enumerate().for_each(|(k, &gain)| gains[k * channels + c] = gain);
            bias.push(neuron.bias);
            theta.push(neuron.theta);
        }
        let terms = stream.iter().zip(gains.chunks_exact(channels));
        let terms = terms.map(|(&id, gains)| Term::diagonal(id, gains.to_vec())).collect();
        let operation = Operation::Linear { terms, bias };
        let id = self.push(name, operation, place, theta, &norm.thresholds);
        Ok(self.measured(id, &deviations))
    }

    fn dense(
        &mut self,
        name: &str,
        linear: &Linear,
        place: Place,
        input: LayerId,
        taps: Taps,
    ) -> Result<LayerId, ModelError> {
        // Neighbours that are merged have the same channels, one after the other.
        let units =
            self.units[input.0].iter().copied().cycle().take(linear.weight.ncols()).collect::<Vec<_>>();
        let rounded = self.matrix(name, linear, &linear.norm, &units, 1.0)?;
        Ok(self.push_rounded(name, rounded, (Source::Plane(input), taps), place, &linear.thresholds))
    }

    /// All classes share one scale, so that their logits compare. A logit times `T * tokens * scale / unit` is the
    /// integer, with the largest unit of a channel's spikes; the bias is added once a time step, the mean over tokens is left as a sum.
    fn readout(&mut self, place: Place, input: LayerId) -> Result<(), ModelError> {
        let head = &self.checkpoint.head;
        let tokens = place.grid.tokens() as f64;
        let units = &self.units[input.0];
        let unit = largest(units);
        let share: Vec<f64> = units.iter().map(|channel| channel / unit).collect();
        let rows: Vec<Vec<f64>> = head.weight.rows().into_iter().map(|row| scaled(row, &share)).collect();
        let per_step = |bias: f32| f64::from(bias) * tokens / unit;
        let steps = f64::from(self.options.time_steps);
        let scale = rows.iter().zip(&head.bias).fold(f64::MIN_POSITIVE, |scale, (row, &bias)| {
            let reach = steps * (tokens * one_sided(row) + per_step(bias).abs());
            scale.max(largest(row) / 127.0).max(reach / ROOM)
        });
        self.check_head(&rows, scale)?;
        let weights = rows.iter().flatten().map(|w| (w / scale).round() as i8).collect();
        let bias =
            head.bias.iter().map(|&b| integer("head", per_step(b) / scale)).collect::<Result<_, _>>()?;
        let mut deviations = Deviations::default();
        rows.iter().for_each(|row| deviations.add(row, scale));
        let readout = Layer::readout("head", vec![Term::dense(input, weights)], bias, place.grid);
        let id = self.add(readout, &[]);
        self.measured(id, &deviations);
        Ok(())
    }

    /// Refuses a head of which one number is so large that all weights of a class become 0 beside it.
    fn check_head(&self, rows: &[Vec<f64>], scale: f64) -> Result<(), ModelError> {
        if !rows.iter().any(|row| largest(row) > 0.0 && largest(row) < 0.5 * scale) {
            return Ok(());
        }
        let head = &self.checkpoint.head;
        let top = |values: &mut dyn Iterator<Item = f32>| {
            values.enumerate().max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs())).unwrap_or_default()
        };
        let (weight, bias) = (top(&mut head.weight.iter().copied()), top(&mut head.bias.iter().copied()));
        let (name, (index, value)) =
            if bias.1.abs() > weight.1.abs() { ("head.bias", bias) } else { ("head.weight", weight) };
        let expected =
            "small enough: logits share one scale, and the weights of a class would all become 0 beside it";
        Err(ModelError::TensorValue { name: name.to_owned(), index, value, expected })
    }

    /// Integers of a linear layer with BN. `units` are what inputs of 1 stand for, `most` is their largest value.
    fn matrix(
        &self,
        name: &str,
        linear: &Linear,
        norm: &BatchNorm,
        units: &[f64],
        most: f64,
    ) -> Result<Rounded, ModelError> {
        let (outputs, inputs) = linear.weight.dim();
        let (mut data, mut bias, mut theta) = (Vec::with_capacity(outputs * inputs), Vec::new(), Vec::new());
        let mut deviations = Deviations::default();
        let site = self.site(name, most);
        for (o, row) in linear.weight.rows().into_iter().enumerate() {
            let terms: Vec<f64> =
                row.iter().zip(units).map(|(&w, unit)| norm.gain[o] * f64::from(w) * unit).collect();
            let neuron = site.quantise(o, &terms, norm.offset[o], linear.thresholds[o])?;
            deviations.add(&terms, neuron.scale);
            data.extend(neuron.weights);
            bias.push(neuron.bias);
            theta.push(neuron.theta);
        }
        Ok(Rounded { weights: data, bias, theta, deviations })
    }

    fn site<'n>(&self, name: &'n str, most: f64) -> Site<'n> {
        Site { name, most, time_steps: self.options.time_steps }
    }

    fn push_rounded(
        &mut self,
        name: &str,
        rounded: Rounded,
        (source, taps): (Source, Taps),
        place: Place,
        thresholds: &[f32],
    ) -> LayerId {
        let Rounded { weights, bias, theta, deviations } = rounded;
        let terms = vec![Term { source, taps, weights: Weights::Dense(weights), shift: 0 }];
        let id = self.push(name, Operation::Linear { terms, bias }, place, theta, thresholds);
        self.measured(id, &deviations)
    }

    fn push(
        &mut self,
        name: &str,
        operation: Operation,
        place: Place,
        theta: Vec<i32>,
        thresholds: &[f32],
    ) -> LayerId {
        let channels = match (&operation, place.walk) {
            (Operation::Scores { .. }, Walk::Windows(windows)) => windows.tokens(),
            _ => theta.len(),
        };
        let neuron = Neuron { schedule: self.options.schedule, ..Neuron::TWO_PHASE };
        let ratio = self.checkpoint.masks.get(name).map_or(0, |ratio| ratio.0);
        let layer = Layer {
            channels,
            walk: place.walk,
            neuron: Some(neuron),
            mask: Mask { ratio, ..Mask::default() },
            ..Layer::new(name, operation, place.grid, theta)
        };
        self.add(layer, thresholds)
    }

    fn add(&mut self, layer: Layer, thresholds: &[f32]) -> LayerId {
        let ends =
            thresholds.iter().copied().reduce(f32::min).zip(thresholds.iter().copied().reduce(f32::max));
        self.units.push(thresholds.iter().copied().map(f64::from).collect());
        self.precision.push(Precision { threshold: ends.map(|(low, high)| [low, high]), rounding: None });
        self.layers.push(layer);
        LayerId(self.layers.len() - 1)
    }

    fn measured(&mut self, id: LayerId, deviations: &Deviations) -> LayerId {
        self.precision[id.0].rounding = Some(deviations.rounding());
        id
    }
}

fn scaled(row: ArrayView1<'_, f32>, factors: &[f64]) -> Vec<f64> {
    row.iter().zip(factors).map(|(&w, factor)| f64::from(w) * factor).collect()
}
