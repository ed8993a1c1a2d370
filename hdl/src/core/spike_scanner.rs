//! Turns input rows into a stream of events.

use std::rc::Rc;

use isa::{CoreConfig, MAX_SEGMENTS};

use super::fields::bits;
use super::landing::Landing;
use super::shaped;
use super::spike_buffer::{ROW_BITS, WORD_ROW_BITS, row_words};
use super::weight_buffer::chunk_rows;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, index_width, lit, mux};

/// Visits the active entries of each row, one a cycle, without a bubble between words, planes or rows.
///
/// A row is walked in *passes*, one for each bit plane that has any bit set: time steps of an `if` layer (all of them, since each
/// is a step of the neuron), powers of two of spike counts or inputs otherwise. A pass visits its active words, a word its active bytes. So an inactive spike
/// costs nothing; a row (or, of an `if` layer, a time step) without any is one null event.
///
/// Stages: *pass* (its bitmap) → *spare* (only if the next is not free) → *look* (its lowest word) → *walk* (next word of the bitmap, reads it) → *read* → *landing* → *pick*
/// (its bytes of the plane) → *bits* (next byte of them) → *event* (registered output; reads the matrix row). Words are read ahead while there is room for them to
/// land; after that a stage moves when the next one takes, and `advance` is the array's consent.
pub fn spike_scanner(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("spike_scanner", config)?;
    let words = row_words(config);
    let doc = "Visits the active entries of input rows, one event a cycle, without a bubble between words, planes or rows.";
    Module::build("spike_scanner", doc, |m: &mut Builder| {
        let word_bits = index_width(words);
        let row_bits = index_width(config.weight_rows);
        let segment_bits = index_width(MAX_SEGMENTS);
        let step_mode = m.input_doc("step_mode", 1, "each time step is handed over");
        let step_events = m.input_doc("step_events", 1, "planes are time steps");
        let whole_bytes = m.input_doc("whole_bytes", 1, "an event is a whole spike byte");
        let wide = m.input_doc("wide", 1, "an event is a segment");
        let one_sum = m.input_doc("one_sum", 1, "hand over once a job (readout)");
        let is_attention = m.input("is_attention", 1);
        let is_scores = m.input("is_scores", 1);
        let tail_steps = m.input("tail_steps", bits("tail_steps"));
        let segment_words = m.input("segment_words", bits("segment_words"));
        let job_start = m.input_doc("job_start", 1, "the next job's rows may be scanned");
        let advance = m.input("advance", 1);
        let full = [m.input("full_0", 1), m.input("full_1", 1)];
        let active = [m.input("active_planes_0", 8), m.input("active_planes_1", 8)];
        let token_end = [m.input("token_end_0", 1), m.input("token_end_1", 1)];
        let job_end = [m.input("job_end_0", 1), m.input("job_end_1", 1)];
        let bitmap = m.input("bitmap", words);
        let word_data = m.input("word_data", 64);

        // Readiness runs from the last stage to the first.
        let bits_take = m.wire("bits_take", 1);
        let pick_take = m.wire("pick_take", 1);
        let walk_take = m.wire("walk_take", 1);
        let look_take = m.wire("look_take", 1);
        let pass_take = m.wire("pass_take", 1);

        m.comment("Pass: the next plane of the row being scanned.");
        let job_open = m.reg_reset("job_open", 1, 0);
        let row = m.reg_reset("row", ROW_BITS, 0);
        let scanning = m.reg_reset("scanning", 1, 0);
        m.comment("The plane that the buffer looks up, whether there is any, whether it ends the row, and those after it.");
        let plane = m.reg("plane", 3);
        let some_pending = m.reg("some_pending", 1);
        let last_pass = m.reg("last_pass", 1);
        let rest = m.reg("rest", 8);
        let row_token_end = m.reg("row_token_end", 1);
        let row_job_end = m.reg("row_job_end", 1);
        let moves_on = m.named("moves_on", &(&scanning & &pass_take));
        let row_done = m.named("row_done", &(&moves_on & &last_pass));
        m.comment("The state of each slot, registered: known a cycle after its row is complete.");
        let tail = m.delay("tail_planes", &(lit(1, 9).shl_by(&tail_steps) - lit(1, 9)).trunc(8));
        let known = [0, 1].map(|slot: usize| {
            let of_slot = |name: &str| format!("{name}_of_{slot}");
            let released = &row_done & row.bit(0).eq_lit(slot as u64);
            let ready = m.delay_reset(&of_slot("ready"), &(&full[slot] & !released));
            let all_steps = mux(&token_end[slot], &tail, &lit(0xff, 8));
            let planes = m.named(&of_slot("planes"), &mux(&step_mode, &all_steps, &active[slot]));
            let mut know = |name: &str, value: &Expr| m.delay(&of_slot(name), value);
            let token_end = know("token_end", &token_end[slot]);
            let job_end = know("job_end", &job_end[slot]);
            let [plane, some, last, rest] = plane_walk(&planes);
            let first =
                [know("plane", &plane), know("some", &some), know("last", &last), know("rest", &rest)];
            ([ready, token_end, job_end], first)
        });
        m.comment("Which row is next, and whether it starts.");
        let next_row = m.named("next_row", &(&row + scanning.zext(ROW_BITS)));
        let [(low, low_first), (high, high_first)] = &known;
        let pick = |high: &Expr, low: &Expr| mux(&next_row.bit(0), high, low);
        let [available, next_token_end, next_job_end] = [0, 1, 2].map(|i| pick(&high[i], &low[i]));
        let start = m.named("start", &(&available & &job_open & (!&scanning | &row_done)));
        m.set_if(&scanning, &start, &lit(1, 1));
        m.set_if(&scanning, &row_done, &lit(0, 1));
        m.set_if(&row, &(&start | &row_done), &next_row);
        let later = plane_walk(&rest);
        for (i, register) in [&plane, &some_pending, &last_pass, &rest].into_iter().enumerate() {
            m.set_if(register, &start, &pick(&high_first[i], &low_first[i]));
            m.set_if(register, &moves_on, &later[i]);
        }
        m.set_if(&row_token_end, &start, &next_token_end);
        m.set_if(&row_job_end, &start, &next_job_end);
        m.set_if(&job_open, &job_start, &lit(1, 1));
        m.set_if(&job_open, &(&start & &next_job_end), &lit(0, 1));
        let hands_over = &last_pass & &row_token_end & (!&one_sum | &row_job_end);

        // A stage's flags travel with its data.
        let flag_names = ["hand_over", "row_end", "row_token_end", "row_job_end", "row"];
        let stage = |m: &mut Builder, name: &str, take: &Expr, values: &[Expr]| -> Vec<Expr> {
            let registers = flag_names
                .iter()
                .zip(values)
                .map(|(flag, value)| m.sample(&format!("{name}_{flag}"), take, value));
            registers.collect()
        };
        let pass_valid = m.reg_reset("pass_valid", 1, 0);
        let spare_valid = m.reg_reset("spare_valid", 1, 0);
        m.assign(&pass_take, &!(&pass_valid & &spare_valid));
        m.set_if(&pass_valid, &pass_take, &scanning);
        let pass_bitmap = m.reg("pass_bitmap", words);
        let pass_plane = m.reg("pass_plane", 3);
        m.set_if(&pass_bitmap, &pass_take, &mux(&some_pending, &bitmap, &lit(0, words)));
        m.set_if(&pass_plane, &pass_take, &plane);
        let flags = [
            &step_mode | &hands_over,
            last_pass.clone(),
            row_token_end.clone(),
            row_job_end.clone(),
            row.clone(),
        ];
        let pass_flags = stage(m, "pass", &pass_take, &flags);

        m.comment("Spare: a pass for which there is no place to look at, so that what takes rows depends on registers alone.");
        let look_valid = m.reg_reset("look_valid", 1, 0);
        m.assign(&look_take, &(!&look_valid | &walk_take));
        let passes = m.named("passes", &(&spare_valid | &pass_valid));
        m.set(&spare_valid, &(&passes & !&look_take));
        let mut or_spare = |name: &str, value: &Expr| {
            let spare = m.sample(&format!("spare_{name}"), &!&spare_valid, value);
            m.named(&format!("passing_{name}"), &mux(&spare_valid, &spare, value))
        };
        let pass_bitmap = or_spare("bitmap", &pass_bitmap);
        let pass_plane = or_spare("plane", &pass_plane);
        let pass_flags: Vec<Expr> =
            flag_names.iter().zip(&pass_flags).map(|(flag, value)| or_spare(flag, value)).collect();

        m.comment("Look: the pass's lowest word, and what comes after it.");
        m.set_if(&look_valid, &look_take, &passes);
        let mut look = |name: &str, value: &Expr| m.sample(&format!("look_{name}"), &look_take, value);
        let pass_rest = without_lowest(&pass_bitmap);
        let look_word = look("word", &(&pass_bitmap & !&pass_rest));
        let look_rest = look("rest", &pass_rest);
        let look_null = look("null", &pass_bitmap.is_zero());
        let look_plane = look("plane", &pass_plane);
        let look_flags = stage(m, "look", &look_take, &pass_flags);

        m.comment("Walk: the next active word of the pass, one-hot; reads it if it will find a place.");
        let room = m.wire("walk_room", 1);
        let walk_valid = m.reg_reset("walk_valid", 1, 0);
        let walk_word = m.reg("walk_word", words);
        let remaining = m.reg("remaining", words);
        let walk_last = m.reg("walk_last", 1);
        let walk_null = m.reg("walk_null", 1);
        let walk_plane = m.reg("walk_plane", 3);
        let walk_moves = m.named("walk_moves", &(&walk_valid & &room));
        let remaining_rest = m.named("remaining_rest", &without_lowest(&remaining));
        m.assign(&walk_take, &(!&walk_valid | (&walk_moves & &walk_last)));
        m.set_if(&walk_valid, &walk_take, &look_valid);
        m.set_if(&walk_word, &walk_take, &look_word);
        m.set_if(&walk_word, &walk_moves, &(&remaining & !&remaining_rest));
        m.set_if(&remaining, &walk_take, &look_rest);
        m.set_if(&remaining, &walk_moves, &remaining_rest);
        m.set_if(&walk_last, &walk_take, &look_rest.is_zero());
        m.set_if(&walk_last, &walk_moves, &!two_or_more(&remaining));
        m.set_if(&walk_null, &walk_take, &look_null);
        m.set_if(&walk_plane, &walk_take, &look_plane);
        let walk_flags = stage(m, "walk", &walk_take, &look_flags);
        m.unused(&walk_word.bit(0));
        let word_index = m.named("word_index_now", &position(&walk_word, word_bits));
        m.output_doc("read_word", &walk_moves, "read a word of the row");
        m.output("word_row", &walk_flags[4].slice(0, WORD_ROW_BITS));
        m.output("word_index", &word_index);

        m.comment("Read: the word comes out of the buffer, and lands beside its index, plane and flags.");
        let mut read = |name: &str, value: &Expr| m.delay(&format!("read_{name}"), value);
        let known = [
            read("index", &word_index),
            read("plane", &walk_plane),
            read("null", &walk_null),
            read("last", &walk_last),
        ];
        let read_flags: Vec<Expr> =
            flag_names.iter().zip(&walk_flags).map(|(name, flag)| read(name, flag)).collect();
        let parts: Vec<Expr> = known.iter().chain(&read_flags).chain([&word_data]).cloned().collect();
        let landing = Landing::build(m, [&walk_moves, &cat(&parts), &pick_take, &lit(0, 1)]);
        m.assign(&room, &landing.room);
        let mut bit = landing.data.width();
        let mut field = |like: &Expr| {
            bit -= like.width();
            landing.data.slice(bit, like.width())
        };
        let [landed_word, landed_plane, landed_null, landed_last] = known.each_ref().map(&mut field);
        let landed_flags: Vec<Expr> = read_flags.iter().map(&mut field).collect();
        let landed_data = m.named("landed_data", &field(&word_data));

        m.comment("Pick: the bytes of the word that are active in the plane.");
        let pick_valid = m.reg_reset("pick_valid", 1, 0);
        m.assign(&pick_take, &(!&pick_valid | &bits_take));
        m.set_if(&pick_valid, &pick_take, &landing.valid);
        let bytes: Vec<Expr> = (0..8).map(|i| landed_data.slice(8 * i, 8)).collect();
        let high_first = |f: &dyn Fn(&Expr) -> Expr| cat(&bytes.iter().rev().map(f).collect::<Vec<_>>());
        let in_plane = high_first(&|byte| byte.at(&landed_plane));
        let not_zero = high_first(&|byte| byte.any());
        let dense = mux(&whole_bytes, &not_zero, &in_plane);
        let active_bytes = mux(&landed_null, &lit(0, 8), &mux(&wide, &lit(1, 8), &dense));
        let mut pick = |name: &str, value: &Expr| m.sample(&format!("pick_{name}"), &landing.pop, value);
        let pick_vector = pick("vector", &active_bytes);
        let pick_word = pick("index", &landed_word);
        let pick_plane = pick("plane", &landed_plane);
        let pick_null = pick("null", &landed_null);
        let pick_end = pick("word_last", &landed_last);
        let pick_data = pick("data", &landed_data);
        let pick_flags = stage(m, "pick", &landing.pop, &landed_flags);

        m.comment("Bits: the next active byte of the word, and whether it is the last.");
        let bits_valid = m.reg_reset("bits_valid", 1, 0);
        let vector = m.reg("vector", 8);
        let vector_rest = m.named("vector_rest", &without_lowest(&vector));
        let bits_last = m.reg("bits_last", 1);
        let bits_moves = m.named("bits_moves", &(&bits_valid & &advance));
        m.assign(&bits_take, &(!&bits_valid | (&bits_moves & &bits_last)));
        let load = m.named("bits_load", &(&bits_take & &pick_valid));
        m.set_if(&bits_valid, &bits_take, &pick_valid);
        m.set_if(&vector, &load, &pick_vector);
        m.set_if(&vector, &bits_moves, &vector_rest);
        m.set_if(&bits_last, &load, &!two_or_more(&pick_vector));
        m.set_if(&bits_last, &bits_moves, &!two_or_more(&vector_rest));
        let bits_word = m.reg("bits_index", word_bits);
        let bits_plane = m.reg("bits_plane", 3);
        let bits_null = m.reg("bits_null", 1);
        let bits_end = m.reg("bits_word_last", 1);
        let bits_data = m.reg("bits_data", 64);
        for (register, value) in [
            (&bits_word, &pick_word),
            (&bits_plane, &pick_plane),
            (&bits_null, &pick_null),
            (&bits_end, &pick_end),
            (&bits_data, &pick_data),
        ] {
            m.set_if(register, &load, value);
        }
        let bits_flags = stage(m, "bits", &load, &pick_flags);
        let byte = m.named("byte_index", &lowest(&vector, 3));
        let ends = m.named("pass_ends", &(&bits_end & &bits_last));
        let row_base = m.reg_reset("row_base", row_bits, 0);
        let row_ends = m.named("row_ends", &(&ends & &bits_flags[1]));
        let row_moves = m.named("row_moves", &(&bits_moves & &row_ends));
        m.comment("Attention keeps one set of matrix rows a chunk.");
        m.set_if(&row_base, &(&row_moves & &bits_flags[2]), &lit(0, row_bits));
        let chunk_rows = chunk_rows(m, &segment_words, row_bits);
        m.set_if(&row_base, &(&row_moves & &is_attention), &(&row_base + &chunk_rows));

        m.comment("Event.");
        let flat = cat(&[bits_word.clone(), byte.clone()]).zext(row_bits.max(word_bits + 3)).trunc(row_bits);
        let segment = bits_word.zext(row_bits.max(word_bits)).trunc(row_bits);
        let matrix_row = &row_base + mux(&wide, &segment, &flat);
        let steps = mux(&whole_bytes, &bits_data.slice_at(&byte, 8), &lit(1, 8).shl_by(&bits_plane));
        let mut event = |name: &str, value: &Expr| m.sample(name, &advance, value);
        let matrix_row = event("event_row", &matrix_row);
        let event_plane = event("event_plane", &bits_plane);
        let shift = event("event_shift", &mux(&step_events, &lit(0, 3), &bits_plane));
        let steps = event("event_steps", &steps);
        let null = event("event_null", &bits_null);
        let last = event("event_last", &(&ends & &bits_flags[0]));
        let event_token_end = event("event_token_end", &(&row_ends & &bits_flags[2]));
        let event_job_end = event("event_job_end", &(&row_ends & &bits_flags[2] & &bits_flags[3]));
        let event_row_id = event("event_row_id", &bits_flags[4]);
        let event_segment =
            event("event_segment", &bits_word.zext(word_bits.max(segment_bits)).trunc(segment_bits));
        let valid = m.reg_reset("event_valid", 1, 0);
        m.set_if(&valid, &advance, &bits_valid);
        let moves = m.named("event_moves", &(&valid & &advance));

        m.comment("A scores token starts from its own bias row.");
        let query = m.reg_reset("query", index_width(config.bias_rows), 0);
        let token_first = m.reg_reset("token_first", 1, 1);
        m.set_if(&query, &(&moves & &event_job_end), &query.like(0));
        m.set_if(&query, &(&moves & &event_token_end), &query.inc());
        m.set_if(&token_first, &moves, &event_token_end);
        m.output("query_slot", &row.bit(0));
        m.output("query_plane", &plane);
        m.output_doc("slot_release", &row_done, "the bitmaps of `query_slot` are used up");
        m.output_doc("segment_row", &event_row_id, "row that the event's segment belongs to");
        m.output_doc("event_valid", &valid, "an event is there");
        m.output_doc("event_null", &null, "it adds nothing");
        m.output_doc("event_last", &last, "the sum is complete with it");
        m.output_doc("event_row", &matrix_row, "matrix row");
        m.output_doc("event_plane", &event_plane, "bit plane");
        m.output_doc("event_shift", &shift, "power of two");
        m.output_doc("event_steps", &steps, "time steps in which the input spikes (attention)");
        m.output_doc("event_segment", &event_segment, "segment (shortcut)");
        m.output_doc("load_bias_row", &(&valid & &token_first & &is_scores), "the event is a query's first");
        m.output_doc("query", &query, "index of the query in its block");
        m.output_doc("job_scanned", &(&moves & &event_job_end), "the job's last event is taken");
        m.output_doc("waiting", &(!&valid & !&bits_valid), "no event is near");
    })
}

/// A step through `planes`, the lowest first: the plane, whether there is any, whether it is the last, and those after it.
fn plane_walk(planes: &Expr) -> [Expr; 4] {
    [lowest(planes, 3), planes.any(), !two_or_more(planes), without_lowest(planes)]
}

/// The position of the lowest set bit of `bits`; that of the highest bit if none is set.
fn lowest(bits: &Expr, width: u32) -> Expr {
    let last = bits.width() - 1;
    (0..last)
        .rev()
        .fold(lit(u64::from(last), width), |later, i| mux(&bits.bit(i), &lit(u64::from(i), width), &later))
}

/// `bits` without the lowest that is set.
fn without_lowest(bits: &Expr) -> Expr {
    bits & (bits - &lit(1, bits.width()))
}

/// Whether more than one of `bits` is set: a tree, beside the carry chain of [`without_lowest`].
fn two_or_more(bits: &Expr) -> Expr {
    let mut groups: Vec<(Expr, Expr)> = (0..bits.width()).map(|i| (bits.bit(i), lit(0, 1))).collect();
    while groups.len() > 1 {
        let merge = |pair: &[(Expr, Expr)]| match pair {
            [(any_0, two_0), (any_1, two_1)] => (any_0 | any_1, two_0 | two_1 | (any_0 & any_1)),
            _ => pair[0].clone(),
        };
        groups = groups.chunks(2).map(merge).collect();
    }
    groups[0].1.clone()
}

/// The position of the only set bit of `one_hot`; 0 if none is set.
fn position(one_hot: &Expr, width: u32) -> Expr {
    let bits = (0..width).rev().map(|bit| {
        let of_bit =
            (0..one_hot.width()).filter(|i| i >> bit & 1 == 1).map(|i| one_hot.bit(i)).collect::<Vec<_>>();
        cat(&of_bit).any()
    });
    cat(&bits.collect::<Vec<_>>())
}
