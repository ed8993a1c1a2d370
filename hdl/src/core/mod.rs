//! The accelerator's components, in the order in which data flows.
//!
//! | module | job |
//! |---|---|
//! | [`csr`] | AXI4-Lite registers |
//! | [`run_control`] | starts, stops and recovers a run |
//! | [`layer_loader`] | fetches descriptors, fills the parameter and weight buffers one job ahead |
//! | [`descriptor_check`], [`pass_check`], [`layer_tables`], [`key_loader`] | refuse a bad descriptor or pass; their tables; K and V |
//! | [`input_fetcher`] | walks a layer's tokens and requests their input rows |
//! | [`dma_read`], [`dma_read_stream`], [`dma_write`] | AXI4 bursts |
//! | [`spike_buffer`] | holds two input rows, knows which of their words are active |
//! | [`spike_scanner`] | turns rows into one event a cycle |
//! | [`weight_buffer`], [`parameter_buffer`], [`key_transposer`] | the matrix, the neuron parameters, K turned into rows |
//! | [`sum_buffer`] | partial sums between passes |
//! | [`sparse_attention`] | coincidences of spike trains, shifted-window regions |
//! | [`if_neuron_array`], [`if_neuron`], [`lfsr_mask_gate`] | accumulate, fire, mask |
//! | [`neuron_control`] | the array's shared pipeline: hand-over, threshold steps, time slots |
//! | [`spike_packer`] | spike bytes into memory words |
//! | [`job_control`] | the order of layers and jobs in the array |
//! | [`perf_counters`] | where the cycles went |
//! | [`engine`], [`mst_core`](mod@mst_core) | all of it, wired |

pub(crate) mod codes;
pub mod csr;
pub mod descriptor_check;
pub mod dma_read;
pub mod dma_read_stream;
pub mod dma_write;
pub mod engine;
mod fields;
pub mod if_neuron;
pub mod if_neuron_array;
pub mod input_fetcher;
pub mod job_control;
pub mod key_loader;
pub mod key_transposer;
mod landing;
pub mod layer_loader;
pub mod layer_tables;
pub mod lfsr_mask_gate;
pub mod mst_core;
pub mod neuron_control;
pub mod parameter_buffer;
pub mod pass_check;
pub mod perf_counters;
mod read_back;
mod request;
pub mod run_control;
pub mod sparse_attention;
pub mod spike_buffer;
pub mod spike_packer;
pub mod spike_scanner;
pub mod stream_fifo;
pub mod sum_buffer;
mod terminal_count;
pub mod token_walker;
pub mod weight_buffer;

use crate::rtl::{Fault, RtlError, index_width};
use isa::CoreConfig;
use isa::config::ConfigError;

pub use mst_core::mst_core;

/// Bits of a number of layers.
pub(crate) fn layer_bits() -> u32 {
    index_width(isa::MAX_LAYERS + 1)
}

/// Refuses a configuration for whose shape `module` is not made. How large a size may be is each width's own matter.
pub(crate) fn shaped(module: &'static str, config: &CoreConfig) -> Result<(), RtlError> {
    config.check_shape().map_err(refused(module, "core configuration"))
}

/// The error of a top `module` whose configuration, called `place`, is invalid.
pub(crate) fn refused(module: &'static str, place: &'static str) -> impl FnOnce(ConfigError) -> RtlError {
    move |error| {
        let (what, expected) = (format!("`{}`", error.field), error.allowed.to_owned());
        let fault = Box::new(Fault::BadSize { what, found: error.found.into(), expected });
        RtlError { module: module.into(), place: place.into(), fault }
    }
}
