//! The two streams between host memory and the card's, and the descriptors that LitePCIe's engines take for them.

use isa::pcie::{
    self, DESCRIPTOR_ALIGN, DESCRIPTOR_BYTES, DMA_DESCRIPTORS, card_status, interrupt, litepcie,
};

/// Bytes of a descriptor: small enough that an error says where a stream stopped, a multiple of [`DESCRIPTOR_ALIGN`].
const PIECE: u32 = 16 << 10;
const _: () = assert!((PIECE as u64).is_multiple_of(DESCRIPTOR_ALIGN) && PIECE <= DESCRIPTOR_BYTES);
/// The most bytes of a stream that fit into a table.
pub(super) const STREAM_BYTES: u32 = PIECE * DMA_DESCRIPTORS;
/// Bit of a descriptor: no interrupt when it is done.
const NO_INTERRUPT: u32 = 1 << 24;
/// Bit of a descriptor: it does not end at the last word of the stream. Lengths agree, so it must not.
const NOT_AT_LAST: u32 = 1 << 25;

/// One of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Host memory to the card's memory, by LitePCIe's DMA reader.
    ToCard,
    /// The card's memory to host memory, by LitePCIe's DMA writer.
    ToHost,
}

impl Stream {
    /// The engine of LitePCIe that carries it.
    pub fn engine(self) -> &'static str {
        match self {
            Stream::ToCard => "DMA reader",
            Stream::ToHost => "DMA writer",
        }
    }

    /// Base of the engine's registers.
    pub(super) fn engine_base(self) -> u32 {
        litepcie_register(match self {
            Stream::ToCard => litepcie::DMA_READER,
            Stream::ToHost => litepcie::DMA_WRITER,
        })
    }

    /// Name of the register that counts its bytes.
    pub fn done_register(self) -> &'static str {
        match self {
            Stream::ToCard => "TO_CARD_DONE",
            Stream::ToHost => "TO_HOST_DONE",
        }
    }

    /// Offsets in BAR 0 of its registers.
    pub(super) fn registers(self) -> StreamRegisters {
        let [offset, length, done, crc] = match self {
            Stream::ToCard => {
                [pcie::TO_CARD_OFFSET, pcie::TO_CARD_LENGTH, pcie::TO_CARD_DONE, pcie::TO_CARD_CRC]
            }
            Stream::ToHost => {
                [pcie::TO_HOST_OFFSET, pcie::TO_HOST_LENGTH, pcie::TO_HOST_DONE, pcie::TO_HOST_CRC]
            }
        }
        .map(card_register);
        StreamRegisters { offset, length, done, crc }
    }

    /// The interrupt after which it may be over.
    pub(super) fn interrupt(self) -> u32 {
        match self {
            Stream::ToCard => interrupt::TO_CARD,
            Stream::ToHost => interrupt::DMA_WRITER,
        }
    }

    /// The bit of `CARD_STATUS` that says it was refused.
    pub(super) fn refused(self) -> u32 {
        match self {
            Stream::ToCard => card_status::TO_CARD_REFUSED,
            Stream::ToHost => card_status::TO_HOST_REFUSED,
        }
    }

    pub(super) fn damage_advice(self) -> &'static str {
        match self {
            Stream::ToCard => "",
            Stream::ToHost => {
                ", or the card's writes were refused by the IOMMU (see `dmesg` for DMAR or AMD-Vi faults)"
            }
        }
    }
}

impl std::fmt::Display for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stream::ToCard => "the stream to the card",
            Stream::ToHost => "the stream to the host",
        })
    }
}

/// Offsets in BAR 0 of a stream's registers.
pub(super) struct StreamRegisters {
    pub(super) offset: u32,
    pub(super) length: u32,
    pub(super) done: u32,
    pub(super) crc: u32,
}

/// Offset in BAR 0 of a register of the card.
pub(super) fn card_register(offset: u32) -> u32 {
    pcie::CARD_BASE + offset
}

/// Offset in BAR 0 of a register of LitePCIe.
pub(super) fn litepcie_register(offset: u32) -> u32 {
    pcie::LITEPCIE_BASE + offset
}

/// A descriptor: where in host memory, and what is written to `TABLE_VALUE_HIGH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DmaDescriptor {
    pub(super) address: u64,
    pub(super) high: u32,
}

/// The descriptors of a stream of `bytes` bytes from bus address `address` on; the last one alone raises an interrupt.
pub(super) fn descriptors(address: u64, bytes: u32) -> Vec<DmaDescriptor> {
    let count = bytes.div_ceil(PIECE);
    (0..count)
        .map(|index| {
            let begin = index * PIECE;
            let quiet = if index + 1 < count { NO_INTERRUPT } else { 0 };
            DmaDescriptor {
                address: address + u64::from(begin),
                high: (bytes - begin).min(PIECE) | NOT_AT_LAST | quiet,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_cover_the_stream_and_the_last_one_interrupts() {
        let list = descriptors(0x1_0000_0000, 2 * PIECE + 16);
        let lengths: Vec<u32> = list.iter().map(|d| d.high & 0xff_ffff).collect();
        assert_eq!(lengths, [PIECE, PIECE, 16]);
        assert_eq!(list[2].address, 0x1_0000_0000 + 2 * u64::from(PIECE));
        let quiet: Vec<bool> = list.iter().map(|d| d.high & NO_INTERRUPT != 0).collect();
        assert_eq!(quiet, [true, true, false]);
        assert!(list.iter().all(|d| d.high & NOT_AT_LAST != 0));
    }
}
