//! What is refused in a descriptor and its passes before the layer starts.

use super::Stop;
use isa::descriptor::Schedule;
use isa::pass::{SEGMENT_WORD, WORDS};
use isa::{CHUNK_STEPS, CoreConfig, Descriptor, ErrorCode, MAX_SEGMENTS, MAX_TIME_STEPS, Op, Pass, pass};

fn refuse(bad: bool, code: ErrorCode) -> Result<(), Stop> {
    if bad { Err(Stop::because(code)) } else { Ok(()) }
}

/// The operation of a descriptor that a core of these sizes accepts.
pub fn descriptor(d: &Descriptor, core: &CoreConfig) -> Result<Op, Stop> {
    let op = *Op::ALL.get(d.op as usize).ok_or(Stop::because(ErrorCode::BadOp))?;
    let attention = op.is_attention();

    let chunks = d.time_steps.div_ceil(CHUNK_STEPS);
    let steps_agree = (1..=MAX_TIME_STEPS).contains(&d.time_steps)
        && d.tail_steps == d.time_steps - CHUNK_STEPS * (chunks - 1)
        && d.chunks == if d.bytes == 1 { 1 } else { chunks }
        && d.rotate < d.time_steps;
    refuse(!steps_agree, ErrorCode::BadTimeSteps)?;

    let counts = [d.tiles, d.groups, d.blocks_y, d.blocks_x, d.inner_y, d.inner_x, d.passes, d.output_words];
    let empty = counts.contains(&0) || attention && (d.keys == 0 || d.key_words == 0);
    let shifted_out = d.shift != 0 && (d.shift >= d.inner_y || d.shift >= d.inner_x);
    let linear_alone = attention && (d.sum == 1 || d.bytes == 1 || d.passes != 1);
    let reset_after_all = d.hard_reset == 1 && d.schedule == Schedule::AfterAll as u32;
    let sum_of_bytes = d.sum == 1 && d.bytes == 1;
    let contradicts = linear_alone || reset_after_all || sum_of_bytes;
    refuse(empty || shifted_out || contradicts, ErrorCode::BadShape)?;

    let bus_words = core.bus_bytes() / 8;
    let record = SEGMENT_WORD as u32 + 1..=WORDS as u32 + 1;
    let no_record = !record.contains(&d.pass_words) || !d.pass_words.is_multiple_of(bus_words);
    refuse(no_record, ErrorCode::BadSegments)?;

    refuse(attention && d.keys > core.bias_rows, ErrorCode::TooLarge)?;
    refuse(d.passes > 1 && sums(d) > u64::from(core.sum_rows), ErrorCode::TooLarge)?;

    let unaligned = addresses(d, op).any(|address| !address.is_multiple_of(core.bus_bytes()))
        || !d.pass_base.is_multiple_of(pass::ALIGNMENT as u32);
    refuse(unaligned, ErrorCode::Unaligned)?;
    Ok(op)
}

/// Partial sums that the tokens of a tile keep from pass to pass.
fn sums(d: &Descriptor) -> u64 {
    if d.sum == 1 {
        return 1;
    }
    let tokens: u64 = [d.blocks_y, d.blocks_x, d.inner_y, d.inner_x].map(u64::from).iter().product();
    let of_token = if d.schedule == Schedule::EachStep as u32 { d.time_steps } else { 1 };
    tokens * u64::from(of_token)
}

/// Whether a core of these sizes accepts a pass of an accepted descriptor.
pub fn pass(pass: &Pass, d: &Descriptor, op: Op, core: &CoreConfig) -> Result<(), Stop> {
    let most = if op.is_attention() { 1 } else { MAX_SEGMENTS };
    let fits = SEGMENT_WORD as u32 + pass.segments <= d.pass_words;
    refuse(!(1..=most).contains(&pass.segments) || !fits, ErrorCode::BadSegments)?;

    let empty = [pass.segment_words, pass.rows, pass.columns].contains(&0);
    let row = 8 * pass.segments * pass.segment_words;
    let inputs = if pass.diagonal == 1 { pass.segments } else { row };
    let differs = if op.is_attention() { pass.diagonal == 1 } else { pass.matrix_rows != inputs };
    let other_words = pass.diagonal == 1 && pass.segment_words != d.output_words;
    refuse(empty || differs || other_words, ErrorCode::BadShape)?;

    // A diagonal row is read lane by lane: no buffer holds it.
    let row_too_long = (op.is_attention() || pass.diagonal == 0) && row > core.max_fan_in;
    let rows = if op.is_attention() { d.chunks * row } else { pass.matrix_rows };
    refuse(row_too_long || rows > core.weight_rows, ErrorCode::TooLarge)?;

    let strides = [
        pass.block_y_stride,
        pass.block_x_stride,
        pass.y_stride,
        pass.x_stride,
        pass.wrap_y,
        pass.wrap_x,
        pass.chunk_stride,
        pass.group_stride,
    ];
    let bases = pass.table.iter().map(|segment| segment.base);
    let unaligned = strides.into_iter().chain(bases).any(|address| !address.is_multiple_of(core.bus_bytes()));
    refuse(unaligned, ErrorCode::Unaligned)
}

/// Every address and stride of the descriptor that the operation uses.
fn addresses(d: &Descriptor, op: Op) -> impl Iterator<Item = u32> + '_ {
    let common = [
        d.output_base,
        d.output_block_y_stride,
        d.output_block_x_stride,
        d.output_y_stride,
        d.output_x_stride,
        d.output_wrap_y,
        d.output_wrap_x,
        d.output_chunk_stride,
        d.output_group_stride,
        d.parameter_base,
        d.matrix_base,
    ];
    let matrix = [d.matrix_group_stride, d.matrix_block_stride, d.matrix_token_stride, d.matrix_chunk_stride];
    let matrix = matrix.into_iter().filter(move |_| op.is_attention());
    let bias = Some(d.bias_base).filter(|_| op == Op::Scores);
    common.into_iter().chain(matrix).chain(bias)
}
