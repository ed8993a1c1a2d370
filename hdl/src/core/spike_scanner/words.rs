//! From a pass's bitmap to events: its words, their bytes.

use isa::{CoreConfig, MAX_SEGMENTS};

use super::super::landing::Landing;
use super::super::spike_buffer::WORD_ROW_BITS;
use super::super::weight_buffer::chunk_rows;
use super::{Flags, Pass, Ports, Takes};
use crate::rtl::{Builder, Expr, cat, index_width, lit, mux};

/// The next active word of a pass, one-hot, and the reading of it.
pub(super) struct Walk {
    moves: Expr,
    /// It will find a place.
    room: Expr,
    index: Expr,
    plane: Expr,
    null: Expr,
    last: Expr,
    flags: Flags,
}

impl Walk {
    pub(super) fn build(m: &mut Builder, pass: Pass, takes: &Takes, word_bits: u32) -> Walk {
        m.comment("Look: the pass's lowest word, and what comes after it.");
        m.set_if(&pass.look_valid, &takes.look, &pass.valid);
        let mut look = |name: &str, value: &Expr| m.sample(&format!("look_{name}"), &takes.look, value);
        let pass_rest = without_lowest(&pass.bitmap);
        let look_word = look("word", &(&pass.bitmap & !&pass_rest));
        let look_rest = look("rest", &pass_rest);
        let look_null = look("null", &pass.bitmap.is_zero());
        let look_plane = look("plane", &pass.plane);
        let look_flags = pass.flags.stage(m, "look", &takes.look);

        m.comment("Walk: the next active word of the pass, one-hot; reads it if it will find a place.");
        let words = pass.bitmap.width();
        let room = m.wire("walk_room", 1);
        let valid = m.reg_reset("walk_valid", 1, 0);
        let word = m.reg("walk_word", words);
        let remaining = m.reg("remaining", words);
        let last = m.reg("walk_last", 1);
        let null = m.reg("walk_null", 1);
        let plane = m.reg("walk_plane", 3);
        let moves = m.named("walk_moves", &(&valid & &room));
        let remaining_rest = m.named("remaining_rest", &without_lowest(&remaining));
        m.assign(&takes.walk, &(!&valid | (&moves & &last)));
        m.set_if(&valid, &takes.walk, &pass.look_valid);
        m.set_if(&word, &takes.walk, &look_word);
        m.set_if(&word, &moves, &(&remaining & !&remaining_rest));
        m.set_if(&remaining, &takes.walk, &look_rest);
        m.set_if(&remaining, &moves, &remaining_rest);
        m.set_if(&last, &takes.walk, &look_rest.is_zero());
        m.set_if(&last, &moves, &!two_or_more(&remaining));
        m.set_if(&null, &takes.walk, &look_null);
        m.set_if(&plane, &takes.walk, &look_plane);
        let flags = look_flags.stage(m, "walk", &takes.walk);
        m.unused(&word.bit(0));
        let index = m.named("word_index_now", &position(&word, word_bits));
        m.output_doc("read_word", &moves, "read a word of the row");
        m.output_doc("word_row", &flags.row().slice(0, WORD_ROW_BITS), "row of the word");
        m.output_doc("word_index", &index, "index of the word in its row");
        Walk { moves, room, index, plane, null, last, flags }
    }
}

/// The bytes of a word that are active in the plane.
pub(super) struct Pick {
    valid: Expr,
    vector: Expr,
    index: Expr,
    plane: Expr,
    null: Expr,
    /// The word is the last of its pass.
    word_last: Expr,
    data: Expr,
    flags: Flags,
}

impl Pick {
    pub(super) fn build(m: &mut Builder, ports: &Ports, walk: Walk, takes: &Takes) -> Pick {
        m.comment("Read: the word comes out of the buffer, and lands beside its index, plane and flags.");
        let mut read = |name: &str, value: &Expr| m.delay(&format!("read_{name}"), value);
        let beside = [
            read("index", &walk.index),
            read("plane", &walk.plane),
            read("null", &walk.null),
            read("last", &walk.last),
        ];
        let flags = walk.flags.map(read);
        let parts: Vec<Expr> = beside.iter().chain(&flags.0).chain([&ports.word_data]).cloned().collect();
        let landing = Landing::build(m, [&walk.moves, &cat(&parts), &takes.pick, &lit(0, 1)]);
        m.assign(&walk.room, &landing.room);
        let mut bit = landing.data.width();
        let mut field = |like: &Expr| {
            bit -= like.width();
            landing.data.slice(bit, like.width())
        };
        let [index, plane, null, last] = beside.each_ref().map(&mut field);
        let flags = flags.map(|_, flag| field(flag));
        let data = m.named("landed_data", &field(&ports.word_data));

        m.comment("Pick: the bytes of the word that are active in the plane.");
        let valid = m.reg_reset("pick_valid", 1, 0);
        m.assign(&takes.pick, &(!&valid | &takes.bits));
        m.set_if(&valid, &takes.pick, &landing.valid);
        let bytes: Vec<Expr> = (0..8).map(|i| data.slice(8 * i, 8)).collect();
        let high_first = |f: &dyn Fn(&Expr) -> Expr| cat(&bytes.iter().rev().map(f).collect::<Vec<_>>());
        let in_plane = high_first(&|byte| byte.at(&plane));
        let not_zero = high_first(&|byte| byte.any());
        let dense = mux(&ports.whole_bytes, &not_zero, &in_plane);
        m.comment("A null event has no use for them: it is one event whatever they are.");
        let active = mux(&ports.wide, &lit(1, 8), &dense);
        let mut pick = |name: &str, value: &Expr| m.sample(&format!("pick_{name}"), &landing.pop, value);
        Pick {
            valid,
            vector: pick("vector", &active),
            index: pick("index", &index),
            plane: pick("plane", &plane),
            null: pick("null", &null),
            word_last: pick("word_last", &last),
            data: pick("data", &data),
            flags: flags.stage(m, "pick", &landing.pop),
        }
    }
}

/// The next active byte of a word.
pub(super) struct Bits {
    valid: Expr,
    word: Expr,
    byte: Expr,
    plane: Expr,
    null: Expr,
    data: Expr,
    flags: Flags,
    /// The byte is the last of its pass, of its row.
    ends: Expr,
    row_ends: Expr,
    /// First matrix row of the chunk.
    row_base: Expr,
}

impl Bits {
    pub(super) fn build(m: &mut Builder, ports: &Ports, pick: &Pick, takes: &Takes, row_bits: u32) -> Bits {
        m.comment("Bits: the next active byte of the word, and whether it is the last.");
        let valid = m.reg_reset("bits_valid", 1, 0);
        let vector = m.reg("vector", 8);
        let vector_rest = m.named("vector_rest", &without_lowest(&vector));
        let last = m.reg("bits_last", 1);
        let moves = m.named("bits_moves", &(&valid & &ports.advance));
        m.assign(&takes.bits, &(!&valid | (&moves & &last)));
        let load = m.named("bits_load", &(&takes.bits & &pick.valid));
        m.set_if(&valid, &takes.bits, &pick.valid);
        m.set_if(&vector, &load, &pick.vector);
        m.set_if(&vector, &moves, &vector_rest);
        m.set_if(&last, &load, &(&pick.null | !two_or_more(&pick.vector)));
        m.set_if(&last, &moves, &!two_or_more(&vector_rest));
        let mut hold = |name: &str, value: &Expr| m.sample(&format!("bits_{name}"), &load, value);
        let word = hold("index", &pick.index);
        let plane = hold("plane", &pick.plane);
        let null = hold("null", &pick.null);
        let word_last = hold("word_last", &pick.word_last);
        let data = hold("data", &pick.data);
        let flags = pick.flags.stage(m, "bits", &load);
        let byte = m.named("byte_index", &lowest(&vector, 3));
        let ends = m.named("pass_ends", &(&word_last & &last));
        let row_base = m.reg_reset("row_base", row_bits, 0);
        let row_ends = m.named("row_ends", &(&ends & flags.row_end()));
        let row_moves = m.named("row_moves", &(&moves & &row_ends));
        m.comment("Attention keeps one set of matrix rows a chunk.");
        m.set_if(&row_base, &(&row_moves & flags.token_end()), &row_base.like(0));
        let chunk_rows = chunk_rows(m, &ports.segment_words, row_bits);
        m.set_if(&row_base, &(&row_moves & &ports.is_attention), &(&row_base + &chunk_rows));
        Bits { valid, word, byte, plane, null, data, flags, ends, row_ends, row_base }
    }
}

pub(super) fn event(m: &mut Builder, config: &CoreConfig, ports: &Ports, bits: &Bits) {
    m.comment("Event.");
    let resized = |value: &Expr, bits: u32| value.zext(bits.max(value.width())).trunc(bits);
    let row_bits = bits.row_base.width();
    let flat = resized(&cat(&[bits.word.clone(), bits.byte.clone()]), row_bits);
    let matrix_row = &bits.row_base + mux(&ports.wide, &resized(&bits.word, row_bits), &flat);
    let of_plane = lit(1, 8).shl_by(&bits.plane);
    let steps = mux(&ports.whole_bytes, &bits.data.slice_at(&bits.byte, 8), &of_plane);
    let mut event = |name: &str, value: &Expr| m.sample(name, &ports.advance, value);
    let matrix_row = event("event_row", &matrix_row);
    let plane = event("event_plane", &bits.plane);
    let shift = event("event_shift", &mux(&ports.step_events, &lit(0, 3), &bits.plane));
    let steps = event("event_steps", &steps);
    let null = event("event_null", &bits.null);
    let last = event("event_last", &(&bits.ends & bits.flags.hand_over()));
    let ends_token = &bits.row_ends & bits.flags.token_end();
    let token_end = event("event_token_end", &ends_token);
    let job_end = event("event_job_end", &(&ends_token & bits.flags.job_end()));
    let row = event("event_row_id", bits.flags.row());
    let segment = event("event_segment", &resized(&bits.word, index_width(MAX_SEGMENTS)));
    let valid = m.reg_reset("event_valid", 1, 0);
    m.set_if(&valid, &ports.advance, &bits.valid);
    let moves = m.named("event_moves", &(&valid & &ports.advance));

    m.comment("A scores token starts from its own bias row.");
    let query = m.reg_reset("query", index_width(config.bias_rows), 0);
    let token_first = m.reg_reset("token_first", 1, 1);
    m.set_if(&query, &(&moves & &job_end), &query.like(0));
    m.set_if(&query, &(&moves & &token_end), &query.inc());
    m.set_if(&token_first, &moves, &token_end);
    m.output_doc("segment_row", &row, "row that the event's segment belongs to");
    m.output_doc("event_valid", &valid, "an event is there");
    m.output_doc("event_null", &null, "it adds nothing");
    m.output_doc("event_last", &last, "the sum is complete with it");
    m.output_doc("event_row", &matrix_row, "matrix row");
    m.output_doc("event_plane", &plane, "bit plane");
    m.output_doc("event_shift", &shift, "power of two");
    m.output_doc("event_steps", &steps, "time steps in which the input spikes (attention)");
    m.output_doc("event_segment", &segment, "segment (shortcut)");
    m.output_doc(
        "load_bias_row",
        &(&valid & &token_first & &ports.is_scores),
        "the event is a query's first",
    );
    m.output_doc("query", &query, "index of the query in its block");
    m.output_doc("job_scanned", &(&moves & &job_end), "the job's last event is taken");
    m.output_doc("waiting", &(!&valid & !&bits.valid), "no event is near");
}

/// The position of the lowest set bit of `bits`; that of the highest bit if none is set.
pub(super) fn lowest(bits: &Expr, width: u32) -> Expr {
    let last = bits.width() - 1;
    (0..last)
        .rev()
        .fold(lit(u64::from(last), width), |later, i| mux(&bits.bit(i), &lit(u64::from(i), width), &later))
}

/// `bits` without the lowest that is set.
pub(super) fn without_lowest(bits: &Expr) -> Expr {
    bits & (bits - &lit(1, bits.width()))
}

/// Whether more than one of `bits` is set: a tree, beside the carry chain of [`without_lowest`].
pub(super) fn two_or_more(bits: &Expr) -> Expr {
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
