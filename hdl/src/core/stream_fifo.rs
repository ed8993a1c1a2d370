//! A first-in first-out buffer in block RAM.

use std::rc::Rc;

use crate::rtl::{Builder, Fault, Module, RtlError, index_width, lit};

/// A FIFO of `depth` (a power of two) words of `width` bits with ready/valid on both sides; one word a cycle in each direction.
///
/// Words wait in a memory with a registered read port, which is also the output register: `depth + 1` words fit.
/// `flush` empties it. `push_ready` is registered state, so it never depends on `pop_ready` in the same cycle.
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
        let full = m.named("full", &stored.eq_lit(u64::from(depth)));
        let out_valid = m.reg_reset("out_valid", 1, 0);
        let push = m.named("push", &(&push_valid & !&full));
        let pop = m.named("pop", &(&out_valid & &pop_ready));
        let fetch = m.named("fetch", &(stored.any() & (!&out_valid | &pop)));
        let memory = m.memory("storage", width, depth);
        m.write(&memory, &push, &tail, &push_data);
        let data = m.read_sync("pop_data", &memory, &fetch, &head);
        let zero = lit(0, bits);
        m.set_if(&head, &flush, &zero);
        m.set_if(&head, &fetch, &head.inc());
        m.set_if(&tail, &flush, &zero);
        m.set_if(&tail, &push, &tail.inc());
        m.set_if(&stored, &flush, &lit(0, bits + 1));
        m.set_if(&stored, &(&push & !&fetch), &stored.inc());
        m.set_if(&stored, &(!&push & &fetch), &stored.dec());
        m.set_if(&out_valid, &flush, &lit(0, 1));
        m.set_if(&out_valid, &fetch, &lit(1, 1));
        m.set_if(&out_valid, &pop, &lit(0, 1));
        m.formal(|m| {
            m.comment("Words are numbered as they come and as they leave, modulo twice the depth. The proof picks any number.");
            let number_bits = bits + 1;
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
            let at_output = m.named("at_output", &(ahead.is_zero() & &out_valid));
            m.assert_formal("no_overflow", "No more words wait than the memory holds.", &stored.le_lit(u64::from(depth)));
            m.assert_formal(
                "no_loss",
                "Every word that came and did not leave is counted, in the memory or at the output.",
                &present.eq(&(&stored + out_valid.zext(number_bits))),
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
                "head_counts_pops",
                "The memory is read where the oldest word lies.",
                &head.eq(&(&pops + out_valid.zext(number_bits)).trunc(bits)),
            );
            m.assert_formal(
                "kept_in_memory",
                "A word that waits in the memory is what was pushed.",
                &(!(&waits & !&at_output) | m.read_async(&memory, &watched.trunc(bits)).eq(&watched_data)),
            );
            m.assert_formal(
                "in_order",
                "The n-th word that leaves is the n-th that came.",
                &(!(&waits & &at_output) | data.eq(&watched_data)),
            );
        });
        m.output_doc("push_ready", &!full, "there is room");
        m.output("pop_valid", &out_valid);
        m.output("pop_data", &data);
    })
}
