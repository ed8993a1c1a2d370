//! Why a program, its file or an image for it was refused.

use crate::config::ConfigError;

/// An image has another size than the network takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the image has {found} bytes, network `{network}` takes {expected} ({shape})")]
pub struct ImageSizeError {
    /// Name of the network.
    pub network: String,
    /// Bytes of the image.
    pub found: usize,
    /// Bytes expected.
    pub expected: usize,
    /// The same in channels, rows and columns.
    pub shape: String,
}

/// Two images and their logits do not fit into memory side by side.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "network `{network}` needs {needed} bytes of accelerator memory for a second image beside the first, {available} are \
     there; run one image at a time"
)]
pub struct SecondPlaceError {
    /// Name of the network.
    pub network: String,
    /// Bytes needed.
    pub needed: u64,
    /// Bytes there are.
    pub available: u64,
}

/// Why a program file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramFileError {
    /// The bytes are no program file.
    #[error("not a program file, or a truncated one: {reason}; make one with `gen compile`")]
    Format {
        /// What is wrong.
        reason: String,
    },
    /// The file was written for another version of the interface.
    #[error(
        "the program is for interface version {}.{}, this is {}.{}; compile it again with `gen compile` of this release",
        found >> 16, found & 0xffff, crate::VERSION >> 16, crate::VERSION & 0xffff
    )]
    Version {
        /// The version found, as in register `VERSION`.
        found: u32,
    },
    /// The bytes are not those that were written.
    #[error(
        "checksum 0x{found:08x}, the file says 0x{expected:08x}: it was damaged; copy it again, or make it again with `gen compile`"
    )]
    Checksum {
        /// CRC-32 of what was read.
        found: u32,
        /// CRC-32 in the file.
        expected: u32,
    },
    /// The core's sizes are out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A part of the program contradicts another.
    #[error("{what} is {found}, allowed: {allowed}; make the file again with `gen compile`")]
    Value {
        /// The part, with its layer.
        what: String,
        /// Its value.
        found: String,
        /// The allowed values, in words.
        allowed: String,
    },
}
