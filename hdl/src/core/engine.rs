//! Everything that a run resets, wired.

use std::collections::BTreeSet;
use std::rc::Rc;

use isa::{CoreConfig, Op};

use super::dma_read::length_bits;
use super::fields::{Fields, bits};
use super::if_neuron_array::if_neuron_array;
use super::input_fetcher::{self, input_fetcher};
use super::job_control::{self, job_control};
use super::layer_bits;
use super::layer_loader::layer_loader;
use super::neuron_control::{self, neuron_control};
use super::parameter_buffer::{parameter_buffer, row_bits};
use super::shaped;
use super::spike_buffer::spike_buffer;
use super::spike_packer::spike_packer;
use super::spike_scanner::spike_scanner;
use super::stream_fifo::stream_fifo;
use super::token_walker::{SHAPE, side, token_walker};
use super::weight_buffer::weight_buffer;
use crate::rtl::{Builder, Expr, Instance, Module, RtlError, cat, lit};

/// Segments that may be under way between the fetcher and the spike buffer.
const SEGMENTS: u32 = 64;

/// Fields that the engine uses directly, or that its output walk needs.
const OWN: [&str; 13] = [
    "op",
    "neuron",
    "segment_words",
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
    let loader = layer_loader(config, &names)?;
    let parts = Parts {
        fetcher: input_fetcher(config)?,
        segments: stream_fifo(bits("segment_words") + 3, SEGMENTS)?,
        buffer: spike_buffer(config)?,
        scanner: spike_scanner(config)?,
        weights: weight_buffer(config)?,
        parameters: parameter_buffer(config)?,
        control: neuron_control()?,
        array: if_neuron_array(config)?,
        walker: token_walker()?,
        packer: spike_packer(config)?,
        jobs: job_control(config)?,
    };
    let doc = "The layer engine: loader, fetcher, scanner, array and packer with their buffers. Held in reset between runs.";
    Module::build("engine", doc, |m: &mut Builder| build(m, config, &names, &loader, &parts))
}

struct Parts {
    fetcher: Rc<Module>,
    segments: Rc<Module>,
    buffer: Rc<Module>,
    scanner: Rc<Module>,
    weights: Rc<Module>,
    parameters: Rc<Module>,
    control: Rc<Module>,
    array: Rc<Module>,
    walker: Rc<Module>,
    packer: Rc<Module>,
    jobs: Rc<Module>,
}

/// Wires between instances: declared when first read, driven when the instance exists.
struct Nets {
    open: Vec<(String, String, Expr)>,
}

impl Nets {
    /// The value that output `port` of instance `from` will have.
    fn later(&mut self, m: &mut Builder, from: &str, port: &str, width: u32) -> Expr {
        if let Some((_, _, wire)) = self.open.iter().find(|(f, p, _)| f == from && p == port) {
            return wire.clone();
        }
        let wire = m.wire(&format!("net_{from}_{port}"), width);
        self.open.push((from.into(), port.into(), wire.clone()));
        wire
    }

    /// Drives the wires that wait for this instance.
    fn resolve(&mut self, m: &mut Builder, name: &str, instance: &Instance) {
        for (_, port, wire) in self.open.iter().filter(|(from, ..)| from == name) {
            m.assign(wire, &instance.output(port));
        }
        self.open.retain(|(from, ..)| from != name);
    }
}

fn build(m: &mut Builder, config: &CoreConfig, names: &[&'static str], loader: &Rc<Module>, parts: &Parts) {
    let completed = m.input("layers_completed", layer_bits());
    let descriptor_base = m.input("descriptor_base", 32);
    let descriptor_count = m.input("descriptor_count", layer_bits());
    let weights_request_ready = m.input("weights_request_ready", 1);
    let weights_valid = m.input("weights_valid", 1);
    let weights_data = m.input("weights_data", config.bus_bits);
    let inputs_request_ready = m.input("inputs_request_ready", 1);
    let inputs_valid = m.input("inputs_valid", 1);
    let inputs_data = m.input("inputs_data", config.bus_bits);
    let word_ready = m.input("word_ready", 1);
    let layer_end_ready = m.input("layer_end_ready", 1);
    m.fits("burst_words", u64::from(config.lanes / 8), super::dma_write::BURST_WORD_BITS);
    let mut nets = Nets { open: Vec::new() };

    let take = nets.later(m, "jobs", "layer_take", 1);
    let index = nets.later(m, "jobs", "index", layer_bits());
    let inputs = [
        ("descriptor_base", descriptor_base),
        ("descriptor_count", descriptor_count),
        ("layers_completed", completed.clone()),
        ("layer_taken", take.clone()),
        ("job_release", nets.later(m, "jobs", "job_release", 1)),
        ("request_ready", weights_request_ready),
        ("in_valid", weights_valid),
        ("in_data", weights_data),
        ("layer_bank", index.bit(0)),
        ("segment_index", nets.later(m, "fetcher", "segment_index", 4)),
        ("rank_index", nets.later(m, "control", "rank_index", neuron_control::rank_bits())),
    ];
    let load = m.instance("loader", loader, &inputs);
    m.comment("The layer in the array.");
    let layer = Fields::from_instance(&load, names).registers(m, "layer", &take);
    m.comment("What kind of layer it is: settled a cycle later, before anything of it moves.");
    let two_phase = layer.two_phase();
    let attention = m.delay("attention", &layer.is_attention());
    let scores = m.delay("scores", &layer.is(Op::Scores));
    let readout = m.delay("readout", &layer.is(Op::Readout));
    let analog = layer.is(Op::Analog);
    let shortcut = m.delay("shortcut", &layer.is(Op::Shortcut));
    let step_by_step = !(&two_phase | layer.is(Op::Readout) | &analog);
    let step_mode = m.delay("step_mode", &step_by_step);
    let by_steps = &step_by_step | (&layer["step_events"] & !&analog);
    let step_events = m.delay("step_events", &by_steps);
    let merged = !(&by_steps | &analog);
    let whole_bytes = m.delay("whole_bytes", &(&merged & layer.is_attention()));
    let count_spikes = m.delay("count_spikes", &(&merged & !layer.is_attention()));

    let mut inputs = layer.connect(&SHAPE);
    inputs.extend(layer.connect(&input_fetcher::FIELDS));
    inputs.extend([
        ("layer_start", nets.later(m, "jobs", "layer_start", 1)),
        ("layers_completed", completed),
        ("segment_base", load.output("segment_base")),
        ("request_ready", inputs_request_ready),
        ("segment_queue_ready", nets.later(m, "segments", "push_ready", 1)),
    ]);
    let fetch = m.instance("fetcher", &parts.fetcher, &inputs);
    nets.resolve(m, "fetcher", &fetch);
    let ends = ["segment_row_end", "segment_token_end", "segment_job_end"].map(|port| fetch.output(port));
    let entry = cat(&[ends[2].clone(), ends[1].clone(), ends[0].clone(), fetch.output("request_words")]);
    let inputs = [
        ("flush", lit(0, 1)),
        ("push_valid", fetch.output("segment_valid")),
        ("push_data", entry),
        ("pop_ready", nets.later(m, "buffer", "segment_ready", 1)),
    ];
    let segments = m.instance("segments", &parts.segments, &inputs);
    nets.resolve(m, "segments", &segments);
    let segment = segments.output("pop_data");

    let words = bits("segment_words");
    let word_bits = crate::rtl::index_width(super::spike_buffer::row_words(config));
    let inputs = [
        ("count_spikes", count_spikes),
        ("whole_bytes", whole_bytes.clone()),
        ("wide", shortcut.clone()),
        ("segment_valid", segments.output("pop_valid")),
        ("segment_words", segment.slice(0, words)),
        ("segment_row_end", segment.bit(words)),
        ("segment_token_end", segment.bit(words + 1)),
        ("segment_job_end", segment.bit(words + 2)),
        ("in_valid", inputs_valid),
        ("in_data", inputs_data),
        ("slot_release", nets.later(m, "scanner", "slot_release", 1)),
        ("query_slot", nets.later(m, "scanner", "query_slot", 1)),
        ("query_plane", nets.later(m, "scanner", "query_plane", 3)),
        ("read_word", nets.later(m, "scanner", "read_word", 1)),
        ("word_row", nets.later(m, "scanner", "word_row", super::spike_buffer::WORD_ROW_BITS)),
        ("word_index", nets.later(m, "scanner", "word_index", word_bits)),
        ("read_segment", nets.later(m, "control", "advance", 1)),
        ("segment_row", nets.later(m, "scanner", "segment_row", super::spike_buffer::ROW_BITS)),
        ("whole_index", nets.later(m, "scanner", "event_segment", 4)),
    ];
    let buffer = m.instance("buffer", &parts.buffer, &inputs);
    nets.resolve(m, "buffer", &buffer);
    let mut inputs = vec![
        ("step_mode", step_mode),
        ("step_events", step_events),
        ("whole_bytes", whole_bytes),
        ("wide", shortcut),
        ("one_sum", readout),
        ("is_attention", attention),
        ("is_scores", scores),
        ("tail_steps", layer["tail_steps"].clone()),
        ("segment_words", layer["segment_words"].clone()),
        ("job_start", nets.later(m, "jobs", "job_start", 1)),
        ("advance", nets.later(m, "control", "advance", 1)),
    ];
    for port in [
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
    ] {
        inputs.push((port, buffer.output(port)));
    }
    let scan = m.instance("scanner", &parts.scanner, &inputs);
    nets.resolve(m, "scanner", &scan);

    let bank = nets.later(m, "jobs", "bank", 1);
    let inputs = [
        ("write_words", load.output("matrix_words")),
        ("write_bank", load.output("matrix_bank")),
        ("write_row", load.output("matrix_row")),
        ("write_data", load.output("matrix_data")),
        ("read_enable", nets.later(m, "control", "advance", 1)),
        ("read_bank", bank),
        ("read_row", scan.output("event_row")),
    ];
    let weights = m.instance("weights", &parts.weights, &inputs);
    let inputs = [
        ("write_valid", load.output("parameter_valid")),
        ("write_row", load.output("parameter_row")),
        ("write_beat", load.output("parameter_beat")),
        ("write_data", load.output("matrix_data")),
        ("read_enable", nets.later(m, "jobs", "parameter_read", 1)),
        ("read_row", nets.later(m, "jobs", "parameter_row", row_bits(config))),
    ];
    let parameters = m.instance("parameters", &parts.parameters, &inputs);

    m.comment("The array and its control.");
    let mut inputs = layer.connect(&neuron_control::FIELDS);
    for port in ["event_valid", "event_null", "event_last", "event_plane", "event_shift", "event_steps"] {
        inputs.push((port, scan.output(port)));
    }
    let walk_start = nets.later(m, "jobs", "walk_start", 1);
    inputs.extend([
        ("event_bias_row", scan.output("load_bias_row")),
        ("read_row_onehot", nets.later(m, "jobs", "read_row_onehot", isa::layout::PARAMETER_ROWS)),
        ("preset_job", nets.later(m, "jobs", "job_start", 1)),
        ("packer_ready", nets.later(m, "packer", "in_ready", 1)),
        ("walk_start", walk_start.clone()),
        ("last_of_block", nets.later(m, "walk", "last_of_block", 1)),
        ("rank_now", load.output("rank")),
        ("token_offset", nets.later(m, "walk", "offset", 32)),
        ("token_row_split", nets.later(m, "walk", "row_split", 1)),
        ("token_column_split", nets.later(m, "walk", "column_split", 1)),
        ("token_query_row_band", nets.later(m, "walk", "row_band", 1)),
        ("token_query_column_band", nets.later(m, "walk", "column_band", 1)),
    ]);
    let control = m.instance("control", &parts.control, &inputs);
    nets.resolve(m, "control", &control);
    let mut inputs = vec![
        ("matrix_row", weights.output("matrix_row")),
        ("own_spikes", buffer.output("segment_data")),
        ("parameter_row", parameters.output("parameter_row")),
        ("mask_ratio", layer["mask_ratio"].clone()),
        ("event_steps", control.output("event_steps_1")),
    ];
    for port in [
        "load_rows",
        "load_bias_row",
        "row_split",
        "column_split",
        "query_row_band",
        "query_column_band",
        "advance",
        "event_active",
        "plane",
        "power",
        "is_shortcut",
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
    ] {
        inputs.push((port, control.output(port)));
    }
    let array = m.instance("array", &parts.array, &inputs);

    m.comment("The output walk and the way to memory.");
    let mut inputs = side(&layer, &layer, "output");
    inputs.extend([
        ("start", walk_start),
        ("base", nets.later(m, "jobs", "walk_base", 32)),
        ("step", control.output("token_step")),
    ]);
    let walk = m.instance("walk", &parts.walker, &inputs);
    nets.resolve(m, "walk", &walk);
    let tile_bits = crate::rtl::index_width(config.lanes / 8 + 1);
    let inputs = [
        ("in_valid", control.output("bytes_valid")),
        ("in_bytes", array.output("spikes")),
        ("in_offset", control.output("bytes_offset")),
        ("in_last", control.output("bytes_last")),
        ("chunk_stride", layer["output_chunk_stride"].clone()),
        ("tile_words", nets.later(m, "jobs", "tile_words", tile_bits)),
        ("out_ready", word_ready),
    ];
    let pack = m.instance("packer", &parts.packer, &inputs);
    nets.resolve(m, "packer", &pack);
    let mut inputs = layer.connect(&job_control::FIELDS);
    inputs.extend([
        ("layer_valid", load.output("layer_valid")),
        ("loader_index", load.output("index")),
        ("job_loaded", load.output("job_loaded")),
        ("job_scanned", scan.output("job_scanned")),
        ("array_idle", control.output("idle")),
        ("packer_idle", pack.output("idle")),
        ("marker_ready", layer_end_ready),
        ("token_step", control.output("token_step")),
        ("last_of_all", walk.output("last_of_all")),
        ("bias_bank_0", load.output("bias_bank_0")),
        ("bias_bank_1", load.output("bias_bank_1")),
        ("scanner_waiting", scan.output("waiting")),
        ("fetcher_waiting", fetch.output("waiting_for_layers")),
        ("query", scan.output("query")),
        ("load_bias_row", scan.output("load_bias_row")),
        ("advance", control.output("advance")),
    ]);
    let jobs = m.instance("jobs", &parts.jobs, &inputs);
    nets.resolve(m, "jobs", &jobs);

    m.comment("To the bus.");
    for (name, value) in [
        ("weights_request_valid", load.output("request_valid")),
        ("weights_request_offset", load.output("request_offset")),
        ("weights_request_words", load.output("request_words")),
        ("weights_ready", load.output("in_ready")),
        ("inputs_request_valid", fetch.output("request_valid")),
        ("inputs_request_offset", fetch.output("request_offset")),
        ("inputs_request_words", fetch.output("request_words").zext(length_bits(config))),
        ("inputs_ready", buffer.output("in_ready")),
        ("word_valid", pack.output("out_valid")),
        ("word_data", pack.output("out_data")),
        ("burst_valid", pack.output("burst_valid")),
        ("burst_offset", pack.output("burst_offset")),
        ("burst_words", pack.output("burst_words").zext(super::dma_write::BURST_WORD_BITS)),
        ("layer_end", jobs.output("layer_end")),
        ("loader_error", load.output("error")),
        ("loader_error_code", load.output("error_code")),
        ("loader_index", load.output("index")),
        ("layer_index", index),
        ("emit", array.output("emitted")),
        ("transmitted", array.output("transmitted")),
    ] {
        m.output(name, &value);
    }
    m.comment("Where the cycles go.");
    let taken = m.named("event_taken", &(scan.output("event_valid") & control.output("advance")));
    m.output("count_event", &(&taken & !scan.output("event_null")));
    m.output("count_null_event", &(&taken & scan.output("event_null")));
    for port in ["stall_weights", "stall_inputs", "stall_order", "stall_switch"] {
        m.output(&format!("count_{port}"), &jobs.output(port));
    }
    m.output("count_stall_fire", &control.output("blocked_by_fire"));
    m.output("count_stall_output", &control.output("blocked_by_output"));
}
