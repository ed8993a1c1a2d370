//! A PCIe card: [`isa::pcie`] above whatever reaches the function.

pub mod function;

pub use function::{Buffer, Direction, Function};
