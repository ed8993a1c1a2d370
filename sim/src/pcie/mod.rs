//! `mst_pcie` at a simulated root complex, packet by packet: the generated card with LitePCIe's own generated core, in which the hard
//! block and the clock primitives are models. What the model of the hard block leads out are its streams of packets.
//!
//! - [`litepcie`]: makes LitePCIe's core.
//! - [`root`]: configures the card, reaches BAR 0, answers its reads of [`memory`], takes its interrupts, lets things go wrong.
//! - [`function`]: the same as a [`driver::pcie::Function`].
//! - [`host_memory_slave`]: what LitePCIe's AXI slave would make of the link.

mod beats;
mod completer;
pub mod config_space;
pub mod error;
pub mod function;
pub mod host_memory_slave;
pub mod litepcie;
pub mod memory;
pub mod options;
mod pins;
pub mod root;
mod tlp;

pub use completer::Fault;
pub use error::PcieError;
pub use function::SimFunction;
pub use host_memory_slave::HostMemorySlave;
pub use litepcie::Litepcie;
pub use memory::{Buffers, HostMemory, Placement, Refused, SimBuffer};
pub use options::{RootOptions, Traffic};
pub use root::{CardModel, RootComplex};
