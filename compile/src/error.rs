//! Why a network cannot be laid out for a core.

use isa::config::ConfigError;
use isa::program::MemoryError;

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
        /// What was counted: `fan-in`.
        what: String,
        /// The value found.
        found: i64,
        /// The values allowed, in words.
        allowed: String,
        /// What to do about it.
        advice: &'static str,
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
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The network is not one that can be run.
    #[error("network `{network}`: {reason}")]
    Network {
        /// Name of the network.
        network: String,
        /// What is wrong, with the values found and allowed.
        reason: String,
    },
}
