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
//! [`work`](crate::work). If every input spiked once, the events would be the [multiplications](products) of the network as a float one.

use crate::network::{Axis, Grid, Layer, Network, Operation, Source, Taps, Term, Walk, Weights};
use crate::spikes::{SpikePlane, ones};

/// Synaptic events of every layer, from the spikes that each layer but the readout transmits.
///
/// # Panics
/// If `planes` does not have the plane of each layer but the readout, or the network was not validated.
pub fn events(network: &Network, planes: &[SpikePlane]) -> Vec<u64> {
    assert_eq!(planes.len() + 1, network.layers.len(), "one plane for each layer but the readout");
    let spikes: Vec<u64> = planes.iter().map(SpikePlane::spikes).collect();
    let seen = |source: Source, taps: Taps, grid: Grid| match source {
        Source::Image => 0,
        Source::Plane(id) if taps == Taps::TOKEN => spikes[id.0],
        Source::Plane(id) => {
            let seen = readers(taps, network.layer(id).grid, grid);
            seen.iter().enumerate().map(|(token, seen)| ones(planes[id.0].row(token)) * seen).sum()
        }
    };
    network.layers.iter().map(|layer| of_layer(network, layer, seen)).collect()
}

/// Products of a weight (or a key, or a value) and an input that every layer sums up once an image, as a float network multiplies and
/// accumulates: of dense and diagonal terms, pools among them, of the image, and of attention. Taps outside a source's grid have none.
///
/// # Panics
/// If the network was not validated.
pub fn products(network: &Network) -> Vec<u64> {
    let seen = |source: Source, taps: Taps, grid: Grid| {
        let (from, channels) = match source {
            Source::Image => (network.image.grid(), network.image.channels),
            Source::Plane(id) => (network.layer(id).grid, cells(network.layer(id))),
        };
        readers(taps, from, grid).iter().sum::<u64>() * channels as u64
    };
    network.layers.iter().map(|layer| of_layer(network, layer, seen)).collect()
}

/// Additions of a layer, of whose sources its taps see so many spikes in all.
fn of_layer(network: &Network, layer: &Layer, seen: impl Fn(Source, Taps, Grid) -> u64) -> u64 {
    let plane = |id| seen(Source::Plane(id), Taps::TOKEN, network.layer(id).grid);
    let outputs = |term: &Term| if let Weights::Dense(_) = term.weights { layer.channels as u64 } else { 1 };
    match &layer.operation {
        Operation::Linear { terms, .. } => {
            terms.iter().map(|term| seen(term.source, term.taps, layer.grid) * outputs(term)).sum()
        }
        Operation::Scores { query, .. } => match layer.walk {
            Walk::Windows(windows) => plane(*query) * windows.tokens() as u64,
            Walk::Raster => unreachable!("validated: attention walks windows"),
        },
        Operation::Context { scores, heads, .. } => plane(*scores) * (layer.channels / heads) as u64,
    }
}

/// Cells of a token of a layer's plane: one a channel, of scores one a head and key.
fn cells(layer: &Layer) -> usize {
    match layer.operation {
        Operation::Scores { heads, .. } => heads * layer.channels,
        Operation::Linear { .. } | Operation::Context { .. } => layer.channels,
    }
}

/// How many pairs of token and tap read each position of a source.
fn readers(taps: Taps, source: Grid, grid: Grid) -> Vec<u64> {
    let columns = along(taps.columns, source.columns, grid.columns);
    let rows = along(taps.rows, source.rows, grid.rows);
    rows.iter().flat_map(|row| columns.iter().map(move |column| row * column)).collect()
}

/// The same along one dimension.
fn along(axis: Axis, size: usize, tokens: usize) -> Vec<u64> {
    let mut readers = vec![0; size];
    for token in 0..tokens {
        for tap in 0..axis.kernel {
            axis.at(token, tap, size).into_iter().for_each(|position| readers[position] += 1);
        }
    }
    readers
}
