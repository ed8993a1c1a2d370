//! What the lanes, the packer and the others are told.

use super::{Parts, rank_bits};
use crate::rtl::Builder;

pub(super) fn outputs(m: &mut Builder, parts: &Parts) {
    of_events(m, parts);
    of_lanes(m, parts);
    of_tokens(m, parts);
}

fn of_events(m: &mut Builder, parts: &Parts) {
    let Parts { ports, integrate, fire, slots, emission, row_of_bytes, sums, .. } = parts;
    let idle = !(&sums.writing
        | &row_of_bytes.reseeding
        | &ports.event_valid
        | &integrate.valid_1
        | &integrate.valid_2
        | &integrate.sum_full
        | &integrate.drive_full
        | &fire.stepping
        | &slots.emitting
        | &emission.emit_valid
        | &row_of_bytes.bytes_valid);
    let idle = m.delay("idle_before", &idle);
    m.output_doc("idle", &idle, "no token was in the array in the cycle before");
    m.output_doc("advance", &integrate.advance, "the event stage is taken");
    m.output("load_rows", &integrate.rows_1);
    m.output("load_bias_row", &(&integrate.advance & &integrate.valid_1 & &integrate.bias_row_1));
    m.output("event_active", &(&integrate.valid_1 & !&integrate.null_1));
    m.output("plane", &integrate.plane_1);
    m.output("power", &integrate.power_2);
    m.output("event_steps_1", &integrate.steps_1);
    m.output("is_attention", &ports.attention);
    m.output("is_diagonal", &ports.diagonal);
}

fn of_lanes(m: &mut Builder, parts: &Parts) {
    let Parts { ports, integrate, fire, drive, slots, emission, .. } = parts;
    for (name, value) in [
        ("accumulate", &integrate.accumulate),
        ("capture", &drive.capture),
        ("first", &integrate.first),
        ("load", &fire.load),
        ("add", &fire.add),
        ("step", &fire.step),
        ("preset", &drive.preset),
        ("latch", &fire.latch),
        ("two_phase", &ports.two_phase),
        ("rank", &slots.rank),
        ("emit", &emission.emit),
        ("slot_bit", &emission.slot_bit),
        ("first_bit", &emission.first_bit),
        ("raw", &fire.raw),
    ] {
        m.output(name, value);
    }
    m.output("raw_byte", &fire.counter.slice(0, 2));
    for ((name, _), value) in emission.regions.iter().zip(&emission.region_flags) {
        m.output(name, value);
    }
}

fn of_tokens(m: &mut Builder, parts: &Parts) {
    let Parts { integrate, fire, slots, emission, row_of_bytes, .. } = parts;
    m.output_doc("rank_index", &slots.index.trunc(rank_bits()), "entry of the rank table");
    m.output_doc("token_step", &emission.token_step, "the output walk moves on");
    m.output("bytes_valid", &row_of_bytes.bytes_valid);
    m.output_doc("bytes_last", &row_of_bytes.bytes_last, "the row of bytes is the token's last");
    m.output("bytes_offset", &row_of_bytes.bytes_offset);
    m.output_doc(
        "blocked_by_fire",
        &(!&integrate.advance & &fire.advances),
        "an event waits for threshold steps",
    );
    m.output_doc("blocked_by_output", &!&fire.advances, "firing waits for the packer");
}
