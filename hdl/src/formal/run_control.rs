//! The life of a run: errors stick, every command ends in idle or a run, every run ends.

use std::rc::Rc;

use isa::registers::status;

use super::{Method, Planted, Proof, instance};
use crate::core::run_control::run_control;
use crate::rtl::{Module, RtlError, lit};

const FILE: &str = "run_control.v";
/// Cycles that the environment may leave the run controller waiting: for a quiet bus, or for the next layer.
const STALLS: u64 = 3;
/// Layers of a run.
const LAYERS: u64 = 3;
/// Drain, the layers, drain again after an error, and a cycle for each change of state.
const BOUND: u64 = (LAYERS + 2) * (STALLS + 1) + 4;

pub(super) const PROOFS: [Proof; 1] = [Proof {
    name: "run_control_proof",
    rule: "an error sticks until a soft reset and stops the run; a run begins with a quiet bus; with at most 3 layers and 3 stalls a \
           layer, 24 cycles after the last command it is idle or has failed",
    method: Method::Reachability,
    depth: 30,
    cover_depth: 24,
    build: top,
    planted: &[
        Planted {
            file: FILE,
            text: "end else if (error_now) begin",
            changed: "end else if (error_now | clear_done) begin",
        },
        Planted { file: FILE, text: "soft_reset | error_now | accept", changed: "soft_reset | accept" },
        Planted { file: FILE, text: "draining & bus_idle", changed: "draining" },
        Planted { file: FILE, text: "layers_completed + 12'd1", changed: "layers_completed + 12'd0" },
    ],
}];

fn top(name: &str) -> Result<Rc<Module>, RtlError> {
    let control = run_control()?;
    Module::build(name, "A run controller whose environment stalls a bounded time.", |m| {
        let start = m.input("start", 1);
        let soft_reset = m.input("soft_reset", 1);
        let count = m.input("descriptor_count", 32);
        let bus_idle = m.input("bus_idle", 1);
        let retired = m.input("layer_retired", 1);
        let inputs = [
            ("start", start.clone()),
            ("soft_reset", soft_reset.clone()),
            ("descriptor_count", count.clone()),
            ("bus_idle", bus_idle.clone()),
            ("layer_retired", retired.clone()),
        ];
        let control_ports = instance(m, "control", &control, &inputs);
        m.assume_reset_first();
        for port in control.outputs() {
            m.unused(&control_ports.output(&port.name));
        }
        let flags = control_ports.output("status");
        let flag = |mask: u32| flags.bit(mask.trailing_zeros());
        let running = control_ports.output("running");
        let completed = control_ports.output("layers_completed");
        let quiet = m.named("quiet", &(!flag(status::BUSY) & !flag(status::RESETTING)));

        m.comment("The environment: a bounded number of stalls, a constant number of layers.");
        let count_before = m.delay("count_before", &count);
        let known = m.delay_reset("known", &lit(1, 1));
        m.assume_formal("same_count", "The number of layers stays.", &(!&known | count.eq(&count_before)));
        m.assume_formal("few_layers", "A run has few layers.", &count.le_lit(LAYERS));
        m.assume_formal(
            "no_more_layers",
            "No layer is retired beyond the last, nor outside a run.",
            &(!&retired | (&running & completed.lt(&count.trunc(12)))),
        );
        let progress = m.named("progress", &(&quiet | (&running & &retired) | (!&running & &bus_idle)));
        let stalled = m.reg_reset("stalled", 3, 0);
        m.set(
            &stalled,
            &crate::rtl::mux(
                &(&progress | (&running & completed.eq(&count.trunc(12)))),
                &lit(0, 3),
                &stalled.inc(),
            ),
        );
        m.assume_formal(
            "few_stalls",
            "The environment stalls a bounded time.",
            &(stalled.lt_lit(STALLS) | &progress),
        );

        let since = m.reg_reset("since_command", 6, 0);
        let more = crate::rtl::mux(&since.all(), &since, &since.inc());
        m.set(&since, &crate::rtl::mux(&(&start | &soft_reset | &quiet), &lit(0, 6), &more));
        m.assert_formal(
            "comes_to_rest",
            "After the last command it is idle or has failed within a bounded number of cycles.",
            &since.le_lit(BOUND),
        );
        let was_done = flag(status::DONE);
        m.cover_formal(
            "a_run_of_three",
            "A run of three layers ends.",
            &(&was_done & &quiet & completed.eq_lit(3)),
        );
        m.cover_formal("fails", "A run fails.", &(flag(status::ERROR) & completed.eq_lit(1)));
        let failed_before = m.reg_reset("failed_before", 1, 0);
        m.set_if(&failed_before, &flag(status::ERROR), &lit(1, 1));
        m.cover_formal(
            "recovers",
            "A run ends after another one failed.",
            &(&failed_before & &was_done & &quiet),
        );
    })
}
