//! Each component of the core and of what stands around it, Verilated alone, against a few lines of Rust that say what it does.
//!
//! Stimuli are random and come from seeds, so that a failure repeats; a failing case is named by its seed.

mod architecture_page;
mod array_bench;
mod axi_ram;
mod csr;
mod descriptor_check;
mod device;
mod dma_read;
mod dma_write;
mod generated;
mod if_neuron_array;
mod input_fetcher;
mod job_control;
mod key_loader;
mod key_transposer;
mod layer_loader;
mod lfsr_mask_gate;
mod pass_check;
mod perf_counters;
mod run_control;
mod scanner_bench;
mod serial_bridge;
mod spike_packer;
mod spike_scanner;
mod stream_fifo;
mod token_walker;
mod uart;
