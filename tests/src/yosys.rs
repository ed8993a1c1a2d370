//! Yosys, for tests of what it makes of the core.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const REMEDY: &str = "run `cargo xtask setup formal`, or set MST_TOOLS to the tools' folder";

/// Runs a script in `folder`, which keeps it and its log as `NAME.ys` and `NAME.log`.
///
/// # Errors
/// If Yosys is not installed or reports an error.
pub fn run(folder: &Path, name: &str, script: &str) -> Result<(), String> {
    let at = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let (file, log) = (format!("{name}.ys"), format!("{name}.log"));
    let path = folder.join(&file);
    std::fs::write(&path, script).map_err(|error| at(&path, error))?;
    let output = start("yosys", folder, &["-ql", &log, &file])?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stderr, output.stdout, std::fs::read(folder.join(&log)).unwrap_or_default()].concat();
    let said = String::from_utf8_lossy(&said);
    let reason = said.lines().find(|line| line.contains("ERROR")).unwrap_or("it said nothing").trim();
    Err(format!("Yosys failed: {reason}; its script is {}", path.display()))
}

/// Runs commands of ABC in `folder` and returns what it says.
///
/// # Errors
/// If it is not installed or reports an error.
pub fn abc(folder: &Path, commands: &str) -> Result<String, String> {
    let output = start("yosys-abc", folder, &["-c", commands])?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(said) } else { Err(format!("ABC failed in `{commands}`: {said}")) }
}

/// A program of the formal tools. Their Yosys is native: it starts at once, which the WebAssembly one of synthesis does not.
fn start(name: &str, folder: &Path, arguments: &[&str]) -> Result<Output, String> {
    let program = sim::verilated::tools().join("formal-venv/shims").join(name);
    if !program.is_file() {
        return Err(format!("no {name} at {}; {REMEDY}", program.display()));
    }
    let output = Command::new(&program).current_dir(folder).args(arguments).output();
    output.map_err(|error| format!("{}: {error}", program.display()))
}

/// A folder of the workspace's `out/`, made if it is not there.
///
/// # Errors
/// If it cannot be made.
pub fn folder(name: &str) -> Result<PathBuf, String> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tests.parent().unwrap_or(tests).join("out").join(name);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

/// The folder of Yosys' cell models and mappings.
///
/// # Errors
/// If Yosys is not installed.
pub fn share() -> Result<PathBuf, String> {
    let libraries = sim::verilated::tools().join("formal-venv/lib");
    let pythons = std::fs::read_dir(&libraries).into_iter().flatten().flatten();
    let mut shares = pythons.map(|python| python.path().join("site-packages/pyosys/share"));
    shares
        .find(|share| share.is_dir())
        .ok_or_else(|| format!("no cell models in {}; {REMEDY}", libraries.display()))
}
