//! Renders the register map in SystemRDL 2.0, from which register tools make HTML, C headers, UVM models.

use crate::registers::{self, Access, BitField, Register};
use crate::{CoreConfig, IDENTITY, VERSION};
use std::fmt::Write;

/// The registers of `core` as the address map `mst_core`. What never changes has its value as reset value.
pub fn text(core: &CoreConfig) -> String {
    let mut map = String::from(
        "// Registers of mst_core, AXI4-Lite. Generated; docs/isa.md has the same as text.\n\
         addrmap mst_core {\n    \
             name = \"mst_core\";\n    \
             desc = \"Accelerator for Masked Spiking Transformers.\";\n    \
             default regwidth = 32;\n    \
             default accesswidth = 32;\n",
    );
    for register in registers::REGISTERS {
        map += &one(register, constant(register, core));
    }
    map + "};\n"
}

/// The value of a register that never changes.
fn constant(register: &Register, core: &CoreConfig) -> Option<u32> {
    let [config0, config1, config2] = core.registers();
    match register.offset {
        registers::IDENTITY => Some(IDENTITY),
        registers::VERSION => Some(VERSION),
        registers::CONFIG0 => Some(config0),
        registers::CONFIG1 => Some(config1),
        registers::CONFIG2 => Some(config2),
        _ => None,
    }
}

fn one(register: &Register, constant: Option<u32>) -> String {
    let access = match (register.access, constant) {
        (Access::ReadOnly, Some(_)) => "sw = r; hw = na;",
        (Access::ReadOnly, None) => "sw = r; hw = w;",
        (Access::ReadWrite, _) => "sw = rw; hw = r;",
        (Access::WriteOne, _) => "sw = w; hw = r; singlepulse;",
    };
    let whole = BitField { register: register.offset, name: "VALUE", lsb: 0, width: 32, doc: register.doc };
    let parts = registers::FIELDS.iter().filter(|field| field.register == register.offset);
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

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
