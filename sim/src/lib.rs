//! The accelerator without a board: a core in software, and the Verilated core behind an AXI memory model with random stalls
//! and injected errors. Both are a [`driver::Link`].
//!
//! - [`soft_core`]: an interpreter of descriptors and memory, written from the text of [`isa`] alone.
//! - [`link`]: the Verilated core.
//! - [`card`]: the PCIe card at the level of its registers, around either of them.
//! - [`pins`]: a Verilated `mst_soc` at the other end of a serial line.
//! - [`pcie`]: a Verilated `mst_pcie` at a root complex.
//! - [`axi`]: the memory behind it, and the checker of the bus rules.
//! - [`verilated`]: any generated module as a compiled model, for tests of components too.

pub mod axi;
pub mod card;
mod core_ports;
pub mod link;
pub mod pcie;
pub mod pins;
pub mod soft_core;
pub mod verilated;

pub use card::{Card, CardFunction};
pub use link::{LARGEST_MEMORY, SimError, SimLink, SimOptions};
pub use pins::SocPins;
pub use soft_core::SoftCore;
pub use verilated::{Model, Tracing, Verilated};
