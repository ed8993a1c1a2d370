//! Every bit of every address and stride counts: a run with one bit changed is refused for the address that it leads to.

use super::recovery::{Bench, write_descriptor};
use super::{Cosim, Session, campaign::in_parallel, text};
use crate::random::Random;
use isa::{Descriptor, ErrorCode, Op};
use sim::SimOptions;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An address or stride of a descriptor.
struct Place {
    name: &'static str,
    of: fn(&mut Descriptor) -> &mut u32,
    /// Whether a layer computes an address with it, other than by adding it 0 times.
    used: fn(&Descriptor) -> bool,
}

/// Bits that no aligned address has.
const UNALIGNED: std::ops::Range<u32> = 0..3;
/// Bits that lead out of a window of 4 MiB.
const OUTSIDE: std::ops::Range<u32> = 22..32;

pub(super) fn attention(d: &Descriptor) -> bool {
    Op::ALL.iter().any(|&op| op as u32 == d.op && op.is_attention())
}

fn rows(d: &Descriptor) -> bool {
    d.op != Op::Readout as u32
}

macro_rules! places {
    ($($field:ident |$d:ident| $used:expr;)*) => {
        const PLACES: &[Place] = &[
            $(Place { name: stringify!($field), of: |d| &mut d.$field, used: |$d| $used },)*
            Place { name: "segment_bases", of: |d| &mut d.segment_bases[d.segments as usize - 1], used: |_| true },
        ];
    };
}

places! {
    input_block_y_stride |d| d.blocks_y > 1;
    input_block_x_stride |d| d.blocks_x > 1;
    input_y_stride |d| d.inner_y > 1;
    input_x_stride |d| d.inner_x > 1;
    input_wrap_y |d| d.shift > 0;
    input_wrap_x |d| d.shift > 0;
    input_chunk_stride |d| d.chunks > 1;
    input_group_stride |d| d.groups > 1;
    output_block_y_stride |d| rows(d) && d.blocks_y > 1;
    output_block_x_stride |d| rows(d) && d.blocks_x > 1;
    output_y_stride |d| rows(d) && d.inner_y > 1;
    output_x_stride |d| rows(d) && d.inner_x > 1;
    output_wrap_y |d| rows(d) && d.shift > 0;
    output_wrap_x |d| rows(d) && d.shift > 0;
    output_chunk_stride |d| d.chunks > 1 || !rows(d);
    output_group_stride |d| rows(d) && d.groups > 1;
    parameter_base |_d| true;
    bias_base |d| d.op == Op::Scores as u32;
    output_base |_d| true;
    matrix_base |d| attention(d);
    matrix_group_stride |d| attention(d) && d.groups > 1;
    matrix_block_stride |d| attention(d) && d.blocks_y * d.blocks_x > 1;
    matrix_token_stride |d| attention(d);
    matrix_chunk_stride |d| attention(d) && d.chunks > 1;
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
        let layers = &session.program.layers;
        let Some(layer) = layers.iter().position(|layer| (place.used)(&layer.descriptor)) else {
            return Ok(());
        };
        used.fetch_add(1, Ordering::Relaxed);
        change_bits(&bench, &mut session, place, layer)?;
        bench.recover(&mut session)
    })?;
    Ok(used.into_inner())
}

fn change_bits(bench: &Bench, session: &mut Session<'_>, place: &Place, layer: usize) -> Result<(), String> {
    let good = session.program.layers[layer].descriptor.clone();
    for bit in UNALIGNED.chain(OUTSIDE) {
        let mut bad = good.clone();
        *(place.of)(&mut bad) ^= 1 << bit;
        write_descriptor(session, layer, &bad.to_words())?;
        let code = if UNALIGNED.contains(&bit) { ErrorCode::Unaligned } else { ErrorCode::OutOfRange };
        let refused = bench.refused(session, code, Some(layer));
        refused.map_err(|error| format!("bit {bit} of {} changed: {error}", place.name))?;
        session.accelerator.reset().map_err(text)?;
    }
    write_descriptor(session, layer, &good.to_words())
}

/// The first address that a layer takes from its descriptor: bits to bits of `ERROR_ADDRESS`.
const FIRST: [&str; 5] = ["parameter_base", "bias_base", "output_base", "matrix_base", "segment_bases"];

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
        for layer in 0..session.program.layers.len() {
            let good = session.program.layers[layer].descriptor.clone();
            if !(place.used)(&good) || name == "segment_bases" && good.segments > 1 {
                continue;
            }
            // With any low bits, aligned or not. Neither it nor its complement is near either end.
            let outside = random.between(0x0100_0000, 0xfeff_ffff) as u32;
            for address in [outside, !outside] {
                let mut bad = good.clone();
                *(place.of)(&mut bad) = address;
                write_descriptor(&mut session, layer, &bad.to_words())?;
                let aligned = address.is_multiple_of(cosim.core.bus_bytes());
                let code = if aligned { ErrorCode::OutOfRange } else { ErrorCode::Unaligned };
                let fault = bench.refused(&mut session, code, Some(layer))?;
                if fault.address != address {
                    let found = fault.address;
                    return Err(format!("{name} 0x{address:x}: ERROR_ADDRESS is 0x{found:x}"));
                }
                session.accelerator.reset().map_err(text)?;
            }
            write_descriptor(&mut session, layer, &good.to_words())?;
        }
        bench.recover(&mut session)
    })
}
