//! The float forward pass of a checkpoint: the analog network whose accuracy the integer one is measured against.
//!
//! Masks are random, activations are not: a masked site passes on its expected activation, QCFS times the share of spikes that
//! are kept. So the logits of a masked checkpoint are those of the expected activations, not the mean of masked runs.

use crate::checkpoint::{Architecture, Attention, BatchNorm, Checkpoint, Linear, Norm};
use crate::error::ModelError;
use crate::network::{Grid, Taps, Walk, Windows};
use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

/// Told the name of each activation site, as the integer network names its layer, and its values: tokens x channels.
pub type Observer<'o> = &'o mut dyn FnMut(&str, ArrayView2<'_, f32>);

impl Checkpoint {
    /// The logits of one image of bytes.
    ///
    /// # Errors
    /// If the image does not have the size that the network takes.
    pub fn logits(&self, image: &[u8]) -> Result<Vec<f32>, ModelError> {
        self.observe(image, &mut |_, _| ())
    }

    /// The logits of many images, on all threads of the rayon pool.
    ///
    /// # Errors
    /// If an image does not have the size that the network takes.
    pub fn logits_batch(&self, images: &[&[u8]]) -> Result<Vec<Vec<f32>>, ModelError> {
        images.par_iter().map(|image| self.logits(image)).collect()
    }

    /// The logits of one image; `observer` sees every activation as it is passed on. Tokens are in raster order; `scores` come head by head, window
    /// by window, query by query.
    ///
    /// # Errors
    /// If the image does not have the size that the network takes.
    pub fn observe(&self, image: &[u8], observer: Observer<'_>) -> Result<Vec<f32>, ModelError> {
        self.forward(image, observer, Jitter::none()).map(|(logits, _)| logits)
    }

    /// The logits of one image whose activations are moved by `jitter`, and the largest sum of magnitudes that a logit adds up.
    pub(crate) fn logits_with(&self, image: &[u8], jitter: Jitter) -> Result<(Vec<f32>, f32), ModelError> {
        self.forward(image, &mut |_, _| (), jitter)
    }

    fn forward(
        &self,
        image: &[u8],
        observer: Observer<'_>,
        jitter: Jitter,
    ) -> Result<(Vec<f32>, f32), ModelError> {
        let architecture = &self.architecture;
        let expected = architecture.image.bytes();
        if image.len() != expected {
            return Err(ModelError::ImageSize { found: image.len(), expected });
        }
        let mut forward = Forward { checkpoint: self, observer, jitter };
        let mut x = forward.linear("patch_embed", &self.patch_embed, self.patches(image).view());
        for (stage, parts) in self.stages.iter().enumerate() {
            for (number, block) in parts.blocks.iter().enumerate() {
                let name = |part: &str| format!("stages.{stage}.blocks.{number}.{part}");
                let h = forward.norm(&name("norm1"), &block.norm1, &x);
                let windows = architecture.windows(stage, number);
                let heads = architecture.heads[stage];
                let place = Place { grid: architecture.grid(stage), windows, heads };
                x += &forward.attention(&name("attn"), &block.attention, h.view(), place);
                let h = forward.norm(&name("norm2"), &block.norm2, &x);
                let hidden = forward.linear(&name("mlp.fc1"), &block.fc1, h.view());
                x += &forward.linear(&name("mlp.fc2"), &block.fc2, hidden.view());
            }
            if let Some(merge) = &parts.merge {
                let h = forward.norm(&format!("stages.{stage}.merge.norm"), &merge.norm, &x);
                let merged = merged(&h, architecture.grid(stage));
                x = forward.linear(
                    &format!("stages.{stage}.merge.reduction"),
                    &merge.reduction,
                    merged.view(),
                );
            }
        }
        let h = forward.norm("head.norm", &self.head.norm, &x);
        let mean = h.mean_axis(Axis(0)).expect("a grid has tokens");
        let (weight, bias) = (&self.head.weight, &self.head.bias);
        let logits = weight.dot(&mean).iter().zip(bias).map(|(sum, bias)| sum + bias).collect();
        let magnitudes = weight.mapv(f32::abs).dot(&mean).into_iter().zip(bias);
        let magnitude = magnitudes.fold(0f32, |largest, (sum, bias)| largest.max(sum + bias.abs()));
        Ok((logits, magnitude))
    }

    /// Patches x normalised pixels, channel by channel, row by row.
    fn patches(&self, image: &[u8]) -> Array2<f32> {
        let Architecture { image: shape, patch, .. } = self.architecture;
        let grid = self.architecture.grid(0);
        let (taps, area) = (Taps::square(patch, patch, 0), patch * patch);
        let mut pixels = Vec::with_capacity(grid.tokens() * shape.channels * area);
        for token in 0..grid.tokens() {
            for (channel, bytes) in image.chunks_exact(shape.grid().tokens()).enumerate() {
                let patch = taps.positions(shape.grid(), grid, token).flatten();
                pixels.extend(patch.map(|at| self.input.pixel(channel, bytes[at])));
            }
        }
        Array2::from_shape_vec((grid.tokens(), shape.channels * area), pixels)
            .expect("as many pixels as patches have")
    }
}

/// Moves what activations round, at random: a stand-in for the rounding of another float32 implementation.
///
/// A site adds up terms of some 64 levels in magnitude, so its float32 sum of `n` terms is off by about 2^-24 of that, 2^-18 of a
/// level, and by `sqrt(n)` times 2^-22 of a level where that is more. (Measured on the shipped network, between float32 and float64: 2^-17 of a level at
/// most, over all activations of ten images.) Each activation is moved by up to four times as much either way, so those that lie so
/// near a step of their QCFS that another order of addition may take them across it cross it in some passes.
pub(crate) struct Jitter(Option<u64>);

impl Jitter {
    /// Moves nothing.
    pub fn none() -> Jitter {
        Jitter(None)
    }

    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Jitter {
        Jitter(Some(seed))
    }

    /// How far the next activation is moved, in units of the most that it is moved.
    pub fn next(&mut self) -> f32 {
        let Some(state) = &mut self.0 else { return 0.0 };
        // A linear congruential generator; its upper bits are the better ones.
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let unit = (*state >> 40) as f32 / (1u64 << 24) as f32;
        2.0 * unit - 1.0
    }
}

/// Each 2x2 square of tokens as one token of four times the channels.
fn merged(x: &Array2<f32>, grid: Grid) -> Array2<f32> {
    let (channels, columns) = (x.ncols(), grid.columns / 2);
    Array2::from_shape_fn((grid.tokens() / 4, 4 * channels), |(token, c)| {
        let (part, channel) = (c / channels, c % channels);
        let (row, column) = (token / columns * 2 + part / 2, token % columns * 2 + part % 2);
        x[(row * grid.columns + column, channel)]
    })
}

/// Where attention takes place.
struct Place {
    grid: Grid,
    windows: Windows,
    heads: usize,
}

/// Whose thresholds they are.
#[derive(Clone, Copy)]
enum Thresholds<'a> {
    /// One a column.
    OfChannels(&'a [f32]),
    /// One a head; the rows of a head follow each other.
    OfHeads(&'a [f32]),
}

struct Forward<'a, 'o> {
    checkpoint: &'a Checkpoint,
    observer: Observer<'o>,
    jitter: Jitter,
}

impl Forward<'_, '_> {
    /// `threshold * clip(floor(x * levels / threshold + 1/2) / levels, 0, 1)`, times the share of spikes that a mask keeps.
    /// Thresholds are those of the columns, or, where `x` is the scores of heads one below the other, of the heads. Each element
    /// of `x` was added up from `terms`.
    fn qcfs(&mut self, name: &str, x: &mut Array2<f32>, thresholds: Thresholds<'_>, terms: usize) {
        let levels = self.checkpoint.architecture.levels as f32;
        let kept = self.checkpoint.masks.get(name).map_or(1.0, |mask| mask.kept_of_products() as f32);
        let jitter = &mut self.jitter;
        let most = (terms as f32).sqrt().max(16.0) / (1 << 20) as f32;
        let mut fire = |x: &mut f32, threshold: f32| {
            let level = (*x * (levels / threshold) + 0.5 + most * jitter.next()).floor();
            *x = threshold * kept * (level / levels).clamp(0.0, 1.0);
        };
        let rows = x.nrows();
        for (row, mut cells) in x.rows_mut().into_iter().enumerate() {
            match thresholds {
                Thresholds::OfChannels(thresholds) => {
                    cells.iter_mut().zip(thresholds).for_each(|(x, &threshold)| fire(x, threshold));
                }
                Thresholds::OfHeads(thresholds) => {
                    let threshold = thresholds[row * thresholds.len() / rows];
                    cells.iter_mut().for_each(|x| fire(x, threshold));
                }
            }
        }
        (self.observer)(name, x.view());
    }

    fn linear(&mut self, name: &str, linear: &Linear, x: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut y = x.dot(&linear.weight.t());
        batch_norm(&mut y, &linear.norm);
        self.qcfs(name, &mut y, Thresholds::OfChannels(&linear.thresholds), linear.weight.ncols());
        y
    }

    fn norm(&mut self, name: &str, norm: &Norm, x: &Array2<f32>) -> Array2<f32> {
        let mut y = x.clone();
        batch_norm(&mut y, &norm.norm);
        self.qcfs(name, &mut y, Thresholds::OfChannels(&norm.thresholds), 1);
        y
    }

    fn attention(
        &mut self,
        name: &str,
        attention: &Attention,
        h: ArrayView2<'_, f32>,
        place: Place,
    ) -> Array2<f32> {
        let Place { grid, windows, heads } = place;
        let q = self.linear(&format!("{name}.q"), &attention.q, h);
        let k = self.linear(&format!("{name}.k"), &attention.k, h);
        let v = self.linear(&format!("{name}.v"), &attention.v, h);
        let (n, head_size, count) = (windows.tokens(), q.ncols() / heads, windows.count(grid));
        let order: Vec<usize> = Walk::Windows(windows).steps(grid).map(|step| step.token).collect();
        let block = |x: &Array2<f32>, head: usize, window: usize| {
            let rows = x.select(Axis(0), &order[window * n..(window + 1) * n]);
            rows.slice(s![.., head * head_size..(head + 1) * head_size]).to_owned()
        };
        let mut scores = Array2::zeros((heads * count * n, n));
        for b in 0..heads * count {
            let (head, window) = (b / count, b % count);
            let products =
                block(&q, head, window).dot(&block(&k, head, window).t()) / (head_size as f32).sqrt();
            for ((i, j), product) in products.indexed_iter() {
                scores[(b * n + i, j)] = product + attention.bias_table[(windows.relative(i, j), head)];
            }
        }
        let connected = |b: usize, i: usize, j: usize| {
            windows.region(grid, b % count, i) == windows.region(grid, b % count, j)
        };
        // QCFS makes this 0.
        for ((token, j), score) in scores.indexed_iter_mut() {
            if !connected(token / n, token % n, j) {
                *score = f32::NEG_INFINITY;
            }
        }
        self.qcfs(
            &format!("{name}.scores"),
            &mut scores,
            Thresholds::OfHeads(&attention.score_thresholds),
            head_size,
        );
        let mut context = Array2::zeros(q.raw_dim());
        for b in 0..heads * count {
            let (head, window) = (b / count, b % count);
            let sums = scores.slice(s![b * n..(b + 1) * n, ..]).dot(&block(&v, head, window));
            for ((i, c), &sum) in sums.indexed_iter() {
                context[(order[window * n + i], head * head_size + c)] = sum;
            }
        }
        let thresholds = Thresholds::OfChannels(&attention.context_thresholds);
        self.qcfs(&format!("{name}.context"), &mut context, thresholds, n);
        self.linear(&format!("{name}.proj"), &attention.proj, context.view())
    }
}

fn batch_norm(x: &mut Array2<f32>, norm: &BatchNorm) {
    for mut row in x.rows_mut() {
        for ((x, &gain), &offset) in row.iter_mut().zip(&norm.gain).zip(&norm.offset) {
            *x = (f64::from(*x) * gain + offset) as f32;
        }
    }
}
