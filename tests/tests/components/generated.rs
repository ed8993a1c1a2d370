//! The generated Verilog itself: two modules for a reviewer to see change, and what holds for all of it.

use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;

use hdl::core::if_neuron::if_neuron;
use hdl::core::lfsr_mask_gate::lfsr_mask_gate;
use hdl::core::mst_core;
use hdl::rtl::{Module, VerilogFile, emit};
use hdl::shell::litepcie::litepcie_core;
use hdl::shell::mst_pcie;
use isa::{CoreConfig, PcieConfig};

use crate::device::small_cores;

#[test]
fn the_mask_gate_reads_like_this() {
    insta::assert_snapshot!("lfsr_mask_gate.v", lfsr_mask_gate().unwrap().text());
}

#[test]
fn the_neuron_reads_like_this() {
    let tiny = CoreConfig::preset("tiny").unwrap();
    insta::assert_snapshot!("if_neuron.v", if_neuron(&tiny).unwrap().text());
}

/// The named configurations and the small ones of these tests.
fn cores() -> Vec<CoreConfig> {
    let presets = CoreConfig::PRESETS.iter().filter_map(|name| CoreConfig::preset(name));
    presets.chain(small_cores()).collect()
}

#[test]
fn two_generations_give_the_same_bytes() {
    for core in cores() {
        let [first, second] = [(); 2].map(|()| emit(&mst_core(&core).unwrap()).unwrap());
        let names =
            |files: &[hdl::rtl::VerilogFile]| files.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&first), names(&second));
        let differs = first.iter().zip(&second).find(|(a, b)| a.text != b.text);
        assert!(differs.is_none(), "{} differs at {} lanes", differs.unwrap().0.name, core.lanes);
    }
}

/// The Verilator of the pinned tools, where `sim` finds it.
fn verilator() -> PathBuf {
    let workspace = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.tools");
    let tools = std::env::var_os("MST_TOOLS").map_or_else(workspace, PathBuf::from);
    let libraries = tools.join("verilator-venv/lib");
    let entries = std::fs::read_dir(&libraries).unwrap_or_else(|e| panic!("{}: {e}", libraries.display()));
    let inside = |entry: std::fs::DirEntry| entry.path().join("site-packages/verilator/bin/verilator");
    entries.flatten().map(inside).find(|path| path.is_file()).expect("Verilator; run `cargo xtask setup`")
}

#[test]
fn every_configuration_is_clean_in_verilator_lint() {
    for core in cores() {
        let said = lint(&mst_core(&core).unwrap(), &[]);
        assert!(said.is_empty(), "{core:?}: {said}");
    }
}

/// What Verilator says of the modules under `top`, with `foreign` modules that are only declared.
fn lint(top: &Rc<Module>, foreign: &[Rc<Module>]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut files = emit(top).unwrap();
    for file in &files {
        assert!(!file.text.contains("lint_off"), "{} has a waiver", file.name);
    }
    // A declaration drives and reads nothing.
    let declared = |module: &Rc<Module>| VerilogFile {
        name: format!("{}.v", module.name()),
        text: format!(
            "/* verilator lint_off UNDRIVEN */\n/* verilator lint_off UNUSEDSIGNAL */\n{}",
            module.text()
        ),
    };
    files.extend(foreign.iter().map(declared));
    for file in &files {
        std::fs::write(folder.path().join(&file.name), &file.text).unwrap();
    }
    let mut lint = Command::new(verilator());
    lint.current_dir(&folder).env_remove("VERILATOR_ROOT");
    lint.args(["--lint-only", "-Wall", "--top-module", top.name()]);
    let output = lint.args(files.iter().map(|file| &file.name)).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() && !said.contains("%Warning") { String::new() } else { said }
}

/// Cards of several sizes: a memory that is a power of two and one that is not, the smallest, addresses of 32 and 64 bits.
#[test]
fn every_card_is_clean_in_verilator_lint() {
    let core = CoreConfig { lanes: 16, ..CoreConfig::preset("pcie").unwrap() };
    let narrow = CoreConfig { address_bits: 32, ..core.clone() };
    for (core, memory_bytes) in [(core.clone(), 128 << 10), (core, 172 << 10), (narrow, 4096)] {
        let card = PcieConfig { core, memory_bytes, clock_hz: 125_000_000 };
        let said = lint(&mst_pcie(&card).unwrap(), &[litepcie_core()]);
        assert!(said.is_empty(), "{card:?}: {said}");
    }
}
