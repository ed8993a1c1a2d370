//! Checkpoint import, QCFS conversion, the integer network and its bit-exact reference executor.
//!
//! [`network`] defines the integer network and what each layer computes: the contract that hardware and reference share.

pub mod network;

pub use network::{Layer, LayerId, Network};
