//! The order of layers and jobs in the array.

use std::rc::Rc;

use isa::CoreConfig;
use isa::layout::PARAMETER_ROWS;

use super::fields::{Fields, Record, bits, pass_bits};
use super::parameter_buffer::{bias_starts, row_bits};
use super::{codes, layer_bits, shaped};
use crate::rtl::{Builder, Expr, Module, RtlError, cat, index_width, lit, mux};

/// Descriptor fields that job control reads.
pub(super) const FIELDS: [&str; 6] =
    ["op", "tiles", "groups", "output_words", "output_base", "output_group_stride"];

/// States, in the order in which a job passes through them.
#[derive(Clone, Copy, Debug)]
enum State {
    Layer,
    Start,
    Job,
    Load,
    Run,
    Drain,
    End,
}

impl State {
    fn code(self) -> Expr {
        codes::state(&format!("{self:?}"), self as u64, 3)
    }
}

/// The register `state` holds `s`.
fn is_in(state: &Expr, s: State) -> Expr {
    state.eq(&s.code())
}

/// Takes layers from the loader and runs their jobs one after the other in the array.
///
/// A job: wait until it is loaded, read the parameter rows into the lanes (one a cycle; not in a tile's later passes, whose parameters are there), let the
/// scanner run until the job's last event, wait until the
/// last token has left the array, release the bank. With a new tile or group the output walk starts over. After the
/// last job a marker follows the layer's bursts to memory.
pub fn job_control(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("job_control", config)?;
    let lane_words = config.lanes / 8;
    let doc = "Takes layers from the loader and runs their jobs one after the other in the array.";
    Module::build("job_control", doc, |m: &mut Builder| {
        let ports = ports(m, config);
        let states = states(m, &ports);
        let jobs = jobs(m, &ports, &states);
        let walk = walk(m, config, lane_words, &ports, &states, &jobs);
        let load = load(m, config, &ports, &states, &jobs);
        steps(m, &ports, &states, &jobs, &walk, &load);
        outputs(m, &ports, &states, &jobs, &walk, &load);
        stalls(m, &ports, &states);
    })
}

/// What job control sees of the loader, the scanner and the array.
struct Ports {
    layer: Fields,
    layer_valid: Expr,
    loader_index: Expr,
    job_loaded: Expr,
    job_scanned: Expr,
    array_idle: Expr,
    packer_idle: Expr,
    marker_ready: Expr,
    token_step: Expr,
    last_of_all: Expr,
    bias_bank: [Expr; 2],
    passes: [[Expr; 2]; 4],
    reseed: Expr,
    reseed_row: Expr,
    reread_bias: Expr,
    scanner_waiting: Expr,
    fetcher_waiting: Expr,
    query: Expr,
    reads_bias: Expr,
    advance: Expr,
}

fn ports(m: &mut Builder, config: &CoreConfig) -> Ports {
    let layer = Fields::inputs(m, Record::Layer, &FIELDS);
    let layer_valid = m.input_doc("layer_valid", 1, "the loader has a checked descriptor");
    let loader_index = m.input("loader_index", layer_bits());
    let job_loaded = m.input_doc("job_loaded", 1, "a job's buffers are complete");
    let job_scanned = m.input_doc("job_scanned", 1, "a job's last event is taken");
    let job_scanned = m.delay_reset("scanned", &job_scanned);
    let array_idle = m.input("array_idle", 1);
    let packer_idle = m.input("packer_idle", 1);
    let marker_ready = m.input("marker_ready", 1);
    let token_step = m.input("token_step", 1);
    let last_of_all = m.input_doc("last_of_all", 1, "the output walk is at its last token");
    let bias_bank = [m.input("bias_bank_0", 1), m.input("bias_bank_1", 1)];
    let of_pass = [("diagonal", 1), ("shift", pass_bits("shift")), ("first_pass", 1), ("last_pass", 1)];
    let passes = of_pass.map(|(name, width)| {
        [0, 1].map(|bank| m.input_doc(&format!("job_{name}_{bank}"), width, "of the job in that bank"))
    });
    let reseed = m.input_doc("reseed", 2, "the lanes take their seeds anew, half by half");
    let reseed_row = m.input_doc("reseed_row", 4, "row of the parameter block of that half");
    let reread_bias = m.input_doc("reread_bias", 1, "the bias row of the event before is read again");
    let scanner_waiting = m.input_doc("scanner_waiting", 1, "no event is near");
    let fetcher_waiting = m.input_doc("fetcher_waiting", 1, "inputs wait for earlier layers");
    let query = m.input_doc("query", index_width(config.bias_rows), "index of the query in its block");
    let reads_bias = m.input_doc("load_bias_row", 1, "the scanner's event reads a bias row");
    let advance = m.input("advance", 1);
    Ports {
        layer,
        layer_valid,
        loader_index,
        job_loaded,
        job_scanned,
        array_idle,
        packer_idle,
        marker_ready,
        token_step,
        last_of_all,
        bias_bank,
        passes,
        reseed,
        reseed_row,
        reread_bias,
        scanner_waiting,
        fetcher_waiting,
        query,
        reads_bias,
        advance,
    }
}

/// The state, and what happens in it.
struct States {
    state: Expr,
    in_load: Expr,
    in_run: Expr,
    take: Expr,
    starting: Expr,
    drained: Expr,
    ended: Expr,
}

fn states(m: &mut Builder, ports: &Ports) -> States {
    let state = m.reg_reset("state", 3, State::Layer as u64);
    let is = |s: State| is_in(&state, s);
    let in_load = m.named("in_load", &is(State::Load));
    let in_run = m.named("in_run", &is(State::Run));
    let take = m.named("take", &(is(State::Layer) & &ports.layer_valid));
    let starting = m.named("starting", &is(State::Start));
    let drained = m.named("drained", &(is(State::Drain) & &ports.array_idle));
    let ended = m.named("ended", &(is(State::End) & &ports.packer_idle & &ports.marker_ready));
    States { state, in_load, in_run, take, starting, drained, ended }
}

/// The job in the array, and its layer.
struct Jobs {
    begin: Expr,
    bank: Expr,
    /// Bank of the tile's parameters.
    parameter_bank: Expr,
    index: Expr,
    /// Of the job's pass.
    diagonal: Expr,
    shift: Expr,
    first_pass: Expr,
    last_pass: Expr,
}

fn jobs(m: &mut Builder, ports: &Ports, states: &States) -> Jobs {
    m.comment("Jobs loaded and not yet released.");
    let jobs = m.reg_reset("jobs_ready", 2, 0);
    m.set(&jobs, &(&jobs + ports.job_loaded.zext(2) - states.drained.zext(2)));
    let begin = m.named("begins", &(is_in(&states.state, State::Job) & jobs.any()));
    let bank = m.reg_reset("bank", 1, 0);
    m.set_if(&bank, &states.drained, &!&bank);
    let index = m.reg_reset("index", layer_bits(), 0);
    m.set_if(&index, &states.take, &ports.loader_index);
    m.comment("The job's pass. Nothing of the job before it is in the array when it changes.");
    let mut of_job =
        |name: &str, [first, second]: &[Expr; 2]| m.sample(name, &begin, &mux(&bank, second, first));
    let [diagonal, shift, first_pass, last_pass] = &ports.passes;
    let diagonal = of_job("job_diagonal", diagonal);
    let shift = of_job("job_shift", shift);
    let first_pass = of_job("job_first_pass", first_pass);
    let last_pass = of_job("job_last_pass", last_pass);
    let parameter_bank = m.reg_reset("parameter_bank", 1, 0);
    m.set_if(&parameter_bank, &(&states.drained & &last_pass), &!&parameter_bank);
    Jobs { begin, bank, parameter_bank, index, diagonal, shift, first_pass, last_pass }
}

/// Where the output walk of a tile begins, and how long it is.
struct Walk {
    layer_done: Expr,
    walk_base: Expr,
    tile_words: Expr,
    fresh: Expr,
}

fn walk(
    m: &mut Builder,
    config: &CoreConfig,
    lane_words: u32,
    ports: &Ports,
    states: &States,
    jobs: &Jobs,
) -> Walk {
    m.comment("Tiles and groups. Attention runs a job a block, and a tile ends with the last block.");
    let walked = m.reg_reset("walked_all", 1, 0);
    m.set_if(&walked, &ports.token_step, &ports.last_of_all);
    let attention = m.delay("attention", &ports.layer.is_attention());
    m.comment("A job takes longer than these comparisons, which lag by a cycle or two.");
    let ends_tile = &jobs.last_pass & (!attention | &walked);
    let last_job = m.delay("last_job", &ends_tile);
    let tile_done = m.named("tile_done", &(&states.drained & last_job));
    let tile = m.reg_reset("tile", bits("tiles"), 0);
    let group = m.reg_reset("group", bits("groups"), 0);
    let last_tile = m.delay("last_tile", &tile.inc().eq(&ports.layer["tiles"]));
    let last_group = m.delay("last_group", &group.inc().eq(&ports.layer["groups"]));
    let ends_group = &ends_tile & last_tile;
    let last_of_group = m.delay("last_of_group", &ends_group);
    let last_of_layer = m.delay("last_of_layer", &(ends_group & last_group));
    let group_done = m.named("group_done", &(&states.drained & last_of_group));
    let layer_done = m.named("layer_done", &(&states.drained & last_of_layer));
    m.set_if(&tile, &(&states.starting | &group_done), &tile.like(0));
    m.set_if(&tile, &tile_done, &tile.inc());
    m.set_if(&group, &states.starting, &group.like(0));
    m.set_if(&group, &group_done, &group.inc());
    let group_base = m.reg("group_base", 32);
    let next_group = m.named("next_group_base", &(&group_base + &ports.layer["output_group_stride"]));
    m.set_if(&group_base, &states.starting, &ports.layer["output_base"]);
    m.set_if(&group_base, &group_done, &next_group);
    let walk_base = m.reg("walk_base", 32);
    m.set_if(&walk_base, &states.starting, &ports.layer["output_base"]);
    m.set_if(&walk_base, &group_done, &next_group);
    m.set_if(&walk_base, &tile_done, &(&walk_base + &lit(u64::from(config.lanes), 32)));
    m.fits("words_left", lane_words.into(), bits("output_words"));
    let left = m.reg("words_left", bits("output_words"));
    let tile_size = left.like(lane_words.into());
    m.set_if(&left, &(&states.starting | &group_done), &ports.layer["output_words"]);
    m.set_if(&left, &tile_done, &(&left - &tile_size));
    let count_bits = index_width(lane_words + 1);
    let tile_words = mux(&left.lt(&tile_size), &left.trunc(count_bits), &tile_size.trunc(count_bits));
    let fresh = m.reg_reset("fresh_walk", 1, 1);
    m.set_if(&fresh, &(&states.starting | &tile_done), &lit(1, 1));
    m.set_if(&fresh, &jobs.begin, &lit(0, 1));
    Walk { layer_done, walk_base, tile_words, fresh }
}

/// The lanes have their parameters.
struct Load {
    loaded: Expr,
}

fn load(m: &mut Builder, config: &CoreConfig, ports: &Ports, states: &States, jobs: &Jobs) -> Load {
    m.comment("Parameters into the lanes: nine rows, then the membranes take v0. A tile's later passes begin behind the rows.");
    let cycle = m.reg_reset("load_cycle", 4, 0);
    m.carries(&cycle, u64::from(PARAMETER_ROWS) + 1);
    let first = mux(&jobs.bank, &ports.passes[2][1], &ports.passes[2][0]);
    let begin = mux(&first, &cycle.like(0), &cycle.like(PARAMETER_ROWS.into()));
    m.set_if(&cycle, &jobs.begin, &begin);
    m.set_if(&cycle, &states.in_load, &cycle.inc());
    let reading = m.named("reading", &(&states.in_load & cycle.lt_lit(u64::from(PARAMETER_ROWS))));
    m.comment("The parameter row that the lanes take: of the load, or a half of the seeds.");
    let reseeds = m.named("reseeds", &ports.reseed.any());
    let row = m.named("row_now", &mux(&reseeds, &ports.reseed_row, &cycle));
    let onehot = (&reading | &reseeds).repeat(PARAMETER_ROWS) & lit(1, PARAMETER_ROWS).shl_by(&row);
    let loaded = m.named("loaded", &(&states.in_load & cycle.eq_lit(u64::from(PARAMETER_ROWS) + 1)));
    let this_bias_bank = mux(&jobs.bank, &ports.bias_bank[1], &ports.bias_bank[0]);
    let [second, first] = bias_starts(config);
    let row_bits = row_bits(config);
    let before = m.sample("query_before", &ports.advance, &ports.query);
    let query = mux(&ports.reread_bias, &before, &ports.query);
    let bias_row = mux(&this_bias_bank, &second, &first) + query.zext(row_bits);
    let parameter_row = cat(&[jobs.parameter_bank.clone(), row]).zext(row_bits);
    let reads_bias = (&ports.reads_bias & &ports.advance) | &ports.reread_bias;
    m.output("parameter_read", &(&reading | &reseeds | reads_bias));
    m.output("parameter_row", &mux(&(&states.in_load | &reseeds), &parameter_row, &bias_row));
    m.output("read_row_onehot", &onehot);
    Load { loaded }
}

fn steps(m: &mut Builder, ports: &Ports, states: &States, jobs: &Jobs, walk: &Walk, load: &Load) {
    let mut go = |condition: &Expr, to: State| m.set_if(&states.state, condition, &to.code());
    go(&states.take, State::Start);
    go(&states.starting, State::Job);
    go(&jobs.begin, State::Load);
    go(&load.loaded, State::Run);
    go(&(&states.in_run & &ports.job_scanned), State::Drain);
    go(&walk.layer_done, State::End);
    go(&states.drained, State::Job);
    go(&states.ended, State::Layer);
}

fn outputs(m: &mut Builder, ports: &Ports, states: &States, jobs: &Jobs, walk: &Walk, load: &Load) {
    m.output_doc("layer_take", &states.take, "the descriptor is copied");
    m.output_doc("layer_start", &states.starting, "the copy is valid");
    m.output("index", &jobs.index);
    m.output("bank", &jobs.bank);
    m.output_doc("diagonal", &jobs.diagonal, "the job's pass is diagonal");
    m.output_doc("term_shift", &jobs.shift, "power of two of the job's pass");
    m.output_doc("from_sums", &!&jobs.first_pass, "sums start from partial sums");
    m.output_doc("to_sums", &!&jobs.last_pass, "sums are partial sums");
    let walk_start = m.delay_reset("walk_starts", &(&jobs.begin & &walk.fresh));
    m.output_doc("walk_start", &walk_start, "the output walk starts over");
    m.output("walk_base", &walk.walk_base);
    m.output("tile_words", &walk.tile_words);
    m.output_doc("job_start", &load.loaded, "lanes are ready: scan, and take v0");
    m.output_doc("job_release", &states.drained, "the bank is free");
    m.output_doc(
        "layer_end",
        &(is_in(&states.state, State::End) & &ports.packer_idle),
        "a marker follows the layer's bursts",
    );
}

fn stalls(m: &mut Builder, ports: &Ports, states: &States) {
    m.comment("Why there is no event.");
    let no_layer = is_in(&states.state, State::Layer) | &states.starting | is_in(&states.state, State::End);
    let starved = &states.in_run & &ports.scanner_waiting;
    m.output("stall_weights", &is_in(&states.state, State::Job));
    m.output("stall_inputs", &(&starved & !&ports.fetcher_waiting));
    m.output("stall_order", &(&no_layer | (&starved & &ports.fetcher_waiting)));
    m.output("stall_switch", &(&states.in_load | is_in(&states.state, State::Drain)));
}
