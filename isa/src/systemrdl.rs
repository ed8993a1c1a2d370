//! Renders the register maps in SystemRDL 2.0, from which register tools make HTML, C headers, UVM models.

use crate::register_map::{OnWrite, RegisterMap};
use crate::registers::{Access, BitField, Register};
use crate::{CoreConfig, PcieConfig, SocConfig};
use std::fmt::Write;

/// The registers of `core` as the address map `mst_core`. What never changes has its value as reset value.
pub fn text(core: &CoreConfig) -> String {
    render(&RegisterMap::core(core))
}

/// The system's own registers ([`crate::soc`]) as the address map `mst_soc`, from [`soc::SOC_BASE`](crate::soc::SOC_BASE) on. A write of any
/// value clears what may be written.
pub fn soc_text(config: &SocConfig) -> String {
    render(&RegisterMap::soc(config))
}

/// The card's registers ([`crate::pcie`]) as the address map `mst_pcie`, from [`pcie::CARD_BASE`](crate::pcie::CARD_BASE) on.
pub fn pcie_text(config: &PcieConfig) -> String {
    render(&RegisterMap::pcie(config))
}

fn render(map: &RegisterMap) -> String {
    let bases: String =
        map.bases.iter().map(|base| format!(" 0x{:08x}: {}", base.address, base.doc)).collect();
    let mut text = format!(
        "// Registers of {name}. Generated; docs/isa.md has the same as text.\n\
         addrmap {name} {{\n    \
             name = \"{name}\";\n    \
             desc = {};\n    \
             default regwidth = 32;\n    \
             default accesswidth = 32;\n",
        quoted(&format!("{}{bases}", map.doc)),
        name = map.name,
    );
    for register in map.registers {
        text += &one(map, register);
    }
    text + "};\n"
}

fn one(map: &RegisterMap, register: &Register) -> String {
    let constant = map.constant(register);
    let access = match (register.access, constant, map.on_write) {
        (Access::ReadOnly, Some(_), _) => "sw = r; hw = na;",
        (Access::ReadOnly, None, _) => "sw = r; hw = w;",
        (Access::ReadWrite, _, OnWrite::Stores) => "sw = rw; hw = r;",
        (Access::ReadWrite, _, OnWrite::Clears) => "sw = rw; onwrite = wclr; hw = w;",
        (Access::WriteOne, ..) => "sw = w; hw = r; singlepulse;",
    };
    let whole = BitField { register: register.offset, name: "VALUE", lsb: 0, width: 32, doc: register.doc };
    let mut fields: Vec<&BitField> = map.fields(register).collect();
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

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
