//! Shared stimuli of the tests that cross crates.

pub mod cosim;
pub mod naive;
pub mod random;
pub mod random_network;
