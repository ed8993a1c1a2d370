//! Shared stimuli of the tests that cross crates.

pub mod cosim;
pub mod coverage;
#[cfg(any())]
pub mod gate_level;
#[cfg(any())]
pub mod mutation;
pub mod naive;
pub mod random;
pub mod random_network;
#[cfg(any())]
pub mod yosys;
