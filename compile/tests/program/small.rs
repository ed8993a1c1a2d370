//! A small network with every operation, compiled for a small core.

use compile::ProgramOptions;
use isa::CoreConfig;
use isa::program::{Planes, Program};
use model::RunOptions;
use model::network::{
    Grid, ImageShape, Layer, LayerId, Network, Operation, SlotOrder, Source, Taps, Term, Walk, Weights,
    Windows,
};

pub const WINDOWS: Windows = Windows { size: 2, shift: 1 };
pub const GRID: Grid = Grid { rows: 4, columns: 4 };
pub const CHANNELS: usize = 12;
pub const HEADS: usize = 2;
pub const TIME_STEPS: u32 = 12;
pub const EMBED: usize = 0;
pub const QUERY: usize = 1;
pub const KEY: usize = 2;
pub const VALUE: usize = 3;
pub const SCORES: usize = 4;
pub const CONTEXT: usize = 5;
pub const PROJ: usize = 6;
pub const NORM: usize = 7;
pub const MERGE: usize = 8;
pub const READOUT: usize = 9;

/// `outputs` rows of `inputs` weights.
pub fn weights(outputs: usize, inputs: usize) -> Vec<i8> {
    (0..outputs * inputs).map(|i| (i * 37 % 101) as i8 - 50).collect()
}

pub fn layer(name: &str, operation: Operation, grid: Grid, channels: usize, walk: Walk) -> Layer {
    let neurons = if let Operation::Scores { heads, .. } = operation { heads } else { channels };
    let theta = vec![100; neurons];
    Layer { channels, walk, order: SlotOrder::Spread, rotate: 15, ..Layer::new(name, operation, grid, theta) }
}

/// A dense term with `inputs` channels in each tap.
pub fn dense(source: Source, taps: Taps, outputs: usize, inputs: usize) -> Term {
    Term { source, taps, weights: Weights::Dense(weights(outputs, taps.count() * inputs)), shift: 0 }
}

pub fn linear(terms: Vec<Term>, outputs: usize) -> Operation {
    Operation::Linear { terms, bias: (0..outputs as i32).collect() }
}

pub fn plane(layer: usize) -> Source {
    Source::Plane(LayerId(layer))
}

/// Patches of an 8 x 8 image, shifted-window attention with two heads of 6, a shortcut, patch merging, three classes.
pub fn network() -> Network {
    let windows = Walk::Windows(WINDOWS);
    let half = Grid { rows: 2, columns: 2 };
    let token = |input, name| {
        let operation = linear(vec![dense(plane(input), Taps::TOKEN, CHANNELS, CHANNELS)], CHANNELS);
        let walk = if name == "proj" { Walk::Raster } else { windows };
        layer(name, operation, GRID, CHANNELS, walk)
    };
    let embed = Operation::Linear {
        terms: vec![dense(Source::Image, Taps::square(2, 2, 0), CHANNELS, 1)],
        bias: vec![7; CHANNELS],
    };
    let scores = Operation::Scores {
        query: LayerId(QUERY),
        key: LayerId(KEY),
        heads: HEADS,
        bias: (0..18).collect(),
        fraction: 3,
    };
    let context =
        Operation::Context { scores: LayerId(SCORES), value: LayerId(VALUE), heads: HEADS, fraction: 2 };
    let gains = |first: i8| (first..first + CHANNELS as i8).collect();
    let norm = Operation::Linear {
        terms: vec![
            Term::diagonal(LayerId(EMBED), gains(0)),
            Term::diagonal(LayerId(PROJ), gains(CHANNELS as i8)),
        ],
        bias: vec![0; CHANNELS],
    };
    let merge = linear(vec![dense(plane(NORM), Taps::square(2, 2, 0), 10, CHANNELS)], 10);
    let readout =
        Layer::readout("readout", vec![dense(plane(MERGE), Taps::TOKEN, 3, 10)], vec![-1, 0, 1], half);
    let image = ImageShape { height: 8, width: 8, channels: 1 };
    let layers = vec![
        layer("embed", embed, GRID, CHANNELS, Walk::Raster),
        token(EMBED, "q"),
        token(EMBED, "k"),
        token(EMBED, "v"),
        layer("scores", scores, GRID, 4, windows),
        layer("context", context, GRID, CHANNELS, windows),
        token(CONTEXT, "proj"),
        layer("norm", norm, GRID, CHANNELS, Walk::Raster),
        layer("merge", merge, half, 10, Walk::Raster),
        readout,
    ];
    Network::new("small", image, 3, layers, 5)
}

pub fn tiny() -> CoreConfig {
    CoreConfig::preset("tiny").unwrap()
}

pub fn options(planes: Planes) -> ProgramOptions {
    ProgramOptions { memory_size: 1 << 20, planes }
}

pub fn compile(network: &Network, core: &CoreConfig, planes: Planes) -> Result<Program, String> {
    let run = RunOptions { membrane_bits: 32, ..RunOptions::new(TIME_STEPS) };
    let configured = network.configure(&run).map_err(|error| error.to_string())?;
    compile::compile(&configured, core, &options(planes)).map_err(|error| error.to_string())
}

pub fn program() -> Program {
    compile(&network(), &tiny(), Planes::Keep).unwrap()
}
