//! Renders the register maps as C headers, for a host program that is not written in Rust: C11, and C++ from C++11 on.
//!
//! Of a register `NAME` of the map `mst_core` there is `MST_CORE_NAME_OFFSET`, in bytes; if it never changes, `MST_CORE_NAME_VALUE`; of each
//! of its fields `MST_CORE_NAME_FIELD_SHIFT` and `MST_CORE_NAME_FIELD_MASK`, a mask of the bits in place. `mst_core.h` also has the fields of
//! layer descriptors and pass records (index of the 64-bit word, shift, mask in place), operations, schedules and error codes.

use crate::descriptor::{self, Op, Schedule};
use crate::pass::{self, Segment};
use crate::register_map::RegisterMap;
use crate::registers::Access;
use crate::{CoreConfig, ErrorCode, Field, PcieConfig, SocConfig};
use std::fmt::{Debug, Write};

/// `mst_core.h`: registers, descriptors and error codes of `core`.
pub fn text(core: &CoreConfig) -> String {
    header(&RegisterMap::core(core), &(descriptors() + &errors()))
}

/// `mst_soc.h`: the system's own registers, and where everything lies on its bus.
pub fn soc_text(config: &SocConfig) -> String {
    header(&RegisterMap::soc(config), "")
}

/// `mst_pcie.h`: the card's registers, and where everything lies in BAR 0.
pub fn pcie_text(config: &PcieConfig) -> String {
    header(&RegisterMap::pcie(config), "")
}

fn header(map: &RegisterMap, more: &str) -> String {
    let prefix = map.name.to_uppercase();
    let mut text = format!(
        "/* Registers of {}. Generated; docs/isa.md has the same as text. {} */\n\
         #ifndef {prefix}_H\n\
         #define {prefix}_H\n\n\
         #include <stdint.h>\n",
        map.name, map.doc
    );
    for base in &map.bases {
        let _ =
            write!(text, "\n/* {} */\n#define {prefix}_{} 0x{:08x}u\n", base.doc, base.name, base.address);
    }
    for register in map.registers {
        let access = match register.access {
            Access::ReadOnly => "Read only.",
            Access::ReadWrite => "Read and write.",
            Access::WriteOne => "Write 1 to a bit; reads as 0.",
        };
        let name = register.name;
        let _ = write!(
            text,
            "\n/* {} {access} */\n#define {prefix}_{name}_OFFSET 0x{:03x}u\n",
            plain(register.doc),
            register.offset
        );
        if let Some(value) = map.constant(register) {
            let _ = writeln!(text, "#define {prefix}_{name}_VALUE 0x{value:08x}u");
        }
        for field in map.fields(register) {
            let mask = mask(field.lsb, field.width);
            let _ = write!(
                text,
                "/* {} */\n#define {prefix}_{name}_{field}_SHIFT {}u\n#define {prefix}_{name}_{field}_MASK 0x{mask:08x}u\n",
                plain(field.doc),
                field.lsb,
                field = field.name,
            );
        }
    }
    text + more + "\n#endif\n"
}

fn descriptors() -> String {
    let mut text = format!(
        "\n/* A layer descriptor: little-endian words of 64 bits, one descriptor after the other. */\n\
         #define MST_DESCRIPTOR_BYTES {}u\n\
         #define MST_DESCRIPTOR_WORDS {}u\n\
         #define MST_DESCRIPTOR_ALIGNMENT {}u\n\
         /* First word of its ranks, eight bytes a word. */\n\
         #define MST_DESCRIPTOR_RANK_WORD {}u\n\n",
        descriptor::BYTES,
        descriptor::WORDS,
        descriptor::ALIGNMENT,
        descriptor::RANK_WORD
    );
    text += &fields("DESCRIPTOR", descriptor::FIELDS);
    let _ = write!(
        text,
        "\n/* A pass record: little-endian words of 64 bits, as many as the descriptor's `pass_words` says. */\n\
         #define MST_PASS_ALIGNMENT {}u\n\
         /* First word of its segments, one a word. */\n\
         #define MST_PASS_SEGMENT_WORD {}u\n\
         #define MST_PASS_SEGMENT_DY_SHIFT {}u\n\
         #define MST_PASS_SEGMENT_DX_SHIFT {}u\n\n",
        pass::ALIGNMENT,
        pass::SEGMENT_WORD,
        Segment::DY_BIT,
        Segment::DX_BIT
    );
    text += &fields("PASS", pass::FIELDS);
    text += "\n/* Operations. */\n";
    for op in Op::ALL {
        let _ = writeln!(text, "#define MST_OP_{} {}u", upper_snake(op), op as u8);
    }
    text += "\n/* Schedules of neurons. */\n";
    for schedule in [Schedule::EachStep, Schedule::AfterAll] {
        let _ = writeln!(text, "#define MST_SCHEDULE_{} {}u", upper_snake(schedule), schedule as u8);
    }
    text
}

fn fields(record: &str, fields: &[Field]) -> String {
    let mut text = String::new();
    for field in fields {
        let name = format!("MST_{record}_{}", field.name.to_uppercase());
        let mask = mask(field.lsb, field.width);
        let _ = write!(
            text,
            "/* {} */\n#define {name}_WORD {}u\n#define {name}_SHIFT {}u\n#define {name}_MASK UINT64_C(0x{mask:016x})\n",
            plain(field.doc),
            field.word,
            field.lsb
        );
    }
    text
}

fn errors() -> String {
    let mut text = "\n/* Codes of the register ERROR. */\n#define MST_ERR_NONE 0u\n".to_owned();
    for &error in ErrorCode::ALL {
        let name = upper_snake(error);
        let _ = write!(text, "/* {} */\n#define MST_ERR_{name} {}u\n", error.text(), error as u8);
    }
    text
}

/// The bits of a field, in place.
fn mask(lsb: u32, width: u32) -> u64 {
    (u64::MAX >> (64 - width)) << lsb
}

/// A Rust doc text as it stands in a C comment.
fn plain(doc: &str) -> String {
    doc.replace("[`", "`").replace("`]", "`").replace("*/", "* /")
}

/// `BadTimeSteps` is `BAD_TIME_STEPS`.
fn upper_snake(variant: impl Debug) -> String {
    let mut name = String::new();
    for (i, c) in format!("{variant:?}").chars().enumerate() {
        if i > 0 && c.is_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}
