//! The core in software: an interpreter of descriptors and memory that follows the text of [`isa`] and nothing else.
//!
//! It shares no code with the compiler of programs, the reference executor or the hardware, so it tells them apart: a program
//! that runs right here and wrong on the hardware is the hardware's fault. A run takes no time: it is over when the write to
//! `CONTROL` returns. Of the counters it keeps `COUNT_EVENTS` and `COUNT_SPIKES`; the others read 0.

mod check;
mod layer;
mod neuron;
mod walk;

use driver::link::{Link, LinkError, window_range};
use isa::registers::{self, control, status};
use isa::{CoreConfig, Descriptor, ErrorCode, MAX_COUNT, Pass, descriptor};
use std::time::Duration;

/// Bus address of the memory window.
const MEMORY_BASE: u64 = 0x4000_0000;

/// Whether a core of these sizes accepts a descriptor and its passes before the layer starts.
///
/// # Errors
/// The code that they are refused with; where several things are wrong, any of theirs.
pub fn accepts(descriptor: &Descriptor, passes: &[Pass], config: &CoreConfig) -> Result<(), ErrorCode> {
    let checked = check::descriptor(descriptor, config)
        .and_then(|op| passes.iter().try_for_each(|pass| check::pass(pass, descriptor, op, config)));
    checked.map_err(|stop| stop.code)
}

/// A core in software, with its memory.
pub struct SoftCore {
    config: CoreConfig,
    registers: Registers,
    memory: Memory,
    counters: Counters,
}

/// What the host can set and what a run leaves behind.
#[derive(Default)]
struct Registers {
    memory_base: u64,
    descriptor_base: u32,
    descriptor_count: u32,
    interrupt_enable: u32,
    scratch: u32,
    done: bool,
    stop: Option<(Stop, u32)>,
    layers_completed: u32,
}

/// Why a run stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stop {
    code: ErrorCode,
    address: u32,
}

impl Stop {
    /// An error that belongs to no address.
    fn because(code: ErrorCode) -> Stop {
        Stop { code, address: 0 }
    }
}

#[derive(Default)]
struct Counters {
    events: u64,
    spikes: u64,
}

/// The bytes of the window, and how many of them the core may use.
struct Memory {
    bytes: Vec<u8>,
    size: u32,
}

impl Memory {
    fn range(&self, offset: u64, length: usize, outside: ErrorCode) -> Result<std::ops::Range<usize>, Stop> {
        let end = offset + length as u64;
        if end > u64::from(self.size) {
            return Err(Stop { code: ErrorCode::OutOfRange, address: offset as u32 });
        }
        if end > self.bytes.len() as u64 {
            return Err(Stop { code: outside, address: offset as u32 });
        }
        Ok(offset as usize..end as usize)
    }

    fn read(&self, offset: u64, length: usize) -> Result<&[u8], Stop> {
        let range = self.range(offset, length, ErrorCode::ReadError)?;
        Ok(&self.bytes[range])
    }

    fn words<const N: usize>(&self, offset: u64) -> Result<[u64; N], Stop> {
        let mut words = [0; N];
        let bytes = self.read(offset, 8 * N)?;
        words.iter_mut().zip(bytes.chunks_exact(8)).for_each(|(place, bytes)| *place = word(bytes));
        Ok(words)
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Result<(), Stop> {
        let range = self.range(offset, data.len(), ErrorCode::WriteError)?;
        self.bytes[range].copy_from_slice(data);
        Ok(())
    }
}

/// The little-endian word of eight bytes.
fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap_or_default())
}

impl SoftCore {
    /// A core of these sizes with `memory_bytes` of memory, all zero.
    ///
    /// # Errors
    /// If the sizes are out of range.
    pub fn new(config: &CoreConfig, memory_bytes: usize) -> Result<SoftCore, isa::config::ConfigError> {
        config.validate()?;
        Ok(SoftCore {
            config: config.clone(),
            registers: Registers::default(),
            memory: Memory { bytes: vec![0; memory_bytes], size: 0 },
            counters: Counters::default(),
        })
    }

    fn run(&mut self) {
        let Registers { descriptor_base, descriptor_count, .. } = self.registers;
        self.registers.done = false;
        self.registers.layers_completed = 0;
        if !(1..=MAX_COUNT).contains(&descriptor_count)
            || !descriptor_base.is_multiple_of(descriptor::ALIGNMENT as u32)
        {
            self.registers.stop = Some((Stop::because(ErrorCode::BadRun), 0));
            return;
        }
        for index in 0..descriptor_count {
            let at = u64::from(descriptor_base) + u64::from(index) * descriptor::BYTES as u64;
            if let Err(stop) = self.run_layer(at) {
                self.registers.stop = Some((stop, index));
                return;
            }
            self.registers.layers_completed = index + 1;
        }
        self.registers.done = true;
    }

    fn run_layer(&mut self, at: u64) -> Result<(), Stop> {
        let words: [u64; descriptor::WORDS] = self.memory.words(at)?;
        let descriptor = Descriptor::from_words(&words);
        let op = check::descriptor(&descriptor, &self.config)?;
        let record = u64::from(descriptor.pass_words) * 8;
        let mut passes = Vec::with_capacity(descriptor.passes as usize);
        for number in 0..u64::from(descriptor.passes) {
            let bytes =
                self.memory.read(u64::from(descriptor.pass_base) + number * record, record as usize)?;
            let words: Vec<u64> = bytes.chunks_exact(8).map(word).collect();
            let pass = Pass::from_words(&words);
            check::pass(&pass, &descriptor, op, &self.config)?;
            passes.push(pass);
        }
        let lanes = self.config.lanes as usize;
        layer::run(&descriptor, op, &passes, lanes, &mut self.memory, &mut self.counters)
    }

    fn control(&mut self, bits: u32) {
        if bits & control::SOFT_RESET != 0 {
            self.registers.stop = None;
            self.registers.done = false;
            self.registers.layers_completed = 0;
        }
        if bits & control::CLEAR_DONE != 0 {
            self.registers.done = false;
        }
        if bits & control::CLEAR_COUNTERS != 0 {
            self.counters = Counters::default();
        }
        // A stopped core starts nothing until it is reset.
        if bits & control::START != 0 && self.registers.stop.is_none() {
            self.run();
        }
    }

    fn status(&self) -> u32 {
        let done = if self.registers.done { status::DONE } else { 0 };
        done | if self.registers.stop.is_some() { status::ERROR } else { 0 }
    }
}

impl Link for SoftCore {
    fn read_register(&mut self, offset: u32) -> Result<u32, LinkError> {
        let r = &self.registers;
        let [config0, config1, config2, config3] = self.config.registers();
        Ok(match offset {
            registers::IDENTITY => isa::IDENTITY,
            registers::VERSION => isa::VERSION,
            registers::CONFIG0 => config0,
            registers::CONFIG1 => config1,
            registers::CONFIG2 => config2,
            registers::CONFIG3 => config3,
            registers::STATUS => self.status(),
            registers::ERROR => r.stop.map_or(0, |(stop, _)| stop.code as u32),
            registers::ERROR_DESCRIPTOR => r.stop.map_or(0, |(_, index)| index),
            registers::ERROR_ADDRESS => r.stop.map_or(0, |(stop, _)| stop.address),
            registers::INTERRUPT_ENABLE => r.interrupt_enable,
            registers::MEMORY_BASE_LOW => r.memory_base as u32,
            registers::MEMORY_BASE_HIGH => (r.memory_base >> 32) as u32,
            registers::MEMORY_SIZE => self.memory.size,
            registers::DESCRIPTOR_BASE => r.descriptor_base,
            registers::DESCRIPTOR_COUNT => r.descriptor_count,
            registers::SCRATCH => r.scratch,
            registers::LAYERS_COMPLETED => r.layers_completed,
            registers::COUNT_EVENTS => self.counters.events as u32,
            registers::COUNT_SPIKES => self.counters.spikes as u32,
            _ => 0,
        })
    }

    fn write_register(&mut self, offset: u32, value: u32) -> Result<(), LinkError> {
        let r = &mut self.registers;
        match offset {
            registers::CONTROL => self.control(value),
            registers::INTERRUPT_ENABLE => r.interrupt_enable = value,
            registers::MEMORY_BASE_LOW => r.memory_base = r.memory_base >> 32 << 32 | u64::from(value),
            registers::MEMORY_BASE_HIGH => {
                r.memory_base = r.memory_base & 0xffff_ffff | u64::from(value) << 32;
            }
            registers::MEMORY_SIZE => self.memory.size = value,
            registers::DESCRIPTOR_BASE => r.descriptor_base = value,
            registers::DESCRIPTOR_COUNT => r.descriptor_count = value,
            registers::SCRATCH => r.scratch = value,
            _ => {}
        }
        Ok(())
    }

    fn read_memory(&mut self, offset: u64, into: &mut [u8]) -> Result<(), LinkError> {
        let range = window_range(offset, into.len(), self.memory_size())?;
        into.copy_from_slice(&self.memory.bytes[range]);
        Ok(())
    }

    fn write_memory(&mut self, offset: u64, data: &[u8]) -> Result<(), LinkError> {
        let range = window_range(offset, data.len(), self.memory_size())?;
        self.memory.bytes[range].copy_from_slice(data);
        Ok(())
    }

    fn memory_base(&self) -> u64 {
        MEMORY_BASE
    }

    fn memory_size(&self) -> u64 {
        self.memory.bytes.len() as u64
    }

    fn wait_interrupt(&mut self, _timeout: Duration) -> Result<bool, LinkError> {
        let enabled = self.registers.interrupt_enable;
        Ok(self.registers.done && enabled & 1 != 0 || self.registers.stop.is_some() && enabled & 2 != 0)
    }
}
