//! The serial line: frames as they should be, from either side, and what is sent is what is received.

use std::rc::Rc;

use super::{Method, Planted, Proof, instance};
use crate::rtl::{Module, RtlError, lit, mux};
use crate::shell::uart_rx::uart_rx;
use crate::shell::uart_tx::uart_tx;

const TX: &str = "uart_tx.v";
const RX: &str = "uart_rx.v";
/// Clock cycles of a bit: the fewest, and an odd number.
const CYCLES: u32 = 4;
const ODD_CYCLES: u32 = 7;

macro_rules! frames {
    ($name:literal, $rule:literal, $cover:literal, $build:expr, $($file:ident: $text:literal => $changed:literal),+) => {
        Proof {
            name: $name,
            rule: $rule,
            method: Method::Induction,
            depth: 2,
            cover_depth: $cover,
            build: $build,
            planted: &[$(Planted { file: $file, text: $text, changed: $changed }),+],
        }
    };
}

pub(super) const PROOFS: [Proof; 5] = [
    frames!(
        "uart_tx_4", "start bit, the byte's bits from the lowest up, stop bit, each 4 cycles; high between frames", 90,
        |name| tx_top(name, CYCLES, 2),
        TX: "shifter <= {1'b1, shifter[8:1]};" => "shifter <= {1'b0, shifter[8:1]};",
        TX: "bits_left <= 4'd10;" => "bits_left <= 4'd9;",
        TX: "shifter <= {data, 1'b0};" => "shifter <= {data, 1'b1};"
    ),
    frames!(
        "uart_tx_7", "the same with 7 cycles a bit", 75,
        |name| tx_top(name, ODD_CYCLES, 1),
        TX: "wait_cycles <= 3'd6;" => "wait_cycles <= 3'd5;"
    ),
    frames!(
        "uart_rx_4", "a byte is what the line was in the middle of its bits; none without start and stop bit, none twice, none lost", 95,
        |name| rx_top(name, CYCLES, 2),
        RX: "shifter <= {line, shifter[7:1]};" => "shifter <= {shifter[6:0], line};",
        RX: "valid <= sample & stop_bit & line;" => "valid <= sample & stop_bit;"
    ),
    frames!(
        "uart_rx_7", "the same with 7 cycles a bit", 76,
        |name| rx_top(name, ODD_CYCLES, 1),
        RX: "wait_cycles <= 3'd2;" => "wait_cycles <= 3'd3;"
    ),
    Proof {
        name: "uart_both",
        rule: "with the same clock, at 4 cycles a bit, whatever bytes are sent when: the n-th byte received is the n-th sent",
        method: Method::Reachability,
        depth: 96,
        cover_depth: 90,
        build: both,
        planted: &[
            Planted {
                file: RX,
                text: "receiving & (wait_cycles == 2'd0)",
                changed: "receiving & (wait_cycles == 2'd1)",
            },
            Planted { file: TX, text: "bits_left <= 4'd10;", changed: "bits_left <= 4'd8;" },
        ],
    },
];

fn tx_top(name: &str, cycles: u32, frames: u64) -> Result<Rc<Module>, RtlError> {
    let sender = uart_tx(cycles)?;
    Module::build(name, "A sender in a free environment.", |m| {
        let valid = m.input("valid", 1);
        let sender = instance(m, "sender", &sender, &[("valid", valid.clone())]);
        m.assume_reset_first();
        let taken = m.reg_reset("taken", 2, 0);
        m.set_if(&taken, &(&valid & sender.output("ready") & !taken.all()), &taken.inc());
        m.cover_formal("frames_end", "Bytes are sent.", &(taken.eq_lit(frames) & sender.output("ready")));
        m.output("tx", &sender.output("tx"));
    })
}

fn rx_top(name: &str, cycles: u32, frames: u64) -> Result<Rc<Module>, RtlError> {
    let receiver = uart_rx(cycles)?;
    Module::build(name, "A receiver on any line.", |m| {
        let receiver = instance(m, "receiver", &receiver, &[]);
        m.assume_reset_first();
        let bytes = m.reg_reset("bytes", 2, 0);
        let valid = receiver.output("valid");
        m.set_if(&bytes, &valid, &bytes.inc());
        m.cover_formal(
            "bytes_come",
            "Bytes are received.",
            &(bytes.eq_lit(frames - 1) & &valid & receiver.output("data").eq_lit(0xa5)),
        );
        m.output("any", &lit(0, 1));
    })
}

fn both(name: &str) -> Result<Rc<Module>, RtlError> {
    let sender = uart_tx(CYCLES)?;
    let receiver = uart_rx(CYCLES)?;
    Module::build(name, "A receiver on the line of a sender.", |m| {
        let valid = m.input("valid", 1);
        let data = m.input("data", 8);
        let sender = instance(m, "sender", &sender, &[("valid", valid.clone()), ("data", data.clone())]);
        let receiver = instance(m, "receiver", &receiver, &[("rx", sender.output("tx"))]);
        m.assume_reset_first();
        let taken = m.named("taken", &(&valid & sender.output("ready")));
        let given = receiver.output("valid");
        m.comment("Bytes under way: a byte is received while the next one may have begun.");
        let under_way = m.reg_reset("under_way", 2, 0);
        m.set(&under_way, &(&under_way + taken.zext(2) - given.zext(2)));
        let latest = m.sample("latest", &taken, &data);
        let before = m.sample("one_before", &taken, &latest);
        let due = mux(&under_way.eq_lit(2), &before, &latest);
        m.assert_formal(
            "received_as_sent",
            "A byte that is received was sent, and is the oldest that was not received.",
            &(!&given | (under_way.any() & receiver.output("data").eq(&due))),
        );
        m.assert_formal(
            "none_lost",
            "Every byte is received before the next but one is sent.",
            &under_way.le_lit(2),
        );
        let idle = m.reg_reset("idle_for", 3, 0);
        m.set_if(&idle, &(!sender.output("ready") | &taken), &lit(0, 3));
        m.set_if(&idle, &!idle.all(), &idle.inc());
        m.assert_formal(
            "all_arrive",
            "A while after the line went quiet every byte was received.",
            &(!idle.all() | under_way.is_zero()),
        );
        let count = m.reg_reset("received", 2, 0);
        m.set_if(&count, &given, &count.inc());
        m.cover_formal("two", "Two different bytes are received.", &(count.eq_lit(2) & !latest.eq(&before)));
        m.output("any", &lit(0, 1));
    })
}
