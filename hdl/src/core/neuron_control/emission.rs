//! The slots of a token, and the row of bytes that they make.

use isa::Op;
use isa::layout::parameter_row;

use super::{Fire, Integrate, Ports, Slots};
use crate::rtl::{Builder, Expr, cat, lit, mux};

/// The slot emitted, with its token's place.
pub(super) struct Emission {
    pub emit_valid: Expr,
    pub offset: Expr,
    pub regions: Vec<(&'static str, Expr)>,
    pub slot_bit: Expr,
    pub first_bit: Expr,
    pub chunk_end: Expr,
    pub emit_last: Expr,
    pub token_step: Expr,
    pub emit_offset: Expr,
    pub region_flags: Vec<Expr>,
    pub emit: Expr,
}

pub(super) fn emission(m: &mut Builder, ports: &Ports, fire: &Fire, slots: &Slots) -> Emission {
    let emit_valid = m.reg_reset("emit_valid", 1, 0);
    m.set_if(&emit_valid, &fire.advances, &slots.slot_fire);
    let offset = m.input_doc("token_offset", 32, "output offset of the token");
    let regions: Vec<(&str, Expr)> = ["row_split", "column_split", "query_row_band", "query_column_band"]
        .map(|name| (name, m.input(&format!("token_{name}"), 1)))
        .into();
    let scores = ports.layer.is(Op::Scores);
    let mut at_slot = |name: &str, value: &Expr| m.sample(name, &slots.slot_fire, value);
    let position = fire.slot.slice(0, 3);
    let slot_bit = at_slot("slot_bit", &lit(1, 8).shl_by(&position));
    let first_bit = at_slot("first_bit", &position.is_zero());
    let chunk_end = at_slot("chunk_end", &(position.all() | &fire.last_slot));
    let emit_last = at_slot("emit_last", &fire.last_slot);
    m.comment("The walk moves on a cycle after a token's last slot: its outputs belong to a slot in the cycle after it.");
    let token_step = m.delay_reset("token_ended", &slots.token_end);
    let walked = m.delay_reset("slot_fired", &slots.slot_fire);
    let mut of_token = |name: &str, value: &Expr| {
        let kept = m.sample(&format!("kept_{name}"), &walked, value);
        m.named(&format!("emit_{name}"), &mux(&walked, value, &kept))
    };
    let emit_offset = of_token("offset", &offset);
    let region_flags: Vec<Expr> = regions
        .iter()
        .map(|(name, value)| {
            let gated = if name.ends_with("split") { value & &scores } else { value.clone() };
            of_token(name, &gated)
        })
        .collect();
    let emit = m.named("emit", &(&fire.advances & &emit_valid));
    Emission {
        emit_valid,
        offset,
        regions,
        slot_bit,
        first_bit,
        chunk_end,
        emit_last,
        token_step,
        emit_offset,
        region_flags,
        emit,
    }
}

/// A complete row of bytes, for the packer.
pub(super) struct RowOfBytes {
    pub bytes_valid: Expr,
    pub bytes_last: Expr,
    pub bytes_offset: Expr,
    pub reseed: [Expr; 2],
    pub rereads_bias: Expr,
    pub reseeding: Expr,
}

pub(super) fn row_of_bytes(
    m: &mut Builder,
    ports: &Ports,
    integrate: &Integrate,
    fire: &Fire,
    emission: &Emission,
) -> RowOfBytes {
    m.comment("A complete row of bytes goes to the packer.");
    let bytes_valid = m.reg_reset("bytes_valid", 1, 0);
    let bytes_last = m.reg("bytes_last", 1);
    let bytes_offset = m.reg("bytes_offset", 32);
    let completes = m.named("bytes_complete", &((&emission.emit & &emission.chunk_end) | &fire.raw));
    let taken = m.named("bytes_taken", &!(&bytes_valid & !&ports.packer_ready));
    m.set_if(&bytes_valid, &taken, &completes);
    m.set_if(&bytes_last, &completes, &mux(&ports.readout, &fire.last_raw, &emission.emit_last));
    m.set_if(&bytes_offset, &completes, &mux(&ports.readout, &emission.offset, &emission.emit_offset));
    let ends = &emission.emit & &emission.emit_last & &ports.layer["mask_shared"];
    let reseed_low = m.delay_reset("reseed_low", &ends);
    let reseed_high = m.delay_reset("reseed_high", &reseed_low);
    m.comment("The seeds take the place of a bias row that was read for the event in stage 1.");
    let bias_lost = &reseed_high & &integrate.valid_1 & &integrate.bias_row_1;
    let rereads_bias = m.delay_reset("rereads_bias", &bias_lost);
    let reseeding = m.named("reseeds", &(&reseed_low | &reseed_high | &rereads_bias));
    m.assign(&fire.advances, &(&taken & !&reseeding));
    let reseed = [reseed_low, reseed_high];
    RowOfBytes { bytes_valid, bytes_last, bytes_offset, reseed, rereads_bias, reseeding }
}

/// Seeds are taken anew after each token of a mask shared by tokens.
pub(super) fn reseed(m: &mut Builder, integrate: &Integrate, emission: &Emission, row_of_bytes: &RowOfBytes) {
    m.assign(&integrate.reseeding, &row_of_bytes.reseeding);
    let any = &row_of_bytes.reseed[0] | &row_of_bytes.reseed[1];
    m.assert_formal(
        "no_draw_while_reseeding",
        "No slot is emitted while seeds are taken anew.",
        &!(&emission.emit & any),
    );
    let rows = [parameter_row::SEED_LOW, parameter_row::SEED_HIGH].map(|row| lit(u64::from(row), 4));
    let [low, high] = &row_of_bytes.reseed;
    m.output_doc(
        "reseed",
        &cat(&[high.clone(), low.clone()]),
        "the lower, the upper half of the seeds is read",
    );
    m.output_doc("reseed_row", &mux(high, &rows[1], &rows[0]), "its row of the parameter block");
    let rereads = &row_of_bytes.rereads_bias;
    m.output_doc("reread_bias", rereads, "the bias row of the event in stage 1 is read again");
}
