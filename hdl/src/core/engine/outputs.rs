//! What the engine asks of the bus, and what it tells.

use super::super::dma_read::length_bits;
use super::super::dma_write::BURST_WORD_BITS;
use super::Engine;

impl Engine<'_> {
    pub(super) fn bus_requests(&mut self) {
        self.m.comment("To the bus.");
        for (name, instance, port, doc) in [
            ("weights_request_valid", "loader", "request_valid", "a request for weights is offered"),
            ("weights_request_offset", "loader", "request_offset", "its byte offset"),
            ("weights_request_words", "loader", "request_words", "its 64-bit words"),
            ("weights_ready", "loader", "in_ready", "a beat of weights is taken"),
            ("inputs_request_valid", "fetcher", "request_valid", "a request for inputs is offered"),
            ("inputs_request_offset", "fetcher", "request_offset", "its byte offset"),
            ("inputs_request_words", "fetcher", "request_words", "its 64-bit words"),
            ("inputs_ready", "buffer", "in_ready", "a beat of inputs is taken"),
            ("word_valid", "packer", "out_valid", "an output word is offered"),
            ("word_data", "packer", "out_data", "the word"),
            ("burst_valid", "packer", "burst_valid", "with a burst's last word"),
            ("burst_offset", "packer", "burst_offset", "byte offset of its first word"),
            ("burst_words", "packer", "burst_words", "its words"),
            ("layer_end", "jobs", "layer_end", "no burst of the layer follows"),
            ("loader_error", "loader", "error", "a descriptor is refused"),
            ("loader_error_code", "loader", "error_code", "why"),
            ("loader_index", "loader", "index", "descriptor being loaded"),
            ("layer_index", "jobs", "index", "descriptor being computed"),
            ("sums_full", "control", "sums_full", "a partial sum finds no place"),
            ("emit", "array", "emitted", "a slot was emitted"),
            ("transmitted", "array", "transmitted", "its spikes"),
        ] {
            let value = self.of(instance, port);
            let value = match name {
                "inputs_request_words" => value.zext(length_bits(self.config)),
                "burst_words" => value.zext(BURST_WORD_BITS),
                _ => value,
            };
            self.m.output_doc(name, &value, doc);
        }
    }

    pub(super) fn counts(&mut self) {
        let [valid, null] = ["event_valid", "event_null"].map(|port| self.of("scanner", port));
        let advance = self.of("control", "advance");
        self.m.comment("Where the cycles go.");
        let taken = self.m.named("event_taken", &(valid & advance));
        self.m.output_doc("count_event", &(&taken & !&null), "an event is taken");
        self.m.output_doc("count_null_event", &(&taken & &null), "a null event is taken");
        for (name, instance, port) in [
            ("stall_weights", "jobs", "stall_weights"),
            ("stall_inputs", "jobs", "stall_inputs"),
            ("stall_order", "jobs", "stall_order"),
            ("stall_switch", "jobs", "stall_switch"),
            ("stall_fire", "control", "blocked_by_fire"),
            ("stall_output", "control", "blocked_by_output"),
        ] {
            let value = self.of(instance, port);
            self.m.output_doc(&format!("count_{name}"), &value, "a cycle of that stall");
        }
    }
}
