//! Registers, layer descriptors, pass records and memory layouts of the accelerator: the one definition that hardware, driver and
//! documents read.
//!
//! - [`registers`]: the AXI4-Lite register map of `mst_core`.
//! - [`descriptor`]: the record that describes one layer.
//! - [`pass`]: the record that describes how one slice of a layer's inputs is gathered.
//! - [`layout`]: how spikes, weights, parameters and logits lie in memory.
//! - [`errors`]: the codes with which the core refuses work.
//! - [`c_header`]: renders registers, descriptors, pass records and error codes as a C header.
//! - [`config`]: the sizes of one generated core (`mst_core.json`).
//! - [`mask`]: the seeds and the shift register of random spike masking.
//! - [`names`]: what networks, layers and classes may be called.
//! - [`program`]: a network compiled for a core, and its file.
//! - [`pcie`]: the address map of `mst_pcie`, its registers and its sizes (`mst_pcie.json`).
//! - [`soc`]: the address map of `mst_soc`, its registers and its sizes (`mst_soc.json`).
//! - [`reference`](mod@reference): renders all of it as the page `docs/isa.md`.
//! - [`systemrdl`]: renders the registers for register tools.

pub mod c_header;
pub mod config;
pub mod counters;
pub mod descriptor;
pub mod errors;
pub mod layout;
pub mod mask;
pub mod names;
pub mod pass;
pub mod pcie;
pub mod program;
mod record;
pub mod reference;
mod register_map;
pub mod registers;
mod shape;
pub mod soc;
pub mod systemrdl;

pub use config::CoreConfig;
pub use counters::{COUNTERS, Counter, Counters};
pub use descriptor::{Descriptor, Op, Schedule};
pub use errors::ErrorCode;
pub use pass::Pass;
pub use pcie::PcieConfig;
pub use record::Field;
pub use shape::{Axis, Grid, ImageShape, Taps};
pub use soc::SocConfig;

/// Identity register value: `MST1` in ASCII, most significant byte first.
pub const IDENTITY: u32 = 0x4d53_5431;

/// Version of the register map, the descriptor and the layouts: major in the upper, minor in the lower 16 bits. The
/// driver refuses a core whose major version differs from its own.
pub const VERSION: u32 = 0x0002_0000;

/// Most descriptors of one run: what a descriptor's counts of completed ones can say.
pub const MAX_LAYERS: u32 = MAX_COUNT;

/// Largest number of time steps the hardware runs.
pub const MAX_TIME_STEPS: u32 = 64;

/// Time steps that one spike word carries for a channel.
pub const CHUNK_STEPS: u32 = 8;

/// Largest count that a field of a descriptor holds (12 bits): completed descriptors, token rows and columns, passes.
pub const MAX_COUNT: u32 = (1 << 12) - 1;

/// Size and alignment of a page: a memory window has whole ones.
pub const PAGE: u64 = 4096;

/// Bytes of the largest memory window: the most that the register `MEMORY_SIZE` can say in whole pages.
pub const LARGEST_WINDOW: u64 = (1 << 32) - PAGE;

/// Largest number of segments that the input row of one pass is gathered from.
pub const MAX_SEGMENTS: u32 = 16;
