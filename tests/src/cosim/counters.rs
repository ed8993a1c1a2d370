//! The counters: what they count, from when on, and how far.

use super::addresses::attention;
use super::checks::{dense_network, equal, start};
use super::recovery::{Bench, ended_with};
use super::{Cosim, Session, text};
use crate::random_network::Case;
use driver::{Counters, Link};
use isa::program::{Program, Strip};
use isa::registers::{self, control};
use model::RunOptions;
use model::network::Grid;
use sim::SimOptions;
use std::time::Duration;

/// The counters are zero after a reset, start from zero with each run of the driver, add up without it, and are cleared by `CONTROL`.
///
/// # Errors
/// What they hold instead.
pub fn counters_count_one_run(cosim: &Cosim) -> Result<(), String> {
    let bench = Bench::new();
    let mut session = bench.session(cosim, &SimOptions::default())?;
    let after_reset = session.accelerator.counters().map_err(text)?;
    if after_reset != Counters::default() {
        return Err(format!("after a reset the counters hold {after_reset:?}"));
    }
    let moved = |session: &mut Session<'_>| {
        let link = session.accelerator.link();
        (link.cycles(), link.memory().beats())
    };
    let (cycles_before, (read_before, written_before)) = moved(&mut session);
    let once = session.compare_with(&bench.image, &bench.expected)?;
    let (cycles, (read, written)) = moved(&mut session);
    equal("read beats", once.read_beats, read - read_before)?;
    equal("write beats", once.write_beats, written - written_before)?;
    // Each cycle is counted by a counter once, but spikes by lanes.
    let elapsed = cycles - cycles_before;
    for (counter, count) in once.values() {
        let most = if counter.name == "spikes" { elapsed * u64::from(cosim.core.lanes) } else { elapsed };
        if count > most {
            return Err(format!("{}: {count} in {elapsed} cycles", counter.name));
        }
    }
    let again = session.compare_with(&bench.image, &bench.expected)?;
    if once != again {
        return Err(format!("the same run counts {once:?}, then {again:?}"));
    }
    start(&mut session, 0)?;
    ended_with(&mut session, None)?;
    let both = session.accelerator.counters().map_err(text)?;
    let mut twice = once;
    twice += once;
    if both != twice {
        return Err(format!("two runs count {both:?}, one {once:?}"));
    }
    session.accelerator.link().write_register(registers::CONTROL, control::CLEAR_COUNTERS).map_err(text)?;
    let cleared = session.accelerator.counters().map_err(text)?;
    if cleared != Counters::default() {
        return Err(format!("cleared counters hold {cleared:?}"));
    }
    cleared_in_a_run(&mut session, once)
}

/// Cleared in a run, the counters hold what the rest of it counts; `whole` is what all of it counts.
fn cleared_in_a_run(session: &mut Session<'_>, whole: Counters) -> Result<(), String> {
    start(session, 0)?;
    session.accelerator.link().step(whole.busy_cycles / 2).map_err(text)?;
    let before = session.accelerator.counters().map_err(text)?;
    session.accelerator.link().write_register(registers::CONTROL, control::CLEAR_COUNTERS).map_err(text)?;
    ended_with(session, None)?;
    let after = session.accelerator.counters().map_err(text)?;
    for ((counter, whole), ((_, before), (_, after))) in
        whole.values().zip(before.values().zip(after.values()))
    {
        // What is counted between the host's read and its write is in neither.
        let lost = whole.saturating_sub(before + after);
        let most = if counter.name == "spikes" { 64 * ACCESSES } else { ACCESSES };
        if before + after > whole || lost > most {
            let name = counter.name;
            return Err(format!(
                "{name}: {before} before it was cleared in a run, {after} after, {whole} in all"
            ));
        }
    }
    Ok(())
}

/// Cycles in which the host reads all counters and clears them.
const ACCESSES: u64 = 200;
/// Cycles of a memory that answers late.
const LATE: u64 = 1500;

/// The counters go on from run to run, far beyond what one run counts, and events and waits add up to the cycles of a run.
///
/// # Errors
/// What they hold instead.
pub fn counters_go_on(cosim: &Cosim) -> Result<(), String> {
    let bench = Bench::new();
    let cosim = Cosim { deadline: Duration::from_millis(20), ..cosim.clone() };
    for latency in [1, LATE] {
        let world = SimOptions { latency: latency..=latency, ..SimOptions::default() };
        let mut session = bench.session(&cosim, &world)?;
        let once = session.compare_with(&bench.image, &bench.expected)?;
        every_cycle_is_counted(cycles_of_jobs(&session.program), once)
            .map_err(|error| format!("{error}: {once:?}"))?;
        let mut all = once;
        while all.busy_cycles < 1 << 19 {
            start(&mut session, 0)?;
            ended_with(&mut session, None)?;
            all += once;
            let found = session.accelerator.counters().map_err(text)?;
            if found != all {
                return Err(format!("latency {latency}: {found:?}, expected {all:?}"));
            }
        }
    }
    Ok(())
}

/// The count of written beats goes on beyond what other runs write.
///
/// # Errors
/// What it holds instead.
pub fn write_beats_go_on(cosim: &Cosim) -> Result<(), String> {
    let channels = cosim.core.max_fan_in as usize;
    let (mut network, image) = dense_network(Grid { rows: 16, columns: 16 }, channels);
    // No spike: tokens follow each other fast.
    network.layers[0].theta.fill(1 << 20);
    network.layers[0].v0.fill(0);
    let network = network.configure(&RunOptions::new(8)).map_err(text)?;
    let mut session = cosim.session(&network, &SimOptions::default())?;
    let once = session.compare(&image)?.write_beats;
    let mut all = once;
    while all <= 1 << 17 {
        start(&mut session, 0)?;
        ended_with(&mut session, None)?;
        all += once;
    }
    equal("write beats", session.accelerator.counters().map_err(text)?.write_beats, all)
}

/// Cycles of a memory that answers so late that two layers wait longer than many runs do otherwise.
const VERY_LATE: u64 = 1 << 17;

/// Waits may be long: the counters of a run that does little else add up to its cycles.
///
/// # Errors
/// What they hold instead.
pub fn waits_may_be_long(cosim: &Cosim) -> Result<(), String> {
    let case = Case::deep(2);
    let cosim = Cosim { deadline: Duration::from_millis(100), ..cosim.clone() };
    let world = SimOptions { latency: VERY_LATE..=VERY_LATE, ..SimOptions::default() };
    let network = case.configure();
    let mut session = cosim.session(&network, &world)?;
    let counters = session.compare(&case.image)?;
    let few = cycles_of_jobs(&session.program) + rows(&session.program);
    every_cycle_is_counted(few, counters).map_err(|error| format!("{error}: {counters:?}"))
}

/// Cycles of a run in which jobs begin and end, which are counted as neither events nor waits.
fn cycles_of_jobs(program: &Program) -> u64 {
    let jobs = program.strips().map(|Strip { descriptor: d, .. }| {
        let of_tile = if attention(d) { d.blocks_y * d.blocks_x } else { d.passes };
        u64::from(d.tiles * d.groups * of_tile)
    });
    2 * jobs.sum::<u64>()
}

/// Rows that a run scans, each of which may begin a cycle after it came.
fn rows(program: &Program) -> u64 {
    let rows = program.strips().map(|Strip { descriptor: d, .. }| {
        u64::from(d.tiles * d.groups * d.passes * d.blocks_y * d.blocks_x * d.inner_y * d.inner_x * d.chunks)
    });
    rows.sum()
}

/// Every cycle of a run takes an event or waits for one, but for `few`.
fn every_cycle_is_counted(few: u64, counters: Counters) -> Result<(), String> {
    let c = counters;
    let waits = c.stall_weights + c.stall_inputs + c.stall_fire + c.stall_order + c.stall_switch;
    let sum = c.events + c.null_events + waits;
    // Waits for the output path are counted beside the others, and hold up events if they are long.
    if (sum.saturating_sub(few)..=sum + c.stall_output + few).contains(&c.busy_cycles) {
        return Ok(());
    }
    Err(format!("events and waits are {sum} cycles of {}, {few} more or less", c.busy_cycles))
}
