//! The register-level card of [`sim::card`] as a device, with MSI-X.

use crate::card::{CardError, Device, MEMORY_BYTES, PRESET};
use crate::host_memory::GuestMemory;
use crate::register_config::ConfigSpace;
use driver::link::Link;
use isa::CoreConfig;
use sim::{Card, SimLink, SimOptions, SoftCore};

/// Steps between two looks for requests.
const STEPS: u32 = 16;

/// A card at the level of its registers.
pub struct RegisterCard {
    card: Card<Box<dyn Link>>,
    config: ConfigSpace,
    memory: GuestMemory,
}

impl RegisterCard {
    /// A card with the Verilated core.
    ///
    /// # Errors
    /// If the core cannot be built.
    pub fn verilated(memory: GuestMemory) -> Result<RegisterCard, CardError> {
        let config = core_config();
        let options = SimOptions {
            memory_bytes: MEMORY_BYTES as usize,
            memory_base: Some(isa::pcie::MEMORY_BASE),
            ..SimOptions::default()
        };
        let module = hdl::core::mst_core(&config)?;
        Ok(RegisterCard::new(Box::new(SimLink::new(&module, &config, &options)?), memory))
    }

    /// A card with a core in software.
    ///
    /// # Errors
    /// If the core's sizes are refused.
    pub fn software(memory: GuestMemory) -> Result<RegisterCard, CardError> {
        let core = SoftCore::new(&core_config(), MEMORY_BYTES as usize)?;
        Ok(RegisterCard::new(Box::new(core), memory))
    }

    fn new(core: Box<dyn Link>, memory: GuestMemory) -> RegisterCard {
        RegisterCard { card: Card::new(core), config: ConfigSpace::new(), memory }
    }
}

fn core_config() -> CoreConfig {
    CoreConfig::preset(PRESET).expect("a preset")
}

impl Device for RegisterCard {
    fn read(&mut self, offset: u32) -> u32 {
        self.card.read(offset)
    }

    fn write(&mut self, offset: u32, value: u32) {
        self.card.write(offset, value);
    }

    fn read_config(&mut self, offset: u64, into: &mut [u8]) {
        self.config.read(offset, into);
    }

    fn write_config(&mut self, offset: u64, data: &[u8]) {
        self.config.write(offset, data);
        self.card.set_bus_master(self.config.bus_master());
    }

    fn memory(&mut self) -> &mut GuestMemory {
        &mut self.memory
    }

    fn run(&mut self) -> bool {
        // One step if nothing is to be done, in which a core that has just ended raises its interrupt.
        let busy = self.card.busy();
        for _ in 0..if busy { STEPS } else { 1 } {
            self.card.step(&mut self.memory);
        }
        busy
    }

    fn take_interrupts(&mut self) -> u64 {
        self.card.take_interrupt().into()
    }

    fn reset(&mut self) {
        self.config = ConfigSpace::new();
        self.card.reset();
    }
}
