//! Why the card cannot be simulated, or what it did that it must not.

use super::litepcie::LitepcieError;
use super::root::REGISTER_CYCLES;
use super::tlp::Malformed;
use crate::verilated::{BuildError, ModelError};

/// Why the card cannot be simulated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PcieError {
    /// The card cannot be generated.
    #[error(transparent)]
    Rtl(#[from] hdl::rtl::RtlError),
    /// LitePCIe's core cannot be made.
    #[error(transparent)]
    Litepcie(#[from] LitepcieError),
    /// The card cannot be compiled.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The compiled card cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The card broke a rule of PCI Express.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A packet of the card is larger than configuration allows.
    #[error("the card sent {what} of {found} bytes; device control allows {allowed}")]
    TooLarge {
        /// `a write` or `a read`.
        what: &'static str,
        /// Its bytes.
        found: usize,
        /// The most.
        allowed: usize,
    },
    /// The card sent a request while it was not allowed to.
    #[error("the card sent a request while bus mastering is disabled")]
    NotMaster,
    /// The card did not answer.
    #[error(
        "a read of 0x{offset:05x} in BAR 0 was not answered within {REGISTER_CYCLES} cycles; reset the function"
    )]
    NoAnswer {
        /// Byte offset in BAR 0.
        offset: u32,
    },
}
