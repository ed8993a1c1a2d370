//! The integrate-and-fire neuron: soft reset in exact integers, both modes of firing, no wrap in the proved range.

use std::rc::Rc;

use super::{Method, Planted, Proof, instance, tiny};
use crate::core::if_neuron::{POWER_BITS, if_neuron};
use crate::rtl::{Module, RtlError};

const FILE: &str = "if_neuron.v";

pub(super) const PROOFS: [Proof; 1] = [Proof {
    name: "neuron_proof",
    rule: "parameters are what was loaded; sums are bias and events; u = v + drive; s = (u >= theta); v = u - s * theta, as long as all fit; each mode's slots spike as they fired",
    method: Method::Induction,
    depth: 3,
    cover_depth: 12,
    build: top,
    planted: &[
        Planted {
            file: FILE,
            text: "membrane <= $signed(moved[24:1]);",
            changed: "membrane <= step ? 24'sd0 : $signed(moved[24:1]);",
        },
        Planted {
            file: FILE,
            text: "fired = ~moved[25];",
            changed: "fired = ~moved[25] & (moved[24:1] != 24'd0);",
        },
        Planted {
            file: FILE,
            text: "{1'b0, spike_count, last_fired} + {1'b0, ~rank, last_fired}",
            changed: "{1'b0, spike_count, 1'b1} + {1'b0, ~rank, 1'b1}",
        },
        Planted { file: FILE, text: "membrane <= v0;", changed: "membrane <= fire_drive;" },
        Planted { file: FILE, text: "spike_count <= counted;", changed: "spike_count <= count;" },
        Planted { file: FILE, text: "counts <= step & ~starts_over;", changed: "counts <= step;" },
        Planted {
            file: FILE,
            text: "bias <= $signed({half[7:0],",
            changed: "bias <= $signed({half[6], half[6:0],",
        },
        Planted {
            file: FILE,
            text: "theta <= $signed({half[7:0],",
            changed: "theta <= $signed({half[7], 1'b0, half[5:0],",
        },
        Planted {
            file: FILE,
            text: "v0 <= $signed({half[7:0],",
            changed: "v0 <= $signed({half[6], half[6:0],",
        },
        Planted {
            file: FILE,
            text: "(first ? bias : accumulator)",
            changed: "(first ? bias : $signed({accumulator[22], accumulator[22:0]}))",
        },
        Planted {
            file: FILE,
            text: "drive <= accumulator;",
            changed: "drive <= (accumulator[23] ^ accumulator[22]) ? {accumulator[23], {23{~accumulator[23]}}} : accumulator;",
        },
        Planted {
            file: FILE,
            text: "membrane <= $signed(moved[24:1]);",
            changed: "membrane <= $signed({moved[23], moved[23:1]});",
        },
        Planted { file: FILE, text: "fired = ~moved[25];", changed: "fired = ~moved[24];" },
        Planted {
            file: FILE,
            text: "addend = $signed({{14{operand[7]}}, operand}) << power",
            changed: "addend = $signed({{15{operand[6]}}, operand[6:0]}) << power",
        },
        Planted { file: FILE, text: "step & fired & hard_reset", changed: "step & hard_reset" },
        Planted {
            file: FILE,
            text: "bias <= stored_sum;",
            changed: "bias <= $signed({stored_sum[22], stored_sum[22:0]});",
        },
    ],
}];

fn top(name: &str) -> Result<Rc<Module>, RtlError> {
    let neuron = if_neuron(&tiny())?;
    Module::build(name, "A neuron in a free environment.", |m| {
        let two_phase = m.input("two_phase", 1);
        let emit = m.input("emit", 1);
        let power = m.input("power", POWER_BITS);
        m.assume_formal(
            "powers",
            "A power of two is that of a bit plane, up to 7, and of a pass, up to 7.",
            &power.le_lit(14),
        );
        let adds = m.input("adds_drive", 1);
        let step = m.input("step", 1);
        let adding = m.delay("adding", &adds);
        m.assume_formal(
            "adds_or_steps",
            "A membrane adds the drive or takes a threshold step, as `neuron_control` proves.",
            &!(&adding & &step),
        );
        let inputs = [
            ("two_phase", two_phase.clone()),
            ("emit", emit.clone()),
            ("power", power),
            ("adds_drive", adds),
            ("step", step),
        ];
        let lane = instance(m, "neuron", &neuron, &inputs);
        let transmitted = lane.output("transmitted");
        let emitted = m.delay("emitted", &emit);
        m.output("spikes", &lane.output("spikes"));
        m.cover_formal(
            "two_phase_fires",
            "A two-phase neuron fires.",
            &(&transmitted & &two_phase & &emitted),
        );
        m.cover_formal("if_fires", "An IF neuron fires.", &(&transmitted & !&two_phase & &emitted));
    })
}
