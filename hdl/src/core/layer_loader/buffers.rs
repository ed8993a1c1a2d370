//! What arrives goes into the buffers of parameters and weights.

use super::super::parameter_buffer::{bias_starts, row_bits};
use super::super::weight_buffer::enables;
use super::{Beat, Descriptor, Loader, Sections, State};
use crate::rtl::{Builder, Expr, Instance, cat, index_width, lit, mux};

/// What is written.
pub(super) struct Writes<'a> {
    pub sections: &'a Sections,
    pub keys: &'a Instance,
    pub beat: &'a Beat,
    pub descriptor: &'a Descriptor,
}

impl Loader<'_> {
    pub(super) fn write_buffers(&mut self, writes: &Writes<'_>, [bank, parameter_bank]: [&Expr; 2]) {
        let Writes { sections, keys, beat, descriptor } = writes;
        let config = self.config;
        let [in_keys, takes_matrix, takes_bias, takes_pass] =
            [State::Keys, State::TakeMatrix, State::TakeBias, State::TakePass].map(|state| self.is(state));
        let (lane_words, beat_words) = (config.lanes / 8, config.bus_bits / 64);
        let m = &mut *self.m;
        m.comment(
            "Into the buffers, a cycle later. A job is read two cycles after its last write at the earliest.",
        );
        let parameter_beats = 16 * config.lanes / config.bus_bits;
        let matrix_beats = 8 * config.lanes / config.bus_bits;
        let parameter_bits = row_bits(config);
        let [second, first] = bias_starts(config);
        let bias_start = mux(&sections.bias_bank, &second, &first);
        let parameter_start = cat(&[parameter_bank.clone(), lit(0, 4)]).zext(parameter_bits);
        let start_row = mux(&takes_bias, &bias_start, &parameter_start);
        let resized = |count: Expr, bits: u32| count.zext(bits.max(count.width())).trunc(bits);
        let rows_done = sections.count.shr(parameter_beats.trailing_zeros());
        let parameter_row = start_row + resized(rows_done, parameter_bits);
        let parameter_valid = &sections.beat & !&takes_matrix & !&takes_pass;
        let matrix_bits = index_width(config.weight_rows);
        let stored_row = resized(sections.count.shr(matrix_beats.trailing_zeros()), matrix_bits);
        let beat_enables = |m: &mut Builder, valid: &Expr, index: &Expr| {
            let beats = enables(m, valid, index, matrix_beats);
            let each: Vec<Expr> =
                (0..matrix_beats).rev().map(|beat| beats.bit(beat).repeat(beat_words)).collect();
            cat(&each)
        };
        let stored_valid = &sections.beat & &takes_matrix;
        let stored_beat = sections.count.slice(0, index_width(matrix_beats));
        let stored_words = beat_enables(m, &stored_valid, &stored_beat);
        let value_words = beat_enables(m, &keys.output("value_valid"), &keys.output("value_beat"));
        let key_enables = enables(m, &keys.output("key_valid"), &keys.output("key_word"), lane_words);
        let key_data = keys.output("key_data").repeat(beat_words);
        let matrix_data = mux(&(&in_keys & &descriptor.scores), &key_data, &beat.data);
        let matrix_words = stored_words | value_words | key_enables;
        for (name, enable, doc) in [
            ("parameter_valid", parameter_valid, "a beat for the parameter buffer is there"),
            ("matrix_words", matrix_words, "words of a matrix row that are there"),
        ] {
            let written = m.delay_reset(&format!("written_{name}"), &enable);
            m.output_doc(name, &written, doc);
        }
        let parameter_beat = sections.count.slice(0, index_width(parameter_beats));
        for (name, value, doc) in [
            ("parameter_row", parameter_row, "row of the parameter buffer"),
            ("parameter_beat", parameter_beat, "which part of the row"),
            ("matrix_bank", bank.clone(), "bank of the weight buffer"),
            ("matrix_row", mux(&in_keys, &keys.output("row"), &stored_row), "its row"),
            ("matrix_data", matrix_data, "the beat"),
        ] {
            let written = m.delay(&format!("written_{name}"), &value);
            m.output_doc(name, &written, doc);
        }
    }
}
