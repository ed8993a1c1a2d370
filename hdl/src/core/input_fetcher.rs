//! Requests the input rows of a layer.

use std::rc::Rc;

use isa::pass::{START_BITS, Segment};
use isa::{CoreConfig, MAX_SEGMENTS};

use super::fields::{Fields, Record, bits, pass_bits};
use super::spike_buffer::segment_word_bits;
use super::terminal_count::terminal_count;
use super::token_walker::{SHAPE, STRIDES, token_walker};
use super::{layer_bits, shaped};
use crate::rtl::{Builder, Expr, Instance, Module, RtlError, cat, index_width, lit, mux};

/// Descriptor fields that the fetcher reads besides the walk's shape.
pub(super) const FIELDS: [&str; 7] =
    ["op", "chunks", "tiles", "groups", "passes", "inputs_ready", "output_words"];

/// Fields of the pass record that the fetcher reads besides the walk's strides.
pub(super) const PASS_FIELDS: [&str; 11] = [
    "diagonal",
    "segments",
    "segment_words",
    "start_y",
    "start_x",
    "rows",
    "columns",
    "step_y",
    "step_x",
    "chunk_stride",
    "group_stride",
];

/// Bits of an entry of the segment queue.
pub(super) fn entry_bits(config: &CoreConfig) -> u32 {
    segment_word_bits(config) + 5
}

/// Walks group → tile → pass → token → chunk → segment and requests one segment every second cycle.
///
/// Starts with `layer_start`, waits until the layers that it reads have completed. Takes the record of each pass from the loader; a layer of one pass keeps
/// it. A segment whose position lies outside the source is not requested. Each segment makes an entry for the spike
/// buffer, which says its words, whether it was requested, and whether the row, the token, the job end with it. A diagonal pass reads only the
/// tile's lanes of each segment. Addresses take two cycles: token + chunk, then + segment base. `segment_index` is a cycle ahead, as the table's
/// answer takes one.
pub fn input_fetcher(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("input_fetcher", config)?;
    let walker = token_walker()?;
    let doc = "Walks a layer's groups, tiles, passes, tokens, chunks and segments and requests one input segment every second\n\
               cycle; segments outside the source are passed over.";
    Module::build("input_fetcher", doc, |m: &mut Builder| {
        let ports = ports(m);
        let pass = pass(m, &ports);
        let steps = steps(m, &ports, &pass);
        let walk = walk(m, &walker, &ports, &pass, &steps);
        let jobs = jobs(m, config, &ports, &pass, &steps, &walk);
        let inside = positions(m, &ports, &pass, &steps, &walk);
        requests(m, &ports, &pass, &steps, &walk, &jobs, &inside);
    })
}

/// The layer, the next pass, and what the bus and the queue say.
struct Ports {
    shape: Fields,
    layer: Fields,
    next_pass: Fields,
    pass_valid: Expr,
    pass_bank: Expr,
    start: Expr,
    completed: Expr,
    base: Expr,
    tap: [Expr; 2],
    request_ready: Expr,
    queue_ready: Expr,
}

fn ports(m: &mut Builder) -> Ports {
    let shape = Fields::inputs(m, Record::Layer, &SHAPE);
    let layer = Fields::inputs(m, Record::Layer, &FIELDS);
    let names: Vec<&'static str> = STRIDES.iter().chain(&PASS_FIELDS).copied().collect();
    let next_pass = Fields::inputs(m, Record::Pass, &names);
    let pass_valid = m.input_doc("pass_valid", 1, "the record of the next pass is there");
    let pass_bank = m.input_doc("pass_bank", 1, "the bank of its segments");
    let start = m.input_doc("layer_start", 1, "the layer's descriptor is valid from the next cycle on");
    let completed = m.input_doc("layers_completed", layer_bits(), "descriptors whose outputs are in memory");
    let base = m.input_doc(
        "segment_base",
        32,
        "base of the segment that `segment_index` and `segment_bank` named in the cycle before",
    );
    let tap = ["dy", "dx"].map(|name| {
        m.input_doc(
            &format!("segment_{name}"),
            Segment::TAP_BITS,
            "its tap's place below, right of the first",
        )
    });
    let request_ready = m.input("request_ready", 1);
    let queue_ready = m.input_doc("segment_queue_ready", 1, "the segment queue has room");
    Ports {
        shape,
        layer,
        next_pass,
        pass_valid,
        pass_bank,
        start,
        completed,
        base,
        tap,
        request_ready,
        queue_ready,
    }
}

/// The pass whose rows are requested.
struct Pass {
    fields: Fields,
    /// Its segments' bank.
    bank: Expr,
    /// The record was copied in the cycle before.
    taken: Expr,
    /// The layer's rows are requested, and may be.
    active: Expr,
    released: Expr,
    wanted: Expr,
    several: Expr,
}

fn pass(m: &mut Builder, ports: &Ports) -> Pass {
    let active = m.reg_reset("active", 1, 0);
    let released = m.reg_reset("released", 1, 0);
    let may_read = ports.completed.ge(&ports.layer["inputs_ready"]);
    m.set_if(&released, &ports.start, &lit(0, 1));
    m.set_if(&released, &(&active & &may_read), &lit(1, 1));
    m.comment("The record of the pass: copied when the rows of the pass before it are requested.");
    let wanted = m.reg_reset("pass_wanted", 1, 0);
    let take = m.named("pass_take", &(&wanted & &ports.pass_valid));
    let fields = ports.next_pass.registers(m, "pass", &take);
    let bank = m.sample("bank", &take, &ports.pass_bank);
    let taken = m.delay_reset("pass_taken_d1", &take);
    let several = m.delay("several_passes", &ports.layer["passes"].gt_lit(1));
    m.output_doc("pass_taken", &take, "the record is copied");
    Pass { fields, bank, taken, active, released, wanted, several }
}

/// The segment that is requested next, and whether what it belongs to ends with it.
struct Steps {
    held: Expr,
    sent: Expr,
    issue: Expr,
    open: Expr,
    walk_start: Expr,
    /// The segment that is looked up for the request after the next cycle.
    segment: Expr,
    chunk_offset: Expr,
    last_segment: Expr,
    last_chunk: Expr,
    token_end: Expr,
    job_done: Expr,
}

fn steps(m: &mut Builder, ports: &Ports, pass: &Pass) -> Steps {
    m.comment("First address stage: token and chunk.");
    let held = m.reg_reset("held", 1, 0);
    let sent = m.wire("sent", 1);
    m.comment("A request every second cycle at most, as `dma_read` takes them: the cycle after one moves on to the next.");
    let moves = m.reg_reset("moves", 1, 0);
    let open = m.reg_reset("open", 1, 0);
    let issue = m.named("issue", &(&open & &pass.released & !&moves & (!&held | &sent)));
    m.set(&moves, &issue);
    let started = m.delay_reset("started", &ports.start);
    let segment_bits = index_width(MAX_SEGMENTS);
    let segment = m.reg_reset("segment", segment_bits, 0);
    let chunk_offset = m.reg_reset("chunk_offset", 32, 0);
    let last_segment = terminal_count(m, "segments", 1, [&pass.fields["segments"]; 2], &pass.taken, &moves);
    let row_end = m.named("row_end", &(&moves & &last_segment));
    let last_chunk = terminal_count(m, "chunks", 1, [&ports.layer["chunks"]; 2], &started, &row_end);
    let token_end = m.named("token_end", &(&row_end & &last_chunk));
    m.comment("The segment that is looked up: ahead of the others by a cycle, as the answer takes one.");
    m.set_if(&segment, &(&issue & &last_segment), &lit(0, segment_bits));
    m.set_if(&segment, &issue, &segment.inc());
    m.set_if(&chunk_offset, &token_end, &lit(0, 32));
    m.set_if(&chunk_offset, &row_end, &(&chunk_offset + &pass.fields["chunk_stride"]));
    let walk_start = m.reg_reset("walk_start", 1, 0);
    let job_done = m.reg_reset("job_done", 1, 0);
    Steps {
        held,
        sent,
        issue,
        open,
        walk_start,
        segment,
        chunk_offset,
        last_segment,
        last_chunk,
        token_end,
        job_done,
    }
}

/// The walk over the pass's tokens.
struct Walk {
    walker: Instance,
    base: Expr,
    job_end: Expr,
}

fn walk(m: &mut Builder, walker: &Rc<Module>, ports: &Ports, pass: &Pass, steps: &Steps) -> Walk {
    let base = m.reg("walk_base", 32);
    let mut inputs = ports.shape.connect(&SHAPE);
    inputs.extend(pass.fields.connect(&STRIDES));
    inputs.extend([
        ("start", steps.walk_start.clone()),
        ("base", base.clone()),
        ("step", steps.token_end.clone()),
    ]);
    let walker = m.instance("walk", walker, &inputs);
    let attention = m.delay("attention", &ports.layer.is_attention());
    let (block_end, all_end) = (walker.output("last_of_block"), walker.output("last_of_all"));
    let job_end = m.named("job_end", &mux(&attention, &block_end, &all_end));
    let all_done = m.named("all_done", &(&steps.token_end & &all_end));
    m.set(&steps.job_done, &all_done);
    m.set_if(&steps.open, &all_done, &lit(0, 1));
    m.set_if(&steps.open, &steps.walk_start, &lit(1, 1));
    Walk { walker, base, job_end }
}

/// The words of a segment.
struct Jobs {
    words: Expr,
    /// As many bits of them as the spike buffer takes.
    word_bits: u32,
}

fn jobs(
    m: &mut Builder,
    config: &CoreConfig,
    ports: &Ports,
    pass: &Pass,
    steps: &Steps,
    walk: &Walk,
) -> Jobs {
    m.comment(
        "After the last token, a cycle later: next pass, tile, group. The walk starts over in between, so that the comparisons may lag.",
    );
    let lane_words = config.lanes / 8;
    let start = &ports.start;
    let number = m.reg_reset("pass", bits("passes"), 0);
    let tile = m.reg_reset("tile", bits("tiles"), 0);
    let group = m.reg_reset("group", bits("groups"), 0);
    let last_pass = m.delay("last_pass", &number.inc().eq(&ports.layer["passes"]));
    let tile_done = m.named("tile_done", &(&steps.job_done & &last_pass));
    let last_tile = m.delay("last_tile", &tile.inc().eq(&ports.layer["tiles"]));
    let group_done = m.named("group_done", &(&tile_done & &last_tile));
    let last_group = m.delay("last_group", &group.inc().eq(&ports.layer["groups"]));
    let layer_done = m.named("layer_done", &(&group_done & &last_group));
    for (count, counts, restarts) in [
        (&number, &steps.job_done, &tile_done),
        (&tile, &tile_done, &group_done),
        (&group, &group_done, &layer_done),
    ] {
        m.set_if(count, &(start | restarts), &count.like(0));
        m.set_if(count, counts, &count.inc());
    }
    m.set_if(&pass.active, start, &lit(1, 1));
    m.set_if(&pass.active, &layer_done, &lit(0, 1));
    m.comment(
        "Another record, or another walk with the same one. Strides and base settle before the walk starts.",
    );
    let goes_on = m.named("goes_on", &(&steps.job_done & !&layer_done));
    m.set_if(&pass.wanted, &(start | (&goes_on & &pass.several)), &lit(1, 1));
    m.set_if(&pass.wanted, &ports.pass_valid, &lit(0, 1));
    let again = m.delay_reset("walks_again", &(&goes_on & !&pass.several));
    let settles = m.delay_reset("settles", &(&again | &pass.taken));
    m.set(&steps.walk_start, &settles);
    let group_offset = m.reg_reset("group_offset", 32, 0);
    m.set_if(&group_offset, start, &lit(0, 32));
    m.set_if(&group_offset, &group_done, &(&group_offset + &pass.fields["group_stride"]));
    let tile_offset = m.reg_reset("tile_offset", 32, 0);
    m.set_if(&tile_offset, &(start | &group_done), &lit(0, 32));
    m.set_if(&tile_offset, &tile_done, &(&tile_offset + &lit(u64::from(config.lanes), 32)));
    let diagonal = &pass.fields["diagonal"];
    m.set(&walk.base, &(&group_offset + mux(diagonal, &tile_offset, &lit(0, 32))));
    let left = m.reg("words_left", bits("output_words"));
    m.fits("words_left", lane_words.into(), left.width());
    let tile_size = left.like(lane_words.into());
    let started = m.delay_reset("layer_started", start);
    m.set_if(&left, &(&started | &group_done), &ports.layer["output_words"]);
    m.set_if(&left, &tile_done, &(&left - &tile_size));
    let tile_words = mux(&left.lt(&tile_size), &left, &tile_size);
    let words = mux(diagonal, &tile_words.zext(pass_bits("segment_words")), &pass.fields["segment_words"]);
    Jobs { words, word_bits: segment_word_bits(config) }
}

/// Whether the segment's position lies inside the source.
fn positions(m: &mut Builder, ports: &Ports, pass: &Pass, steps: &Steps, walk: &Walk) -> Expr {
    m.comment("Position of the token's first tap in the source, counted over rows of blocks and blocks as the walk goes.");
    let ends = ["last_of_row", "last_of_block", "last_of_blocks"].map(|port| walk.walker.output(port));
    let [row_end, block_end, blocks_end] = &ends;
    let (start, step) = (&steps.walk_start, &steps.token_end);
    let mut of = |axis: &str| {
        let first = &pass.fields[format!("start_{axis}").as_str()];
        let now = m.reg(&format!("position_{axis}"), START_BITS);
        let of_block = m.reg(&format!("block_position_{axis}"), START_BITS);
        let next = m.named(
            &format!("next_position_{axis}"),
            &(&now + pass.fields[format!("step_{axis}").as_str()].zext(START_BITS)),
        );
        (first.clone(), now, of_block, next)
    };
    let (first_y, y, block_y, next_y) = of("y");
    let (first_x, x, block_x, next_x) = of("x");
    // Right, down, and at a block's end back up to its first row, unless it is the last of its row of blocks.
    let in_block = mux(row_end, &next_y, &y);
    let y_after = mux(block_end, &mux(blocks_end, &next_y, &block_y), &in_block);
    let x_in_row = mux(row_end, &block_x, &next_x);
    let x_after = mux(block_end, &mux(blocks_end, &first_x, &next_x), &x_in_row);
    for (now, of_block, first, after) in
        [(&y, &block_y, &first_y, &y_after), (&x, &block_x, &first_x, &x_after)]
    {
        m.set_if(now, start, first);
        m.set_if(now, step, after);
        m.set_if(of_block, start, first);
        m.set_if(of_block, &(step & block_end), after);
    }
    let inside = |now: &Expr, tap: &Expr, size: &Expr| (now + tap.zext(START_BITS)).lt(size);
    let row = m.named("row_inside", &inside(&y, &ports.tap[0], &pass.fields["rows"]));
    let column = m.named("column_inside", &inside(&x, &ports.tap[1], &pass.fields["columns"]));
    row & column
}

fn requests(
    m: &mut Builder,
    ports: &Ports,
    pass: &Pass,
    steps: &Steps,
    walk: &Walk,
    jobs: &Jobs,
    inside: &Expr,
) {
    m.comment("Second address stage: the segment's base.");
    let issue = &steps.issue;
    let token_address =
        m.sample("token_address", issue, &(walk.walker.output("offset") + &steps.chunk_offset));
    let base = m.sample("request_base", issue, &ports.base);
    let requested = m.sample("request_inside", issue, inside);
    let words = m.sample("request_words", issue, &jobs.words);
    let wide = m.sample("request_diagonal", issue, &pass.fields["diagonal"]);
    let row_end = m.sample("request_row_end", issue, &steps.last_segment);
    let token_end = m.sample("request_token_end", issue, &steps.last_chunk);
    let job_end = m.sample("request_job_end", issue, &(&walk.job_end & &steps.last_chunk));
    m.assign(&steps.sent, &(&steps.held & &ports.queue_ready & (&ports.request_ready | !&requested)));
    m.set_if(&steps.held, issue, &lit(1, 1));
    m.set_if(&steps.held, &steps.sent, &lit(0, 1));
    m.output("segment_index", &steps.segment);
    m.output("segment_bank", &pass.bank);
    m.output("request_valid", &(&steps.held & &ports.queue_ready & &requested));
    m.output("request_offset", &(&token_address + &base));
    m.output("request_words", &words);
    let valid = &steps.held & (&ports.request_ready | !&requested);
    m.output_doc("entry_valid", &valid, "the segment enters the queue");
    m.comment("A record that was checked has no more words than a row.");
    let entry = cat(&[job_end, token_end, row_end, !&requested, wide, words.slice(0, jobs.word_bits)]);
    m.output_doc("entry", &entry, "job end, token end, row end, nothing was requested, diagonal, words");
    m.output_doc("row_words", &pass.fields["segment_words"], "64-bit words of a segment of the pass");
    let waits = &pass.active & !&pass.released;
    m.output_doc("waiting_for_layers", &waits, "the layers read from have not completed");
}
