//! Checks a descriptor before anything is done with it.

use std::rc::Rc;

use isa::{CHUNK_STEPS, CoreConfig, ErrorCode, MAX_TIME_STEPS, Op, pass};

use super::codes::{ERROR_BITS, error, operation};
use super::fields::{Fields, Record};
use super::shaped;
use crate::rtl::{Builder, Expr, Module, RtlError, lit, mux};

/// Descriptor fields that are checked here. Addresses are checked when they are used, passes as they come.
pub(super) const FIELDS: [&str; 21] = [
    "op",
    "schedule",
    "hard_reset",
    "sum",
    "bytes",
    "time_steps",
    "tail_steps",
    "chunks",
    "pass_words",
    "rotate",
    "shift",
    "tiles",
    "groups",
    "blocks_y",
    "blocks_x",
    "inner_y",
    "inner_x",
    "passes",
    "output_words",
    "keys",
    "key_words",
];

/// Checks a descriptor's ranges, and that it fits this core's buffers; names the first error of [`ErrorCode`].
///
/// The outcome is there in the second cycle with `active` high, for as long as `active` stays.
pub fn descriptor_check(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("descriptor_check", config)?;
    let doc = "Checks a descriptor's ranges, and that the layer fits this core's buffers.";
    Module::build("descriptor_check", doc, |m: &mut Builder| {
        let layer = Fields::inputs(m, Record::Layer, &FIELDS);
        let active = m.input_doc("active", 1, "the descriptor is complete");
        m.carries(&layer["keys"], u64::from(config.bias_rows));
        let attention = layer.is_attention();
        let checks = [
            (layer["op"].gt(&operation(Op::Context)), ErrorCode::BadOp),
            (bad_time(&layer), ErrorCode::BadTimeSteps),
            (bad_segments(&layer, config), ErrorCode::BadSegments),
            (bad_shape(&layer, &attention), ErrorCode::BadShape),
            (&attention & layer["keys"].gt_lit(config.bias_rows.into()), ErrorCode::TooLarge),
        ];
        first_failure(m, &checks);
        let done = m.delay_reset("settled", &active);
        m.output_doc("done", &(&active & done), "the outcome is there");
    })
}

/// The outputs `bad` and `code`, a cycle after the checks: the first that failed.
pub(super) fn first_failure(m: &mut Builder, checks: &[(Expr, ErrorCode)]) {
    let (mut bad, mut code) = (lit(0, 1), lit(0, ERROR_BITS));
    for (failed, this_code) in checks.iter().rev() {
        let failed = m.delay(&format!("fails_{}", format!("{this_code:?}").to_lowercase()), failed);
        bad = bad | &failed;
        code = mux(&failed, &error(*this_code), &code);
    }
    m.output_doc("bad", &bad, "a check failed");
    m.output_doc("code", &code, "the first check that failed");
}

/// Whether any of some fields is 0.
pub(super) fn any_zero(fields: &Fields, names: &[&str]) -> Expr {
    names.iter().map(|name| fields[*name].is_zero()).reduce(|a, b| a | b).unwrap_or(lit(0, 1))
}

fn bad_time(layer: &Fields) -> Expr {
    let steps = layer["time_steps"].dec().trunc(6);
    let told = |name: &str| layer[name].dec().trunc(3);
    let outside = |name: &str, most: u32| layer[name].is_zero() | layer[name].gt_lit(most.into());
    let ranges = outside("time_steps", MAX_TIME_STEPS)
        | outside("chunks", MAX_TIME_STEPS / CHUNK_STEPS)
        | outside("tail_steps", CHUNK_STEPS);
    let chunks_differ =
        mux(&layer["bytes"], &layer["chunks"].ne_lit(1), &steps.slice(3, 3).ne(&told("chunks")));
    let counts_differ = chunks_differ | steps.slice(0, 3).ne(&told("tail_steps"));
    ranges | counts_differ | layer["rotate"].ge(&layer["time_steps"])
}

/// The words of a pass record.
fn bad_segments(layer: &Fields, config: &CoreConfig) -> Expr {
    let words = &layer["pass_words"];
    let ranges = words.lt_lit(8) | words.gt_lit(pass::WORDS as u64 + 1);
    if config.bus_bits == 128 { ranges | words.bit(0) } else { ranges }
}

fn bad_shape(layer: &Fields, attention: &Expr) -> Expr {
    let counts = ["tiles", "groups", "blocks_y", "blocks_x", "inner_y", "inner_x", "passes", "output_words"];
    let shift = layer["shift"].zext(layer["inner_y"].width());
    let shift_bad = layer["shift"].any() & (shift.ge(&layer["inner_y"]) | shift.ge(&layer["inner_x"]));
    let of_linear = &layer["sum"] | &layer["bytes"];
    let attention_bad =
        attention & (any_zero(layer, &["keys", "key_words"]) | layer["passes"].ne_lit(1) | of_linear);
    let sum_of_bytes = &layer["sum"] & &layer["bytes"];
    let reset_bad = &layer["hard_reset"] & layer.two_phase();
    any_zero(layer, &counts) | shift_bad | attention_bad | sum_of_bytes | reset_bad
}
