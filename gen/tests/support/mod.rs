//! The program, run as its users run it.

#![allow(dead_code, reason = "each test uses its own part")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

pub fn gen_command(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gen"));
    command.args(arguments).output().expect("the program starts")
}

pub fn succeeds(arguments: &[&str]) -> String {
    let output = gen_command(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "gen {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("results are text")
}

pub fn json(arguments: &[&str]) -> Value {
    let said = succeeds(&[arguments, &["--json"]].concat());
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("gen {arguments:?}: {error}: {said}"))
}

/// Exit code 2, nothing on stdout, one line on stderr that has all of `words`.
pub fn refuses(arguments: &[&str], words: &[&str]) {
    let output = gen_command(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "gen {arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "gen {arguments:?} prints results");
    assert_eq!(said.trim_end().lines().count(), 1, "gen {arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "gen {arguments:?} does not say `{word}`: {said}");
    }
}

pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Folder of the pinned tools.
pub fn tools() -> PathBuf {
    std::env::var_os("MST_TOOLS").map_or_else(|| workspace().join(".tools"), PathBuf::from)
}

/// The pinned Verilator.
pub fn verilator() -> PathBuf {
    let libraries = tools().join("verilator-venv/lib");
    let versions = std::fs::read_dir(&libraries).into_iter().flatten().flatten();
    let mut programs = versions.map(|version| version.path().join("site-packages/verilator/bin/verilator"));
    let program = programs.find(|program| program.exists());
    program.unwrap_or_else(|| panic!("no Verilator in {}: cargo xtask setup", libraries.display()))
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are UTF-8")
}

pub fn checkpoint() -> PathBuf {
    workspace().join("models/fashion-mnist/checkpoint.safetensors")
}

/// A folder with the converted network.
pub fn converted() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let net = folder.path().join("net.mst");
    succeeds(&["convert", text(&checkpoint()), "--out", text(&net)]);
    (folder, net)
}

/// Names and contents of a folder's files.
pub fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).expect("the folder exists").flatten();
    let mut files: Vec<_> = entries
        .map(|entry| {
            let name = entry.file_name().into_string().expect("names are UTF-8");
            (name, std::fs::read(entry.path()).expect("the file can be read"))
        })
        .collect();
    files.sort();
    files
}
