//! `spike_buffer` and `spike_scanner`, wired as in the engine.

use std::rc::Rc;

use hdl::core::spike_buffer::spike_buffer;
use hdl::core::spike_scanner::spike_scanner;
use hdl::rtl::{Expr, Module};
use isa::CoreConfig;

/// What the scanner drives in the buffer: its output, the buffer's input.
const BACK: [(&str, &str); 9] = [
    ("slot_release", "slot_release"),
    ("released_slot", "released_slot"),
    ("query_slot", "query_slot"),
    ("query_plane", "query_plane"),
    ("read_word", "read_word"),
    ("word_slot", "word_slot"),
    ("word_index", "word_index"),
    ("event_slot", "whole_slot"),
    ("event_segment", "whole_index"),
];

/// What the bench shows of the scanner.
const SHOWN: [&str; 12] = [
    "event_valid",
    "event_null",
    "event_last",
    "event_row",
    "event_plane",
    "event_shift",
    "event_steps",
    "event_segment",
    "load_bias_row",
    "query",
    "job_scanned",
    "waiting",
];

/// Inputs are rows of segments and `advance`, outputs events; `load_words` is the length of the segment being loaded.
pub fn scanner_bench(config: &CoreConfig) -> Rc<Module> {
    let (buffer, scanner) = (spike_buffer(config).unwrap(), spike_scanner(config).unwrap());
    let doc = "Input rows in, events out.";
    let bench = Module::build("scanner_bench", doc, |m| {
        let shared = ["advance", "whole_bytes", "wide"].map(|name| (name, m.input(name, 1)));
        let width = |port: &str| scanner.outputs().iter().find(|p| p.name == port).unwrap().width;
        let back = BACK.map(|(from, to)| (from, to, m.wire(&format!("back_{from}"), width(from))));

        let mut inputs: Vec<(&str, Expr)> = shared.to_vec();
        inputs.extend(back.iter().map(|(_, to, wire)| (*to, wire.clone())));
        inputs.push(("read_segment", shared[0].1.clone()));
        inputs.push(("segment_words", m.input("load_words", 12)));
        for port in buffer.inputs() {
            if !inputs.iter().any(|(name, _)| *name == port.name) {
                inputs.push((&port.name, m.input(&port.name, port.width)));
            }
        }
        let rows = m.instance("buffer", &buffer, &inputs);

        let mut inputs: Vec<(&str, Expr)> = shared.to_vec();
        for port in scanner.inputs() {
            if buffer.outputs().iter().any(|output| output.name == port.name) {
                inputs.push((&port.name, rows.output(&port.name)));
            } else if !inputs.iter().any(|(name, _)| *name == port.name) {
                inputs.push((&port.name, m.input(&port.name, port.width)));
            }
        }
        let scan = m.instance("scanner", &scanner, &inputs);
        for (from, _, wire) in &back {
            m.assign(wire, &scan.output(from));
        }
        for port in SHOWN {
            m.output(port, &scan.output(port));
        }
        for port in ["in_ready", "segment_ready", "segment_data"] {
            m.output(port, &rows.output(port));
        }
    });
    bench.unwrap()
}
