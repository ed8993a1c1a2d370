//! Commands on the serial line: only accesses that were asked for, in their order, and back to rest after each command.

use std::rc::Rc;

use super::{Method, Planted, Proof, instance};
use crate::rtl::{Module, RtlError, lit};
use crate::shell::serial_bridge::serial_bridge;

const FILE: &str = "serial_bridge.v";
/// Cycles of silence that drop a command: few, so that a proof sees them.
const SILENCE: u32 = 5;

pub(super) const PROOFS: [Proof; 1] = [Proof {
    name: "serial_bridge_proof",
    rule: "an access is made only if a whole command asks for it, once, with its address and word; answers are what was read; after \
           its last word or a silence a command is over; the checksum is CRC-32",
    method: Method::Induction,
    depth: 2,
    cover_depth: 24,
    build: top,
    planted: &[
        Planted {
            file: FILE,
            text: "end else if (word_over & counts_up) begin",
            changed: "end else if (word_over) begin",
        },
        Planted {
            file: FILE,
            text: "word <= {word[23:0], rx_data};",
            changed: "word <= {rx_data, word[31:8]};",
        },
        Planted {
            file: FILE,
            text: "last_word = words_left == 8'd1;",
            changed: "last_word = words_left == 8'd0;",
        },
        Planted { file: FILE, text: "too_long = waits & ", changed: "too_long = waits & in_length & " },
        Planted {
            file: FILE,
            text: "| (rx_data == COMMAND_READ_FIXED);",
            changed: "| (rx_data == COMMAND_READ_FIXED) | (rx_data == 8'd5);",
        },
        Planted { file: FILE, text: "receives = ~(in_access | in_send);", changed: "receives = ~in_access;" },
    ],
}];

fn top(name: &str) -> Result<Rc<Module>, RtlError> {
    let bridge = serial_bridge(SILENCE)?;
    Module::build(name, "A bridge between any bytes and a bus that answers when it likes.", |m| {
        let rx_valid = m.input("rx_valid", 1);
        let tx_ready = m.input("tx_ready", 1);
        let done = m.input("bus_done", 1);
        let inputs =
            [("rx_valid", rx_valid.clone()), ("tx_ready", tx_ready.clone()), ("bus_done", done.clone())];
        let bridge = instance(m, "bridge", &bridge, &inputs);
        m.assume_reset_first();
        let over = m.named("over", &(bridge.output("bus_valid") & &done));
        let writes = bridge.output("bus_write");
        let mut count = |name: &str, when: crate::rtl::Expr| {
            let count = m.reg_reset(name, 3, 0);
            m.set_if(&count, &(&when & !count.all()), &count.inc());
            count
        };
        let written = count("words_written", &over & &writes);
        let sent = count("bytes_sent", bridge.output("tx_valid") & &tx_ready);
        let read = count("words_read", &over & !&writes);
        let silent = count("silent", bridge.output("rx_ready") & !&rx_valid);
        m.cover_formal("writes_two", "Two words are written.", &written.eq_lit(2));
        m.cover_formal("reads_two", "Two words are read and sent.", &(read.eq_lit(2) & sent.eq_lit(7)));
        m.cover_formal(
            "after_silence",
            "A word is written after a silence.",
            &(&over & &writes & silent.all()),
        );
        for port in ["bus_address", "bus_wdata", "tx_data", "crc"] {
            m.unused(&bridge.output(port));
        }
        m.output("any", &lit(0, 1));
    })
}
