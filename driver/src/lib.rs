//! Reaches an accelerator through a [`Link`], loads a [`Program`](isa::program::Program) into it and runs inference.
//!
//! - [`link`]: how registers, memory and interrupt are reached; a board and a simulation differ only here.
//! - [`pcie`]: a card on PCIe.
//! - [`serial`]: a board on a serial port.
//! - [`accelerator`]: load, infer, profile, read back; errors say which register held what.
//! - [`fleet`]: several accelerators that share a batch.

pub mod accelerator;
pub mod error;
pub mod fleet;
pub mod link;
pub mod pcie;
pub mod serial;

pub use accelerator::{Accelerator, Inference, LayerProfile};
pub use error::{CoreFault, DriverError};
pub use fleet::{Batch, CardFailure, CardId, Fleet, FleetError};
pub use isa::Counters;
pub use link::{Link, LinkError};
pub use serial::{SerialError, SerialLink};
