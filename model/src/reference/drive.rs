//! Drives of the layers that take each token on its own: analog, dense and shortcut.

use super::bits::{Layout, set_bits};
use crate::network::{Gather, Layer, LayerId, Network, Operation, Patch, Weights};
use crate::run::Configured;
use crate::spikes::SpikePlane;
use isa::Neuron;

/// The prepared operation of one layer.
pub(super) struct Drive<'a> {
    network: &'a Network,
    layer: &'a Layer,
    time_steps: usize,
    layout: Layout,
    source: Source<'a>,
}

enum Source<'a> {
    Analog { patch: Patch, matrix: Matrix, bias: &'a [i32] },
    Dense { input: LayerId, gather: Gather, matrix: Matrix, bias: &'a [i32] },
    Shortcut { inputs: &'a [LayerId], gains: &'a [i8], bias: &'a [i32] },
}

/// Weights widened to the counts they multiply: by output for sums over time, by input for single steps.
struct Matrix {
    inputs: usize,
    by_output: Vec<i16>,
    by_input: Vec<i32>,
}

/// Buffers that live as long as a layer is evaluated.
pub(super) struct Scratch {
    counts: Vec<i16>,
    bits: Vec<u64>,
    drives: Vec<i32>,
}

impl<'a> Drive<'a> {
    /// # Panics
    /// If the layer is attention or readout, which have no drive a token.
    pub fn new(configured: &'a Configured, layer: &'a Layer) -> Drive<'a> {
        let (source, inputs) = match &layer.operation {
            Operation::Analog { patch, weights, bias } => {
                (Source::Analog { patch: *patch, matrix: Matrix::new(weights), bias }, weights.inputs)
            }
            Operation::Dense { input, gather, weights, bias } => (
                Source::Dense { input: *input, gather: *gather, matrix: Matrix::new(weights), bias },
                weights.inputs,
            ),
            Operation::Shortcut { inputs, gains, bias } => (Source::Shortcut { inputs, gains, bias }, 0),
            other => unreachable!("{other:?} has no drive a token"),
        };
        let layout = Layout::new(layer.neuron, inputs, configured.time_steps());
        Drive { network: configured, layer, time_steps: configured.time_steps() as usize, layout, source }
    }

    pub fn scratch(&self) -> Scratch {
        let inputs = match &self.source {
            Source::Analog { matrix, .. } | Source::Dense { matrix, .. } => matrix.inputs,
            Source::Shortcut { .. } => 0,
        };
        let rows = if self.layer.neuron == Neuron::If { self.time_steps } else { 1 };
        Scratch {
            counts: vec![0; inputs],
            bits: vec![0; self.layout.size()],
            drives: vec![0; rows * self.layer.channels],
        }
    }

    /// The drives of raster token `token`: the sum over all time steps of each channel (two_phase), or T rows of one drive a
    /// channel (`if`).
    pub fn token<'s>(
        &self,
        token: usize,
        image: &[u8],
        planes: &[SpikePlane],
        scratch: &'s mut Scratch,
    ) -> &'s [i32] {
        let merged = self.layer.neuron == Neuron::TwoPhase;
        match &self.source {
            Source::Analog { patch, matrix, bias } => {
                self.pixels(token, *patch, image, &mut scratch.counts);
                let (first, others) = scratch.drives.split_at_mut(self.layer.channels);
                matrix.product(&scratch.counts, bias, 1, first);
                if merged {
                    first.iter_mut().for_each(|drive| *drive *= self.time_steps as i32);
                } else {
                    others.chunks_exact_mut(first.len()).for_each(|row| row.copy_from_slice(first));
                }
            }
            Source::Dense { input, gather, matrix, bias } => {
                let plane = &planes[input.0];
                let cells = gather
                    .tokens(self.layer.grid, token)
                    .flat_map(|token| plane.row(token).chunks_exact(plane.cell_words()));
                if merged {
                    let counts = cells.map(|cell| cell.iter().map(|word| word.count_ones() as i16).sum());
                    scratch.counts.iter_mut().zip(counts).for_each(|(count, n)| *count = n);
                    matrix.product(&scratch.counts, bias, self.time_steps as i32, &mut scratch.drives);
                } else {
                    self.layout.fill(&mut scratch.bits, cells);
                    let rows = scratch.drives.chunks_exact_mut(self.layer.channels).enumerate();
                    rows.for_each(|(t, drives)| {
                        matrix.events(self.layout.vector(&scratch.bits, t), bias, drives)
                    });
                }
            }
            Source::Shortcut { inputs, gains, bias } => {
                let channels = self.layer.channels;
                let gains = gains.chunks_exact(channels);
                let weighted = inputs.iter().zip(gains).map(|(id, gains)| (&planes[id.0], gains));
                if merged {
                    start(&mut scratch.drives, bias, self.time_steps as i32);
                    for (plane, gains) in weighted {
                        for (c, (drive, &gain)) in scratch.drives.iter_mut().zip(gains).enumerate() {
                            *drive += i32::from(gain) * plane.count(token, c) as i32;
                        }
                    }
                } else {
                    scratch.drives.chunks_exact_mut(channels).for_each(|row| start(row, bias, 1));
                    for (plane, gains) in weighted {
                        for (c, &gain) in gains.iter().enumerate() {
                            for (i, &word) in plane.cell(token, c).iter().enumerate() {
                                set_bits(word).for_each(|t| {
                                    scratch.drives[(64 * i + t) * channels + c] += i32::from(gain)
                                });
                            }
                        }
                    }
                }
            }
        }
        &scratch.drives
    }

    /// The pixels of a patch, channel by channel, row by row; 0 outside the image.
    fn pixels(&self, token: usize, patch: Patch, image: &[u8], pixels: &mut [i16]) {
        let shape = self.network.image;
        let (row, column) = (token / self.layer.grid.columns, token % self.layer.grid.columns);
        let mut next = pixels.iter_mut();
        for channel in 0..shape.channels {
            for y in 0..patch.kernel {
                for x in 0..patch.kernel {
                    // Wraps below 0 to a position far outside.
                    let y = (row * patch.stride + y).wrapping_sub(patch.padding);
                    let x = (column * patch.stride + x).wrapping_sub(patch.padding);
                    let inside = y < shape.height && x < shape.width;
                    let at = |y, x| image[(channel * shape.height + y) * shape.width + x];
                    *next.next().expect("validated: kernel^2 * channels inputs") =
                        if inside { i16::from(at(y, x)) } else { 0 };
                }
            }
        }
    }
}

fn start(drives: &mut [i32], bias: &[i32], times: i32) {
    drives.iter_mut().zip(bias).for_each(|(drive, &bias)| *drive = times * bias);
}

impl Matrix {
    fn new(weights: &Weights) -> Matrix {
        let Weights { outputs, inputs, data } = weights;
        let by_output = data.iter().map(|&w| i16::from(w)).collect();
        let by_input =
            (0..inputs * outputs).map(|n| data[n % outputs * inputs + n / outputs].into()).collect();
        Matrix { inputs: *inputs, by_output, by_input }
    }

    /// `drives[o] = times * bias[o] + sum_i w[o,i] * x[i]`.
    fn product(&self, x: &[i16], bias: &[i32], times: i32, drives: &mut [i32]) {
        let rows = self.by_output.chunks_exact(self.inputs);
        for ((drive, row), &bias) in drives.iter_mut().zip(rows).zip(bias) {
            let sum: i32 = row.iter().zip(x).map(|(&w, &x)| i32::from(w) * i32::from(x)).sum();
            *drive = times * bias + sum;
        }
    }

    /// `drives[o] = bias[o] + sum_i w[o,i] * s[i]`, for spikes in a bit vector.
    fn events(&self, spikes: &[u64], bias: &[i32], drives: &mut [i32]) {
        start(drives, bias, 1);
        for (i, &word) in spikes.iter().enumerate() {
            for bit in set_bits(word) {
                let column = &self.by_input[(64 * i + bit) * drives.len()..];
                drives.iter_mut().zip(column).for_each(|(drive, w)| *drive += w);
            }
        }
    }
}
