//! Folders: pictures, files of one format, or a folder a class.
//!
//! - Pictures in the folder itself: images without labels, in the order of their names.
//! - Pictures in subfolders: each subfolder is a class and named like it. Where the network's classes have names (its own, or
//!   those of `--class-names`), folders are matched by name, and some may be missing. Otherwise there must be as many as classes, and
//!   they are the classes in the order of their names.
//! - Names are in the order of their bytes, as Python and PyTorch's `ImageFolder` have it: `10` comes before `2`.
//! - Hidden files are passed over, and so are files that are neither pictures nor called like one.

use crate::error::ImageError;
use std::path::{Path, PathBuf};

/// A folder's visible files and subfolders, in the order of their names.
pub(crate) struct Listing {
    /// Files.
    pub files: Vec<PathBuf>,
    /// Subfolders.
    pub folders: Vec<PathBuf>,
}

/// Reads a folder's names.
///
/// # Errors
/// If it cannot be read, or if a name is no UTF-8.
pub(crate) fn list(path: &Path) -> Result<Listing, ImageError> {
    let mut listing = Listing { files: Vec::new(), folders: Vec::new() };
    for entry in std::fs::read_dir(path).map_err(ImageError::io(path))? {
        let entry = entry.map_err(ImageError::io(path))?.path();
        let name = name(&entry);
        if name.is_empty() {
            return Err(ImageError::file(&entry, "a name that is no UTF-8; rename it"));
        }
        // Links count as what they lead to; a link that leads nowhere is named when it is read.
        match entry.metadata() {
            _ if name.starts_with('.') => {}
            Ok(what) if what.is_dir() => listing.folders.push(entry),
            Ok(what) if !what.is_file() => {}
            _ => listing.files.push(entry),
        }
    }
    listing.files.sort();
    listing.folders.sort();
    Ok(listing)
}

/// The last part of a path; empty if it is no UTF-8.
pub(crate) fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Whether a file is called like a picture: then it must be one.
pub(crate) fn is_called_picture(path: &Path) -> bool {
    const EXTENSIONS: [&str; 11] =
        ["png", "jpg", "jpeg", "jfif", "bmp", "gif", "webp", "tif", "tiff", "ppm", "pgm"];
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_lowercase);
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}
