//! Tables of segments and ranks.

use std::rc::Rc;

use isa::descriptor::RANK_WORD;
use isa::pass::{SEGMENT_WORD, Segment};
use isa::{CoreConfig, MAX_SEGMENTS, MAX_TIME_STEPS};

use super::neuron_control::rank_bits;
use super::shaped;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, index_width, mux, select};

/// The ranks of a descriptor, looked up without a cycle of delay, and the segments of a pass record, looked up with one.
///
/// Two banks each: ranks by the parity of the layer, segments by that of the record. The array, and the fetcher, may still use the previous
/// ones while the next arrive. A segment is a word of its own; words arrive a beat at a time.
pub fn layer_tables(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("layer_tables", config)?;
    let bus = config.bus_bits;
    let beat_words = bus / 64;
    let shift = beat_words.trailing_zeros();
    let doc = "Tables of segments and ranks, in two banks each: the array and the fetcher may still use the previous ones.";
    Module::build("layer_tables", doc, |m: &mut Builder| {
        let position = m.input_doc("position", 5 - shift, "which beat of the descriptor or record");
        let data = m.input("data", bus);
        ranks(m, shift, [&position, &data]);
        segments(m, shift, [&position, &data]);
    })
}

fn ranks(m: &mut Builder, shift: u32, [position, data]: [&Expr; 2]) {
    m.comment("Ranks: eight bytes a word.");
    let beat_words = 1 << shift;
    let received = m.input_doc("descriptor_received", 1, "a beat of a descriptor is there");
    let bank = m.input_doc("descriptor_bank", 1, "bank of the descriptor that arrives");
    let layer_bank = m.input_doc("layer_bank", 1, "bank of the layer in the array");
    let index = m.input("rank_index", rank_bits());
    let in_ranks = &received & position.ge_lit(u64::from(RANK_WORD as u32 / beat_words));
    let memory = m.memory("ranks", data.width(), 2 * MAX_TIME_STEPS / 8 / beat_words);
    m.write(&memory, &in_ranks, &cat(&[bank, position.slice(0, 3 - shift)]), data);
    let beat = m.read_async(&memory, &cat(&[layer_bank, index.slice(3 + shift, 3 - shift)]));
    let beat = m.named("rank_beat", &beat);
    let bytes: Vec<Expr> = (0..8 * beat_words).map(|i| beat.slice(8 * i, 7)).collect();
    for i in 0..8 * beat_words {
        m.unused(&beat.bit(8 * i + 7));
    }
    m.output("rank", &select(&index.slice(0, 3 + shift), &bytes));
}

fn segments(m: &mut Builder, shift: u32, [position, data]: [&Expr; 2]) {
    m.comment("Segments: a word each, from word 7 of the record on, so that a beat of two words holds parts of two pairs. A lookup takes a cycle.");
    let beat_words = 1u32 << shift;
    let received = m.input_doc("pass_received", 1, "a beat of a pass record is there");
    let bank = m.input_doc("pass_bank", 1, "bank of the record that arrives");
    let read_bank = m.input_doc("segment_bank", 1, "bank of the segment that is looked up");
    let index = m.input("segment_index", index_width(MAX_SEGMENTS));
    let at = m.named("record_word", &(index.zext(5) + index.zext(5).like(SEGMENT_WORD as u64)));
    // A memory for each word of a beat; segment `s` is word `s + SEGMENT_WORD` of the record.
    let of_word = |m: &mut Builder, word: u32| {
        let first = (SEGMENT_WORD as u32).saturating_sub(word).div_ceil(beat_words);
        let memory = m.memory(&format!("segments_{word}"), 64, 2 * 32 / beat_words);
        let writes = &received & position.ge_lit(first.into());
        m.write(&memory, &writes, &cat(&[bank.clone(), position.clone()]), &data.slice(64 * word, 64));
        m.read_async(&memory, &cat(&[read_bank.clone(), at.slice(shift, 5 - shift)]))
    };
    let words: Vec<Expr> = (0..beat_words).map(|word| of_word(m, word)).collect();
    let entry = match &words[..] {
        [even, odd] => mux(&at.bit(0), odd, even),
        _ => words[0].clone(),
    };
    let entry = m.delay("segment", &entry);
    m.output("segment_base", &entry.slice(0, 32));
    for (name, bit) in [("dy", Segment::DY_BIT), ("dx", Segment::DX_BIT)] {
        m.output(&format!("segment_{name}"), &entry.slice(bit, Segment::TAP_BITS));
        m.unused(&entry.slice(bit + Segment::TAP_BITS, 16 - Segment::TAP_BITS));
    }
}
