//! The buffers: what is read is what was written last; a slot of the spike buffer is never stored to while it is in use.

use std::rc::Rc;

use super::{Method, Planted, Proof, instance, tiny};
use crate::core::parameter_buffer::parameter_buffer;
use crate::core::spike_buffer::spike_buffer;
use crate::core::sum_buffer::sum_buffer;
use crate::core::weight_buffer::weight_buffer;
use crate::rtl::{Module, RtlError};

macro_rules! buffer {
    ($name:literal, $rule:literal, $build:expr, $planted:expr) => {
        Proof {
            name: $name,
            rule: $rule,
            method: Method::Induction,
            depth: 3,
            cover_depth: 8,
            build: $build,
            planted: $planted,
        }
    };
}

pub(super) const PROOFS: [Proof; 4] = [
    buffer!(
        "weight_buffer_proof",
        "each word of both banks returns what was written to it last, while the other bank is filled",
        |name| top(name, &weight_buffer(&tiny())?),
        &[Planted {
            file: "weight_buffer.v",
            text: "rows[{read_bank, read_row}]",
            changed: "rows[{~read_bank, read_row}]"
        }]
    ),
    buffer!(
        "parameter_buffer_proof",
        "each half-row returns what was written to it last",
        |name| top(name, &parameter_buffer(&tiny())?),
        &[Planted {
            file: "parameter_buffer.v",
            text: "<= rows[read_row]",
            changed: "<= rows[read_row ^ 9'd1]"
        }]
    ),
    buffer!(
        "sum_buffer_proof",
        "each row of partial sums returns what was written to it last",
        |name| top(name, &sum_buffer(&tiny())?),
        &[Planted {
            file: "sum_buffer.v",
            text: "<= rows[read_row]",
            changed: "<= rows[{read_row[3:1], 1'b0}]"
        }]
    ),
    buffer!(
        "spike_buffer_proof",
        "no row is overwritten before its release; each word returns what was stored last",
        spike_top,
        &[
            Planted {
                file: "spike_buffer.v",
                text: "words[{held_row[2:0], held_word}]",
                changed: "words[{held_row[2:0], 4'd0}]"
            },
            Planted {
                file: "spike_buffer.v",
                text: "ready = segment_known &",
                changed: "ready = segment_known | "
            },
        ]
    ),
];

fn top(name: &str, buffer: &Rc<Module>) -> Result<Rc<Module>, RtlError> {
    Module::build(name, "A buffer in a free environment.", |m| {
        let ports = instance(m, "buffer", buffer, &[]);
        for port in buffer.outputs() {
            m.output(&port.name, &ports.output(&port.name));
        }
    })
}

fn spike_top(name: &str) -> Result<Rc<Module>, RtlError> {
    let buffer = spike_buffer(&tiny())?;
    Module::build(name, "A spike buffer whose rows are released only when they are complete.", |m| {
        let release = m.input("slot_release", 1);
        let slot = m.input("query_slot", 1);
        let inputs = [("slot_release", release.clone()), ("query_slot", slot.clone())];
        let ports = instance(m, "buffer", &buffer, &inputs);
        m.assume_reset_first();
        let full = [ports.output("full_0"), ports.output("full_1")];
        let complete = crate::rtl::mux(&slot, &full[1], &full[0]);
        m.assume_formal(
            "releases_complete_rows",
            "The scanner releases only a complete row.",
            &(!&release | complete),
        );
        m.cover_formal("both_full", "Both slots are complete.", &(&full[0] & &full[1]));
        for port in buffer.outputs() {
            m.output(&port.name, &ports.output(&port.name));
        }
    })
}
