//! How long the reference takes: for a whole image of the shipped network, and for single operations of its size.
//!
//! An operation needs spikes to work on, so each is measured behind an analog layer, which is measured alone, too.

use criterion::{Criterion, criterion_group, criterion_main};
use images::Dataset;
use isa::Neuron;
use model::network::{
    Gather, Grid, ImageShape, Layer, LayerId, Network, Operation, Patch, Walk, Weights, Windows,
};
use model::{Executor, RunOptions};
use std::hint::black_box;
use std::path::{Path, PathBuf};

const MODES: [(&str, Neuron); 2] = [("two_phase", Neuron::TwoPhase), ("if", Neuron::If)];
const TIME_STEPS: u32 = 8;
/// Channels and grid of the shipped network's first stage.
const CHANNELS: usize = 32;
const GRID: Grid = Grid { rows: 14, columns: 14 };

fn models(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name)
}

fn run(criterion: &mut Criterion, name: &str, network: &Network, image: &[u8]) {
    let mut group = criterion.benchmark_group(name);
    for (mode, neuron) in MODES {
        let options = RunOptions { neuron: Some(neuron), ..RunOptions::new(TIME_STEPS) };
        let configured = network.configure(&options).expect("the network runs 8 steps");
        let executor = Executor::new(&configured);
        group.bench_function(mode, |bencher| {
            bencher.iter(|| executor.classify(black_box(image)).expect("the image fits"))
        });
    }
    group.finish();
}

fn whole_image(criterion: &mut Criterion) {
    let network = Network::load(&models("fashion-mnist/net.mst")).expect("the network ships");
    let data = Dataset::load(&models("data/fashion-mnist"), &network).expect("the images ship");
    run(criterion, "whole image", &network, data.image(0));
}

/// Weights without a pattern.
fn weights(outputs: usize, inputs: usize) -> Weights {
    let weight = |n: usize| (n.wrapping_mul(2_654_435_761) >> 13) as i8 / 2;
    Weights { outputs, inputs, data: (0..outputs * inputs).map(weight).collect() }
}

fn layer(name: &str, operation: Operation, channels: usize, walk: Walk, theta: Vec<i32>) -> Layer {
    Layer { channels, walk, ..Layer::new(name, operation, GRID, theta) }
}

/// An analog layer, then `operations`, then a readout of the analog layer.
fn small(operations: impl IntoIterator<Item = Layer>) -> Network {
    let patch = Patch { kernel: 2, stride: 2, padding: 0 };
    let analog = Operation::Analog { patch, weights: weights(CHANNELS, 4), bias: vec![0; CHANNELS] };
    let readout = Operation::Readout { input: LayerId(0), weights: weights(10, CHANNELS), bias: vec![0; 10] };
    let mut layers = vec![layer("analog", analog, CHANNELS, Walk::Raster, vec![9000; CHANNELS])];
    layers.extend(operations);
    layers.push(layer("readout", readout, 10, Walk::Raster, Vec::new()));
    let image = ImageShape { height: 28, width: 28, channels: 1 };
    Network::new("small", image, 10, layers, 1)
}

fn operations(criterion: &mut Criterion) {
    let image: Vec<u8> = (0..28 * 28).map(|n| (n * 37 % 251) as u8).collect();
    let windows = Windows { size: 7, shift: 3 };
    let dense = |outputs: usize| {
        let operation = Operation::Dense {
            input: LayerId(0),
            gather: Gather::Token,
            weights: weights(outputs, CHANNELS),
            bias: vec![0; outputs],
        };
        layer("dense", operation, outputs, Walk::Raster, vec![400; outputs])
    };
    let scores = || {
        let bias = vec![0; windows.positions()];
        let operation = Operation::Scores { query: LayerId(0), key: LayerId(0), heads: 1, bias, fraction: 0 };
        layer("scores", operation, windows.tokens(), Walk::Windows(windows), vec![8])
    };
    let context = || {
        let operation = Operation::Context { scores: LayerId(1), value: LayerId(0), heads: 1, fraction: 0 };
        layer("context", operation, CHANNELS, Walk::Windows(windows), vec![6; CHANNELS])
    };
    run(criterion, "analog", &small([]), &image);
    run(criterion, "analog and dense 32 to 128", &small([dense(128)]), &image);
    run(criterion, "analog and scores", &small([scores()]), &image);
    run(criterion, "analog, scores and context", &small([scores(), context()]), &image);
}

criterion_group!(benches, whole_image, operations);
criterion_main!(benches);
