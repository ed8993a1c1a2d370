//! Synaptic events: how many accumulations the spikes of a run drive, the measure of a spiking network's work.
//!
//! Each spike that a layer transmits adds one weight to every neuron that reads it. A *synaptic event* is one such addition, also
//! of a weight 0; it is counted at the layer that adds:
//! - linear: each spike under each tap of each token, once for each output channel (a diagonal term: once, for it is read by its own
//!   channel alone); none for the image, whose bytes are numbers and no spikes;
//! - scores: each query spike, once for each key of its window. The keys' spikes are the weights of this product, as are the
//!   values' spikes of the next: what they drop falls out of the sum, but no addition is saved;
//! - context: each attention spike, once for each channel of its head.
//!
//! This is the count of *step by step* walks without regard to lanes. What the core makes of it, merged and in parallel, is in
//! [`work`](crate::work).

use crate::network::{Axis, Grid, Layer, Network, Operation, Source, Taps, Term, Walk, Weights};
use crate::spikes::{SpikePlane, ones};

/// Synaptic events of every layer, from the spikes that each layer but the readout transmits.
///
/// # Panics
/// If `planes` does not have the plane of each layer but the readout, or the network was not validated.
pub fn events(network: &Network, planes: &[SpikePlane]) -> Vec<u64> {
    assert_eq!(planes.len() + 1, network.layers.len(), "one plane for each layer but the readout");
    let spikes: Vec<u64> = planes.iter().map(SpikePlane::spikes).collect();
    let term = |layer: &Layer, term: &Term| {
        let Source::Plane(id) = term.source else { return 0 };
        let seen = if term.taps == Taps::TOKEN {
            spikes[id.0]
        } else {
            under_taps(&planes[id.0], term.taps, network.layer(id).grid, layer.grid)
        };
        seen * if let Weights::Dense(_) = term.weights { layer.channels as u64 } else { 1 }
    };
    let count = |layer: &Layer| match &layer.operation {
        Operation::Linear { terms, .. } => terms.iter().map(|of| term(layer, of)).sum(),
        Operation::Scores { query, .. } => match layer.walk {
            Walk::Windows(windows) => spikes[query.0] * windows.tokens() as u64,
            Walk::Raster => unreachable!("validated: attention walks windows"),
        },
        Operation::Context { scores, heads, .. } => spikes[scores.0] * (layer.channels / heads) as u64,
    };
    network.layers.iter().map(count).collect()
}

/// The spikes of a plane, each as often as a tap of a token sees it.
fn under_taps(plane: &SpikePlane, taps: Taps, source: Grid, grid: Grid) -> u64 {
    let rows = readers(taps.rows, source.rows, grid.rows);
    let columns = readers(taps.columns, source.columns, grid.columns);
    let seen = |token: usize| rows[token / source.columns] * columns[token % source.columns];
    (0..source.tokens()).map(|token| ones(plane.row(token)) * seen(token)).sum()
}

/// How many pairs of token and tap read each position along one dimension.
fn readers(axis: Axis, size: usize, tokens: usize) -> Vec<u64> {
    let mut readers = vec![0; size];
    for token in 0..tokens {
        for tap in 0..axis.kernel {
            axis.at(token, tap, size).into_iter().for_each(|position| readers[position] += 1);
        }
    }
    readers
}
