//! Places in the workspace.

use crate::error::XtaskError;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Root of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Folder of the pinned tools.
pub fn tools() -> PathBuf {
    std::env::var_os("MST_TOOLS").map_or_else(|| root().join(".tools"), PathBuf::from)
}

/// The Cargo that runs this, in the root of the workspace.
pub fn cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root());
    command
}

/// The command line of the project, optimised.
pub fn generator() -> Command {
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "gen", "--"]);
    command
}

/// Turns an error of the system into one that names the path.
pub fn at(path: &Path) -> impl FnOnce(std::io::Error) -> XtaskError {
    let path = path.to_owned();
    move |source| XtaskError::File { path, source }
}
