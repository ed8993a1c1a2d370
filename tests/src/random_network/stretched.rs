//! Networks that are large in one way and small in all others, such that the upper bits of what a descriptor holds are used.

use super::Case;
use super::builder::Builder;
use crate::random::Random;
use isa::Taps;
use model::RunOptions;
use model::network::Grid;

/// In which way a network is large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// In none.
    Ordinary,
    /// Thousands of tokens in a row or column of the grid.
    Long,
    /// Rows as wide as buffers of 512 inputs take, hundreds of classes.
    Wide,
    /// Many heads of attention, or a large one.
    Heads,
    /// One window that is the whole grid, of so many rows and columns.
    Window(usize),
}

/// Most tokens of a long grid.
const LONGEST: usize = 2000;
/// Most channels of a layer that another one reads, a head's padded to words of 8.
const WIDEST: usize = 512;

impl Case {
    /// A network that is long, wide, or has many heads, in turn.
    pub fn stretched(seed: u64) -> Case {
        let shape = [Shape::Long, Shape::Wide, Shape::Heads][seed as usize % 3];
        let time_steps = Random(seed).between(1, 10) as u32;
        Case::shaped(seed, shape, time_steps, |builder| {
            let input = builder.first();
            let attends = shape == Shape::Heads || shape == Shape::Long && builder.random.chance(1, 2);
            let attention = if attends { builder.attention(input, input) } else { None };
            let output = attention.unwrap_or_else(|| builder.dense(input, None, Taps::TOKEN));
            let output = if shape == Shape::Wide { builder.shortcut(&[output]) } else { output };
            builder.readout(output);
        })
    }

    /// A vision transformer's attention: one window over the whole grid of `size` x `size` tokens, few channels.
    pub fn one_window(seed: u64, size: usize) -> Case {
        let time_steps = Random(seed).between(2, 8) as u32;
        let mut case = Case::shaped(seed, Shape::Window(size), time_steps, |builder| {
            let input = builder.first();
            let output = builder.attention(input, input).expect("the window is the grid");
            builder.readout(output);
        });
        case.size = size as u32;
        case
    }

    /// A network of so many small layers.
    pub fn deep(layers: usize) -> Case {
        Case::shaped(layers as u64, Shape::Ordinary, 2, |builder| {
            let mut current = builder.first();
            for _ in 2..layers {
                current = builder.dense(current, Some(3), Taps::TOKEN);
            }
            builder.readout(current);
        })
    }

    /// A random network of 41 to 64 time steps, every fourth of 64.
    pub fn long_running(seed: u64) -> Case {
        let time_steps = if seed.is_multiple_of(4) { 64 } else { Random(seed).between(41, 64) as u32 };
        Case::shaped(seed, Shape::Ordinary, time_steps, |builder| builder.steps(2))
    }

    fn shaped(seed: u64, shape: Shape, time_steps: u32, build: impl Fn(&mut Builder)) -> Case {
        let mut builder = Builder::new(Random(!seed), shape, time_steps as usize, 100_000.0);
        build(&mut builder);
        let Builder { network, image, .. } = builder;
        Case { seed, size: 1, network, image, options: RunOptions::new(time_steps) }
    }
}

impl Builder {
    /// A number in `1..=most`, small ones and large ones alike.
    fn of_any_size(&mut self, most: usize) -> usize {
        ((most + 1) as f64).powf(self.random.unit()) as usize
    }

    pub(super) fn stretched_grid(&mut self) -> Grid {
        match self.shape {
            Shape::Long => {
                let size = self.random.size(1, 4);
                let (long, short) = (size * self.of_any_size(LONGEST / size), size);
                let (rows, columns) = self.random.pick(&[(long, short), (short, long)]);
                Grid { rows, columns }
            }
            Shape::Wide => Grid { rows: 1, columns: self.random.size(1, 4) },
            Shape::Ordinary | Shape::Heads => Grid { rows: 2, columns: 2 },
            Shape::Window(size) => Grid { rows: size, columns: size },
        }
    }

    /// The first layer is wide, for one input of the image; what reads it is not.
    pub(super) fn wide_channels(&mut self, fan_in: usize) -> usize {
        let most = if fan_in <= 3 { WIDEST } else { 24 };
        self.random.size(1, most)
    }

    /// Heads and channels of each, all together no more than a row.
    pub(super) fn stretched_heads(&mut self) -> (usize, usize) {
        let heads = self.random.size(1, WIDEST / 8);
        let small = self.random.size(1, 3);
        let large = self.random.size(1, WIDEST / heads / 8 * 8);
        (heads, self.random.pick(&[small, large]))
    }
}
