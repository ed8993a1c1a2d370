//! The shared control of the neuron array.

use std::rc::Rc;

use isa::{CoreConfig, MAX_TIME_STEPS};

use super::fields::{Fields, Record, pass_bits};
use super::if_neuron::{COUNT_BITS, POWER_BITS};
use super::shaped;
use crate::rtl::{Builder, Expr, Module, RtlError, lit, mux};
use emission::{Emission, RowOfBytes, emission, reseed, row_of_bytes};
use outputs::outputs;
use sums::{Sums, sums};

mod emission;
mod outputs;
mod sums;

/// Descriptor fields that the array's control reads.
pub(super) const FIELDS: [&str; 9] =
    ["op", "schedule", "sum", "bytes", "time_steps", "rotate", "rotate_by_block", "fraction", "mask_shared"];

/// Paces the three stages of the array: integrate, fire, emit.
///
/// | layer | fire | cycles a token |
/// |---|---|---|
/// | `two_phase` | load, then T steps; the next load may fall on the last step | T |
/// | `two_phase`, bytes | add T times, T steps | 2 T |
/// | `if` | T times: add, step | 2 T |
/// | `sum` | the drive's four bytes, once a job | 4 |
/// | any, before its last pass | none: the sum goes to the sum buffer | – |
///
/// A pass after the first starts each sum from the sum buffer, which is read with the sum's first event. Where a mask is shared by tokens, the
/// lanes take their seeds anew after each token, which takes two cycles, and a third if the bias row of the next event had been read before.
///
/// A complete sum stays in the accumulator until the drive register is free. Events wait (`advance` low) only when the next sum
/// begins while both are full, which is registered state. Emission goes through the time slots in order; a two-phase neuron spikes in a slot when its spike count exceeds the slot's rank (see [`isa::descriptor`]). Firing and
/// emission wait while the packer is busy.
pub fn neuron_control(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("neuron_control", config)?;
    let doc = "Paces the array's three stages (integrate, fire, emit) over consecutive tokens.";
    Module::build("neuron_control", doc, |m: &mut Builder| {
        let ports = ports(m);
        let integrate = integrate(m, &ports);
        let fire = fire(m, &ports, &integrate);
        let drive = drive(m, &ports, &integrate, &fire);
        let slots = slots(m, &ports, &fire);
        let emission = emission(m, &ports, &fire, &slots);
        let row_of_bytes = row_of_bytes(m, &ports, &integrate, &fire, &emission);
        let sums = sums(m, config, &ports, &integrate, &drive);
        reseed(m, &integrate, &emission, &row_of_bytes);
        let parts = Parts { ports, integrate, fire, drive, slots, emission, row_of_bytes, sums };
        outputs(m, &parts);
    })
}

/// All sections, for the outputs.
struct Parts {
    ports: Ports,
    integrate: Integrate,
    fire: Fire,
    drive: Drive,
    slots: Slots,
    emission: Emission,
    row_of_bytes: RowOfBytes,
    sums: Sums,
}

/// The layer, and what the array's neighbours say.
struct Ports {
    layer: Fields,
    event_valid: Expr,
    event_null: Expr,
    event_last: Expr,
    event_plane: Expr,
    event_shift: Expr,
    event_steps: Expr,
    event_bias_row: Expr,
    term_shift: Expr,
    diagonal: Expr,
    from_sums: Expr,
    to_sums: Expr,
    load_row: Expr,
    preset_job: Expr,
    packer_ready: Expr,
    two_phase: Expr,
    analog: Expr,
    readout: Expr,
    attention: Expr,
    last_time: Expr,
}

fn ports(m: &mut Builder) -> Ports {
    let layer = Fields::inputs(m, Record::Layer, &FIELDS);
    let event_valid = m.input("event_valid", 1);
    let event_null = m.input("event_null", 1);
    let event_last = m.input("event_last", 1);
    let event_plane = m.input("event_plane", 3);
    let event_shift = m.input("event_shift", 3);
    let event_steps = m.input("event_steps", 8);
    let event_bias_row = m.input_doc("event_bias_row", 1, "a bias row is read with the event");
    let term_shift = m.input_doc("term_shift", pass_bits("shift"), "field of the pass record");
    let diagonal = m.input_doc("diagonal", 1, "field of the pass record");
    let from_sums = m.input_doc("from_sums", 1, "the pass is not the layer's first");
    let to_sums = m.input_doc("to_sums", 1, "the pass is not the layer's last");
    let load_row = m.input_doc("read_row_onehot", isa::layout::PARAMETER_ROWS, "parameter row being read");
    let preset_job = m.input_doc("preset_job", 1, "parameters are loaded: membranes take v0");
    let packer_ready = m.input("packer_ready", 1);

    let two_phase = m.delay("two_phase_layer", &layer.two_phase());
    let analog = m.delay("bytes_layer", &layer["bytes"]);
    let readout = m.delay("sum_layer", &layer["sum"]);
    let attention = m.delay("attention", &layer.is_attention());
    let last_time = m.delay("last_time", &(&layer["time_steps"] - &lit(1, COUNT_BITS)));
    Ports {
        layer,
        event_valid,
        event_null,
        event_last,
        event_plane,
        event_shift,
        event_steps,
        event_bias_row,
        term_shift,
        diagonal,
        from_sums,
        to_sums,
        load_row,
        preset_job,
        packer_ready,
        two_phase,
        analog,
        readout,
        attention,
        last_time,
    }
}

/// The event's stages, and when a sum is complete.
struct Integrate {
    advance: Expr,
    drive_full: Expr,
    valid_1: Expr,
    valid_2: Expr,
    sum_full: Expr,
    null_1: Expr,
    plane_1: Expr,
    steps_1: Expr,
    bias_row_1: Expr,
    sum_1: Expr,
    reseeding: Expr,
    last_2: Expr,
    first_of_sum: Expr,
    power_2: Expr,
    rows_1: Expr,
    accumulate: Expr,
    first: Expr,
}

fn integrate(m: &mut Builder, ports: &Ports) -> Integrate {
    m.comment("Integrate: the matrix row arrives with stage 1, the operand with stage 2.");
    let advance = m.wire("advance", 1);
    let drive_full = m.reg_reset("drive_full", 1, 0);
    let valid_1 = m.reg_reset("valid_1", 1, 0);
    let valid_2 = m.reg_reset("valid_2", 1, 0);
    let sum_full = m.reg_reset("sum_full", 1, 0);
    let mut follow = |name: &str, value: &Expr| m.sample(name, &advance, value);
    let null_1 = follow("null_1", &ports.event_null);
    let last_1 = follow("last_1", &ports.event_last);
    let plane_1 = follow("plane_1", &ports.event_plane);
    let shift_1 = follow("shift_1", &ports.event_shift);
    let steps_1 = follow("steps_1", &ports.event_steps);
    let bias_row_1 = follow("bias_row_1", &ports.event_bias_row);
    let last_2 = follow("last_2", &last_1);
    let power = shift_1.zext(POWER_BITS) + ports.term_shift.zext(POWER_BITS);
    let power_2 =
        follow("power_2", &mux(&ports.attention, &ports.layer["fraction"].zext(POWER_BITS), &power));
    let first_of_sum = m.reg_reset("first_of_sum", 1, 1);
    let moves = m.named("event_moves", &(&advance & &ports.event_valid));
    m.set_if(&first_of_sum, &ports.preset_job, &lit(1, 1));
    m.set_if(&first_of_sum, &moves, &ports.event_last);
    let sum_1 = m.sample("sum_1", &advance, &(&first_of_sum & &ports.from_sums));
    let reseeding = m.wire("reseeding", 1);
    m.set_if(&valid_1, &advance, &ports.event_valid);
    m.set_if(&valid_2, &advance, &valid_1);
    let rows_1 = m.reg_reset("load_rows", isa::layout::PARAMETER_ROWS, 0);
    m.set(&rows_1, &ports.load_row);
    let accumulate = m.named("accumulate", &(&advance & &valid_2));
    let first = m.reg_reset("first", 1, 1);
    m.set_if(&first, &accumulate, &last_2);
    Integrate {
        advance,
        drive_full,
        valid_1,
        valid_2,
        sum_full,
        null_1,
        plane_1,
        steps_1,
        bias_row_1,
        sum_1,
        reseeding,
        last_2,
        first_of_sum,
        power_2,
        rows_1,
        accumulate,
        first,
    }
}

/// The steps of a token.
struct Fire {
    advances: Expr,
    stepping: Expr,
    counter: Expr,
    slot: Expr,
    last_count: Expr,
    last_slot: Expr,
    single: Expr,
    step: Expr,
    latch: Expr,
    load: Expr,
    add: Expr,
    raw: Expr,
    last_raw: Expr,
    last_add: Expr,
    zero: Expr,
}

fn fire(m: &mut Builder, ports: &Ports, integrate: &Integrate) -> Fire {
    m.comment("Fire.");
    let advances = m.wire("fire_advance", 1);
    let stepping = m.reg_reset("stepping", 1, 0);
    let counter = m.reg_reset("fire_counter", COUNT_BITS, 0);
    let slot = m.reg_reset("slot", COUNT_BITS, 0);
    m.comment("Whether a count is at its last value is decided with the count before, and registered.");
    let last_count = m.reg("last_count", 1);
    let last_slot = m.reg("last_slot", 1);
    let single = m.named("single", &ports.last_time.is_zero());
    let step = m.named("step", &(&advances & &stepping));
    let last_step = m.named("last_step", &(!&ports.two_phase | &last_count));
    let latch = m.named("latch", &(&step & &ports.two_phase & &last_count));
    let free = !&stepping | &last_count;
    let loads = m.named("loads", &(&ports.two_phase & !&ports.analog & !&ports.readout));
    let load = m.named("load", &(&advances & &loads & &integrate.drive_full & free));
    let adds = !&ports.two_phase | &ports.analog;
    let add = m.named("add", &(&advances & adds & !&ports.readout & &integrate.drive_full & !&stepping));
    let raw = m.named("raw", &(&advances & &ports.readout & &integrate.drive_full));
    let last_raw = m.named("last_raw", &counter.eq_lit(u64::from(isa::layout::LOGIT_BYTES) - 1));
    let last_add =
        m.named("last_add", &mux(&ports.analog, &mux(&ports.two_phase, &last_count, &last_slot), &lit(1, 1)));
    let counts_adds = &ports.two_phase & &ports.analog;
    let start_steps = m.named("start_steps", &(&load | &(&add & (!&counts_adds | &last_count))));
    m.assert_formal(
        "adds_or_steps",
        "A membrane adds the drive or takes a threshold step, never both at once.",
        &!(&add & &step),
    );
    m.set_if(&stepping, &start_steps, &lit(1, 1));
    m.set_if(&stepping, &(&step & &last_step), &lit(0, 1));
    let zero = lit(0, COUNT_BITS);
    let restarts = &start_steps | (&raw & &last_raw) | (&step & &last_step);
    let restarts = m.named("counter_restarts", &restarts);
    let counts = m.named("counter_counts", &((&step & &ports.two_phase) | (&add & &counts_adds) | &raw));
    goes(m, [&counter, &last_count], &restarts, &counts, [&single, &ports.last_time]);
    Fire {
        advances,
        stepping,
        counter,
        slot,
        last_count,
        last_slot,
        single,
        step,
        latch,
        load,
        add,
        raw,
        last_raw,
        last_add,
        zero,
    }
}

struct Drive {
    capture: Expr,
    preset: Expr,
}

/// The drive register between sum and membrane.
fn drive(m: &mut Builder, ports: &Ports, integrate: &Integrate, fire: &Fire) -> Drive {
    let take =
        m.named("drive_take", &(&fire.load | &(&fire.add & &fire.last_add) | &(&fire.raw & &fire.last_raw)));
    let capture = m.named("capture", &(&integrate.sum_full & (!&integrate.drive_full | &take)));
    m.set_if(&integrate.sum_full, &(&integrate.accumulate & &integrate.last_2), &lit(1, 1));
    m.set_if(&integrate.sum_full, &capture, &lit(0, 1));
    m.set_if(&integrate.drive_full, &(&capture & !&ports.to_sums), &lit(1, 1));
    m.set_if(&integrate.drive_full, &take, &lit(0, 1));
    let blocked =
        m.named("drive_blocked", &(&integrate.valid_2 & &integrate.sum_full & &integrate.drive_full));
    m.assign(&integrate.advance, &!(&blocked | &integrate.reseeding));
    let token_done = mux(&ports.two_phase, &fire.last_count, &fire.last_slot);
    let preset = m.named(
        "preset",
        &(&ports.preset_job | &(&fire.step & (!&ports.two_phase | &ports.analog) & token_done)),
    );
    Drive { capture, preset }
}

/// The time slot that is emitted, and its rank.
struct Slots {
    emitting: Expr,
    slot_fire: Expr,
    token_end: Expr,
    index: Expr,
    rank: Expr,
}

fn slots(m: &mut Builder, ports: &Ports, fire: &Fire) -> Slots {
    m.comment("Emit: rank lookup, then the slot.");
    let emitting = m.reg_reset("emitting", 1, 0);
    let slot_fire = m.named(
        "slot_fire",
        &mux(&ports.two_phase, &(&fire.latch | &(&fire.advances & &emitting)), &fire.step),
    );
    let token_end = m.named("token_end", &(&slot_fire & &fire.last_slot));
    goes(m, [&fire.slot, &fire.last_slot], &token_end, &slot_fire, [&fire.single, &ports.last_time]);
    m.set_if(&emitting, &token_end, &lit(0, 1));
    m.set_if(&emitting, &slot_fire, &lit(1, 1));
    let walk_start = m.input_doc("walk_start", 1, "the output walk starts over");
    let block_end = m.input_doc("last_of_block", 1, "the token is the last of its block");
    let origin = m.reg_reset("order_origin", COUNT_BITS, 0);
    let index = m.reg_reset("order_index", COUNT_BITS, 0);
    let back = m.named("order_back", &(&origin - &ports.layer["rotate"]));
    let wraps = origin.lt(&ports.layer["rotate"]);
    let turned = mux(&wraps, &(&back + &ports.layer["time_steps"]), &back);
    let starts_over = (&ports.layer["rotate_by_block"] | &ports.attention) & &block_end;
    let next_origin = m.named("next_origin", &mux(&starts_over, &fire.zero, &turned));
    let next_index = mux(&index.eq(&ports.last_time), &fire.zero, &index.inc());
    m.set_if(&origin, &walk_start, &fire.zero);
    m.set_if(&origin, &token_end, &next_origin);
    m.set_if(&index, &walk_start, &fire.zero);
    m.set_if(&index, &token_end, &next_origin);
    m.set_if(&index, &slot_fire, &next_index);
    let rank_now = m.input_doc("rank_now", COUNT_BITS, "rank at `rank_index`");
    let rank = m.reg("rank", COUNT_BITS);
    m.set_if(&rank, &slot_fire, &rank_now);
    Slots { emitting, slot_fire, token_end, index, rank }
}

/// Bits of an index into the rank table.
pub(super) fn rank_bits() -> u32 {
    crate::rtl::index_width(MAX_TIME_STEPS)
}

/// A count and the flag that it is at its last value: it goes on with `counts` and starts over with `restarts`, where it is at its
/// last value if that is `single`, the only one.
fn goes(
    m: &mut Builder,
    [count, last]: [&Expr; 2],
    restarts: &Expr,
    counts: &Expr,
    [single, last_value]: [&Expr; 2],
) {
    m.set_if(count, restarts, &count.like(0));
    m.set_if(count, counts, &count.inc());
    m.set_if(last, restarts, single);
    m.set_if(last, counts, &count.inc().eq(last_value));
    m.set(last, &count.eq(last_value));
}
