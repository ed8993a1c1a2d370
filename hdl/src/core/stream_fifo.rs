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
        m.assert_formal(
            "no_overflow",
            "a FIFO never holds more than its depth",
            &stored.le_lit(u64::from(depth)),
        );
        m.output_doc("push_ready", &!full, "there is room");
        m.output("pop_valid", &out_valid);
        m.output("pop_data", &data);
    })
}
