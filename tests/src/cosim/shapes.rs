//! Networks that are large in one way: long grids, wide rows, many heads, many layers, many time steps.

use super::Cosim;
use super::campaign::{Worlds, in_parallel};
use crate::random_network::Case;
use sim::SimOptions;
use std::ops::Range;

/// Stretched networks spike as the reference; every second one stalls.
///
/// # Errors
/// The first that differs.
pub fn networks_may_be_large(cosim: &Cosim, seeds: Range<u64>) -> Result<(), String> {
    let seeds: Vec<u64> = seeds.collect();
    in_parallel(&seeds, |&seed| {
        check(cosim, &Case::stretched(seed), &Worlds::Mixed.of(seed))
            .map_err(|error| format!("Case::stretched({seed}): {error}"))
    })
}

/// So do networks of many layers.
///
/// # Errors
/// The first that differs.
pub fn networks_may_be_deep(cosim: &Cosim, layers: &[usize]) -> Result<(), String> {
    in_parallel(layers, |&layers| {
        let outcome = check(cosim, &Case::deep(layers), &SimOptions::default());
        outcome.map_err(|error| format!("Case::deep({layers}): {error}"))
    })
}

/// So do networks of up to 64 time steps; every second one stalls.
///
/// # Errors
/// The first that differs.
pub fn networks_may_run_long(cosim: &Cosim, seeds: Range<u64>) -> Result<(), String> {
    let seeds: Vec<u64> = seeds.collect();
    in_parallel(&seeds, |&seed| {
        let case = Case::long_running(seed);
        let outcome = check(cosim, &case, &Worlds::Mixed.of(seed));
        outcome.map_err(|error| format!("{error}; Case::long_running({seed}): {case:?}"))
    })
}

fn check(cosim: &Cosim, case: &Case, world: &SimOptions) -> Result<(), String> {
    cosim.check(&case.configure(), &case.image, world).map(drop)
}
