//! Scores and context: coincidences of spikes, window by window and head by head.

use super::bits::{Layout, coincidences};
use super::fire::{Masks, Neurons};
use super::observer::Observer;
use crate::network::{Grid, Layer, LayerId, Operation, Windows};
use crate::run::Configured;
use crate::spikes::SpikePlane;
use isa::Neuron;

/// A prepared scores or context layer.
pub(super) struct Attention<'a> {
    grid: Grid,
    windows: Windows,
    heads: usize,
    fraction: u32,
    ratio: u8,
    time_steps: u32,
    layout: Layout,
    product: Product<'a>,
}

enum Product<'a> {
    Scores {
        query: LayerId,
        key: LayerId,
        head_size: usize,
        /// Biases of a head, by relative position.
        bias: &'a [i32],
        /// `relative[i * N + j]`.
        relative: Vec<usize>,
    },
    Context {
        scores: LayerId,
        value: LayerId,
        head_size: usize,
    },
}

/// Buffers of one layer: the matrix operand of a block, one query's row, its drives.
struct Scratch {
    matrix: Vec<u64>,
    row: Vec<u64>,
    drives: Vec<i32>,
}

impl<'a> Attention<'a> {
    /// # Panics
    /// If the layer is not attention.
    pub fn new(configured: &'a Configured, layer: &'a Layer, windows: Windows) -> Attention<'a> {
        let tokens = windows.tokens();
        let (product, heads, fraction, cells) = match &layer.operation {
            Operation::Scores { query, key, heads, bias, fraction } => {
                let head_size = configured.layer(*query).channels / heads;
                let relative =
                    (0..tokens * tokens).map(|n| windows.relative(n / tokens, n % tokens)).collect();
                let product = Product::Scores { query: *query, key: *key, head_size, bias, relative };
                (product, *heads, *fraction, head_size)
            }
            Operation::Context { scores, value, heads, fraction } => {
                let head_size = layer.channels / heads;
                (Product::Context { scores: *scores, value: *value, head_size }, *heads, *fraction, tokens)
            }
            other => unreachable!("{other:?} is no attention"),
        };
        let time_steps = configured.time_steps();
        let layout = Layout::new(layer.neuron, cells, time_steps);
        let ratio = layer.mask_ratio;
        Attention { grid: layer.grid, windows, heads, fraction, ratio, time_steps, layout, product }
    }

    /// Evaluates the layer: head by head, window by window, query by query.
    pub fn run(
        &self,
        neurons: &Neurons,
        seed: u32,
        layer: usize,
        planes: &[SpikePlane],
        observer: &mut impl Observer,
    ) -> SpikePlane {
        let (tokens, windows) = (self.windows.tokens(), self.windows.count(self.grid));
        let channels = self.channels();
        let mut plane = match self.product {
            Product::Scores { .. } => SpikePlane::new(self.heads * windows * tokens, tokens, self.time_steps),
            Product::Context { .. } => {
                SpikePlane::new(self.grid.tokens(), self.heads * channels, self.time_steps)
            }
        };
        let mut scratch = Scratch {
            matrix: vec![0; channels * self.layout.size()],
            row: vec![0; self.layout.size()],
            drives: vec![0; channels * self.layout.vectors],
        };
        for head in 0..self.heads {
            for window in 0..windows {
                self.fill_matrix(head, window, planes, &mut scratch.matrix);
                let first = (window * self.heads + head) * channels;
                let mut masks = Masks::new(self.ratio, seed, layer, first..first + channels);
                for query in 0..tokens {
                    self.fill_row(head, window, query, planes, &mut scratch.row);
                    self.drives(neurons.mode, head, query, &mut scratch);
                    let row = self.output(&mut plane, head, window, query);
                    neurons.fire(head * channels, query, &scratch.drives, row, observer);
                    self.separate_regions(window, query, row);
                    neurons.transmit(row, &mut masks, observer);
                }
            }
        }
        plane
    }

    /// Channels of a head: keys of scores, channels of context.
    fn channels(&self) -> usize {
        match self.product {
            Product::Scores { .. } => self.windows.tokens(),
            Product::Context { head_size, .. } => head_size,
        }
    }

    /// One bit row a channel: the key's channels, or the channel's values of all keys.
    fn fill_matrix(&self, head: usize, window: usize, planes: &[SpikePlane], matrix: &mut [u64]) {
        let token = |inner| self.windows.token(self.grid, window, inner);
        for (c, row) in matrix.chunks_exact_mut(self.layout.size()).enumerate() {
            match self.product {
                Product::Scores { key, head_size, .. } => {
                    self.fill_head(&planes[key.0], token(c), head, head_size, row)
                }
                Product::Context { value, head_size, .. } => {
                    let plane = &planes[value.0];
                    let keys = 0..self.windows.tokens();
                    self.layout.fill(row, keys.map(|j| plane.cell(token(j), head * head_size + c)));
                }
            }
        }
    }

    /// The bit row of a query: its channels of the head, or its scores for all keys.
    fn fill_row(&self, head: usize, window: usize, query: usize, planes: &[SpikePlane], row: &mut [u64]) {
        match self.product {
            Product::Scores { query: id, head_size, .. } => {
                self.fill_head(
                    &planes[id.0],
                    self.windows.token(self.grid, window, query),
                    head,
                    head_size,
                    row,
                );
            }
            Product::Context { scores, .. } => {
                let plane = &planes[scores.0];
                let cells = plane.row(self.score_token(head, window, query)).chunks_exact(plane.cell_words());
                self.layout.fill(row, cells);
            }
        }
    }

    fn fill_head(&self, plane: &SpikePlane, token: usize, head: usize, head_size: usize, row: &mut [u64]) {
        let size = head_size * plane.cell_words();
        let cells = &plane.row(token)[head * size..(head + 1) * size];
        self.layout.fill(row, cells.chunks_exact(plane.cell_words()));
    }

    /// `bias + coincidences << F`, summed over all time steps (two_phase) or for each of them (`if`).
    fn drives(&self, mode: Neuron, head: usize, query: usize, scratch: &mut Scratch) {
        let Scratch { matrix, row, drives } = scratch;
        let channels = drives.len() / self.layout.vectors;
        for (v, drives) in drives.chunks_exact_mut(channels).enumerate() {
            let query_bits = self.layout.vector(row, v);
            for (drive, other) in drives.iter_mut().zip(matrix.chunks_exact(self.layout.size())) {
                *drive = coincidences(query_bits, self.layout.vector(other, v)) << self.fraction;
            }
            if let Product::Scores { bias, relative, .. } = &self.product {
                let times = if mode == Neuron::TwoPhase { self.time_steps as i32 } else { 1 };
                let bias = &bias[head * self.windows.positions()..];
                let relative = &relative[query * channels..];
                drives
                    .iter_mut()
                    .zip(relative)
                    .for_each(|(drive, &position)| *drive += times * bias[position]);
            }
        }
    }

    fn score_token(&self, head: usize, window: usize, query: usize) -> usize {
        (head * self.windows.count(self.grid) + window) * self.windows.tokens() + query
    }

    fn output<'p>(
        &self,
        plane: &'p mut SpikePlane,
        head: usize,
        window: usize,
        query: usize,
    ) -> &'p mut [u64] {
        match self.product {
            Product::Scores { .. } => {
                plane.row_mut(self.score_token(head, window, query), 0, self.windows.tokens())
            }
            Product::Context { head_size, .. } => {
                plane.row_mut(self.windows.token(self.grid, window, query), head * head_size, head_size)
            }
        }
    }

    /// Pairs of tokens in different shift regions never fire.
    fn separate_regions(&self, window: usize, query: usize, row: &mut [u64]) {
        let Product::Scores { .. } = self.product else { return };
        if self.windows.shift == 0 {
            return;
        }
        let region = |inner| self.windows.region(self.grid, window, inner);
        let cell_words = row.len() / self.windows.tokens();
        for (key, cell) in row.chunks_exact_mut(cell_words).enumerate() {
            if region(key) != region(query) {
                cell.fill(0);
            }
        }
    }
}
