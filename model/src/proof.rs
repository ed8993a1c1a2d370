//! Proof that no accumulator and no membrane can overflow, from the weights alone.
//!
//! For each neuron it bounds every value that the hardware's accumulator and membrane may take, whatever the spikes and in
//! whatever order terms, taps and passes are added. With `P` the sum of the positive weights of all terms and taps, each times 2 to the
//! power of its term's shift, `N` that of the negative ones, `x` at most `X` (1 for a spike, 255 for a byte of the image): taps outside a
//! source's grid and spikes that are absent leave weights out, so every partial sum of a time step lies in `X * N ..= X * P`.
//! ```text
//! two_phase        accumulator  T * b + v0 + T * N     ..= T * b + v0 + T * P
//! two_phase, image accumulator  b + X * N              ..= b + X * P
//!                  membrane     v0 + T * min(0, b + X * N) ..= v0 + T * max(0, b + X * P)
//! each step        accumulator  b + X * N              ..= b + X * P
//!                  membrane     see `step_membrane`
//! readout          accumulator  T * b + tokens * T * N ..= T * b + tokens * T * P
//! ```

use crate::error::ModelError;
use crate::network::{Layer, Network, Neuron, Operation, Reset, Schedule, Term, Walk, Weights};
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

    /// Saturating, as is [`Bounds::shift`]: the readout of the largest network that validates has sums beyond 64 bits, which are refused
    /// as these are.
    fn scale(self, factor: i64) -> Bounds {
        Bounds { low: self.low.saturating_mul(factor), high: self.high.saturating_mul(factor) }
    }

    fn shift(self, offset: i64) -> Bounds {
        Bounds { low: self.low.saturating_add(offset), high: self.high.saturating_add(offset) }
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
        let Some(kind) = self.layer.neuron else { return self.readout() };
        let mut layer = Bounds::value(0);
        for neuron in 0..self.layer.theta.len() {
            let (theta, v0) = (i64::from(self.layer.theta[neuron]), i64::from(self.layer.v0[neuron]));
            self.fits("threshold", neuron, Bounds::value(theta))?;
            self.fits("initial membrane", neuron, Bounds::value(v0))?;
            layer = layer.hull(Bounds::value(theta)).hull(Bounds::value(v0));
            for drive in self.drives(neuron) {
                layer = layer.hull(self.neuron(kind, neuron, &drive, theta, v0)?);
            }
        }
        self.bias_rows(kind.schedule)?;
        Ok(layer)
    }

    /// The drives of a neuron; a head of scores has one for each relative position.
    fn drives(&self, neuron: usize) -> Vec<Drive> {
        let layer = self.layer;
        match &layer.operation {
            Operation::Linear { terms, bias } => {
                let most = if layer.operation.reads_image() { 255 } else { 1 };
                vec![Drive {
                    bias: bias[neuron].into(),
                    terms: signed_sums(terms, layer.channels, neuron).scale(most),
                }]
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
        }
    }

    fn neuron(
        &self,
        kind: Neuron,
        neuron: usize,
        drive: &Drive,
        theta: i64,
        v0: i64,
    ) -> Result<Bounds, ModelError> {
        let t = i64::from(self.time_steps);
        let Drive { bias, terms } = *drive;
        let (accumulator, membrane) = match kind.schedule {
            Schedule::AfterAll if self.layer.operation.reads_image() => {
                let accumulator = terms.shift(bias);
                let membrane = Bounds { low: accumulator.low.min(0), high: accumulator.high.max(0) };
                (accumulator, with_and_without(membrane.scale(t), v0))
            }
            Schedule::AfterAll => {
                let total = with_and_without(terms.scale(t).shift(t * bias), v0);
                (total, total)
            }
            Schedule::EachStep => {
                let accumulator = terms.shift(bias);
                (accumulator, step_membrane(accumulator, kind.reset, theta, v0, self.time_steps))
            }
        };
        self.fits("accumulator", neuron, accumulator)?;
        self.fits("membrane", neuron, membrane)?;
        Ok(accumulator.hull(membrane))
    }

    fn readout(&self) -> Result<Bounds, ModelError> {
        let Operation::Linear { terms, bias } = &self.layer.operation else {
            unreachable!("validated: the readout is linear")
        };
        let (t, tokens) = (i64::from(self.time_steps), self.layer.grid.tokens() as i64);
        let mut layer = Bounds::value(0);
        for (class, &bias) in bias.iter().enumerate() {
            let sums = signed_sums(terms, self.layer.channels, class);
            let logit = sums.scale(tokens * t).shift(t * i64::from(bias));
            self.fits("logit", class, logit)?;
            layer = layer.hull(logit);
        }
        Ok(layer)
    }

    /// Scores accumulators start from 16-bit bias rows.
    fn bias_rows(&self, schedule: Schedule) -> Result<(), ModelError> {
        let Operation::Scores { heads, bias, .. } = &self.layer.operation else { return Ok(()) };
        let positions = bias.len() / heads;
        for (entry, &bias) in bias.iter().enumerate() {
            let (head, position) = (entry / positions, entry % positions);
            let value = match schedule {
                Schedule::AfterAll => {
                    i64::from(self.time_steps) * i64::from(bias) + i64::from(self.layer.v0[head])
                }
                Schedule::EachStep => i64::from(bias),
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

/// Sum of the negative and sum of the positive weights of an output, shifted: bounds of every partial sum over any spikes.
fn signed_sums(terms: &[Term], outputs: usize, output: usize) -> Bounds {
    let add = |sums: Bounds, w: i64| Bounds { low: sums.low + w.min(0), high: sums.high + w.max(0) };
    let of_term = |sums: Bounds, term: &Term| {
        let shifted = |&w: &i8| i64::from(w) << term.shift;
        match &term.weights {
            Weights::Dense(data) => {
                let inputs = data.len() / outputs;
                data[output * inputs..][..inputs].iter().map(shifted).fold(sums, add)
            }
            Weights::Diagonal(gains) => gains[output..].iter().step_by(outputs).map(shifted).fold(sums, add),
        }
    };
    terms.iter().fold(Bounds::value(0), of_term)
}

/// Bounds of the membrane of a neuron that fires in each step, before and after its reset, over `time_steps` drives within `drive`.
///
/// Below: it may sink in every step, from `v0` or from the 0 that is the least it has after a spike. Above: a membrane of at most `v`
/// reaches at most `u = v + drive.high`, and keeps `u` if that is below `theta`, else the larger of `theta - 1` (no spike) and
/// what the reset leaves (spike): `u - theta`, or 0.
fn step_membrane(drive: Bounds, reset: Reset, theta: i64, v0: i64, time_steps: u32) -> Bounds {
    let (steps, sink) = (i64::from(time_steps), drive.low.min(0));
    let low = (v0 + steps * sink).min((steps - 1) * sink);
    let (mut v, mut high) = (v0, v0);
    for _ in 0..time_steps {
        let u = v + drive.high;
        high = high.max(u);
        let left = if reset == Reset::Zero { 0 } else { u - theta };
        v = if u < theta { u } else { left.max(theta - 1) };
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
    fn step_membrane_bounds_hold_for_every_drive_sequence() {
        let (theta, steps) = (5, 6);
        for reset in [Reset::Subtract, Reset::Zero] {
            for (v0, low, high) in [(2, -3, 4), (2, -3, 9), (-4, 1, 3), (11, -2, -1), (0, 0, 0)] {
                let bounds = step_membrane(Bounds { low, high }, reset, theta, v0, steps);
                let drives: Vec<i64> = vec![low, (low + high) / 2, high];
                let mut seen = Bounds::value(v0);
                for sequence in 0..3usize.pow(steps) {
                    let mut v = v0;
                    for t in 0..steps {
                        let u = v + drives[sequence / 3usize.pow(t) % 3];
                        let left = if reset == Reset::Zero { 0 } else { u - theta };
                        v = if u >= theta { left } else { u };
                        seen = seen.hull(Bounds::value(u)).hull(Bounds::value(v));
                    }
                }
                assert!(
                    bounds.low <= seen.low && seen.high <= bounds.high,
                    "{bounds:?} does not hold {seen:?}"
                );
            }
        }
    }
}
