//! Programs of a small network, field by field.

use crate::small::*;
use isa::layout::{PARAMETER_ROWS, flag, parameter_row};
use isa::program::{Planes, Program, TokenOrder, descriptor_bytes, pass_bytes, record_bytes};
use isa::{Descriptor, Pass, descriptor, mask};
use model::network::{Operation, SlotOrder, Walk, Windows};

fn descriptor(program: &Program, layer: usize) -> Descriptor {
    let [strip] = &program.layers[layer].strips[..] else { panic!("layer {layer} has not one strip") };
    strip.descriptor.clone()
}

fn base(program: &Program, layer: usize) -> u32 {
    program.layers[layer].plane.as_ref().unwrap().base
}

/// The passes of a layer of one strip.
fn passes(program: &Program, layer: usize) -> Vec<Pass> {
    program.layers[layer].strips[0].passes.clone()
}

/// The only pass of a layer.
fn pass(program: &Program, layer: usize) -> Pass {
    let [pass] = &passes(program, layer)[..] else { panic!("layer {layer} has not one pass") };
    pass.clone()
}

fn bases(pass: &Pass) -> Vec<u32> {
    pass.table.iter().map(|segment| segment.base).collect()
}

/// Segments, words of each, rows of weights.
fn sizes(pass: &Pass) -> [u32; 3] {
    [pass.segments, pass.segment_words, pass.matrix_rows]
}

/// Block rows, block columns, token rows, token columns, both wraps, chunks, groups.
fn input_strides(p: &Pass) -> [u32; 8] {
    [
        p.block_y_stride,
        p.block_x_stride,
        p.y_stride,
        p.x_stride,
        p.wrap_y,
        p.wrap_x,
        p.chunk_stride,
        p.group_stride,
    ]
}

/// Start, step and size of the source, each down and across.
fn positions(p: &Pass) -> [[u32; 2]; 3] {
    [[p.start_y, p.start_x], [p.step_y, p.step_x], [p.rows, p.columns]]
}

/// Where each token reads its own position.
const INSIDE: [[u32; 2]; 3] = [[0, 0], [0, 0], [1, 1]];

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
    let (d, p) = (descriptor(&program, EMBED), pass(&program, EMBED));
    let input = program.layers[EMBED].inputs[0].clone();
    assert_eq!((d.op, d.schedule, d.bytes, d.sum, d.hard_reset), (0, 1, 1, 0, 0));
    assert_eq!((d.chunks, d.tail_steps, d.time_steps, d.passes, d.pass_words), (1, 4, 12, 1, 8));
    assert_eq!((sizes(&p), p.diagonal, p.shift, input.row_bytes), ([1, 1, 8], 0, 0, 8));
    assert_eq!((bases(&p), positions(&p)), (vec![input.base], INSIDE));
    assert_eq!((blocks(&d), d.rotate, d.rotate_by_block), ([1, 1, 4, 4, 0], 3, 0));
    assert_eq!((p.y_stride, p.x_stride, p.chunk_stride), (32, 8, 0));
    assert_eq!((d.output_y_stride, d.output_x_stride, d.output_chunk_stride), (128, 32, 16));
    assert_eq!((d.output_base, d.tiles, d.groups, d.output_words), (base(&program, EMBED), 2, 1, 2));
    assert_eq!((d.inputs_ready, d.weights_ready), (0, 0));
}

#[test]
fn queries_are_gathered_from_shifted_windows_and_stored_window_by_window() {
    let program = program();
    let (d, p) = (descriptor(&program, QUERY), pass(&program, QUERY));
    assert_eq!(blocks(&d), [2, 2, 2, 2, 1]);
    assert_eq!(bases(&p), [base(&program, EMBED) + 128 + 32], "one row and one column later");
    assert_eq!((input_strides(&p), positions(&p)), ([256, 64, 128, 32, 512, 128, 16, 0], INSIDE));
    assert_eq!(d.output_base, base(&program, QUERY));
    assert_eq!(output_strides(&d), [256, 128, 64, 32, 0, 0, 16, 0]);
    assert_eq!((d.tiles, d.output_words, sizes(&p)), (2, 2, [1, 2, 16]));
    assert_eq!((d.inputs_ready, d.weights_ready, d.rotate_by_block, d.chunks), (1, 0, 1, 2));
    let plane = program.layers[QUERY].plane.clone().unwrap();
    assert_eq!(plane.order, TokenOrder::Windows { size: WINDOWS.size, shift: WINDOWS.shift });
    // Token (0, 0) wraps to the end of the last window; channel 7 is the second of head 1.
    assert_eq!(plane.address(0, 1, 7), u64::from(plane.base) + 15 * 32 + 16 + 8 + 1);
}

#[test]
fn scores_take_one_job_a_window_and_head() {
    let program = program();
    let (d, p) = (descriptor(&program, SCORES), pass(&program, SCORES));
    assert_eq!((d.op, d.groups, d.tiles, d.fraction), (1, 2, 1, 3));
    assert_eq!(blocks(&d), [2, 2, 2, 2, 1]);
    assert_eq!((bases(&p), positions(&p)), (vec![base(&program, QUERY)], INSIDE));
    assert_eq!(input_strides(&p), [256, 128, 64, 32, 0, 0, 16, 8]);
    assert_eq!(d.output_base, base(&program, SCORES));
    assert_eq!(output_strides(&d), [128, 64, 32, 16, 0, 0, 8, 256]);
    assert_eq!((p.segment_words, d.output_words, d.keys, d.key_words), (1, 1, 4, 1));
    assert_eq!((d.matrix_base, d.matrix_group_stride), (base(&program, KEY), 8));
    assert_eq!((d.matrix_block_stride, d.matrix_token_stride, d.matrix_chunk_stride), (128, 32, 16));
    assert_eq!((d.inputs_ready, d.weights_ready), (2, 3));
}

#[test]
fn context_scatters_its_windows_back_to_raster_order() {
    let program = program();
    let (d, p) = (descriptor(&program, CONTEXT), pass(&program, CONTEXT));
    assert_eq!((d.op, d.groups, d.tiles, d.fraction), (2, 2, 1, 2));
    assert_eq!((bases(&p), positions(&p)), (vec![base(&program, SCORES)], INSIDE));
    assert_eq!(input_strides(&p), [128, 64, 32, 16, 0, 0, 8, 256]);
    assert_eq!(d.output_base, base(&program, CONTEXT) + 128 + 32);
    assert_eq!(output_strides(&d), [256, 64, 128, 32, 512, 128, 16, 8]);
    assert_eq!((p.segment_words, d.output_words, d.keys, d.key_words), (1, 1, 4, 1));
    assert_eq!((d.matrix_base, d.matrix_group_stride), (base(&program, VALUE), 8));
    assert_eq!((d.inputs_ready, d.weights_ready), (5, 4));
}

#[test]
fn shortcut_merge_and_readout_read_their_segments() {
    let program = program();
    let (d, p) = (descriptor(&program, NORM), pass(&program, NORM));
    assert_eq!((d.op, p.diagonal, sizes(&p), d.tiles, d.pass_words), (0, 1, [2, 2, 2], 2, 9));
    assert_eq!((bases(&p), positions(&p)), (vec![base(&program, EMBED), base(&program, PROJ)], INSIDE));
    assert_eq!(d.inputs_ready, 7);

    let (d, p) = (descriptor(&program, MERGE), pass(&program, MERGE));
    let norm = base(&program, NORM);
    assert_eq!((sizes(&p), d.tiles, d.output_words, d.pass_words), ([4, 2, 64], 2, 2, 11));
    assert_eq!(bases(&p), [norm, norm + 32, norm + 128, norm + 160]);
    let taps: Vec<_> = p.table.iter().map(|segment| (segment.dy, segment.dx)).collect();
    assert_eq!((taps, positions(&p)), (vec![(0, 0), (0, 1), (1, 0), (1, 1)], [[0, 0], [2, 2], [4, 4]]));
    assert_eq!((p.y_stride, p.x_stride), (256, 64));
    assert_eq!(blocks(&d), [1, 1, 2, 2, 0]);

    let d = descriptor(&program, READOUT);
    assert_eq!((d.op, d.sum, d.schedule, d.mask_ratio), (0, 1, 1, 0));
    assert_eq!((d.tiles, d.output_words, d.output_base), (1, 1, program.logits.base));
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
fn records_lie_in_memory_one_after_the_other() {
    let program = program();
    let bytes = &program.image[0].bytes;
    let words = |at: usize, count: usize| -> Vec<u64> {
        bytes[at..at + 8 * count].chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let mut record = descriptor_bytes(program.descriptors());
    for (index, strip) in program.strips().enumerate() {
        let at = program.descriptor_base as usize + index * descriptor::BYTES;
        let found = words(at, descriptor::WORDS).try_into().unwrap();
        assert_eq!(Descriptor::from_words(&found), strip.descriptor);
        assert_eq!(u64::from(strip.descriptor.pass_base), record);
        for (number, pass) in strip.passes.iter().enumerate() {
            let length = strip.descriptor.pass_words as usize;
            assert_eq!(Pass::from_words(&words(record as usize + number * 8 * length, length)), *pass);
        }
        record += pass_bytes(strip);
    }
    assert_eq!(record, record_bytes(&program.layers));
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
    // Tile 1 is head 1: its lane 5 is channel 11, its lanes 6 and 7 are padding.
    let block = d.parameter_base + PARAMETER_ROWS * 16;
    assert_eq!(word(&program, block, parameter_row::BIAS_LOW, 5), TIME_STEPS * 11 + 50);
    assert_eq!(word(&program, block, parameter_row::THETA_LOW, 5), 100);
    assert_eq!(word(&program, block, parameter_row::SEED_LOW, 5), mask::seed(5, QUERY as u32, 11));
    assert_eq!(parameter(&program, block, parameter_row::FLAGS, 5), flag::VALID);
    assert_eq!(parameter(&program, block, parameter_row::FLAGS, 6), 0);
    assert_ne!(word(&program, block, parameter_row::SEED_LOW, 6), 0, "an LFSR never stands still");

    // `proj` reads the context's rows: input 7 lies at byte 9, byte 6 is padding. Tile 1 follows the 16 rows of tile 0.
    let d = descriptor(&program, PROJ);
    let row = |byte: u32, channel: u32| {
        let at = d.matrix_base + (channel / 8 * 16 + byte) * 8 + channel % 8;
        program.image[0].bytes[at as usize] as i8
    };
    let weights = weights(CHANNELS, CHANNELS);
    for channel in 0..CHANNELS as u32 {
        assert_eq!(row(9, channel), weights[channel as usize * CHANNELS + 7]);
        assert_eq!(row(6, channel), 0);
    }

    // Bytes: the core adds the bias in each time step.
    let block = descriptor(&program, EMBED).parameter_base;
    assert_eq!(word(&program, block, parameter_row::BIAS_LOW, 3), 7);
    assert_eq!(word(&program, block, parameter_row::V0_LOW, 3), 50);
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
        assert!(u64::from(layer.strips[0].descriptor.output_base) < shared.total_bytes);
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
    assert_eq!((blocks(&d), d.tiles, d.keys, d.output_words), ([1, 1, 4, 4, 0], 2, 16, 2));
}
