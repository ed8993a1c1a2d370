//! Random spike masking: the LFSR never gets stuck at zero, takes eight steps a draw, and a spike is kept by `draw >= ratio`.

use std::rc::Rc;

use super::{Method, Planted, Proof, instance};
use crate::core::lfsr_mask_gate::lfsr_mask_gate;
use crate::rtl::{Module, RtlError};

const FILE: &str = "lfsr_mask_gate.v";

pub(super) const PROOFS: [Proof; 1] = [Proof {
    name: "mask_gate_proof",
    rule: "seeded with anything but zero the LFSR is never zero; a draw is eight steps; keep = draw >= ratio",
    method: Method::Induction,
    depth: 3,
    cover_depth: 6,
    build: top,
    planted: &[
        Planted {
            file: FILE,
            text: "state[29] ^ state[27] ^ state[23]",
            changed: "state[29] ^ state[27] ^ state[22]",
        },
        Planted { file: FILE, text: "kept <= fresh >= ratio", changed: "kept <= fresh > ratio" },
        Planted {
            file: FILE,
            text: "state <= {state[23:0], fresh}",
            changed: "state <= {state[22:0], fresh, 1'b0}",
        },
    ],
}];

fn top(name: &str) -> Result<Rc<Module>, RtlError> {
    let gate = lfsr_mask_gate()?;
    Module::build(name, "A mask gate in a free environment.", |m| {
        let spike = m.input("spike", 1);
        let gated = instance(m, "gate", &gate, &[("spike", spike.clone())]);
        let transmitted = gated.output("transmitted");
        m.output("transmitted", &transmitted);
        let spike = m.delay_reset("spiked", &spike);
        let kept = m.delay("kept_before", &transmitted);
        let masked = m.delay("masked_before", &(&spike & !&transmitted));
        m.cover_formal(
            "kept_then_masked",
            "A spike is kept, the next is masked.",
            &(&kept & &spike & !&transmitted),
        );
        m.cover_formal("masked_then_kept", "A spike is masked, the next is kept.", &(&masked & &transmitted));
    })
}
