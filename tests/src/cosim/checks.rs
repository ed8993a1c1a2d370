//! What must hold for any core: events, masks, interrupts, registers, wide rows.

use super::{Cosim, Session, campaign::in_parallel, recovery, rough_world, text};
use crate::random::Random;
use crate::random_network::{Case, MAX_SIZE};
use driver::{Counters, Link};
use isa::registers::{self, Access, REGISTERS, control, status};
use isa::{ErrorCode, Schedule};
use model::network::{
    Grid, ImageShape, Layer, LayerId, Mask, Network, Operation, Source, Taps, Term, Weights,
};
use model::work::{LayerWork, work};
use model::{Configured, MaskRatio, RunOptions, Trace};
use sim::axi::Stalls;
use sim::{SimLink, SimOptions};
use std::collections::BTreeMap;
use std::ops::Range;

/// The events of the random networks of `seeds` are exactly those that their spikes ask for.
///
/// # Errors
/// The first network with other counts.
pub fn events_follow_spikes(cosim: &Cosim, seeds: Range<u64>) -> Result<(), String> {
    each_case(seeds, |case, network| {
        let mut session = cosim.session(network, &SimOptions::default())?;
        let expected = session.expected(&case.image)?;
        let counters = session.compare_with(&case.image, &expected)?;
        let work = work_of(cosim, network, &case.image, &expected);
        equal("events", counters.events, sum(&work, |layer| layer.events))?;
        equal("null events", counters.null_events, sum(&work, |layer| layer.null_events))
    })
}

/// A layer that walks its spikes step by step gives the same spikes, in as many events as there are spikes.
///
/// # Errors
/// The first network that differs.
pub fn merged_events_change_nothing(cosim: &Cosim, seeds: Range<u64>) -> Result<(), String> {
    each_case(seeds, |case, network| {
        let mut session = cosim.session(network, &SimOptions::default())?;
        let expected = session.expected(&case.image)?;
        let merged = session.compare_with(&case.image, &expected)?;
        session.program.walk_step_by_step();
        session.accelerator.load(&session.program).map_err(text)?;
        let stepped = session.compare_with(&case.image, &expected)?;
        let work = work_of(cosim, network, &case.image, &expected);
        equal("merged events", merged.events, sum(&work, |layer| layer.events))?;
        equal("events step by step", stepped.events, sum(&work, |layer| layer.step_events))
    })
}

/// Shares of spikes that are masked, in 1/256, ascending.
const RATIOS: [u8; 4] = [0, 64, 128, 224];

/// A spike that is masked costs no event and no cycle: with the ratio both fall by exactly as much as the transmitted spikes ask for.
///
/// # Errors
/// The ratio at which they do not.
pub fn masked_spikes_cost_nothing(cosim: &Cosim) -> Result<(), String> {
    let (network, image) = dense_network(Grid { rows: 8, columns: 8 }, 24);
    for schedule in [Schedule::EachStep, Schedule::AfterAll] {
        let mut before: Option<(Counters, u64)> = None;
        for ratio in RATIOS {
            let options =
                RunOptions { schedule: Some(schedule), mask: MaskRatio(ratio).into(), ..RunOptions::new(8) };
            let network = network.configure(&options).map_err(text)?;
            let fails = |error| format!("{schedule:?}, ratio {ratio}/256: {error}");
            let mut session = cosim.session(&network, &SimOptions::default())?;
            let expected = session.expected(&image)?;
            let counters = session.compare_with(&image, &expected).map_err(fails)?;
            let work = work_of(cosim, &network, &image, &expected);
            equal("events", counters.events, sum(&work, |layer| layer.events)).map_err(fails)?;
            let needed = sum(&work, |layer| layer.needed_cycles);
            if let Some((earlier, needed_before)) = before {
                let saved = earlier.busy_cycles.saturating_sub(counters.busy_cycles);
                let spared = needed_before.saturating_sub(needed);
                at_least("cycles spared", spared, 1).map_err(fails)?;
                // What is not saved is the wait for a memory that the compute no longer hides.
                at_least("100 x cycles saved", 100 * saved, 98 * spared).map_err(fails)?;
            }
            before = Some((counters, needed));
        }
    }
    Ok(())
}

/// Tokens whose last slot is not a byte's last wait for a memory that takes writes slowly, without a spike in another slot.
///
/// # Errors
/// The first difference, or a number of time steps that never waited.
pub fn slots_wait_for_the_memory(cosim: &Cosim) -> Result<(), String> {
    let (mut network, image) = dense_network(Grid { rows: 8, columns: 8 }, 8);
    // Few spikes, so that tokens follow each other fast.
    network.layers[..3].iter_mut().for_each(|layer| layer.mask = Mask::labelled("fc1"));
    let mask = MaskRatio(224);
    let runs: Vec<_> = (1..=15).flat_map(|t| [(t, Schedule::EachStep), (t, Schedule::AfterAll)]).collect();
    in_parallel(&runs, |&(time_steps, schedule)| {
        let fails = |error| format!("{schedule:?}, T = {time_steps}: {error}");
        let options =
            RunOptions { schedule: Some(schedule), mask: mask.into(), ..RunOptions::new(time_steps) };
        let network = network.configure(&options).map_err(text)?;
        let stalls = Some(Stalls { seed: time_steps.into(), percent: 93 });
        let counters = cosim.check(&network, &image, &SimOptions { stalls, ..SimOptions::default() });
        at_least("cycles waiting for the memory", counters.map_err(fails)?.stall_output, 1).map_err(fails)
    })
}

/// The interrupt is raised by done and by errors, each only if it is enabled, until its cause is cleared; the lights show a run and an error.
///
/// # Errors
/// When it is wrong.
pub fn interrupts_follow_their_enables(cosim: &Cosim) -> Result<(), String> {
    let bench = recovery::Bench::new();
    let mut session = bench.session(cosim, &SimOptions::default())?;
    bench.compare(&mut session)?;
    for enable in 0..4 {
        let expect = |session: &mut Session<'_>, when: &str, irq: bool, lights: [bool; 2]| {
            let link = session.accelerator.link();
            link.step(2).map_err(text)?;
            let (found, expected) = ((link.interrupt(), link.lights()), (irq, lights));
            if found == expected {
                return Ok(());
            }
            Err(format!(
                "INTERRUPT_ENABLE {enable:02b}, {when}: irq and [busy, error] are {found:?}, expected {expected:?}"
            ))
        };
        let write = |session: &mut Session<'_>, register, value| {
            session.accelerator.link().write_register(register, value).map_err(text)
        };
        write(&mut session, registers::INTERRUPT_ENABLE, enable)?;
        start(&mut session, 0)?;
        expect(&mut session, "in a run", false, [true, false])?;
        wait_for(&mut session, status::DONE)?;
        expect(&mut session, "done", enable & 1 != 0, [false, false])?;
        write(&mut session, registers::CONTROL, control::CLEAR_DONE)?;
        expect(&mut session, "done is cleared", false, [false, false])?;
        write(&mut session, registers::DESCRIPTOR_COUNT, 0)?;
        write(&mut session, registers::CONTROL, control::START)?;
        wait_for(&mut session, status::ERROR)?;
        let code = session.accelerator.link().read_register(registers::ERROR).map_err(text)?;
        equal("ERROR", u64::from(code), ErrorCode::BadRun as u64)?;
        expect(&mut session, "error", enable & 2 != 0, [false, true])?;
        write(&mut session, registers::CONTROL, control::SOFT_RESET)?;
        expect(&mut session, "reset", false, [false, false])?;
    }
    Ok(())
}

/// Every register that the host writes holds what it was given, whatever the others and what is no register are given; the latter reads 0,
/// also after a run; and a reset clears what the last run left.
///
/// # Errors
/// What is read instead.
pub fn registers_hold_what_is_written(cosim: &Cosim) -> Result<(), String> {
    let bench = recovery::Bench::new();
    let mut session = bench.session(cosim, &SimOptions::default())?;
    let status = [registers::STATUS, registers::ERROR, registers::ERROR_DESCRIPTOR, registers::ERROR_ADDRESS];
    let cleared = |session: &mut Session<'_>| {
        status.iter().try_for_each(|&register| {
            let found = session.accelerator.link().read_register(register).map_err(text)?;
            equal(&format!("register 0x{register:x} after a reset"), found.into(), 0)
        })
    };
    cleared(&mut session)?;
    bench.compare(&mut session)?;
    session.accelerator.reset().map_err(text)?;
    cleared(&mut session)?;
    for seed in 0..3 {
        let world = if seed == 0 { SimOptions::default() } else { rough_world(seed) };
        hold(cosim.accelerator(&world)?.link(), seed)?;
    }
    Ok(())
}

/// Writes registers one by one, and several at once, and reads them all after each time.
fn hold(link: &mut SimLink, seed: u64) -> Result<(), String> {
    let written: Vec<u32> =
        REGISTERS.iter().filter(|r| r.access == Access::ReadWrite).map(|r| r.offset).collect();
    let mut held: BTreeMap<u32, u32> = BTreeMap::new();
    let mut random = Random(seed);
    for round in 0..24 {
        // Every second round turns every bit around.
        let mut next = |offset: &u32| if round % 2 == 1 { !held[offset] } else { random.bits() as u32 };
        let values: Vec<(u32, u32)> = written.iter().map(|offset| (*offset, next(offset))).collect();
        for one_or_all in values.chunks(if round % 4 < 2 { 1 } else { values.len() }) {
            match one_or_all {
                [(offset, value)] => link.write_register(*offset, *value).map_err(text)?,
                all => link.post_registers(all).map_err(text)?,
            }
            held.extend(one_or_all.iter().copied());
            link.step(random.between(0, 3) as u64).map_err(text)?;
            expect(link, &held)?;
        }
    }
    let defined = |offset: &u32| REGISTERS.iter().any(|register| register.offset == *offset);
    for offset in (0..0x1000).step_by(4).filter(|offset| !defined(offset)) {
        link.write_register(offset, random.bits() as u32).map_err(text)?;
        held.insert(offset, 0);
    }
    expect(link, &held)
}

/// Reads registers one by one and all at once.
fn expect(link: &mut SimLink, registers: &BTreeMap<u32, u32>) -> Result<(), String> {
    let offsets: Vec<u32> = registers.keys().copied().collect();
    let at_once = link.fetch_registers(&offsets).map_err(text)?;
    for ((&offset, &expected), posted) in registers.iter().zip(at_once) {
        let alone = link.read_register(offset).map_err(text)?;
        for found in [alone, posted] {
            equal(&format!("register 0x{offset:x}"), found.into(), expected.into())?;
        }
    }
    Ok(())
}

/// Starts the loaded program by hand, on the image of the run before; `shift` is what was added to all offsets.
pub(super) fn start(session: &mut Session<'_>, shift: u32) -> Result<(), String> {
    let (base, count) = (session.program.descriptor_base + shift, session.program.descriptors() as u32);
    for (register, value) in [
        (registers::DESCRIPTOR_BASE, base),
        (registers::DESCRIPTOR_COUNT, count),
        (registers::CONTROL, control::START),
    ] {
        session.accelerator.link().write_register(register, value).map_err(text)?;
    }
    Ok(())
}

fn wait_for(session: &mut Session<'_>, flag: u32) -> Result<(), String> {
    for _ in 0..10_000 {
        let link = session.accelerator.link();
        if link.read_register(registers::STATUS).map_err(text)? & flag != 0 {
            return Ok(());
        }
        link.step(20).map_err(text)?;
    }
    Err(format!("STATUS never had 0x{flag:x}"))
}

fn each_case(
    seeds: Range<u64>,
    check: impl Fn(&Case, &Configured) -> Result<(), String> + Sync,
) -> Result<(), String> {
    let seeds: Vec<u64> = seeds.collect();
    in_parallel(&seeds, |&seed| {
        let case = Case::random(seed, 1 + (seed % u64::from(MAX_SIZE)) as u32);
        check(&case, &case.configure()).map_err(|error| format!("{error}; {case:?}"))
    })
}

fn work_of(cosim: &Cosim, network: &Configured, image: &[u8], expected: &Trace) -> Vec<LayerWork> {
    work(network, image, expected, &cosim.core)
}

fn sum(work: &[LayerWork], of: impl Fn(&LayerWork) -> u64) -> u64 {
    work.iter().map(of).sum()
}

pub(super) fn equal(what: &str, found: u64, expected: u64) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found}, expected {expected}")) }
}

fn at_least(what: &str, found: u64, expected: u64) -> Result<(), String> {
    if found >= expected { Ok(()) } else { Err(format!("{what}: {found}, expected at least {expected}")) }
}

/// A network that spends its time on the spikes of its second layer, whose mask ratio is an option, and an image for it. That layer reads
/// rows of `channels`.
pub(super) fn dense_network(grid: Grid, channels: usize) -> (Network, Vec<u8>) {
    let mut random = Random(5);
    let mut weights = |outputs: usize, inputs: usize| -> Vec<i8> {
        (0..outputs * inputs).map(|_| random.between(-10, 30) as i8).collect()
    };
    let layer = |name: &str, term: Term, channels: usize, theta: i32| {
        let operation = Operation::Linear { terms: vec![term], bias: vec![0; channels] };
        Layer::new(name, operation, grid, vec![theta; channels])
    };
    let pixels = Term {
        source: Source::Image,
        taps: Taps::square(2, 2, 0),
        weights: Weights::Dense(weights(channels, 4)),
        shift: 0,
    };
    let fc1 = Term::dense(LayerId(0), weights(64, channels));
    let fc2 = Term::dense(LayerId(1), weights(64, 64));
    let head = Term::dense(LayerId(2), weights(10, 64));
    let layers = vec![
        layer("embed", pixels, channels, 10_000),
        Layer { mask: Mask::labelled("fc1"), ..layer("fc1", fc1, 64, 200 * channels as i32 / 24) },
        layer("fc2", fc2, 64, 500),
        Layer::readout("head", vec![head], vec![0; 10], grid),
    ];
    let image = ImageShape { height: 2 * grid.rows, width: 2 * grid.columns, channels: 1 };
    let pixels = (0..image.bytes()).map(|_| random.bits() as u8).collect();
    (Network::new("three dense layers", image, 10, layers, 7), pixels)
}
