//! Renders the register maps in SystemRDL 2.0, from which register tools make HTML, C headers, UVM models.

use crate::registers::{self, Access, BitField, Register};
use crate::{CoreConfig, IDENTITY, PcieConfig, SocConfig, VERSION, pcie, soc};
use std::fmt::Write;

/// The registers of `core` as the address map `mst_core`. What never changes has its value as reset value.
pub fn text(core: &CoreConfig) -> String {
    let [config0, config1, config2] = core.registers();
    let map = Map {
        name: "mst_core",
        title: "Registers of mst_core, AXI4-Lite.",
        doc: "Accelerator for Masked Spiking Transformers.".to_owned(),
        registers: registers::REGISTERS,
        fields: registers::FIELDS,
        constants: &[
            (registers::IDENTITY, IDENTITY),
            (registers::VERSION, VERSION),
            (registers::CONFIG0, config0),
            (registers::CONFIG1, config1),
            (registers::CONFIG2, config2),
        ],
        read_write: "sw = rw; hw = r;",
    };
    map.text()
}

/// The system's own registers ([`crate::soc`]) as the address map `mst_soc`, from [`soc::SOC_BASE`] on. A write of any value clears
/// what may be written.
pub fn soc_text(config: &SocConfig) -> String {
    let map = Map {
        name: "mst_soc",
        title: "The system's own registers in mst_soc; those of the core are in mst_core.rdl.",
        doc: format!(
            "The system's own registers, at bus address 0x{:08x}; the core's at 0x{:08x}, the memory at 0x{:08x}.",
            soc::SOC_BASE,
            soc::CORE_BASE,
            soc::MEMORY_BASE
        ),
        registers: soc::REGISTERS,
        fields: &[],
        constants: &[
            (soc::SOC_IDENTITY, soc::IDENTITY),
            (soc::MEMORY_BYTES, config.memory_bytes),
            (soc::CLOCK_HZ, config.clock_hz),
        ],
        read_write: "sw = rw; onwrite = wclr; hw = w;",
    };
    map.text()
}

/// The card's registers ([`crate::pcie`]) as the address map `mst_pcie`, from [`pcie::CARD_BASE`] on.
pub fn pcie_text(config: &PcieConfig) -> String {
    let bit = |name, mask: u32, doc| BitField {
        register: pcie::CARD_CONTROL,
        name,
        lsb: mask.trailing_zeros(),
        width: 1,
        doc,
    };
    let map = Map {
        name: "mst_pcie",
        title: "The card's registers in mst_pcie; those of the core are in mst_core.rdl.",
        doc: format!(
            "The card's registers, at 0x{:x} of BAR 0; the core's at 0x{:x}, LitePCIe's at 0x{:x}.",
            pcie::CARD_BASE,
            pcie::CORE_BASE,
            pcie::LITEPCIE_BASE
        ),
        registers: pcie::REGISTERS,
        fields: &[
            bit("STREAM_RESET", pcie::card_control::STREAM_RESET, "Ends both streams where they are."),
            bit("CORE_RESET", pcie::card_control::CORE_RESET, "Resets the core and ends both streams."),
        ],
        constants: &[
            (pcie::CARD_IDENTITY, pcie::IDENTITY),
            (pcie::MEMORY_BYTES, config.memory_bytes),
            (pcie::CLOCK_HZ, config.clock_hz),
        ],
        read_write: "sw = rw; hw = r;",
    };
    map.text()
}

/// One address map.
struct Map<'a> {
    name: &'a str,
    title: &'a str,
    doc: String,
    registers: &'a [Register],
    fields: &'a [BitField],
    /// Offset and value of what never changes.
    constants: &'a [(u32, u32)],
    /// Properties of what the host reads and writes.
    read_write: &'a str,
}

impl Map<'_> {
    fn text(&self) -> String {
        let Map { name, title, doc, .. } = self;
        let mut map = format!(
            "// {title} Generated; docs/isa.md has the same as text.\n\
             addrmap {name} {{\n    \
                 name = \"{name}\";\n    \
                 desc = {};\n    \
                 default regwidth = 32;\n    \
                 default accesswidth = 32;\n",
            quoted(doc)
        );
        for register in self.registers {
            map += &self.one(register);
        }
        map + "};\n"
    }

    fn one(&self, register: &Register) -> String {
        let constant =
            self.constants.iter().find(|(offset, _)| *offset == register.offset).map(|&(_, value)| value);
        let access = match (register.access, constant) {
            (Access::ReadOnly, Some(_)) => "sw = r; hw = na;",
            (Access::ReadOnly, None) => "sw = r; hw = w;",
            (Access::ReadWrite, _) => self.read_write,
            (Access::WriteOne, _) => "sw = w; hw = r; singlepulse;",
        };
        let whole =
            BitField { register: register.offset, name: "VALUE", lsb: 0, width: 32, doc: register.doc };
        let parts = self.fields.iter().filter(|field| field.register == register.offset);
        let mut fields: Vec<&BitField> = parts.collect();
        if fields.is_empty() {
            fields.push(&whole);
        }
        let mut text = format!("\n    reg {{\n        desc = {};\n", quoted(register.doc));
        for field in fields {
            let mask = (1u64 << field.width) - 1;
            // What the hardware drives has no value of its own at reset.
            let reset = match (register.access, constant) {
                (Access::ReadOnly, None) => String::new(),
                (_, value) => format!(" = 0x{:x}", u64::from(value.unwrap_or(0)) >> field.lsb & mask),
            };
            let (high, low) = (field.lsb + field.width - 1, field.lsb);
            let _ = writeln!(
                text,
                "        field {{ {access} desc = {}; }} {}[{high}:{low}]{reset};",
                quoted(field.doc),
                field.name,
            );
        }
        let _ = writeln!(text, "    }} {} @ 0x{:03x};", register.name, register.offset);
        text
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
