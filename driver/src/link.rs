//! How the registers and the memory of an accelerator are reached.
//!
//! A board, a PCIe card and a simulation differ only in their [`Link`]; everything above it is the same code.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Where the clock of links that have none of their own begins.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A way to an accelerator: its registers, the memory window that the core works in, and its interrupt.
///
/// Register offsets are those of [`isa::registers`]. Memory offsets count from the start of the window, whose first byte lies at
/// bus address [`memory_base`](Link::memory_base).
pub trait Link {
    /// Reads the register at `offset` (bytes, a multiple of 4).
    ///
    /// # Errors
    /// If the register cannot be reached or the bus answers with an error.
    fn read_register(&mut self, offset: u32) -> Result<u32, LinkError>;

    /// Writes the register at `offset` (bytes, a multiple of 4).
    ///
    /// # Errors
    /// If the register cannot be reached or the bus answers with an error.
    fn write_register(&mut self, offset: u32, value: u32) -> Result<(), LinkError>;

    /// Fills `into` from the memory window, from byte `offset` on.
    ///
    /// # Errors
    /// [`LinkError::OutsideWindow`] if the range leaves the window, otherwise what the transport reports.
    fn read_memory(&mut self, offset: u64, into: &mut [u8]) -> Result<(), LinkError>;

    /// Copies `data` into the memory window, from byte `offset` on.
    ///
    /// # Errors
    /// [`LinkError::OutsideWindow`] if the range leaves the window, otherwise what the transport reports.
    fn write_memory(&mut self, offset: u64, data: &[u8]) -> Result<(), LinkError>;

    /// Bus address of the window's first byte; a multiple of 4096.
    fn memory_base(&self) -> u64;

    /// Bytes in the window.
    fn memory_size(&self) -> u64;

    /// Waits until the core raises its interrupt: `true` as soon as it is seen, `false` after `timeout`. A link to a simulation
    /// counts time in clock cycles of 10 ns.
    ///
    /// # Errors
    /// If the transport fails while waiting.
    fn wait_interrupt(&mut self, timeout: Duration) -> Result<bool, LinkError>;

    /// The time that deadlines are counted in, from any moment on. The host's clock, unless the link has a time of its own, as
    /// one to a simulation has.
    fn clock(&self) -> Duration {
        BEGINNING.elapsed()
    }
}

/// Why an accelerator could not be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// A memory access would leave the window.
    #[error(
        "memory access to bytes {offset}..{} of a window of {size} bytes; use a smaller network, or an accelerator with more memory",
        offset.saturating_add(*length)
    )]
    OutsideWindow {
        /// First byte, from the window's start.
        offset: u64,
        /// Bytes of the access.
        length: u64,
        /// Bytes in the window.
        size: u64,
    },
    /// The register bus answered with an error.
    #[error(
        "{access} of register 0x{offset:03x} was answered with {response}; offsets are multiples of 4 below 0x1000"
    )]
    Register {
        /// `read` or `write`.
        access: &'static str,
        /// Byte offset of the register.
        offset: u32,
        /// The response: `SLVERR` or `DECERR`.
        response: &'static str,
    },
    /// The register bus did not answer.
    #[error(
        "{access} of register 0x{offset:03x} was not answered within {waited}; reset the core or reload the bitstream"
    )]
    NoAnswer {
        /// `read` or `write`.
        access: &'static str,
        /// Byte offset of the register.
        offset: u32,
        /// How long the link waited, in its own unit: `1000 cycles`.
        waited: String,
    },
    /// The transport below failed: a device file, a serial line, a simulation.
    #[error("{transport}: {source}")]
    Transport {
        /// What carries the accesses: `/dev/mst0`, `simulation`.
        transport: String,
        /// What it reported.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl LinkError {
    /// The error of a transport.
    pub fn transport(
        transport: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> LinkError {
        LinkError::Transport { transport: transport.into(), source: Box::new(source) }
    }
}

/// Checks that `length` bytes from `offset` on lie in a window of `size` bytes, and returns them as an index range.
///
/// # Errors
/// [`LinkError::OutsideWindow`] if they do not.
pub fn window_range(offset: u64, length: usize, size: u64) -> Result<std::ops::Range<usize>, LinkError> {
    let outside = LinkError::OutsideWindow { offset, length: length as u64, size };
    match offset.checked_add(length as u64) {
        Some(end) if end <= size => {
            let start = usize::try_from(offset).map_err(|_| outside)?;
            Ok(start..start + length)
        }
        _ => Err(outside),
    }
}

/// A link behind a pointer is a link.
impl<P> Link for P
where
    P: std::ops::DerefMut,
    P::Target: Link,
{
    fn read_register(&mut self, offset: u32) -> Result<u32, LinkError> {
        (**self).read_register(offset)
    }

    fn write_register(&mut self, offset: u32, value: u32) -> Result<(), LinkError> {
        (**self).write_register(offset, value)
    }

    fn read_memory(&mut self, offset: u64, into: &mut [u8]) -> Result<(), LinkError> {
        (**self).read_memory(offset, into)
    }

    fn write_memory(&mut self, offset: u64, data: &[u8]) -> Result<(), LinkError> {
        (**self).write_memory(offset, data)
    }

    fn memory_base(&self) -> u64 {
        (**self).memory_base()
    }

    fn memory_size(&self) -> u64 {
        (**self).memory_size()
    }

    fn wait_interrupt(&mut self, timeout: Duration) -> Result<bool, LinkError> {
        (**self).wait_interrupt(timeout)
    }

    fn clock(&self) -> Duration {
        (**self).clock()
    }
}
