//! Proof that no accumulator and no membrane can overflow, from the weights alone.
//!
//! For each neuron it bounds every value that the hardware's accumulator and membrane may take, whatever the spikes and in
//! whatever order the terms are added. With `P` the sum of the positive weights, `N` of the negative ones, `x` at most `X` (1 for
//! a spike, 255 for a pixel):
//! ```text
//! two_phase        accumulator  T * b + v0 + T * N     ..= T * b + v0 + T * P
//! two_phase analog accumulator  b + X * N              ..= b + X * P
//!                  membrane     v0 + T * min(0, b + X * N) ..= v0 + T * max(0, b + X * P)
//! if               accumulator  b + X * N              ..= b + X * P
//!                  membrane     see `if_membrane`
//! readout          accumulator  T * b + tokens * T * N ..= T * b + tokens * T * P
//! ```

use crate::error::ModelError;
use crate::network::{Layer, Network, Operation, Walk, Weights};
use isa::Neuron;
use serde::{Deserialize, Serialize};

/// Lowest and highest value of a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Lowest value.
    pub low: i64,
    /// Highest value.
    pub high: i64,
}

impl Bounds {
    fn hull(self, other: Bounds) -> Bounds {
        Bounds { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    fn scale(self, factor: i64) -> Bounds {
        Bounds { low: self.low * factor, high: self.high * factor }
    }

    fn shift(self, offset: i64) -> Bounds {
        Bounds { low: self.low + offset, high: self.high + offset }
    }

    fn value(value: i64) -> Bounds {
        Bounds { low: value, high: value }
    }

    /// Bits of the narrowest signed number that holds both ends.
    pub fn signed_bits(self) -> u32 {
        let bits = |v: i64| 65 - if v < 0 { (!v).leading_zeros() } else { v.leading_zeros() };
        bits(self.low).max(bits(self.high))
    }
}

/// The bounds of every layer, all proven to fit `membrane_bits`. The network has been validated.
pub(crate) fn prove(
    network: &Network,
    time_steps: u32,
    membrane_bits: u32,
) -> Result<Vec<Bounds>, ModelError> {
    network
        .layers
        .iter()
        .enumerate()
        .map(|(index, layer)| Prover { network, index, layer, time_steps, membrane_bits }.layer())
        .collect()
}

/// One neuron's terms: `bias + terms`, where `terms` bounds the weighted inputs of one time step, in any partial sum.
struct Drive {
    bias: i64,
    terms: Bounds,
}

struct Prover<'a> {
    network: &'a Network,
    index: usize,
    layer: &'a Layer,
    time_steps: u32,
    membrane_bits: u32,
}

impl Prover<'_> {
    fn layer(&self) -> Result<Bounds, ModelError> {
        if let Operation::Readout { .. } = self.layer.operation {
            return self.readout();
        }
        let mut layer = Bounds::value(0);
        for neuron in 0..self.layer.theta.len() {
            let (theta, v0) = (i64::from(self.layer.theta[neuron]), i64::from(self.layer.v0[neuron]));
            self.fits("threshold", neuron, Bounds::value(theta))?;
            self.fits("initial membrane", neuron, Bounds::value(v0))?;
            layer = layer.hull(Bounds::value(theta)).hull(Bounds::value(v0));
            for drive in self.drives(neuron) {
                layer = layer.hull(self.neuron(neuron, &drive, theta, v0)?);
            }
        }
        self.bias_rows()?;
        Ok(layer)
    }

    /// The drives of a neuron; a head of scores has one for each relative position.
    fn drives(&self, neuron: usize) -> Vec<Drive> {
        let layer = self.layer;
        match &layer.operation {
            Operation::Analog { weights, bias, .. } => {
                vec![Drive { bias: bias[neuron].into(), terms: signed_sums(row(weights, neuron)).scale(255) }]
            }
            Operation::Dense { weights, bias, .. } => {
                vec![Drive { bias: bias[neuron].into(), terms: signed_sums(row(weights, neuron)) }]
            }
            Operation::Shortcut { gains, bias, .. } => {
                let gains = gains[neuron..].iter().step_by(layer.channels).copied();
                vec![Drive { bias: bias[neuron].into(), terms: signed_sums(gains) }]
            }
            Operation::Scores { query, bias, heads, fraction, .. } => {
                let head_size = self.network.layer(*query).channels / heads;
                let positions = bias.len() / heads;
                let biases = &bias[neuron * positions..][..positions];
                let (low, high) = (biases.iter().min(), biases.iter().max());
                let terms = Bounds { low: 0, high: (head_size as i64) << fraction };
                low.into_iter().chain(high).map(|&b| Drive { bias: b.into(), terms }).collect()
            }
            Operation::Context { fraction, .. } => {
                let Walk::Windows(windows) = layer.walk else { return Vec::new() };
                vec![Drive { bias: 0, terms: Bounds { low: 0, high: (windows.tokens() as i64) << fraction } }]
            }
            Operation::Readout { .. } => Vec::new(),
        }
    }

    fn neuron(&self, neuron: usize, drive: &Drive, theta: i64, v0: i64) -> Result<Bounds, ModelError> {
        let t = i64::from(self.time_steps);
        let Drive { bias, terms } = *drive;
        let (accumulator, membrane) = match (self.layer.neuron, &self.layer.operation) {
            (Neuron::TwoPhase, Operation::Analog { .. }) => {
                let accumulator = terms.shift(bias);
                let membrane = Bounds { low: accumulator.low.min(0), high: accumulator.high.max(0) };
                (accumulator, with_and_without(membrane.scale(t), v0))
            }
            (Neuron::TwoPhase, _) => {
                let total = with_and_without(terms.scale(t).shift(t * bias), v0);
                (total, total)
            }
            (Neuron::If, _) => {
                let accumulator = terms.shift(bias);
                (accumulator, if_membrane(accumulator, theta, v0, self.time_steps))
            }
        };
        self.fits("accumulator", neuron, accumulator)?;
        self.fits("membrane", neuron, membrane)?;
        Ok(accumulator.hull(membrane))
    }

    fn readout(&self) -> Result<Bounds, ModelError> {
        let Operation::Readout { weights, bias, .. } = &self.layer.operation else {
            return Ok(Bounds::value(0));
        };
        let (t, tokens) = (i64::from(self.time_steps), self.layer.grid.tokens() as i64);
        let mut layer = Bounds::value(0);
        for (class, &bias) in bias.iter().enumerate() {
            let logit = signed_sums(row(weights, class)).scale(tokens * t).shift(t * i64::from(bias));
            self.fits("logit", class, logit)?;
            layer = layer.hull(logit);
        }
        Ok(layer)
    }

    /// Scores accumulators start from 16-bit bias rows.
    fn bias_rows(&self) -> Result<(), ModelError> {
        let Operation::Scores { heads, bias, .. } = &self.layer.operation else { return Ok(()) };
        let positions = bias.len() / heads;
        for (entry, &bias) in bias.iter().enumerate() {
            let (head, position) = (entry / positions, entry % positions);
            let value = match self.layer.neuron {
                Neuron::TwoPhase => {
                    i64::from(self.time_steps) * i64::from(bias) + i64::from(self.layer.v0[head])
                }
                Neuron::If => i64::from(bias),
            };
            if i16::try_from(value).is_err() {
                let (index, layer) = (self.index, self.layer.name.clone());
                return Err(ModelError::ScoresBias { index, layer, head, position, value });
            }
        }
        Ok(())
    }

    fn fits(&self, quantity: &'static str, neuron: usize, bounds: Bounds) -> Result<(), ModelError> {
        let needed_bits = bounds.signed_bits();
        if needed_bits <= self.membrane_bits {
            return Ok(());
        }
        Err(ModelError::Overflow {
            index: self.index,
            layer: self.layer.name.clone(),
            neuron,
            quantity,
            low: bounds.low,
            high: bounds.high,
            time_steps: self.time_steps,
            needed_bits,
            membrane_bits: self.membrane_bits,
        })
    }
}

/// The sum with and without the initial membrane: it may be added first or last.
fn with_and_without(sum: Bounds, v0: i64) -> Bounds {
    sum.hull(sum.shift(v0))
}

fn row(weights: &Weights, output: usize) -> impl Iterator<Item = i8> {
    weights.data[output * weights.inputs..][..weights.inputs].iter().copied()
}

/// Sum of the negative and sum of the positive weights: bounds of every partial sum over any spikes.
fn signed_sums(weights: impl IntoIterator<Item = i8>) -> Bounds {
    weights
        .into_iter()
        .map(i64::from)
        .fold(Bounds::value(0), |sums, w| Bounds { low: sums.low + w.min(0), high: sums.high + w.max(0) })
}

/// Bounds of the membrane of an `if` neuron, before and after its reset, over `time_steps` drives within `drive`.
///
/// Below: it may sink in every step, from `v0` or from the 0 that is the least it has after a spike. Above: a membrane of at most `v`
/// reaches at most `u = v + drive.high`, and keeps `u` if that is below `theta`, else the larger of `theta - 1` (no spike) and
/// `u - theta` (spike).
fn if_membrane(drive: Bounds, theta: i64, v0: i64, time_steps: u32) -> Bounds {
    let (steps, sink) = (i64::from(time_steps), drive.low.min(0));
    let low = (v0 + steps * sink).min((steps - 1) * sink);
    let (mut v, mut high) = (v0, v0);
    for _ in 0..time_steps {
        let u = v + drive.high;
        high = high.max(u);
        v = if u < theta { u } else { (theta - 1).max(u - theta) };
    }
    Bounds { low, high: high.max(v) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_bits_are_those_of_the_wider_end() {
        let bits = |low, high| Bounds { low, high }.signed_bits();
        assert_eq!(
            [bits(0, 0), bits(-1, 0), bits(0, 1), bits(-128, 127), bits(-129, 0), bits(0, 128)],
            [1, 1, 2, 8, 9, 9]
        );
    }

    #[test]
    fn if_membrane_bounds_hold_for_every_drive_sequence() {
        let (theta, steps) = (5, 6);
        for (v0, low, high) in [(2, -3, 4), (2, -3, 9), (-4, 1, 3), (11, -2, -1), (0, 0, 0)] {
            let bounds = if_membrane(Bounds { low, high }, theta, v0, steps);
            let drives: Vec<i64> = vec![low, (low + high) / 2, high];
            let mut seen = Bounds::value(v0);
            for sequence in 0..3usize.pow(steps) {
                let mut v = v0;
                for t in 0..steps {
                    let u = v + drives[sequence / 3usize.pow(t) % 3];
                    v = if u >= theta { u - theta } else { u };
                    seen = seen.hull(Bounds::value(u)).hull(Bounds::value(v));
                }
            }
            assert!(bounds.low <= seen.low && seen.high <= bounds.high, "{bounds:?} does not hold {seen:?}");
        }
    }
}
