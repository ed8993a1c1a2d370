//! The sections of a job: parameters, stored matrix, bias rows. Each is requested, and its words are counted in.

use isa::layout::PARAMETER_ROWS;

use super::super::dma_read::length_bits;
use super::{Beat, Descriptor, Loader, State};
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
    pub parameter_offset: Expr,
    pub bias_offset: Expr,
    /// Bank of the bias rows that are loaded next.
    pub bias_bank: Expr,
}

impl Loader<'_> {
    pub(super) fn sections(
        &mut self,
        descriptor: &Descriptor,
        beat: &Beat,
        request_ready: &Expr,
    ) -> Sections {
        let Descriptor { layer, checked, .. } = descriptor;
        let lanes = self.config.lanes;
        let bits = length_bits(self.config);
        self.m.comment("Sections: request one, count its words in.");
        let parameter_words = lit(u64::from(PARAMETER_ROWS) * u64::from(lanes) / 4, bits);
        let rows = layer["matrix_rows"].zext(bits);
        let matrix_words = rows.shl((lanes / 8).trailing_zeros());
        let bias_words = rows.shl((lanes / 4).trailing_zeros());
        let any = |loader: &Self, states: [State; 2]| loader.is(states[0]) | loader.is(states[1]);
        let words = mux(
            &any(self, [State::Parameters, State::TakeParameters]),
            &parameter_words,
            &mux(&any(self, [State::Matrix, State::TakeMatrix]), &matrix_words, &bias_words),
        );
        let words = self.m.named("section_words", &words);
        let requests_parameters = any(self, [State::Parameters, State::Matrix]);
        let requests = &requests_parameters | self.is(State::Bias);
        let requests = self.m.named("requests_section", &requests);
        let sent = self.m.named("section_sent", &(&requests & request_ready));
        let takes = any(self, [State::TakeParameters, State::TakeMatrix]) | self.is(State::TakeBias);
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
        let parameters_sent = &sent & &requests_parameters;
        let start = (checked, &layer["parameter_base"]);
        let parameter_offset = self.sum("parameter_offset", start, &parameters_sent, &bytes);
        let bias_sent = &sent & self.is(State::Bias);
        let bias_offset = self.sum("bias_offset", (checked, &layer["bias_base"]), &bias_sent, &bytes);
        let bias_bank = self.m.reg_reset("bias_bank", 1, 0);
        self.m.set_if(&bias_bank, &bias_sent, &!&bias_bank);
        Sections {
            words,
            requests,
            beat: section_beat,
            count,
            done,
            parameter_offset,
            bias_offset,
            bias_bank,
        }
    }
}
