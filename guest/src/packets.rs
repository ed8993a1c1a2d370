//! The generated card with LitePCIe's own core as a device: the guest's accesses are packets to it, and its packets reach the guest's
//! memory. Interrupts are its MSIs.

use crate::card::{CardError, Device, MEMORY_BYTES, PRESET};
use crate::host_memory::GuestMemory;
use isa::{CoreConfig, PcieConfig};
use sim::pcie::{CardModel, PcieError, RootComplex, RootOptions};
use sim::verilated::Tracing;

/// Clock cycles between two looks for requests.
const CYCLES: u32 = 64;
/// Cycles after the last beat on the link in which the card may still do something of its own, but for a run of the core.
const QUIET: u64 = 4096;
const CLOCK_HZ: u32 = 125_000_000;

/// A card at a root complex.
pub struct PacketCard {
    root: RootComplex<GuestMemory>,
    /// It has broken a rule of PCI Express; it does not answer until it is reset.
    broken: bool,
}

impl PacketCard {
    /// Powers a card up.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn new(memory: GuestMemory) -> Result<PacketCard, CardError> {
        let core = CoreConfig::preset(PRESET).expect("a preset");
        let config = PcieConfig { core, memory_bytes: MEMORY_BYTES, clock_hz: CLOCK_HZ };
        let model = CardModel::build(&config, Tracing::None)?;
        let root = RootComplex::unconfigured(&model, RootOptions::default(), memory, None)?;
        Ok(PacketCard { root, broken: false })
    }

    /// What an action of the root complex gave; nothing if the card is broken.
    fn sound<T>(
        &mut self,
        action: impl FnOnce(&mut RootComplex<GuestMemory>) -> Result<T, PcieError>,
    ) -> Option<T> {
        if self.broken {
            return None;
        }
        match action(&mut self.root) {
            Ok(value) => Some(value),
            Err(error) => {
                println!("the card is broken: {error}");
                self.broken = true;
                None
            }
        }
    }
}

impl Device for PacketCard {
    fn read(&mut self, offset: u32) -> u32 {
        self.sound(|root| root.bar_read(offset)).unwrap_or(u32::MAX)
    }

    fn write(&mut self, offset: u32, value: u32) {
        self.sound(|root| root.bar_write(offset, value));
    }

    fn read_config(&mut self, offset: u64, into: &mut [u8]) {
        for (at, byte) in (offset as usize..).zip(into) {
            *byte = self.root.config_read(at & !3).to_le_bytes()[at % 4];
        }
    }

    fn write_config(&mut self, offset: u64, data: &[u8]) {
        let mut at = offset as usize;
        let mut rest = data;
        while !rest.is_empty() {
            let (first, count) = (at % 4, rest.len().min(4 - at % 4));
            let mut word = [0; 4];
            word[first..first + count].copy_from_slice(&rest[..count]);
            let enables = ((1 << count) - 1) << first;
            self.root.config_write(at - first, u32::from_le_bytes(word), enables);
            (at, rest) = (at + count, &rest[count..]);
        }
    }

    fn memory(&mut self) -> &mut GuestMemory {
        self.root.memory()
    }

    fn run(&mut self) -> bool {
        self.sound(|root| root.step(CYCLES));
        !self.broken && (self.root.lights().0 || self.root.quiet_cycles() < QUIET)
    }

    fn take_interrupts(&mut self) -> u64 {
        std::iter::from_fn(|| self.root.take_interrupt()).count() as u64
    }

    fn reset(&mut self) {
        self.broken = false;
        self.sound(RootComplex::reset);
    }
}
