//! From the float values of a neuron to integers of one scale.
//!
//! A spike of a channel with threshold `l` stands for the activation `l`, so rates times `l` are activations. With `a = weight * l` the float drive
//! of neuron `o` is `offset[o] + sum a[o, k, i] * s[k, i]` over its terms `k`, to be compared with its threshold. Dividing both sides by a scale
//! that is free for every neuron gives integers: `w = round(a / (scale * 2^shift[k]))`, `b = round(offset / scale)`, `theta = round(threshold / scale)`.
//! Each term has a power of two of its own, the same for all neurons, so that small weights keep their precision beside large ones.

use crate::convert::Rounding;
use crate::error::ModelError;

/// Largest threshold.
const MAX_THETA: f64 = (1 << 20) as f64;
/// Largest value that a sum in a 24-bit membrane should reach; the rest is for rounding.
pub(super) const ROOM: f64 = 0.98 * (1 << 23) as f64;
/// Largest shift of a term.
const MAX_SHIFT: u32 = 7;

/// What a neuron adds up: one row a term.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    /// Weights times what inputs of 1 stand for, term by term.
    pub terms: &'a [Vec<f64>],
    /// Constant a time step.
    pub offset: f64,
    /// Threshold.
    pub threshold: f32,
}

/// What of a neuron's values decides its scale.
struct Extent {
    /// Of each term.
    largest: Vec<f64>,
    /// What its threshold and its membrane need at least.
    least: f64,
}

impl Extent {
    /// What a 1 of the neuron stands for.
    fn scale(&self, shifts: &[u32]) -> f64 {
        let of_term = |(largest, &shift): (&f64, &u32)| largest / (127.0 * power(shift));
        self.largest.iter().zip(shifts).map(of_term).fold(0.0, f64::max).max(self.least)
    }
}

/// The integers of one neuron.
pub(super) struct Quantised {
    /// Term by term.
    pub weights: Vec<Vec<i8>>,
    pub bias: i32,
    pub theta: i32,
}

/// Where neurons are, and what they read.
pub(super) struct Site<'n> {
    /// The layer.
    pub name: &'n str,
    /// Largest value of an input.
    pub most: f64,
    /// Time steps to have room for.
    pub time_steps: u32,
}

impl Site<'_> {
    /// What decides a neuron's scale, which is the smallest for which weights fit 8 bits, the threshold 20 and all sums of the time
    /// steps the membrane.
    fn extent(&self, values: &Values<'_>) -> Extent {
        let theta = f64::from(values.threshold);
        let sum = one_sided(&values.terms.concat());
        let reach = f64::from(self.time_steps) * (self.most * sum + values.offset.abs()) + theta;
        Extent {
            largest: values.terms.iter().map(|term| largest(term)).collect(),
            least: (theta / MAX_THETA).max(reach / ROOM),
        }
    }

    /// The integers of a neuron, for given shifts of its terms.
    ///
    /// # Errors
    /// If the threshold is too small for what the neuron adds up, or the bias too large for 32 bits.
    pub fn quantise(
        &self,
        channel: usize,
        values: &Values<'_>,
        shifts: &[u32],
        deviations: &mut Deviations,
    ) -> Result<Quantised, ModelError> {
        let scale = self.extent(values).scale(shifts);
        let steps: Vec<f64> = shifts.iter().map(|&shift| scale * power(shift)).collect();
        deviations.add(values.terms, &steps);
        let round =
            |(term, step): (&Vec<f64>, &f64)| term.iter().map(|value| (value / step).round() as i8).collect();
        Ok(Quantised {
            weights: values.terms.iter().zip(&steps).map(round).collect(),
            bias: integer(self.name, values.offset / scale)?,
            theta: theta(self.name, &format!("{}.threshold", self.name), channel, values.threshold, scale)?,
        })
    }

    /// The shift of each term that keeps rounding errors smallest, over all neurons.
    ///
    /// A term whose values are rounded to steps of `s` adds an error of variance `s^2 / 12` for each value, so the sum of squares of steps, as
    /// shares of the threshold, tells which shifts are best. They are found one term at a time, from shifts of 0, until none helps. Diagonal terms
    /// alone keep shifts of 0: each adds one value to a neuron, so there is no sum of many small errors to make smaller.
    pub fn shifts(&self, neurons: &[Values<'_>], dense: bool) -> Vec<u32> {
        let terms = neurons.first().map_or(0, |values| values.terms.len());
        let mut shifts = vec![0; terms];
        if terms < 2 || !dense {
            return shifts;
        }
        let count = |term: &Vec<f64>| term.iter().filter(|value| **value != 0.0).count() as f64;
        let extent = |values: &Values<'_>| {
            let counts: Vec<f64> = values.terms.iter().map(count).collect();
            (self.extent(values), counts, f64::from(values.threshold))
        };
        let extents: Vec<_> = neurons.iter().map(extent).collect();
        let error = |shifts: &[u32]| -> f64 {
            let of = |(extent, counts, threshold): &(Extent, Vec<f64>, f64)| {
                let scale = extent.scale(shifts) / threshold;
                let steps = counts.iter().zip(shifts).map(|(count, &shift)| count * power(2 * shift));
                scale * scale * steps.sum::<f64>()
            };
            extents.iter().map(of).sum()
        };
        let mut best = error(&shifts);
        loop {
            let before = best;
            for term in 0..terms {
                for shift in 0..=MAX_SHIFT {
                    let mut candidate = shifts.clone();
                    candidate[term] = shift;
                    let found = error(&candidate);
                    if found < best {
                        (best, shifts) = (found, candidate);
                    }
                }
            }
            if best >= before {
                return shifts;
            }
        }
    }
}

fn power(shift: u32) -> f64 {
    f64::from(1u32 << shift)
}

/// A threshold in units of `scale`.
///
/// What a neuron adds up is rounded to that scale, so a threshold below half of it would become 0, with which every drive fires
/// in every time step. 1 instead would be another network.
pub(super) fn theta(
    name: &str,
    tensor: &str,
    channel: usize,
    threshold: f32,
    scale: f64,
) -> Result<i32, ModelError> {
    let (theta, least) = (f64::from(threshold), 0.5 * scale);
    if theta >= least {
        return integer(name, theta / scale);
    }
    Err(ModelError::Threshold { tensor: tensor.to_owned(), channel, threshold, least })
}

/// Sums over what was rounded, neuron by neuron.
#[derive(Default)]
pub(super) struct Deviations {
    errors: f64,
    values: f64,
    largest: f64,
}

impl Deviations {
    /// Adds the values of a neuron, which were rounded term by term to multiples of the term's step.
    pub fn add(&mut self, terms: &[Vec<f64>], steps: &[f64]) {
        let top = terms.iter().map(|term| largest(term)).fold(0.0, f64::max);
        for (term, step) in terms.iter().zip(steps) {
            for value in term {
                let error = value - (value / step).round() * step;
                self.errors += error * error;
                self.values += value * value;
                if top > 0.0 {
                    self.largest = self.largest.max(error.abs() / top);
                }
            }
        }
    }

    pub fn rounding(&self) -> Rounding {
        // All values of a layer may be 0, and then none was changed.
        let relative_rms = if self.values > 0.0 { (self.errors / self.values).sqrt() } else { 0.0 };
        Rounding { relative_rms, largest: self.largest }
    }
}

pub(super) fn largest(terms: &[f64]) -> f64 {
    terms.iter().fold(0.0, |largest, term| largest.max(term.abs()))
}

/// The larger of the sum of all positive and the sum of all negative terms.
pub(super) fn one_sided(terms: &[f64]) -> f64 {
    let positive: f64 = terms.iter().filter(|term| **term > 0.0).sum();
    let all: f64 = terms.iter().sum();
    positive.max(positive - all)
}

pub(super) fn theta_fits(ratio: f64, fraction: u32) -> bool {
    ratio * f64::from(1 << fraction) <= MAX_THETA
}

pub(super) fn integer(name: &str, value: f64) -> Result<i32, ModelError> {
    let rounded = value.round();
    if rounded.abs() < f64::from(i32::MAX) {
        return Ok(rounded as i32);
    }
    Err(ModelError::Scale { layer: name.to_owned(), value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SITE: Site<'_> = Site { name: "here", most: 1.0, time_steps: 8 };

    #[test]
    fn a_shortcut_beside_small_weights_gets_a_shift() {
        let terms = [vec![0.01, -0.013, 0.004], vec![1.0]];
        let values = || Values { terms: &terms, offset: 0.0, threshold: 1.0 };
        let shifts = SITE.shifts(&[values(), values()], true);
        assert_eq!(shifts, [0, 6], "the largest that does not make the shortcut coarser than it must be");
        let quantised = SITE.quantise(0, &values(), &shifts, &mut Deviations::default()).unwrap();
        assert_eq!(quantised.weights, [vec![81, -106, 33], vec![127]]);
        assert_eq!(SITE.shifts(&[values()], false), [0, 0], "diagonal terms alone keep 0");
    }

    #[test]
    fn terms_of_one_size_share_their_scale() {
        let terms = [vec![0.5, -0.4, 0.2, 0.1], vec![0.5, 0.3, 0.25, 0.5]];
        assert_eq!(SITE.shifts(&[Values { terms: &terms, offset: 0.0, threshold: 1.0 }], true), [0, 0]);
    }

    proptest! {
        /// Every integer is within half a step of its value, thresholds and sums are within their ranges.
        #[test]
        fn integers_are_near_and_in_range(
            terms in prop::collection::vec(prop::collection::vec(-4f64..4.0, 1..20), 1..4),
            offset in -3f64..3.0,
            threshold in 0.5f32..8.0,
        ) {
            let values = Values { terms: &terms, offset, threshold };
            let shifts = SITE.shifts(&[values], true);
            let scale = SITE.extent(&values).scale(&shifts);
            let Quantised { weights, bias, theta } =
                SITE.quantise(0, &values, &shifts, &mut Deviations::default()).unwrap();
            prop_assert!(theta >= 1 && f64::from(theta) <= MAX_THETA);
            prop_assert!((f64::from(bias) * scale - offset).abs() <= 0.500001 * scale);
            for ((term, integers), &shift) in terms.iter().zip(&weights).zip(&shifts) {
                let step = scale * power(shift);
                for (value, &integer) in term.iter().zip(integers) {
                    prop_assert!((f64::from(integer) * step - value).abs() <= 0.500001 * step);
                }
            }
        }
    }

    #[test]
    fn deviations_are_shares_of_the_values() {
        let mut deviations = Deviations::default();
        deviations.add(&[vec![10.0], vec![-3.75, 0.0]], &[1.0, 1.0]);
        deviations.add(&[vec![0.0, 0.0]], &[1.0]);
        let Rounding { relative_rms, largest } = deviations.rounding();
        assert!((relative_rms - 0.25 / (100.0f64 + 3.75 * 3.75).sqrt()).abs() < 1e-12);
        assert!((largest - 0.025).abs() < 1e-12);
    }
}
