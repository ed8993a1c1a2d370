//! The generated files in the tools of other hardware projects: FuseSoC, PeakRDL, cocotb.

mod support;

use isa::CoreConfig;
use isa::registers::{BitField, FIELDS, REGISTERS, Register};
use std::path::Path;
use std::process::{Command, Output};
use support::{succeeds, text, tools, verilator, workspace};
use tempfile::TempDir;

/// A folder with the Verilog of a preset and everything beside it.
fn generated(preset: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    succeeds(&["verilog", "--preset", preset, "--out", text(folder.path())]);
    folder
}

/// A program of the environment `hdl`, with the pinned Verilator on its path.
fn tool(name: &str) -> Command {
    let program = tools().join("hdl-venv/bin").join(name);
    assert!(program.exists(), "no {}: cargo xtask setup hdl", program.display());
    let path = std::env::var("PATH").expect("a search path");
    let mut command = Command::new(program);
    let verilator = verilator();
    let folder = verilator.parent().expect("a program lies in a folder");
    command.env("PATH", format!("{}:{path}", folder.display())).env_remove("VERILATOR_ROOT");
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// Runs a command that must succeed, and returns all that it said.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    said(&output)
}

/// FuseSoC on the package in `rtl`, from a folder of its own: it writes beside itself.
fn fusesoc(rtl: &Path, work: &Path, arguments: &[&str]) -> Command {
    let mut command = tool("fusesoc");
    command.current_dir(work).args(["--cores-root", text(rtl), "run", "--build-root", text(work)]);
    command.args(arguments).arg("mst:accelerator:mst_core");
    command
}

#[test]
fn slow_fusesoc_lints_the_core_and_sees_a_warning() {
    for preset in CoreConfig::PRESETS {
        let (rtl, work) = (generated(preset), tempfile::tempdir().unwrap());
        let said = run(&mut fusesoc(rtl.path(), work.path(), &["--target", "lint"]));
        assert!(said.contains("verilator") && !said.contains("%Warning"), "{preset}: {said}");
    }
    let (rtl, work) = (generated("tiny"), tempfile::tempdir().unwrap());
    let file = rtl.path().join("spike_packer.v");
    let verilog = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, verilog.replace("endmodule", "    wire forgotten;\nendmodule")).unwrap();
    let output = fusesoc(rtl.path(), work.path(), &["--target", "lint"]).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("forgotten"), "{}", said(&output));
}

/// The pinned Yosys has no Tcl, in which FuseSoC writes its scripts: so this looks at the script and does not run it.
#[test]
fn slow_fusesoc_prepares_the_synthesis_of_every_file() {
    let (rtl, work) = (generated("tiny"), tempfile::tempdir().unwrap());
    run(&mut fusesoc(rtl.path(), work.path(), &["--setup", "--target", "synth"]));
    let build = format!("mst_accelerator_mst_core_{}/synth", env!("CARGO_PKG_VERSION"));
    let script = ["edalize_yosys_procs.tcl", "edalize_yosys_template.tcl"]
        .map(|name| std::fs::read_to_string(work.path().join(&build).join(name)).unwrap())
        .concat();
    let files = std::fs::read_to_string(rtl.path().join("mst_core.f")).unwrap();
    for file in files.lines() {
        assert!(script.contains(&format!("/{file}}}")), "{file} in {script}");
    }
    assert!(script.contains("synth_ecp5") && script.contains("set top mst_core"), "{script}");
}

/// A C program that prints what the header made by PeakRDL of the address map `map` says of every register and field.
fn c_program(map: &str, registers: &[Register], fields: &[BitField]) -> String {
    let mut lines = String::new();
    for register in registers {
        let name = register.name;
        lines += &format!("    printf(\"{name} %zx\\n\", offsetof({map}_t, {name}));\n");
    }
    for field in fields {
        let (register, field) = (register_name(registers, field.register), field.name);
        let name = format!("{}__{register}__{field}", map.to_uppercase());
        lines += &format!("    printf(\"{register}.{field} %d %d\\n\", {name}_bp, {name}_bw);\n");
    }
    format!(
        "#include <stdio.h>\n#include <stddef.h>\n#include \"registers.h\"\nint main(void) {{\n{lines}    return 0;\n}}\n"
    )
}

fn register_name(registers: &[Register], offset: u32) -> &'static str {
    registers.iter().find(|register| register.offset == offset).expect("fields belong to registers").name
}

/// PeakRDL makes HTML and a C header of `MAP.rdl` without a warning, and a C program finds everything where `isa` has it.
fn peakrdl_agrees(rtl: &Path, map: &str, registers: &[Register], fields: &[BitField]) {
    let work = tempfile::tempdir().unwrap();
    let (rdl, path) = (rtl.join(format!("{map}.rdl")), |name: &str| work.path().join(name));
    let said = run(tool("peakrdl").arg("html").arg(&rdl).arg("-o").arg(path("html")));
    assert!(!said.contains("warning") && path("html/index.html").is_file(), "{said}");
    let said = run(tool("peakrdl").arg("c-header").arg(&rdl).arg("-o").arg(path("registers.h")));
    assert!(!said.contains("warning"), "{said}");
    std::fs::write(path("print.c"), c_program(map, registers, fields)).unwrap();
    let mut compiler = Command::new("gcc");
    run(compiler.current_dir(&work).args(["-Wall", "-Werror", "-o", "print", "print.c"]));
    let mut expected: Vec<String> = registers.iter().map(|r| format!("{} {:x}", r.name, r.offset)).collect();
    expected.extend(
        fields
            .iter()
            .map(|f| format!("{}.{} {} {}", register_name(registers, f.register), f.name, f.lsb, f.width)),
    );
    let found = run(&mut Command::new(path("print")));
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn slow_peakrdl_sees_every_register_where_the_core_has_it() {
    let rtl = generated("ecp5");
    peakrdl_agrees(rtl.path(), "mst_core", REGISTERS, FIELDS);
    assert!(!rtl.path().join("mst_soc.rdl").exists(), "a core alone has no system's registers");
}

#[test]
fn slow_peakrdl_sees_every_register_where_the_system_has_it() {
    let rtl = tempfile::tempdir().unwrap();
    let sizes = workspace().join("constraints/ulx3s/mst_soc.json");
    succeeds(&["verilog", "--soc", text(&sizes), "--out", text(rtl.path())]);
    let whole = |r: &Register| BitField { register: r.offset, name: "VALUE", lsb: 0, width: 32, doc: r.doc };
    let fields: Vec<BitField> = isa::soc::REGISTERS.iter().map(whole).collect();
    peakrdl_agrees(rtl.path(), "mst_soc", isa::soc::REGISTERS, &fields);
    peakrdl_agrees(rtl.path(), "mst_core", REGISTERS, FIELDS);
    let package = std::fs::read_to_string(rtl.path().join("mst_soc.core")).unwrap();
    assert!(package.contains("- mst_core.rdl\n") && package.contains("- mst_soc.rdl\n"), "{package}");
}

/// Layers that the bench runs: one of every operation but the readout.
const LAYERS: &str = "7";

#[test]
fn slow_cocotb_bench_passes_and_finds_a_planted_bug() {
    let (rtl, vectors) = (generated("tiny"), tempfile::tempdir().unwrap());
    succeeds(&["vectors", "--preset", "tiny", "--layers", LAYERS, "--out", text(vectors.path())]);
    let build = tempfile::tempdir().unwrap();
    let bench = || {
        let mut command = tool("python");
        command.arg(workspace().join("tests/cocotb/run.py"));
        command.args([rtl.path(), vectors.path(), build.path()]);
        command
    };
    let said_first = run(&mut bench());
    assert!(said_first.contains("3 tests, 0 failed"), "{said_first}");

    let file = rtl.path().join("if_neuron.v");
    let verilog = std::fs::read_to_string(&file).unwrap();
    let planted = verilog.replacen(
        "{1'b0, spike_count, last_fired} + {1'b0, ~rank, last_fired}",
        "{1'b0, spike_count, 1'b1} + {1'b0, ~rank, 1'b1}",
        1,
    );
    assert_ne!(verilog, planted);
    std::fs::write(&file, planted).unwrap();
    let output = bench().output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("3 tests, 1 failed") && said.contains("patch_embed"), "{said}");
}
