//! A first-in first-out buffer in block RAM.

use std::rc::Rc;

use super::landing::Landing;
use crate::rtl::{Builder, Expr, Fault, Module, RtlError, index_width, lit};

/// A FIFO of `depth` (a power of two) words of `width` bits with ready/valid on both sides; one word a cycle in each direction.
///
/// Words wait in block RAM, the next four behind it in LUT RAM: block RAM delivers late in its cycle. `depth + 4` words fit.
/// `flush` empties it. `push_ready` is registered state, and nothing but a count depends on `pop_ready` in the same cycle.
///
/// # Errors
/// If `depth` is no power of two, 2 or more: the pointers would walk past the memory.
pub fn stream_fifo(width: u32, depth: u32) -> Result<Rc<Module>, RtlError> {
    if depth < 2 || !depth.is_power_of_two() {
        let expected = "a power of two, 2 or more".to_owned();
        return Err(RtlError {
            module: format!("stream_fifo_{width}x{depth}"),
            place: "depth".into(),
            fault: Box::new(Fault::BadSize { what: "`depth`".into(), found: depth.into(), expected }),
        });
    }
    let doc = format!("FIFO of {depth} words of {width} bits, ready/valid on both sides, in block RAM.");
    Module::build(&format!("stream_fifo_{width}x{depth}"), &doc, |m: &mut Builder| {
        let flush = m.input_doc("flush", 1, "drop all words");
        let push_valid = m.input("push_valid", 1);
        let push_data = m.input("push_data", width);
        let pop_ready = m.input("pop_ready", 1);
        let bits = index_width(depth);
        let head = m.reg_reset("head", bits, 0);
        let tail = m.reg_reset("tail", bits, 0);
        let stored = m.reg_reset("stored", bits + 1, 0);
        let full = m.reg_reset("full", 1, 0);
        let some = m.reg_reset("some", 1, 0);
        let push = m.named("push", &(&push_valid & !&full));
        let zero = |register: &Expr| lit(0, register.width());

        m.comment("From the memory to the output: a word is fetched if there will be room for it.");
        let fetch = m.wire("fetch", 1);
        let memory = m.memory("storage", width, depth);
        m.write(&memory, &push, &tail, &push_data);
        let read = m.read_sync("read_data", &memory, &fetch, &head);
        m.set_if(&head, &flush, &zero(&head));
        m.set_if(&head, &fetch, &head.inc());
        m.set_if(&tail, &flush, &zero(&tail));
        m.set_if(&tail, &push, &tail.inc());
        m.set_if(&stored, &flush, &zero(&stored));
        m.set_if(&stored, &(&push & !&fetch), &stored.inc());
        m.set_if(&stored, &(!&push & &fetch), &stored.dec());
        m.set_if(&full, &(&flush | &fetch), &lit(0, 1));
        m.set_if(&full, &(&push & stored.eq_lit(u64::from(depth) - 1)), &lit(1, 1));
        m.set_if(&some, &flush, &lit(0, 1));
        m.set_if(&some, &push, &lit(1, 1));
        m.set_if(&some, &(&fetch & stored.eq_lit(1)), &lit(0, 1));

        let output = Landing::build(m, [&fetch, &read, &pop_ready, &flush]);
        m.assign(&fetch, &(&some & &output.room));
        let (pop, data) = (output.pop.clone(), output.data.clone());
        m.formal(|m| {
            m.comment("Words are numbered as they come and as they leave, modulo twice the depth. The proof picks any number.");
            let number_bits = (bits + 1).max(output.fetched.width()) + 1;
            let pushes = m.reg_reset("pushes", number_bits, 0);
            let pops = m.reg_reset("pops", number_bits, 0);
            for (count, moves) in [(&pushes, &push), (&pops, &pop)] {
                m.set_if(count, &flush, &lit(0, number_bits));
                m.set_if(count, moves, &count.inc());
            }
            let watched = m.any_constant("watched", number_bits);
            let watched_data = m.reg("watched_data", width);
            m.set_if(&watched_data, &(&push & pushes.eq(&watched)), &push_data);
            let present = m.named("present", &(&pushes - &pops));
            let ahead = m.named("ahead", &(&watched - &pops));
            let waits = m.named("waits", &ahead.lt(&present));
            let wide = |count: &Expr| count.zext(number_bits);
            let held = m.named("held", &wide(&output.held()));
            let at_output = m.named("at_output", &ahead.lt(&held));
            let arriving = m.named("arriving", &(&output.arrives & ahead.eq(&held)));
            m.assert_formal("no_overflow", "No more words wait than the memory holds.", &stored.le_lit(u64::from(depth)));
            output.rules(m);
            m.assert_formal(
                "no_loss",
                "Every word that came and did not leave is counted: in the memory, or fetched.",
                &present.eq(&(wide(&stored) + wide(&output.fetched))),
            );
            m.assert_formal(
                "flags_follow_counts",
                "The flags say what the counts say.",
                &(full.eq(&stored.eq_lit(depth.into())) & some.eq(&stored.any())),
            );
            m.assert_formal(
                "room_below_depth",
                "There is room while fewer words than the depth are present.",
                &(present.ge_lit(u64::from(depth)) | !&full),
            );
            m.assert_formal(
                "no_collision",
                "A word is never read while it is written: the memory would not say which of the two it returns.",
                &!(&push & &fetch & head.eq(&tail)),
            );
            m.assert_formal("tail_counts_pushes", "The next word goes behind the latest.", &tail.eq(&pushes.trunc(bits)));
            m.assert_formal(
                "head_counts_fetches",
                "The memory is read where the oldest word lies.",
                &head.eq(&(&pops + wide(&output.fetched)).trunc(bits)),
            );
            m.assert_formal(
                "kept_in_memory",
                "A word that waits in the memory is what was pushed.",
                &(!(&waits & !&at_output & !&arriving) | m.read_async(&memory, &watched.trunc(bits)).eq(&watched_data)),
            );
            m.assert_formal("arrives_as_pushed", "A word that was read is what was pushed.", &(!&arriving | read.eq(&watched_data)));
            let landed = output.word(m, &ahead);
            m.assert_formal(
                "in_order",
                "The n-th word that leaves is the n-th that came.",
                &(!&at_output | landed.eq(&watched_data)),
            );
        });
        m.output_doc("push_ready", &!full, "there is room");
        m.output("pop_valid", &output.valid);
        m.output("pop_data", &data);
    })
}
