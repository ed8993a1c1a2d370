//! Strides of any size: networks whose planes lie spread over all addresses, each word where its offset times a large factor leads to.
//!
//! The memory knows where rows can be and takes no burst elsewhere, so no bit of an address or stride can be wrong unseen. Rows lie
//! across borders of 4 KiB in all ways.

use super::campaign::{Worlds, in_parallel};
use super::recovery::Bench;
use super::window::relocate;
use super::{Cosim, Session};
use crate::random::Random;
use crate::random_network::Case;
use isa::LARGEST_WINDOW;
use isa::program::Strip;
use sim::axi::Spread;
use std::ops::Range;

/// The network with every operation, spread in several ways, gives what it always gives.
///
/// # Errors
/// The first run that differs.
pub fn strides_may_be_large(cosim: &Cosim) -> Result<(), String> {
    let bench = Bench::new();
    in_parallel(&[0, 1, 2, 3, 4, 5], |&seed| {
        let mut session = bench.session(cosim, &Worlds::Mixed.of(seed))?;
        let spread = spread(&mut session, seed)?;
        bench.compare(&mut session).map_err(|error| format!("seed {seed}, {spread:x?}: {error}"))
    })
}

/// So do random networks.
///
/// # Errors
/// The first that differs.
pub fn networks_may_be_spread(cosim: &Cosim, seeds: Range<u64>) -> Result<(), String> {
    let seeds: Vec<u64> = seeds.collect();
    in_parallel(&seeds, |&seed| {
        let case = Case::random(seed, 1 + seed as u32 % 4);
        let network = case.configure();
        let mut session = cosim.session(&network, &Worlds::Mixed.of(seed))?;
        let spread = spread(&mut session, seed)?;
        session.compare(&case.image).map(drop).map_err(|error| format!("{case:?}, {spread:x?}: {error}"))
    })
}

/// Moves planes, inputs and logits apart; descriptors and parameters stay below them.
fn spread(session: &mut Session<'_>, seed: u64) -> Result<Spread, String> {
    let mut random = Random(seed);
    let records = session.program.strips().flat_map(|strip| {
        let of_passes = strip.passes.iter().map(|pass| pass.segment_words);
        of_passes.chain([strip.descriptor.output_words, strip.descriptor.key_words])
    });
    let words = records.max().unwrap_or(1);
    let (row, total) = (8 * words, session.program.total_bytes);
    let align = |at: u64| at & !63;
    let from = align(total + 63 + random.bits() % LARGEST_WINDOW / 8);
    let most = (LARGEST_WINDOW - from) / total - 1;
    let spread = Spread { from, factor: most / 2 + random.bits() % (most / 2), row: row.into() };
    relocate(session, 0, LARGEST_WINDOW as u32, |strip| spread_strip(strip, &spread))?;
    session.accelerator.link().memory().spread(spread.clone());
    Ok(spread)
}

fn spread_strip(strip: &mut Strip, spread: &Spread) {
    let (from, factor) = (spread.from as u32, spread.factor as u32);
    let (d, passes) = (&mut strip.descriptor, &mut strip.passes);
    let apart = |base: &mut u32| *base = from.wrapping_add(base.wrapping_mul(factor));
    passes.iter_mut().flat_map(|pass| &mut pass.table).for_each(|segment| apart(&mut segment.base));
    apart(&mut d.output_base);
    if super::addresses::attention(d) {
        apart(&mut d.matrix_base);
    }
    for pass in passes {
        for stride in [
            &mut pass.block_y_stride,
            &mut pass.block_x_stride,
            &mut pass.y_stride,
            &mut pass.x_stride,
            &mut pass.wrap_y,
            &mut pass.wrap_x,
            &mut pass.chunk_stride,
            &mut pass.group_stride,
        ] {
            *stride = stride.wrapping_mul(factor);
        }
    }
    for stride in [
        &mut d.output_block_y_stride,
        &mut d.output_block_x_stride,
        &mut d.output_y_stride,
        &mut d.output_x_stride,
        &mut d.output_wrap_y,
        &mut d.output_wrap_x,
        &mut d.output_chunk_stride,
        &mut d.output_group_stride,
        &mut d.matrix_group_stride,
        &mut d.matrix_block_stride,
        &mut d.matrix_token_stride,
        &mut d.matrix_chunk_stride,
    ] {
        *stride = stride.wrapping_mul(factor);
    }
}
