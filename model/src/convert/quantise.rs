//! From the float values of a neuron to integers of one scale, and how far they lie from each other.

use super::Rounding;
use crate::error::ModelError;

/// Largest threshold.
const MAX_THETA: f64 = (1 << 20) as f64;
/// Largest value that a sum in a 24-bit membrane should reach; the rest is for rounding.
pub(super) const ROOM: f64 = 0.98 * (1 << 23) as f64;

/// The integers of one neuron.
pub(super) struct Quantised {
    pub weights: Vec<i8>,
    pub bias: i32,
    pub theta: i32,
    /// What a 1 stands for.
    pub scale: f64,
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
    /// The neuron of a channel: the smallest scale for which weights fit 8 bits, the threshold 20 and all sums of the time
    /// steps the membrane.
    pub fn quantise(
        &self,
        channel: usize,
        terms: &[f64],
        bias: f64,
        threshold: f32,
    ) -> Result<Quantised, ModelError> {
        let theta = f64::from(threshold);
        let reach = f64::from(self.time_steps) * (self.most * one_sided(terms) + bias.abs()) + theta;
        let scale = (largest(terms) / 127.0).max(theta / MAX_THETA).max(reach / ROOM);
        Ok(Quantised {
            weights: terms.iter().map(|term| (term / scale).round() as i8).collect(),
            bias: integer(self.name, bias / scale)?,
            theta: Site::theta(self.name, &format!("{}.threshold", self.name), channel, threshold, scale)?,
            scale,
        })
    }

    /// A threshold in units of `scale`.
    ///
    /// What a neuron adds up is rounded to that scale, so a threshold below half of it would become 0, with which every drive fires
    /// in every time step. 1 instead would be another network.
    pub fn theta(
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
}

/// Sums over what was rounded, neuron by neuron.
#[derive(Default)]
pub(super) struct Deviations {
    errors: f64,
    values: f64,
    largest: f64,
}

impl Deviations {
    /// Adds the values of a neuron, which were rounded to multiples of `scale`.
    pub fn add(&mut self, values: &[f64], scale: f64) {
        let top = largest(values);
        for value in values {
            let error = value - (value / scale).round() * scale;
            self.errors += error * error;
            self.values += value * value;
            if top > 0.0 {
                self.largest = self.largest.max(error.abs() / top);
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

    #[test]
    fn deviations_are_shares_of_the_values() {
        let mut deviations = Deviations::default();
        deviations.add(&[10.0, -3.75, 0.0], 1.0);
        deviations.add(&[0.0, 0.0], 1.0);
        let Rounding { relative_rms, largest } = deviations.rounding();
        assert!((relative_rms - 0.25 / (100.0f64 + 3.75 * 3.75).sqrt()).abs() < 1e-12);
        assert!((largest - 0.025).abs() < 1e-12);
    }
}
