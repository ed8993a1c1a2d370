//! What the compiler of programs refuses, and how it says so.

use crate::small::*;
use isa::CoreConfig;
use isa::program::Planes;
use model::RunOptions;
use model::network::{Grid, ImageShape, Layer, Network, Neuron, Operation, Source, Taps, Walk, Windows};

fn refused(network: &Network, core: &CoreConfig) -> String {
    compile(network, core, Planes::Keep).unwrap_err()
}

#[test]
fn sums_that_a_membrane_cannot_hold_are_refused() {
    let message = refused(&network(), &CoreConfig { membrane_bits: 16, ..tiny() });
    assert!(message.contains("layer 0 `embed`") && message.contains("membrane"), "{message}");
}

/// A convolution of 24 channels, 216 inputs, over the windows of a grid of 8 x 8 tokens.
fn convolution(windows: usize, neuron: Neuron) -> Network {
    let grid = Grid { rows: 8, columns: 8 };
    let image = ImageShape { height: 8, width: 8, channels: 1 };
    let embed = linear(vec![dense(Source::Image, Taps::TOKEN, 24, 1)], 24);
    let conv = linear(vec![dense(plane(0), Taps::square(3, 1, 1), 24, 24)], 24);
    let walk = Walk::Windows(Windows { size: windows, shift: 0 });
    let layers = vec![
        layer("embed", embed, grid, 24, Walk::Raster),
        Layer { neuron: Some(neuron), ..layer("conv", conv, grid, 24, walk) },
        Layer::readout("readout", vec![dense(plane(1), Taps::TOKEN, 3, 24)], vec![0; 3], grid),
    ];
    Network::new("convolution", image, 3, layers, 5)
}

#[test]
fn a_token_whose_time_steps_do_not_fit_is_refused() {
    let narrow = CoreConfig { max_fan_in: 64, weight_rows: 64, sum_rows: 16, membrane_bits: 32, ..tiny() };
    let mut network = convolution(4, Neuron::IF);
    network.layers[1].walk = Walk::Raster;
    let run = |steps| RunOptions { membrane_bits: 32, ..RunOptions::new(steps) };
    let compile = |steps| {
        let configured = network.configure(&run(steps)).unwrap();
        compile::compile(&configured, &narrow, &options(Planes::Keep)).map_err(|error| error.to_string())
    };
    compile(16).unwrap();
    let message = compile(17).unwrap_err();
    assert!(
        message.contains("partial sums of a token between passes is 17, allowed: at most 16"),
        "{message}"
    );
    assert!(message.contains("`--sum-rows 17`, or run fewer time steps (`--time-steps`)"), "{message}");
}

#[test]
fn more_strips_than_a_run_has_descriptors_are_refused_with_their_layer() {
    let mut network = convolution(4, Neuron::IF);
    network.image = ImageShape { height: 65, width: 64, channels: 1 };
    for layer in &mut network.layers {
        (layer.grid, layer.walk) = (Grid { rows: 65, columns: 64 }, Walk::Raster);
    }
    let core = CoreConfig { max_fan_in: 64, weight_rows: 64, sum_rows: 16, membrane_bits: 32, ..tiny() };
    let message = refused(&network, &core);
    for word in ["layer 1 `conv`: descriptors", "is 4162, allowed: at most 4095", "`--sum-rows` beyond 16"] {
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn heads_that_a_row_cannot_hold_are_refused() {
    let mut network = network();
    for index in [EMBED, QUERY, KEY, VALUE, CONTEXT, PROJ, NORM] {
        let source = match index {
            EMBED => dense(Source::Image, Taps::square(2, 2, 0), 144, 1),
            PROJ => dense(plane(CONTEXT), Taps::TOKEN, 144, 144),
            _ => dense(plane(EMBED), Taps::TOKEN, 144, 144),
        };
        let wide = &mut network.layers[index];
        (wide.channels, wide.theta, wide.v0) = (144, vec![100; 144], vec![50; 144]);
        if index != CONTEXT {
            wide.operation = linear(vec![source], 144);
        }
    }
    network.layers[MERGE].operation = linear(vec![dense(plane(NORM), Taps::square(2, 2, 0), 10, 144)], 10);
    let message =
        refused(&network, &CoreConfig { max_fan_in: 64, weight_rows: 128, membrane_bits: 32, ..tiny() });
    assert!(
        message.contains("layer 4 `scores`: padded bytes of a row that attends is 72, allowed: at most 64"),
        "{message}"
    );
    assert!(message.contains("`--max-fan-in 128`"), "{message}");
}

#[test]
fn windows_that_a_buffer_cannot_hold_are_refused() {
    let mut network = network();
    for layer in [QUERY, KEY, VALUE, SCORES, CONTEXT] {
        network.layers[layer].walk = Walk::Windows(Windows { size: 4, shift: 0 });
    }
    network.layers[SCORES].channels = 16;
    let Operation::Scores { bias, .. } = &mut network.layers[SCORES].operation else { unreachable!() };
    *bias = vec![0; 2 * 49];
    compile(&network, &CoreConfig { bias_rows: 16, ..tiny() }, Planes::Keep).unwrap();
    // Eight chunks of 16 keys are the rows that 64 steps of context take.
    let long = network.configure(&RunOptions { membrane_bits: 32, ..RunOptions::new(64) }).unwrap();
    let narrow = CoreConfig { max_fan_in: 64, weight_rows: 64, membrane_bits: 32, ..tiny() };
    let message = compile::compile(&long, &narrow, &options(Planes::Keep)).unwrap_err().to_string();
    assert!(message.contains("matrix rows of a job is 128, allowed: at most 64"), "{message}");
    network.image = ImageShape { height: 16, width: 16, channels: 1 };
    let mut large = network.clone();
    for layer in &mut large.layers[..MERGE] {
        layer.grid = Grid { rows: 8, columns: 8 };
        if let Walk::Windows(_) = layer.walk {
            layer.walk = Walk::Windows(Windows { size: 8, shift: 0 });
        }
    }
    for layer in &mut large.layers[MERGE..] {
        layer.grid = GRID;
    }
    large.layers[SCORES].channels = 64;
    let Operation::Scores { bias, .. } = &mut large.layers[SCORES].operation else { unreachable!() };
    *bias = vec![0; 2 * 225];
    let message = refused(&large, &CoreConfig { bias_rows: 63, ..tiny() });
    assert!(message.contains("layer 4 `scores`: tokens of a window is 64, allowed: 1..=63"), "{message}");
}

#[test]
fn more_time_steps_than_the_core_runs_are_refused() {
    let configured = network().configure(&RunOptions { membrane_bits: 32, ..RunOptions::new(65) }).unwrap();
    let message = compile::compile(&configured, &tiny(), &options(Planes::Keep)).unwrap_err().to_string();
    assert!(message.contains("65 time steps asked for, the core runs 1..=64"), "{message}");
}

#[test]
fn too_little_memory_is_refused_with_the_bytes_needed() {
    let configured = network().configure(&RunOptions::new(TIME_STEPS)).unwrap();
    let mut options = options(Planes::Reuse);
    let needed = compile::compile(&configured, &tiny(), &options).unwrap().total_bytes;
    options.memory_size = 4096;
    let message = compile::compile(&configured, &tiny(), &options).unwrap_err().to_string();
    let words = [
        "4096 are there",
        "`merge` takes most of it",
        "bytes of parameters",
        "(`--time-steps`)",
        "with more memory",
    ];
    assert!(words.iter().all(|word| message.contains(word)), "{message}");
    options.memory_size = needed;
    let counted = compile::memory_bytes(&configured, &tiny(), &options).unwrap();
    assert_eq!(compile::compile(&configured, &tiny(), &options).unwrap().total_bytes, counted);
}

#[test]
fn planes_that_no_layout_serves_are_refused() {
    let mut unwindowed = network();
    unwindowed.layers[KEY].walk = Walk::Raster;
    let message = refused(&unwindowed, &tiny());
    assert!(message.contains("layer 2 `k`") && message.contains("walk"), "{message}");

    let mut padded = network();
    let Operation::Linear { terms, .. } = &mut padded.layers[NORM].operation else { unreachable!() };
    terms[1].source = plane(CONTEXT);
    let message = refused(&padded, &tiny());
    assert!(message.contains("head size that is a multiple of 8"), "{message}");

    let mut neighbours = network();
    let Operation::Linear { terms, .. } = &mut neighbours.layers[PROJ].operation else { unreachable!() };
    *terms = vec![dense(plane(QUERY), Taps::square(3, 1, 1), CHANNELS, CHANNELS)];
    let message = refused(&neighbours, &tiny());
    assert!(message.contains("layer 6 `proj` and the plane of `q`"), "{message}");
    assert!(message.contains("goes row by row with taps on neighbours cannot visit"), "{message}");
}
