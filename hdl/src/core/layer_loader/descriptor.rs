//! The descriptor: received word by word, looked up, checked.

use std::collections::BTreeSet;

use isa::descriptor::{RANK_WORD, WORDS};

use super::super::fields::{Fields, Record};
use super::super::{descriptor_check, key_loader, layer_bits, pass_check};
use super::{Beat, Loader, Parts, Ports, State};
use crate::rtl::{Expr, index_width};

/// Fields that the loader itself reads.
const OWN: [&str; 17] = [
    "op",
    "tiles",
    "groups",
    "weights_ready",
    "blocks_y",
    "blocks_x",
    "passes",
    "pass_words",
    "output_words",
    "keys",
    "key_words",
    "parameter_base",
    "pass_base",
    "bias_base",
    "matrix_base",
    "matrix_group_stride",
    "matrix_block_stride",
];

/// The descriptor being worked through.
pub(super) struct Descriptor {
    pub index: Expr,
    /// It is requested in the next cycle.
    pub begin: Expr,
    /// Which of its beats is received next, and that it is received.
    pub position: Expr,
    pub received: Expr,
    /// It is the last.
    pub last_beat: Expr,
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
        let beats = WORDS as u32 / beat_words;
        let position = self.counter("position", index_width(32 / beat_words), &begin, &received);
        let last_beat = position.eq_lit(u64::from(beats) - 1);
        let m = &mut *self.m;
        let all = [
            &OWN[..],
            &["matrix_token_stride"],
            &descriptor_check::FIELDS,
            &pass_check::LAYER_FIELDS,
            &key_loader::FIELDS,
            layer_fields,
        ];
        let used: Vec<&'static str> = all.concat().into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let words = (0..RANK_WORD).map(|i| {
            let has = used.iter().any(|name| Record::Layer.field(name).word == i);
            has.then(|| {
                let register = m.reg(&format!("descriptor_{i}"), 64);
                let (of_beat, word) = (i as u32 / beat_words, i as u32 % beat_words);
                let here = &received & position.eq_lit(of_beat.into());
                m.set_if(&register, &here, &beat.data.slice(64 * word, 64));
                Record::Layer.unused_bits(m, &register, i, &used);
                register
            })
        });
        let words: Vec<Expr> = words.map(|word| word.unwrap_or(crate::rtl::lit(0, 64))).collect();
        let layer = Fields::slices(&words, Record::Layer, &used);
        let mut inputs = layer.connect(&descriptor_check::FIELDS);
        inputs.push(("active", checks));
        let check = m.instance("check", &parts.check, &inputs);
        let attention = m.delay("attention", &layer.is_attention());
        let scores = m.delay("scores", &layer.is(isa::Op::Scores));
        Descriptor {
            index,
            begin,
            position,
            received,
            last_beat,
            layer,
            checked: check.output("done"),
            bad: check.output("bad"),
            code: check.output("code"),
            attention,
            scores,
        }
    }
}
