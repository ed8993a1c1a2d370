//! Whatever goes wrong ends in an error that says what and where, and a reset makes the core usable again, bit for bit.
//!
//! Bus rules and the memory window are checked in every cycle by the memory behind the core: a broken one fails a run with an error
//! that no check here accepts.

use super::{Cosim, Session, campaign::in_parallel, rough_world, text};
use crate::random::Random;
use crate::random_network::Case;
use driver::accelerator::UNWRITTEN;
use driver::{CoreFault, DriverError, Link, LinkError};
use isa::program::Strip;
use isa::registers::{self, control, status};
use isa::{ErrorCode, Pass, descriptor};
use model::{Configured, Executor, Trace};
use sim::SimOptions;
use sim::axi::{Fault, FaultTarget, Response, Stalls};
use std::ops::Range;
use std::time::Duration;

/// Clock cycle of the simulation.
const CYCLE: Duration = Duration::from_nanos(10);

/// A layer of the network with everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Reads the image.
    Image,
    /// One dense term, each token its own.
    Dense,
    /// A convolution and a gain a channel: two passes, several strips.
    Residual,
    /// Gains a channel of three planes in one pass, window by window.
    Shortcut,
    /// Queries and keys.
    Scores,
    /// Scores and values.
    Context,
    /// Patches of four tokens.
    Merge,
    /// Two passes into logits.
    Readout,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 8] = [
        Part::Image,
        Part::Dense,
        Part::Residual,
        Part::Shortcut,
        Part::Scores,
        Part::Context,
        Part::Merge,
        Part::Readout,
    ];

    /// What names of such layers begin with.
    fn name(self) -> &'static str {
        match self {
            Part::Image => "image",
            Part::Dense => "dense",
            Part::Residual => "residual",
            Part::Shortcut => "shortcut",
            Part::Scores => "scores",
            Part::Context => "context",
            Part::Merge => "merge",
            Part::Readout => "readout",
        }
    }
}

/// The small network with everything, two chunks of time steps and a cyclic shift, and what it gives for its image.
pub struct Bench {
    /// The network.
    pub network: Configured,
    /// Its image.
    pub image: Vec<u8>,
    /// What the reference makes of it.
    pub expected: Trace,
}

impl Bench {
    /// Of the networks with everything, the first all of whose layers spike, none of them most of the time.
    ///
    /// # Panics
    /// If there is none: then the networks have become dull.
    pub fn new() -> Bench {
        let bench = |seed| {
            let case = Case::everything(seed);
            let network = case.configure();
            let expected =
                Executor::new(&network).trace(&case.image).unwrap_or_else(|error| panic!("{error}"));
            Bench { network, image: case.image, expected }
        };
        let lively = |bench: &Bench| {
            bench.expected.planes.iter().all(|plane| {
                let cells = plane.tokens() * plane.channels() * plane.time_steps() as usize;
                (0.05..0.7).contains(&(plane.spikes() as f64 / cells as f64))
            })
        };
        (0..1000).map(bench).find(lively).expect("one in some dozens is lively")
    }

    /// A fresh simulation with the network loaded.
    ///
    /// # Errors
    /// If the core does not come up.
    pub fn session(&self, cosim: &Cosim, world: &SimOptions) -> Result<Session<'_>, String> {
        cosim.session(&self.network, world)
    }

    /// Index of the first layer of a kind.
    ///
    /// # Panics
    /// If there is none, which [`Part`] excludes.
    pub fn layer(&self, part: Part) -> usize {
        let found = self.network.layers.iter().position(|layer| layer.name.starts_with(part.name()));
        found.expect("the network has every part")
    }

    /// Index of the first descriptor of a kind's first layer.
    pub fn descriptor(&self, session: &Session<'_>, part: Part) -> usize {
        session.program.layers[..self.layer(part)].iter().map(|layer| layer.strips.len()).sum()
    }

    /// Runs the image and compares everything.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self, session: &mut Session<'_>) -> Result<(), String> {
        session.compare_with(&self.image, &self.expected).map(drop)
    }

    /// Resets the core, as a driver would, and runs the image again.
    ///
    /// # Errors
    /// If the core does not come to rest, still has traffic or an interrupt, or the run differs.
    pub fn recover(&self, session: &mut Session<'_>) -> Result<(), String> {
        session.accelerator.set_deadline(session.deadline);
        session.accelerator.reset().map_err(text)?;
        let link = session.accelerator.link();
        if link.memory().in_flight() != 0 {
            return Err("the reset ended with bursts in flight".to_owned());
        }
        if link.interrupt() {
            return Err("the interrupt outlived the reset".to_owned());
        }
        self.compare(session).map_err(|error| format!("after the reset: {error}"))
    }

    /// Runs the image, which must fail with `code` in descriptor `descriptor` (any if `None`) and raise the interrupt.
    ///
    /// # Errors
    /// What happened instead.
    pub fn refused(
        &self,
        session: &mut Session<'_>,
        code: ErrorCode,
        descriptor: Option<usize>,
    ) -> Result<CoreFault, String> {
        let fault = match session.accelerator.infer(&self.image) {
            Err(DriverError::Core(fault)) => *fault,
            Err(other) => return Err(format!("expected {code:?}: {other}")),
            Ok(_) => return Err(format!("expected {code:?}: the run finished")),
        };
        let index = fault.descriptor as usize;
        if fault.error_code() != Some(code) || descriptor.is_some_and(|descriptor| descriptor != index) {
            let found = DriverError::Core(fault.into());
            return Err(format!("expected {code:?} in descriptor {descriptor:?}: {found}"));
        }
        if fault.status != status::ERROR && fault.status != status::ERROR | status::RESETTING {
            return Err(format!("{code:?}: STATUS is 0x{:x}", fault.status));
        }
        if !session.accelerator.link().interrupt() {
            return Err(format!("{code:?} raised no interrupt"));
        }
        Ok(fault)
    }
}

impl Default for Bench {
    fn default() -> Bench {
        Bench::new()
    }
}

/// Puts the words of a descriptor in place of those of descriptor `index`.
///
/// # Errors
/// If they lie outside the memory.
pub fn write_descriptor(
    session: &mut Session<'_>,
    index: usize,
    words: &[u64; descriptor::WORDS],
) -> Result<(), String> {
    let at = u64::from(session.program.descriptor_base) + (index * descriptor::BYTES) as u64;
    write_words(session, at, words)
}

/// Puts a pass record in place of record `pass` of descriptor `index`, in as many words as that has.
///
/// # Errors
/// If it lies outside the memory.
pub fn write_pass(session: &mut Session<'_>, index: usize, pass: usize, words: &[u64]) -> Result<(), String> {
    let good = &strip(session, index).descriptor;
    let (base, length) = (good.pass_base, good.pass_words as usize);
    write_words(session, u64::from(base) + (8 * length * pass) as u64, &words[..length])
}

/// Puts all records of a strip in place of those of descriptor `index`.
///
/// # Errors
/// If they lie outside the memory.
pub fn write_strip(session: &mut Session<'_>, index: usize, strip: &Strip) -> Result<(), String> {
    write_descriptor(session, index, &strip.descriptor.to_words())?;
    for (number, pass) in strip.passes.iter().enumerate() {
        write_pass(session, index, number, &Pass::to_words(pass))?;
    }
    Ok(())
}

/// What descriptor `index` of the loaded program runs.
///
/// # Panics
/// If there is no such descriptor.
pub fn strip<'s>(session: &'s Session<'_>, index: usize) -> &'s Strip {
    session.program.strips().nth(index).expect("a descriptor of the program")
}

fn write_words(session: &mut Session<'_>, at: u64, words: &[u64]) -> Result<(), String> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    session.accelerator.link().write_memory(at, &bytes).map_err(text)
}

/// Lets every `stride`-th data beat of a run meet a bus error, reads and writes, SLVERR and DECERR in turn.
///
/// # Errors
/// The first beat whose error was not reported as it must be, or after which the core did not recover.
pub fn bus_errors(cosim: &Cosim, stride: usize) -> Result<(), String> {
    let bench = Bench::new();
    let mut session = bench.session(cosim, &SimOptions::default())?;
    let layers = session.program.descriptors() as u32;
    let counters = session.compare_with(&bench.image, &bench.expected)?;
    let reads = (0..counters.read_beats).step_by(stride).map(|beat| (beat, false));
    let writes = (0..counters.write_beats).step_by(stride).map(|beat| (beat, true));
    let beats: Vec<(u64, bool)> = reads.chain(writes).collect();
    let blocks: Vec<&[(u64, bool)]> = beats.chunks(16).collect();
    in_parallel(&blocks, |block| {
        let mut session = bench.session(cosim, &rough_world(block[0].0))?;
        for &(beat, write) in *block {
            let (read_before, written_before) = session.accelerator.link().memory().beats();
            let (target, code) = if write {
                (FaultTarget::WriteBeat(written_before + beat), ErrorCode::WriteError)
            } else {
                (FaultTarget::ReadBeat(read_before + beat), ErrorCode::ReadError)
            };
            let response = if (beat / stride as u64).is_multiple_of(2) {
                Response::SlaveError
            } else {
                Response::DecodeError
            };
            let fails = |error| format!("{response:?} at beat {beat}, write {write}: {error}");
            *session.accelerator.link().memory().faults_mut() = vec![Fault { target, response }];
            let fault = bench.refused(&mut session, code, None).map_err(fails)?;
            let completed =
                session.accelerator.link().read_register(registers::LAYERS_COMPLETED).map_err(text)?;
            if !(completed..layers).contains(&fault.descriptor) {
                let found = fault.descriptor;
                return Err(fails(format!("descriptor {found} of {layers}, {completed} have completed")));
            }
            session.accelerator.link().memory().faults_mut().clear();
            bench.recover(&mut session).map_err(fails)?;
        }
        Ok(())
    })
}

/// Starts a run and stops it with a soft reset after a random number of cycles, for each seed; odd seeds stall at random.
///
/// The reset is waited for, or given twice, or followed by the next run at once.
///
/// # Errors
/// The first after which the next run is not right.
pub fn soft_resets(cosim: &Cosim, seeds: Range<u64>) -> Result<(), String> {
    at_random_cycles(cosim, seeds, |bench, session, random, cycle| {
        let whole = session.accelerator.link().memory().bytes().to_vec();
        session.spoil_outputs();
        let mut before = session.accelerator.link().memory().bytes().to_vec();
        // The driver's mark of logits that are not written.
        let marked = session.program.logits.highest_bytes();
        before[marked.start as usize..marked.end as usize].fill(UNWRITTEN);
        session.accelerator.set_deadline(CYCLE * cycle);
        match session.accelerator.infer(&bench.image) {
            Ok(_) | Err(DriverError::Deadline { .. }) => {}
            Err(other) => return Err(other.to_string()),
        }
        session.accelerator.set_deadline(session.deadline);
        let kind = random.between(0, 2);
        let link = session.accelerator.link();
        // Bursts are written one by one, so most cycles have none: half of the resets wait for one that has to wait.
        for _ in 0..300 * random.between(0, 1) {
            link.step(1).map_err(text)?;
            let port = link.memory_port();
            if port.write_address.is_some() && port.write_data.is_some() {
                break;
            }
        }
        if kind > 0 {
            link.write_register(registers::CONTROL, control::SOFT_RESET).map_err(text)?;
        }
        if kind == 2 {
            return bench.compare(session);
        }
        link.step(random.between(0, 60) as u64).map_err(text)?;
        session.accelerator.reset().map_err(text)?;
        // What the run has written is right, whenever it was stopped.
        let now = session.accelerator.link().memory().bytes().iter();
        let wrong = now.zip(before.iter().zip(&whole)).position(|(now, (old, new))| now != old && now != new);
        if let Some(at) = wrong {
            return Err(format!("byte 0x{at:x} was written with what no run writes there"));
        }
        bench.recover(session)
    })
}

/// The same with the reset of the whole core.
///
/// # Errors
/// The first after which the next run is not right.
pub fn hard_resets(cosim: &Cosim, seeds: Range<u64>) -> Result<(), String> {
    at_random_cycles(cosim, seeds, |bench, session, _, cycle| {
        session.accelerator.set_deadline(CYCLE * (cycle + 2_000));
        let now = session.accelerator.link().cycles();
        session.accelerator.link().reset_at(now + u64::from(cycle));
        match session.accelerator.infer(&bench.image) {
            Ok(_) | Err(DriverError::Deadline { .. } | DriverError::Link(LinkError::NoAnswer { .. })) => {}
            // So early that the memory window was forgotten before the start.
            Err(DriverError::Core(_)) if cycle < 200 => {}
            Err(other) => return Err(other.to_string()),
        }
        let link = session.accelerator.link();
        // The run may have ended before.
        link.step((now + u64::from(cycle) + 1).saturating_sub(link.cycles())).map_err(text)?;
        link.write_register(registers::SCRATCH, cosim.scratch).map_err(text)?;
        bench.recover(session)
    })
}

fn at_random_cycles(
    cosim: &Cosim,
    seeds: Range<u64>,
    act: impl Fn(&Bench, &mut Session<'_>, &mut Random, u32) -> Result<(), String> + Sync,
) -> Result<(), String> {
    let bench = Bench::new();
    let seeds: Vec<u64> = seeds.collect();
    in_parallel(&seeds, |&seed| {
        let mut random = Random(seed);
        let world = match seed % 4 {
            0 | 2 => SimOptions::default(),
            1 => rough_world(seed),
            // So slow that bursts queue up in front of the bus.
            _ => SimOptions { stalls: Some(Stalls { seed, percent: 85 }), ..rough_world(seed) },
        };
        let mut session = bench.session(cosim, &world)?;
        let whole = session.compare_with(&bench.image, &bench.expected)?.busy_cycles as i64;
        let cycle = random.between(0, whole + 100) as u32;
        act(&bench, &mut session, &mut random, cycle)
            .map_err(|error| format!("seed {seed}, cycle {cycle} of {whole}: {error}"))
    })
}

/// Starts a run while another is in progress, at a random cycle of it for each seed.
///
/// # Errors
/// The first that was not refused, or after which the core did not recover.
pub fn starts_while_busy(cosim: &Cosim, seeds: Range<u64>) -> Result<(), String> {
    at_random_cycles(cosim, seeds, |bench, session, _, cycle| {
        // The run may end while the registers are read.
        session.accelerator.set_deadline(CYCLE * cycle.saturating_sub(500));
        match session.accelerator.infer(&bench.image) {
            Err(DriverError::Deadline { status, .. }) if status & status::BUSY != 0 => {}
            Err(DriverError::Deadline { .. }) | Ok(_) => return Ok(()),
            Err(other) => return Err(other.to_string()),
        }
        session.accelerator.set_deadline(session.deadline);
        let link = session.accelerator.link();
        link.write_register(registers::CONTROL, control::START).map_err(text)?;
        ended_with(session, Some(ErrorCode::StartWhileBusy))?;
        // The error stays, and nothing starts, until the reset.
        session.accelerator.link().write_register(registers::CONTROL, control::START).map_err(text)?;
        ended_with(session, Some(ErrorCode::StartWhileBusy))?;
        bench.recover(session)
    })
}

/// Starts runs whose registers make no sense: base, count, memory size.
///
/// # Errors
/// The first that was not refused as it must be, or after which the core did not recover.
pub fn bad_runs(cosim: &Cosim) -> Result<(), String> {
    let bench = Bench::new();
    let mut session = bench.session(cosim, &rough_world(1))?;
    bench.compare(&mut session)?;
    let window = session.accelerator.window_size() as u32;
    let count = session.program.descriptors() as u32;
    let used = session.program.total_bytes as u32;
    let cases = [
        (0, 0, window, ErrorCode::BadRun),
        (0, 4096, window, ErrorCode::BadRun),
        (0, 1 << 31, window, ErrorCode::BadRun),
        (1, count, window, ErrorCode::BadRun),
        (0x20, count, window, ErrorCode::BadRun),
        (window, count, window, ErrorCode::OutOfRange),
        (0xffff_ff00, count, window, ErrorCode::OutOfRange),
        (0, count, 0, ErrorCode::OutOfRange),
        (0, count, 255, ErrorCode::OutOfRange),
        (0, count, used - 128, ErrorCode::OutOfRange),
    ];
    for (base, count, size, code) in cases {
        let link = session.accelerator.link();
        for (register, value) in [
            (registers::MEMORY_SIZE, size),
            (registers::DESCRIPTOR_BASE, base),
            (registers::DESCRIPTOR_COUNT, count),
            (registers::CONTROL, control::START),
        ] {
            link.write_register(register, value).map_err(text)?;
        }
        ended_with(&mut session, Some(code))
            .and_then(|()| bench.recover(&mut session))
            .map_err(|error| format!("base 0x{base:x}, count {count}, size {size}: {error}"))?;
    }
    Ok(())
}

/// Waits for the end of a run that was started by hand, which must be this error, or success if `None`.
///
/// # Errors
/// What the registers say instead.
pub fn ended_with(session: &mut Session<'_>, code: Option<ErrorCode>) -> Result<(), String> {
    let deadline = session.deadline;
    let link = session.accelerator.link();
    let interrupted = link.wait_interrupt(deadline).map_err(text)?;
    let status = link.read_register(registers::STATUS).map_err(text)? & !status::RESETTING;
    let found = link.read_register(registers::ERROR).map_err(text)?;
    let (flag, number) = code.map_or((status::DONE, 0), |code| (status::ERROR, code as u32));
    if interrupted && status == flag && found == number {
        return Ok(());
    }
    Err(format!("expected {code:?}: STATUS 0x{status:x}, ERROR {found}, interrupt {interrupted}"))
}
