//! The address maps that [`systemrdl`](crate::systemrdl) and [`c_header`](crate::c_header) render.

use crate::registers::{self, BitField, Register};
use crate::{CoreConfig, IDENTITY, PcieConfig, SocConfig, VERSION, pcie, soc};

/// What a write does to a register that the host both reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnWrite {
    /// It holds what was written.
    Stores,
    /// It becomes 0, whatever was written.
    Clears,
}

/// A place in the address space of the bus that leads to the registers.
pub(crate) struct Base {
    /// In upper case.
    pub name: &'static str,
    /// Address.
    pub address: u32,
    /// What begins there.
    pub doc: &'static str,
}

fn base(name: &'static str, address: u32, doc: &'static str) -> Base {
    Base { name, address, doc }
}

/// The registers of one block, with what is constant in one generated design.
pub(crate) struct RegisterMap {
    /// Name of the module.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub doc: &'static str,
    /// The registers, by offset.
    pub registers: &'static [Register],
    /// Parts of registers.
    pub fields: Vec<BitField>,
    /// Offset and value of what never changes.
    pub constants: Vec<(u32, u32)>,
    /// What a write does to registers that are also read.
    pub on_write: OnWrite,
    /// Where these and other registers lie, if the module says so.
    pub bases: Vec<Base>,
}

impl RegisterMap {
    /// The registers of `core`.
    pub fn core(core: &CoreConfig) -> RegisterMap {
        let [config0, config1, config2, config3] = core.registers();
        RegisterMap {
            name: "mst_core",
            doc: "Accelerator for Masked Spiking Transformers.",
            registers: registers::REGISTERS,
            fields: registers::FIELDS.to_vec(),
            constants: vec![
                (registers::IDENTITY, IDENTITY),
                (registers::VERSION, VERSION),
                (registers::CONFIG0, config0),
                (registers::CONFIG1, config1),
                (registers::CONFIG2, config2),
                (registers::CONFIG3, config3),
            ],
            on_write: OnWrite::Stores,
            bases: Vec::new(),
        }
    }

    /// The system's own registers ([`crate::soc`]).
    pub fn soc(config: &SocConfig) -> RegisterMap {
        RegisterMap {
            name: "mst_soc",
            doc: "The system's own registers; those of the core are in mst_core.",
            registers: soc::REGISTERS,
            fields: Vec::new(),
            constants: vec![
                (soc::SOC_IDENTITY, soc::IDENTITY),
                (soc::MEMORY_BYTES, config.memory_bytes),
                (soc::CLOCK_HZ, config.clock_hz),
            ],
            on_write: OnWrite::Clears,
            bases: vec![
                base("MEMORY_BASE", soc::MEMORY_BASE, "Bus address of the memory."),
                base("CORE_BASE", soc::CORE_BASE, "Bus address of the core's registers."),
                base("SYSTEM_BASE", soc::SOC_BASE, "Bus address of the system's own registers."),
            ],
        }
    }

    /// The card's registers ([`crate::pcie`]).
    pub fn pcie(config: &PcieConfig) -> RegisterMap {
        let bit = |name, mask: u32, doc| BitField {
            register: pcie::CARD_CONTROL,
            name,
            lsb: mask.trailing_zeros(),
            width: 1,
            doc,
        };
        RegisterMap {
            name: "mst_pcie",
            doc: "The card's registers; those of the core are in mst_core.",
            registers: pcie::REGISTERS,
            fields: vec![
                bit("STREAM_RESET", pcie::card_control::STREAM_RESET, "Ends both streams where they are."),
                bit("CORE_RESET", pcie::card_control::CORE_RESET, "Resets the core and ends both streams."),
            ],
            constants: vec![
                (pcie::CARD_IDENTITY, pcie::IDENTITY),
                (pcie::MEMORY_BYTES, config.memory_bytes),
                (pcie::CLOCK_HZ, config.clock_hz),
            ],
            on_write: OnWrite::Stores,
            bases: vec![
                base("LITEPCIE_BASE", pcie::LITEPCIE_BASE, "Offset of LitePCIe's registers in BAR 0."),
                base("CORE_BASE", pcie::CORE_BASE, "Offset of the core's registers in BAR 0."),
                base("CARD_BASE", pcie::CARD_BASE, "Offset of the card's registers in BAR 0."),
            ],
        }
    }

    /// The value of a register that never changes.
    pub fn constant(&self, register: &Register) -> Option<u32> {
        self.constants.iter().find(|(offset, _)| *offset == register.offset).map(|&(_, value)| value)
    }

    /// The parts of a register, lowest bits first.
    pub fn fields(&self, register: &Register) -> impl Iterator<Item = &BitField> {
        self.fields.iter().filter(move |field| field.register == register.offset)
    }
}
