//! The sections of a job: pass record, parameters, stored weights, bias rows. Each is requested, and its words are counted in.

use isa::layout::PARAMETER_ROWS;

use super::super::dma_read::length_bits;
use super::{Beat, Descriptor, Jobs, Loader, PassRecord, State};
use crate::rtl::{Expr, cat, lit, mux};

/// The section that is requested or received.
pub(super) struct Sections {
    pub words: Expr,
    /// It is to be requested.
    pub requests: Expr,
    /// A beat of it is there, the how manieth, and it is the last.
    pub beat: Expr,
    pub count: Expr,
    pub done: Expr,
    /// Where it begins.
    pub offset: Expr,
    /// Bank of the bias rows that are loaded next.
    pub bias_bank: Expr,
}

impl Loader<'_> {
    pub(super) fn sections(
        &mut self,
        descriptor: &Descriptor,
        beat: &Beat,
        (record, jobs): (&PassRecord, &Jobs),
        request_ready: &Expr,
    ) -> Sections {
        let Descriptor { layer, checked, .. } = descriptor;
        let lanes = self.config.lanes;
        let bits = length_bits(self.config);
        self.m.comment("Sections: request one, count its words in.");
        let parameter_words = lit(u64::from(PARAMETER_ROWS) * u64::from(lanes) / 4, bits);
        let matrix_words = record.fields["matrix_rows"].zext(bits).shl((lanes / 8).trailing_zeros());
        let bias_words = layer["keys"].zext(bits).shl((lanes / 4).trailing_zeros());
        let record_words = layer["pass_words"].zext(bits);
        let any = |loader: &Self, states: [State; 2]| loader.is(states[0]) | loader.is(states[1]);
        let words = mux(
            &any(self, [State::Parameters, State::TakeParameters]),
            &parameter_words,
            &mux(
                &any(self, [State::Matrix, State::TakeMatrix]),
                &matrix_words,
                &mux(&any(self, [State::Pass, State::TakePass]), &record_words, &bias_words),
            ),
        );
        let words = self.m.named("section_words", &words);
        let requests_pass = self.m.named("requests_pass", &(self.is(State::Pass) & !&record.held));
        let requests = any(self, [State::Parameters, State::Matrix]) | self.is(State::Bias) | &requests_pass;
        let requests = self.m.named("requests_section", &requests);
        let sent = self.m.named("section_sent", &(&requests & request_ready));
        let takes = any(self, [State::TakeParameters, State::TakeMatrix])
            | any(self, [State::TakeBias, State::TakePass]);
        let section_beat = self.m.named("section_beat", &(takes & &beat.valid));
        let count = self.counter("section_count", bits, &sent, &section_beat);
        let beat_shift = (self.config.bus_bits / 64).trailing_zeros();
        let m = &mut *self.m;
        let last_beat = m.delay("section_last_beat", &words.shr(beat_shift).dec());
        m.comment("Whether the next beat is the last is known with the beat before.");
        let last_but_one = m.delay("section_last_but_one", &last_beat.dec());
        let at_last_beat = m.reg("section_at_last_beat", 1);
        m.set_if(&at_last_beat, &section_beat, &count.eq(&last_but_one));
        m.set(&at_last_beat, &count.eq(&last_beat));
        let done = m.named("section_done", &(&section_beat & &at_last_beat));
        let bytes = cat(&[words.clone(), lit(0, 3)]).zext(32);
        let sent_in = |loader: &Self, state| &sent & loader.is(state);
        let [parameters_sent, matrix_sent, bias_sent, pass_sent] =
            [State::Parameters, State::Matrix, State::Bias, State::Pass].map(|state| sent_in(self, state));
        let from = |field: &str| (checked.clone(), layer[field].clone());
        let mut place = |name: &str, (clear, start): (Expr, Expr), sent: &Expr| {
            self.sum(name, (&clear, &start), sent, &bytes)
        };
        let parameters = place("parameter_offset", from("parameter_base"), &parameters_sent);
        let matrix = place("matrix_offset", from("matrix_base"), &matrix_sent);
        let bias = place("bias_offset", from("bias_base"), &bias_sent);
        let restarts = checked | &jobs.tile_done;
        let record_place = place("pass_offset", (restarts, layer["pass_base"].clone()), &pass_sent);
        let offset = mux(
            &self.is(State::Parameters),
            &parameters,
            &mux(&self.is(State::Matrix), &matrix, &mux(&self.is(State::Pass), &record_place, &bias)),
        );
        let bias_bank = self.m.reg_reset("bias_bank", 1, 0);
        self.m.set_if(&bias_bank, &bias_sent, &!&bias_bank);
        Sections { words, requests, beat: section_beat, count, done, offset, bias_bank }
    }
}
