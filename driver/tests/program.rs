//! Programs of a small network, field by field, and what is refused.

use driver::program::{Planes, Program, ProgramOptions, TokenOrder};
use isa::layout::{PARAMETER_ROWS, flag, parameter_row};
use isa::{CoreConfig, Descriptor, Neuron, mask};
use model::RunOptions;
use model::network::{
    Gather, Grid, ImageShape, Layer, LayerId, Network, Operation, Patch, SlotOrder, Walk, Weights, Windows,
};

const WINDOWS: Windows = Windows { size: 2, shift: 1 };
const GRID: Grid = Grid { rows: 4, columns: 4 };
const CHANNELS: usize = 12;
const HEADS: usize = 2;
const TIME_STEPS: u32 = 12;
const EMBED: usize = 0;
const QUERY: usize = 1;
const KEY: usize = 2;
const VALUE: usize = 3;
const SCORES: usize = 4;
const CONTEXT: usize = 5;
const PROJ: usize = 6;
const NORM: usize = 7;
const MERGE: usize = 8;
const READOUT: usize = 9;

fn weights(outputs: usize, inputs: usize) -> Weights {
    let data = (0..outputs * inputs).map(|i| (i * 37 % 101) as i8 - 50).collect();
    Weights { outputs, inputs, data }
}

fn layer(name: &str, operation: Operation, grid: Grid, channels: usize, walk: Walk, neurons: usize) -> Layer {
    Layer {
        name: name.to_owned(),
        operation,
        grid,
        channels,
        walk,
        neuron: Neuron::TwoPhase,
        theta: vec![100; neurons],
        v0: vec![50; neurons],
        order: SlotOrder::Spread,
        rotate: 15,
        mask_site: None,
        mask_ratio: 0,
    }
}

fn dense(input: usize, gather: Gather, outputs: usize, inputs: usize) -> Operation {
    let bias = (0..outputs as i32).collect();
    Operation::Dense { input: LayerId(input), gather, weights: weights(outputs, inputs), bias }
}

/// Patches of an 8 x 8 image, shifted-window attention with two heads of 6, a shortcut, patch merging, three classes.
fn network() -> Network {
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
    Network {
        name: "small".to_owned(),
        image: ImageShape { height: 8, width: 8, channels: 1 },
        classes: 3,
        layers: vec![
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
        ],
        seed: 5,
    }
}

fn tiny() -> CoreConfig {
    CoreConfig::preset("tiny").unwrap()
}

fn options(planes: Planes) -> ProgramOptions {
    ProgramOptions { memory_size: 1 << 20, planes }
}

fn compile(network: &Network, core: &CoreConfig, planes: Planes) -> Result<Program, String> {
    let run = RunOptions { membrane_bits: 32, ..RunOptions::new(TIME_STEPS) };
    let configured = network.configure(&run).map_err(|error| error.to_string())?;
    Program::compile(&configured, core, &options(planes)).map_err(|error| error.to_string())
}

fn program() -> Program {
    compile(&network(), &tiny(), Planes::Keep).unwrap()
}

fn descriptor(program: &Program, layer: usize) -> Descriptor {
    program.layers[layer].descriptor.clone()
}

fn base(program: &Program, layer: usize) -> u32 {
    program.layers[layer].plane.as_ref().unwrap().base
}

/// Block rows, block columns, token rows, token columns, both wraps, chunks, groups.
fn input_strides(d: &Descriptor) -> [u32; 8] {
    [
        d.input_block_y_stride,
        d.input_block_x_stride,
        d.input_y_stride,
        d.input_x_stride,
        d.input_wrap_y,
        d.input_wrap_x,
        d.input_chunk_stride,
        d.input_group_stride,
    ]
}

fn output_strides(d: &Descriptor) -> [u32; 8] {
    [
        d.output_block_y_stride,
        d.output_block_x_stride,
        d.output_y_stride,
        d.output_x_stride,
        d.output_wrap_y,
        d.output_wrap_x,
        d.output_chunk_stride,
        d.output_group_stride,
    ]
}

fn blocks(d: &Descriptor) -> [u32; 5] {
    [d.blocks_y, d.blocks_x, d.inner_y, d.inner_x, d.shift]
}

// With a bus of 8 bytes a row of 12 channels takes 16 bytes, two heads of 6 take 2 * 8, and a token of T = 12 two rows.

#[test]
fn embedding_reads_one_padded_row_a_patch() {
    let program = program();
    let d = descriptor(&program, EMBED);
    let input = program.layers[EMBED].input.clone().unwrap();
    assert_eq!((d.op, d.neuron, d.chunks, d.tail_steps, d.time_steps), (1, 1, 1, 4, 12));
    assert_eq!((d.segments, d.segment_words, d.matrix_rows, input.row_bytes), (1, 1, 8, 8));
    assert_eq!(d.segment_bases[0], input.base);
    assert_eq!((blocks(&d), d.rotate, d.rotate_by_block), ([1, 1, 4, 4, 0], 3, 0));
    assert_eq!((d.input_y_stride, d.input_x_stride, d.input_chunk_stride), (32, 8, 0));
    assert_eq!((d.output_y_stride, d.output_x_stride, d.output_chunk_stride), (128, 32, 16));
    assert_eq!((d.output_base, d.tiles, d.groups, d.output_words), (base(&program, EMBED), 2, 1, 2));
    assert_eq!((d.inputs_ready, d.weights_ready), (0, 0));
}

#[test]
fn queries_are_gathered_from_shifted_windows_and_stored_window_by_window() {
    let program = program();
    let d = descriptor(&program, QUERY);
    assert_eq!(blocks(&d), [2, 2, 2, 2, 1]);
    assert_eq!(d.segment_bases[0], base(&program, EMBED) + 128 + 32, "one row and one column later");
    assert_eq!(input_strides(&d), [256, 64, 128, 32, 512, 128, 16, 0]);
    assert_eq!(d.output_base, base(&program, QUERY));
    assert_eq!(output_strides(&d), [256, 128, 64, 32, 0, 0, 16, 0]);
    assert_eq!((d.tiles, d.output_words, d.segment_words, d.matrix_rows), (2, 2, 2, 16));
    assert_eq!((d.inputs_ready, d.weights_ready, d.rotate_by_block, d.chunks), (1, 0, 1, 2));
    let plane = program.layers[QUERY].plane.clone().unwrap();
    assert_eq!(plane.order, TokenOrder::Windows(WINDOWS));
    // Token (0, 0) wraps to the end of the last window; channel 7 is the second of head 1.
    assert_eq!(plane.address(0, 1, 7), u64::from(plane.base) + 15 * 32 + 16 + 8 + 1);
}

#[test]
fn scores_take_one_job_a_window_and_head() {
    let program = program();
    let d = descriptor(&program, SCORES);
    assert_eq!((d.op, d.groups, d.tiles, d.fraction), (3, 2, 1, 3));
    assert_eq!(blocks(&d), [2, 2, 2, 2, 1]);
    assert_eq!(d.segment_bases[0], base(&program, QUERY));
    assert_eq!(input_strides(&d), [256, 128, 64, 32, 0, 0, 16, 8]);
    assert_eq!(d.output_base, base(&program, SCORES));
    assert_eq!(output_strides(&d), [128, 64, 32, 16, 0, 0, 8, 256]);
    assert_eq!((d.segment_words, d.output_words, d.matrix_rows, d.matrix_words), (1, 1, 4, 1));
    assert_eq!((d.matrix_base, d.matrix_group_stride), (base(&program, KEY), 8));
    assert_eq!((d.matrix_block_stride, d.matrix_token_stride, d.matrix_chunk_stride), (128, 32, 16));
    assert_eq!((d.inputs_ready, d.weights_ready), (2, 3));
}

#[test]
fn context_scatters_its_windows_back_to_raster_order() {
    let program = program();
    let d = descriptor(&program, CONTEXT);
    assert_eq!((d.op, d.groups, d.tiles, d.fraction), (4, 2, 1, 2));
    assert_eq!(d.segment_bases[0], base(&program, SCORES));
    assert_eq!(input_strides(&d), [128, 64, 32, 16, 0, 0, 8, 256]);
    assert_eq!(d.output_base, base(&program, CONTEXT) + 128 + 32);
    assert_eq!(output_strides(&d), [256, 64, 128, 32, 512, 128, 16, 8]);
    assert_eq!((d.segment_words, d.output_words, d.matrix_rows, d.matrix_words), (1, 1, 4, 1));
    assert_eq!((d.matrix_base, d.matrix_group_stride), (base(&program, VALUE), 8));
    assert_eq!((d.inputs_ready, d.weights_ready), (5, 4));
}

#[test]
fn shortcut_merge_and_readout_read_their_segments() {
    let program = program();
    let d = descriptor(&program, NORM);
    assert_eq!((d.op, d.segments, d.segment_words, d.matrix_rows, d.tiles), (2, 2, 2, 2, 2));
    assert_eq!(d.segment_bases[..2], [base(&program, EMBED), base(&program, PROJ)]);
    assert_eq!(d.inputs_ready, 7);

    let d = descriptor(&program, MERGE);
    let norm = base(&program, NORM);
    assert_eq!((d.segments, d.segment_words, d.matrix_rows, d.tiles, d.output_words), (4, 2, 64, 2, 2));
    assert_eq!(d.segment_bases[..4], [norm, norm + 32, norm + 128, norm + 160]);
    assert_eq!((d.input_y_stride, d.input_x_stride), (256, 64));
    assert_eq!(blocks(&d), [1, 1, 2, 2, 0]);

    let d = descriptor(&program, READOUT);
    assert_eq!((d.op, d.tiles, d.output_words, d.output_base), (5, 1, 1, program.logits.base));
    assert_eq!(output_strides(&d), [0, 0, 0, 0, 0, 0, 8, 0]);
}

#[test]
fn ranks_invert_the_order() {
    let program = program();
    let order = SlotOrder::Spread.permutation(TIME_STEPS).unwrap();
    let rank = descriptor(&program, QUERY).rank;
    assert_eq!(rank.len(), 12);
    assert!(order.iter().enumerate().all(|(k, &slot)| usize::from(rank[slot as usize]) == k));
}

#[test]
fn descriptors_lie_in_memory_for_a_run_and_alone() {
    let program = program();
    let bytes = &program.image[0].bytes;
    for (base, alone) in [(program.descriptor_base, false), (program.single_descriptor_base, true)] {
        for (index, layer) in program.layers.iter().enumerate() {
            let at = base as usize + index * 256;
            let words = std::array::from_fn(|w| {
                u64::from_le_bytes(bytes[at + 8 * w..at + 8 * w + 8].try_into().unwrap())
            });
            let mut expected = layer.descriptor.clone();
            if alone {
                (expected.inputs_ready, expected.weights_ready) = (0, 0);
            }
            assert_eq!(Descriptor::from_words(&words), expected);
        }
    }
}

/// The half-word of `lane` in a row of the parameter block at byte `block`, for 8 lanes.
fn parameter(program: &Program, block: u32, row: u32, lane: u32) -> u16 {
    let at = (block + row * 16 + lane * 2) as usize;
    u16::from_le_bytes(program.image[0].bytes[at..at + 2].try_into().unwrap())
}

fn word(program: &Program, block: u32, low: u32, lane: u32) -> u32 {
    u32::from(parameter(program, block, low, lane))
        | u32::from(parameter(program, block, low + 1, lane)) << 16
}

#[test]
fn parameters_and_weights_follow_the_padded_channels() {
    let program = program();
    let d = descriptor(&program, QUERY);
    let job = PARAMETER_ROWS * 16 + 16 * 8;
    // Tile 1 is head 1: its lane 5 is channel 11, its lanes 6 and 7 are padding.
    let block = d.parameter_base + job;
    assert_eq!(word(&program, block, parameter_row::BIAS_LOW, 5), TIME_STEPS * 11 + 50);
    assert_eq!(word(&program, block, parameter_row::THETA_LOW, 5), 100);
    assert_eq!(word(&program, block, parameter_row::SEED_LOW, 5), mask::seed(5, QUERY as u32, 11));
    assert_eq!(parameter(&program, block, parameter_row::FLAGS, 5), flag::VALID);
    assert_eq!(parameter(&program, block, parameter_row::FLAGS, 6), 0);
    assert_ne!(word(&program, block, parameter_row::SEED_LOW, 6), 0, "an LFSR never stands still");

    // `proj` reads the context's rows: input 7 lies at byte 9, byte 6 is padding.
    let d = descriptor(&program, PROJ);
    let row = |byte: u32, lane: u32| {
        program.image[0].bytes[(d.parameter_base + PARAMETER_ROWS * 16 + byte * 8 + lane) as usize] as i8
    };
    let weights = weights(CHANNELS, CHANNELS);
    for lane in 0..8 {
        assert_eq!(row(9, lane), weights.data[lane as usize * CHANNELS + 7]);
        assert_eq!(row(6, lane), 0);
    }
}

#[test]
fn scores_carry_bands_seeds_and_bias_rows() {
    let program = program();
    let d = descriptor(&program, SCORES);
    let job = PARAMETER_ROWS * 16;
    // Head 1, window 2: the seventh job. Key 3 is the lower right token of its window.
    let block = d.parameter_base + 6 * job;
    let seed = mask::seed(5, SCORES as u32, (2 * 2 + 1) * 4 + 3);
    assert_eq!(word(&program, block, parameter_row::SEED_LOW, 3), seed);
    let flags: Vec<u16> = (0..5).map(|lane| parameter(&program, block, parameter_row::FLAGS, lane)).collect();
    let (row, column) = (flag::ROW_BAND, flag::COLUMN_BAND);
    let valid = flag::VALID;
    assert_eq!(flags, [valid, valid | column, valid | row, valid | row | column, 0]);

    // Head 1, query 2, key 1: one row down and one column left of the key, the third row of the 3 x 3 table of offsets.
    let at = (d.bias_base + (4 + 2) * 16 + 2) as usize;
    let bias = i16::from_le_bytes(program.image[0].bytes[at..at + 2].try_into().unwrap());
    assert_eq!(bias, 12 * (9 + 2 * 3) + 50);
}

#[test]
fn shared_memory_is_smaller_and_keeps_what_is_still_read() {
    let kept = program();
    let shared = compile(&network(), &tiny(), Planes::Reuse).unwrap();
    assert!(shared.total_bytes < kept.total_bytes, "{} and {}", shared.total_bytes, kept.total_bytes);
    let range = |layer: usize| {
        let plane = shared.layers[layer].plane.as_ref().unwrap();
        u64::from(plane.base)..u64::from(plane.base) + plane.bytes()
    };
    let embed = range(EMBED);
    for layer in QUERY..=NORM {
        let other = range(layer);
        assert!(other.end <= embed.start || embed.end <= other.start, "`norm` still reads the embedding");
    }
    for layer in &shared.layers {
        assert!(u64::from(layer.descriptor.output_base) < shared.total_bytes);
    }
}

#[test]
fn a_single_window_over_the_grid_is_raster_order() {
    let mut network = network();
    let whole = Windows { size: 4, shift: 0 };
    for layer in [QUERY, KEY, VALUE, SCORES, CONTEXT] {
        network.layers[layer].walk = Walk::Windows(whole);
    }
    network.layers[SCORES].channels = 16;
    let Operation::Scores { bias, .. } = &mut network.layers[SCORES].operation else { unreachable!() };
    *bias = vec![0; 2 * 49];
    let program = compile(&network, &tiny(), Planes::Keep).unwrap();
    assert_eq!(program.layers[QUERY].plane.as_ref().unwrap().order, TokenOrder::Raster);
    let d = descriptor(&program, SCORES);
    assert_eq!((blocks(&d), d.tiles, d.matrix_rows, d.output_words), ([1, 1, 4, 4, 0], 2, 16, 2));
}

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
    let message = refused(&wide, &CoreConfig { max_fan_in: 128, ..narrow });
    assert!(message.contains("matrix rows of a job is 128"), "{message}");

    let message = refused(&network, &CoreConfig { membrane_bits: 16, ..tiny() });
    assert!(message.contains("layer 0 `embed`") && message.contains("membrane"), "{message}");

    let mut long = network.clone();
    let Operation::Shortcut { inputs, gains, .. } = &mut long.layers[NORM].operation else { unreachable!() };
    (*inputs, *gains) = (vec![LayerId(EMBED); 17], vec![1; 17 * CHANNELS]);
    let message = refused(&long, &tiny());
    assert!(message.contains("inputs of the shortcut is 17, allowed: 1..=16"), "{message}");
}

#[test]
fn windows_that_the_bias_buffer_cannot_hold_are_refused() {
    let mut network = network();
    for layer in [QUERY, KEY, VALUE, SCORES, CONTEXT] {
        network.layers[layer].walk = Walk::Windows(Windows { size: 4, shift: 0 });
    }
    network.layers[SCORES].channels = 16;
    let Operation::Scores { bias, .. } = &mut network.layers[SCORES].operation else { unreachable!() };
    *bias = vec![0; 2 * 49];
    compile(&network, &CoreConfig { bias_rows: 16, ..tiny() }, Planes::Keep).unwrap();
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
    let message = Program::compile(&configured, &tiny(), &options(Planes::Keep)).unwrap_err().to_string();
    assert!(message.contains("65 time steps asked for, the core runs 1..=64"), "{message}");
}

#[test]
fn too_little_memory_is_refused_with_the_bytes_needed() {
    let configured = network().configure(&RunOptions::new(TIME_STEPS)).unwrap();
    let mut options = options(Planes::Reuse);
    let needed = Program::compile(&configured, &tiny(), &options).unwrap().total_bytes;
    options.memory_size = 4096;
    let message = Program::compile(&configured, &tiny(), &options).unwrap_err().to_string();
    assert!(message.contains("the window has 4096"), "{message}");
    options.memory_size = needed;
    Program::compile(&configured, &tiny(), &options).unwrap();
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
