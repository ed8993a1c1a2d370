//! Reaches an accelerator through a [`Link`], loads networks into it and runs inference.
//!
//! - [`link`]: how registers, memory and interrupt are reached; a board and a simulation differ only here.
//! - [`pcie`]: a card on PCIe.
//! - [`serial`]: a board on a serial port.
//! - [`program`]: a network compiled for a core: descriptors, parameters, the places of planes in memory.
//! - [`accelerator`]: load, infer, profile, read back; errors say which register held what.
//! - [`fleet`]: several accelerators that share a batch.

pub mod accelerator;
pub mod error;
pub mod fleet;
pub mod link;
mod patches;
pub mod pcie;
pub mod program;
pub mod serial;

pub use accelerator::{Accelerator, Inference, LayerProfile};
pub use error::{CoreFault, DriverError};
pub use fleet::{Batch, CardFailure, CardId, Fleet, FleetError};
pub use isa::Counters;
pub use link::{Link, LinkError};
pub use program::{Planes, Program, ProgramError, ProgramOptions};
pub use serial::{SerialError, SerialLink};
