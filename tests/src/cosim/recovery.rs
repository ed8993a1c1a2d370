//! Whatever goes wrong ends in an error that says what and where, and a reset makes the core usable again, bit for bit.
//!
//! Bus rules and the memory window are checked in every cycle by the memory behind the core: a broken one fails a run with an error
//! that no check here accepts.

use super::{Cosim, Session, campaign::in_parallel, rough_world, text};
use crate::random::Random;
use crate::random_network::Case;
use compile::ProgramOptions;
use driver::accelerator::UNWRITTEN;
use driver::{CoreFault, DriverError, Link, LinkError};
use isa::program::{Planes, Program, Strip};
use isa::registers::{self, control, status};
use isa::{CoreConfig, ErrorCode, LARGEST_WINDOW, Op, descriptor};
use model::network::Walk;
use model::{Configured, Executor, Trace};
use sim::SimOptions;
use sim::axi::{Fault, FaultTarget, Response, Stalls};
use std::ops::Range;
use std::time::Duration;

/// Clock cycle of the simulation.
const CYCLE: Duration = Duration::from_nanos(10);

/// What a descriptor runs, as far as the core's checks tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A linear layer of one dense pass over spikes.
    Dense,
    /// One of a diagonal pass.
    Diagonal,
    /// One over input bytes.
    Bytes,
    /// One of several passes.
    Passes,
    /// The readout.
    Sum,
    /// Attention scores.
    Scores,
    /// Attention context.
    Context,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 7] =
        [Kind::Dense, Kind::Diagonal, Kind::Bytes, Kind::Passes, Kind::Sum, Kind::Scores, Kind::Context];

    /// What a strip is.
    pub fn of(strip: &Strip) -> Kind {
        let Strip { descriptor: d, passes } = strip;
        match d.op {
            op if op == Op::Scores as u32 => Kind::Scores,
            op if op == Op::Context as u32 => Kind::Context,
            _ if d.sum == 1 => Kind::Sum,
            _ if d.bytes == 1 => Kind::Bytes,
            _ if passes.len() > 1 => Kind::Passes,
            _ if passes[0].diagonal == 1 => Kind::Diagonal,
            _ => Kind::Dense,
        }
    }

    /// Index of the first descriptor of this kind in a program.
    ///
    /// # Panics
    /// If there is none, which [`Bench::new`] excludes for the smallest core.
    pub fn first(self, program: &Program) -> usize {
        let found = program.strips().position(|strip| Kind::of(strip) == self);
        found.unwrap_or_else(|| panic!("the network has no {self:?}"))
    }
}

/// A small network with every kind of descriptor, two chunks of time steps and a cyclic shift, and what it gives for its image.
pub struct Bench {
    /// The network.
    pub network: Configured,
    /// Its image.
    pub image: Vec<u8>,
    /// What the reference makes of it.
    pub expected: Trace,
}

impl Bench {
    /// The first ordinary random network that has everything on the smallest core.
    ///
    /// # Panics
    /// If random networks do not cover every kind any more.
    pub fn new() -> Bench {
        let core = CoreConfig::preset("tiny").expect("a preset");
        let options = ProgramOptions { memory_size: LARGEST_WINDOW, planes: Planes::Keep };
        let suits = |case: &Case| {
            let layers = &case.network.layers;
            let shifted = layers.iter().any(|l| matches!(l.walk, Walk::Windows(w) if w.shift > 0));
            if !shifted || !(9..=16).contains(&case.options.time_steps) {
                return false;
            }
            let Ok(program) = compile::compile(&case.configure(), &core, &options) else { return false };
            Kind::ALL.iter().all(|&kind| program.strips().any(|strip| Kind::of(strip) == kind))
        };
        let case =
            (0..50_000).map(|seed| Case::ordinary(seed, 4)).find(suits).expect("one in some hundreds suits");
        let network = case.configure();
        let expected = Executor::new(&network).trace(&case.image).unwrap_or_else(|error| panic!("{error}"));
        Bench { network, image: case.image, expected }
    }

    /// A fresh simulation with the network loaded.
    ///
    /// # Errors
    /// If the core does not come up.
    pub fn session(&self, cosim: &Cosim, world: &SimOptions) -> Result<Session<'_>, String> {
        cosim.session(&self.network, world)
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

    /// Runs the image, which must fail with `code` in descriptor `index` (any if `None`) and raise the interrupt.
    ///
    /// # Errors
    /// What happened instead.
    pub fn refused(
        &self,
        session: &mut Session<'_>,
        code: ErrorCode,
        index: Option<usize>,
    ) -> Result<CoreFault, String> {
        let fault = match session.accelerator.infer(&self.image) {
            Err(DriverError::Core(fault)) => *fault,
            Err(other) => return Err(format!("expected {code:?}: {other}")),
            Ok(_) => return Err(format!("expected {code:?}: the run finished")),
        };
        let found = fault.descriptor as usize;
        if fault.error_code() != Some(code) || index.is_some_and(|index| index != found) {
            return Err(format!(
                "expected {code:?} in descriptor {index:?}: {}",
                DriverError::Core(fault.into())
            ));
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

/// Puts a descriptor and its pass records in place of those of a strip. Records lie where the strip's own do, whatever the descriptor says.
///
/// # Errors
/// If they lie outside the memory.
pub fn write_strip(session: &mut Session<'_>, index: usize, strip: &Strip) -> Result<(), String> {
    let own = session.program.strips().nth(index).ok_or("no such descriptor")?.descriptor.clone();
    write_descriptor(session, index, &strip.descriptor.to_words())?;
    for (number, pass) in strip.passes.iter().enumerate() {
        let words = own.pass_words as usize;
        let at = u64::from(own.pass_base) + (8 * words * number) as u64;
        write_words(session, at, &pass.to_words()[..words])?;
    }
    Ok(())
}

/// Puts the words of a descriptor in place of those of a strip.
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

/// Writes words to memory.
///
/// # Errors
/// If they lie outside.
pub fn write_words(session: &mut Session<'_>, at: u64, words: &[u64]) -> Result<(), String> {
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
        (0, count, 191, ErrorCode::OutOfRange),
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
