//! One small network that has everything: each operation, several passes in strips, taps beyond the edge, both schedules, masks.

use super::Case;
use super::Shape;
use super::builder::{Builder, Place};
use super::linear::Reading;
use crate::random::Random;
use isa::{Axis, Grid, ImageShape, Taps};
use model::RunOptions;
use model::network::{LayerId, Mask, Neuron, Source, Walk, Windows};

/// Time steps: two chunks, the second of them not full.
const TIME_STEPS: u32 = 10;
/// Tokens of most layers.
const GRID: Grid = Grid { rows: 4, columns: 4 };
/// Channels of most layers: a word and a half.
const CHANNELS: usize = 12;

impl Case {
    /// The network with everything; weights and image are a function of the seed.
    pub fn everything(seed: u64) -> Case {
        let mut builder = Builder::new(Random(seed), Shape::Ordinary, TIME_STEPS as usize, 1e9);
        builder.network.seed = 0x1234_5678;
        builder.network.image = ImageShape { height: 8, width: 7, channels: 2 };
        builder.image = (0..8 * 7 * 2).map(|_| builder.random.bits() as u8).collect();
        builder.everything();
        let Builder { network, image, .. } = builder;
        Case { seed, size: 1, network, image, options: RunOptions::new(TIME_STEPS) }
    }
}

impl Builder {
    fn everything(&mut self) {
        let windows = Windows { size: 2, shift: 1 };
        let place = |neuron| Place { grid: GRID, walk: Walk::Raster, neuron };
        let window_place = |neuron| Place { walk: Walk::Windows(windows), ..place(neuron) };

        let rows = Axis { kernel: 3, stride: 2, padding: 1 };
        let pixels = Taps { rows, columns: Axis { kernel: 3, stride: 2, padding: 1 } };
        let image = [Reading::dense(Source::Image, pixels)];
        let image = self.linear("image", &image, Some(CHANNELS), place(Neuron::TWO_PHASE));
        let dense = [Reading::dense(Source::Plane(image), Taps::TOKEN)];
        let dense = self.linear("dense", &dense, Some(CHANNELS), place(Neuron::TWO_PHASE));
        self.mask(dense, Mask { ratio: 64, ..Mask::labelled("fc1") });

        // Four descriptors, two passes each: taps beyond the edge, and a gain a channel of another plane.
        let residual = [
            Reading::dense(Source::Plane(dense), Taps::square(3, 1, 1)),
            Reading { shift: 2, ..Reading::diagonal(image, Taps::TOKEN) },
        ];
        let residual = self.linear("residual", &residual, Some(CHANNELS), place(Neuron::IF));
        self.mask(residual, Mask { ratio: 32, ..Mask::labelled("conv") });
        let stream: Vec<Reading> =
            [image, residual, dense].map(|id| Reading::diagonal(id, Taps::TOKEN)).to_vec();
        let stream = self.linear("shortcut", &stream, Some(CHANNELS), window_place(Neuron::TWO_PHASE));

        let operand = |builder: &mut Builder, neuron| {
            let reading = [Reading::dense(Source::Plane(stream), Taps::TOKEN)];
            let id = builder.linear("dense", &reading, Some(2 * 5), window_place(neuron));
            builder.raster.retain(|other| *other != id);
            id
        };
        let key = operand(self, Neuron::TWO_PHASE);
        let value = operand(self, Neuron::IF);
        let query = operand(self, Neuron::TWO_PHASE);
        self.mask(query, Mask { ratio: 100, shared: true, ..Mask::labelled("q") });
        let scores = self.scores([query, key], 2, windows, window_place(Neuron::TWO_PHASE));
        self.mask(scores, Mask { ratio: 16, shared: true, ..Mask::labelled("attn") });
        let context = self.context([scores, value], 2, windows, window_place(Neuron::IF));
        let projection = [Reading::dense(Source::Plane(context), Taps::TOKEN)];
        let projection = self.linear("dense", &projection, Some(CHANNELS), place(Neuron::OR));

        let half = Place { grid: Grid { rows: 2, columns: 2 }, ..place(Neuron::TWO_PHASE) };
        let merged = [Reading::dense(Source::Plane(projection), Taps::square(2, 2, 0))];
        let merged = self.linear("merge", &merged, Some(9), half);
        let readout = [
            Reading::dense(Source::Plane(merged), Taps::TOKEN),
            Reading { shift: 1, ..Reading::dense(Source::Plane(stream), Taps::square(3, 2, 1)) },
        ];
        self.readout_of(&readout, 5, half.grid);
    }

    fn mask(&mut self, id: LayerId, mask: Mask) {
        self.network.layers[id.0].mask = mask;
    }
}
