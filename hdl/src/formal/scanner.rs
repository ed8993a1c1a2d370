//! The spike scanner on a row of two words: each active bit once, in order, none invented, no bubble.

use std::rc::Rc;

use super::{Method, Planted, Proof, instance, steady, tiny};
use crate::core::spike_scanner::spike_scanner;
use crate::rtl::{Builder, Expr, Instance, Module, RtlError, cat, lit, mux};

const FILE: &str = "spike_scanner.v";

/// Of each word the first and last channel, of each of these the first and last plane.
const CORNERS: u64 = 0x8100_0000_0000_0081;

pub(super) const PROOFS: [Proof; 2] = [
    Proof {
        name: "scanner_begins",
        rule: "of any two words, in both neuron modes, in the first cycles: an event is a bit of the row, planes and channels \
               ascending, none left out, one in every cycle",
        method: Method::Bounded,
        depth: 17,
        cover_depth: 24,
        build: |name| top(name, u64::MAX),
        planted: &[Planted { file: FILE, text: "vector[2] ? 3'd2 :", changed: "vector[2] ? 3'd3 :" }],
    },
    Proof {
        name: "scanner_ends",
        rule: "of any two words with bits in the corners (2 channels, 2 planes): each bit exactly once, in order, no bubble; rows of \
               five events or fewer that do not stall are seen past their last event",
        method: Method::Bounded,
        depth: 21,
        cover_depth: 24,
        build: |name| top(name, CORNERS),
        planted: &[
            Planted { file: FILE, text: "remaining <= look_rest;", changed: "remaining <= 16'd0;" },
            Planted {
                file: FILE,
                text: "rest_of_1 : rest_of_0;",
                changed: "rest_of_1 : rest_of_0 & 8'd127;",
            },
        ],
    },
];

fn top(name: &str, mask: u64) -> Result<Rc<Module>, RtlError> {
    let scanner = spike_scanner(&tiny())?;
    Module::build(name, "The scanner before a buffer with one row of two words.", |m| {
        let row = row(m, mask);
        let buffer = buffer(m, &scanner, &row);
        let events = events(m, &row, &buffer);
        rules(m, &row, &buffer, &events);
        covers(m, &row, &buffer, &events);
    })
}

/// The row, and what is fixed for a run.
struct Row {
    words: [Expr; 2],
    step_mode: Expr,
    steps: Expr,
    watched: Expr,
    advance: Expr,
}

fn row(m: &mut Builder, mask: u64) -> Row {
    let words = ["word_0", "word_1"].map(|name| m.input(name, 64));
    let step_mode = m.input("step_mode", 1);
    let steps = m.input("tail_steps", 4);
    let watched = m.input("watched", 7);
    let advance = m.input("advance", 1);
    let fixed = [
        ("word_0", &words[0]),
        ("word_1", &words[1]),
        ("step_mode", &step_mode),
        ("tail_steps", &steps),
        ("watched", &watched),
    ];
    for (name, input) in fixed {
        steady(m, name, input);
    }
    m.assume_reset_first();
    if mask != u64::MAX {
        let outside = words.iter().map(|word| word & lit(!mask, 64)).fold(lit(0, 64), |sum, bits| sum | bits);
        m.assume_formal(
            "corners",
            "Only some bits may be set, so that short rows come to their end early.",
            &outside.is_zero(),
        );
    }
    m.assume_formal(
        "steps_in_range",
        "A token has 1 to 8 steps in a chunk.",
        &(steps.any() & steps.le_lit(8)),
    );
    Row { words, step_mode, steps, watched, advance }
}

/// The scanner before its buffer.
struct Buffer {
    bitmaps: Vec<Expr>,
    scan: Instance,
}

fn buffer(m: &mut Builder, scanner: &Rc<Module>, row: &Row) -> Buffer {
    m.comment("The buffer: which words have a bit of a plane, and a word one cycle after it is asked for.");
    let plane_of =
        |word: &Expr, plane: u32| cat(&(0..8).map(|byte| word.bit(8 * byte + plane)).collect::<Vec<_>>());
    let active = |plane: u32| {
        let [low, high] = [0, 1].map(|word: usize| plane_of(&row.words[word], plane).any());
        cat(&[high, low])
    };
    let bitmaps: Vec<Expr> = (0..8).map(active).collect();
    let planes = cat(&bitmaps.iter().rev().map(Expr::any).collect::<Vec<_>>());
    let released = m.reg_reset("released", 1, 0);
    // A layer is there for more than a cycle before its first row is complete.
    let filled = m.delay_reset("filled", &lit(1, 1));
    let query_plane = m.wire("plane_asked", 3);
    let word_data = m.reg("word_data", 64);
    let zero = lit(0, 1);
    let one = lit(1, 1);
    let inputs = [
        ("step_mode", row.step_mode.clone()),
        ("step_events", row.step_mode.clone()),
        ("whole_bytes", zero.clone()),
        ("wide", zero.clone()),
        ("one_sum", zero.clone()),
        ("is_attention", zero.clone()),
        ("is_scores", zero.clone()),
        ("segment_words", lit(2, 12)),
        ("tail_steps", row.steps.clone()),
        ("advance", row.advance.clone()),
        ("full_0", &filled & !&released),
        ("full_1", zero.clone()),
        ("active_planes_0", planes),
        ("active_planes_1", lit(0, 8)),
        ("token_end_0", one.clone()),
        ("token_end_1", zero.clone()),
        ("job_end_0", one),
        ("job_end_1", zero),
        ("bitmap", crate::rtl::select(&query_plane, &bitmaps).zext(16)),
        ("word_data", word_data.clone()),
    ];
    let scan = instance(m, "scanner", scanner, &inputs);
    for port in scanner.outputs() {
        m.unused(&scan.output(&port.name));
    }
    m.assign(&query_plane, &scan.output("query_plane"));
    m.set_if(&released, &scan.output("slot_release"), &lit(1, 1));
    m.set_if(
        &word_data,
        &scan.output("read_word"),
        &mux(&scan.output("word_index").bit(0), &row.words[1], &row.words[0]),
    );
    Buffer { bitmaps, scan }
}

/// The events as they are taken.
struct Events {
    event: Expr,
    null: Expr,
    matrix_row: Expr,
    plane: Expr,
    place: Expr,
    real: Expr,
    last: Expr,
    any: Expr,
    seen: Expr,
    hit: Expr,
    started: Expr,
    done: Expr,
    scanned: Expr,
}

fn events(m: &mut Builder, row: &Row, buffer: &Buffer) -> Events {
    m.comment("The events: a place is plane, word, channel.");
    let event = m.named("event_taken", &(buffer.scan.output("event_valid") & &row.advance));
    let null = buffer.scan.output("event_null");
    let matrix_row = buffer.scan.output("event_row");
    let plane = buffer.scan.output("event_plane");
    let place = m.named("place", &cat(&[plane.clone(), matrix_row.slice(0, 4)]));
    let real = m.named("real_event", &(&event & !&null));
    let last = m.reg_reset("last_place", 7, 0);
    m.set_if(&last, &real, &place);
    let any = m.reg_reset("any_event", 1, 0);
    m.set_if(&any, &real, &lit(1, 1));
    let seen = m.reg_reset("watched_seen", 1, 0);
    let hit = &real & place.eq(&row.watched);
    m.set_if(&seen, &hit, &lit(1, 1));
    let started = m.reg_reset("started", 1, 0);
    m.set_if(&started, &buffer.scan.output("event_valid"), &lit(1, 1));
    let done = m.reg_reset("done", 1, 0);
    let scanned = buffer.scan.output("job_scanned");
    m.set_if(&done, &scanned, &lit(1, 1));
    Events { event, null, matrix_row, plane, place, real, last, any, seen, hit, started, done, scanned }
}

fn rules(m: &mut Builder, row: &Row, buffer: &Buffer, events: &Events) {
    let bits = cat(&[row.words[1].clone(), row.words[0].clone()]);
    let bit_at = |place: &Expr| bits.at(&cat(&[place.slice(0, 4), place.slice(4, 3)]));
    m.assert_formal(
        "none_invented",
        "An event is a bit of the row.",
        &(!&events.real | (bit_at(&events.place) & events.matrix_row.slice(4, 2).is_zero())),
    );
    m.assert_formal(
        "in_order_once",
        "Places ascend: none comes twice.",
        &(!(&events.real & &events.any) | events.place.gt(&events.last)),
    );
    let within = !&row.step_mode | row.watched.slice(4, 3).zext(4).lt(&row.steps);
    m.assert_formal(
        "none_lost",
        "When the row is scanned, each of its bits was an event; of an IF layer in each of its time steps.",
        &(!&events.scanned | !bit_at(&row.watched) | !within | &events.seen | &events.hit),
    );
    let empty_plane = crate::rtl::select(&events.plane, &buffer.bitmaps).is_zero();
    m.assert_formal(
        "null_is_empty",
        "A null event stands for a plane without a bit.",
        &(!(&events.event & &events.null) | empty_plane),
    );
    m.assert_formal(
        "nothing_after",
        "Nothing comes after the row's last event.",
        &!(&events.done & &events.event),
    );
    m.assert_formal(
        "no_bubble",
        "From the first event to the last there is one in every cycle.",
        &(!&events.started | &events.done | buffer.scan.output("event_valid")),
    );
    m.assert_formal(
        "weight",
        "An event counts as its plane's power of two; of an IF layer, as one.",
        &(!&events.event
            | buffer.scan.output("event_shift").eq(&mux(&row.step_mode, &lit(0, 3), &events.plane))),
    );
}

fn covers(m: &mut Builder, row: &Row, buffer: &Buffer, events: &Events) {
    let count = m.reg_reset("events", 3, 0);
    m.set_if(&count, &(&events.real & !count.all()), &count.inc());
    m.cover_formal(
        "five_events",
        "A row of five events is scanned, in two words and two planes.",
        &(&events.done & count.eq_lit(5) & buffer.bitmaps[0].all() & buffer.bitmaps[7].all()),
    );
    m.cover_formal("null_row", "An empty row is scanned.", &(&events.done & !&events.any & !&row.step_mode));
    m.cover_formal(
        "null_step",
        "An IF layer's row is scanned, with an empty step.",
        &(&events.done & &row.step_mode & buffer.bitmaps[0].is_zero() & buffer.bitmaps[7].any()),
    );
    m.output("any", &lit(0, 1));
}
