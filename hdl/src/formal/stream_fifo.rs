//! Every FIFO of the core and of the serial line: no overflow, no loss, nothing reordered. The rules stand in the module.

use std::rc::Rc;

use super::{Method, Planted, Proof, instance};
use crate::core::stream_fifo::stream_fifo;
use crate::rtl::{Module, RtlError, lit};

const RULE: &str =
    "never over- or underflows; the n-th word out is the n-th word in, through any flush or reset";

macro_rules! fifo {
    ($name:literal, $width:literal, $depth:literal $(, $text:literal => $changed:literal)*) => {
        Proof {
            name: $name,
            rule: RULE,
            method: Method::Induction,
            depth: 3,
            cover_depth: 14,
            build: |name| top(name, $width, $depth),
            planted: &[
                fifo!(@bug $width, $depth, "fetch = some & room;" => "fetch = some;"),
                fifo!(@bug $width, $depth, "if (push & ~fetch) begin" => "if (push) begin"),
                $(fifo!(@bug $width, $depth, $text => $changed),)*
            ],
        }
    };
    (@bug $width:literal, $depth:literal, $text:literal => $changed:literal) => {
        Planted { file: concat!("stream_fifo_", $width, "x", $depth, ".v"), text: $text, changed: $changed }
    };
}

pub(super) const PROOFS: [Proof; 7] = [
    fifo!("read_fifo_64", 64, 128),
    fifo!("read_fifo_128", 128, 128),
    fifo!("write_words_fifo", 64, 16),
    fifo!("write_bursts_fifo", 37, 16),
    fifo!("segment_fifo", 15, 64),
    fifo!("line_fifo", 8, 32),
    // Small enough to be seen full.
    fifo!("smallest_fifo", 8, 2, "push & (stored == 2'd1)" => "push & (stored == 2'd2)"),
];

fn top(name: &str, width: u32, depth: u32) -> Result<Rc<Module>, RtlError> {
    let fifo = stream_fifo(width, depth)?;
    Module::build(name, "A FIFO in a free environment.", |m| {
        let flush = m.input("flush", 1);
        let ready = m.input("pop_ready", 1);
        let words = instance(m, "words", &fifo, &[("flush", flush.clone()), ("pop_ready", ready.clone())]);
        m.assume_reset_first();
        let valid = words.output("pop_valid");
        m.output("pop_data", &words.output("pop_data"));
        m.assert_stable(
            "offer_stands",
            "A word that is offered stays until it is taken.",
            &(&valid & !&ready & !&flush),
            &[&valid, &words.output("pop_data")],
        );
        let popped = m.reg_reset("popped", 3, 0);
        m.set_if(&popped, &(&valid & &ready), &popped.inc());
        m.cover_formal("three_leave", "Three words leave.", &popped.eq_lit(3));
        if depth <= 4 {
            m.cover_formal("fills_up", "It fills up.", &!words.output("push_ready"));
        }
        let flushed = m.reg_reset("flushed", 1, 0);
        m.set_if(&flushed, &flush, &lit(1, 1));
        m.cover_formal("goes_on", "A word leaves after a flush.", &(&flushed & &valid & &ready));
    })
}
