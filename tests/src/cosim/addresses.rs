//! Every bit of every address and stride counts: a run with one bit changed is refused for the address that it leads to.

use super::recovery::{Bench, strip, write_strip};
use super::{Cosim, Session, campaign::in_parallel, text};
use crate::random::Random;
use isa::program::Strip;
use isa::{Descriptor, ErrorCode, Op};
use sim::SimOptions;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An address or stride of a strip's records.
struct Place {
    name: &'static str,
    of: fn(&mut Strip) -> &mut u32,
    /// Whether an address is computed with it, other than by adding it 0 times.
    used: fn(&Strip) -> bool,
}

/// Bits that no aligned address has.
const UNALIGNED: std::ops::Range<u32> = 0..3;
/// Bits that lead out of a window of 4 MiB.
const OUTSIDE: std::ops::Range<u32> = 22..32;

pub(super) fn attention(d: &Descriptor) -> bool {
    Op::ALL.iter().any(|&op| op as u32 == d.op && op.is_attention())
}

fn rows(d: &Descriptor) -> bool {
    d.sum == 0
}

macro_rules! places {
    ($($record:ident $field:ident |$d:ident| $used:expr;)*) => {
        const PLACES: &[Place] = &[
            $(places!(@$record $field |$d| $used),)*
            Place {
                name: "base of the last segment",
                of: |strip| {
                    let last = strip.passes.last_mut().and_then(|pass| pass.table.last_mut());
                    &mut last.expect("a pass has segments").base
                },
                used: |_| true,
            },
        ];
    };
    (@descriptor $field:ident |$d:ident| $used:expr) => {
        Place {
            name: stringify!($field),
            of: |strip| &mut strip.descriptor.$field,
            used: |strip| { let $d = &strip.descriptor; $used },
        }
    };
    (@pass $field:ident |$d:ident| $used:expr) => {
        Place {
            name: concat!("pass ", stringify!($field)),
            of: |strip| &mut strip.passes.last_mut().expect("a strip has passes").$field,
            used: |strip| { let $d = &strip.descriptor; $used },
        }
    };
}

places! {
    pass block_y_stride |d| d.blocks_y > 1;
    pass block_x_stride |d| d.blocks_x > 1;
    pass y_stride |d| d.inner_y > 1;
    pass x_stride |d| d.inner_x > 1;
    pass wrap_y |d| d.shift > 0;
    pass wrap_x |d| d.shift > 0;
    pass chunk_stride |d| d.chunks > 1;
    pass group_stride |d| d.groups > 1;
    descriptor output_block_y_stride |d| rows(d) && d.blocks_y > 1;
    descriptor output_block_x_stride |d| rows(d) && d.blocks_x > 1;
    descriptor output_y_stride |d| rows(d) && d.inner_y > 1;
    descriptor output_x_stride |d| rows(d) && d.inner_x > 1;
    descriptor output_wrap_y |d| rows(d) && d.shift > 0;
    descriptor output_wrap_x |d| rows(d) && d.shift > 0;
    descriptor output_chunk_stride |d| d.chunks > 1 || !rows(d);
    descriptor output_group_stride |d| rows(d) && d.groups > 1;
    descriptor parameter_base |_d| true;
    descriptor pass_base |_d| true;
    descriptor bias_base |d| d.op == Op::Scores as u32;
    descriptor output_base |_d| true;
    descriptor matrix_base |_d| true;
    descriptor matrix_group_stride |d| attention(d) && d.groups > 1;
    descriptor matrix_block_stride |d| attention(d) && d.blocks_y * d.blocks_x > 1;
    descriptor matrix_token_stride |d| attention(d);
    descriptor matrix_chunk_stride |d| attention(d) && d.chunks > 1;
}

/// Changes each bit that must be refused, of each address and stride, in the first layer that uses it; returns how many are used.
///
/// # Errors
/// The first that was not refused as it must be, or after which the core did not recover.
pub fn every_address_bit_counts(cosim: &Cosim) -> Result<usize, String> {
    let bench = Bench::new();
    let used = AtomicUsize::new(0);
    in_parallel(PLACES, |place| {
        let mut session = bench.session(cosim, &SimOptions::default())?;
        let Some(index) = session.program.strips().position(place.used) else { return Ok(()) };
        used.fetch_add(1, Ordering::Relaxed);
        change_bits(&bench, &mut session, place, index)?;
        bench.recover(&mut session)
    })?;
    Ok(used.into_inner())
}

fn change_bits(bench: &Bench, session: &mut Session<'_>, place: &Place, index: usize) -> Result<(), String> {
    let good = strip(session, index).clone();
    for bit in UNALIGNED.chain(OUTSIDE) {
        let mut bad = good.clone();
        *(place.of)(&mut bad) ^= 1 << bit;
        write_strip(session, index, &bad)?;
        let code = if UNALIGNED.contains(&bit) { ErrorCode::Unaligned } else { ErrorCode::OutOfRange };
        let refused = bench.refused(session, code, Some(index));
        refused.map_err(|error| format!("bit {bit} of {} changed: {error}", place.name))?;
        session.accelerator.reset().map_err(text)?;
    }
    write_strip(session, index, &good)
}

/// The first address that a layer takes from its records: bits to bits of `ERROR_ADDRESS`.
const FIRST: [&str; 6] =
    ["parameter_base", "pass_base", "bias_base", "output_base", "matrix_base", "base of the last segment"];

/// An access that is refused is named by its whole address: each bit of it is 1 in one run and 0 in another.
///
/// # Errors
/// The first that was not.
pub fn refused_accesses_are_named(cosim: &Cosim) -> Result<(), String> {
    let bench = Bench::new();
    in_parallel(&FIRST, |&name| {
        let place = PLACES.iter().find(|place| place.name == name).ok_or(name)?;
        let mut session = bench.session(cosim, &SimOptions::default())?;
        let mut random = Random(1);
        for index in 0..session.program.descriptors() {
            let good = strip(&session, index).clone();
            let one_segment = good.passes.len() == 1 && good.passes[0].segments == 1;
            if !(place.used)(&good) || name == "base of the last segment" && !one_segment {
                continue;
            }
            // With any low bits, aligned or not. Neither it nor its complement is near either end.
            let outside = random.between(0x0100_0000, 0xfeff_ffff) as u32;
            for address in [outside, !outside] {
                let mut bad = good.clone();
                *(place.of)(&mut bad) = address;
                write_strip(&mut session, index, &bad)?;
                let aligned = address.is_multiple_of(cosim.core.bus_bytes());
                let code = if aligned { ErrorCode::OutOfRange } else { ErrorCode::Unaligned };
                let fault = bench.refused(&mut session, code, Some(index))?;
                if fault.address != address {
                    let found = fault.address;
                    return Err(format!("{name} 0x{address:x}: ERROR_ADDRESS is 0x{found:x}"));
                }
                session.accelerator.reset().map_err(text)?;
            }
            write_strip(&mut session, index, &good)?;
        }
        bench.recover(&mut session)
    })
}
