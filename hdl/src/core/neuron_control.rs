//! The shared control of the neuron array.

use std::rc::Rc;

use isa::{MAX_TIME_STEPS, Op};

use super::fields::Fields;
use super::if_neuron::COUNT_BITS;
use crate::rtl::{Builder, Expr, Module, RtlError, lit, mux};

/// Descriptor fields that the array's control reads.
pub(super) const FIELDS: [&str; 6] = ["op", "neuron", "time_steps", "rotate", "rotate_by_block", "fraction"];

/// Paces the three stages of the array: integrate, fire, emit.
///
/// | layer | fire | cycles a token |
/// |---|---|---|
/// | `two_phase` | load, then T steps; the next load may fall on the last step | T |
/// | `two_phase`, analog | add T times, T steps | 2 T |
/// | `if` | T times: add, step | 2 T |
/// | readout | the drive's four bytes, once a job | 4 |
///
/// A complete sum stays in the accumulator until the drive register is free. Events wait (`advance` low) only when the next sum
/// begins while both are full, which is registered state. Emission goes through the time slots in order; a two-phase neuron spikes in a slot when its spike count exceeds the slot's rank (see [`isa::descriptor`]). Firing and
/// emission wait while the packer is busy.
pub fn neuron_control() -> Result<Rc<Module>, RtlError> {
    let doc = "Paces the array's three stages (integrate, fire, emit) over consecutive tokens.";
    Module::build("neuron_control", doc, |m: &mut Builder| {
        let layer = Fields::inputs(m, &FIELDS);
        let event_valid = m.input("event_valid", 1);
        let event_null = m.input("event_null", 1);
        let event_last = m.input("event_last", 1);
        let event_plane = m.input("event_plane", 3);
        let event_shift = m.input("event_shift", 3);
        let event_steps = m.input("event_steps", 8);
        let event_bias_row = m.input_doc("event_bias_row", 1, "a bias row is read with the event");
        let load_row =
            m.input_doc("read_row_onehot", isa::layout::PARAMETER_ROWS, "parameter row being read");
        let preset_job = m.input_doc("preset_job", 1, "parameters are loaded: membranes take v0");
        let packer_ready = m.input("packer_ready", 1);

        let two_phase = m.delay("two_phase_layer", &layer.two_phase());
        let analog = m.delay("analog", &layer.is(Op::Analog));
        let readout = m.delay("readout", &layer.is(Op::Readout));
        let attention = m.delay("attention", &layer.is_attention());
        let last_time = m.delay("last_time", &(&layer["time_steps"] - &lit(1, COUNT_BITS)));

        m.comment("Integrate: the matrix row arrives with stage 1, the operand with stage 2.");
        let advance = m.wire("advance", 1);
        let drive_full = m.reg_reset("drive_full", 1, 0);
        let valid_1 = m.reg_reset("valid_1", 1, 0);
        let valid_2 = m.reg_reset("valid_2", 1, 0);
        let sum_full = m.reg_reset("sum_full", 1, 0);
        let mut follow = |name: &str, value: &Expr| m.sample(name, &advance, value);
        let null_1 = follow("null_1", &event_null);
        let last_1 = follow("last_1", &event_last);
        let plane_1 = follow("plane_1", &event_plane);
        let shift_1 = follow("shift_1", &event_shift);
        let steps_1 = follow("steps_1", &event_steps);
        let bias_row_1 = follow("bias_row_1", &event_bias_row);
        let last_2 = follow("last_2", &last_1);
        let power_2 = follow("power_2", &mux(&attention, &layer["fraction"], &shift_1));
        m.set_if(&valid_1, &advance, &event_valid);
        m.set_if(&valid_2, &advance, &valid_1);
        let rows_1 = m.reg_reset("load_rows", isa::layout::PARAMETER_ROWS, 0);
        m.set(&rows_1, &load_row);
        let accumulate = m.named("accumulate", &(&advance & &valid_2));
        let first = m.reg_reset("first", 1, 1);
        m.set_if(&first, &accumulate, &last_2);

        m.comment("Fire.");
        let fire = m.wire("fire_advance", 1);
        let stepping = m.reg_reset("stepping", 1, 0);
        let counter = m.reg_reset("fire_counter", COUNT_BITS, 0);
        let slot = m.reg_reset("slot", COUNT_BITS, 0);
        m.comment("Whether a count is at its last value is decided with the count before, and registered.");
        let last_count = m.reg("last_count", 1);
        let last_slot = m.reg("last_slot", 1);
        let single = m.named("single", &last_time.is_zero());
        let step = m.named("step", &(&fire & &stepping));
        let last_step = m.named("last_step", &(!&two_phase | &last_count));
        let latch = m.named("latch", &(&step & &two_phase & &last_count));
        let free = !&stepping | &last_count;
        let loads = m.named("loads", &(&two_phase & !&analog & !&readout));
        let load = m.named("load", &(&fire & &loads & &drive_full & free));
        let adds = !&two_phase | &analog;
        let add = m.named("add", &(&fire & adds & !&readout & &drive_full & !&stepping));
        let raw = m.named("raw", &(&fire & &readout & &drive_full));
        let last_raw = m.named("last_raw", &counter.eq_lit(u64::from(isa::layout::LOGIT_BYTES) - 1));
        let last_add =
            m.named("last_add", &mux(&analog, &mux(&two_phase, &last_count, &last_slot), &lit(1, 1)));
        let counts_adds = &two_phase & &analog;
        let start_steps = m.named("start_steps", &(&load | &(&add & (!&counts_adds | &last_count))));
        m.set_if(&stepping, &start_steps, &lit(1, 1));
        m.set_if(&stepping, &(&step & &last_step), &lit(0, 1));
        let zero = lit(0, COUNT_BITS);
        let restarts = &start_steps | (&raw & &last_raw) | (&step & &last_step);
        let restarts = m.named("counter_restarts", &restarts);
        let counts = m.named("counter_counts", &((&step & &two_phase) | (&add & &counts_adds) | &raw));
        let goes = |m: &mut Builder, count: &Expr, last: &Expr, restarts: &Expr, counts: &Expr| {
            m.set_if(count, restarts, &zero);
            m.set_if(count, counts, &count.inc());
            m.set_if(last, restarts, &single);
            m.set_if(last, counts, &count.inc().eq(&last_time));
            m.set(last, &count.eq(&last_time));
        };
        goes(m, &counter, &last_count, &restarts, &counts);
        let take = m.named("drive_take", &(&load | &(&add & &last_add) | &(&raw & &last_raw)));
        let capture = m.named("capture", &(&sum_full & (!&drive_full | &take)));
        m.set_if(&sum_full, &(&accumulate & &last_2), &lit(1, 1));
        m.set_if(&sum_full, &capture, &lit(0, 1));
        m.set_if(&drive_full, &capture, &lit(1, 1));
        m.set_if(&drive_full, &take, &lit(0, 1));
        let blocked = m.named("drive_blocked", &(&valid_2 & &sum_full & &drive_full));
        m.assign(&advance, &!&blocked);
        let token_done = mux(&two_phase, &last_count, &last_slot);
        let preset = m.named("preset", &(&preset_job | &(&step & (!&two_phase | &analog) & token_done)));

        m.comment("Emit: rank lookup, then the slot.");
        let emitting = m.reg_reset("emitting", 1, 0);
        let slot_fire = m.named("slot_fire", &mux(&two_phase, &(&latch | &(&fire & &emitting)), &step));
        let token_end = m.named("token_end", &(&slot_fire & &last_slot));
        goes(m, &slot, &last_slot, &token_end, &slot_fire);
        m.set_if(&emitting, &token_end, &lit(0, 1));
        m.set_if(&emitting, &slot_fire, &lit(1, 1));
        let walk_start = m.input_doc("walk_start", 1, "the output walk starts over");
        let block_end = m.input_doc("last_of_block", 1, "the token is the last of its block");
        let origin = m.reg_reset("order_origin", COUNT_BITS, 0);
        let index = m.reg_reset("order_index", COUNT_BITS, 0);
        let back = m.named("order_back", &(&origin - &layer["rotate"]));
        let wraps = origin.lt(&layer["rotate"]);
        let turned = mux(&wraps, &(&back + &layer["time_steps"]), &back);
        let restarts = (&layer["rotate_by_block"] | &attention) & &block_end;
        let next_origin = m.named("next_origin", &mux(&restarts, &zero, &turned));
        let next_index = mux(&index.eq(&last_time), &zero, &index.inc());
        m.set_if(&origin, &walk_start, &zero);
        m.set_if(&origin, &token_end, &next_origin);
        m.set_if(&index, &walk_start, &zero);
        m.set_if(&index, &token_end, &next_origin);
        m.set_if(&index, &slot_fire, &next_index);
        let rank_now = m.input_doc("rank_now", COUNT_BITS, "rank at `rank_index`");
        let rank = m.reg("rank", COUNT_BITS);
        m.set_if(&rank, &slot_fire, &rank_now);

        let emit_valid = m.reg_reset("emit_valid", 1, 0);
        m.set_if(&emit_valid, &fire, &slot_fire);
        let offset = m.input_doc("token_offset", 32, "output offset of the token");
        let regions: Vec<(&str, Expr)> = ["row_split", "column_split", "query_row_band", "query_column_band"]
            .map(|name| (name, m.input(&format!("token_{name}"), 1)))
            .into();
        let scores = layer.is(Op::Scores);
        let mut at_slot = |name: &str, value: &Expr| m.sample(name, &slot_fire, value);
        let position = slot.slice(0, 3);
        let slot_bit = at_slot("slot_bit", &lit(1, 8).shl_by(&position));
        let first_bit = at_slot("first_bit", &position.is_zero());
        let chunk_end = at_slot("chunk_end", &(position.all() | &last_slot));
        let emit_last = at_slot("emit_last", &last_slot);
        m.comment("The walk moves on a cycle after a token's last slot: its outputs belong to a slot in the cycle after it.");
        let token_step = m.delay_reset("token_ended", &token_end);
        let walked = m.delay_reset("slot_fired", &slot_fire);
        let mut of_token = |name: &str, value: &Expr| {
            let kept = m.sample(&format!("kept_{name}"), &walked, value);
            m.named(&format!("emit_{name}"), &mux(&walked, value, &kept))
        };
        let emit_offset = of_token("offset", &offset);
        let region_flags: Vec<Expr> = regions
            .iter()
            .map(|(name, value)| {
                let gated = if name.ends_with("split") { value & &scores } else { value.clone() };
                of_token(name, &gated)
            })
            .collect();
        let emit = m.named("emit", &(&fire & &emit_valid));

        m.comment("A complete row of bytes goes to the packer.");
        let bytes_valid = m.reg_reset("bytes_valid", 1, 0);
        let bytes_last = m.reg("bytes_last", 1);
        let bytes_offset = m.reg("bytes_offset", 32);
        let completes = m.named("bytes_complete", &((&emit & &chunk_end) | &raw));
        m.set_if(&bytes_valid, &fire, &completes);
        m.set_if(&bytes_last, &completes, &mux(&readout, &last_raw, &emit_last));
        m.set_if(&bytes_offset, &completes, &mux(&readout, &offset, &emit_offset));
        m.assign(&fire, &!(&bytes_valid & !&packer_ready));

        let idle = !(event_valid
            | &valid_1
            | &valid_2
            | &sum_full
            | &drive_full
            | &stepping
            | &emitting
            | &emit_valid
            | &bytes_valid);
        let idle = m.delay("idle_before", &idle);
        m.output_doc("idle", &idle, "no token was in the array in the cycle before");
        m.output_doc("advance", &advance, "the event stage is taken");
        m.output("load_rows", &rows_1);
        m.output("load_bias_row", &(&advance & &valid_1 & bias_row_1));
        m.output("event_active", &(&valid_1 & !null_1));
        m.output("plane", &plane_1);
        m.output("power", &power_2);
        m.output("event_steps_1", &steps_1);
        m.output("is_attention", &attention);
        m.output("is_shortcut", &layer.is(Op::Shortcut));
        for (name, value) in [
            ("accumulate", &accumulate),
            ("capture", &capture),
            ("first", &first),
            ("load", &load),
            ("add", &add),
            ("step", &step),
            ("preset", &preset),
            ("latch", &latch),
            ("two_phase", &two_phase),
            ("rank", &rank),
            ("emit", &emit),
            ("slot_bit", &slot_bit),
            ("first_bit", &first_bit),
            ("raw", &raw),
        ] {
            m.output(name, value);
        }
        m.output("raw_byte", &counter.slice(0, 2));
        for ((name, _), value) in regions.iter().zip(&region_flags) {
            m.output(name, value);
        }
        m.output_doc("rank_index", &index.trunc(rank_bits()), "entry of the rank table");
        m.output_doc("token_step", &token_step, "the output walk moves on");
        m.output("bytes_valid", &bytes_valid);
        m.output_doc("bytes_last", &bytes_last, "the row of bytes is the token's last");
        m.output("bytes_offset", &bytes_offset);
        m.output_doc("blocked_by_fire", &(!&advance & &fire), "an event waits for threshold steps");
        m.output_doc("blocked_by_output", &!&fire, "firing waits for the packer");
    })
}

/// Bits of an index into the rank table.
pub(super) fn rank_bits() -> u32 {
    crate::rtl::index_width(MAX_TIME_STEPS)
}
