//! Layers that read what the layer before them has just written, behind a memory whose reads overtake its writes.

use super::{Cosim, campaign::in_parallel, rough_world};
use crate::random_network::Case;
use model::network::{LayerId, Network, Operation, Source};
use sim::SimOptions;
use std::ops::Range;
use std::time::Duration;

/// What a layer reads is in memory before it is read: inputs, keys and values.
///
/// The networks are small, so that a layer ends while its last writes are still under way, and keys and values are computed last.
///
/// # Errors
/// The first network that differs.
pub fn reads_wait_for_writes(cosim: &Cosim, seeds: Range<u64>) -> Result<(), String> {
    let seeds: Vec<u64> = seeds.collect();
    in_parallel(&seeds, |&seed| {
        // Attention is rare in small networks.
        let case = if seed.is_multiple_of(2) { Case::random(seed, 1) } else { Case::one_window(seed, 2) };
        let network = matrices_last(&case.network);
        let network = network.configure(&case.options).map_err(|error| format!("seed {seed}: {error}"))?;
        let world = SimOptions { latency: 0..=300, outstanding: 16, ..rough_world(seed) };
        cosim.check(&network, &case.image, &world).map(drop).map_err(|error| format!("{error}; {case:?}"))
    })
}

/// The same of a network with more layers than most bits of a layer's number count.
///
/// # Errors
/// If it differs.
pub fn late_layers_wait_too(cosim: &Cosim, layers: usize) -> Result<(), String> {
    let cosim = Cosim { deadline: Duration::from_millis(100), ..cosim.clone() };
    let world = SimOptions { latency: 0..=100, outstanding: 16, ..rough_world(1) };
    let case = Case::deep(layers);
    cosim.check(&case.configure(), &case.image, &world).map(drop)
}

/// The same network with the layers of each attention in the order query, key, scores, value, context.
fn matrices_last(network: &Network) -> Network {
    let mut order: Vec<usize> = (0..network.layers.len()).collect();
    for context in 0..network.layers.len() {
        let Operation::Context { scores, value, .. } = network.layers[context].operation else { continue };
        let Operation::Scores { query, key, .. } = network.layers[scores.0].operation else { continue };
        let mut places = [query.0, key.0, scores.0, value.0, context];
        places.sort_unstable();
        for (place, layer) in places.into_iter().zip([query.0, key.0, scores.0, value.0, context]) {
            order[place] = layer;
        }
    }
    let moved = |id: &mut LayerId| id.0 = order.iter().position(|&old| old == id.0).unwrap_or(id.0);
    let mut layers: Vec<_> = order.iter().map(|&old| network.layers[old].clone()).collect();
    for layer in &mut layers {
        match &mut layer.operation {
            Operation::Linear { terms, .. } => {
                for term in terms {
                    if let Source::Plane(id) = &mut term.source {
                        moved(id);
                    }
                }
            }
            Operation::Scores { query, key, .. } => [query, key].into_iter().for_each(moved),
            Operation::Context { scores, value, .. } => [scores, value].into_iter().for_each(moved),
        }
    }
    Network { layers, ..network.clone() }
}
