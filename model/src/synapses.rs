//! Synaptic events: how many accumulations the spikes of a run drive, the measure of a spiking network's work.
//!
//! Each spike that a layer transmits adds one weight to every neuron that reads it. A *synaptic event* is one such addition, also
//! of a weight 0; it is counted at the layer that adds:
//! - dense, readout: each input spike, once for each output channel;
//! - shortcut: each input spike once, for it is read by its own channel alone;
//! - scores: each query spike, once for each key of its window. The keys' spikes are the weights of this product, as are the
//!   values' spikes of the next: what they drop falls out of the sum, but no addition is saved;
//! - context: each attention spike, once for each channel of its head;
//! - analog: none, since pixels are numbers and no spikes.
//!
//! This is the count of *step by step* walks without regard to lanes. What the core makes of it, merged and in parallel, is in
//! [`work`](crate::work).

use crate::network::{Layer, LayerId, Network, Operation, Walk};

/// Synaptic events of every layer, from the spikes that each layer but the readout transmits.
///
/// # Panics
/// If `spikes` does not have an entry for each layer but the readout, or the network was not validated.
pub fn events(network: &Network, spikes: &[u64]) -> Vec<u64> {
    assert_eq!(spikes.len() + 1, network.layers.len(), "one count for each layer but the readout");
    let of = |id: LayerId| spikes[id.0];
    let count = |layer: &Layer| match &layer.operation {
        Operation::Analog { .. } => 0,
        Operation::Dense { input, .. } | Operation::Readout { input, .. } => {
            of(*input) * layer.channels as u64
        }
        Operation::Shortcut { inputs, .. } => inputs.iter().map(|&id| of(id)).sum(),
        Operation::Scores { query, .. } => match layer.walk {
            Walk::Windows(windows) => of(*query) * windows.tokens() as u64,
            Walk::Raster => unreachable!("validated: attention walks windows"),
        },
        Operation::Context { scores, heads, .. } => of(*scores) * (layer.channels / heads) as u64,
    };
    network.layers.iter().map(count).collect()
}
