//! A PCIe card: [`isa::pcie`] above whatever reaches the function.
//!
//! - [`function`]: what a function offers.
//! - [`link`]: the card as a [`Link`](crate::Link).
//! - [`stream`]: the two streams and their descriptors.
//! - [`vfio`]: a function that Linux gives to this process.
//! - [`error`]: why a card could not be used.

pub mod error;
pub mod function;
pub mod link;
pub mod stream;
#[cfg(target_os = "linux")]
pub mod vfio;

pub use error::{DmaRegisters, PcieError, Stall};
pub use function::{Buffer, Direction, Function};
pub use link::{PcieLink, PcieOptions, Traffic};
pub use stream::Stream;
