//! Checks a descriptor before anything is done with it.

use std::rc::Rc;

use isa::{CHUNK_STEPS, CoreConfig, ErrorCode, MAX_SEGMENTS, MAX_TIME_STEPS, Op};

use super::codes::{ERROR_BITS, error, operation};
use super::fields::{Fields, largest};
use super::shaped;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, lit, mux};

/// Descriptor fields that are checked here. Addresses are checked when they are used.
pub(super) const FIELDS: [&str; 17] = [
    "op",
    "time_steps",
    "tail_steps",
    "chunks",
    "segments",
    "rotate",
    "shift",
    "tiles",
    "groups",
    "blocks_y",
    "blocks_x",
    "inner_y",
    "inner_x",
    "segment_words",
    "output_words",
    "matrix_rows",
    "matrix_words",
];

/// Bits of the sums of words: of as many segments as cycles are taken.
const SUM_BITS: u32 = 17;

/// Checks a descriptor's ranges, and that it fits this core's buffers; names the first error of [`ErrorCode`].
///
/// Takes 18 cycles with `active` high, then `done` for one: two lengths are summed up a step a cycle, since there is no multiplier.
pub fn descriptor_check(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("descriptor_check", config)?;
    let doc = "Checks a descriptor's ranges, and that the layer fits this core's buffers. Lengths are summed up a step a\n\
               cycle, since there is no multiplier.";
    Module::build("descriptor_check", doc, |m: &mut Builder| {
        let layer = Fields::inputs(m, &FIELDS);
        let start = m.input_doc("start", 1, "a new descriptor is on its way");
        let active = m.input_doc("active", 1, "the descriptor is complete");
        let cycle = m.reg_reset("cycle", layer["segments"].width(), 0);
        m.carries(&cycle, u64::from(MAX_SEGMENTS) + 1);
        m.set_if(&cycle, &start, &cycle.like(0));
        m.set_if(&cycle, &active, &cycle.inc());
        let mut summed = |name: &str, count: &Expr| {
            let sum = m.reg_reset(name, SUM_BITS, 0);
            m.carries(&sum, (u64::from(MAX_SEGMENTS) + 1) * largest("segment_words"));
            m.set_if(&sum, &start, &sum.like(0));
            let words = layer["segment_words"].zext(SUM_BITS);
            m.set_if(&sum, &(&active & cycle.lt(count)), &(&sum + words));
            sum
        };
        let row_words = summed("row_words", &layer["segments"]);
        let chunk_words = summed("chunk_words", &layer["chunks"].zext(cycle.width()));
        m.carries(&row_words, u64::from(config.max_fan_in / 8));
        m.carries(&chunk_words, u64::from(config.weight_rows / 8));
        m.carries(&layer["matrix_rows"], u64::from(config.max_fan_in.max(config.bias_rows)));
        let zero = |names: &[&str]| {
            names.iter().map(|n| layer[*n].is_zero()).reduce(|a, b| a | b).unwrap_or(lit(0, 1))
        };
        let attention = layer.is_attention();
        let analog = layer.is(Op::Analog);
        let bad_op = layer["op"].gt(&operation(Op::Readout));
        let steps = layer["time_steps"].dec().trunc(6);
        let told = |name: &str| layer[name].dec().trunc(3);
        let outside = |name: &str, most: u32| layer[name].is_zero() | layer[name].gt_lit(most.into());
        let steps_range = outside("time_steps", MAX_TIME_STEPS);
        let chunk_range = outside("chunks", MAX_TIME_STEPS / CHUNK_STEPS);
        let tail_range = outside("tail_steps", CHUNK_STEPS);
        let chunks_differ = mux(&analog, &layer["chunks"].ne_lit(1), &steps.slice(3, 3).ne(&told("chunks")));
        let counts_differ = chunks_differ | steps.slice(0, 3).ne(&told("tail_steps"));
        let bad_time =
            steps_range | chunk_range | tail_range | counts_differ | layer["rotate"].ge(&layer["time_steps"]);
        let shift = layer["shift"].zext(layer["inner_y"].width());
        let shift_bad = layer["shift"].any() & (shift.ge(&layer["inner_y"]) | shift.ge(&layer["inner_x"]));
        let shape = [
            "tiles",
            "groups",
            "blocks_y",
            "blocks_x",
            "inner_y",
            "inner_x",
            "segment_words",
            "output_words",
            "matrix_rows",
        ];
        let shortcut = layer.is(Op::Shortcut);
        m.comment(
            "A stored matrix has a row for each input of a gathered row, which is a segment for a shortcut.",
        );
        let rows = SUM_BITS + 3;
        let inputs = mux(&shortcut, &layer["segments"].zext(rows), &cat(&[row_words.clone(), lit(0, 3)]));
        let rows_differ = !&attention & layer["matrix_rows"].zext(rows).ne(&inputs);
        let bad_shape =
            zero(&shape) | shift_bad | rows_differ | (&attention & layer["matrix_words"].is_zero());
        let bad_segments = layer["segments"].is_zero()
            | layer["segments"].gt_lit(MAX_SEGMENTS.into())
            | (&attention & layer["segments"].ne_lit(1));
        let fan_in = !shortcut & row_words.gt_lit(u64::from(config.max_fan_in / 8));
        let attention_rows = &attention & chunk_words.gt_lit(u64::from(config.weight_rows / 8));
        let bias_rows = &attention & layer["matrix_rows"].gt_lit(config.bias_rows.into());
        let too_large = fan_in | attention_rows | bias_rows;
        let checks = [
            (bad_op, ErrorCode::BadOp),
            (bad_time, ErrorCode::BadTimeSteps),
            (bad_segments, ErrorCode::BadSegments),
            (bad_shape, ErrorCode::BadShape),
            (too_large, ErrorCode::TooLarge),
        ];
        let (mut bad, mut code) = (lit(0, 1), lit(0, ERROR_BITS));
        for (failed, this_code) in checks.iter().rev() {
            // The sums stand still in the last cycle but one.
            let failed = m.delay(&format!("fails_{}", format!("{this_code:?}").to_lowercase()), failed);
            bad = bad | &failed;
            code = mux(&failed, &error(*this_code), &code);
        }
        let done = m.delay_reset("checked", &(&active & cycle.eq_lit(u64::from(MAX_SEGMENTS))));
        m.output_doc("done", &done, "the outcome is there");
        m.output_doc("bad", &bad, "a check failed");
        m.output_doc("code", &code, "the first check that failed");
    })
}
