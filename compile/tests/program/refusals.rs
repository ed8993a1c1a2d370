//! What the compiler of programs refuses, and how it says so.

use crate::small::*;
use isa::CoreConfig;
use isa::program::Planes;
use model::RunOptions;
use model::network::{Gather, Grid, ImageShape, LayerId, Network, Operation, Walk, Weights, Windows};

fn refused(network: &Network, core: &CoreConfig) -> String {
    compile(network, core, Planes::Keep).unwrap_err()
}

#[test]
fn what_a_core_cannot_hold_is_refused_by_layer_and_value() {
    let network = network();
    let narrow = CoreConfig { max_fan_in: 64, weight_rows: 64, ..tiny() };
    compile(&network, &narrow, Planes::Keep).unwrap();

    let mut wide = network.clone();
    let many = weights(3, 128).data;
    wide.layers[MERGE] = layer(
        "merge",
        dense(NORM, Gather::Merge, 128, 48),
        Grid { rows: 2, columns: 2 },
        128,
        Walk::Raster,
        128,
    );
    wide.layers[READOUT].operation = Operation::Readout {
        input: LayerId(MERGE),
        weights: Weights { outputs: 3, inputs: 128, data: many },
        bias: vec![0; 3],
    };
    let message = refused(&wide, &narrow);
    assert!(
        message.contains("layer 9 `readout`") && message.contains("is 128, allowed: at most 64"),
        "{message}"
    );

    let message = refused(&network, &CoreConfig { membrane_bits: 16, ..tiny() });
    assert!(message.contains("layer 0 `embed`") && message.contains("membrane"), "{message}");

    let mut long = network.clone();
    let Operation::Shortcut { inputs, gains, .. } = &mut long.layers[NORM].operation else { unreachable!() };
    (*inputs, *gains) = (vec![LayerId(EMBED); 17], vec![1; 17 * CHANNELS]);
    let message = refused(&long, &tiny());
    assert!(message.contains("inputs of the shortcut is 17, allowed: 1..=16"), "{message}");
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
    let Operation::Shortcut { inputs, .. } = &mut padded.layers[NORM].operation else { unreachable!() };
    inputs[1] = LayerId(CONTEXT);
    let message = refused(&padded, &tiny());
    assert!(message.contains("head size that is a multiple of 8"), "{message}");
}
