//! A small network with every operation, compiled for a small core.

use compile::ProgramOptions;
use isa::CoreConfig;
use isa::program::{Planes, Program};
use model::RunOptions;
use model::network::{
    Gather, Grid, ImageShape, Layer, LayerId, Network, Operation, Patch, SlotOrder, Walk, Weights, Windows,
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

pub fn weights(outputs: usize, inputs: usize) -> Weights {
    let data = (0..outputs * inputs).map(|i| (i * 37 % 101) as i8 - 50).collect();
    Weights { outputs, inputs, data }
}

pub fn layer(
    name: &str,
    operation: Operation,
    grid: Grid,
    channels: usize,
    walk: Walk,
    neurons: usize,
) -> Layer {
    let theta = vec![100; neurons];
    Layer { channels, walk, order: SlotOrder::Spread, rotate: 15, ..Layer::new(name, operation, grid, theta) }
}

pub fn dense(input: usize, gather: Gather, outputs: usize, inputs: usize) -> Operation {
    let bias = (0..outputs as i32).collect();
    Operation::Dense { input: LayerId(input), gather, weights: weights(outputs, inputs), bias }
}

/// Patches of an 8 x 8 image, shifted-window attention with two heads of 6, a shortcut, patch merging, three classes.
pub fn network() -> Network {
    let windows = Walk::Windows(WINDOWS);
    let half = Grid { rows: 2, columns: 2 };
    let token = |input, name| {
        let operation = dense(input, Gather::Token, CHANNELS, CHANNELS);
        let walk = if name == "proj" { Walk::Raster } else { windows };
        layer(name, operation, GRID, CHANNELS, walk, CHANNELS)
    };
    let patch = Patch { kernel: 2, stride: 2, padding: 0 };
    let embed = Operation::Analog { patch, weights: weights(CHANNELS, 4), bias: vec![7; CHANNELS] };
    let scores = Operation::Scores {
        query: LayerId(QUERY),
        key: LayerId(KEY),
        heads: HEADS,
        bias: (0..18).collect(),
        fraction: 3,
    };
    let context =
        Operation::Context { scores: LayerId(SCORES), value: LayerId(VALUE), heads: HEADS, fraction: 2 };
    let norm = Operation::Shortcut {
        inputs: vec![LayerId(EMBED), LayerId(PROJ)],
        gains: (0..24).collect(),
        bias: vec![0; CHANNELS],
    };
    let readout = Operation::Readout { input: LayerId(MERGE), weights: weights(3, 10), bias: vec![-1, 0, 1] };
    let merge = dense(NORM, Gather::Merge, 10, 4 * CHANNELS);
    let image = ImageShape { height: 8, width: 8, channels: 1 };
    let layers = vec![
        layer("embed", embed, GRID, CHANNELS, Walk::Raster, CHANNELS),
        token(EMBED, "q"),
        token(EMBED, "k"),
        token(EMBED, "v"),
        layer("scores", scores, GRID, 4, windows, HEADS),
        layer("context", context, GRID, CHANNELS, windows, CHANNELS),
        token(CONTEXT, "proj"),
        layer("norm", norm, GRID, CHANNELS, Walk::Raster, CHANNELS),
        layer("merge", merge, half, 10, Walk::Raster, 10),
        layer("readout", readout, half, 3, Walk::Raster, 0),
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
