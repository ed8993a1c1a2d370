//! What is refused in a descriptor before its layer starts.

use super::Stop;
use isa::{CHUNK_STEPS, CoreConfig, Descriptor, ErrorCode, MAX_SEGMENTS, MAX_TIME_STEPS, Op};

/// The operation of a descriptor that a core of these sizes accepts.
pub fn descriptor(d: &Descriptor, core: &CoreConfig) -> Result<Op, Stop> {
    let refuse = |bad: bool, code| if bad { Err(Stop::because(code)) } else { Ok(()) };
    let op = *Op::ALL.get(d.op as usize).ok_or(Stop::because(ErrorCode::BadOp))?;

    let chunks = d.time_steps.div_ceil(CHUNK_STEPS);
    let steps_agree = (1..=MAX_TIME_STEPS).contains(&d.time_steps)
        && d.tail_steps == d.time_steps - CHUNK_STEPS * (chunks - 1)
        && d.chunks == if op == Op::Analog { 1 } else { chunks };
    refuse(!steps_agree, ErrorCode::BadTimeSteps)?;

    let counts = [d.tiles, d.groups, d.blocks_y, d.blocks_x, d.inner_y, d.inner_x];
    let words = [d.segment_words, d.output_words, d.matrix_rows];
    let empty = counts.contains(&0) || words.contains(&0) || op.is_attention() && d.matrix_words == 0;
    let shifted_out = d.shift != 0 && (d.shift >= d.inner_y || d.shift >= d.inner_x);
    refuse(empty || shifted_out, ErrorCode::BadShape)?;

    refuse(!(1..=MAX_SEGMENTS).contains(&d.segments), ErrorCode::BadSegments)?;

    let fan_in = 8 * d.segments * d.segment_words;
    let inputs = if op == Op::Shortcut { d.segments } else { fan_in };
    refuse(!op.is_attention() && d.matrix_rows != inputs, ErrorCode::BadShape)?;

    let keys_too_large = d.chunks * 8 * d.segment_words > core.weight_rows || d.matrix_rows > core.bias_rows;
    let too_large = op != Op::Shortcut && fan_in > core.max_fan_in || op.is_attention() && keys_too_large;
    refuse(too_large, ErrorCode::TooLarge)?;

    refuse(!addresses(d, op).all(|a| a.is_multiple_of(core.bus_bytes())), ErrorCode::Unaligned)?;
    Ok(op)
}

/// Every address and stride that the operation uses.
fn addresses(d: &Descriptor, op: Op) -> impl Iterator<Item = u32> + '_ {
    let common = [
        d.input_block_y_stride,
        d.input_block_x_stride,
        d.input_y_stride,
        d.input_x_stride,
        d.input_wrap_y,
        d.input_wrap_x,
        d.input_chunk_stride,
        d.input_group_stride,
        d.output_block_y_stride,
        d.output_block_x_stride,
        d.output_y_stride,
        d.output_x_stride,
        d.output_wrap_y,
        d.output_wrap_x,
        d.output_chunk_stride,
        d.output_group_stride,
        d.parameter_base,
        d.output_base,
    ];
    let matrix = [
        d.matrix_base,
        d.matrix_group_stride,
        d.matrix_block_stride,
        d.matrix_token_stride,
        d.matrix_chunk_stride,
    ];
    let segments = d.segment_bases.iter().take(d.segments as usize).copied();
    let matrix = matrix.into_iter().filter(move |_| op.is_attention());
    let bias = Some(d.bias_base).filter(|_| op == Op::Scores);
    common.into_iter().chain(segments).chain(matrix).chain(bias)
}
