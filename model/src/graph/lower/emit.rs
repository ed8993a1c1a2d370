//! The layers of the integer network, one after the other.

use super::LowerOptions;
use super::expression::{Expression, Map, Term as FloatTerm};
use super::scales::{Deviations, Site, Values};
use super::slot_orders::{Plan, Slots};
use crate::checkpoint::Normalisation;
use crate::convert::{Precision, Rounding};
use crate::error::ModelError;
use crate::graph::{Activation, ActivationKind, Node, unmappable};
use crate::network::{Layer, LayerId, Neuron, Operation, Source, Taps, Term, Weights};

/// Largest number of weights of a map that is sparse, but not diagonal, and so is stored with its zeros.
const MAX_FILLED: usize = 1 << 26;

/// Layers as they are made.
pub(super) struct Emitter<'a> {
    pub options: &'a LowerOptions,
    pub layers: Vec<Layer>,
    pub precision: Vec<Precision>,
    /// What a spike of each layer's channels (scores: heads) stands for.
    units: Vec<Vec<f64>>,
    /// What a step of one in each byte of a pixel stands for.
    steps: Vec<f64>,
}

impl<'a> Emitter<'a> {
    pub fn new(options: &'a LowerOptions, normalisation: &Normalisation) -> Emitter<'a> {
        let steps = (0..normalisation.std.len()).map(|channel| normalisation.step(channel)).collect();
        Emitter { options, layers: Vec::new(), precision: Vec::new(), units: Vec::new(), steps }
    }

    /// What a spike of each channel of a layer stands for.
    pub fn units(&self, id: LayerId) -> &[f64] {
        &self.units[id.0]
    }

    /// What a 1 of each channel of a source stands for.
    pub fn units_of(&self, source: Source) -> &[f64] {
        match source {
            Source::Image => &self.steps,
            Source::Plane(id) => self.units(id),
        }
    }

    /// Adds a layer whose spikes stand for `units`.
    pub fn push(&mut self, layer: Layer, thresholds: &[f32], rounding: Option<Rounding>) -> LayerId {
        let ends =
            thresholds.iter().copied().reduce(f32::min).zip(thresholds.iter().copied().reduce(f32::max));
        self.units.push(thresholds.iter().copied().map(f64::from).collect());
        self.precision.push(Precision { threshold: ends.map(|(low, high)| [low, high]), rounding });
        self.layers.push(layer);
        LayerId(self.layers.len() - 1)
    }

    /// Adds the layer of an activation, with its neurons and its mask.
    pub fn push_activation(
        &mut self,
        layer: Layer,
        activation: &Activation,
        rounding: Option<Rounding>,
    ) -> LayerId {
        let schedule = match activation.kind {
            ActivationKind::If => Neuron::IF.schedule,
            ActivationKind::Qcfs { .. } | ActivationKind::ReluClip => self.options.schedule,
        };
        let neuron = Some(Neuron { schedule, ..Neuron::TWO_PHASE });
        let layer = Layer { neuron, mask: activation.mask.clone(), ..layer };
        self.push(layer, &activation.thresholds, rounding)
    }

    /// Adds the layer of an activation of `input`.
    pub fn linear(
        &mut self,
        node: &Node,
        activation: &Activation,
        input: &Expression,
        plan: &Plan,
    ) -> Result<LayerId, ModelError> {
        let image = input.terms.iter().any(|term| term.source == Source::Image);
        let most = if image { 255.0 } else { 1.0 };
        let site = Site { name: &node.name, most, time_steps: self.options.time_steps };
        let rows: Vec<Vec<Vec<f64>>> = (0..input.channels).map(|o| self.row(input, o)).collect();
        let values = |o: usize| Values {
            terms: &rows[o],
            offset: input.offset[o],
            threshold: activation.thresholds[o],
        };
        let dense = input.terms.iter().any(|term| !term.map.is_diagonal());
        let shifts = site.shifts(&(0..rows.len()).map(values).collect::<Vec<_>>(), dense);
        let (mut integers, mut bias, mut theta) = (Vec::new(), Vec::new(), Vec::new());
        let mut deviations = Deviations::default();
        for o in 0..rows.len() {
            let neuron = site.quantise(o, &values(o), &shifts, &mut deviations)?;
            integers.push(neuron.weights);
            bias.push(neuron.bias);
            theta.push(neuron.theta);
        }
        let terms = terms(node, input, &integers, &shifts)?;
        let walk = plan.walk(|| terms.iter().all(|term| term.taps == Taps::TOKEN));
        let Slots { order, rotate } = plan.slots.clone();
        let operation = Operation::Linear { terms, bias };
        let layer = Layer { walk, order, rotate, ..Layer::new(&node.name, operation, input.grid, theta) };
        Ok(self.push_activation(layer, activation, Some(deviations.rounding())))
    }

    /// What an output adds up, term by term: weights times what a 1 of their input stands for.
    fn row(&self, input: &Expression, output: usize) -> Vec<Vec<f64>> {
        let of_term = |term: &FloatTerm| {
            let units = self.units_of(term.source);
            let row = term.map.row(output, term.taps.count(), term.inputs);
            row.iter().map(|entry| entry.gain * units[entry.channel]).collect()
        };
        input.terms.iter().map(of_term).collect()
    }
}

/// The terms of a layer, from the integers of each output's weights, term by term, as [`Map::row`] has them.
pub(super) fn terms(
    node: &Node,
    input: &Expression,
    integers: &[Vec<Vec<i8>>],
    shifts: &[u32],
) -> Result<Vec<Term>, ModelError> {
    let term = |(k, term): (usize, &FloatTerm)| {
        let (outputs, taps) = (input.channels, term.taps.count());
        let data = integers.iter().map(|rows| &rows[k]);
        let weights = match &term.map {
            Map::Dense(_) => Weights::Dense(data.flatten().copied().collect()),
            Map::Sparse(rows) if term.map.is_diagonal() && term.inputs == outputs => {
                let mut gains = vec![0; taps * outputs];
                for (o, (row, values)) in rows.iter().zip(data).enumerate() {
                    row.iter().zip(values).for_each(|(entry, &value)| gains[entry.tap * outputs + o] = value);
                }
                Weights::Diagonal(gains)
            }
            Map::Sparse(rows) => {
                let length = taps * term.inputs;
                if outputs * length > MAX_FILLED {
                    return Err(unmappable(
                        node,
                        format!(
                            "it reads moved channels, as a layer of {outputs} x {length} weights, 2^26 are allowed"
                        ),
                        "put the activation before the flatten or merge; that changes nothing if it has one threshold for all channels",
                    ));
                }
                let mut filled = vec![0; outputs * length];
                for ((row, values), out) in rows.iter().zip(data).zip(filled.chunks_mut(length)) {
                    let entries = row.iter().zip(values);
                    entries.for_each(|(entry, &value)| out[entry.tap * term.inputs + entry.channel] = value);
                }
                Weights::Dense(filled)
            }
        };
        Ok(Term { source: term.source, taps: term.taps, weights, shift: shifts[k] })
    };
    input.terms.iter().enumerate().map(term).collect()
}
