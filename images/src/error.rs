//! Why images were refused.

use std::path::{Path, PathBuf};

/// Why images were refused. Every message names the file, what was found there, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file or folder cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or folder is no source of images, is truncated or corrupt, or does not go with the options.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and what is allowed.
        reason: String,
    },
    /// Images have another shape than those that the network takes.
    #[error(
        "{}: images of {found}, but the network takes {expected} (height x width x channels); {remedy}",
        path.display()
    )]
    Shape {
        /// Where the images are.
        path: PathBuf,
        /// Their shape, or the shapes that they could have.
        found: String,
        /// The network's.
        expected: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A label is none of the network's classes.
    #[error(
        "{}: image {image} has label {label}, but the network has {classes}; use the data set that it was trained for, or \
         name a file of other labels with --labels",
        path.display()
    )]
    Label {
        /// Where the label is.
        path: PathBuf,
        /// Index of the image.
        image: usize,
        /// Its label.
        label: i64,
        /// The network's classes, in words.
        classes: String,
    },
    /// Images that would take more memory than is allowed.
    #[error("{}: {bytes} bytes of images, allowed: at most {limit}; {remedy}", path.display())]
    Size {
        /// Where the images are.
        path: PathBuf,
        /// Bytes that they would take.
        bytes: u64,
        /// Bytes that are allowed.
        limit: u64,
        /// What to do.
        remedy: &'static str,
    },
}

impl ImageError {
    /// An error of a file as a whole.
    pub(crate) fn file(path: &Path, reason: impl Into<String>) -> ImageError {
        ImageError::File { path: path.to_owned(), reason: reason.into() }
    }

    /// What the system said about a path.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> ImageError {
        let path = path.to_owned();
        move |source| ImageError::Io { path, source }
    }
}
