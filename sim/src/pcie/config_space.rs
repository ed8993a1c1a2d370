//! The function's configuration space: what the hard block keeps (PCI 3.0 6.1, PCI Express Base 7.5 to 7.8).

use isa::pcie::{BAR0_BYTES, DEVICE_ID, SUBSYSTEM_ID, VENDOR_ID};

/// Offsets that a host uses.
pub mod offset {
    /// Vendor and device ID.
    pub const ID: usize = 0x00;
    /// Command in the low half, status in the high half.
    pub const COMMAND: usize = 0x04;
    /// Base address register 0.
    pub const BAR0: usize = 0x10;
    /// First capability.
    pub const CAPABILITIES: usize = 0x34;
    /// MSI capability: control in the high half, then address and data.
    pub const MSI: usize = 0x48;
    /// PCI Express capability.
    pub const EXPRESS: usize = 0x60;
    /// Device control in the low half, device status in the high half.
    pub const DEVICE_CONTROL: usize = EXPRESS + 8;
}
/// Bits of the command register.
pub mod command {
    /// BAR 0 answers.
    pub const MEMORY: u32 = 1 << 1;
    /// The card may send requests.
    pub const BUS_MASTER: u32 = 1 << 2;
}
/// Bits of the status register, in the double word of command and status.
pub mod status {
    /// A request of the card was answered with Unsupported Request.
    pub const RECEIVED_MASTER_ABORT: u32 = 1 << 29;
    /// Poisoned data came.
    pub const DETECTED_PARITY_ERROR: u32 = 1 << 31;
}
/// Bit of MSI's control, in the double word of its capability.
pub const MSI_ENABLE: u32 = 1 << 16;

/// Bytes of it.
const BYTES: usize = 256;
/// Class: processing accelerator.
const CLASS: u32 = 0x1200_0000;
/// Payload codes: 128 bytes shifted by this.
const LARGEST_PAYLOAD: u32 = 2;

/// 256 bytes, of which some can be written.
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    words: [u32; BYTES / 4],
}

impl Default for ConfigSpace {
    fn default() -> ConfigSpace {
        let mut words = [0; BYTES / 4];
        let mut set = |offset: usize, value: u32| words[offset / 4] = value;
        set(offset::ID, u32::from(DEVICE_ID) << 16 | u32::from(VENDOR_ID));
        set(offset::COMMAND, 1 << 20);
        set(0x08, CLASS);
        set(0x2c, u32::from(SUBSYSTEM_ID) << 16 | u32::from(VENDOR_ID));
        set(offset::CAPABILITIES, offset::MSI as u32);
        set(offset::MSI, (offset::EXPRESS as u32) << 8 | 0x05);
        set(offset::EXPRESS, 2 << 16 | 0x10);
        set(offset::EXPRESS + 4, LARGEST_PAYLOAD);
        // Reads of 512 bytes, the value at reset.
        set(offset::DEVICE_CONTROL, 2 << 12);
        // Four lanes at 5 Gb/s: what the link can do, and what it does.
        set(offset::EXPRESS + 12, 4 << 4 | 2);
        set(offset::EXPRESS + 16, (4 << 4 | 2) << 16);
        ConfigSpace { words }
    }
}

impl ConfigSpace {
    /// Reads 32 bits; beyond the end, zeros.
    pub fn read(&self, offset: usize) -> u32 {
        self.words.get(offset / 4).copied().unwrap_or(0)
    }

    /// Writes the bytes of `value` that `enables` names, lowest first.
    pub fn write(&mut self, offset: usize, value: u32, enables: u8) {
        let bytes =
            (0..4).filter(|byte| enables >> byte & 1 == 1).fold(0, |mask, byte| mask | 0xff << (8 * byte));
        let (writable, cleared) = match offset & !3 {
            offset::COMMAND => (command::MEMORY | command::BUS_MASTER | 0x0540, 0xf900_0000),
            offset::BAR0 => (!(BAR0_BYTES - 1), 0),
            0x3c => (0xff, 0),
            offset::MSI => (MSI_ENABLE, 0),
            0x4c => (!3, 0),
            0x50 => (0xffff, 0),
            offset::DEVICE_CONTROL => (0x7fff, 0x000f_0000),
            _ => (0, 0),
        };
        if let Some(word) = self.words.get_mut(offset / 4) {
            let writable = writable & bytes;
            *word = *word & !writable & !(value & cleared & bytes) | value & writable;
        }
    }

    /// Sets bits of the status register.
    pub(crate) fn report(&mut self, bits: u32) {
        self.words[offset::COMMAND / 4] |= bits;
    }

    /// The command register.
    pub fn command(&self) -> u32 {
        self.read(offset::COMMAND) & 0xffff
    }

    /// The device control register.
    pub fn device_control(&self) -> u32 {
        self.read(offset::DEVICE_CONTROL) & 0xffff
    }

    /// Where BAR 0 lies.
    pub fn bar0(&self) -> u64 {
        (self.read(offset::BAR0) & !(BAR0_BYTES - 1)).into()
    }

    /// Bytes of the largest payload.
    pub fn max_payload(&self) -> usize {
        128 << (self.device_control() >> 5 & 7).min(5)
    }

    /// Bytes of the largest read.
    pub fn max_request(&self) -> usize {
        128 << (self.device_control() >> 12 & 7).min(5)
    }

    /// Whether the card may send MSIs.
    pub fn msi_enabled(&self) -> bool {
        self.read(offset::MSI) & MSI_ENABLE != 0
    }

    /// Address and data of the MSI.
    pub fn msi(&self) -> (u32, u16) {
        (self.read(offset::MSI + 4), self.read(offset::MSI + 8) as u16)
    }
}
