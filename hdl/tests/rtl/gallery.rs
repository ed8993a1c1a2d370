//! Small designs that between them use every construct.

use std::rc::Rc;

use hdl::rtl::{Expr, Module, cat, lit, mux, select};

fn finish(module: Result<Rc<Module>, hdl::rtl::RtlError>) -> Rc<Module> {
    module.unwrap_or_else(|error| panic!("{error}"))
}

/// Registers with and without reset, first matching branch wins.
pub fn counter() -> Rc<Module> {
    finish(Module::build("counter", "Counts up, or down, or starts again.\n\nTiming: one cycle.", |m| {
        let clear = m.input_doc("clear", 1, "wins over all others");
        let up = m.input_doc("up", 1, "wins over down");
        let down = m.input("down", 1);
        let count = m.reg_reset("count", 8, 3);
        m.set_if(&count, &clear, &lit(0, 8));
        m.set_if(&count, &up, &count.inc());
        m.set_if(&count, &down, &count.dec());
        let seen = m.delay("seen", &count);
        let moved = m.delay("moved", &(up | down));
        m.output_doc("count", &count, "registered");
        m.output_doc("changed", &(moved & count.ne(&seen)), "the last cycle made a difference");
    }))
}

/// Signed arithmetic, and sums of which only some bits are read.
pub fn accumulator() -> Rc<Module> {
    finish(Module::build("accumulator", "Adds signed bytes.", |m| {
        let valid = m.input("valid", 1);
        let value = m.input_signed("value", 8, "two's complement");
        let total = m.reg_signed_reset("total", 12, -1);
        let next = m.named("next", &(&total + value.sext(12)));
        m.set_if(&total, &valid, &next);
        let biased = total.add_wide(&value.sext(12).shl(1));
        m.output("total", &total);
        m.output("negative", &total.lt_lit(0));
        m.output("halved", &total.shr(1));
        m.output("rounded", &(&total + total.inc()).slice(4, 6));
        m.output("overflow", &(biased.bit(12) ^ biased.bit(11)));
        m.output("low", &biased.trunc(4));
    }))
}

/// A memory with byte lanes, read both ways.
pub fn store() -> Rc<Module> {
    finish(Module::build("store", "64 words of two bytes.", |m| {
        let write = m.input_doc("write", 2, "one bit a byte");
        let address = m.input("address", 6);
        let data = m.input("data", 16);
        let read = m.input("read", 1);
        let words = m.memory("words", 16, 64);
        m.write_lanes(&words, &write, &address, &data);
        let word = m.read_sync("word", &words, &read, &address);
        m.output_doc("word", &word, "the cycle after `read`");
        m.comment("Small enough for logic cells.");
        let flags = m.memory("flags", 3, 4);
        m.write(&flags, &read, &address.trunc(2), &data.trunc(3));
        m.output("flag", &m.read_async(&flags, &address.slice(2, 2)).bit(1));
    }))
}

/// Dynamic indices of all kinds.
pub fn picker() -> Rc<Module> {
    finish(Module::build("picker", "Picks bits, words and choices.", |m| {
        let index = m.input("index", 3);
        let words = m.input("words", 64);
        let wide_index = m.input("wide_index", 8);
        let word = |n: u32| words.slice(8 * n, 8);
        let choices: Vec<Expr> = (0..6).map(|n| word(n) ^ word(n + 1)).collect();
        m.output("chosen", &select(&index, &choices));
        m.output("squares", &select(&wide_index, &[0, 1, 4, 9].map(|n| lit(n, 4))));
        m.output("word", &words.slice_at(&index, 8));
        m.output("triple", &words.trunc(24).slice_at(&index, 3));
        m.output("one", &words.at(&index.zext(6)));
        m.output("shifted", &words.shr_by(&index).trunc(8));
        m.output("two_ways", &mux(&index.bit(0), &(word(0) + word(1)), &(word(2) + word(3))).slice(2, 4));
    }))
}

/// Instances, a forward declared wire, deliberately unused bits and a rule for formal tools.
pub fn pair() -> Rc<Module> {
    let counter = counter();
    finish(Module::build("pair", "Two counters; the second follows the first.", |m| {
        let go = m.input("go", 4);
        let full = m.wire("full", 1);
        let zero = lit(0, 1);
        let first = m.instance(
            "u_first",
            &counter,
            &[("clear", full.clone()), ("up", go.bit(0)), ("down", zero.clone())],
        );
        m.comment("Counts the changes.");
        let changed = first.output("changed");
        let second =
            m.instance("u_second", &counter, &[("up", changed), ("clear", zero.clone()), ("down", zero)]);
        m.assign(&full, &first.output("count").eq_lit(9));
        m.unused(&go.slice(1, 3));
        let count = second.output("count");
        m.output("total", &cat(&[full.clone(), count.clone()]));
        let previous = m.delay("previous", &count);
        m.assert_formal("never_back", "The second counter only goes up.", &count.ge(&previous));
    }))
}

/// All of them.
pub fn all() -> Vec<Rc<Module>> {
    vec![counter(), accumulator(), store(), picker(), pair()]
}
