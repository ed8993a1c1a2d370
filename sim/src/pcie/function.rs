//! The simulated card as a [`Function`]: what the driver sees of it.

use super::error::PcieError;
use super::memory::{Buffers, SimBuffer};
use super::options::RootOptions;
use super::root::{CardModel, RootComplex};
use driver::link::LinkError;
use driver::pcie::{Direction, Function};
use std::path::Path;
use std::time::Duration;

/// What messages call it.
const NAME: &str = "simulated PCIe card";

/// A card at a root complex, with buffers behind an IOMMU.
pub struct SimFunction {
    root: RootComplex<Buffers>,
    buffers: Buffers,
    clock_hz: u32,
}

impl SimFunction {
    /// Powers up a card whose clock has `clock_hz`.
    ///
    /// # Errors
    /// If the model cannot be loaded.
    pub fn new(
        card: &CardModel,
        clock_hz: u32,
        options: RootOptions,
        trace: Option<&Path>,
    ) -> Result<SimFunction, PcieError> {
        let buffers = Buffers::new(options.buffers);
        let root = RootComplex::new(card, options, buffers.clone(), trace)?;
        Ok(SimFunction { root, buffers, clock_hz })
    }

    /// The host's end.
    pub fn root(&mut self) -> &mut RootComplex<Buffers> {
        &mut self.root
    }

    /// Requests of the card outside any buffer, or against its direction.
    pub fn faults(&self) -> u64 {
        self.buffers.faults()
    }

    fn time(&self, cycles: u64) -> Duration {
        let nanoseconds = u128::from(cycles) * 1_000_000_000 / u128::from(self.clock_hz);
        Duration::from_nanos(nanoseconds as u64)
    }
}

impl From<PcieError> for LinkError {
    fn from(error: PcieError) -> LinkError {
        LinkError::transport(NAME, error)
    }
}

impl Function for SimFunction {
    type Buffer = SimBuffer;

    fn name(&self) -> &str {
        NAME
    }

    fn read(&mut self, offset: u32) -> Result<u32, LinkError> {
        Ok(self.root.bar_read(offset)?)
    }

    fn write(&mut self, offset: u32, value: u32) -> Result<(), LinkError> {
        Ok(self.root.bar_write(offset, value)?)
    }

    fn buffer(&mut self, bytes: usize, direction: Direction) -> Result<SimBuffer, LinkError> {
        Ok(self.buffers.map(bytes, direction))
    }

    fn wait_interrupt(&mut self, timeout: Duration) -> Result<bool, LinkError> {
        let end = self.clock() + timeout;
        loop {
            if self.root.take_interrupt().is_some() {
                // One wait is enough for all that came before it.
                while self.root.take_interrupt().is_some() {}
                return Ok(true);
            }
            if self.clock() >= end {
                return Ok(false);
            }
            self.root.step(1)?;
        }
    }

    fn reset(&mut self) -> Result<(), LinkError> {
        self.root.reset()?;
        self.root.enable();
        Ok(())
    }

    fn clock(&self) -> Duration {
        self.time(self.root.cycles())
    }
}
