//! What stands around the core on a board.
//!
//! | module | job |
//! |---|---|
//! | [`uart_rx`], [`uart_tx`] | bytes on a serial line |
//! | [`serial_bridge`] | LiteX's uartbone: commands in, accesses out |
//! | [`host_bus`] | leads an access to the memory, the core's registers or its own |
//! | [`axi_ram`] | memory in block RAM, for the core's bursts and the host's words |
//! | [`mst_soc`](mod@mst_soc) | all of it around an `mst_core` |
//! | [`litepcie`] | LitePCIe's generated core: what it is made from, its ports |
//! | [`card_registers`] | leads an access over PCIe to the core's registers or those of the card |
//! | [`stream_to_card`], [`stream_to_host`] | data between LitePCIe's DMA and memory |
//! | [`memory_arbiter`] | core and streams at one `axi_ram` |
//! | [`mst_pcie`](mod@mst_pcie) | these and LitePCIe around an `mst_core` |

pub mod axi_ram;
pub mod card_registers;
mod crc32;
pub mod host_bus;
pub mod litepcie;
pub mod memory_arbiter;
pub mod mst_pcie;
pub mod mst_soc;
pub mod serial_bridge;
mod stream_job;
pub mod stream_to_card;
pub mod stream_to_host;
pub mod uart_rx;
pub mod uart_tx;

use crate::rtl::{Builder, Expr, lit};

pub use mst_pcie::mst_pcie;
pub use mst_soc::mst_soc;

/// The VALID of a bus channel that carries one transfer: from `starts` until it is taken with `ready`.
fn offered(m: &mut Builder, name: &str, starts: &Expr, ready: &Expr) -> Expr {
    let valid = m.reg_reset(name, 1, 0);
    m.set_if(&valid, starts, &lit(1, 1));
    m.set_if(&valid, ready, &lit(0, 1));
    valid
}
