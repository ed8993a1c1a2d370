//! Shared stimuli of the tests that cross crates.

pub mod cosim;
pub mod coverage;
pub mod gate_level;
pub mod mutation;
pub mod naive;
pub mod random;
pub mod random_network;
pub mod yosys;
