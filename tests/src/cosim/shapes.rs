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
    each(cosim, seeds, "stretched", Case::stretched)
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
    each(cosim, seeds, "long_running", Case::long_running)
}

fn each(cosim: &Cosim, seeds: Range<u64>, name: &str, case: fn(u64) -> Case) -> Result<(), String> {
    let seeds: Vec<u64> = seeds.collect();
    in_parallel(&seeds, |&seed| {
        let outcome = check(cosim, &case(seed), &Worlds::Mixed.of(seed));
        outcome.map_err(|error| format!("Case::{name}({seed}): {error}"))
    })
}

fn check(cosim: &Cosim, case: &Case, world: &SimOptions) -> Result<(), String> {
    cosim.check(&case.configure(), &case.image, world).map(drop)
}
