//! The array's control: partial sums have a row each, in order, and none of them is fired.

use std::rc::Rc;

use super::{Method, Planted, Proof, instance, tiny};
use crate::core::neuron_control::neuron_control;
use crate::rtl::{Module, RtlError};

const FILE: &str = "neuron_control.v";

pub(super) const PROOFS: [Proof; 1] = [Proof {
    name: "partial_sums",
    rule: "the row read is the number of sums begun, the row written that of partial sums completed and handed over; none is written beyond \
           the last row; a partial sum is never handed to the neurons; no slot is emitted while seeds are taken anew; membranes add or step, never both",
    method: Method::Induction,
    depth: 4,
    cover_depth: 24,
    build: top,
    planted: &[
        Planted { file: FILE, text: "if (capture & ~to_sums) begin", changed: "if (capture) begin" },
        Planted { file: FILE, text: "read_row <= read_row + 4'd1;", changed: "read_row <= read_row + 4'd2;" },
        Planted {
            file: FILE,
            text: "sum_captured <= capture & to_sums;",
            changed: "sum_captured <= capture & to_sums & ~first_of_sum;",
        },
        Planted {
            file: FILE,
            text: "sums_full_now = write_row >= 5'd16",
            changed: "sums_full_now = write_row >= 5'd17",
        },
        Planted {
            file: FILE,
            text: "fire_advance = bytes_taken & ~reseeds;",
            changed: "fire_advance = bytes_taken;",
        },
        Planted {
            file: FILE,
            text: "~sum_layer & drive_full & ~stepping;",
            changed: "~sum_layer & drive_full;",
        },
    ],
}];

fn top(name: &str) -> Result<Rc<Module>, RtlError> {
    let control = neuron_control(&tiny())?;
    Module::build(name, "The array's control, whose jobs begin while no token is in the array.", |m| {
        let event = m.input("event_valid", 1);
        let preset = m.input("preset_job", 1);
        let to_sums = m.input("to_sums", 1);
        let inputs =
            [("event_valid", event.clone()), ("preset_job", preset.clone()), ("to_sums", to_sums.clone())];
        let ports = instance(m, "control", &control, &inputs);
        m.assume_reset_first();
        let quiet = m.named("quiet", &(ports.output("idle") & !&event));
        m.assume_stable(
            "pass_stays",
            "Which pass it is changes only where a job begins.",
            &!&preset,
            &[&to_sums],
        );
        m.assume_formal(
            "begins_quietly",
            "A job begins only while no token is in the array.",
            &(!&preset | &quiet),
        );
        m.cover_formal(
            "third_row",
            "A third partial sum is written.",
            &(ports.output("sum_write") & ports.output("sum_write_row").eq_lit(2)),
        );
        m.cover_formal("reseeds", "Seeds are taken anew.", &ports.output("reseed").bit(1));
        for port in control.outputs() {
            m.output(&port.name, &ports.output(&port.name));
        }
    })
}
