//! Drives of the layers that take each token on its own: analog, dense and shortcut.

use super::bits::{counts, spikes_at};
use crate::network::{Gather, Layer, LayerId, Network, Operation, Patch, Weights};
use crate::run::Configured;
use crate::spikes::SpikePlane;
use isa::Neuron;

/// The prepared operation of one layer.
pub(super) struct Drive<'a> {
    network: &'a Network,
    layer: &'a Layer,
    time_steps: usize,
    /// Whether a neuron needs only sums over all time steps.
    merged: bool,
    source: Source<'a>,
}

enum Source<'a> {
    Analog { patch: Patch, matrix: Matrix },
    Dense { input: LayerId, gather: Gather, matrix: Matrix },
    Shortcut { inputs: &'a [LayerId], gains: &'a [i8], bias: &'a [i32] },
}

/// Outputs whose sums are held at the same time.
const LANES: usize = 32;
/// Inputs that are multiplied and added at a time.
const GROUP: usize = 8;
/// Largest input for which the sum over a group fits 16 bits, as weights are -128 at least.
const NARROW: usize = (1 << 15) / 128 / GROUP;

/// The weights of [`LANES`] outputs side by side, input by input, then those of the next outputs. Inputs and outputs of weight 0
/// fill up the last group and the last lanes.
struct Matrix {
    inputs: usize,
    weights: Vec<[i16; LANES]>,
    /// What sums start from.
    start: Vec<[i32; LANES]>,
    /// Whether sums over a group fit 16 bits.
    narrow: bool,
}

/// Buffers that live as long as a layer is evaluated.
pub(super) struct Scratch {
    counts: Vec<i16>,
    sums: Vec<[i32; LANES]>,
    drives: Vec<i32>,
}

impl<'a> Drive<'a> {
    /// # Panics
    /// If the layer is attention or readout, which have no drive a token.
    pub fn new(configured: &'a Configured, layer: &'a Layer) -> Drive<'a> {
        let steps = configured.time_steps() as usize;
        let merged = layer.neuron == Neuron::TwoPhase;
        let source = match &layer.operation {
            Operation::Analog { patch, weights, bias } => {
                Source::Analog { patch: *patch, matrix: Matrix::new(weights, bias, 1, 255) }
            }
            Operation::Dense { input, gather, weights, bias } => {
                let times = if merged { steps } else { 1 };
                let matrix = Matrix::new(weights, bias, times as i32, times);
                Source::Dense { input: *input, gather: *gather, matrix }
            }
            Operation::Shortcut { inputs, gains, bias } => Source::Shortcut { inputs, gains, bias },
            other => unreachable!("{other:?} has no drive a token"),
        };
        Drive { network: configured, layer, time_steps: steps, merged, source }
    }

    pub fn scratch(&self) -> Scratch {
        let (inputs, blocks) = match &self.source {
            Source::Analog { matrix, .. } | Source::Dense { matrix, .. } => {
                (matrix.padded(), matrix.start.len())
            }
            Source::Shortcut { .. } => (self.layer.channels, 0),
        };
        let rows = if self.merged { 1 } else { self.time_steps };
        Scratch {
            counts: vec![0; inputs],
            sums: vec![[0; LANES]; blocks],
            drives: vec![0; rows * self.layer.channels],
        }
    }

    /// The drives of raster token `token`: the sum over all time steps of each channel (two_phase), or T rows of one drive a
    /// channel (`if`).
    #[inline(always)]
    pub fn token<'s>(
        &self,
        token: usize,
        image: &[u8],
        planes: &[SpikePlane],
        scratch: &'s mut Scratch,
    ) -> &'s [i32] {
        let channels = self.layer.channels;
        let times = if self.merged { self.time_steps as i32 } else { 1 };
        match &self.source {
            Source::Analog { patch, matrix } => {
                let pixels = patch.pixels(self.network.image, self.layer.grid, token);
                for (input, at) in scratch.counts[..matrix.inputs].iter_mut().zip(pixels) {
                    *input = at.map_or(0, |at| image[at].into());
                }
                matrix.product(&scratch.counts, &mut scratch.sums);
                let sums = &scratch.sums.as_flattened()[..channels];
                for row in scratch.drives.chunks_exact_mut(channels) {
                    row.iter_mut().zip(sums).for_each(|(drive, sum)| *drive = times * sum);
                }
            }
            Source::Dense { input, gather, matrix } => {
                let plane = &planes[input.0];
                for (t, drives) in scratch.drives.chunks_exact_mut(channels).enumerate() {
                    let parts = scratch.counts.chunks_exact_mut(plane.channels());
                    for (part, token) in parts.zip(gather.tokens(self.layer.grid, token)) {
                        self.inputs(plane, token, t, part);
                    }
                    matrix.product(&scratch.counts, &mut scratch.sums);
                    drives.copy_from_slice(&scratch.sums.as_flattened()[..channels]);
                }
            }
            Source::Shortcut { inputs, gains, bias } => {
                for (t, drives) in scratch.drives.chunks_exact_mut(channels).enumerate() {
                    drives.iter_mut().zip(*bias).for_each(|(drive, &bias)| *drive = times * bias);
                    for (id, gains) in inputs.iter().zip(gains.chunks_exact(channels)) {
                        self.inputs(&planes[id.0], token, t, &mut scratch.counts);
                        let terms = gains.iter().zip(&scratch.counts);
                        for (drive, (&gain, &count)) in drives.iter_mut().zip(terms) {
                            *drive += i32::from(gain) * i32::from(count);
                        }
                    }
                }
            }
        }
        &scratch.drives
    }

    /// What a neuron gets from each channel of a token: the spikes of all time steps (two_phase), or that of step `t` (`if`).
    #[inline(always)]
    fn inputs(&self, plane: &SpikePlane, token: usize, t: usize, inputs: &mut [i16]) {
        if self.merged {
            counts(plane.row(token), plane.cell_bytes(), inputs);
        } else {
            spikes_at(plane.row(token), plane.cell_bytes(), t, inputs);
        }
    }
}

impl Matrix {
    /// Sums start from `times * bias`; `most` is the largest input.
    fn new(weights: &Weights, bias: &[i32], times: i32, most: usize) -> Matrix {
        let Weights { outputs, inputs, ref data } = *weights;
        let weight =
            |o: usize, i: usize| if o < outputs && i < inputs { data[o * inputs + i].into() } else { 0 };
        let start = |o: usize| if o < outputs { times * bias[o] } else { 0 };
        let (padded, blocks) = (inputs.next_multiple_of(GROUP), outputs.div_ceil(LANES));
        let rows = (0..blocks * padded).map(|n| {
            let (block, input) = (n / padded, n % padded);
            std::array::from_fn(|lane| weight(block * LANES + lane, input))
        });
        let starts = (0..blocks).map(|block| std::array::from_fn(|lane| start(block * LANES + lane)));
        Matrix { inputs, weights: rows.collect(), start: starts.collect(), narrow: most <= NARROW }
    }

    /// Inputs with those of weight 0 at the end.
    fn padded(&self) -> usize {
        self.inputs.next_multiple_of(GROUP)
    }

    /// The outputs' blocks: where their sums start, and their weights.
    #[inline(always)]
    fn blocks(&self) -> impl Iterator<Item = (&[i32; LANES], &[[i16; LANES]])> {
        self.start.iter().zip(self.weights.chunks_exact(self.padded()))
    }

    /// `sums[o] = start[o] + sum_i w[o,i] * x[i]`.
    #[inline(always)]
    fn product(&self, x: &[i16], sums: &mut [[i32; LANES]]) {
        for (sums, (start, weights)) in sums.iter_mut().zip(self.blocks()) {
            *sums = if self.narrow { narrow(*start, weights, x) } else { wide(*start, weights, x) };
        }
    }
}

/// Sums of a group in 16 bits: twice as many fit a vector as of 32.
#[inline(always)]
fn narrow(mut sums: [i32; LANES], weights: &[[i16; LANES]], x: &[i16]) -> [i32; LANES] {
    for (x, weights) in x.as_chunks::<GROUP>().0.iter().zip(weights.as_chunks::<GROUP>().0) {
        let mut group = [0i16; LANES];
        for (lane, group) in group.iter_mut().enumerate() {
            for i in 0..GROUP {
                *group = group.wrapping_add(weights[i][lane].wrapping_mul(x[i]));
            }
        }
        sums.iter_mut().zip(group).for_each(|(sum, group)| *sum += i32::from(group));
    }
    sums
}

#[inline(always)]
fn wide(mut sums: [i32; LANES], weights: &[[i16; LANES]], x: &[i16]) -> [i32; LANES] {
    for (x, weights) in x.as_chunks::<GROUP>().0.iter().zip(weights.as_chunks::<GROUP>().0) {
        let mut group = [0i32; LANES];
        for (lane, group) in group.iter_mut().enumerate() {
            for i in 0..GROUP {
                *group += i32::from(weights[i][lane]) * i32::from(x[i]);
            }
        }
        sums.iter_mut().zip(group).for_each(|(sum, group)| *sum += group);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Extreme weights and inputs, at the largest input for 16 bits and beyond it.
    #[test]
    fn products_do_not_wrap() {
        for most in [1, NARROW, NARROW + 1, 255] {
            for (weight, inputs) in [(i8::MIN, 8), (i8::MAX, 24), (i8::MIN, 13)] {
                let weights = Weights { outputs: 3, inputs, data: vec![weight; 3 * inputs] };
                let matrix = Matrix::new(&weights, &[-5, 0, 1], 2, most);
                let mut x = vec![most as i16; inputs];
                // Whatever stands beyond the inputs has weight 0.
                x.resize(matrix.padded(), 77);
                let mut sums = [[1; LANES]];
                matrix.product(&x, &mut sums);
                let product = i32::from(weight) * (most * inputs) as i32;
                assert_eq!(sums[0][..4], [product - 10, product, product + 2, 0], "{most} {weight} {inputs}");
            }
        }
    }
}
