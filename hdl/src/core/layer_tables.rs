//! Tables of segment bases and ranks.

use std::rc::Rc;

use isa::descriptor::{RANK_WORD, SEGMENT_WORD};
use isa::{CoreConfig, MAX_SEGMENTS, MAX_TIME_STEPS};

use super::neuron_control::rank_bits;
use super::shaped;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, index_width, select};

/// The second half of a descriptor: segment bases and ranks, looked up without a cycle of delay.
///
/// Two banks, by the parity of the layer: the array may still use the previous layer's while the next descriptor arrives.
pub fn layer_tables(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("layer_tables", config)?;
    let bus = config.bus_bits;
    let beat_words = bus / 64;
    let shift = beat_words.trailing_zeros();
    let doc =
        "Tables of segment bases and ranks, in two banks: the array may still use the previous layer's.";
    Module::build("layer_tables", doc, |m: &mut Builder| {
        let received = m.input_doc("received", 1, "a beat of a descriptor is there");
        let position = m.input_doc("position", 5 - shift, "which beat");
        let data = m.input("data", bus);
        let bank = m.input_doc("bank", 1, "bank of the descriptor that arrives");
        let first_rank = u64::from(RANK_WORD as u32 / beat_words);
        let first_segment = u64::from(SEGMENT_WORD as u32 / beat_words);
        let in_segments = &received & position.ge_lit(first_segment) & position.lt_lit(first_rank);
        let in_ranks = &received & position.ge_lit(first_rank);
        let segments = m.memory("segments", bus, MAX_SEGMENTS / beat_words);
        let ranks = m.memory("ranks", bus, 2 * MAX_TIME_STEPS / 8 / beat_words);
        let address = m.named("address", &cat(&[bank, position.slice(0, 3 - shift)]));
        m.write(&segments, &in_segments, &address, &data);
        m.write(&ranks, &in_ranks, &address, &data);
        let layer_bank = m.input_doc("layer_bank", 1, "bank of the layer in the array");
        let segment = m.input("segment_index", index_width(MAX_SEGMENTS));
        let rank = m.input("rank_index", rank_bits());
        let bases = m.read_async(&segments, &cat(&[layer_bank.clone(), segment.slice(1 + shift, 3 - shift)]));
        let bases = m.named("segment_beat", &bases);
        let ranks = m.read_async(&ranks, &cat(&[layer_bank, rank.slice(3 + shift, 3 - shift)]));
        let ranks = m.named("rank_beat", &ranks);
        let bytes: Vec<Expr> = (0..8 * beat_words).map(|i| ranks.slice(8 * i, 7)).collect();
        for i in 0..8 * beat_words {
            m.unused(&ranks.bit(8 * i + 7));
        }
        m.output("segment_base", &bases.slice_at(&segment.slice(0, 1 + shift), 32));
        m.output("rank", &select(&rank.slice(0, 3 + shift), &bytes));
    })
}
