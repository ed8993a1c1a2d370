//! Finds Verilator: in the folder that `MST_TOOLS` names, or in `.tools` of the workspace.

use super::BuildError;
use std::path::{Path, PathBuf};

/// The workspace that this crate was built from.
pub fn workspace() -> PathBuf {
    let sim = Path::new(env!("CARGO_MANIFEST_DIR"));
    sim.parent().unwrap_or(sim).to_owned()
}

/// The folder of the pinned tools.
pub fn tools() -> PathBuf {
    std::env::var_os("MST_TOOLS").map_or_else(|| workspace().join(".tools"), PathBuf::from)
}

/// The Verilator of the pinned tools.
pub fn verilator() -> Result<PathBuf, BuildError> {
    let libraries = tools().join("verilator-venv/lib");
    let entries = std::fs::read_dir(&libraries).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path().join("site-packages/verilator/bin/verilator"))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.pop().ok_or(BuildError::NoVerilator { looked_in: libraries })
}

/// Where compiled models are kept: `mst-sim` in Cargo's target folder.
pub fn cache() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), PathBuf::from)
        .join("mst-sim")
}
