//! `spike_buffer` and `spike_scanner`, wired as in the engine.

use std::rc::Rc;

use hdl::core::spike_buffer::spike_buffer;
use hdl::core::spike_scanner::spike_scanner;
use hdl::rtl::{Expr, Module};
use isa::CoreConfig;

use crate::device::{add_inputs, connections};

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
        let advance = m.input("advance", 1);
        let modes = ["whole_bytes", "wide"].map(|name| (name.to_owned(), m.input(name, 1)));
        // What the scanner asks of the buffer: all but one are called the same on both sides.
        let asked = scanner.outputs().iter().filter_map(|port| {
            let same = buffer.inputs().iter().any(|input| input.name == port.name);
            let input = if port.name == "event_segment" { "whole_index" } else { &port.name };
            (same || input != port.name).then(|| (port, input.to_owned()))
        });
        let asked: Vec<_> = asked
            .map(|(port, input)| (port.name.as_str(), input, m.wire(&format!("asked_{}", port.name), port.width)))
            .collect();

        let mut inputs: Vec<(String, Expr)> = modes.to_vec();
        inputs.extend(asked.iter().map(|(_, input, wire)| (input.clone(), wire.clone())));
        inputs.push(("read_segment".to_owned(), advance.clone()));
        inputs.push(("segment_words".to_owned(), m.input("load_words", 12)));
        add_inputs(m, &buffer, &mut inputs);
        let rows = m.instance("buffer", &buffer, &connections(&inputs));

        let mut inputs: Vec<(String, Expr)> = modes.to_vec();
        inputs.push(("advance".to_owned(), advance));
        let answers = scanner.inputs().iter().filter(|p| buffer.outputs().iter().any(|o| o.name == p.name));
        inputs.extend(answers.map(|port| (port.name.clone(), rows.output(&port.name))));
        add_inputs(m, &scanner, &mut inputs);
        let scan = m.instance("scanner", &scanner, &connections(&inputs));
        for (port, _, wire) in &asked {
            m.assign(wire, &scan.output(port));
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
