//! What a PCIe function offers, whoever reaches it: the kernel's VFIO, or a simulated root complex.

use crate::link::LinkError;
use std::time::Duration;

/// Who may write a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The card reads; its writes are refused.
    ToCard,
    /// The card writes.
    ToHost,
}

/// A PCIe function: BAR 0, buffers that it may reach, its interrupt, its reset.
pub trait Function {
    /// Host memory that the function reaches until it is dropped.
    type Buffer: Buffer;

    /// How messages call it: `0000:03:00.0`.
    fn name(&self) -> &str;

    /// Reads 32 bits of BAR 0 at `offset` (bytes, a multiple of 4).
    ///
    /// # Errors
    /// If the offset is outside, or the function is gone.
    fn read(&mut self, offset: u32) -> Result<u32, LinkError>;

    /// Writes 32 bits of BAR 0 at `offset` (bytes, a multiple of 4).
    ///
    /// # Errors
    /// If the offset is outside, or the function is gone.
    fn write(&mut self, offset: u32, value: u32) -> Result<(), LinkError>;

    /// Makes a zeroed buffer of at least `bytes` bytes, whole pages, that the function reaches at one contiguous range of bus addresses.
    ///
    /// # Errors
    /// If the host has no memory or no bus addresses for it.
    fn buffer(&mut self, bytes: usize, direction: Direction) -> Result<Self::Buffer, LinkError>;

    /// Waits for an interrupt: `true` as soon as one has come since the last call, `false` after `timeout`.
    ///
    /// # Errors
    /// If it cannot be waited for.
    fn wait_interrupt(&mut self, timeout: Duration) -> Result<bool, LinkError>;

    /// Resets the function and everything on the card, and enables it again (memory, bus mastering, interrupt). Buffers stay mapped.
    ///
    /// # Errors
    /// If the function does not come back.
    fn reset(&mut self) -> Result<(), LinkError>;

    /// The time that deadlines are counted in, from any moment on.
    fn clock(&self) -> Duration;
}

/// Host memory that a function reaches.
pub trait Buffer {
    /// Bus address of the first byte; a multiple of 4096.
    fn address(&self) -> u64;

    /// Bytes; a multiple of 4096.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies `data` to byte `offset` on.
    ///
    /// # Panics
    /// If the range is outside.
    fn write(&mut self, offset: usize, data: &[u8]);

    /// Copies bytes from `offset` on.
    ///
    /// # Panics
    /// If the range is outside.
    fn read(&self, offset: usize, into: &mut [u8]);
}
