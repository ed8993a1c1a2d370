//! Drives of linear layers, token by token.

use super::bits::{counts, spikes_at};
use crate::network::{Grid, ImageShape, Layer, Operation, Schedule, Source, Taps, Term, Weights};
use crate::run::Configured;
use crate::spikes::SpikePlane;

/// A prepared linear layer: all dense terms as one matrix, whose weights have their terms' shifts, and the diagonal ones.
pub(super) struct Drive {
    image: ImageShape,
    /// What taps read outside, a byte a channel; none for zeros, as of planes.
    border: Vec<u8>,
    grid: Grid,
    time_steps: usize,
    channels: usize,
    kind: Kind,
    dense: Option<Dense>,
    diagonal: Vec<Diagonal>,
    /// What drives start from without a matrix.
    start: Vec<i32>,
}

/// What rows of inputs drives are summed from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One row of bytes, from which each time step is driven alike; a neuron that fires after all takes them `times` at once.
    Image { times: i32 },
    /// One row of spike counts over all time steps.
    Counts,
    /// A row of spikes for each time step.
    Steps,
}

struct Dense {
    inputs: Vec<Gathered>,
    matrix: Matrix,
}

/// What one term gathers.
struct Gathered {
    source: Source,
    taps: Taps,
    /// Grid and channels of its source.
    grid: Grid,
    channels: usize,
}

struct Diagonal {
    input: Gathered,
    /// Tap by tap, channel by channel, shifted.
    gains: Vec<i16>,
}

/// Outputs whose sums are held at the same time.
const LANES: usize = 32;
/// Inputs that are multiplied and added at a time.
const GROUP: usize = 8;

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
    inputs: Vec<i16>,
    sums: Vec<[i32; LANES]>,
    drives: Vec<i32>,
}

impl Drive {
    /// # Panics
    /// If the layer is not linear, or the readout.
    pub fn new(configured: &Configured, layer: &Layer) -> Drive {
        let Operation::Linear { terms, bias } = &layer.operation else {
            unreachable!("{:?}", layer.operation)
        };
        let time_steps = configured.time_steps() as usize;
        let schedule = layer.schedule().expect("validated: all but the readout have neurons");
        let kind = match schedule {
            _ if layer.operation.reads_image() => {
                Kind::Image { times: if schedule == Schedule::AfterAll { time_steps as i32 } else { 1 } }
            }
            Schedule::AfterAll => Kind::Counts,
            Schedule::EachStep => Kind::Steps,
        };
        let (times, most) = match kind {
            Kind::Image { .. } => (1, 255),
            Kind::Counts => (time_steps, time_steps),
            Kind::Steps => (1, 1),
        };
        let start: Vec<i32> = bias.iter().map(|bias| times as i32 * bias).collect();
        let gathered = |term: &Term| {
            let (grid, channels) = match term.source {
                Source::Image => (configured.image.grid(), configured.image.channels),
                Source::Plane(id) => (configured.layer(id).grid, configured.layer(id).channels),
            };
            Gathered { source: term.source, taps: term.taps, grid, channels }
        };
        let (mut inputs, mut rows, mut diagonal) = (Vec::new(), Vec::new(), Vec::new());
        for term in terms {
            let input = gathered(term);
            match &term.weights {
                Weights::Dense(data) => {
                    rows.push(Rows { data, inputs: input.len(), shift: term.shift });
                    inputs.push(input);
                }
                Weights::Diagonal(gains) => {
                    let gains = gains.iter().map(|&gain| i16::from(gain) << term.shift).collect();
                    diagonal.push(Diagonal { input, gains });
                }
            }
        }
        let dense = (!rows.is_empty()).then(|| Dense { inputs, matrix: Matrix::new(&rows, &start, most) });
        let (image, grid, channels) = (configured.image, layer.grid, layer.channels);
        let border = if matches!(kind, Kind::Image { .. }) { configured.border.clone() } else { Vec::new() };
        Drive { image, border, grid, time_steps, channels, kind, dense, diagonal, start }
    }

    pub fn scratch(&self) -> Scratch {
        let (padded, blocks) =
            self.dense.as_ref().map_or((0, 0), |dense| (dense.matrix.padded(), dense.matrix.start.len()));
        let rows = if self.kind == Kind::Steps { self.time_steps } else { self.repeats() };
        Scratch {
            inputs: vec![0; if self.diagonal.is_empty() { padded } else { padded.max(self.channels) }],
            sums: vec![[0; LANES]; blocks],
            drives: vec![0; rows * self.channels],
        }
    }

    /// Rows of drives that are alike.
    fn repeats(&self) -> usize {
        if self.kind == (Kind::Image { times: 1 }) { self.time_steps } else { 1 }
    }

    /// The drives of raster token `token`: the sum over all time steps of each channel (two_phase), or T rows of one drive a
    /// channel (each step).
    #[inline(always)]
    pub fn token<'s>(
        &self,
        token: usize,
        image: &[u8],
        planes: &[SpikePlane],
        scratch: &'s mut Scratch,
    ) -> &'s [i32] {
        let channels = self.channels;
        let rows = if self.kind == Kind::Steps { self.time_steps } else { 1 };
        let (shape, border) = (self.image, self.border.as_slice());
        let reader = Reader { kind: self.kind, grid: self.grid, shape, border, image, planes };
        for (t, drives) in scratch.drives[..rows * channels].chunks_exact_mut(channels).enumerate() {
            match &self.dense {
                Some(Dense { inputs, matrix }) => {
                    let mut row = &mut scratch.inputs[..matrix.inputs];
                    for input in inputs {
                        let (part, rest) = row.split_at_mut(input.len());
                        reader.gather(input, token, t, part);
                        row = rest;
                    }
                    matrix.product(&scratch.inputs[..matrix.padded()], &mut scratch.sums);
                    drives.copy_from_slice(&scratch.sums.as_flattened()[..channels]);
                }
                None => drives.copy_from_slice(&self.start),
            }
            for Diagonal { input, gains } in &self.diagonal {
                for (at, gains) in input.positions(self.grid, token).zip(gains.chunks_exact(channels)) {
                    let row = &mut scratch.inputs[..channels];
                    match at {
                        Some(at) => reader.read(input, at, t, row),
                        None if self.border.is_empty() => continue,
                        None => reader.outside(row),
                    }
                    for (drive, (&gain, &x)) in drives.iter_mut().zip(gains.iter().zip(&*row)) {
                        *drive = drive.wrapping_add(i32::from(gain) * i32::from(x));
                    }
                }
            }
        }
        if let Kind::Image { times } = self.kind {
            let (first, others) = scratch.drives.split_at_mut(channels);
            first.iter_mut().for_each(|drive| *drive *= times);
            others.chunks_exact_mut(channels).for_each(|row| row.copy_from_slice(first));
        }
        &scratch.drives
    }
}

impl Gathered {
    /// Inputs of a token: channels, tap by tap.
    fn len(&self) -> usize {
        self.taps.count() * self.channels
    }

    /// The position that each tap of `token` reads.
    #[inline(always)]
    fn positions(&self, grid: Grid, token: usize) -> impl Iterator<Item = Option<usize>> {
        self.taps.positions(self.grid, grid, token)
    }
}

/// Where inputs come from.
struct Reader<'r> {
    kind: Kind,
    /// Of the layer that reads.
    grid: Grid,
    shape: ImageShape,
    border: &'r [u8],
    image: &'r [u8],
    planes: &'r [SpikePlane],
}

impl Reader<'_> {
    /// The inputs of a token, tap by tap.
    #[inline(always)]
    fn gather(&self, input: &Gathered, token: usize, t: usize, row: &mut [i16]) {
        if input.taps == Taps::TOKEN {
            return self.read(input, token, t, row);
        }
        for (at, row) in input.positions(self.grid, token).zip(row.chunks_exact_mut(input.channels)) {
            match at {
                Some(at) => self.read(input, at, t, row),
                None => self.outside(row),
            }
        }
    }

    /// The channels of a position outside the source.
    fn outside(&self, row: &mut [i16]) {
        row.fill(0);
        row.iter_mut().zip(self.border).for_each(|(x, &byte)| *x = byte.into());
    }

    /// The channels of one position: bytes, spikes of all time steps, or those of step `t`.
    #[inline(always)]
    fn read(&self, input: &Gathered, at: usize, t: usize, row: &mut [i16]) {
        match input.source {
            Source::Image => {
                let pixels = self.image[at..].iter().step_by(self.shape.grid().tokens());
                row.iter_mut().zip(pixels).for_each(|(x, &byte)| *x = byte.into());
            }
            Source::Plane(id) => {
                let plane = &self.planes[id.0];
                if self.kind == Kind::Steps {
                    spikes_at(plane.row(at), plane.cell_bytes(), t, row);
                } else {
                    counts(plane.row(at), plane.cell_bytes(), row);
                }
            }
        }
    }
}

/// The weights of one term: `inputs` for each output.
struct Rows<'w> {
    data: &'w [i8],
    inputs: usize,
    shift: u32,
}

impl Matrix {
    /// The rows of all `terms` behind each other, for sums from `start`; `most` is the largest input.
    fn new(terms: &[Rows<'_>], start: &[i32], most: usize) -> Matrix {
        let inputs: usize = terms.iter().map(|term| term.inputs).sum();
        let (outputs, padded) = (start.len(), inputs.next_multiple_of(GROUP));
        let blocks = outputs.div_ceil(LANES);
        let mut weights = vec![[0i16; LANES]; blocks * padded];
        let (mut low, mut high) = (0i32, 0i32);
        let mut first = 0;
        for term in terms {
            for (o, row) in term.data.chunks_exact(term.inputs).enumerate() {
                for (i, &weight) in row.iter().enumerate() {
                    let shifted = i16::from(weight) << term.shift;
                    weights[o / LANES * padded + first + i][o % LANES] = shifted;
                    (low, high) = (low.min(shifted.into()), high.max(shifted.into()));
                }
            }
            first += term.inputs;
        }
        let mut starts = vec![[0; LANES]; blocks];
        starts.as_flattened_mut()[..outputs].copy_from_slice(start);
        let largest = (most * GROUP) as i32;
        let narrow = largest * low >= i16::MIN.into() && largest * high <= i16::MAX.into();
        Matrix { inputs, weights, start: starts, narrow }
    }

    /// Inputs with those that fill up the last group.
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
        sums.iter_mut().zip(group).for_each(|(sum, group)| *sum = sum.wrapping_add(group.into()));
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
        for most in [1, 31, 32, 33, 255] {
            for (weight, inputs) in [(i8::MIN, 8), (i8::MAX, 24), (i8::MIN, 13)] {
                for shift in [0, 3, 7] {
                    let data = vec![weight; 3 * inputs];
                    // The same weights once more, in a term of their own.
                    let terms = [shift, 0].map(|shift| Rows { data: &data, inputs, shift });
                    let matrix = Matrix::new(&terms, &[-10, 0, 2], most);
                    let mut x = vec![most as i16; 2 * inputs];
                    // Whatever stands beyond the inputs has weight 0.
                    x.resize(matrix.padded(), 77);
                    let mut sums = [[1; LANES]];
                    matrix.product(&x, &mut sums);
                    let product = i32::from(weight) * (most * inputs) as i32 * ((1 << shift) + 1);
                    let found = &sums[0][..4];
                    assert_eq!(
                        found,
                        [product - 10, product, product + 2, 0],
                        "{most} {weight} {inputs} {shift}"
                    );
                }
            }
        }
    }
}
