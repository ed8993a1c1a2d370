//! The PCIe card `mst_pcie`: the core with memory of its own, behind LitePCIe.
//!
//! # Address map
//! BAR 0 is 128 KiB of 32-bit registers: from [`LITEPCIE_BASE`] on those of the LitePCIe core ([`litepcie`]), from [`CORE_BASE`] on those of
//! the accelerator ([`crate::registers`]), from [`CARD_BASE`] on those of the card below. Anything else reads as all ones.
//!
//! # Memory and streams
//! The core works in the card's memory; the host reaches it by two streams. For a stream to the card, the host writes its place and its
//! length, then gives LitePCIe's DMA *reader* (it reads host memory) descriptors of as many bytes; it is complete when
//! `TO_CARD_DONE` is the length. For a stream to the host, it gives the DMA *writer* the descriptors first, then writes place and length. Places and
//! lengths are multiples of [`STREAM_ALIGN`]; a stream that would leave the memory, is not aligned or finds the one before it under way is not
//! begun and sets its bit of `CARD_STATUS`. Length 0 is complete at once, without an interrupt. Both streams may run while the core does.
//! What LitePCIe delivers while no stream to the card is under way is dropped.
//!
//! LitePCIe looks neither at the status of a completion nor at its mark of poisoned data, and a posted write can get lost without a sign. So each
//! stream has a CRC-32, `TO_CARD_CRC` and `TO_HOST_CRC`: the data have arrived when it is that of what the host sent, or found.
//!
//! Descriptors begin at multiples of [`DESCRIPTOR_ALIGN`]: LitePCIe cuts them by size alone, and a request must not cross 4 KiB.
//! They all lie from [`LOWEST_BUS_ADDRESS`] on: a write below 4 GiB loses its last double words in LitePCIe when a request above follows, so the
//! addresses of a card are all on one side.
//!
//! LitePCIe reports a writer's interrupt when its last request has been handed over, not when it is in host memory. A register read that
//! is answered afterwards says that it is: a completion never overtakes a posted write (PCI Express Base 2.4.1).

use crate::config::{ConfigError, CoreConfig, LARGEST_MEMORY};
use crate::registers::registers;
use serde::{Deserialize, Serialize};

/// Identity register value: `MSTP` in ASCII, most significant byte first.
pub const IDENTITY: u32 = 0x4d53_5450;
/// PCI vendor ID: Xilinx, whose hard block the card uses.
pub const VENDOR_ID: u16 = 0x10ee;
/// PCI device ID, what the hard block is generated with.
pub const DEVICE_ID: u16 = 0x7024;
/// PCI subsystem ID: tells the card from other designs with the same hard block.
pub const SUBSYSTEM_ID: u16 = 0x4d53;
/// Bytes of BAR 0.
pub const BAR0_BYTES: u32 = 0x2_0000;
/// Offset of LitePCIe's registers in BAR 0.
pub const LITEPCIE_BASE: u32 = 0;
/// Offset of the core's registers in BAR 0.
pub const CORE_BASE: u32 = 0x1_0000;
/// Offset of the card's registers in BAR 0.
pub const CARD_BASE: u32 = 0x1_1000;
/// Bus address of the card's memory: what the core's memory window starts at.
pub const MEMORY_BASE: u64 = 0;
/// Places and lengths of streams and descriptors are multiples of this many bytes.
pub const STREAM_ALIGN: u32 = 16;
/// Bus addresses of descriptors are multiples of this many bytes: the largest request of LitePCIe.
pub const DESCRIPTOR_ALIGN: u64 = 512;
/// Where bus addresses of descriptors begin.
pub const LOWEST_BUS_ADDRESS: u64 = 1 << 32;
/// The most descriptors that a DMA table holds.
pub const DMA_DESCRIPTORS: u32 = 256;
/// The most bytes of a DMA descriptor that are a multiple of a page.
pub const DESCRIPTOR_BYTES: u32 = (1 << 24) - 4096;
/// Bits of LitePCIe's MSI registers: its own DMA, then the lines of the card.
pub mod interrupt {
    /// The DMA reader has requested the last bytes of a descriptor.
    pub const DMA_READER: u32 = 1 << 0;
    /// The DMA writer has sent the last bytes of a descriptor.
    pub const DMA_WRITER: u32 = 1 << 1;
    /// The core's `irq` has risen.
    pub const CORE: u32 = 1 << 16;
    /// A stream to the card is in memory.
    pub const TO_CARD: u32 = 1 << 17;
    /// The last word of a stream to the host has left memory.
    pub const TO_HOST: u32 = 1 << 18;
}
/// Bits of `CARD_STATUS`.
pub mod card_status {
    /// A stream to the card is under way.
    pub const TO_CARD_BUSY: u32 = 1 << 0;
    /// A stream to the host is under way.
    pub const TO_HOST_BUSY: u32 = 1 << 1;
    /// A stream to the card was refused; cleared by writing 1 to bit 0 of `CARD_CONTROL`.
    pub const TO_CARD_REFUSED: u32 = 1 << 2;
    /// A stream to the host was refused; cleared by writing 1 to bit 0 of `CARD_CONTROL`.
    pub const TO_HOST_REFUSED: u32 = 1 << 3;
}
/// Bits of `CARD_CONTROL`.
pub mod card_control {
    /// Ends both streams where they are, once the bursts under way have ended (`CARD_STATUS` says when), and clears the refusals.
    pub const STREAM_RESET: u32 = 1 << 0;
    /// Resets the core and the ports of the memory, whatever they do, and ends both streams.
    pub const CORE_RESET: u32 = 1 << 1;
}

registers! {
    CARD_IDENTITY @ 0x000 ReadOnly "Constant `MSTP` in ASCII.";
    MEMORY_BYTES @ 0x004 ReadOnly "Bytes of memory on the card.";
    CLOCK_HZ @ 0x008 ReadOnly "Frequency of the clock.";
    CARD_CONTROL @ 0x00c WriteOne "Bit 0 ends both streams, bit 1 resets the core.";
    CARD_STATUS @ 0x010 ReadOnly "Bit 0 stream to the card under way, bit 1 stream to the host under way, bit 2 stream to the card refused, bit 3 stream to the host refused.";
    TO_CARD_OFFSET @ 0x020 ReadWrite "Place in memory of the next stream to the card; a multiple of 16.";
    TO_CARD_LENGTH @ 0x024 ReadWrite "Bytes of a stream to the card, a multiple of 16; writing it begins the stream.";
    TO_CARD_DONE @ 0x028 ReadOnly "Bytes of the latest stream to the card that are in memory.";
    TO_CARD_CRC @ 0x02c ReadOnly "CRC-32 (that of zlib) of the bytes of the latest stream to the card that came so far.";
    TO_HOST_OFFSET @ 0x030 ReadWrite "Place in memory of the next stream to the host; a multiple of 16.";
    TO_HOST_LENGTH @ 0x034 ReadWrite "Bytes of a stream to the host, a multiple of 16; writing it begins the stream.";
    TO_HOST_DONE @ 0x038 ReadOnly "Bytes of the latest stream to the host that have left memory.";
    TO_HOST_CRC @ 0x03c ReadOnly "CRC-32 (that of zlib) of the bytes of the latest stream to the host that have left memory.";
}

/// Registers of LitePCIe that the driver uses: offsets from [`LITEPCIE_BASE`], as `litepcie_gen` places them in the pinned version.
pub mod litepcie {
    /// Free for the host.
    pub const CTRL_SCRATCH: u32 = 0x0004;
    /// Bit 0 link up, bit 1 5 Gb/s, bits 3:2 lanes (1, 2, 4, 8), bits 9:4 state of link training.
    pub const PHY_LINK_STATUS: u32 = 0x1000;
    /// Bit 0: the host enabled MSI.
    pub const PHY_MSI_ENABLE: u32 = 0x1004;
    /// Bit 0: the host enabled bus mastering.
    pub const PHY_BUS_MASTER_ENABLE: u32 = 0x100c;
    /// Largest read request in bytes.
    pub const PHY_MAX_REQUEST_SIZE: u32 = 0x1010;
    /// Largest payload in bytes.
    pub const PHY_MAX_PAYLOAD_SIZE: u32 = 0x1014;
    /// Interrupts that are sent.
    pub const MSI_ENABLE: u32 = 0x1800;
    /// Writing 1 to a bit of `MSI_VECTOR` clears it.
    pub const MSI_CLEAR: u32 = 0x1804;
    /// Interrupts that came since they were cleared.
    pub const MSI_VECTOR: u32 = 0x1808;
    /// Base of the DMA writer's registers: card to host.
    pub const DMA_WRITER: u32 = 0x4000;
    /// Base of the DMA reader's registers: host to card.
    pub const DMA_READER: u32 = 0x4020;
    /// Bit 0: what the reader reads goes to the writer instead of the card.
    pub const DMA_LOOPBACK: u32 = 0x4040;
    /// Offsets from `DMA_WRITER` and `DMA_READER`.
    pub mod dma {
        /// Bit 0 enables; disabling empties what is under way.
        pub const ENABLE: u32 = 0x00;
        /// Descriptor: length in bits 23:0, bit 24 no interrupt, bit 25 does not end at the stream's last word.
        pub const TABLE_VALUE_HIGH: u32 = 0x04;
        /// Descriptor: bits 31:0 of its bus address.
        pub const TABLE_VALUE_LOW: u32 = 0x08;
        /// Descriptor: bits 63:32 of its bus address; writing it puts the descriptor into the table.
        pub const TABLE_WRITE: u32 = 0x0c;
        /// 0: each descriptor runs once. 1: the table runs in a loop.
        pub const TABLE_LOOP: u32 = 0x10;
        /// Descriptors taken since the table's reset in bits 15:0 (modulo 65536).
        pub const TABLE_STATUS: u32 = 0x14;
        /// Descriptors in the table.
        pub const TABLE_LEVEL: u32 = 0x18;
        /// Writing 1 empties the table.
        pub const TABLE_RESET: u32 = 0x1c;
    }
}

/// The sizes of one generated `mst_pcie`: written beside the Verilog as `mst_pcie.json`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PcieConfig {
    /// The core; its bus is 128 bits wide.
    pub core: CoreConfig,
    /// Bytes of memory on the card: a multiple of 4096, up to 8 MiB.
    pub memory_bytes: u32,
    /// Frequency of the clock in Hz, what PCIe's user clock is.
    pub clock_hz: u32,
}

impl PcieConfig {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.core.validate()?;
        let check = |ok: bool, field, found, allowed| {
            if ok { Ok(()) } else { Err(ConfigError { field, found, allowed }) }
        };
        check(
            self.core.bus_bits == 128,
            "bus_bits",
            self.core.bus_bits,
            "128, the width of LitePCIe's streams",
        )?;
        check(
            self.memory_bytes.is_multiple_of(4096) && (4096..=LARGEST_MEMORY).contains(&self.memory_bytes),
            "memory_bytes",
            self.memory_bytes,
            "a multiple of 4096 in 4096..=8388608",
        )?;
        check(self.clock_hz > 0, "clock_hz", self.clock_hz, "at least 1")
    }
}
