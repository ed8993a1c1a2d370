//! Scores and context: coincidences of spikes, window by window and head by head.

use super::bits::{Layout, coincidences};
use super::fire::{FireScratch, Masks, Neurons};
use super::observer::Observer;
use crate::mask::MaskBits;
use crate::network::{Grid, Layer, LayerId, Mask, Operation, Schedule, Windows};
use crate::run::Configured;
use crate::spikes::SpikePlane;

/// A prepared scores or context layer.
pub(super) struct Attention {
    windows: Windows,
    /// Windows of the grid.
    count: usize,
    /// Tokens of the grid.
    grid_tokens: usize,
    heads: usize,
    fraction: u32,
    mask: Mask,
    time_steps: u32,
    layout: Layout,
    /// Raster token of every token of every window.
    raster: Vec<usize>,
    product: Product,
}

enum Product {
    Scores {
        query: LayerId,
        key: LayerId,
        head_size: usize,
        /// `bias[(head * N + query) * N + key]`, as often as it is added.
        bias: Vec<i32>,
        /// Shift region of every token of every window; empty without a shift.
        regions: Vec<usize>,
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
    fire: FireScratch,
}

impl Attention {
    /// # Panics
    /// If the layer is not attention.
    pub fn new(configured: &Configured, layer: &Layer, windows: Windows) -> Attention {
        let (tokens, count, time_steps) =
            (windows.tokens(), windows.count(layer.grid), configured.time_steps());
        let of_windows = |value: fn(Windows, Grid, usize, usize) -> usize| -> Vec<usize> {
            (0..count * tokens).map(|n| value(windows, layer.grid, n / tokens, n % tokens)).collect()
        };
        let schedule = layer.schedule().expect("validated: attention has neurons");
        let (product, heads, fraction, cells) = match &layer.operation {
            Operation::Scores { query, key, heads, bias, fraction } => {
                let head_size = configured.layer(*query).channels / heads;
                let times = if schedule == Schedule::AfterAll { time_steps as i32 } else { 1 };
                let of_pair = |n: usize| {
                    let (head, i, j) = (n / tokens / tokens, n / tokens % tokens, n % tokens);
                    times * bias[head * windows.positions() + windows.relative(i, j)]
                };
                let regions = if windows.shift == 0 { Vec::new() } else { of_windows(Windows::region) };
                let bias = (0..heads * tokens * tokens).map(of_pair).collect();
                let product = Product::Scores { query: *query, key: *key, head_size, bias, regions };
                (product, *heads, *fraction, head_size)
            }
            Operation::Context { scores, value, heads, fraction } => {
                let head_size = layer.channels / heads;
                (Product::Context { scores: *scores, value: *value, head_size }, *heads, *fraction, tokens)
            }
            other => unreachable!("{other:?} is no attention"),
        };
        Attention {
            windows,
            count,
            grid_tokens: layer.grid.tokens(),
            heads,
            fraction,
            mask: layer.mask.clone(),
            time_steps,
            layout: Layout::new(schedule, cells, time_steps),
            raster: of_windows(|windows, grid, window, inner| windows.token(grid, window, inner)),
            product,
        }
    }

    /// Evaluates the layer: head by head, window by window, query by query.
    #[inline(always)]
    pub fn run<M: MaskBits>(
        &self,
        neurons: &Neurons,
        draws: (u32, usize),
        planes: &[SpikePlane],
        observer: &mut impl Observer,
    ) -> SpikePlane {
        let (tokens, channels) = (self.windows.tokens(), self.channels());
        let mut plane = match self.product {
            Product::Scores { .. } => {
                SpikePlane::new(self.heads * self.count * tokens, tokens, self.time_steps)
            }
            Product::Context { .. } => {
                SpikePlane::new(self.grid_tokens, self.heads * channels, self.time_steps)
            }
        };
        let mut scratch = Scratch {
            matrix: vec![0; channels * self.layout.size()],
            row: vec![0; self.layout.size()],
            drives: vec![0; channels * self.layout.vectors],
            fire: FireScratch::new(channels),
        };
        for head in 0..self.heads {
            for window in 0..self.count {
                self.fill_matrix(head, window, planes, &mut scratch.matrix);
                let first = (window * self.heads + head) * channels;
                let channels_of_window = first..first + channels;
                let mut masks = Masks::<M>::new(&self.mask, draws, channels_of_window, neurons.time_steps);
                for query in 0..tokens {
                    self.fill_row(head, window, query, planes, &mut scratch.row);
                    self.drives(head, query, &mut scratch);
                    let row = self.output(&mut plane, head, window, query);
                    neurons.fire(head * channels, query, &scratch.drives, row, &mut scratch.fire, observer);
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

    /// Raster tokens of a window.
    fn tokens_of(&self, window: usize) -> &[usize] {
        &self.raster[window * self.windows.tokens()..][..self.windows.tokens()]
    }

    /// One bit row a channel: the key's channels, or the channel's values of all keys.
    #[inline(always)]
    fn fill_matrix(&self, head: usize, window: usize, planes: &[SpikePlane], matrix: &mut [u64]) {
        matrix.fill(0);
        let tokens = self.tokens_of(window).iter().enumerate();
        match self.product {
            Product::Scores { key, head_size, .. } => {
                for (j, &token) in tokens {
                    let cells = head_cells(&planes[key.0], token, head, head_size);
                    self.layout.put_all(matrix, (j, self.windows.tokens()), cells);
                }
            }
            Product::Context { value, head_size, .. } => {
                let cell_bytes = planes[value.0].cell_bytes();
                for (j, &token) in tokens {
                    let cells = head_cells(&planes[value.0], token, head, head_size);
                    for (c, cell) in cells.chunks_exact(cell_bytes).enumerate() {
                        self.layout.put(matrix, (c, head_size), j, cell);
                    }
                }
            }
        }
    }

    /// The bit row of a query: its channels of the head, or its scores for all keys.
    #[inline(always)]
    fn fill_row(&self, head: usize, window: usize, query: usize, planes: &[SpikePlane], row: &mut [u64]) {
        row.fill(0);
        let cells = match self.product {
            Product::Scores { query: id, head_size, .. } => {
                head_cells(&planes[id.0], self.tokens_of(window)[query], head, head_size)
            }
            Product::Context { scores, .. } => planes[scores.0].row(self.score_token(head, window, query)),
        };
        self.layout.put_all(row, (0, 1), cells);
    }

    /// `bias + coincidences << F`, summed over all time steps (two_phase) or for each of them (each step).
    #[inline(always)]
    fn drives(&self, head: usize, query: usize, scratch: &mut Scratch) {
        let Scratch { matrix, row, drives, .. } = scratch;
        let channels = self.channels();
        for (v, drives) in drives.chunks_exact_mut(channels).enumerate() {
            let many = self.layout.vector(matrix, channels, v);
            coincidences(self.layout.vector(row, 1, v), many, self.fraction, drives);
            if let Product::Scores { bias, .. } = &self.product {
                let bias = &bias[(head * channels + query) * channels..][..channels];
                drives.iter_mut().zip(bias).for_each(|(drive, bias)| *drive += bias);
            }
        }
    }

    fn score_token(&self, head: usize, window: usize, query: usize) -> usize {
        (head * self.count + window) * self.windows.tokens() + query
    }

    fn output<'p>(
        &self,
        plane: &'p mut SpikePlane,
        head: usize,
        window: usize,
        query: usize,
    ) -> &'p mut [u8] {
        match self.product {
            Product::Scores { .. } => {
                plane.row_mut(self.score_token(head, window, query), 0, self.windows.tokens())
            }
            Product::Context { head_size, .. } => {
                plane.row_mut(self.tokens_of(window)[query], head * head_size, head_size)
            }
        }
    }

    /// Pairs of tokens in different shift regions never fire.
    #[inline(always)]
    fn separate_regions(&self, window: usize, query: usize, row: &mut [u8]) {
        let Product::Scores { regions, .. } = &self.product else { return };
        if regions.is_empty() {
            return;
        }
        let tokens = self.windows.tokens();
        let regions = &regions[window * tokens..][..tokens];
        let cell_bytes = row.len() / tokens;
        for (cell, &region) in row.chunks_exact_mut(cell_bytes).zip(regions) {
            if region != regions[query] {
                cell.fill(0);
            }
        }
    }
}

/// The cells of a token's head.
#[inline(always)]
fn head_cells(plane: &SpikePlane, token: usize, head: usize, head_size: usize) -> &[u8] {
    let size = head_size * plane.cell_bytes();
    &plane.row(token)[head * size..][..size]
}
