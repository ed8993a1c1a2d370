//! Configuration space of the register-level card: IDs, BAR 0, MSI-X.

use isa::pcie::{BAR0_BYTES, DEVICE_ID, SUBSYSTEM_ID, VENDOR_ID};

/// Bytes of configuration space.
const BYTES: usize = 4096;
/// Vectors of MSI-X.
const VECTORS: u32 = 1;
/// Offset in BAR 0 of MSI-X's table; behind all registers of LitePCIe.
const MSIX_TABLE: u32 = 0xe000;
/// Offset in BAR 0 of MSI-X's pending bits.
const MSIX_PENDING: u32 = 0xf000;
const COMMAND: usize = 0x04;
const BAR0: usize = 0x10;
const BARS_END: usize = 0x30;
const CAPABILITY: usize = 0x40;
/// Bytes that the host may write: command, cache line and latency, the interrupt line, MSI-X control.
const WRITABLE: [usize; 7] = [COMMAND, COMMAND + 1, 0x0c, 0x0d, 0x3c, CAPABILITY + 2, CAPABILITY + 3];

/// Configuration space (PCI Local Bus 3.0, chapter 6).
pub struct ConfigSpace([u8; BYTES]);

impl ConfigSpace {
    /// As it is after power-up.
    pub fn new() -> ConfigSpace {
        let mut bytes = [0; BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0x00, &VENDOR_ID.to_le_bytes());
        put(0x02, &DEVICE_ID.to_le_bytes());
        // Status: there is a list of capabilities.
        put(0x06, &[1 << 4]);
        // Class: processing accelerator.
        put(0x0b, &[0x12]);
        put(0x2c, &VENDOR_ID.to_le_bytes());
        put(0x2e, &SUBSYSTEM_ID.to_le_bytes());
        put(0x34, &[CAPABILITY as u8]);
        // MSI-X: table and pending bits in BAR 0.
        put(CAPABILITY, &[0x11, 0, (VECTORS - 1) as u8, 0]);
        put(CAPABILITY + 4, &MSIX_TABLE.to_le_bytes());
        put(CAPABILITY + 8, &MSIX_PENDING.to_le_bytes());
        ConfigSpace(bytes)
    }

    /// Whether the host lets the card access memory.
    pub fn bus_master(&self) -> bool {
        self.0[COMMAND] & 1 << 2 != 0
    }

    /// Reads at `offset`; beyond the end there are zeros.
    pub fn read(&self, offset: u64, into: &mut [u8]) {
        for (at, byte) in (offset as usize..).zip(into) {
            *byte = self.0.get(at).copied().unwrap_or(0);
        }
    }

    /// Writes what may be written. Of BAR 0's bits, those below its size stay 0, by which the host finds the size.
    pub fn write(&mut self, offset: u64, data: &[u8]) {
        for (at, &value) in (offset as usize..).zip(data) {
            if (BAR0..BAR0 + 4).contains(&at) {
                self.0[at] = value & !(BAR0_BYTES - 1).to_le_bytes()[at - BAR0];
            } else if WRITABLE.contains(&at) && !(BAR0..BARS_END).contains(&at) {
                self.0[at] = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_its_size_and_keeps_its_place() {
        let mut space = ConfigSpace::new();
        let mut bar = [0; 4];
        space.write(0x10, &[0xff; 4]);
        space.read(0x10, &mut bar);
        assert_eq!(!u32::from_le_bytes(bar) + 1, BAR0_BYTES);
        space.write(0x14, &[0xff; 4]);
        space.read(0x14, &mut bar);
        assert_eq!(bar, [0; 4]);
    }

    #[test]
    fn identity_cannot_be_written() {
        let mut space = ConfigSpace::new();
        space.write(0, &[0; 4]);
        let mut id = [0; 4];
        space.read(0, &mut id);
        assert_eq!(u32::from_le_bytes(id), u32::from(DEVICE_ID) << 16 | u32::from(VENDOR_ID));
        space.write(4, &[6, 0]);
        assert!(space.bus_master());
    }
}
