//! Random spike masking of one lane.

use std::rc::Rc;

use isa::mask::{DRAW_BITS, LFSR_BITS, TAPS};

use crate::rtl::{Builder, Expr, Module, RtlError, cat, lit};

/// ANDs a spike with `draw >= ratio`, where a draw is eight fresh bits of a maximal-length LFSR (see [`isa::mask`]).
///
/// The eight steps of a draw are taken at once: no tap is below bit 24, so every fresh bit depends on the current state
/// alone. `transmitted` comes a cycle after its spike; the state moves on at the end of a cycle with `draw`.
pub fn lfsr_mask_gate() -> Result<Rc<Module>, RtlError> {
    let doc = "Random spike masking of one lane: a spike is transmitted when eight fresh bits of a 32-bit maximal-length\n\
               LFSR are at least `ratio`. The state takes eight steps at the end of a cycle with `draw`.";
    Module::build("lfsr_mask_gate", doc, |m: &mut Builder| {
        let load_low = m.input_doc("load_low", 1, "take `half` as state bits 15:0");
        let load_high = m.input_doc("load_high", 1, "take `half` as state bits 31:16");
        let half = m.input_doc("half", 16, "half of a seed");
        let draw = m.input_doc("draw", 1, "use up eight bits");
        let ratio = m.input_doc("ratio", DRAW_BITS, "masked share in 1/256");
        let spike = m.input_doc("spike", 1, "spike of the neuron");
        let state = m.reg("state", LFSR_BITS);
        let fresh: Vec<Expr> = (0..DRAW_BITS)
            .map(|step| {
                let tapped = TAPS.map(|tap| state.bit(tap - 1 - step));
                tapped.iter().skip(1).fold(tapped[0].clone(), |sum, tap| sum ^ tap)
            })
            .collect();
        let fresh = m.named("fresh", &cat(&fresh));
        m.set_if(&state, &load_low, &cat(&[state.slice(16, 16), half.clone()]));
        m.set_if(&state, &load_high, &cat(&[half, state.slice(0, 16)]));
        m.set_if(&state, &draw, &cat(&[state.slice(0, LFSR_BITS - DRAW_BITS), fresh.clone()]));
        m.comment("The spike and the gate's decision meet behind their registers: each is a comparison in its cycle.");
        let spiked = m.delay("spiked", &spike);
        let kept = m.delay("kept", &fresh.ge(&ratio));
        let transmitted = m.named("transmitted", &(&spiked & &kept));
        m.formal(|m| {
            m.comment("The same eight steps one by one.");
            let one_by_one = (0..DRAW_BITS).fold(state.clone(), |state, _| {
                let tapped = TAPS.map(|tap| state.bit(tap - 1));
                let fed_back = tapped.iter().skip(1).fold(tapped[0].clone(), |sum, tap| sum ^ tap);
                cat(&[state.slice(0, LFSR_BITS - 1), fed_back])
            });
            let stepped = m.delay("stepped", &one_by_one);
            let draws = m.named("draws", &(&draw & !&load_low & !&load_high));
            m.assert_next("eight_steps", "A draw is eight steps of the LFSR.", &draws, &state.eq(&stepped));
            m.assert_next(
                "never_zero",
                "A state that is not zero never becomes zero by a draw.",
                &(&draws & state.any()),
                &state.any(),
            );
            m.assert_stable(
                "holds",
                "Without a draw the state stays.",
                &(!&draw & !&load_low & !&load_high),
                &[&state],
            );
            let keep = one_by_one.slice(0, DRAW_BITS).ge(&ratio);
            let due = m.delay("due", &(&spike & keep));
            m.assert_next(
                "keep",
                "A spike is kept if the eight bits drawn are at least the ratio.",
                &lit(1, 1),
                &transmitted.eq(&due),
            );
        });
        m.output_doc("transmitted", &transmitted, "the spike of the cycle before, after masking");
    })
}
