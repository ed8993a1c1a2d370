//! What stands around the core on a board.
//!
//! | module | job |
//! |---|---|
//! | [`uart_rx`], [`uart_tx`] | bytes on a serial line |
//! | [`serial_bridge`] | LiteX's uartbone: commands in, accesses out |
//! | [`host_bus`] | leads an access to the memory, the core's registers or its own |
//! | [`axi_ram`] | memory in block RAM, for the core's bursts and the host's words |
//! | [`mst_soc`](mod@mst_soc) | all of it around an `mst_core` |

pub mod axi_ram;
pub mod host_bus;
pub mod mst_soc;
pub mod serial_bridge;
pub mod uart_rx;
pub mod uart_tx;

pub use mst_soc::mst_soc;
