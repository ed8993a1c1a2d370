//! Each component of the core, Verilated alone, against a few lines of Rust that say what it does.
//!
//! Stimuli are random and come from seeds, so that a failure repeats; a failing case is named by its seed.

mod device;
mod scanner_bench;
mod spike_scanner;
