//! Layers that read the image.

use super::Shape;
use super::builder::{Builder, Place};
use super::linear::Reading;
use isa::{Axis, Grid, ImageShape, Taps};
use model::network::{LayerId, Neuron, Source, Walk};
use std::ops::RangeInclusive;

/// Most that the bytes which a neuron sees may add up to in all time steps, with weights of 1: an eighth of 24 bits.
const ROOM: usize = 1 << 20;

impl Builder {
    /// The first layer, with an image for it.
    pub fn first(&mut self) -> LayerId {
        let (grid, taps, channels) = self.patches();
        let (height, width) =
            (self.positions(taps.rows, grid.rows), self.positions(taps.columns, grid.columns));
        self.network.image = ImageShape { height, width, channels };
        self.image = self.pixels(self.network.image.bytes());
        if self.random.chance(1, 2) {
            self.network.border = self.pixels(channels);
        }
        let place = Place { grid, walk: Walk::Raster, neuron: self.neuron() };
        // Now and then with more channels than the row buffers of most cores hold.
        let wide = self.shape == Shape::Ordinary && grid.tokens() <= 4 && self.random.chance(1, 2);
        let channels = wide.then(|| self.random.size(400, 1100));
        self.look(taps, channels, place)
    }

    /// A later layer that reads the image, too: of the grid of `like`, if taps take the image to it; else a convolution.
    pub fn second_look(&mut self, like: LayerId) -> LayerId {
        let grid = self.network.layer(like).grid;
        let image = self.network.image;
        let room = ROOM / (255 * self.time_steps * image.channels);
        match self.taps_between(image.grid(), grid, room.clamp(1, 16)) {
            Some(taps) if taps.count() <= room => {
                let place = self.raster_place(grid);
                self.look(taps, None, place)
            }
            _ => self.convolution(like),
        }
    }

    /// A layer of one or more terms of the image, the first with these taps.
    fn look(&mut self, taps: Taps, channels: Option<usize>, place: Place) -> LayerId {
        let image = self.network.image;
        let mut readings = vec![Reading::dense(Source::Image, taps)];
        let room = ROOM / (255 * self.time_steps * image.channels);
        if self.shape == Shape::Ordinary && self.random.chance(1, 4) {
            for _ in 0..self.random.size(1, 3) {
                let left = (room / (readings.len() + 1)).clamp(1, 49);
                if let Some(taps) = self.taps_between(image.grid(), place.grid, left) {
                    let shift = self.random.size(0, 7) as u32;
                    readings.push(Reading { shift, ..Reading::dense(Source::Image, taps) });
                }
            }
        }
        let inputs: usize = readings.iter().map(|reading| reading.taps.count() * image.channels).sum();
        if inputs * readings.len() * 255 * self.time_steps > ROOM {
            readings.truncate(1);
        }
        let by_channel = channels.is_none() && self.shape == Shape::Ordinary && self.random.chance(1, 8);
        if by_channel {
            readings[0].diagonal = true;
        }
        self.linear("image", &readings, if by_channel { Some(image.channels) } else { channels }, place)
    }

    /// A grid of tokens, how each samples the image, and the image's channels.
    fn patches(&mut self) -> (Grid, Taps, usize) {
        let mut largest = 5;
        loop {
            let (grid, most) = self.grid();
            let most_channels = if self.random.chance(1, 6) { 16 } else { 4 };
            let channels = self.random.size(1, most_channels);
            // Now and then one patch is larger than the row buffers of most cores.
            let huge = most > 1 && self.random.chance(1, 12) && self.budget > 20_000.0;
            let (grid, most) = if huge {
                (Grid { rows: grid.rows.min(2), columns: grid.columns.min(2) }, 20)
            } else {
                (grid, most.min(largest))
            };
            let least = if huge { 12 } else { 1 };
            let rows = self.patch(grid.rows, least..=most);
            let columns = self.patch(grid.columns, least..=most);
            let columns = if grid.rows == grid.columns && self.random.chance(1, 2) { rows } else { columns };
            let inputs = rows.kernel * columns.kernel * channels;
            let fits = inputs * 255 * self.time_steps <= ROOM;
            let cost = self.cost(grid.tokens(), 8, 4 * inputs, Neuron::TWO_PHASE);
            if fits && (cost <= self.budget * 0.4 || largest == 1 || self.shape != Shape::Ordinary) {
                return (grid, Taps { rows, columns }, channels);
            }
            largest = (largest - 1).max(1);
        }
    }

    /// How `tokens` tokens sample one side of an image, which is not all padding.
    fn patch(&mut self, tokens: usize, kernels: RangeInclusive<usize>) -> Axis {
        let kernel = self.random.size(*kernels.start(), *kernels.end());
        let stride = self.random.size(1, kernel + 1);
        let most = (kernel - 1).min(((tokens - 1) * stride + kernel - 1) / 2);
        Axis { kernel, stride, padding: self.random.size(0, most) }
    }

    /// Positions of the image along one side.
    fn positions(&mut self, axis: Axis, tokens: usize) -> usize {
        let least = (tokens - 1) * axis.stride + axis.kernel;
        let slack = self.random.size(0, axis.stride - 1);
        least + slack - 2 * axis.padding
    }

    fn pixels(&mut self, count: usize) -> Vec<u8> {
        let brightest = self.random.pick(&[0, 1, 60, 255, 255, 255]);
        let sparse = self.random.pick(&[1, 2, 5]);
        let pixel =
            |_| if self.random.chance(1, sparse) { self.random.between(0, brightest) as u8 } else { 0 };
        (0..count).map(pixel).collect()
    }

    /// A grid, and the largest kernel of the patches on it.
    fn grid(&mut self) -> (Grid, usize) {
        if self.shape != Shape::Ordinary {
            return (self.stretched_grid(), 1);
        }
        if self.random.chance(1, 4) {
            return (Grid { rows: self.random.size(1, 13), columns: self.random.size(1, 13) }, 5);
        }
        if self.random.chance(1, 10) {
            return (Grid { rows: self.random.size(1, 2), columns: self.random.size(1, 2) }, 3);
        }
        let size = self.random.size(2, 8);
        let most = if self.budget > 40_000.0 { 12 } else { 8 };
        let windows = most / size;
        (Grid { rows: size * self.random.size(1, windows), columns: size * self.random.size(1, windows) }, 5)
    }
}
