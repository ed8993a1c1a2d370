//! Where files are found, and how they are written: in full or not at all.

use crate::error::GenError;
use std::path::{Path, PathBuf};

/// The network that is used when none is named.
pub const NETWORK: &str = "models/fashion-mnist/net.mst";
/// The images that are used when none are named.
pub const IMAGES: &str = "models/data/fashion-mnist";
/// The training images that are used when none are named: where Debian's package dataset-fashion-mnist puts them.
pub const TRAINING_IMAGES: &str = "/usr/share/datasets/fashion-mnist";
/// The checkpoint that lies beside a network.
pub const CHECKPOINT: &str = "checkpoint.safetensors";

/// `place` below the current folder, one of its parents, or the workspace that this program was built from.
pub fn find(place: &str) -> Option<PathBuf> {
    let here = std::env::current_dir().unwrap_or_default();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    here.ancestors().chain(workspace).map(|folder| folder.join(place)).find(|path| path.exists())
}

/// `named`, or `place` wherever it is found.
pub fn named_or_found(
    named: Option<&Path>,
    place: &str,
    what: &'static str,
    remedy: &'static str,
) -> Result<PathBuf, GenError> {
    match named {
        Some(path) => Ok(path.to_owned()),
        None => find(place).ok_or(GenError::NotFound { what, place: place.into(), remedy }),
    }
}

/// The first digits of a hash: enough to tell files apart.
pub fn first_digits(digest: &[u8]) -> String {
    const BYTES: usize = 8;
    digest[..BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Turns an error of the system into one that names the path.
pub fn at(path: &Path) -> impl FnOnce(std::io::Error) -> GenError {
    let path = path.to_owned();
    move |source| GenError::File { path, source }
}

/// Where a file is written before it takes its name.
pub fn partial(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    path.with_file_name(format!(".{}.{}.partial", name.display(), std::process::id()))
}

/// Writes a file in full or not at all; its folder is made if needed.
pub fn write_one(path: &Path, bytes: &[u8]) -> Result<(), GenError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(at(folder))?;
    }
    let partial = partial(path);
    let outcome =
        std::fs::write(&partial, bytes).and_then(|()| std::fs::rename(&partial, path)).map_err(at(path));
    if outcome.is_err() {
        // It may not exist; the first error is the one to report.
        let _ = std::fs::remove_file(&partial);
    }
    outcome
}

/// Writes files into `folder`, which is made if needed. All are written before the first takes its name, so that a full disk or
/// a lost permission leaves what was there.
pub fn write_all(folder: &Path, files: &[(String, String)]) -> Result<(), GenError> {
    std::fs::create_dir_all(folder).map_err(at(folder))?;
    let staging = folder.join(format!(".{}.partial", std::process::id()));
    let outcome = stage(&staging, files).and_then(|()| {
        files.iter().try_for_each(|(name, _)| {
            let path = folder.join(name);
            std::fs::rename(staging.join(name), &path).map_err(at(&path))
        })
    });
    // Empty after success; after a failure the first error is the one to report.
    let _ = std::fs::remove_dir_all(&staging);
    outcome
}

fn stage(staging: &Path, files: &[(String, String)]) -> Result<(), GenError> {
    std::fs::create_dir_all(staging).map_err(at(staging))?;
    for (name, text) in files {
        let path = staging.join(name);
        std::fs::write(&path, text).map_err(at(&path))?;
    }
    Ok(())
}
