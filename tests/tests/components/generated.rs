//! The generated Verilog itself: two modules for a reviewer to see change, and what holds for all of it.

use std::path::PathBuf;
use std::process::Command;

use hdl::core::if_neuron::if_neuron;
use hdl::core::lfsr_mask_gate::lfsr_mask_gate;
use hdl::core::mst_core;
use hdl::rtl::emit;
use isa::CoreConfig;

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
        let folder = tempfile::tempdir().unwrap();
        let files = emit(&mst_core(&core).unwrap()).unwrap();
        for file in &files {
            assert!(!file.text.contains("lint_off"), "{} has a waiver", file.name);
            std::fs::write(folder.path().join(&file.name), &file.text).unwrap();
        }
        let mut lint = Command::new(verilator());
        lint.current_dir(&folder).env_remove("VERILATOR_ROOT");
        lint.args(["--lint-only", "-Wall", "--top-module", "mst_core"]);
        let output = lint.args(files.iter().map(|file| &file.name)).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let warned = String::from_utf8_lossy(&said).contains("%Warning");
        assert!(output.status.success() && !warned, "{core:?}: {}", String::from_utf8_lossy(&said));
    }
}
