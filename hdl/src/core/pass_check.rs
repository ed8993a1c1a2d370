//! Checks a pass record before anything is done with it.

use std::rc::Rc;

use isa::pass::SEGMENT_WORD;
use isa::{CoreConfig, ErrorCode, MAX_SEGMENTS, pass};

use super::descriptor_check::{any_zero, first_failure};
use super::fields::{Fields, Record};
use super::shaped;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, mux};

/// Fields of the record that are checked here. Addresses are checked when they are used.
pub(super) const FIELDS: [&str; 6] =
    ["diagonal", "segments", "segment_words", "matrix_rows", "rows", "columns"];

/// Descriptor fields that a pass must agree with.
pub(super) const LAYER_FIELDS: [&str; 4] = ["op", "chunks", "pass_words", "output_words"];

/// Bits of the sums of words: of as many segments as cycles are taken.
const SUM_BITS: u32 = 17;

/// Checks a pass record's ranges, and that it fits this core's buffers; names the first error of [`ErrorCode`].
///
/// Takes 18 cycles with `active` high, then `done` for one: two lengths are summed up a step a cycle, since there is no multiplier.
pub fn pass_check(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("pass_check", config)?;
    let doc = "Checks a pass record's ranges, and that the pass fits this core's buffers. Lengths are summed up a step a\n\
               cycle, since there is no multiplier.";
    Module::build("pass_check", doc, |m: &mut Builder| {
        let pass = Fields::inputs(m, Record::Pass, &FIELDS);
        let layer = Fields::inputs(m, Record::Layer, &LAYER_FIELDS);
        let active = m.input_doc("active", 1, "the record is complete");
        let cycle = m.reg_reset("cycle", pass["segments"].width(), 0);
        m.carries(&cycle, u64::from(MAX_SEGMENTS) + 1);
        m.set_if(&cycle, &!&active, &cycle.like(0));
        m.set(&cycle, &cycle.inc());
        let [row_words, chunk_words] = [("row_words", &pass["segments"]), ("chunk_words", &layer["chunks"])]
            .map(|(name, count)| summed(m, &pass, &active, &cycle, name, &count.zext(cycle.width())));
        m.carries(&pass["matrix_rows"], u64::from(config.max_fan_in));
        m.carries(&row_words, u64::from(config.max_fan_in / 8));
        m.carries(&chunk_words, u64::from(config.weight_rows / 8));
        let attention = layer.is_attention();
        let diagonal = &pass["diagonal"];
        let record_words = pass["segments"].zext(6) + pass["segments"].zext(6).like(SEGMENT_WORD as u64);
        let bad_segments = pass["segments"].is_zero()
            | pass["segments"].gt_lit(MAX_SEGMENTS.into())
            | record_words.gt(&layer["pass_words"].zext(6))
            | (&attention & pass["segments"].ne_lit(1));
        m.comment("A dense slice of weights has a row for each byte of the gathered row, a diagonal one for each segment.");
        let rows = SUM_BITS + 3;
        let inputs =
            mux(diagonal, &pass["segments"].zext(rows), &cat(&[row_words.clone(), crate::rtl::lit(0, 3)]));
        let rows_differ = pass["matrix_rows"].is_zero() | pass["matrix_rows"].zext(rows).ne(&inputs);
        m.comment("A diagonal pass reads as many words as the layer writes, tile by tile.");
        let words_differ = diagonal & pass["segment_words"].ne(&layer["output_words"]);
        let bad_shape = any_zero(&pass, &["segment_words", "rows", "columns"])
            | mux(&attention, diagonal, &rows_differ)
            | words_differ;
        let too_large = (!diagonal & row_words.gt_lit(u64::from(config.max_fan_in / 8)))
            | (&attention & chunk_words.gt_lit(u64::from(config.weight_rows / 8)));
        let checks = [
            (bad_segments, ErrorCode::BadSegments),
            (bad_shape, ErrorCode::BadShape),
            (too_large, ErrorCode::TooLarge),
        ];
        // The sums stand still in the last cycle but one.
        first_failure(m, &checks);
        let done = m.delay_reset("checked", &(&active & cycle.eq_lit(u64::from(MAX_SEGMENTS))));
        m.output_doc("done", &done, "the outcome is there");
    })
}

/// The words of `count` segments, summed up while `cycle` counts.
fn summed(m: &mut Builder, pass: &Fields, active: &Expr, cycle: &Expr, name: &str, count: &Expr) -> Expr {
    let sum = m.reg_reset(name, SUM_BITS, 0);
    m.carries(&sum, (u64::from(MAX_SEGMENTS) + 1) * pass::field("segment_words").largest());
    m.set_if(&sum, &!active, &sum.like(0));
    m.set_if(&sum, &cycle.lt(count), &(&sum + pass["segment_words"].zext(SUM_BITS)));
    sum
}
