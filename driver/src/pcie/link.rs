//! A card as a [`Link`]: registers through BAR 0, memory by LitePCIe's scatter-gather DMA through two buffers.
//!
//! Nothing that the card says is trusted: every wait has a deadline, every count is checked, and what a stream carried is compared by
//! checksum with what the host sent or found. After a stream that failed, the next access first brings both engines back to rest.

use super::error::{DmaRegisters, PcieError, Stall};
use super::function::{Buffer, Direction, Function};
use super::stream::{STREAM_BYTES, Stream, card_register, descriptors, litepcie_register};
use crate::link::{Link, LinkError, window_range};
use isa::PAGE;
use isa::pcie::{self, STREAM_ALIGN, card_control, interrupt, litepcie};
use std::ops::Range;
use std::time::Duration;

/// Time between two looks at the registers while an interrupt is awaited: one that gets lost costs no more.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The least time that a look takes: ends a wait that is interrupted without end on a function whose clock stands still.
const LOOK: Duration = Duration::from_micros(1);
/// What answers to requests of an aborted stream need to arrive, with much to spare.
const SETTLE: Duration = Duration::from_micros(100);
/// Interrupts that the driver waits for.
const INTERRUPTS: u32 = interrupt::CORE | interrupt::TO_CARD | interrupt::DMA_WRITER;

/// How a card is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PcieOptions {
    /// Bytes of each of the two buffers in host memory; whole pages, up to 4 MiB. More bytes mean fewer streams.
    pub buffer_bytes: usize,
    /// How long a stream may take, in the function's time.
    pub deadline: Duration,
}

impl Default for PcieOptions {
    /// 512 KiB and one second: a stream of that size takes about 2 ms on one lane of 2.5 Gb/s.
    fn default() -> PcieOptions {
        PcieOptions { buffer_bytes: 512 << 10, deadline: Duration::from_secs(1) }
    }
}

/// What a link carried since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Traffic {
    /// Bytes that DMA carried to the card.
    pub to_card_bytes: u64,
    /// Bytes that DMA carried to the host.
    pub to_host_bytes: u64,
    /// Interrupts that were taken.
    pub interrupts: u64,
}

/// A card with `mst_pcie`.
pub struct PcieLink<F: Function> {
    function: F,
    to_card: F::Buffer,
    to_host: F::Buffer,
    memory_bytes: u32,
    deadline: Duration,
    /// Whether both engines are known to be at rest with empty tables.
    at_rest: bool,
    traffic: Traffic,
}

impl<F: Function> PcieLink<F> {
    /// Finds the card behind `function`, makes the buffers and brings the streams to rest.
    ///
    /// # Errors
    /// If something else answers, the size of the memory is impossible, or the function has no room for the buffers.
    pub fn open(mut function: F, options: &PcieOptions) -> Result<PcieLink<F>, LinkError> {
        let bytes =
            options.buffer_bytes.clamp(PAGE as usize, STREAM_BYTES as usize) / PAGE as usize * PAGE as usize;
        check_identity(&mut function)?;
        let memory_bytes = function.read(card_register(pcie::MEMORY_BYTES))?;
        if !memory_bytes.is_multiple_of(PAGE as u32)
            || !(PAGE as u32..=isa::config::LARGEST_MEMORY).contains(&memory_bytes)
        {
            return Err(error(&function, PcieError::MemoryBytes { found: memory_bytes }));
        }
        let to_card = function.buffer(bytes, Direction::ToCard)?;
        let to_host = function.buffer(bytes, Direction::ToHost)?;
        let deadline = options.deadline;
        let traffic = Traffic::default();
        let mut link =
            PcieLink { function, to_card, to_host, memory_bytes, deadline, at_rest: false, traffic };
        link.rest()?;
        Ok(link)
    }

    /// What the link carried since it was opened.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// The function, for what this type does not offer.
    pub fn function(&mut self) -> &mut F {
        &mut self.function
    }

    /// Resets the whole card, whatever it does, and brings the streams to rest. Its memory is lost.
    ///
    /// # Errors
    /// If the function does not come back, or no longer as a card.
    pub fn reset(&mut self) -> Result<(), LinkError> {
        self.at_rest = false;
        self.function.reset()?;
        self.write_card(pcie::CARD_CONTROL, card_control::STREAM_RESET | card_control::CORE_RESET)?;
        self.rest()
    }

    /// Sends `bytes` bytes (whole pages of at most a buffer's) to the card and back without touching its memory: LitePCIe's reader feeds
    /// its writer. Returns how many.
    ///
    /// # Errors
    /// If they do not come back in time, or not the same.
    pub fn loopback(&mut self, bytes: usize) -> Result<usize, LinkError> {
        self.rest_if_needed()?;
        let bytes = bytes.clamp(PAGE as usize, self.to_card.len()) / PAGE as usize * PAGE as usize;
        self.at_rest = false;
        self.write_litepcie(litepcie::DMA_LOOPBACK, 1)?;
        let outcome = self.loop_through(bytes);
        // Also after a failure: bringing the engines to rest ends the loopback, too.
        self.rest()?;
        outcome
    }

    fn loop_through(&mut self, bytes: usize) -> Result<usize, LinkError> {
        let sent: Vec<u8> = (0..bytes as u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
        self.to_card.write(0, &sent);
        self.to_host.write(0, &vec![0; bytes]);
        self.write_litepcie(litepcie::MSI_CLEAR, Stream::ToHost.interrupt())?;
        self.describe(Stream::ToHost, bytes as u32)?;
        self.describe(Stream::ToCard, bytes as u32)?;
        self.await_interrupt(Stream::ToHost, bytes as u32)?;
        let mut came = vec![0; bytes];
        self.to_host.read(0, &mut came);
        self.traffic.to_card_bytes += bytes as u64;
        self.traffic.to_host_bytes += bytes as u64;
        match sent.iter().zip(&came).position(|(sent, came)| sent != came) {
            None => Ok(bytes),
            Some(at) => {
                let (found, sent) = (came[at], sent[at]);
                Err(error(&self.function, PcieError::Loopback { at, bytes, found, sent }))
            }
        }
    }

    fn read_card(&mut self, offset: u32) -> Result<u32, LinkError> {
        self.function.read(card_register(offset))
    }

    fn write_card(&mut self, offset: u32, value: u32) -> Result<(), LinkError> {
        self.function.write(card_register(offset), value)
    }

    fn read_litepcie(&mut self, offset: u32) -> Result<u32, LinkError> {
        self.function.read(litepcie_register(offset))
    }

    fn write_litepcie(&mut self, offset: u32, value: u32) -> Result<(), LinkError> {
        self.function.write(litepcie_register(offset), value)
    }

    fn rest_if_needed(&mut self) -> Result<(), LinkError> {
        if self.at_rest { Ok(()) } else { self.rest() }
    }

    /// Ends both streams, empties the tables, drops what is on its way, and enables engines and interrupts.
    fn rest(&mut self) -> Result<(), LinkError> {
        self.at_rest = false;
        check_identity(&mut self.function)?;
        for stream in [Stream::ToCard, Stream::ToHost] {
            self.function.write(stream.engine_base() + litepcie::dma::ENABLE, 0)?;
            self.function.write(stream.engine_base() + litepcie::dma::TABLE_LOOP, 0)?;
            self.function.write(stream.engine_base() + litepcie::dma::TABLE_RESET, 1)?;
        }
        self.write_litepcie(litepcie::DMA_LOOPBACK, 0)?;
        self.write_card(pcie::CARD_CONTROL, card_control::STREAM_RESET)?;
        // Requests of before are answered or time out while nobody listens.
        self.settle()?;
        self.write_litepcie(litepcie::MSI_ENABLE, INTERRUPTS)?;
        self.write_litepcie(litepcie::MSI_CLEAR, u32::MAX)?;
        for stream in [Stream::ToCard, Stream::ToHost] {
            self.function.write(stream.engine_base() + litepcie::dma::ENABLE, 1)?;
        }
        check_identity(&mut self.function)?;
        self.at_rest = true;
        Ok(())
    }

    fn settle(&mut self) -> Result<(), LinkError> {
        let started = self.function.clock();
        let mut waited = Duration::ZERO;
        while waited < SETTLE {
            self.function.wait_interrupt(SETTLE - waited)?;
            waited = (waited + LOOK).max(self.function.clock().saturating_sub(started));
        }
        Ok(())
    }

    /// Gives an engine the descriptors of a stream of `bytes` bytes from or to its buffer.
    fn describe(&mut self, stream: Stream, bytes: u32) -> Result<(), LinkError> {
        let base = stream.engine_base();
        self.function.write(base + litepcie::dma::TABLE_RESET, 1)?;
        for descriptor in descriptors(self.address(stream), bytes) {
            self.function.write(base + litepcie::dma::TABLE_VALUE_HIGH, descriptor.high)?;
            self.function.write(base + litepcie::dma::TABLE_VALUE_LOW, descriptor.address as u32)?;
            self.function.write(base + litepcie::dma::TABLE_WRITE, (descriptor.address >> 32) as u32)?;
        }
        Ok(())
    }

    fn address(&self, stream: Stream) -> u64 {
        match stream {
            Stream::ToCard => self.to_card.address(),
            Stream::ToHost => self.to_host.address(),
        }
    }

    /// Moves one stream between a buffer and the card's memory, and compares checksums.
    fn transfer(&mut self, stream: Stream, range: Range<u32>) -> Result<(), LinkError> {
        self.rest_if_needed()?;
        self.at_rest = false;
        let bytes = range.len() as u32;
        let registers = stream.registers();
        self.write_litepcie(litepcie::MSI_CLEAR, stream.interrupt())?;
        if stream == Stream::ToHost {
            self.describe(stream, bytes)?;
        }
        self.function.write(registers.offset, range.start)?;
        self.function.write(registers.length, bytes)?;
        let status = self.read_card(pcie::CARD_STATUS)?;
        if status & stream.refused() != 0 {
            check_identity(&mut self.function)?;
            let (offset, registers) = (range.start, self.registers(stream)?);
            return Err(error(&self.function, PcieError::Refused { stream, offset, bytes, registers }));
        }
        if stream == Stream::ToCard {
            self.describe(stream, bytes)?;
        } else {
            self.await_interrupt(stream, bytes)?;
        }
        self.await_bytes(stream, bytes)?;
        // This read is answered after the writer's interrupt was seen: the data are in host memory now.
        let card = self.function.read(registers.crc)?;
        let host = self.checksum(stream, bytes as usize);
        if card != host {
            check_identity(&mut self.function)?;
            let offset = range.start;
            return Err(error(&self.function, PcieError::Damaged { stream, offset, bytes, card, host }));
        }
        match stream {
            Stream::ToCard => self.traffic.to_card_bytes += u64::from(bytes),
            Stream::ToHost => self.traffic.to_host_bytes += u64::from(bytes),
        }
        self.at_rest = true;
        Ok(())
    }

    fn checksum(&self, stream: Stream, bytes: usize) -> u32 {
        let mut data = vec![0; bytes];
        match stream {
            Stream::ToCard => self.to_card.read(0, &mut data),
            Stream::ToHost => self.to_host.read(0, &mut data),
        }
        crc32fast::hash(&data)
    }

    /// Waits until the card counts all `bytes` of a stream.
    fn await_bytes(&mut self, stream: Stream, bytes: u32) -> Result<(), LinkError> {
        let mut before = 0;
        self.wait(stream, bytes, |link| {
            let found = link.function.read(stream.registers().done)?;
            if found < before || found > bytes {
                check_identity(&mut link.function)?;
                return Err(error(&link.function, PcieError::Count { stream, before, found, bytes }));
            }
            before = found;
            Ok(found == bytes)
        })
    }

    /// Waits until the engine of a stream has handed over its last request.
    fn await_interrupt(&mut self, stream: Stream, bytes: u32) -> Result<(), LinkError> {
        self.wait(stream, bytes, |link| {
            Ok(link.read_litepcie(litepcie::MSI_VECTOR)? & stream.interrupt() != 0)
        })
    }

    /// Looks with `over` after each interrupt, and now and then without one, until it says yes or the deadline has passed.
    fn wait(
        &mut self,
        stream: Stream,
        bytes: u32,
        mut over: impl FnMut(&mut PcieLink<F>) -> Result<bool, LinkError>,
    ) -> Result<(), LinkError> {
        let started = self.function.clock();
        let mut waited = Duration::ZERO;
        loop {
            if over(self)? {
                return Ok(());
            }
            if waited >= self.deadline {
                return Err(self.stalled(stream, bytes, waited)?);
            }
            self.sleep(LOOK_EVERY.min(self.deadline - waited))?;
            waited = (waited + LOOK).max(self.function.clock().saturating_sub(started));
        }
    }

    fn sleep(&mut self, timeout: Duration) -> Result<(), LinkError> {
        if self.function.wait_interrupt(timeout)? {
            self.traffic.interrupts += 1;
        }
        Ok(())
    }

    fn stalled(&mut self, stream: Stream, bytes: u32, waited: Duration) -> Result<LinkError, LinkError> {
        check_identity(&mut self.function)?;
        let registers = self.registers(stream)?;
        let done = self.function.read(stream.registers().done)?;
        let list = descriptors(self.address(stream), bytes);
        let descriptors = list.len() as u32;
        let taken = (registers.table_status & 0xffff).min(descriptors);
        let address = list.get(taken as usize).or(list.last()).map_or(0, |descriptor| descriptor.address);
        let stall = Stall { stream, waited, done, bytes, taken, descriptors, address, registers };
        Ok(error(&self.function, PcieError::Stalled(Box::new(stall))))
    }

    fn registers(&mut self, stream: Stream) -> Result<DmaRegisters, LinkError> {
        let base = stream.engine_base();
        Ok(DmaRegisters {
            card_status: self.read_card(pcie::CARD_STATUS)?,
            enable: self.function.read(base + litepcie::dma::ENABLE)?,
            table_level: self.function.read(base + litepcie::dma::TABLE_LEVEL)?,
            table_status: self.function.read(base + litepcie::dma::TABLE_STATUS)?,
            msi_vector: self.read_litepcie(litepcie::MSI_VECTOR)?,
            bus_master: self.read_litepcie(litepcie::PHY_BUS_MASTER_ENABLE)?,
            link_status: self.read_litepcie(litepcie::PHY_LINK_STATUS)?,
        })
    }

    /// Cuts a range of memory into aligned ranges that fit the buffers.
    fn pieces(&self, range: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<F> {
        let align = STREAM_ALIGN as usize;
        let whole = range.start / align * align..range.end.next_multiple_of(align);
        let end = if range.is_empty() { whole.start } else { whole.end };
        let most = self.to_card.len();
        (whole.start..end).step_by(most).map(move |begin| begin..end.min(begin + most))
    }

    /// Fills the block of [`STREAM_ALIGN`] bytes at `offset` of the card's memory into `into`.
    fn read_block(&mut self, offset: usize, into: &mut [u8]) -> Result<(), LinkError> {
        self.transfer(Stream::ToHost, offset as u32..(offset + into.len()) as u32)?;
        self.to_host.read(0, into);
        Ok(())
    }
}

fn check_identity<F: Function>(function: &mut F) -> Result<(), LinkError> {
    match function.read(card_register(pcie::CARD_IDENTITY))? {
        pcie::IDENTITY => Ok(()),
        found => Err(error(function, PcieError::NotACard { found })),
    }
}

fn error<F: Function>(function: &F, source: PcieError) -> LinkError {
    LinkError::transport(format!("PCIe card {}", function.name()), source)
}

/// Refuses an offset that is no register.
fn core_register(access: &'static str, offset: u32) -> Result<u32, LinkError> {
    if offset < isa::registers::BYTES && offset.is_multiple_of(4) {
        Ok(pcie::CORE_BASE + offset)
    } else {
        Err(LinkError::Register { access, offset, response: "DECERR" })
    }
}

impl<F: Function> Link for PcieLink<F> {
    fn read_register(&mut self, offset: u32) -> Result<u32, LinkError> {
        self.function.read(core_register("read", offset)?)
    }

    fn write_register(&mut self, offset: u32, value: u32) -> Result<(), LinkError> {
        self.function.write(core_register("write", offset)?, value)
    }

    fn read_memory(&mut self, offset: u64, into: &mut [u8]) -> Result<(), LinkError> {
        let range = window_range(offset, into.len(), self.memory_size())?;
        for piece in self.pieces(&range) {
            self.transfer(Stream::ToHost, piece.start as u32..piece.end as u32)?;
            let wanted = piece.start.max(range.start)..piece.end.min(range.end);
            let into = &mut into[wanted.start - range.start..wanted.end - range.start];
            self.to_host.read(wanted.start - piece.start, into);
        }
        Ok(())
    }

    fn write_memory(&mut self, offset: u64, data: &[u8]) -> Result<(), LinkError> {
        let range = window_range(offset, data.len(), self.memory_size())?;
        let align = STREAM_ALIGN as usize;
        for piece in self.pieces(&range) {
            let wanted = piece.start.max(range.start)..piece.end.min(range.end);
            // The bytes around, in the blocks that are only partly written.
            let first = (wanted.start > piece.start).then_some(piece.start);
            let last = (wanted.end < piece.end).then_some(piece.end - align);
            let mut block = [0; STREAM_ALIGN as usize];
            for edge in first.into_iter().chain(last) {
                self.read_block(edge, &mut block)?;
                self.to_card.write(edge - piece.start, &block);
            }
            let data = &data[wanted.start - range.start..wanted.end - range.start];
            self.to_card.write(wanted.start - piece.start, data);
            self.transfer(Stream::ToCard, piece.start as u32..piece.end as u32)?;
        }
        Ok(())
    }

    fn memory_base(&self) -> u64 {
        pcie::MEMORY_BASE
    }

    fn memory_size(&self) -> u64 {
        self.memory_bytes.into()
    }

    fn wait_interrupt(&mut self, timeout: Duration) -> Result<bool, LinkError> {
        let started = self.function.clock();
        let mut waited = Duration::ZERO;
        loop {
            if self.read_litepcie(litepcie::MSI_VECTOR)? & interrupt::CORE != 0 {
                self.write_litepcie(litepcie::MSI_CLEAR, interrupt::CORE)?;
                return Ok(true);
            }
            if waited >= timeout {
                return Ok(false);
            }
            self.sleep(LOOK_EVERY.min(timeout - waited))?;
            waited = (waited + LOOK).max(self.function.clock().saturating_sub(started));
        }
    }

    fn clock(&self) -> Duration {
        self.function.clock()
    }
}
