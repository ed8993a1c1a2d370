//! Why a card could not be used.

use super::stream::Stream;
use std::time::Duration;

/// Why a card could not be used, beyond what reaching its function can report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PcieError {
    /// What answers is no card of ours, or no longer one.
    #[error("register CARD_IDENTITY is 0x{found:08x}, expected 0x{:08x} (`MSTP`); {}", isa::pcie::IDENTITY, identity_advice(*.found))]
    NotACard {
        /// The value of `CARD_IDENTITY`.
        found: u32,
    },
    /// The card says it has an impossible amount of memory.
    #[error(
        "register MEMORY_BYTES is {found}, allowed: a multiple of 4096 in 4096..=8388608; load the bitstream that belongs to this driver"
    )]
    MemoryBytes {
        /// The value of `MEMORY_BYTES`.
        found: u32,
    },
    /// The card did not begin a stream.
    #[error(
        "the card refused {stream} of {bytes} bytes at byte {offset} of its memory: {registers}; reset the card, then load the network again"
    )]
    Refused {
        /// Which stream.
        stream: Stream,
        /// Its place in the card's memory.
        offset: u32,
        /// Its length.
        bytes: u32,
        /// What the card said.
        registers: DmaRegisters,
    },
    /// A stream was not over in time.
    #[error(
        "{stream} was not over after {waited:?}: {done} of {bytes} bytes, the {engine} has taken {taken} of {descriptors} \
         descriptors, the next one at bus address 0x{address:x}; {registers}; {advice}",
        engine = .0.stream.engine(), stream = .0.stream, waited = .0.waited, done = .0.done, bytes = .0.bytes, taken = .0.taken,
        descriptors = .0.descriptors, address = .0.address, registers = .0.registers, advice = stalled_advice(.0)
    )]
    Stalled(Box<Stall>),
    /// The card's count of a stream's bytes is impossible.
    #[error(
        "{stream}: {register} went from {before} to {found}, the stream has {bytes} bytes: the card's count is impossible; reset the \
         card, then load the network again",
        register = .stream.done_register()
    )]
    Count {
        /// Which stream.
        stream: Stream,
        /// The count before.
        before: u32,
        /// The count read.
        found: u32,
        /// Bytes of the stream.
        bytes: u32,
    },
    /// What was sent is not what came.
    #[error(
        "{stream} of {bytes} bytes at byte {offset} of the card's memory: checksum 0x{card:08x} on the card, 0x{host:08x} in host \
         memory: data were lost or damaged on the way{}; load the network again",
        .stream.damage_advice()
    )]
    Damaged {
        /// Which stream.
        stream: Stream,
        /// Its place in the card's memory.
        offset: u32,
        /// Its length.
        bytes: u32,
        /// The card's CRC-32.
        card: u32,
        /// Ours.
        host: u32,
    },
    /// What was sent through the loopback came back otherwise.
    #[error(
        "DMA loopback: byte {at} of {bytes} came back as 0x{found:02x}, 0x{sent:02x} was sent; reset the card"
    )]
    Loopback {
        /// The first byte that differs.
        at: usize,
        /// Bytes sent.
        bytes: usize,
        /// What came back.
        found: u8,
        /// What was sent.
        sent: u8,
    },
}

/// How far a stream came before its deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Which stream.
    pub stream: Stream,
    /// How long the driver waited.
    pub waited: Duration,
    /// Bytes done, as the card counts.
    pub done: u32,
    /// Bytes of the stream.
    pub bytes: u32,
    /// Descriptors that the engine has taken.
    pub taken: u32,
    /// Descriptors of the stream.
    pub descriptors: u32,
    /// Bus address of the first descriptor that is not taken, or of the last one.
    pub address: u64,
    /// What the card said.
    pub registers: DmaRegisters,
}

/// The registers that tell where a stream is, read when it failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DmaRegisters {
    /// `CARD_STATUS`.
    pub card_status: u32,
    /// The engine's `ENABLE`.
    pub enable: u32,
    /// The engine's `TABLE_LEVEL`.
    pub table_level: u32,
    /// The engine's `TABLE_STATUS`.
    pub table_status: u32,
    /// `MSI_VECTOR`.
    pub msi_vector: u32,
    /// `PHY_BUS_MASTER_ENABLE`.
    pub bus_master: u32,
    /// `PHY_LINK_STATUS`.
    pub link_status: u32,
}

impl std::fmt::Display for DmaRegisters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let DmaRegisters {
            card_status,
            enable,
            table_level,
            table_status,
            msi_vector,
            bus_master,
            link_status,
        } = self;
        write!(
            f,
            "CARD_STATUS 0x{card_status:x}, ENABLE 0x{enable:x}, TABLE_LEVEL {table_level}, TABLE_STATUS 0x{table_status:x}, MSI_VECTOR \
             0x{msi_vector:x}, PHY_BUS_MASTER_ENABLE {bus_master}, PHY_LINK_STATUS 0x{link_status:x}"
        )
    }
}

fn identity_advice(found: u32) -> &'static str {
    match found {
        u32::MAX | 0 => {
            "the card does not answer: it has left the bus, or its memory access is off; reset it (`mst reset`), or power it off and on"
        }
        _ => "another design is loaded; load the bitstream of mst_pcie",
    }
}

fn stalled_advice(stall: &Stall) -> &'static str {
    let DmaRegisters { bus_master, enable, .. } = stall.registers;
    // Enabled, and not waiting for a descriptor or for room: it has sent all the requests that may wait for an answer.
    let sent = stall.taken > 0 || enable & 0b11 == 0b01;
    if bus_master & 1 == 0 {
        "bus mastering is off, so the card may not reach host memory: reset the card"
    } else if sent && stall.done < stall.bytes {
        "requests were sent and not answered: refused by the IOMMU (see `dmesg` for DMAR or AMD-Vi faults) or lost; reset the card"
    } else {
        "reset the card, then load the network again"
    }
}
