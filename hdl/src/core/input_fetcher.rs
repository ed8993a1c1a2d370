//! Requests the input rows of a layer.

use std::rc::Rc;

use isa::{CoreConfig, MAX_SEGMENTS, Op};

use super::fields::{Fields, bits};
use super::terminal_count::terminal_count;
use super::token_walker::{SHAPE, side, token_walker};
use super::{layer_bits, shaped};
use crate::rtl::{Builder, Module, RtlError, index_width, lit, mux};

/// Descriptor fields that the fetcher reads besides the walk's shape.
pub(super) const FIELDS: [&str; 15] = [
    "op",
    "chunks",
    "segments",
    "tiles",
    "groups",
    "inputs_ready",
    "segment_words",
    "input_block_y_stride",
    "input_block_x_stride",
    "input_y_stride",
    "input_x_stride",
    "input_wrap_y",
    "input_wrap_x",
    "input_chunk_stride",
    "input_group_stride",
];

/// Walks group → tile → token → chunk → segment and requests one segment every second cycle.
///
/// Starts with `layer_start`, waits until the layers that it reads have completed. Each request carries what the spike
/// buffer must know of it: its words, and whether the row, the token, the job end with it. A shortcut reads only the
/// tile's lanes of each segment. Addresses take two cycles: token + chunk, then + segment base.
pub fn input_fetcher(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("input_fetcher", config)?;
    let lane_words = config.lanes / 8;
    let walker = token_walker()?;
    let doc = "Walks a layer's groups, tiles, tokens, chunks and segments and requests one input segment every second cycle.";
    Module::build("input_fetcher", doc, |m: &mut Builder| {
        let shape = Fields::inputs(m, &SHAPE);
        let layer = Fields::inputs(m, &FIELDS);
        let start = m.input_doc("layer_start", 1, "the layer's descriptor is valid from the next cycle on");
        let completed = m.input_doc("layers_completed", layer_bits(), "layers whose outputs are in memory");
        let base = m.input_doc("segment_base", 32, "base of segment `segment_index`");
        let request_ready = m.input("request_ready", 1);
        let segment_ready = m.input_doc("segment_queue_ready", 1, "the segment queue has room");

        let active = m.reg_reset("active", 1, 0);
        let released = m.reg_reset("released", 1, 0);
        let started = m.delay_reset("started", &start);
        let may_read = completed.ge(&layer["inputs_ready"]);
        m.set_if(&released, &start, &lit(0, 1));
        m.set_if(&released, &(&active & &may_read), &lit(1, 1));

        m.comment("First address stage: token and chunk.");
        let held = m.reg_reset("held", 1, 0);
        let sent = m.named("sent", &(&held & &request_ready & &segment_ready));
        let walk_next = m.reg_reset("walk_start", 1, 0);
        m.comment("A request every second cycle at most, as `dma_read` takes them: the cycle after one moves on to the next.");
        let moves = m.reg_reset("moves", 1, 0);
        let tile_done = m.reg_reset("tile_done", 1, 0);
        let between = m.named("between", &(&moves | &tile_done | &walk_next));
        let issue = m.named("issue", &(&active & &released & !between & (!&held | &sent)));
        m.set(&moves, &issue);
        let segment_bits = index_width(MAX_SEGMENTS);
        let segment = m.reg_reset("segment", segment_bits, 0);
        let chunk_offset = m.reg_reset("chunk_offset", 32, 0);
        let tile = m.reg_reset("tile", bits("tiles"), 0);
        let group = m.reg_reset("group", bits("groups"), 0);
        let group_offset = m.reg_reset("group_offset", 32, 0);
        let walk_base = m.reg_reset("walk_base", 32, 0);
        let words_left = m.reg("words_left", bits("segment_words"));
        let last_segment = terminal_count(m, "segments", 1, [&layer["segments"]; 2], &started, &moves);
        let row_end = m.named("row_end", &(&moves & &last_segment));
        let last_chunk = terminal_count(m, "chunks", 1, [&layer["chunks"]; 2], &started, &row_end);
        let token_end = m.named("token_end", &(&row_end & &last_chunk));
        m.set_if(&segment, &row_end, &lit(0, segment_bits));
        m.set_if(&segment, &moves, &segment.inc());
        m.set_if(&chunk_offset, &token_end, &lit(0, 32));
        m.set_if(&chunk_offset, &row_end, &(&chunk_offset + &layer["input_chunk_stride"]));

        let mut walk_inputs = side(&layer, &shape, "input");
        walk_inputs.extend([
            ("start", walk_next.clone()),
            ("base", walk_base.clone()),
            ("step", token_end.clone()),
        ]);
        let walk = m.instance("walk", &walker, &walk_inputs);
        let attention = m.delay("attention", &layer.is_attention());
        let block_end = walk.output("last_of_block");
        let all_end = walk.output("last_of_all");
        let job_end = m.named("job_end", &mux(&attention, &block_end, &all_end));

        m.comment(
            "After the last token, a cycle later: next tile, next group. The walk starts over in between, so that the comparisons may lag.",
        );
        m.set(&tile_done, &(&token_end & &all_end));
        let last_tile = m.delay("last_tile", &tile.inc().eq(&layer["tiles"]));
        let group_done = m.named("group_done", &(&tile_done & &last_tile));
        let last_group = m.delay("last_group", &group.inc().eq(&layer["groups"]));
        let layer_done = m.named("layer_done", &(&group_done & &last_group));
        let shortcut = m.delay("shortcut", &layer.is(Op::Shortcut));
        m.set(&walk_next, &(&start | (&tile_done & !&layer_done)));
        m.set_if(&active, &start, &lit(1, 1));
        m.set_if(&active, &layer_done, &lit(0, 1));
        m.set_if(&tile, &(&start | &group_done), &tile.like(0));
        m.set_if(&tile, &tile_done, &tile.inc());
        m.set_if(&group, &start, &group.like(0));
        m.set_if(&group, &group_done, &group.inc());
        let next_group = m.named("next_group_offset", &(&group_offset + &layer["input_group_stride"]));
        m.set_if(&group_offset, &start, &lit(0, 32));
        m.set_if(&group_offset, &group_done, &next_group);
        let next_tile = &walk_base + &mux(&shortcut, &lit(u64::from(config.lanes), 32), &lit(0, 32));
        m.set_if(&walk_base, &start, &lit(0, 32));
        m.set_if(&walk_base, &group_done, &next_group);
        m.set_if(&walk_base, &tile_done, &next_tile);
        m.fits("words_left", lane_words.into(), words_left.width());
        let tile_size = words_left.like(lane_words.into());
        m.set_if(&words_left, &(&started | &group_done), &layer["segment_words"]);
        m.set_if(&words_left, &tile_done, &(&words_left - &tile_size));
        let tile_words = mux(&words_left.lt(&tile_size), &words_left, &tile_size);

        m.comment("Second address stage: the segment's base.");
        let token_address = m.reg("token_address", 32);
        m.set_if(&token_address, &issue, &(walk.output("offset") + &chunk_offset));
        let mut hold = |name: &str, value: &crate::rtl::Expr| m.sample(name, &issue, value);
        let request_segment = hold("request_segment", &segment);
        let words = hold("request_words", &mux(&shortcut, &tile_words, &layer["segment_words"]));
        let request_row_end = hold("request_row_end", &last_segment);
        let request_token_end = hold("request_token_end", &last_chunk);
        let request_job_end = hold("request_job_end", &(&job_end & &last_chunk));
        m.set_if(&held, &issue, &lit(1, 1));
        m.set_if(&held, &sent, &lit(0, 1));
        let address = &token_address + &base;
        m.output("segment_index", &request_segment);
        m.output("request_valid", &(&held & &segment_ready));
        m.output("request_offset", &address);
        m.output("request_words", &words);
        m.output_doc("segment_valid", &(&held & &request_ready), "the request enters the segment queue");
        m.output("segment_row_end", &request_row_end);
        m.output("segment_token_end", &request_token_end);
        m.output("segment_job_end", &request_job_end);
        m.output_doc(
            "waiting_for_layers",
            &(&active & !&released),
            "the layers read from have not completed",
        );
    })
}
