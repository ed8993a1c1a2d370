//! A card in this process, as a [`Function`]: an IOMMU lets it reach the buffers that were made and nothing else.

use super::Card;
use crate::pcie::{HostMemory, Refused};
use driver::LinkError;
use driver::link::Link;
use driver::pcie::{Buffer, Direction, Function};
use isa::pcie::BAR0_BYTES;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const PAGE: usize = 4096;
/// What lies in the pages around a buffer.
const GUARD: u8 = 0xa5;
/// Bus address of the first buffer.
const FIRST_ADDRESS: u64 = 0x1_0000_0000;
/// Time of a register access, and of a step.
const ACCESS: Duration = Duration::from_micros(1);

/// A page range of host memory with a guard page on each side.
struct Mapping {
    bytes: Vec<u8>,
    direction: Direction,
}

impl Mapping {
    fn buffer(&self) -> Range<usize> {
        PAGE..self.bytes.len() - PAGE
    }
}

/// Host memory behind an IOMMU.
#[derive(Default)]
struct Host {
    mappings: BTreeMap<u64, Mapping>,
    next: u64,
    refused: u64,
}

impl Host {
    /// The bytes at bus addresses `address..address + bytes`, if all of them are granted.
    fn granted(&mut self, address: u64, bytes: usize, card_writes: bool) -> Option<&mut [u8]> {
        let found = self.mappings.range_mut(..=address).next_back().and_then(|(&base, mapping)| {
            let begin = usize::try_from(address - base).ok()?.checked_add(PAGE)?;
            let range = begin..begin.checked_add(bytes)?;
            let allowed = !card_writes || mapping.direction == Direction::ToHost;
            (allowed && range.end <= mapping.buffer().end).then(|| &mut mapping.bytes[range])
        });
        if found.is_none() {
            self.refused += 1;
        }
        found
    }
}

impl HostMemory for Host {
    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), Refused> {
        let granted = self.granted(address, into.len(), false);
        granted.map(|bytes| into.copy_from_slice(bytes)).ok_or(Refused)
    }

    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Refused> {
        let granted = self.granted(address, data.len(), true);
        granted.map(|bytes| bytes.copy_from_slice(data)).ok_or(Refused)
    }
}

fn lock(host: &Mutex<Host>) -> MutexGuard<'_, Host> {
    host.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A card in this process.
pub struct CardFunction<L: Link> {
    card: Card<L>,
    host: Arc<Mutex<Host>>,
    clock: Duration,
}

impl<L: Link> CardFunction<L> {
    /// Enables a card, as the kernel does when its driver takes it.
    pub fn new(mut card: Card<L>) -> CardFunction<L> {
        card.set_bus_master(true);
        let host = Host { next: FIRST_ADDRESS, ..Host::default() };
        CardFunction { card, host: Arc::new(Mutex::new(host)), clock: Duration::ZERO }
    }

    /// The card.
    pub fn card(&mut self) -> &mut Card<L> {
        &mut self.card
    }

    /// Requests of the card that the IOMMU refused.
    pub fn refused(&self) -> u64 {
        lock(&self.host).refused
    }

    /// Whether the pages around every buffer are as they were.
    pub fn guards_intact(&self) -> bool {
        lock(&self.host).mappings.values().all(|mapping| {
            let buffer = mapping.buffer();
            let (before, after) = (&mapping.bytes[..buffer.start], &mapping.bytes[buffer.end..]);
            before.iter().chain(after).all(|&byte| byte == GUARD)
        })
    }

    /// Lets time pass without the card.
    pub fn wait(&mut self, time: Duration) {
        self.clock += time;
    }

    fn step(&mut self) {
        self.clock += ACCESS;
        self.card.step(&mut *lock(&self.host));
    }
}

fn in_bar(access: &'static str, offset: u32) -> Result<(), LinkError> {
    if offset < BAR0_BYTES && offset.is_multiple_of(4) {
        Ok(())
    } else {
        Err(LinkError::Register { access, offset, response: "UR" })
    }
}

impl<L: Link> Function for CardFunction<L> {
    type Buffer = CardBuffer;

    fn name(&self) -> &str {
        "model"
    }

    fn read(&mut self, offset: u32) -> Result<u32, LinkError> {
        in_bar("read", offset)?;
        self.step();
        Ok(self.card.read(offset))
    }

    fn write(&mut self, offset: u32, value: u32) -> Result<(), LinkError> {
        in_bar("write", offset)?;
        self.card.write(offset, value);
        self.step();
        Ok(())
    }

    fn buffer(&mut self, bytes: usize, direction: Direction) -> Result<CardBuffer, LinkError> {
        let bytes = bytes.next_multiple_of(PAGE);
        let mut host = lock(&self.host);
        let address = host.next;
        // A page that is granted to nobody lies between two buffers.
        host.next += (bytes + PAGE) as u64;
        let mut all = vec![GUARD; bytes + 2 * PAGE];
        all[PAGE..PAGE + bytes].fill(0);
        host.mappings.insert(address, Mapping { bytes: all, direction });
        drop(host);
        Ok(CardBuffer { host: Arc::clone(&self.host), address, bytes })
    }

    fn wait_interrupt(&mut self, timeout: Duration) -> Result<bool, LinkError> {
        let end = self.clock + timeout;
        loop {
            if self.card.take_interrupt() {
                return Ok(true);
            }
            if self.clock >= end {
                return Ok(false);
            }
            self.step();
        }
    }

    fn reset(&mut self) -> Result<(), LinkError> {
        self.card.reset();
        self.card.set_bus_master(true);
        Ok(())
    }

    fn clock(&self) -> Duration {
        self.clock
    }
}

/// Host memory that the card reaches until this is dropped.
pub struct CardBuffer {
    host: Arc<Mutex<Host>>,
    address: u64,
    bytes: usize,
}

impl CardBuffer {
    fn range(&self, offset: usize, length: usize) -> Range<usize> {
        assert!(offset + length <= self.bytes, "{offset}+{length} of a buffer of {} bytes", self.bytes);
        PAGE + offset..PAGE + offset + length
    }
}

impl Buffer for CardBuffer {
    fn address(&self) -> u64 {
        self.address
    }

    fn len(&self) -> usize {
        self.bytes
    }

    fn write(&mut self, offset: usize, data: &[u8]) {
        let range = self.range(offset, data.len());
        if let Some(mapping) = lock(&self.host).mappings.get_mut(&self.address) {
            mapping.bytes[range].copy_from_slice(data);
        }
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        let range = self.range(offset, into.len());
        if let Some(mapping) = lock(&self.host).mappings.get(&self.address) {
            into.copy_from_slice(&mapping.bytes[range]);
        }
    }
}

impl Drop for CardBuffer {
    fn drop(&mut self) {
        lock(&self.host).mappings.remove(&self.address);
    }
}
