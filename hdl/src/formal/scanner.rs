//! The spike scanner on a row of two words: each active bit once, in order, none invented, no bubble.

use std::rc::Rc;

use super::{Method, Planted, Proof, instance, steady, tiny};
use crate::core::spike_scanner::spike_scanner;
use crate::rtl::{Expr, Module, RtlError, cat, lit, mux};

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
            let outside =
                words.iter().map(|word| word & lit(!mask, 64)).fold(lit(0, 64), |sum, bits| sum | bits);
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

        m.comment(
            "The buffer: which words have a bit of a plane, and a word one cycle after it is asked for.",
        );
        let plane_of =
            |word: &Expr, plane: u32| cat(&(0..8).map(|byte| word.bit(8 * byte + plane)).collect::<Vec<_>>());
        let active = |plane: u32| {
            let [low, high] = [0, 1].map(|word: usize| plane_of(&words[word], plane).any());
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
            ("step_mode", step_mode.clone()),
            ("step_events", step_mode.clone()),
            ("whole_bytes", zero.clone()),
            ("wide", zero.clone()),
            ("one_sum", zero.clone()),
            ("is_attention", zero.clone()),
            ("is_scores", zero.clone()),
            ("segment_words", lit(2, 12)),
            ("tail_steps", steps.clone()),
            ("advance", advance.clone()),
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
        let scan = instance(m, "scanner", &scanner, &inputs);
        for port in scanner.outputs() {
            m.unused(&scan.output(&port.name));
        }
        m.assign(&query_plane, &scan.output("query_plane"));
        m.set_if(&released, &scan.output("slot_release"), &lit(1, 1));
        m.set_if(
            &word_data,
            &scan.output("read_word"),
            &mux(&scan.output("word_index").bit(0), &words[1], &words[0]),
        );

        m.comment("The events: a place is plane, word, channel.");
        let row = cat(&[words[1].clone(), words[0].clone()]);
        let bit_at = |place: &Expr| row.at(&cat(&[place.slice(0, 4), place.slice(4, 3)]));
        let event = m.named("event_taken", &(scan.output("event_valid") & &advance));
        let null = scan.output("event_null");
        let matrix_row = scan.output("event_row");
        let plane = scan.output("event_plane");
        let place = m.named("place", &cat(&[plane.clone(), matrix_row.slice(0, 4)]));
        let real = m.named("real_event", &(&event & !&null));
        let last = m.reg_reset("last_place", 7, 0);
        m.set_if(&last, &real, &place);
        let any = m.reg_reset("any_event", 1, 0);
        m.set_if(&any, &real, &lit(1, 1));
        let seen = m.reg_reset("watched_seen", 1, 0);
        let hit = &real & place.eq(&watched);
        m.set_if(&seen, &hit, &lit(1, 1));
        let started = m.reg_reset("started", 1, 0);
        m.set_if(&started, &scan.output("event_valid"), &lit(1, 1));
        let done = m.reg_reset("done", 1, 0);
        let scanned = scan.output("job_scanned");
        m.set_if(&done, &scanned, &lit(1, 1));
        m.assert_formal(
            "none_invented",
            "An event is a bit of the row.",
            &(!&real | (bit_at(&place) & matrix_row.slice(4, 2).is_zero())),
        );
        m.assert_formal(
            "in_order_once",
            "Places ascend: none comes twice.",
            &(!(&real & &any) | place.gt(&last)),
        );
        let within = !&step_mode | watched.slice(4, 3).zext(4).lt(&steps);
        m.assert_formal(
            "none_lost",
            "When the row is scanned, each of its bits was an event; of an IF layer in each of its time steps.",
            &(!&scanned | !bit_at(&watched) | !within | &seen | &hit),
        );
        let empty_plane = crate::rtl::select(&plane, &bitmaps).is_zero();
        m.assert_formal(
            "null_is_empty",
            "A null event stands for a plane without a bit.",
            &(!(&event & &null) | empty_plane),
        );
        m.assert_formal("nothing_after", "Nothing comes after the row's last event.", &!(&done & &event));
        m.assert_formal(
            "no_bubble",
            "From the first event to the last there is one in every cycle.",
            &(!&started | &done | scan.output("event_valid")),
        );
        m.assert_formal(
            "weight",
            "An event counts as its plane's power of two; of an IF layer, as one.",
            &(!&event | scan.output("event_shift").eq(&mux(&step_mode, &lit(0, 3), &plane))),
        );
        let events = m.reg_reset("events", 3, 0);
        m.set_if(&events, &(&real & !events.all()), &events.inc());
        m.cover_formal(
            "five_events",
            "A row of five events is scanned, in two words and two planes.",
            &(&done & events.eq_lit(5) & bitmaps[0].all() & bitmaps[7].all()),
        );
        m.cover_formal("null_row", "An empty row is scanned.", &(&done & !&any & !&step_mode));
        m.cover_formal(
            "null_step",
            "An IF layer's row is scanned, with an empty step.",
            &(&done & &step_mode & bitmaps[0].is_zero() & bitmaps[7].any()),
        );
        m.output("any", &lit(0, 1));
    })
}
