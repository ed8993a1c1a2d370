//! Why a network cannot be laid out for a core.

use isa::config::ConfigError;
use isa::program::SecondPlaceError;

/// What a layer has in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Index of the layer.
    pub index: usize,
    /// Name of the layer.
    pub layer: String,
    /// What it is: `parameters and weights`, `inputs`, `spikes`.
    pub what: &'static str,
    /// How much it takes.
    pub bytes: u64,
}

/// Why a network cannot run on a core.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// The core's sizes are out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A layer needs more of something than the core has.
    #[error("layer {index} `{layer}`: {what} is {found}, allowed: {allowed}; {advice}")]
    Limit {
        /// Index of the layer.
        index: usize,
        /// Name of the layer.
        layer: String,
        /// What was counted: `tokens of a window`.
        what: String,
        /// The value found.
        found: i64,
        /// The values allowed, in words.
        allowed: String,
        /// What to do about it.
        advice: String,
    },
    /// A plane is read in ways that no single order of tokens and channels in memory can serve.
    #[error("layer {index} `{layer}` and the plane of `{plane}`: {reason}")]
    Layout {
        /// Index of the layer that reads or writes the plane.
        index: usize,
        /// Name of that layer.
        layer: String,
        /// Name of the layer that the plane belongs to.
        plane: String,
        /// What does not fit, and what would.
        reason: String,
    },
    /// The program does not fit into memory.
    #[error(
        "network `{network}` needs {needed} bytes of accelerator memory, {available} are there; layer {} `{}` takes most of \
         it, {} bytes of {}; use {advice}", largest.index, largest.layer, largest.bytes, largest.what
    )]
    Memory {
        /// Name of the network.
        network: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes there are.
        available: u64,
        /// The largest part.
        largest: Box<Part>,
        /// What would take less, or have more.
        advice: String,
    },
    /// Two images and their logits do not fit into memory side by side.
    #[error(transparent)]
    SecondPlace(#[from] SecondPlaceError),
    /// The host has too little memory for what is written to the accelerator once.
    #[error(
        "network `{network}`: this machine has no {bytes} bytes of memory for its parameters and weights; use a machine with more"
    )]
    Host {
        /// Name of the network.
        network: String,
        /// Bytes needed.
        bytes: u64,
    },
    /// The network is not one that can be run.
    #[error("network `{network}`: {reason}")]
    Network {
        /// Name of the network.
        network: String,
        /// What is wrong, with the values found and allowed.
        reason: String,
    },
}
