//! A memory behind AXI4: latency, stalls, reordering and injected errors, all from a seed.
//!
//! Its outputs are registered: what it drives in a cycle depends on earlier cycles only. It takes the most that AXI allows: what is
//! written is seen by reads from its response on and not before, and what is read is looked up in the cycle in which it is driven.

use super::check::{self, Checker, Violation};
use super::{Address, MAX_BEAT, ManagerSignals, Random, ReadData, Response, SubordinateSignals};
use super::{WriteData, WriteResponse};
use std::collections::VecDeque;
use std::ops::{Range, RangeInclusive};

/// How the memory behaves.
#[derive(Clone, Debug)]
pub struct MemoryOptions {
    /// Bus address of the first byte, a multiple of 4096.
    pub base: u64,
    /// Bytes.
    pub bytes: usize,
    /// Bytes of a data beat: 8 or 16.
    pub beat_bytes: usize,
    /// Cycles from an accepted read address to its first data, and from the last write data to the response.
    pub latency: RangeInclusive<u64>,
    /// Bursts that may be in flight in each direction.
    pub outstanding: usize,
    /// Random stalls on all channels; `None` answers as soon as the latency allows, burst by burst.
    pub stalls: Option<Stalls>,
    /// Errors to answer with.
    pub faults: Vec<Fault>,
}

/// Random behaviour within the rules of AXI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalls {
    /// Seed: the same seed and the same traffic give the same stalls.
    pub seed: u64,
    /// Percentage of cycles in which a READY is low or a VALID is held back, 0..=99.
    pub percent: u8,
}

/// An error response to inject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What it meets.
    pub target: FaultTarget,
    /// The response: [`Response::SlaveError`] or [`Response::DecodeError`].
    pub response: Response,
}

/// What an injected error meets. A read beat that it meets carries no data, a write beat is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultTarget {
    /// The n-th data beat read, from 0.
    ReadBeat(u64),
    /// The n-th data beat written, from 0.
    WriteBeat(u64),
    /// Read beats with a byte in this range of window offsets.
    ReadRange(Range<u64>),
    /// Write beats with a byte in this range of window offsets.
    WriteRange(Range<u64>),
}

/// Write beats that are accepted before their address.
const EARLY_DATA: usize = 64;

/// A burst under way.
#[derive(Clone, Debug)]
struct Burst {
    address: Address,
    /// Offset of its first beat in the content.
    offset: usize,
    /// Beats done.
    beat: u64,
    /// First cycle in which it may go on.
    ready_at: u64,
    /// Worst response so far (writes).
    response: Response,
    /// What its response will make visible (writes).
    data: Vec<(usize, WriteData)>,
}

impl Burst {
    fn new(address: Address, offset: usize, ready_at: u64) -> Burst {
        Burst { address, offset, beat: 0, ready_at, response: Response::Okay, data: Vec::new() }
    }
}

/// Content that lies far apart on the bus: each word is found where its offset times a factor leads to, and what follows it in a row
/// follows there, too. So strides may be as large as addresses, whatever the size of the memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Addresses below this are offsets.
    pub from: u64,
    /// Offset `o` is found at `from + o * factor`.
    pub factor: u64,
    /// Bytes of the longest row: what follows further behind an offset is nowhere.
    pub row: u64,
}

impl Spread {
    /// Offset of some bytes in a memory, if that is where a row or what lies below can be; `word` divides all offsets.
    fn offset(&self, address: u64, bytes: u64, word: u64) -> Option<u64> {
        let Some(beyond) = address.checked_sub(self.from) else {
            return (address.checked_add(bytes)? <= self.from).then_some(address);
        };
        let (row, inside) = (beyond / (self.factor * word), beyond % (self.factor * word));
        (inside + bytes <= self.row).then_some(row * word + inside)
    }
}

/// Bursts whose addresses are kept: a core that takes one a cycle has taken four more by the time it has stopped for an error.
const LATEST: usize = 5;

fn note(latest: &mut VecDeque<u64>, address: u64) {
    latest.push_front(address);
    latest.truncate(LATEST);
}

/// The memory and its AXI4 port.
pub struct AxiMemory {
    bytes: Vec<u8>,
    spread: Option<Spread>,
    options: MemoryOptions,
    random: Random,
    checker: Checker,
    cycle: u64,
    driven: SubordinateSignals,
    reads: VecDeque<Burst>,
    writes: VecDeque<Burst>,
    early_data: VecDeque<WriteData>,
    responses: VecDeque<Burst>,
    beats_read: u64,
    beats_written: u64,
    latest_read: VecDeque<u64>,
    latest_written: VecDeque<u64>,
}

impl AxiMemory {
    /// A memory of zeros.
    pub fn new(options: MemoryOptions) -> AxiMemory {
        AxiMemory {
            bytes: vec![0; options.bytes],
            spread: None,
            random: Random::new(options.stalls.map_or(0, |stalls| stalls.seed)),
            checker: Checker::default(),
            cycle: 0,
            driven: SubordinateSignals::default(),
            reads: VecDeque::new(),
            writes: VecDeque::new(),
            early_data: VecDeque::new(),
            responses: VecDeque::new(),
            beats_read: 0,
            beats_written: 0,
            latest_read: VecDeque::new(),
            latest_written: VecDeque::new(),
            options,
        }
    }

    /// The content, as the host sees it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The content, to change it.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Spreads the content over all addresses, whatever the base.
    pub fn spread(&mut self, spread: Spread) {
        self.spread = Some(spread);
    }

    /// Offset of a burst in the content, if all of it is there.
    fn place(&self, address: &Address) -> Option<usize> {
        let bytes = address.beats() * self.options.beat_bytes as u64;
        let offset = match &self.spread {
            Some(spread) => spread.offset(address.address, bytes, self.options.beat_bytes as u64)?,
            None => address.address.checked_sub(self.options.base)?,
        };
        (offset.checked_add(bytes)? <= self.bytes.len() as u64).then_some(offset as usize)
    }

    /// How the memory behaves.
    pub fn options(&self) -> &MemoryOptions {
        &self.options
    }

    /// The errors to answer with, to change them from the next beat on.
    pub fn faults_mut(&mut self) -> &mut Vec<Fault> {
        &mut self.options.faults
    }

    /// What the memory drives in the coming cycle.
    pub fn signals(&self) -> &SubordinateSignals {
        &self.driven
    }

    /// Data beats read and written since the memory was made: what [`FaultTarget`] counts.
    pub fn beats(&self) -> (u64, u64) {
        (self.beats_read, self.beats_written)
    }

    /// Bus addresses of the latest bursts read and of those written, the last one first, five at most.
    pub fn latest_bursts(&self) -> (&VecDeque<u64>, &VecDeque<u64>) {
        (&self.latest_read, &self.latest_written)
    }

    /// Bursts that were accepted and are not answered in full.
    pub fn in_flight(&self) -> usize {
        let answering = usize::from(self.driven.write_response.is_some());
        self.reads.len() + self.writes.len() + self.responses.len() + answering
    }

    /// One cycle in reset: everything under way is forgotten. `settled` is false in the first cycle, whose outputs are still those of
    /// the time before.
    ///
    /// # Errors
    /// If the core offers a transfer during reset.
    pub fn reset(&mut self, core: &ManagerSignals, settled: bool) -> Result<(), Violation> {
        self.reads.clear();
        self.writes.clear();
        self.early_data.clear();
        self.responses.clear();
        self.driven = SubordinateSignals::default();
        self.cycle += 1;
        let checked = self.checker.reset(self.cycle, core);
        if settled { checked } else { Ok(()) }
    }

    /// One clock cycle: `core` is what the core drove while the memory drove [`signals`](AxiMemory::signals).
    ///
    /// # Errors
    /// The rule that the core broke.
    pub fn cycle(&mut self, core: &ManagerSignals) -> Result<(), Violation> {
        self.cycle += 1;
        self.checker.cycle(self.cycle, core, &self.driven)?;
        self.accept(core)?;
        self.collect()?;
        self.drive();
        Ok(())
    }

    /// Takes the transfers of this cycle.
    fn accept(&mut self, core: &ManagerSignals) -> Result<(), Violation> {
        if let (Some(address), true) = (core.read_address, self.driven.read_address_ready) {
            let offset = self.check("AR", &address)?;
            let ready_at = self.cycle + self.latency();
            note(&mut self.latest_read, address.address);
            self.reads.push_back(Burst::new(address, offset, ready_at));
        }
        if let (Some(address), true) = (core.write_address, self.driven.write_address_ready) {
            let offset = self.check("AW", &address)?;
            note(&mut self.latest_written, address.address);
            self.writes.push_back(Burst::new(address, offset, 0));
        }
        if let (Some(data), true) = (core.write_data, self.driven.write_data_ready) {
            self.early_data.push_back(data);
        }
        if core.response_ready {
            self.driven.write_response = None;
        }
        if core.read_ready {
            self.driven.read_data = None;
        }
        Ok(())
    }

    /// Checks a burst's address and returns the offset of its content.
    fn check(&self, channel: &'static str, address: &Address) -> Result<usize, Violation> {
        let place = self.place(address);
        check::address(self.cycle, channel, address, place.is_some(), self.options.beat_bytes as u64)?;
        Ok(place.unwrap_or_default())
    }

    /// Brings write data and write addresses together: data come in the order of their addresses, and may come first.
    fn collect(&mut self) -> Result<(), Violation> {
        while let (Some(burst), Some(&data)) = (self.writes.front_mut(), self.early_data.front()) {
            self.early_data.pop_front();
            let is_last = burst.beat + 1 == burst.address.beats();
            if data.last != is_last {
                return Err(Violation {
                    cycle: self.cycle,
                    channel: "W",
                    rule: "WLAST is high with the last beat of a burst and with no other",
                    section: "A3.2.2",
                    found: format!(
                        "WLAST {} in beat {} of {}",
                        u8::from(data.last),
                        burst.beat + 1,
                        burst.address.beats()
                    ),
                });
            }
            let beat = self.options.beat_bytes;
            let offset = burst.offset + burst.beat as usize * beat;
            let hit = |target: &FaultTarget| match target {
                FaultTarget::WriteBeat(n) => *n == self.beats_written,
                FaultTarget::WriteRange(range) => overlaps(range, offset, beat),
                FaultTarget::ReadBeat(_) | FaultTarget::ReadRange(_) => false,
            };
            match self.options.faults.iter().find(|fault| hit(&fault.target)) {
                Some(fault) => burst.response = fault.response,
                None => burst.data.push((offset, data)),
            }
            burst.beat += 1;
            self.beats_written += 1;
            if is_last && let Some(burst) = self.writes.pop_front() {
                let ready_at = self.cycle + self.latency();
                self.responses.push_back(Burst { ready_at, ..burst });
            }
        }
        Ok(())
    }

    /// Decides what to drive in the next cycle. A VALID that is high stays.
    fn drive(&mut self) {
        let room = |used: usize| used < self.options.outstanding;
        let (reads, writes) = (room(self.reads.len()), room(self.writes.len() + self.responses.len()));
        let data = self.early_data.len() < EARLY_DATA;
        self.driven.read_address_ready = reads && !self.stall();
        self.driven.write_address_ready = writes && !self.stall();
        self.driven.write_data_ready = data && !self.stall();
        if self.driven.write_response.is_none() && !self.responses.is_empty() && !self.stall() {
            self.respond();
        }
        if self.driven.read_data.is_none() && !self.reads.is_empty() && !self.stall() {
            self.read();
        }
    }

    /// Makes one write burst visible and drives its response.
    fn respond(&mut self) {
        let chosen = pick(&self.responses, self.cycle, self.options.stalls.is_some(), &mut self.random);
        let Some(burst) = chosen.and_then(|index| self.responses.remove(index)) else { return };
        for (offset, data) in &burst.data {
            let beat = &mut self.bytes[*offset..*offset + self.options.beat_bytes];
            for (i, byte) in beat.iter_mut().enumerate().filter(|(i, _)| data.strobe >> i & 1 == 1) {
                *byte = data.data[i];
            }
        }
        self.driven.write_response = Some(WriteResponse { id: burst.address.id, response: burst.response });
    }

    /// Drives the next beat of one read burst.
    fn read(&mut self) {
        let chosen = pick(&self.reads, self.cycle, self.options.stalls.is_some(), &mut self.random);
        let Some(index) = chosen else { return };
        let burst = &mut self.reads[index];
        let beat = self.options.beat_bytes;
        let offset = burst.offset + burst.beat as usize * beat;
        let hit = |target: &FaultTarget| match target {
            FaultTarget::ReadBeat(n) => *n == self.beats_read,
            FaultTarget::ReadRange(range) => overlaps(range, offset, beat),
            FaultTarget::WriteBeat(_) | FaultTarget::WriteRange(_) => false,
        };
        let mut data = [0; MAX_BEAT];
        let response = match self.options.faults.iter().find(|fault| hit(&fault.target)) {
            Some(fault) => fault.response,
            None => {
                data[..beat].copy_from_slice(&self.bytes[offset..offset + beat]);
                Response::Okay
            }
        };
        burst.beat += 1;
        let last = burst.beat == burst.address.beats();
        self.driven.read_data = Some(ReadData { id: burst.address.id, data, response, last });
        self.beats_read += 1;
        if last {
            self.reads.remove(index);
        }
    }

    fn stall(&mut self) -> bool {
        self.options.stalls.is_some_and(|stalls| self.random.percent(stalls.percent))
    }

    fn latency(&mut self) -> u64 {
        let (low, high) = (*self.options.latency.start(), *self.options.latency.end());
        if low >= high { low } else { low + self.random.below(high - low + 1) }
    }
}

/// Whether a beat at window offset `offset` has a byte in `range`.
fn overlaps(range: &Range<u64>, offset: usize, beat: usize) -> bool {
    range.start < (offset + beat) as u64 && (offset as u64) < range.end
}

/// The burst that goes on: the oldest if it is ready; with `reorder`, any ready one that is the oldest of its ID.
fn pick(queue: &VecDeque<Burst>, cycle: u64, reorder: bool, random: &mut Random) -> Option<usize> {
    if !reorder {
        return queue.front().filter(|burst| burst.ready_at <= cycle).map(|_| 0);
    }
    let oldest = |i: &usize| queue.iter().take(*i).all(|b| b.address.id != queue[*i].address.id);
    let ready = || (0..queue.len()).filter(|i| queue[*i].ready_at <= cycle).filter(oldest);
    let count = ready().count() as u64;
    if count == 0 { None } else { ready().nth(random.below(count) as usize) }
}
