//! Everything that a run resets, wired.

use std::collections::BTreeSet;
use std::rc::Rc;

use isa::{CoreConfig, Op};

use super::dma_write::BURST_WORD_BITS;
use super::fields::Fields;
use super::if_neuron_array::if_neuron_array;
use super::input_fetcher::{self, PASS_FIELDS, entry_bits, input_fetcher};
use super::job_control::{self, job_control};
use super::layer_bits;
use super::layer_loader::layer_loader;
use super::neuron_control::{self, neuron_control};
use super::parameter_buffer::parameter_buffer;
use super::shaped;
use super::spike_buffer::{segment_word_bits, spike_buffer};
use super::spike_packer::spike_packer;
use super::spike_scanner::spike_scanner;
use super::stream_fifo::stream_fifo;
use super::sum_buffer::sum_buffer;
use super::token_walker::{SHAPE, STRIDES, token_walker};
use super::weight_buffer::weight_buffer;
use crate::rtl::{Builder, Expr, Module, Nets, RtlError, lit};

mod outputs;

/// Segments that may be under way between the fetcher and the spike buffer.
const SEGMENTS: u32 = 64;

/// Fields that the engine uses directly, or that its output walk needs.
const OWN: [&str; 15] = [
    "op",
    "schedule",
    "hard_reset",
    "sum",
    "bytes",
    "tail_steps",
    "mask_ratio",
    "step_events",
    "output_block_y_stride",
    "output_block_x_stride",
    "output_y_stride",
    "output_x_stride",
    "output_chunk_stride",
    "output_wrap_y",
    "output_wrap_x",
];

/// The layer engine: loader, fetcher, scanner, array and packer with their buffers. Held in reset between runs.
pub fn engine(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("engine", config)?;
    let names: BTreeSet<&'static str> = OWN
        .iter()
        .chain(&SHAPE)
        .chain(&input_fetcher::FIELDS)
        .chain(&neuron_control::FIELDS)
        .chain(&job_control::FIELDS)
        .copied()
        .collect();
    let names: Vec<&'static str> = names.into_iter().collect();
    let parts = [
        ("loader", layer_loader(config, &names)?),
        ("fetcher", input_fetcher(config)?),
        ("segments", stream_fifo(entry_bits(config), SEGMENTS)?),
        ("buffer", spike_buffer(config)?),
        ("scanner", spike_scanner(config)?),
        ("weights", weight_buffer(config)?),
        ("parameters", parameter_buffer(config)?),
        ("sums", sum_buffer(config)?),
        ("control", neuron_control(config)?),
        ("array", if_neuron_array(config)?),
        ("walk", token_walker()?),
        ("packer", spike_packer(config)?),
        ("jobs", job_control(config)?),
    ];
    let parts = parts.each_ref().map(|(name, module)| (*name, module));
    let doc = "The layer engine: loader, fetcher, scanner, array and packer with their buffers. Held in reset between runs.";
    Module::build("engine", doc, |m: &mut Builder| {
        m.fits("burst_words", u64::from(config.lanes / 8), BURST_WORD_BITS);
        let nets = Nets::new(&parts);
        Engine { m, nets, config }.build(&names);
    })
}

struct Engine<'a> {
    m: &'a mut Builder,
    nets: Nets<'a>,
    config: &'a CoreConfig,
}

/// The descriptor of the layer in the array, and what kind of layer it is.
struct Layer {
    fields: Fields,
    attention: Expr,
    scores: Expr,
    sum: Expr,
    /// Each time step is handed over.
    step_mode: Expr,
    /// Planes are time steps.
    step_events: Expr,
    /// Merged events: whole bytes of attention, counts of others.
    whole_bytes: Expr,
    count_spikes: Expr,
}

impl Engine<'_> {
    fn build(mut self, names: &[&'static str]) {
        let completed =
            self.m.input_doc("layers_completed", layer_bits(), "layers whose outputs are in memory");
        self.loader(&completed);
        let layer = self.layer(names);
        self.inputs(&layer, completed);
        self.scanner(&layer);
        self.buffers();
        self.array(&layer.fields);
        self.outputs(&layer.fields);
        self.job_control(&layer.fields);
        self.bus_requests();
        self.counts();
    }

    /// The output of an instance.
    fn of(&mut self, instance: &str, port: &str) -> Expr {
        self.nets.output(self.m, instance, port)
    }

    /// Connections to outputs of an instance that have the same names.
    fn same<'n>(&mut self, instance: &str, ports: &[&'n str]) -> Vec<(&'n str, Expr)> {
        ports.iter().map(|&port| (port, self.of(instance, port))).collect()
    }

    fn place(&mut self, instance: &str, inputs: &[(&str, Expr)]) {
        self.nets.place(self.m, instance, inputs);
    }

    fn loader(&mut self, completed: &Expr) {
        let bus = self.config.bus_bits;
        let index = self.of("jobs", "index");
        let inputs = [
            (
                "descriptor_base",
                self.m.input_doc("descriptor_base", 32, "byte offset of the first descriptor"),
            ),
            (
                "descriptor_count",
                self.m.input_doc("descriptor_count", layer_bits(), "descriptors of the run"),
            ),
            ("layers_completed", completed.clone()),
            ("layer_taken", self.of("jobs", "layer_take")),
            ("job_release", self.of("jobs", "job_release")),
            (
                "request_ready",
                self.m.input_doc("weights_request_ready", 1, "the request for weights is taken"),
            ),
            ("in_valid", self.m.input_doc("weights_valid", 1, "a beat of weights is there")),
            ("in_data", self.m.input_doc("weights_data", bus, "its data")),
            ("layer_bank", index.bit(0)),
            ("pass_taken", self.of("fetcher", "pass_taken")),
            ("segment_bank", self.of("fetcher", "segment_bank")),
            ("segment_index", self.of("fetcher", "segment_index")),
            ("rank_index", self.of("control", "rank_index")),
        ];
        self.place("loader", &inputs);
    }

    fn layer(&mut self, names: &[&'static str]) -> Layer {
        let take = self.of("jobs", "layer_take");
        self.m.comment("The layer in the array.");
        let loaded = names.iter().map(|&name| (name, self.of("loader", &format!("layer_{name}"))));
        let loaded: Vec<(&'static str, Expr)> = loaded.collect();
        let m = &mut *self.m;
        let fields = Fields::of(loaded).registers(m, "layer", &take);
        m.comment("What kind of layer it is: settled a cycle later, before anything of it moves.");
        let attention = m.delay("attention", &fields.is_attention());
        let scores = m.delay("scores", &fields.is(Op::Scores));
        let sum = m.delay("sum", &fields["sum"]);
        let analog = fields["bytes"].clone();
        let step_by_step = !(&fields.two_phase() | &fields["sum"] | &analog);
        let step_mode = m.delay("step_mode", &step_by_step);
        let by_steps = &step_by_step | (&fields["step_events"] & !&analog);
        let step_events = m.delay("step_events", &by_steps);
        let merged = !(&by_steps | &analog);
        let whole_bytes = m.delay("whole_bytes", &(&merged & fields.is_attention()));
        let count_spikes = m.delay("count_spikes", &(&merged & !fields.is_attention()));
        Layer { fields, attention, scores, sum, step_mode, step_events, whole_bytes, count_spikes }
    }

    /// From requests to rows in the spike buffer.
    fn inputs(&mut self, layer: &Layer, completed: Expr) {
        let mut inputs = layer.fields.connect(&SHAPE);
        inputs.extend(layer.fields.connect(&input_fetcher::FIELDS));
        inputs.extend([
            ("layer_start", self.of("jobs", "layer_start")),
            ("layers_completed", completed),
            ("pass_valid", self.of("loader", "pass_valid")),
            ("pass_bank", self.of("loader", "pass_bank")),
            ("request_ready", self.m.input_doc("inputs_request_ready", 1, "the request for inputs is taken")),
            ("segment_queue_ready", self.of("segments", "push_ready")),
        ]);
        inputs.extend(self.same("loader", &["segment_base", "segment_dy", "segment_dx"]));
        for name in STRIDES.iter().chain(&PASS_FIELDS) {
            inputs.push((name, self.of("loader", &format!("pass_{name}"))));
        }
        self.place("fetcher", &inputs);
        let inputs = [
            ("flush", lit(0, 1)),
            ("push_valid", self.of("fetcher", "entry_valid")),
            ("push_data", self.of("fetcher", "entry")),
            ("pop_ready", self.of("buffer", "segment_ready")),
        ];
        self.place("segments", &inputs);
        let segment = self.of("segments", "pop_data");
        let words = segment_word_bits(self.config);
        let mut inputs = vec![
            ("count_spikes", layer.count_spikes.clone()),
            ("whole_bytes", layer.whole_bytes.clone()),
            ("segment_valid", self.of("segments", "pop_valid")),
            ("segment_words", segment.slice(0, words)),
            ("segment_diagonal", segment.bit(words)),
            ("segment_absent", segment.bit(words + 1)),
            ("segment_row_end", segment.bit(words + 2)),
            ("segment_token_end", segment.bit(words + 3)),
            ("segment_job_end", segment.bit(words + 4)),
            ("in_valid", self.m.input_doc("inputs_valid", 1, "a beat of inputs is there")),
            ("in_data", self.m.input_doc("inputs_data", self.config.bus_bits, "its data")),
            ("read_segment", self.of("control", "advance")),
            ("whole_index", self.of("scanner", "event_segment")),
        ];
        let asked = [
            "slot_release",
            "query_slot",
            "query_plane",
            "read_word",
            "word_row",
            "word_index",
            "segment_row",
        ];
        inputs.extend(self.same("scanner", &asked));
        self.place("buffer", &inputs);
    }

    fn scanner(&mut self, layer: &Layer) {
        let mut inputs = vec![
            ("step_mode", layer.step_mode.clone()),
            ("step_events", layer.step_events.clone()),
            ("whole_bytes", layer.whole_bytes.clone()),
            ("wide", self.of("jobs", "diagonal")),
            ("one_sum", layer.sum.clone()),
            ("is_attention", layer.attention.clone()),
            ("is_scores", layer.scores.clone()),
            ("tail_steps", layer.fields["tail_steps"].clone()),
            ("segment_words", self.of("fetcher", "row_words")),
            ("job_start", self.of("jobs", "job_start")),
            ("advance", self.of("control", "advance")),
        ];
        let rows = [
            "full_0",
            "full_1",
            "active_planes_0",
            "active_planes_1",
            "token_end_0",
            "token_end_1",
            "job_end_0",
            "job_end_1",
            "bitmap",
            "word_data",
        ];
        inputs.extend(self.same("buffer", &rows));
        self.place("scanner", &inputs);
    }

    fn buffers(&mut self) {
        let inputs = [
            ("write_words", self.of("loader", "matrix_words")),
            ("write_bank", self.of("loader", "matrix_bank")),
            ("write_row", self.of("loader", "matrix_row")),
            ("write_data", self.of("loader", "matrix_data")),
            ("read_enable", self.of("control", "advance")),
            ("read_bank", self.of("jobs", "bank")),
            ("read_row", self.of("scanner", "event_row")),
        ];
        self.place("weights", &inputs);
        let inputs = [
            ("write_valid", self.of("loader", "parameter_valid")),
            ("write_row", self.of("loader", "parameter_row")),
            ("write_beat", self.of("loader", "parameter_beat")),
            ("write_data", self.of("loader", "matrix_data")),
            ("read_enable", self.of("jobs", "parameter_read")),
            ("read_row", self.of("jobs", "parameter_row")),
        ];
        self.place("parameters", &inputs);
        let inputs = [
            ("write_enable", self.of("control", "sum_write")),
            ("write_row", self.of("control", "sum_write_row")),
            ("write_data", self.of("array", "partial_sums")),
            ("read_enable", self.of("control", "advance")),
            ("read_row", self.of("control", "sum_read_row")),
        ];
        self.place("sums", &inputs);
    }

    fn array(&mut self, layer: &Fields) {
        self.m.comment("The array and its control.");
        let mut inputs = layer.connect(&neuron_control::FIELDS);
        let event = ["event_valid", "event_null", "event_last", "event_plane", "event_shift", "event_steps"];
        inputs.extend(self.same("scanner", &event));
        let of_job = ["read_row_onehot", "walk_start", "diagonal", "term_shift", "from_sums", "to_sums"];
        inputs.extend(self.same("jobs", &of_job));
        inputs.extend([
            ("event_bias_row", self.of("scanner", "load_bias_row")),
            ("preset_job", self.of("jobs", "job_start")),
            ("packer_ready", self.of("packer", "in_ready")),
            ("last_of_block", self.of("walk", "last_of_block")),
            ("rank_now", self.of("loader", "rank")),
            ("token_offset", self.of("walk", "offset")),
            ("token_row_split", self.of("walk", "row_split")),
            ("token_column_split", self.of("walk", "column_split")),
            ("token_query_row_band", self.of("walk", "row_band")),
            ("token_query_column_band", self.of("walk", "column_band")),
        ]);
        self.place("control", &inputs);
        let mut inputs = vec![
            ("matrix_row", self.of("weights", "matrix_row")),
            ("own_spikes", self.of("buffer", "segment_data")),
            ("parameter_row", self.of("parameters", "parameter_row")),
            ("mask_ratio", layer["mask_ratio"].clone()),
            ("hard_reset", layer["hard_reset"].clone()),
            ("sum_row", self.of("sums", "sum_row")),
            ("event_steps", self.of("control", "event_steps_1")),
        ];
        let shared = [
            "load_rows",
            "load_bias_row",
            "load_sum",
            "row_split",
            "column_split",
            "query_row_band",
            "query_column_band",
            "advance",
            "event_active",
            "plane",
            "power",
            "is_diagonal",
            "is_attention",
            "accumulate",
            "first",
            "capture",
            "load",
            "add",
            "step",
            "preset",
            "latch",
            "two_phase",
            "rank",
            "emit",
            "slot_bit",
            "first_bit",
            "raw",
            "raw_byte",
        ];
        inputs.extend(self.same("control", &shared));
        self.place("array", &inputs);
    }

    fn outputs(&mut self, layer: &Fields) {
        self.m.comment("The output walk and the way to memory.");
        let mut inputs = layer.connect(&SHAPE);
        inputs.extend(STRIDES.map(|name| (name, layer[format!("output_{name}").as_str()].clone())));
        inputs.extend([
            ("start", self.of("jobs", "walk_start")),
            ("base", self.of("jobs", "walk_base")),
            ("step", self.of("control", "token_step")),
        ]);
        self.place("walk", &inputs);
        let inputs = [
            ("in_valid", self.of("control", "bytes_valid")),
            ("in_bytes", self.of("array", "spikes")),
            ("in_offset", self.of("control", "bytes_offset")),
            ("in_last", self.of("control", "bytes_last")),
            ("chunk_stride", layer["output_chunk_stride"].clone()),
            ("tile_words", self.of("jobs", "tile_words")),
            ("out_ready", self.m.input_doc("word_ready", 1, "an output word is taken")),
        ];
        self.place("packer", &inputs);
    }

    fn job_control(&mut self, layer: &Fields) {
        let mut inputs = layer.connect(&job_control::FIELDS);
        inputs.extend(self.same("loader", &["layer_valid", "job_loaded", "bias_bank_0", "bias_bank_1"]));
        inputs.extend(self.same("scanner", &["job_scanned", "query", "load_bias_row"]));
        let of_passes = [
            "job_diagonal_0",
            "job_diagonal_1",
            "job_shift_0",
            "job_shift_1",
            "job_first_pass_0",
            "job_first_pass_1",
            "job_last_pass_0",
            "job_last_pass_1",
        ];
        inputs.extend(self.same("loader", &of_passes));
        inputs
            .extend(self.same("control", &["token_step", "advance", "reseed", "reseed_row", "reread_bias"]));
        inputs.extend([
            ("loader_index", self.of("loader", "index")),
            ("array_idle", self.of("control", "idle")),
            ("packer_idle", self.of("packer", "idle")),
            ("marker_ready", self.m.input_doc("layer_end_ready", 1, "the marker of a layer's end is taken")),
            ("last_of_all", self.of("walk", "last_of_all")),
            ("scanner_waiting", self.of("scanner", "waiting")),
            ("fetcher_waiting", self.of("fetcher", "waiting_for_layers")),
        ]);
        self.place("jobs", &inputs);
    }
}
