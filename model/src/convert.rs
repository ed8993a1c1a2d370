//! From a trained network to an integer one: by way of its [graph](crate::graph), whose passes say how.

use crate::checkpoint::Checkpoint;
use crate::error::ModelError;
use crate::graph::{Graph, LowerOptions, Lowered, lower};
use crate::network::{Network, Schedule};
use crate::run::Configured;
use serde::Serialize;

/// How to convert.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvertOptions {
    /// Name of the network.
    pub name: String,
    /// When the neurons of all layers fire.
    pub schedule: Schedule,
    /// Number of time steps that scales leave room for, in a 24-bit membrane and the 16-bit bias rows of scores. More may
    /// still fit.
    pub time_steps: u32,
}

impl ConvertOptions {
    /// Two-phase neurons, room for 16 time steps.
    pub fn new(name: impl Into<String>) -> ConvertOptions {
        ConvertOptions { name: name.into(), schedule: Schedule::AfterAll, time_steps: 16 }
    }
}

/// Converts a checkpoint. Layers keep the checkpoint's names; scores and context are `attn.scores` and `attn.context`. Layers
/// that were trained with masks are masked.
///
/// # Errors
/// If a value is too large or a threshold too small for an integer network, or the result does not [configure](Network::configure)
/// for the time steps that it is to have room for.
pub fn convert(checkpoint: &Checkpoint, options: &ConvertOptions) -> Result<Network, ModelError> {
    convert_and_measure(Graph::from(checkpoint), options).map(|converted| converted.network)
}

/// Converts a graph, and says for each layer what became of its float values.
///
/// # Errors
/// As [`lower()`].
pub fn convert_and_measure(graph: Graph, options: &ConvertOptions) -> Result<Converted, ModelError> {
    let graph = Graph { name: options.name.clone(), ..graph };
    let options = LowerOptions { schedule: options.schedule, time_steps: options.time_steps };
    let Lowered { network, configured, precision } = lower(&graph, &options)?;
    Ok(Converted { network, configured, precision })
}

/// A converted network, and what conversion did.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The network.
    pub network: Network,
    /// The network as it runs for the time steps that it has room for, with the bounds of its sums.
    pub configured: Configured,
    /// One a layer.
    pub precision: Vec<Precision>,
}

/// What a layer's threshold was, and what rounding did to what it adds up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Precision {
    /// Smallest and largest threshold of the activations in the checkpoint; absent for the readout.
    pub threshold: Option<[f32; 2]>,
    /// Of weights, gains or (scores) position biases; absent for context, which adds nothing but spikes.
    pub rounding: Option<Rounding>,
}

/// How far rounded values lie from those of the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rounding {
    /// Root of the mean square error, as a share of that of the values.
    pub relative_rms: f64,
    /// Largest error, as a share of the largest value of the same neuron.
    pub largest: f64,
}
