//! Every bit of every address and stride counts: a run with one bit changed is refused for the address that it leads to.

use super::recovery::{Bench, write_strip};
use super::{Cosim, Session, campaign::in_parallel, text};
use crate::random::Random;
use isa::program::Strip;
use isa::{Descriptor, ErrorCode, Op, Pass};
use sim::SimOptions;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An address or stride of a descriptor or of its first pass.
struct Place {
    name: &'static str,
    of: fn(&mut Strip) -> &mut u32,
    /// Whether a layer computes an address with it, other than by adding it 0 times.
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

/// Whether the first token reads its first segment, from where the pass says.
fn reads_first(pass: &Pass) -> bool {
    pass.segments == 1 && (pass.start_y, pass.start_x) == (0, 0)
}

macro_rules! places {
    ($($record:ident $field:ident |$d:ident, $p:ident| $used:expr;)*) => {
        const PLACES: &[Place] = &[
            $(Place {
                name: stringify!($field),
                of: places!(@of $record $field),
                used: |strip| {
                    #[allow(unused_variables)]
                    let ($d, $p) = (&strip.descriptor, &strip.passes[0]);
                    $used
                },
            },)*
            Place { name: "segment_base", of: |strip| &mut strip.passes[0].table[0].base, used: |strip| reads_first(&strip.passes[0]) },
        ];
    };
    (@of layer $field:ident) => { |strip| &mut strip.descriptor.$field };
    (@of pass $field:ident) => { |strip| &mut strip.passes[0].$field };
}

places! {
    pass block_y_stride |d, p| d.blocks_y > 1 && reads_first(p);
    pass block_x_stride |d, p| d.blocks_x > 1 && reads_first(p);
    pass y_stride |d, p| d.inner_y > 1 && reads_first(p);
    pass x_stride |d, p| d.inner_x > 1 && reads_first(p);
    pass wrap_y |d, p| d.shift > 0;
    pass wrap_x |d, p| d.shift > 0;
    pass chunk_stride |d, p| d.chunks > 1 && reads_first(p);
    pass group_stride |d, p| d.groups > 1;
    layer output_block_y_stride |d, p| rows(d) && d.blocks_y > 1;
    layer output_block_x_stride |d, p| rows(d) && d.blocks_x > 1;
    layer output_y_stride |d, p| rows(d) && d.inner_y > 1;
    layer output_x_stride |d, p| rows(d) && d.inner_x > 1;
    layer output_wrap_y |d, p| rows(d) && d.shift > 0;
    layer output_wrap_x |d, p| rows(d) && d.shift > 0;
    layer output_chunk_stride |d, p| d.chunks > 1 || !rows(d);
    layer output_group_stride |d, p| rows(d) && d.groups > 1;
    layer parameter_base |d, p| true;
    layer pass_base |d, p| true;
    layer bias_base |d, p| d.op == Op::Scores as u32;
    layer output_base |d, p| true;
    layer matrix_base |d, p| true;
    layer matrix_group_stride |d, p| attention(d) && d.groups > 1;
    layer matrix_block_stride |d, p| attention(d) && d.blocks_y * d.blocks_x > 1;
    layer matrix_token_stride |d, p| attention(d);
    layer matrix_chunk_stride |d, p| attention(d) && d.chunks > 1;
}

/// Changes each bit that must be refused, of each address and stride, in the first descriptor that uses it; returns how many are used.
///
/// # Errors
/// The first that was not refused as it must be, or after which the core did not recover.
pub fn every_address_bit_counts(cosim: &Cosim) -> Result<usize, String> {
    let bench = Bench::new();
    let used = AtomicUsize::new(0);
    in_parallel(PLACES, |place| {
        let mut session = bench.session(cosim, &SimOptions::default())?;
        let Some(index) = session.program.strips().position(|strip| (place.used)(strip)) else {
            return Ok(());
        };
        used.fetch_add(1, Ordering::Relaxed);
        change_bits(&bench, &mut session, place, index)?;
        bench.recover(&mut session)
    })?;
    Ok(used.into_inner())
}

fn change_bits(bench: &Bench, session: &mut Session<'_>, place: &Place, index: usize) -> Result<(), String> {
    let good = strip(session, index)?;
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

/// A descriptor of the program, with its passes.
pub(super) fn strip(session: &Session<'_>, index: usize) -> Result<Strip, String> {
    session.program.strips().nth(index).cloned().ok_or_else(|| format!("no descriptor {index}"))
}

/// The first address that a layer takes from its descriptor: bits to bits of `ERROR_ADDRESS`.
const FIRST: [&str; 6] =
    ["parameter_base", "pass_base", "bias_base", "output_base", "matrix_base", "segment_base"];

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
            let good = strip(&session, index)?;
            if !(place.used)(&good) {
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
