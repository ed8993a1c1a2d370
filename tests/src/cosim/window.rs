//! Offsets of any size: the same network where the memory window begins far below its memory, so that all offsets are large.

use super::checks::start;
use super::recovery::{Bench, ended_with, strip, write_strip};
use super::{Cosim, Session, campaign::in_parallel, text};
use driver::Link;
use isa::program::Strip;
use isa::registers;
use isa::{ErrorCode, Op};
use sim::axi::{Fault, FaultTarget, Response};
use sim::{SimLink, SimOptions};

/// What is added to all offsets: each of the bits that 4 MiB do not reach is 1 in one of them and 0 in the other.
const SHIFTS: [u32; 2] = [0x5555_5000, 0xaaaa_a000];

/// A run with shifted offsets writes what a run without writes, and its bus errors name shifted offsets.
///
/// # Errors
/// What differs.
pub fn offsets_may_be_large(cosim: &Cosim) -> Result<(), String> {
    in_parallel(&SHIFTS, |&shift| {
        shifted(cosim, shift).map_err(|error| format!("offsets from 0x{shift:x} on: {error}"))
    })
}

fn shifted(cosim: &Cosim, shift: u32) -> Result<(), String> {
    let bench = Bench::new();
    let mut session = bench.session(cosim, &SimOptions::default())?;
    let counters = session.compare_with(&bench.image, &bench.expected)?;
    let expected = outputs(&mut session);

    move_window(&mut session, shift)?;
    session.spoil_outputs();
    start(&mut session, shift)?;
    ended_with(&mut session, None)?;
    let found = outputs(&mut session);
    if let Some(at) = (0..expected.len()).find(|&at| found[at] != expected[at]) {
        return Err(format!("byte {at} of planes and logits differs"));
    }

    let reads = (0..6).map(|part| (counters.read_beats * part / 6, false));
    for (beat, write) in reads.chain([(counters.write_beats / 2, true)]) {
        let (read_before, written_before) = session.accelerator.link().memory().beats();
        let (target, code) = if write {
            (FaultTarget::WriteBeat(written_before + beat), ErrorCode::WriteError)
        } else {
            (FaultTarget::ReadBeat(read_before + beat), ErrorCode::ReadError)
        };
        let response = Response::SlaveError;
        *session.accelerator.link().memory().faults_mut() = vec![Fault { target, response }];
        start(&mut session, shift)?;
        ended_with(&mut session, Some(code))?;
        let link = session.accelerator.link();
        let address = link.read_register(registers::ERROR_ADDRESS).map_err(text)?;
        let latest = latest(link, write, shift);
        if !latest.contains(&address) {
            return Err(format!(
                "{code:?} at beat {beat}: ERROR_ADDRESS is 0x{address:x}, not of {latest:x?}"
            ));
        }
        session.accelerator.link().memory().faults_mut().clear();
        session.accelerator.reset().map_err(text)?;
        move_window(&mut session, shift)?;
    }
    Ok(())
}

/// Shifted offsets of the latest bursts, one that was not taken yet among them.
fn latest(link: &mut SimLink, write: bool, shift: u32) -> Vec<u32> {
    let port = link.memory_port();
    let base = link.memory_base();
    let (read, written) = link.memory().latest_bursts();
    let (taken, offered) = if write { (written, port.write_address) } else { (read, port.read_address) };
    let offset = |address: u64| (address - base) as u32 + shift;
    taken.iter().copied().chain(offered.map(|burst| burst.address)).map(offset).collect()
}

/// Lets the window begin `shift` bytes before the memory, and everything in the records lie as much further on.
fn move_window(session: &mut Session<'_>, shift: u32) -> Result<(), String> {
    let window = session.accelerator.window_size() as u32;
    let base = session.accelerator.link().memory_base().wrapping_sub(shift.into());
    relocate(session, base, shift + window, |strip| move_bases(strip, shift))
}

/// Changes all records, and lets the window have `size` bytes from bus address `base` on.
pub(super) fn relocate(
    session: &mut Session<'_>,
    base: u64,
    size: u32,
    change: impl Fn(&mut Strip),
) -> Result<(), String> {
    for index in 0..session.program.descriptors() {
        let mut changed = strip(session, index).clone();
        change(&mut changed);
        write_strip(session, index, &changed)?;
    }
    let link = session.accelerator.link();
    for (register, value) in [
        (registers::MEMORY_BASE_LOW, base as u32),
        (registers::MEMORY_BASE_HIGH, (base >> 32) as u32),
        (registers::MEMORY_SIZE, size),
    ] {
        link.write_register(register, value).map_err(text)?;
    }
    Ok(())
}

fn move_bases(strip: &mut Strip, shift: u32) {
    let segments = strip.passes.iter_mut().flat_map(|pass| &mut pass.table);
    segments.for_each(|segment| segment.base += shift);
    let descriptor = &mut strip.descriptor;
    descriptor.parameter_base += shift;
    descriptor.pass_base += shift;
    descriptor.matrix_base += shift;
    descriptor.output_base += shift;
    if descriptor.op == Op::Scores as u32 {
        descriptor.bias_base += shift;
    }
}

/// Planes and logits, one after the other.
fn outputs(session: &mut Session<'_>) -> Vec<u8> {
    let ranges = session.outputs();
    let bytes = session.accelerator.link().memory().bytes();
    ranges.into_iter().flat_map(|range| bytes[range].iter().copied()).collect()
}
