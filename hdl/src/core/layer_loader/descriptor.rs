//! The descriptor: received word by word, looked up, checked.

use std::collections::BTreeSet;

use isa::MAX_SEGMENTS;
use isa::descriptor::{SEGMENT_WORD, WORDS};

use super::super::fields::Fields;
use super::super::neuron_control::rank_bits;
use super::super::{descriptor_check, key_loader, layer_bits};
use super::{Beat, Loader, Parts, Ports, State};
use crate::rtl::{Builder, Expr, index_width};

/// Fields that the loader itself reads.
const OWN: [&str; 14] = [
    "op",
    "tiles",
    "groups",
    "weights_ready",
    "blocks_y",
    "blocks_x",
    "output_words",
    "matrix_rows",
    "parameter_base",
    "bias_base",
    "matrix_base",
    "matrix_group_stride",
    "matrix_block_stride",
    "matrix_token_stride",
];

/// The descriptor being worked through.
pub(super) struct Descriptor {
    pub index: Expr,
    /// It is requested in the next cycle.
    pub begin: Expr,
    /// Which of its beats is received next.
    pub position: Expr,
    pub layer: Fields,
    /// The outcome of the checks is there: whether one failed, and which.
    pub checked: Expr,
    pub bad: Expr,
    pub code: Expr,
    pub attention: Expr,
    pub scores: Expr,
}

impl Loader<'_> {
    pub(super) fn descriptor(
        &mut self,
        ports: &Ports,
        beat: &Beat,
        layer_fields: &[&'static str],
        parts: &Parts,
    ) -> Descriptor {
        let beat_words = self.config.bus_bits / 64;
        let [next, receives, checks] =
            [State::Next, State::Receive, State::Check].map(|state| self.is(state));
        self.m.comment("Descriptor.");
        let index = self.m.reg_reset("index", layer_bits(), 0);
        let received = self.m.named("received", &(&beat.valid & receives));
        let more = self.m.delay("more", &index.lt(&ports.descriptor_count));
        let rested = self.m.delay_reset("rested", &next);
        let begin = self.m.named("begins", &(next & rested & more));
        let position_bits = index_width(WORDS as u32 / beat_words);
        let position = self.counter("position", position_bits, &begin, &received);
        let m = &mut *self.m;
        let all = [&OWN[..], &descriptor_check::FIELDS, &key_loader::FIELDS, layer_fields];
        let used: Vec<&'static str> = all.concat().into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let words: Vec<Expr> = (0..SEGMENT_WORD)
            .map(|i| {
                let register = m.reg(&format!("descriptor_{i}"), 64);
                let (of_beat, word) = (i as u32 / beat_words, i as u32 % beat_words);
                let here = &received & position.eq_lit(of_beat.into());
                m.set_if(&register, &here, &beat.data.slice(64 * word, 64));
                register
            })
            .collect();
        for (i, word) in words.iter().enumerate() {
            unused_bits(m, word, i, &used);
        }
        let layer = Fields::slices(&words, &used);
        let segment_index = index_width(MAX_SEGMENTS);
        let tables = [
            ("received", received.clone()),
            ("position", position.clone()),
            ("data", beat.data.clone()),
            ("bank", index.bit(0)),
            ("layer_bank", m.input_doc("layer_bank", 1, "bank of the layer in the array")),
            ("segment_index", m.input_doc("segment_index", segment_index, "segment that is looked up")),
            ("rank_index", m.input_doc("rank_index", rank_bits(), "slot that is looked up")),
        ];
        let tables = m.instance("tables", &parts.tables, &tables);
        m.output_doc("segment_base", &tables.output("segment_base"), "base of that segment");
        m.output_doc("rank", &tables.output("rank"), "rank of that slot");

        let mut inputs = layer.connect(&descriptor_check::FIELDS);
        inputs.extend([("start", begin.clone()), ("active", checks)]);
        let check = m.instance("check", &parts.check, &inputs);
        let attention = m.delay("attention", &layer.is_attention());
        let scores = m.delay("scores", &layer.is(isa::Op::Scores));
        Descriptor {
            index,
            begin,
            position,
            layer,
            checked: check.output("done"),
            bad: check.output("bad"),
            code: check.output("code"),
            attention,
            scores,
        }
    }
}

/// States that the bits of a descriptor word outside the fields in use are not read.
fn unused_bits(m: &mut Builder, word: &Expr, index: usize, used: &[&str]) {
    let mut free = !0u64;
    for name in used {
        let f = isa::descriptor::field(name);
        if f.word == index {
            free &= !((((1u128 << f.width) - 1) as u64) << f.lsb);
        }
    }
    let mut bit = 0;
    while bit < 64 {
        let run = (free >> bit).trailing_ones().min(64 - bit);
        if run > 0 {
            m.unused(&word.slice(bit, run));
        }
        bit += run.max(1);
    }
}
