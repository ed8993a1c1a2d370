//! How long the reference takes: for a whole image of the shipped network, and for single operations of its size.
//!
//! An operation needs spikes to work on, so each is measured behind a layer that reads the image, which is measured alone, too.

use criterion::{Criterion, criterion_group, criterion_main};
use images::Dataset;
use model::network::{
    Grid, ImageShape, Layer, LayerId, Network, Operation, Schedule, Source, Taps, Term, Walk, Weights,
    Windows,
};
use model::{Executor, RunOptions};
use std::hint::black_box;
use std::path::{Path, PathBuf};

const MODES: [(&str, Schedule); 2] = [("two_phase", Schedule::AfterAll), ("if", Schedule::EachStep)];
const TIME_STEPS: u32 = 8;
/// Channels and grid of the shipped network's first stage.
const CHANNELS: usize = 32;
const GRID: Grid = Grid { rows: 14, columns: 14 };

fn models(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name)
}

fn run(criterion: &mut Criterion, name: &str, network: &Network, image: &[u8]) {
    let mut group = criterion.benchmark_group(name);
    for (mode, schedule) in MODES {
        let options = RunOptions { schedule: Some(schedule), ..RunOptions::new(TIME_STEPS) };
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
fn weights(outputs: usize, inputs: usize) -> Vec<i8> {
    let weight = |n: usize| (n.wrapping_mul(2_654_435_761) >> 13) as i8 / 2;
    (0..outputs * inputs).map(weight).collect()
}

fn linear(name: &str, term: Term, channels: usize, theta: i32) -> Layer {
    let operation = Operation::Linear { terms: vec![term], bias: vec![0; channels] };
    layer(name, operation, channels, Walk::Raster, vec![theta; channels])
}

fn layer(name: &str, operation: Operation, channels: usize, walk: Walk, theta: Vec<i32>) -> Layer {
    Layer { channels, walk, ..Layer::new(name, operation, GRID, theta) }
}

/// A layer that reads the image, then `operations`, then a readout of the first layer.
fn small(operations: impl IntoIterator<Item = Layer>) -> Network {
    let weights_of_image = Weights::Dense(weights(CHANNELS, 4));
    let image =
        Term { source: Source::Image, taps: Taps::square(2, 2, 0), weights: weights_of_image, shift: 0 };
    let readout = Term::dense(LayerId(0), weights(10, CHANNELS));
    let mut layers = vec![linear("image", image, CHANNELS, 9000)];
    layers.extend(operations);
    layers.push(Layer::readout("readout", vec![readout], vec![0; 10], GRID));
    let image = ImageShape { height: 28, width: 28, channels: 1 };
    Network::new("small", image, 10, layers, 1)
}

fn operations(criterion: &mut Criterion) {
    let image: Vec<u8> = (0..28 * 28).map(|n| (n * 37 % 251) as u8).collect();
    let windows = Windows { size: 7, shift: 3 };
    let dense =
        |outputs: usize| linear("dense", Term::dense(LayerId(0), weights(outputs, CHANNELS)), outputs, 400);
    let convolution = || {
        let weights = Weights::Dense(weights(CHANNELS, 9 * CHANNELS));
        let taps = Taps::square(3, 1, 1);
        linear(
            "convolution",
            Term { source: Source::Plane(LayerId(0)), taps, weights, shift: 0 },
            CHANNELS,
            2000,
        )
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
    run(criterion, "image", &small([]), &image);
    run(criterion, "image and dense 32 to 128", &small([dense(128)]), &image);
    run(criterion, "image and convolution 3x3, 32 to 32", &small([convolution()]), &image);
    run(criterion, "image and scores", &small([scores()]), &image);
    run(criterion, "image, scores and context", &small([scores(), context()]), &image);
}

criterion_group!(benches, whole_image, operations);
criterion_main!(benches);
