//! LitePCIe's scatter-gather DMA as its registers show it: a table of descriptors that are run once each, in order.

use isa::pcie::litepcie::dma;
use std::collections::VecDeque;

/// Descriptors that the table holds.
const DEPTH: usize = isa::pcie::DMA_DESCRIPTORS as usize;

#[derive(Clone, Copy, Debug)]
struct Descriptor {
    address: u64,
    bytes: u32,
    interrupt: bool,
}

/// A piece of a descriptor: one request on the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) address: u64,
    pub(super) bytes: usize,
}

/// The DMA reader or writer.
#[derive(Debug, Default)]
pub(super) struct Engine {
    enabled: bool,
    value_high: u32,
    value_low: u32,
    table_loop: u32,
    table: VecDeque<Descriptor>,
    /// Descriptors that were run since the table was reset.
    run: u32,
    /// Bytes of the first descriptor that were requested.
    requested: u32,
}

impl Engine {
    pub(super) fn enabled(&self) -> bool {
        self.enabled
    }

    pub(super) fn read(&self, register: u32) -> u32 {
        match register {
            // Bit 1: the engine waits for something to do.
            dma::ENABLE => u32::from(self.enabled) | u32::from(self.table.is_empty()) << 1,
            dma::TABLE_VALUE_HIGH => self.value_high,
            dma::TABLE_VALUE_LOW => self.value_low,
            dma::TABLE_LOOP => self.table_loop,
            dma::TABLE_STATUS => self.run,
            dma::TABLE_LEVEL => self.table.len() as u32,
            _ => 0,
        }
    }

    pub(super) fn write(&mut self, register: u32, value: u32) {
        match register {
            dma::ENABLE => {
                self.enabled = value & 1 != 0;
                self.requested = 0;
            }
            dma::TABLE_VALUE_HIGH => self.value_high = value & 0x3ff_ffff,
            dma::TABLE_VALUE_LOW => self.value_low = value,
            // In a loop the table fills itself; a full table takes nothing.
            dma::TABLE_WRITE if self.table_loop & 1 == 0 && self.table.len() < DEPTH => {
                self.table.push_back(Descriptor {
                    address: u64::from(value) << 32 | u64::from(self.value_low),
                    bytes: self.value_high & 0xff_ffff,
                    interrupt: self.value_high >> 24 & 1 == 0,
                });
            }
            dma::TABLE_LOOP => self.table_loop = value,
            dma::TABLE_RESET if value & 1 != 0 => {
                self.table.clear();
                (self.run, self.requested) = (0, 0);
            }
            _ => {}
        }
    }

    /// The next request of at most `most` bytes, if the engine is enabled and has a descriptor.
    pub(super) fn next(&self, most: u32) -> Option<Request> {
        let descriptor = self.table.front().filter(|_| self.enabled)?;
        let bytes = (descriptor.bytes - self.requested).min(most) as usize;
        Some(Request { address: descriptor.address + u64::from(self.requested), bytes })
    }

    /// The request from [`next`](Engine::next) was handed over: whether the engine's interrupt is raised.
    pub(super) fn handed_over(&mut self, request: Request) -> bool {
        self.requested += request.bytes as u32;
        let Some(&descriptor) = self.table.front() else { return false };
        if self.requested < descriptor.bytes {
            return false;
        }
        self.table.pop_front();
        if self.table_loop & 1 != 0 {
            self.table.push_back(descriptor);
        }
        self.requested = 0;
        self.run = self.run.wrapping_add(1);
        descriptor.interrupt
    }
}
