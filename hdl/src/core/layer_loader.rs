//! Fetches descriptors and fills the buffers one job ahead.

use std::rc::Rc;

use isa::descriptor::{RANK_WORD, SEGMENT_WORD, WORDS};
use isa::layout::PARAMETER_ROWS;
use isa::{CoreConfig, ErrorCode, MAX_SEGMENTS, MAX_TIME_STEPS, Op};

use super::dma_read::LENGTH_BITS;
use super::fields::Fields;
use super::key_transposer::key_transposer;
use super::neuron_control::rank_bits;
use super::parameter_buffer::{BIAS_START, ROWS as PARAMETER_BUFFER_ROWS};
use super::weight_buffer::enables;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, index_width, lit, mux};

/// Fields that the loader itself reads.
const OWN: [&str; 31] = [
    "op",
    "neuron",
    "time_steps",
    "tail_steps",
    "chunks",
    "segments",
    "rotate",
    "shift",
    "tiles",
    "groups",
    "weights_ready",
    "blocks_y",
    "blocks_x",
    "inner_y",
    "inner_x",
    "segment_words",
    "output_words",
    "matrix_rows",
    "matrix_words",
    "parameter_base",
    "bias_base",
    "matrix_base",
    "matrix_group_stride",
    "matrix_block_stride",
    "matrix_token_stride",
    "matrix_chunk_stride",
    "fraction",
    "mask_ratio",
    "rotate_by_block",
    "inputs_ready",
    "output_base",
];

/// The states, in the order in which a layer passes through them.
#[derive(Clone, Copy)]
enum State {
    Next,
    Request,
    Receive,
    Check,
    Wait,
    Parameters,
    TakeParameters,
    Matrix,
    TakeMatrix,
    Bias,
    TakeBias,
    Keys,
    Loaded,
    Handed,
}

/// Fetches and checks one descriptor after the other, and loads the parameters and the matrix of each of its jobs into the bank
/// that the array does not use.
///
/// Works through the stream `weights`: descriptor (32 words), then for each job its parameter block, for `scores` with a new
/// tile the bias rows, and the matrix: stored rows, or K or V as soon as the layer that makes them has completed. At most two jobs are
/// loaded ahead of `job_release`. The descriptor stays until the array has taken it (`layer_taken`).
/// A descriptor that fails a check raises `error` and the loader stops.
pub fn layer_loader(config: &CoreConfig, layer_fields: &[&'static str]) -> Result<Rc<Module>, RtlError> {
    let transposer = key_transposer(config)?;
    let doc = "Fetches and checks descriptors, and loads parameters, bias rows and matrix of each job one job ahead of the\n\
               array.";
    Module::build("layer_loader", doc, |m: &mut Builder| {
        Loader::new(m, config, layer_fields, &transposer);
    })
}

struct Loader<'a> {
    m: &'a mut Builder,
    config: &'a CoreConfig,
    state: Expr,
}

impl Loader<'_> {
    fn at(&self, state: State) -> Expr {
        self.state.eq_lit(state as u64)
    }

    fn go(&mut self, condition: &Expr, state: State) {
        let (register, to) = (self.state.clone(), lit(state as u64, 4));
        self.m.set_if(&register, condition, &to);
    }

    /// A counter that goes back to 0 with `clear` and up by one with `count`.
    fn counter(&mut self, name: &str, width: u32, clear: &Expr, count: &Expr) -> Expr {
        let register = self.m.reg_reset(name, width, 0);
        self.m.set_if(&register, clear, &lit(0, width));
        self.m.set_if(&register, count, &register.inc());
        register
    }

    /// A sum that starts from `start` with `clear` and grows by `step` with `count`.
    fn sum(&mut self, name: &str, (clear, start): (&Expr, &Expr), count: &Expr, step: &Expr) -> Expr {
        let register = self.m.reg_reset(name, start.width(), 0);
        self.m.set_if(&register, clear, start);
        self.m.set_if(&register, count, &(&register + step));
        register
    }

    fn new(m: &mut Builder, config: &CoreConfig, layer_fields: &[&'static str], transposer: &Rc<Module>) {
        let lane_words = config.lanes / 8;
        let beat_words = config.bus_bits / 64;
        let beat_shift = beat_words.trailing_zeros();
        let lane_shift = config.lanes.trailing_zeros();
        let descriptor_base = m.input("descriptor_base", 32);
        let descriptor_count = m.input("descriptor_count", 12);
        let completed = m.input("layers_completed", 12);
        let layer_taken = m.input_doc("layer_taken", 1, "the array has copied the descriptor");
        let job_release = m.input_doc("job_release", 1, "the array is done with a job's bank");
        let request_ready = m.input("request_ready", 1);
        let in_valid = m.input("in_valid", 1);
        let in_data = m.input("in_data", config.bus_bits);
        let state = m.reg_reset("state", 4, State::Next as u64);
        let mut this = Loader { m, config, state };
        let in_state = [
            State::Next,
            State::Request,
            State::Receive,
            State::Check,
            State::Wait,
            State::Parameters,
            State::TakeParameters,
            State::Matrix,
            State::TakeMatrix,
            State::Bias,
            State::TakeBias,
            State::Keys,
            State::Loaded,
            State::Handed,
        ]
        .map(|s| {
            let flag = this.at(s);
            this.m.named(&format!("is_{}", snake(s)), &flag)
        });
        let is = |s: State| in_state[s as usize].clone();

        this.m.comment("Descriptor.");
        let index = this.m.reg_reset("index", 12, 0);
        let received = this.m.named("received", &(&in_valid & is(State::Receive)));
        let begin = this.m.named("begins", &(is(State::Next) & index.lt(&descriptor_count)));
        let position = this.counter("position", 5 - beat_shift, &begin, &received);
        let mut used: Vec<&'static str> = OWN.to_vec();
        used.extend(layer_fields.iter().filter(|f| !OWN.contains(f)));
        let words: Vec<Expr> = (0..SEGMENT_WORD)
            .map(|i| {
                let register = this.m.reg(&format!("descriptor_{i}"), 64);
                let (beat, word) = (i as u32 / beat_words, i as u32 % beat_words);
                let here = &received & position.eq_lit(beat.into());
                this.m.set_if(&register, &here, &in_data.slice(64 * word, 64));
                register
            })
            .collect();
        for (i, word) in words.iter().enumerate() {
            unused_bits(this.m, word, i, &used);
        }
        let layer = Fields::slices(&words, &used);
        this.tables(&received, &position, &in_data, &index.bit(0));

        this.m.comment(
            "Checks: one of several lengths is summed up a step a cycle, since there is no multiplier.",
        );
        let check_cycle = this.counter("check_cycle", 5, &begin, &is(State::Check));
        let counts = check_cycle.lt(&layer["segments"]) & is(State::Check);
        let row_words =
            this.sum("row_words", (&begin, &lit(0, 17)), &counts, &layer["segment_words"].zext(17));
        let chunk_counts = check_cycle.lt(&layer["chunks"].zext(5)) & is(State::Check);
        let chunk_rows =
            this.sum("chunk_words", (&begin, &lit(0, 17)), &chunk_counts, &layer["segment_words"].zext(17));
        let checked =
            this.m.named("checked", &(is(State::Check) & check_cycle.eq_lit(u64::from(MAX_SEGMENTS) + 1)));
        let (bad, code) = this.check(&layer, &row_words, &chunk_rows);
        let attention = this.m.named("attention", &layer.is_attention());
        let scores = this.m.named("scores", &layer.is(Op::Scores));

        this.m.comment("Jobs: group, tile and, for attention, block.");
        let taken = this.m.reg_reset("taken", 1, 0);
        let banks_used = this.m.reg_reset("banks_used", 2, 0);
        let loaded = is(State::Loaded);
        this.m.set(&banks_used, &(&banks_used + loaded.zext(2) - job_release.zext(2)));
        let bank = this.m.reg_reset("bank", 1, 0);
        this.m.set_if(&bank, &loaded, &!&bank);
        let block_x = this.m.reg_reset("block_x", 12, 0);
        let block_y = this.m.reg_reset("block_y", 12, 0);
        let last_block_x = this.m.named("last_block_x", &block_x.inc().eq(&layer["blocks_x"]));
        let last_block = this
            .m
            .named("last_block", &(!&attention | (&last_block_x & block_y.inc().eq(&layer["blocks_y"]))));
        let tile_done = this.m.named("tile_done", &(&loaded & &last_block));
        this.m.set_if(&block_x, &(&begin | (&loaded & &last_block_x)), &lit(0, 12));
        this.m.set_if(&block_x, &(&loaded & &attention), &block_x.inc());
        this.m.set_if(&block_y, &(&begin | &tile_done), &lit(0, 12));
        this.m.set_if(&block_y, &(&loaded & &attention & &last_block_x), &block_y.inc());
        let tile = this.m.reg_reset("tile", 12, 0);
        let last_tile = this.m.named("last_tile", &tile.inc().eq(&layer["tiles"]));
        let group_done = this.m.named("group_done", &(&tile_done & &last_tile));
        this.m.set_if(&tile, &(&begin | &group_done), &lit(0, 12));
        this.m.set_if(&tile, &tile_done, &tile.inc());
        let group = this.counter("group", 8, &begin, &group_done);
        let layer_done = this.m.named("layer_done", &(&group_done & group.inc().eq(&layer["groups"])));
        let first_block = this.m.named("first_block", &(block_x.is_zero() & block_y.is_zero()));

        this.m.comment("What is left of a group's rows: lanes of the output, keys or words of the matrix.");
        let restart = this.m.named("restart", &(&checked | &group_done));
        let lanes_12 = lit(u64::from(config.lanes), 12);
        let words_12 = lit(u64::from(lane_words), 12);
        let mut left = |name: &str, all: &Expr, step: &Expr| {
            let register = this.m.reg(name, 12);
            this.m.set_if(&register, &restart, all);
            this.m.set_if(&register, &tile_done, &mux(&register.lt(step), &lit(0, 12), &(&register - step)));
            register
        };
        let output_left = left("output_left", &layer["output_words"], &words_12);
        let keys_left = left("keys_left", &layer["matrix_rows"], &lanes_12);
        let row_left = left("matrix_words_left", &layer["matrix_words"], &words_12);
        let matrix_left = mux(&scores, &keys_left, &row_left);
        let exhausted = output_left.is_zero() | (&attention & matrix_left.is_zero());
        let tile_bad = this.m.named("tile_bad", &(is(State::Wait) & exhausted));
        let least = |a: &Expr, b: &Expr| mux(&a.lt(b), a, b);
        let key_rows =
            this.m.named("key_rows", &mux(&scores, &least(&keys_left, &lanes_12), &layer["matrix_rows"]));
        let key_words =
            this.m.named("key_words", &mux(&scores, &layer["matrix_words"], &least(&row_left, &words_12)));

        this.m.comment("Where the job's K or V lies: sums that settle long before they are used.");
        let group_offset =
            this.sum("matrix_group", (&begin, &lit(0, 32)), &group_done, &layer["matrix_group_stride"]);
        let tile_stride =
            mux(&scores, &layer["matrix_token_stride"].shl(lane_shift), &lit(u64::from(config.lanes), 32));
        let tile_clear = &begin | &group_done;
        let tile_offset = this.sum("matrix_tile", (&tile_clear, &lit(0, 32)), &tile_done, &tile_stride);
        let block_clear = &begin | &tile_done;
        let block_offset =
            this.sum("matrix_block", (&block_clear, &lit(0, 32)), &loaded, &layer["matrix_block_stride"]);
        let base_1 = this.m.delay("matrix_base_group", &(&layer["matrix_base"] + &group_offset));
        let base_2 = this.m.delay("matrix_base_tile", &(&base_1 + &tile_offset));
        let job_base = this.m.delay("matrix_base_block", &(&base_2 + &block_offset));

        this.m.comment("Sections: request one, count its words in.");
        let parameter_words = u64::from(PARAMETER_ROWS * config.lanes / 4);
        let matrix_words = layer["matrix_rows"].zext(LENGTH_BITS).shl(lane_words.trailing_zeros());
        let bias_words = layer["matrix_rows"].zext(LENGTH_BITS).shl((config.lanes / 4).trailing_zeros());
        let section_words = mux(
            &(is(State::Parameters) | is(State::TakeParameters)),
            &lit(parameter_words, LENGTH_BITS),
            &mux(&(is(State::Matrix) | is(State::TakeMatrix)), &matrix_words, &bias_words),
        );
        let section_words = this.m.named("section_words", &section_words);
        let requests_parameters = is(State::Parameters) | is(State::Matrix);
        let requests_section = this.m.named("requests_section", &(&requests_parameters | is(State::Bias)));
        let section_sent = this.m.named("section_sent", &(&requests_section & &request_ready));
        let takes_section = is(State::TakeParameters) | is(State::TakeMatrix) | is(State::TakeBias);
        let section_beat = this.m.named("section_beat", &(takes_section & &in_valid));
        let section_count = this.counter("section_count", LENGTH_BITS, &section_sent, &section_beat);
        let section_beats = section_words.shr(beat_shift);
        let section_done =
            this.m.named("section_done", &(&section_beat & section_count.inc().eq(&section_beats)));
        let section_bytes = cat(&[section_words.clone(), lit(0, 3)]).zext(32);
        let parameter_offset = this.sum(
            "parameter_offset",
            (&checked, &layer["parameter_base"]),
            &(&section_sent & &requests_parameters),
            &section_bytes,
        );
        let bias_sent = &section_sent & is(State::Bias);
        let bias_offset =
            this.sum("bias_offset", (&checked, &layer["bias_base"]), &bias_sent, &section_bytes);
        let bias_bank = this.m.reg_reset("bias_bank", 1, 0);
        this.m.set_if(&bias_bank, &bias_sent, &!&bias_bank);

        let keys = this.keys(
            &is(State::Keys),
            &layer,
            (&key_rows, &key_words),
            &job_base,
            &request_ready,
            (&in_valid, &in_data),
            &scores,
            transposer,
        );

        this.m.comment("Into the buffers.");
        let parameter_beats = 16 * config.lanes / config.bus_bits;
        let matrix_beats = 8 * config.lanes / config.bus_bits;
        let bias_start = mux(
            &bias_bank,
            &lit(u64::from(BIAS_START + config.bias_rows), 9),
            &lit(u64::from(BIAS_START), 9),
        );
        let parameter_start = cat(&[lit(0, 4), bank.clone(), lit(0, 4)]);
        let start_row = mux(&is(State::TakeBias), &bias_start, &parameter_start);
        debug_assert_eq!(index_width(PARAMETER_BUFFER_ROWS), 9);
        let parameter_row = start_row + section_count.shr(parameter_beats.trailing_zeros()).trunc(9);
        let parameter_valid = &section_beat & !is(State::TakeMatrix);
        let row_bits = index_width(config.weight_rows);
        let stored_row = section_count.shr(matrix_beats.trailing_zeros()).trunc(row_bits);
        let beat_enables = |m: &mut Builder, valid: &Expr, index: &Expr| {
            let beats = enables(m, valid, index, matrix_beats);
            let each: Vec<Expr> = (0..matrix_beats).rev().map(|beat| beats.bit(beat).repeat(beat_words)).collect();
            cat(&each)
        };
        let stored_valid = &section_beat & is(State::TakeMatrix);
        let stored_words = beat_enables(this.m, &stored_valid, &section_count.slice(0, index_width(matrix_beats)));
        let value_words = beat_enables(this.m, &keys.value_valid, &keys.value_beat);
        let key_enables = enables(this.m, &keys.key_valid, &keys.key_word, lane_words);
        let in_keys = is(State::Keys);
        this.m.output("parameter_valid", &parameter_valid);
        this.m.output("parameter_row", &parameter_row);
        this.m.output("parameter_beat", &section_count.slice(0, index_width(parameter_beats)));
        this.m.output("matrix_words", &(stored_words | value_words | key_enables));
        this.m.output("matrix_bank", &bank);
        this.m.output("matrix_row", &mux(&in_keys, &keys.row, &stored_row));
        this.m.output("matrix_data", &mux(&(&in_keys & &scores), &keys.data.repeat(beat_words), &in_data));

        this.m.comment("Requests.");
        let descriptor_offset = &descriptor_base + cat(&[lit(0, 12), index.clone(), lit(0, 8)]);
        let section_offset = mux(&is(State::Bias), &bias_offset, &parameter_offset);
        let request_offset = mux(
            &is(State::Request),
            &descriptor_offset,
            &mux(&in_keys, &keys.request_offset, &section_offset),
        );
        let plain_words = mux(&is(State::Request), &lit(WORDS as u64, LENGTH_BITS), &section_words);
        this.m.output("request_valid", &(is(State::Request) | &requests_section | &keys.request_valid));
        this.m.output("request_offset", &request_offset);
        this.m.output("request_words", &mux(&in_keys, &key_words.zext(LENGTH_BITS), &plain_words));
        this.m.output("in_ready", &mux(&in_keys, &keys.in_ready, &lit(1, 1)));

        this.m.comment("The state.");
        let bank_free = banks_used.lt_lit(2) & (!&attention | completed.ge(&layer["weights_ready"]));
        let error = this.m.named("error_now", &((&checked & &bad) | &tile_bad));
        this.go(&begin, State::Request);
        this.go(&(is(State::Request) & &request_ready), State::Receive);
        this.go(&(&received & position.all()), State::Check);
        this.go(&(&checked & !&bad), State::Wait);
        this.go(&(is(State::Wait) & bank_free & !&tile_bad), State::Parameters);
        this.go(&(is(State::Parameters) & &request_ready), State::TakeParameters);
        this.go(&(is(State::Matrix) & &request_ready), State::TakeMatrix);
        this.go(&(is(State::Bias) & &request_ready), State::TakeBias);
        let parameters_done = &section_done & is(State::TakeParameters);
        this.go(&(&parameters_done & !&attention), State::Matrix);
        this.go(&(&parameters_done & &scores & &first_block), State::Bias);
        this.go(&(&parameters_done | (&section_done & is(State::TakeBias))), State::Keys);
        this.go(&((&section_done & is(State::TakeMatrix)) | &keys.done), State::Loaded);
        this.go(&(&loaded & !&layer_done), State::Wait);
        this.go(&loaded, State::Handed);
        this.go(&(is(State::Handed) & &taken), State::Next);
        let handed_over = is(State::Handed) & &taken;
        this.m.set_if(&index, &handed_over, &index.inc());
        this.m.set_if(&taken, &begin, &lit(0, 1));
        this.m.set_if(&taken, &layer_taken, &lit(1, 1));
        let announced = this.m.reg_reset("layer_valid", 1, 0);
        this.m.set_if(&announced, &layer_taken, &lit(0, 1));
        this.m.set_if(&announced, &(&checked & !&bad), &lit(1, 1));

        let bias_bank_of = [0, 1].map(|b| {
            let register = this.m.reg(&format!("bias_bank_{b}"), 1);
            this.m.set_if(&register, &(&loaded & bank.eq_lit(b)), &bias_bank);
            register
        });
        this.m.output("bias_bank_0", &bias_bank_of[0]);
        this.m.output("bias_bank_1", &bias_bank_of[1]);
        this.m.output("job_loaded", &loaded);
        this.m.output_doc("layer_valid", &announced, "the descriptor is checked and waits to be taken");
        this.m.output("index", &index);
        this.m.output("error", &error);
        this.m.output("error_code", &mux(&tile_bad, &lit(ErrorCode::BadShape as u64, 8), &code));
        for &name in layer_fields {
            this.m.output(&format!("layer_{name}"), &layer[name]);
        }
    }

    /// The segment and rank tables, two banks each: the array may still use the previous layer's.
    fn tables(&mut self, received: &Expr, position: &Expr, data: &Expr, bank: &Expr) {
        let m = &mut *self.m;
        m.comment(
            "Tables of segment bases and ranks, in two banks: the array may still use the previous layer's.",
        );
        let beat_words = self.config.bus_bits / 64;
        let shift = beat_words.trailing_zeros();
        let first_rank = u64::from(RANK_WORD as u32 / beat_words);
        let in_segments = received & position.ge_lit(u64::from(SEGMENT_WORD as u32 / beat_words)) & position.lt_lit(first_rank);
        let in_ranks = received & position.ge_lit(first_rank);
        let segments = m.memory("segment_table", self.config.bus_bits, MAX_SEGMENTS / beat_words);
        let ranks = m.memory("rank_table", self.config.bus_bits, 2 * MAX_TIME_STEPS / 8 / beat_words);
        let address = m.named("table_address", &cat(&[bank.clone(), position.slice(0, 3 - shift)]));
        m.write(&segments, &in_segments, &address, data);
        m.write(&ranks, &in_ranks, &address, data);
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
        m.output("rank", &crate::rtl::select(&rank.slice(0, 3 + shift), &bytes));
    }

    /// Whether the descriptor is bad, and the code of the first check that it fails.
    fn check(&mut self, layer: &Fields, row_words: &Expr, chunk_words: &Expr) -> (Expr, Expr) {
        let m = &mut *self.m;
        let config = self.config;
        let zero = |names: &[&str]| {
            names.iter().map(|n| layer[*n].is_zero()).reduce(|a, b| a | b).unwrap_or(lit(0, 1))
        };
        let attention = layer.is_attention();
        let analog = layer.is(Op::Analog);
        let bad_op = layer["op"].gt(&lit(Op::Readout as u64, 4));
        let steps = (&layer["time_steps"] - &lit(1, 7)).trunc(6);
        let told =
            cat(&[(&layer["chunks"] - &lit(1, 4)).trunc(3), (&layer["tail_steps"] - &lit(1, 4)).trunc(3)]);
        let steps_range = layer["time_steps"].is_zero() | layer["time_steps"].gt(&lit(64, 7));
        let chunk_range = layer["chunks"].is_zero() | layer["chunks"].gt(&lit(8, 4));
        let tail_range = layer["tail_steps"].is_zero() | layer["tail_steps"].gt(&lit(8, 4));
        let counts_differ = mux(&analog, &layer["chunks"].ne(&lit(1, 4)), &steps.ne(&told));
        let bad_time =
            steps_range | chunk_range | tail_range | counts_differ | layer["rotate"].ge(&layer["time_steps"]);
        let shift = layer["shift"].zext(12);
        let shift_bad = layer["shift"].any() & (shift.ge(&layer["inner_y"]) | shift.ge(&layer["inner_x"]));
        let shape = [
            "tiles",
            "groups",
            "blocks_y",
            "blocks_x",
            "inner_y",
            "inner_x",
            "segment_words",
            "output_words",
            "matrix_rows",
        ];
        let bad_shape = zero(&shape) | shift_bad | (&attention & layer["matrix_words"].is_zero());
        let bad_segments = layer["segments"].is_zero()
            | layer["segments"].gt(&lit(u64::from(MAX_SEGMENTS), 5))
            | (&attention & layer["segments"].ne(&lit(1, 5)));
        let fan_in = !layer.is(Op::Shortcut) & row_words.gt(&lit(u64::from(config.max_fan_in / 8), 17));
        let attention_rows = &attention & chunk_words.gt(&lit(u64::from(config.weight_rows / 8), 17));
        let stored_rows = !&attention & layer["matrix_rows"].gt(&lit(u64::from(config.weight_rows), 12));
        let bias_rows = &attention & layer["matrix_rows"].gt(&lit(u64::from(config.bias_rows), 12));
        let too_large = fan_in | attention_rows | stored_rows | bias_rows;
        let checks = [
            (bad_op, ErrorCode::BadOp),
            (bad_time, ErrorCode::BadTimeSteps),
            (bad_segments, ErrorCode::BadSegments),
            (bad_shape, ErrorCode::BadShape),
            (too_large, ErrorCode::TooLarge),
        ];
        let (mut bad, mut code) = (lit(0, 1), lit(0, 8));
        for (failed, this_code) in checks.iter().rev() {
            let failed = m.named(&format!("fails_{}", format!("{this_code:?}").to_lowercase()), failed);
            bad = bad | &failed;
            code = mux(&failed, &lit(*this_code as u64, 8), &code);
        }
        (m.named("bad", &bad), code)
    }

    /// Requests and receives the rows of K or V, chunk by chunk.
    #[allow(clippy::too_many_arguments)]
    fn keys(
        &mut self,
        active: &Expr,
        layer: &Fields,
        (rows, words): (&Expr, &Expr),
        job_base: &Expr,
        request_ready: &Expr,
        (in_valid, in_data): (&Expr, &Expr),
        scores: &Expr,
        transposer: &Rc<Module>,
    ) -> Keys {
        let row_bits = index_width(self.config.weight_rows);
        let idle = self.m.named("keys_idle", &!active);
        self.m.comment("Keys or values: request side.");
        let requesting = self.m.reg_reset("keys_requesting", 1, 1);
        let sent = self.m.named("key_sent", &(active & &requesting & request_ready));
        let key = self.m.reg_reset("key_requested", 12, 0);
        let chunk = self.m.reg_reset("key_chunk", 4, 0);
        let last_key = self.m.named("last_key_requested", &(&sent & key.inc().eq(rows)));
        let last = self.m.named("last_requested", &(&last_key & chunk.inc().eq(&layer["chunks"])));
        self.m.set_if(&requesting, &idle, &lit(1, 1));
        self.m.set_if(&requesting, &last, &lit(0, 1));
        self.m.set_if(&key, &(&idle | &last_key), &lit(0, 12));
        self.m.set_if(&key, &sent, &key.inc());
        self.m.set_if(&chunk, &idle, &lit(0, 4));
        self.m.set_if(&chunk, &last_key, &chunk.inc());
        let chunk_base = self.m.reg_reset("key_chunk_base", 32, 0);
        let address = self.m.reg_reset("key_address", 32, 0);
        let next_chunk = &chunk_base + &layer["matrix_chunk_stride"];
        self.m.set_if(&chunk_base, &idle, job_base);
        self.m.set_if(&chunk_base, &last_key, &next_chunk);
        self.m.set_if(&address, &idle, job_base);
        self.m.set_if(&address, &last_key, &next_chunk);
        self.m.set_if(&address, &sent, &(&address + &layer["matrix_token_stride"]));

        self.m.comment("Keys or values: receive side. The transposer takes a beat word by word.");
        let lane_words = self.config.lanes / 8;
        let beat_words = self.config.bus_bits / 64;
        let transposer_ready = self.m.wire("transposer_ready", 1);
        let (last_word, word_data) = if beat_words == 1 {
            (lit(1, 1), in_data.clone())
        } else {
            let upper = self.m.reg_reset("key_upper_word", 1, 0);
            let moves = active & scores & in_valid & &transposer_ready;
            self.m.set_if(&upper, &moves, &!&upper);
            (upper.clone(), mux(&upper, &in_data.slice(64, 64), &in_data.slice(0, 64)))
        };
        let in_ready = self.m.named("keys_in_ready", &(active & mux(scores, &(&transposer_ready & &last_word), &lit(1, 1))));
        let take = self.m.named("key_take", &(&in_ready & in_valid));
        let word = self.m.reg_reset("key_word", 12, 0);
        let row = self.m.reg_reset("key_row", 12, 0);
        let next_word = self.m.named("key_next_word", &(&word + &lit(u64::from(beat_words), 12)));
        let key_end = self.m.named("key_end", &next_word.eq(words));
        let rows_end = self.m.named("key_rows_end", &(&key_end & row.inc().eq(rows)));
        let slab_end = self.m.named("slab_end", &(&rows_end | (&key_end & row.slice(0, 3).all())));
        self.m.set_if(&word, &(&idle | (&take & &key_end)), &lit(0, 12));
        self.m.set_if(&word, &take, &next_word);
        self.m.set_if(&row, &(&idle | (&take & &rows_end)), &lit(0, 12));
        self.m.set_if(&row, &(&take & &key_end), &row.inc());
        let chunk_rows = cat(&[layer["segment_words"].clone(), lit(0, 3)]).zext(row_bits.max(15)).trunc(row_bits);
        let value_base = self.m.reg_reset("value_row_base", row_bits, 0);
        self.m.set_if(&value_base, &idle, &lit(0, row_bits));
        self.m.set_if(&value_base, &(&take & &rows_end), &(&value_base + &chunk_rows));
        let block = self.m.instance(
            "transposer",
            transposer,
            &[
                ("in_valid", active & scores & in_valid),
                ("in_data", word_data),
                ("key_end", &key_end & &last_word),
                ("slab_end", &slab_end & &last_word),
                ("rows_end", rows_end.clone()),
            ],
        );
        self.m.assign(&transposer_ready, &block.output("in_ready"));
        let slab_done = block.output("slab_done");
        let key_chunk_done = block.output("chunk_done");
        let chunk_done = mux(scores, &key_chunk_done, &(&take & &rows_end));
        let chunk_done = self.m.named("chunk_done", &chunk_done);
        let word_bits = index_width(lane_words);
        let slab = self.m.reg_reset("slab", word_bits, 0);
        self.m.set_if(&slab, &(&idle | &key_chunk_done), &lit(0, word_bits));
        if lane_words > 1 {
            self.m.set_if(&slab, &slab_done, &slab.inc());
        } else {
            self.m.unused(&slab_done);
        }
        let key_base = self.m.reg_reset("key_row_base", row_bits, 0);
        self.m.set_if(&key_base, &idle, &lit(0, row_bits));
        self.m.set_if(&key_base, &key_chunk_done, &(&key_base + &chunk_rows));
        let chunks_done = self.counter("chunks_done", 4, &idle, &chunk_done);
        let done = self.m.named("keys_done", &(active & &chunk_done & chunks_done.inc().eq(&layer["chunks"])));
        let channel = block.output("out_channel");
        let channel_row = &key_base + channel.zext(row_bits.max(channel.width())).trunc(row_bits);
        let value_row = &value_base + row.trunc(row_bits);
        let beat_bits = index_width(lane_words / beat_words);
        Keys {
            key_valid: active & scores & block.output("out_valid"),
            key_word: slab,
            value_valid: &take & !scores,
            value_beat: word.shr(beat_words.trailing_zeros()).trunc(beat_bits),
            row: mux(scores, &channel_row, &value_row),
            data: block.output("out_data"),
            request_valid: active & &requesting,
            request_offset: address,
            in_ready,
            done,
        }
    }
}

/// What the K and V side hands to the loader.
struct Keys {
    key_valid: Expr,
    key_word: Expr,
    value_valid: Expr,
    value_beat: Expr,
    row: Expr,
    data: Expr,
    request_valid: Expr,
    request_offset: Expr,
    in_ready: Expr,
    done: Expr,
}

fn snake(state: State) -> &'static str {
    match state {
        State::Next => "next",
        State::Request => "request",
        State::Receive => "receive",
        State::Check => "check",
        State::Wait => "wait",
        State::Parameters => "parameters",
        State::TakeParameters => "take_parameters",
        State::Matrix => "matrix",
        State::TakeMatrix => "take_matrix",
        State::Bias => "bias",
        State::TakeBias => "take_bias",
        State::Keys => "keys",
        State::Loaded => "loaded",
        State::Handed => "handed",
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
