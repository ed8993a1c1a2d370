//! The PCIe card at the level of its registers, with any core behind them: written from the text of [`isa::pcie`] and from LitePCIe's
//! sources, and sharing nothing with the driver.
//!
//! [`Card::step`] lets a request of each DMA engine and a microsecond of the core pass. [`CardFunction`] puts a card into this process,
//! with an IOMMU between it and the buffers.

mod engine;
mod function;

pub use function::{CardBuffer, CardFunction};

use crate::pcie::HostMemory;
use driver::link::Link;
use engine::Engine;
use isa::pcie::{self, card_control, card_status, interrupt, litepcie};
use isa::registers;
use std::collections::VecDeque;
use std::time::Duration;

/// Bytes of the largest read request.
const READ_REQUEST: u32 = 512;
/// Bytes of the largest write.
const PAYLOAD: u32 = 128;
/// Bytes that the writer holds.
const WRITER_FIFO: usize = 4 * READ_REQUEST as usize;
/// Time of the core in a step.
const STEP: Duration = Duration::from_micros(1);
/// Link up, one lane of 2.5 Gb/s, state L0.
const LINK_STATUS: u32 = 1 | 0x16 << 4;

/// A stream of the card.
#[derive(Debug, Default)]
struct Stream {
    offset: u32,
    length: u32,
    done: u32,
    busy: bool,
    refused: bool,
    checksum: crc32fast::Hasher,
}

impl Stream {
    fn begin(&mut self, length: u32, memory_bytes: u64) {
        let fits = u64::from(self.offset) + u64::from(length) <= memory_bytes;
        if self.busy || !fits || !(self.offset | length).is_multiple_of(pcie::STREAM_ALIGN) {
            self.refused = true;
            return;
        }
        (self.length, self.done, self.busy) = (length, 0, length > 0);
        self.checksum = crc32fast::Hasher::new();
    }

    fn carried(&mut self, data: &[u8]) -> bool {
        self.checksum.update(data);
        self.done += data.len() as u32;
        self.busy = self.done < self.length;
        !self.busy
    }

    fn left(&self) -> usize {
        if self.busy { (self.length - self.done) as usize } else { 0 }
    }

    fn place(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.done)
    }

    fn crc(&self) -> u32 {
        self.checksum.clone().finalize()
    }
}

/// A card with the core behind `L`, whose memory is the card's.
pub struct Card<L: Link> {
    core: L,
    core_interrupt: bool,
    reader: Engine,
    writer: Engine,
    loopback: bool,
    fifo: VecDeque<u8>,
    to_card: Stream,
    to_host: Stream,
    msi_enable: u32,
    msi_vector: u32,
    message: bool,
    scratch: u32,
    bus_master: bool,
}

impl<L: Link> Card<L> {
    /// A card that was just powered up: it may not yet reach host memory.
    pub fn new(core: L) -> Card<L> {
        Card {
            core,
            core_interrupt: false,
            reader: Engine::default(),
            writer: Engine::default(),
            loopback: false,
            fifo: VecDeque::new(),
            to_card: Stream::default(),
            to_host: Stream::default(),
            msi_enable: 0,
            msi_vector: 0,
            message: false,
            scratch: 0x1234_5678,
            bus_master: false,
        }
    }

    /// Lets the card reach host memory and send interrupts, or not: bus master enable in its configuration space.
    pub fn set_bus_master(&mut self, enabled: bool) {
        self.bus_master = enabled;
    }

    /// Whether the card wants to send an interrupt; it wants so once for any number of causes.
    pub fn take_interrupt(&mut self) -> bool {
        self.bus_master && std::mem::take(&mut self.message)
    }

    /// Whether a step may change anything: a stream or a descriptor waits, or the core runs.
    pub fn busy(&mut self) -> bool {
        let core_runs = self.core.read_register(registers::STATUS).is_ok_and(|status| status & 1 != 0);
        let engines = [&self.reader, &self.writer];
        core_runs || self.to_card.busy || self.to_host.busy || engines.iter().any(|e| e.next(1).is_some())
    }

    /// Resets everything but the content of the memory.
    pub fn reset(&mut self) {
        self.reset_core();
        (self.reader, self.writer) = (Engine::default(), Engine::default());
        (self.loopback, self.core_interrupt, self.message, self.bus_master) = (false, false, false, false);
        (self.msi_enable, self.msi_vector) = (0, 0);
        self.fifo.clear();
        (self.to_card, self.to_host) = (Stream::default(), Stream::default());
    }

    /// Reads the register at byte `offset` of BAR 0; what is none reads as all ones.
    pub fn read(&mut self, offset: u32) -> u32 {
        let (base, register) = split(offset);
        match base {
            pcie::CORE_BASE => self.core.read_register(register).unwrap_or(u32::MAX),
            pcie::CARD_BASE => self.read_card(register),
            _ => self.read_litepcie(register),
        }
    }

    /// Writes the register at byte `offset` of BAR 0.
    pub fn write(&mut self, offset: u32, value: u32) {
        let (base, register) = split(offset);
        match base {
            // A write to what is no register goes nowhere.
            pcie::CORE_BASE => drop(self.core.write_register(register, value)),
            pcie::CARD_BASE => self.write_card(register, value),
            _ => self.write_litepcie(register, value),
        }
    }

    /// A request of each engine, and a microsecond of the core.
    pub fn step(&mut self, host: &mut impl HostMemory) {
        if self.bus_master {
            self.read_host(host);
            self.write_host(host);
        }
        let level = self.core.wait_interrupt(STEP).unwrap_or(false);
        if level && !self.core_interrupt {
            self.raise(interrupt::CORE);
        }
        self.core_interrupt = level;
    }

    fn read_host(&mut self, host: &mut impl HostMemory) {
        let Some(request) = self.reader.next(READ_REQUEST) else { return };
        if self.loopback && self.fifo.len() >= WRITER_FIFO {
            return;
        }
        let mut data = vec![0; request.bytes];
        // What is refused never comes; the engine does not notice.
        if host.read(request.address, &mut data).is_ok() {
            if self.loopback {
                self.fifo.extend(&data);
            } else {
                self.deliver(&data);
            }
        }
        if self.reader.handed_over(request) {
            self.raise(interrupt::DMA_READER);
        }
    }

    fn deliver(&mut self, data: &[u8]) {
        // Beyond the end of the stream, and without one, words are dropped.
        let data = &data[..data.len().min(self.to_card.left())];
        if !data.is_empty()
            && self.core.write_memory(self.to_card.place(), data).is_ok()
            && self.to_card.carried(data)
        {
            self.raise(interrupt::TO_CARD);
        }
    }

    fn write_host(&mut self, host: &mut impl HostMemory) {
        let bytes = self.to_host.left().min(READ_REQUEST as usize);
        if bytes > 0 && (self.fifo.len() < WRITER_FIFO || !self.writer.enabled()) {
            let mut data = vec![0; bytes];
            if self.core.read_memory(self.to_host.place(), &mut data).is_ok() {
                // A writer that is disabled takes everything and drops it.
                if self.writer.enabled() && !self.loopback {
                    self.fifo.extend(&data);
                }
                if self.to_host.carried(&data) {
                    self.raise(interrupt::TO_HOST);
                }
            }
        }
        // Slower than the memory, so that the last bytes leave the writer after they have left the memory.
        let Some(request) = self.writer.next(PAYLOAD).filter(|request| request.bytes <= self.fifo.len())
        else {
            return;
        };
        let data: Vec<u8> = self.fifo.drain(..request.bytes).collect();
        // Posted: of a refusal the card learns nothing.
        let _ = host.write(request.address, &data);
        if self.writer.handed_over(request) {
            self.raise(interrupt::DMA_WRITER);
        }
    }

    fn raise(&mut self, cause: u32) {
        self.msi_vector |= cause & self.msi_enable;
        self.message |= cause & self.msi_enable != 0;
    }

    fn reset_core(&mut self) {
        drop(self.core.write_register(registers::CONTROL, registers::control::SOFT_RESET));
        (self.to_card.busy, self.to_host.busy) = (false, false);
    }

    fn read_card(&mut self, register: u32) -> u32 {
        let flag = |set, bit| if set { bit } else { 0 };
        match register {
            pcie::CARD_IDENTITY => pcie::IDENTITY,
            pcie::MEMORY_BYTES => self.core.memory_size() as u32,
            pcie::CLOCK_HZ => 125_000_000,
            pcie::CARD_STATUS => {
                flag(self.to_card.busy, card_status::TO_CARD_BUSY)
                    | flag(self.to_host.busy, card_status::TO_HOST_BUSY)
                    | flag(self.to_card.refused, card_status::TO_CARD_REFUSED)
                    | flag(self.to_host.refused, card_status::TO_HOST_REFUSED)
            }
            pcie::TO_CARD_OFFSET => self.to_card.offset,
            pcie::TO_CARD_LENGTH => self.to_card.length,
            pcie::TO_CARD_DONE => self.to_card.done,
            pcie::TO_CARD_CRC => self.to_card.crc(),
            pcie::TO_HOST_OFFSET => self.to_host.offset,
            pcie::TO_HOST_LENGTH => self.to_host.length,
            pcie::TO_HOST_DONE => self.to_host.done,
            pcie::TO_HOST_CRC => self.to_host.crc(),
            pcie::CARD_CONTROL => 0,
            _ => u32::MAX,
        }
    }

    fn write_card(&mut self, register: u32, value: u32) {
        let memory_bytes = self.core.memory_size();
        match register {
            pcie::CARD_CONTROL => {
                if value & card_control::STREAM_RESET != 0 {
                    for stream in [&mut self.to_card, &mut self.to_host] {
                        (stream.busy, stream.refused) = (false, false);
                    }
                }
                if value & card_control::CORE_RESET != 0 {
                    self.reset_core();
                }
            }
            pcie::TO_CARD_OFFSET => self.to_card.offset = value,
            pcie::TO_CARD_LENGTH => self.to_card.begin(value, memory_bytes),
            pcie::TO_HOST_OFFSET => self.to_host.offset = value,
            pcie::TO_HOST_LENGTH => self.to_host.begin(value, memory_bytes),
            _ => {}
        }
    }

    fn read_litepcie(&mut self, register: u32) -> u32 {
        match register {
            litepcie::CTRL_SCRATCH => self.scratch,
            litepcie::PHY_LINK_STATUS => LINK_STATUS,
            litepcie::PHY_MSI_ENABLE => 1,
            litepcie::PHY_BUS_MASTER_ENABLE => self.bus_master.into(),
            litepcie::PHY_MAX_REQUEST_SIZE => READ_REQUEST,
            litepcie::PHY_MAX_PAYLOAD_SIZE => PAYLOAD,
            litepcie::MSI_ENABLE => self.msi_enable,
            litepcie::MSI_VECTOR => self.msi_vector,
            litepcie::DMA_LOOPBACK => self.loopback.into(),
            litepcie::DMA_WRITER..litepcie::DMA_READER => self.writer.read(register - litepcie::DMA_WRITER),
            litepcie::DMA_READER..litepcie::DMA_LOOPBACK => self.reader.read(register - litepcie::DMA_READER),
            _ => u32::MAX,
        }
    }

    fn write_litepcie(&mut self, register: u32, value: u32) {
        match register {
            litepcie::CTRL_SCRATCH => self.scratch = value,
            litepcie::MSI_ENABLE => {
                self.msi_enable = value;
                self.msi_vector &= value;
            }
            litepcie::MSI_CLEAR => self.msi_vector &= !value,
            litepcie::DMA_LOOPBACK => self.loopback = value & 1 != 0,
            litepcie::DMA_WRITER..litepcie::DMA_READER => {
                self.writer.write(register - litepcie::DMA_WRITER, value);
                if !self.writer.enabled() {
                    self.fifo.clear();
                }
            }
            litepcie::DMA_READER..litepcie::DMA_LOOPBACK => {
                self.reader.write(register - litepcie::DMA_READER, value);
            }
            _ => {}
        }
    }
}

/// The part of BAR 0 that `offset` lies in, and the offset there.
fn split(offset: u32) -> (u32, u32) {
    let base = match offset {
        pcie::CARD_BASE.. => pcie::CARD_BASE,
        pcie::CORE_BASE.. => pcie::CORE_BASE,
        _ => pcie::LITEPCIE_BASE,
    };
    (base, offset - base)
}
