//! Fetches descriptors and fills the buffers one job ahead.

use std::collections::BTreeSet;
use std::rc::Rc;

use isa::descriptor::{SEGMENT_WORD, WORDS};
use isa::layout::PARAMETER_ROWS;
use isa::{CoreConfig, ErrorCode, MAX_SEGMENTS, Op};

use super::descriptor_check::{self, descriptor_check};
use super::dma_read::LENGTH_BITS;
use super::fields::Fields;
use super::key_loader::{self, key_loader};
use super::layer_tables::layer_tables;
use super::neuron_control::rank_bits;
use super::parameter_buffer::{BIAS_START, ROWS as PARAMETER_BUFFER_ROWS};
use super::weight_buffer::enables;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, index_width, lit, mux};

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

/// The states and the names of their flags, in the order of the enumeration.
const STATES: [(State, &str); 14] = [
    (State::Next, "next"),
    (State::Request, "request"),
    (State::Receive, "receive"),
    (State::Check, "check"),
    (State::Wait, "wait"),
    (State::Parameters, "parameters"),
    (State::TakeParameters, "take_parameters"),
    (State::Matrix, "matrix"),
    (State::TakeMatrix, "take_matrix"),
    (State::Bias, "bias"),
    (State::TakeBias, "take_bias"),
    (State::Keys, "keys"),
    (State::Loaded, "loaded"),
    (State::Handed, "handed"),
];

/// Fetches and checks one descriptor after the other, and loads the parameters and the matrix of each of its jobs into the bank
/// that the array does not use.
///
/// Works through the stream `weights`: descriptor (32 words), then for each job its parameter block, for `scores` with a new
/// tile the bias rows, and the matrix: stored rows, or K or V as soon as the layer that makes them has completed. At most two jobs are
/// loaded ahead of `job_release`. The descriptor stays until the array has taken it (`layer_taken`).
/// A descriptor that fails a check raises `error` and the loader stops.
pub fn layer_loader(config: &CoreConfig, layer_fields: &[&'static str]) -> Result<Rc<Module>, RtlError> {
    let parts =
        Parts { tables: layer_tables(config)?, check: descriptor_check(config)?, keys: key_loader(config)? };
    let doc = "Fetches and checks descriptors, and loads parameters, bias rows and matrix of each job one job ahead of the\n\
               array.";
    Module::build("layer_loader", doc, |m: &mut Builder| {
        let in_state = STATES.map(|(state, name)| {
            m.reg_reset(&format!("is_{name}"), 1, u64::from(state as u32 == State::Next as u32))
        });
        Loader { m, in_state }.build(config, layer_fields, &parts);
    })
}

struct Parts {
    tables: Rc<Module>,
    check: Rc<Module>,
    keys: Rc<Module>,
}

struct Loader<'a> {
    m: &'a mut Builder,
    /// A flag a state, in the order of the enumeration.
    in_state: [Expr; STATES.len()],
}

impl Loader<'_> {
    /// Goes from one state to another when `condition` holds; of one state at most one holds at a time, so that a flag depends on
    /// no more than the ways into and out of its own state.
    fn go(&mut self, from: State, condition: &Expr, to: State) {
        let flag = |state: State| &self.in_state[state as usize];
        let goes = flag(from) & condition;
        self.m.set_if(flag(to), &goes, &lit(1, 1));
        self.m.set_if(flag(from), &goes, &lit(0, 1));
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

    fn build(&mut self, config: &CoreConfig, layer_fields: &[&'static str], parts: &Parts) {
        let this = self;
        let lane_words = config.lanes / 8;
        let beat_words = config.bus_bits / 64;
        let beat_shift = beat_words.trailing_zeros();
        let lane_shift = config.lanes.trailing_zeros();
        let descriptor_base = this.m.input("descriptor_base", 32);
        let descriptor_count = this.m.input("descriptor_count", 12);
        let completed = this.m.input("layers_completed", 12);
        let layer_taken = this.m.input_doc("layer_taken", 1, "the array has copied the descriptor");
        let job_release = this.m.input_doc("job_release", 1, "the array is done with a job's bank");
        let request_ready = this.m.input("request_ready", 1);
        let in_valid = this.m.input("in_valid", 1);
        let in_data = this.m.input("in_data", config.bus_bits);
        let in_state = this.in_state.clone();
        let is = |s: State| in_state[s as usize].clone();

        this.m.comment(
            "A beat of K waits here while the transposer takes its words; any other is used at once.",
        );
        let key_taken = this.m.wire("key_taken", 1);
        let key_beat = this.m.reg_reset("key_beat", 1, 0);
        let beat = this.m.reg_reset("beat_valid", 1, 0);
        let in_ready = this.m.named("beat_ready", &(!&key_beat | &key_taken));
        let arrives = this.m.named("arrives", &(&in_valid & &in_ready));
        this.m.set(&beat, &(&arrives & !is(State::Keys)));
        this.m.set(&key_beat, &(!&in_ready | (&arrives & is(State::Keys))));
        let (in_valid, in_data) = (beat, this.m.sample("beat", &in_ready, &in_data));

        this.m.comment("Descriptor.");
        let index = this.m.reg_reset("index", 12, 0);
        let received = this.m.named("received", &(&in_valid & is(State::Receive)));
        let more = this.m.delay("more", &index.lt(&descriptor_count));
        let rested = this.m.delay_reset("rested", &is(State::Next));
        let begin = this.m.named("begins", &(is(State::Next) & &rested & &more));
        let position = this.counter("position", 5 - beat_shift, &begin, &received);
        let all = [&OWN[..], &descriptor_check::FIELDS, &key_loader::FIELDS, layer_fields];
        let used: Vec<&'static str> = all.concat().into_iter().collect::<BTreeSet<_>>().into_iter().collect();
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
        let tables = [
            ("received", received.clone()),
            ("position", position.clone()),
            ("data", in_data.clone()),
            ("bank", index.bit(0)),
            ("layer_bank", this.m.input_doc("layer_bank", 1, "bank of the layer in the array")),
            ("segment_index", this.m.input("segment_index", index_width(MAX_SEGMENTS))),
            ("rank_index", this.m.input("rank_index", rank_bits())),
        ];
        let tables = this.m.instance("tables", &parts.tables, &tables);
        this.m.output("segment_base", &tables.output("segment_base"));
        this.m.output("rank", &tables.output("rank"));

        let mut inputs = layer.connect(&descriptor_check::FIELDS);
        inputs.extend([("start", begin.clone()), ("active", is(State::Check))]);
        let check = this.m.instance("check", &parts.check, &inputs);
        let (checked, bad, code) = (check.output("done"), check.output("bad"), check.output("code"));
        let attention = this.m.delay("attention", &layer.is_attention());
        let scores = this.m.delay("scores", &layer.is(Op::Scores));

        this.m.comment(
            "Jobs: group, tile and, for attention, block. A job takes longer than the comparisons, which lag by a few cycles.",
        );
        let taken = this.m.reg_reset("taken", 1, 0);
        let banks_used = this.m.reg_reset("banks_used", 2, 0);
        let loaded = is(State::Loaded);
        this.m.set(&banks_used, &(&banks_used + loaded.zext(2) - job_release.zext(2)));
        let bank = this.m.reg_reset("bank", 1, 0);
        this.m.set_if(&bank, &loaded, &!&bank);
        let block_x = this.m.reg_reset("block_x", 12, 0);
        let block_y = this.m.reg_reset("block_y", 12, 0);
        let last_block_x = this.m.delay("last_block_x", &block_x.inc().eq(&layer["blocks_x"]));
        let last_block_y = this.m.delay("last_block_y", &block_y.inc().eq(&layer["blocks_y"]));
        let last_block = this.m.delay("last_block", &(!&attention | (&last_block_x & last_block_y)));
        let tile_done = this.m.named("tile_done", &(&loaded & &last_block));
        this.m.set_if(&block_x, &(&begin | (&loaded & &last_block_x)), &lit(0, 12));
        this.m.set_if(&block_x, &(&loaded & &attention), &block_x.inc());
        this.m.set_if(&block_y, &(&begin | &tile_done), &lit(0, 12));
        this.m.set_if(&block_y, &(&loaded & &attention & &last_block_x), &block_y.inc());
        let tile = this.m.reg_reset("tile", 12, 0);
        let last_tile = this.m.delay("last_tile", &tile.inc().eq(&layer["tiles"]));
        let last_of_group = this.m.delay("last_of_group", &(&last_block & &last_tile));
        let group_done = this.m.named("group_done", &(&loaded & &last_of_group));
        this.m.set_if(&tile, &(&begin | &group_done), &lit(0, 12));
        this.m.set_if(&tile, &tile_done, &tile.inc());
        let group = this.counter("group", 8, &begin, &group_done);
        let last_group = this.m.delay("last_group", &group.inc().eq(&layer["groups"]));
        let last_of_layer = this.m.delay("last_of_layer", &(&last_of_group & last_group));
        let first_block = this.m.delay("first_block", &(block_x.is_zero() & block_y.is_zero()));

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
        let exhausted = this.m.delay("exhausted", &exhausted);
        let waited = this.m.delay_reset("waited", &is(State::Wait));
        let settled = this.m.named("settled", &(is(State::Wait) & &waited));
        let tile_bad = this.m.named("tile_bad", &(&settled & &exhausted));
        let least = |a: &Expr, b: &Expr| mux(&a.lt(b), a, b);
        let key_rows =
            this.m.delay("key_rows", &mux(&scores, &least(&keys_left, &lanes_12), &layer["matrix_rows"]));
        let key_words =
            this.m.delay("key_words", &mux(&scores, &layer["matrix_words"], &least(&row_left, &words_12)));

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
        let last_beat = this.m.delay("section_last_beat", &section_words.shr(beat_shift).dec());
        this.m.comment("Whether the next beat is the last is known with the beat before.");
        let last_but_one = this.m.delay("section_last_but_one", &last_beat.dec());
        let at_last_beat = this.m.reg("section_at_last_beat", 1);
        this.m.set_if(&at_last_beat, &section_beat, &section_count.eq(&last_but_one));
        this.m.set(&at_last_beat, &section_count.eq(&last_beat));
        let section_done = this.m.named("section_done", &(&section_beat & &at_last_beat));
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

        let mut inputs = layer.connect(&key_loader::FIELDS);
        inputs.extend([
            ("active", is(State::Keys)),
            ("rows", key_rows),
            ("words", key_words.clone()),
            ("job_base", job_base),
            ("request_ready", request_ready.clone()),
            ("in_valid", key_beat),
            ("in_data", in_data.clone()),
        ]);
        let keys = this.m.instance("keys", &parts.keys, &inputs);
        this.m.assign(&key_taken, &keys.output("in_ready"));

        this.m.comment(
            "Into the buffers, a cycle later. A job is read two cycles after its last write at the earliest.",
        );
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
            let each: Vec<Expr> =
                (0..matrix_beats).rev().map(|beat| beats.bit(beat).repeat(beat_words)).collect();
            cat(&each)
        };
        let stored_valid = &section_beat & is(State::TakeMatrix);
        let stored_words =
            beat_enables(this.m, &stored_valid, &section_count.slice(0, index_width(matrix_beats)));
        let value_words = beat_enables(this.m, &keys.output("value_valid"), &keys.output("value_beat"));
        let key_enables = enables(this.m, &keys.output("key_valid"), &keys.output("key_word"), lane_words);
        let in_keys = is(State::Keys);
        let matrix_data = mux(&(&in_keys & &scores), &keys.output("key_data").repeat(beat_words), &in_data);
        for (name, enable) in
            [("parameter_valid", parameter_valid), ("matrix_words", stored_words | value_words | key_enables)]
        {
            let written = this.m.delay_reset(&format!("written_{name}"), &enable);
            this.m.output(name, &written);
        }
        for (name, value) in [
            ("parameter_row", parameter_row),
            ("parameter_beat", section_count.slice(0, index_width(parameter_beats))),
            ("matrix_bank", bank.clone()),
            ("matrix_row", mux(&in_keys, &keys.output("row"), &stored_row)),
            ("matrix_data", matrix_data),
        ] {
            let written = this.m.delay(&format!("written_{name}"), &value);
            this.m.output(name, &written);
        }

        this.m.comment("Requests.");
        let descriptor_offset = &descriptor_base + cat(&[lit(0, 12), index.clone(), lit(0, 8)]);
        let section_offset = mux(&is(State::Bias), &bias_offset, &parameter_offset);
        let request_offset = mux(
            &is(State::Request),
            &descriptor_offset,
            &mux(&in_keys, &keys.output("request_offset"), &section_offset),
        );
        let plain_words = mux(&is(State::Request), &lit(WORDS as u64, LENGTH_BITS), &section_words);
        this.m.output(
            "request_valid",
            &(is(State::Request) | &requests_section | &keys.output("request_valid")),
        );
        this.m.output("request_offset", &request_offset);
        this.m.output("request_words", &mux(&in_keys, &key_words.zext(LENGTH_BITS), &plain_words));
        this.m.output("in_ready", &in_ready);

        this.m.comment("The state.");
        let may_read = this.m.delay("may_read", &completed.ge(&layer["weights_ready"]));
        let bank_free = banks_used.lt_lit(2) & (!&attention | may_read);
        let error = this.m.named("error_now", &((&checked & &bad) | &tile_bad));
        let loads_bias = this.m.named("loads_bias", &(&scores & &first_block));
        this.go(State::Next, &(&rested & &more), State::Request);
        this.go(State::Request, &request_ready, State::Receive);
        this.go(State::Receive, &(&in_valid & position.all()), State::Check);
        this.go(State::Check, &(&checked & !&bad), State::Wait);
        this.go(State::Wait, &(&waited & bank_free & !&exhausted), State::Parameters);
        this.go(State::Parameters, &request_ready, State::TakeParameters);
        this.go(State::TakeParameters, &(&section_done & !&attention), State::Matrix);
        this.go(State::TakeParameters, &(&section_done & &loads_bias), State::Bias);
        this.go(State::TakeParameters, &(&section_done & &attention & !&loads_bias), State::Keys);
        this.go(State::Matrix, &request_ready, State::TakeMatrix);
        this.go(State::TakeMatrix, &section_done, State::Loaded);
        this.go(State::Bias, &request_ready, State::TakeBias);
        this.go(State::TakeBias, &section_done, State::Keys);
        this.go(State::Keys, &keys.output("done"), State::Loaded);
        this.go(State::Loaded, &!&last_of_layer, State::Wait);
        this.go(State::Loaded, &last_of_layer, State::Handed);
        this.go(State::Handed, &taken, State::Next);
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
