//! Each component of the core, Verilated alone, against a few lines of Rust that say what it does.
//!
//! Stimuli are random and come from seeds, so that a failure repeats; a failing case is named by its seed.

mod array_bench;
mod device;
mod dma_read;
mod dma_write;
mod if_neuron_array;
mod key_transposer;
mod scanner_bench;
mod spike_scanner;
mod stream_fifo;
mod token_walker;
