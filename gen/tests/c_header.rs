//! The C headers of the registers: they compile as C and as C++, and say what `isa` says.

mod support;

use isa::descriptor::{self, Op, Schedule};
use isa::pass::{self, Segment};
use isa::registers::{BitField, FIELDS, REGISTERS, Register};
use isa::{CoreConfig, ErrorCode, Field};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use support::{succeeds, text, workspace};

/// Names of the headers, and what each must define.
type Expected = BTreeMap<String, u64>;

/// What must be defined for a register map under `prefix`.
fn registers(prefix: &str, registers: &[Register], fields: &[BitField], into: &mut Expected) {
    for register in registers {
        into.insert(format!("{prefix}_{}_OFFSET", register.name), register.offset.into());
        for field in fields.iter().filter(|field| field.register == register.offset) {
            let name = format!("{prefix}_{}_{}", register.name, field.name);
            into.insert(format!("{name}_SHIFT"), field.lsb.into());
            into.insert(format!("{name}_MASK"), ((1 << field.width) - 1) << field.lsb);
        }
    }
}

fn core(config: &CoreConfig) -> Expected {
    let mut names = Expected::new();
    registers("MST_CORE", REGISTERS, FIELDS, &mut names);
    let [config0, config1, config2, config3] = config.registers();
    let mut set = |name: &str, value: u64| names.insert(format!("MST_{name}"), value);
    set("CORE_IDENTITY_VALUE", isa::IDENTITY.into());
    set("CORE_VERSION_VALUE", isa::VERSION.into());
    set("CORE_CONFIG0_VALUE", config0.into());
    set("CORE_CONFIG1_VALUE", config1.into());
    set("CORE_CONFIG2_VALUE", config2.into());
    set("CORE_CONFIG3_VALUE", config3.into());
    set("DESCRIPTOR_BYTES", descriptor::BYTES as u64);
    set("DESCRIPTOR_WORDS", descriptor::WORDS as u64);
    set("DESCRIPTOR_ALIGNMENT", descriptor::ALIGNMENT as u64);
    set("DESCRIPTOR_RANK_WORD", descriptor::RANK_WORD as u64);
    set("PASS_ALIGNMENT", pass::ALIGNMENT as u64);
    set("PASS_SEGMENT_WORD", pass::SEGMENT_WORD as u64);
    set("PASS_SEGMENT_DY_SHIFT", Segment::DY_BIT.into());
    set("PASS_SEGMENT_DX_SHIFT", Segment::DX_BIT.into());
    let records: [(&str, &[Field]); 2] = [("DESCRIPTOR", descriptor::FIELDS), ("PASS", pass::FIELDS)];
    for (record, fields) in records {
        for field in fields {
            let name = format!("{record}_{}", field.name.to_uppercase());
            set(&format!("{name}_WORD"), field.word as u64);
            set(&format!("{name}_SHIFT"), field.lsb.into());
            set(&format!("{name}_MASK"), ((1 << field.width) - 1) << field.lsb);
        }
    }
    // By hand, so that a change of a name that host programs use is seen.
    for (name, op) in [("LINEAR", Op::Linear), ("SCORES", Op::Scores), ("CONTEXT", Op::Context)] {
        set(&format!("OP_{name}"), op as u64);
    }
    set("SCHEDULE_EACH_STEP", Schedule::EachStep as u64);
    set("SCHEDULE_AFTER_ALL", Schedule::AfterAll as u64);
    set("ERR_NONE", 0);
    for (name, error) in [
        ("BAD_OP", ErrorCode::BadOp),
        ("BAD_TIME_STEPS", ErrorCode::BadTimeSteps),
        ("BAD_SHAPE", ErrorCode::BadShape),
        ("TOO_LARGE", ErrorCode::TooLarge),
        ("BAD_SEGMENTS", ErrorCode::BadSegments),
        ("UNALIGNED", ErrorCode::Unaligned),
        ("OUT_OF_RANGE", ErrorCode::OutOfRange),
        ("READ_ERROR", ErrorCode::ReadError),
        ("WRITE_ERROR", ErrorCode::WriteError),
        ("START_WHILE_BUSY", ErrorCode::StartWhileBusy),
        ("BAD_RUN", ErrorCode::BadRun),
    ] {
        set(&format!("ERR_{name}"), error as u64);
    }
    names
}

/// Macros with a value that a header defines, in its own words.
fn defined(header: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(header).unwrap();
    let macros = text.lines().filter_map(|line| line.strip_prefix("#define "));
    macros.filter_map(|line| line.split_once(' ')).map(|(name, _)| name.to_owned()).collect()
}

/// What a program that includes `headers` prints as the values of `names`, compiled by `compiler`.
fn printed(compiler: &[&str], source: &str, folder: &Path, headers: &[&str], names: &[String]) -> Expected {
    let includes: String = headers.iter().map(|header| format!("#include \"{header}\"\n")).collect();
    let lines: String = names
        .iter()
        .map(|name| format!("    printf(\"{name} %llu\\n\", (unsigned long long){name});\n"))
        .collect();
    let program = format!("{includes}#include <stdio.h>\nint main(void) {{\n{lines}    return 0;\n}}\n");
    std::fs::write(folder.join(source), program).unwrap();
    let mut compile = Command::new(compiler[0]);
    compile.current_dir(folder).args(&compiler[1..]);
    compile.args(["-Wall", "-Wextra", "-pedantic", "-Werror", "-o", "print", source]);
    let output = compile.output().expect("the compiler starts");
    assert!(output.status.success(), "{compiler:?}: {}", String::from_utf8_lossy(&output.stderr));
    let output = Command::new(folder.join("print")).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let line =
        |line: &str| line.split_once(' ').map(|(name, value)| (name.to_owned(), value.parse().unwrap()));
    lines.lines().filter_map(line).collect()
}

/// The headers define what is expected, no less and no more, in C and in C++.
fn agree(folder: &Path, headers: &[&str], expected: &Expected) {
    let names: Vec<String> = headers.iter().flat_map(|header| defined(&folder.join(header))).collect();
    for (compiler, source) in [(["gcc", "-std=c11"], "print.c"), (["g++", "-std=c++11"], "print.cpp")] {
        assert_eq!(&printed(&compiler, source, folder, headers, &names), expected, "{compiler:?}");
    }
    assert_eq!(names.len(), expected.len(), "a macro is defined twice");
}

#[test]
fn the_header_of_a_core_says_what_isa_says() {
    let folder = tempfile::tempdir().unwrap();
    succeeds(&["verilog", "--preset", "pcie", "--out", text(folder.path())]);
    agree(folder.path(), &["mst_core.h"], &core(&CoreConfig::preset("pcie").unwrap()));
}

#[test]
fn the_headers_of_a_system_go_together() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = workspace().join("constraints/ulx3s/mst_soc.json");
    succeeds(&["verilog", "--soc", text(&sizes), "--out", text(folder.path())]);
    let config: isa::SocConfig = serde_json::from_slice(&std::fs::read(&sizes).unwrap()).unwrap();
    let mut expected = core(&config.core);
    registers("MST_SOC", isa::soc::REGISTERS, &[], &mut expected);
    for (name, value) in [
        ("SOC_IDENTITY_VALUE", isa::soc::IDENTITY),
        ("MEMORY_BYTES_VALUE", config.memory_bytes),
        ("CLOCK_HZ_VALUE", config.clock_hz),
        ("MEMORY_BASE", isa::soc::MEMORY_BASE),
        ("CORE_BASE", isa::soc::CORE_BASE),
        ("SYSTEM_BASE", isa::soc::SOC_BASE),
    ] {
        expected.insert(format!("MST_SOC_{name}"), value.into());
    }
    agree(folder.path(), &["mst_core.h", "mst_soc.h"], &expected);
}

#[test]
fn the_headers_of_a_card_go_together() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = workspace().join("constraints/acorn/mst_pcie.json");
    succeeds(&["verilog", "--pcie", text(&sizes), "--out", text(folder.path())]);
    let config: isa::PcieConfig = serde_json::from_slice(&std::fs::read(&sizes).unwrap()).unwrap();
    let mut expected = core(&config.core);
    registers("MST_PCIE", isa::pcie::REGISTERS, &[], &mut expected);
    for (name, value) in [
        ("CARD_IDENTITY_VALUE", isa::pcie::IDENTITY),
        ("MEMORY_BYTES_VALUE", config.memory_bytes),
        ("CLOCK_HZ_VALUE", config.clock_hz),
        ("LITEPCIE_BASE", isa::pcie::LITEPCIE_BASE),
        ("CORE_BASE", isa::pcie::CORE_BASE),
        ("CARD_BASE", isa::pcie::CARD_BASE),
        ("CARD_CONTROL_STREAM_RESET_SHIFT", 0),
        ("CARD_CONTROL_STREAM_RESET_MASK", isa::pcie::card_control::STREAM_RESET),
        ("CARD_CONTROL_CORE_RESET_SHIFT", 1),
        ("CARD_CONTROL_CORE_RESET_MASK", isa::pcie::card_control::CORE_RESET),
    ] {
        expected.insert(format!("MST_PCIE_{name}"), value.into());
    }
    agree(folder.path(), &["mst_core.h", "mst_pcie.h"], &expected);
}
