//! The Verilated core as a [`Link`]: registers through its AXI4-Lite port, memory behind its AXI4 port.

use crate::axi::{AxiMemory, Fault, ManagerSignals, MemoryOptions, Random, Stalls, Violation, stable};
use crate::core_ports::{CorePorts, HostSignals, RegisterSignals, response_name};
use crate::verilated::{BuildError, Model, ModelError, Tracing, Verilated};
use driver::link::{Link, LinkError, window_range};
use hdl::rtl::Module;
use isa::CoreConfig;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// Nanoseconds of a clock cycle: simulated time runs at 100 MHz.
const CYCLE_NANOSECONDS: u128 = 10;
/// Bytes of the largest memory that is worth simulating: the host has to hold it, once for each core that runs at the same time.
pub const LARGEST_MEMORY: u64 = 1 << 30;
/// Cycles that a reset lasts.
const RESET_CYCLES: u64 = 4;
/// Cycles after which a register access counts as not answered.
const REGISTER_TIMEOUT: u64 = 10_000;

/// How the world around the core behaves.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// Bytes of memory; a multiple of 4096.
    pub memory_bytes: usize,
    /// Bus address of the memory; a multiple of 4096. `None`: beyond 4 GiB if the core has the address bits.
    pub memory_base: Option<u64>,
    /// Cycles from an accepted read address to its first data.
    pub latency: RangeInclusive<u64>,
    /// Bursts that may be in flight in each direction.
    pub outstanding: usize,
    /// Random stalls on all channels, reordered and interleaved reads, delays of the host.
    pub stalls: Option<Stalls>,
    /// Errors with which the memory answers.
    pub faults: Vec<Fault>,
    /// File to write waves to, in FST format.
    pub trace: Option<PathBuf>,
    /// Seed of what registers and memories without a reset start from.
    pub power_up_seed: u32,
}

impl Default for SimOptions {
    /// 4 MiB of memory with a read latency of 20 cycles, no stalls, no errors, no waves.
    fn default() -> SimOptions {
        SimOptions {
            memory_bytes: 4 << 20,
            memory_base: None,
            latency: 20..=20,
            outstanding: 16,
            stalls: None,
            faults: Vec::new(),
            trace: None,
            power_up_seed: 1,
        }
    }
}

/// Why a simulation could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// The core cannot be compiled.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The compiled core cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The core broke a rule of AXI.
    #[error(transparent)]
    Violation(#[from] Violation),
}

impl From<SimError> for LinkError {
    fn from(error: SimError) -> LinkError {
        LinkError::transport("simulation", error)
    }
}

/// A running core with its memory and host.
pub struct SimLink {
    model: Model,
    ports: CorePorts,
    memory: AxiMemory,
    host: HostSignals,
    registers: RegisterSignals,
    /// Answers on the register port that were offered and not taken.
    pending_write: Option<u8>,
    pending_read: Option<(u8, u32)>,
    interrupt: bool,
    lights: [bool; 2],
    reset_at: Option<u64>,
    resets: u64,
    random: Random,
    stalls: Option<Stalls>,
}

impl SimLink {
    /// Compiles `core` (an `mst_core` generated for `config`), powers it up and resets it.
    ///
    /// # Errors
    /// If the core cannot be compiled or loaded, lacks a port, or breaks a rule during reset.
    pub fn new(core: &Rc<Module>, config: &CoreConfig, options: &SimOptions) -> Result<SimLink, SimError> {
        let tracing = if options.trace.is_some() { Tracing::Fst } else { Tracing::None };
        SimLink::with_model(&Verilated::build(core, tracing)?, config, options)
    }

    /// Powers up a core that was compiled before.
    ///
    /// # Errors
    /// If the core cannot be loaded, lacks a port, or breaks a rule during reset.
    pub fn with_model(
        verilated: &Verilated,
        config: &CoreConfig,
        options: &SimOptions,
    ) -> Result<SimLink, SimError> {
        let model = Model::new(verilated, options.power_up_seed, options.trace.as_deref())?;
        let ports = CorePorts::new(&model)?;
        let base = if config.address_bits > 32 { 1u64 << 32 | 0x4000_0000 } else { 0x4000_0000 };
        let memory = AxiMemory::new(MemoryOptions {
            base: options.memory_base.unwrap_or(base),
            bytes: options.memory_bytes,
            beat_bytes: config.bus_bytes() as usize,
            latency: options.latency.clone(),
            outstanding: options.outstanding,
            stalls: options.stalls,
            faults: options.faults.clone(),
        });
        let mut link = SimLink {
            model,
            ports,
            memory,
            host: HostSignals::default(),
            registers: RegisterSignals::default(),
            pending_write: None,
            pending_read: None,
            interrupt: false,
            lights: [false; 2],
            reset_at: None,
            resets: 0,
            random: Random::new(options.stalls.map_or(0, |stalls| !stalls.seed)),
            stalls: options.stalls,
        };
        link.reset()?;
        Ok(link)
    }

    /// Clock cycles since power-up.
    pub fn cycles(&self) -> u64 {
        self.model.cycles()
    }

    /// The memory behind the core, for its content, faults and statistics.
    pub fn memory(&mut self) -> &mut AxiMemory {
        &mut self.memory
    }

    /// What the core drove on its memory port in the last cycle.
    pub fn memory_port(&self) -> ManagerSignals {
        self.ports.sample_memory(&self.model)
    }

    /// The level of `irq` in the last cycle.
    pub fn interrupt(&self) -> bool {
        self.interrupt
    }

    /// The levels of `busy` and `error` in the last cycle.
    pub fn lights(&self) -> [bool; 2] {
        self.lights
    }

    /// Resets the core and forgets all traffic; the content of the memory stays.
    ///
    /// # Errors
    /// If the core offers a transfer during reset.
    pub fn reset(&mut self) -> Result<(), SimError> {
        self.host = HostSignals::default();
        self.ports.set_reset(&mut self.model, true);
        for cycle in 0..RESET_CYCLES {
            self.ports.drive_host(&mut self.model, &self.host);
            self.ports.drive_memory(&mut self.model, self.memory.signals());
            self.model.cycle();
            let core = self.ports.sample_memory(&self.model);
            self.memory.reset(&core, cycle > 0)?;
        }
        self.ports.set_reset(&mut self.model, false);
        self.registers = RegisterSignals::default();
        (self.pending_write, self.pending_read) = (None, None);
        (self.interrupt, self.lights) = (false, [false; 2]);
        self.resets += 1;
        Ok(())
    }

    /// Resets the core as soon as [`cycles`](SimLink::cycles) reaches `cycle`, whatever it does then. A register access
    /// that is under way is not answered any more and ends with [`LinkError::NoAnswer`].
    pub fn reset_at(&mut self, cycle: u64) {
        self.reset_at = Some(cycle);
    }

    /// Runs `cycles` clock cycles.
    ///
    /// # Errors
    /// The rule that the core broke.
    pub fn step(&mut self, cycles: u64) -> Result<(), SimError> {
        for _ in 0..cycles {
            if self.reset_at.is_some_and(|at| self.cycles() >= at) {
                self.reset_at = None;
                self.reset()?;
            }
            self.cycle()?;
        }
        Ok(())
    }

    fn cycle(&mut self) -> Result<(), SimError> {
        self.ports.drive_host(&mut self.model, &self.host);
        self.ports.drive_memory(&mut self.model, self.memory.signals());
        if self.stalls.is_some() {
            let noise = self.random.next();
            self.ports.drive_noise(&mut self.model, noise, self.memory.signals());
        }
        self.model.cycle();
        self.interrupt = self.ports.interrupt(&self.model);
        self.lights = self.ports.lights(&self.model);
        self.registers = self.ports.sample_registers(&self.model);
        let (cycle, now) = (self.cycles(), &self.registers);
        self.pending_write =
            stable(cycle, "s_axil B", self.pending_write, now.write_response, self.host.response_ready)?;
        self.pending_read =
            stable(cycle, "s_axil R", self.pending_read, now.read_data, self.host.read_ready)?;
        self.memory.cycle(&self.ports.sample_memory(&self.model))?;
        Ok(())
    }

    /// Cycles by which the host delays something: 0 without stalls.
    fn host_delay(&mut self) -> u64 {
        if self.stalls.is_some() { self.random.below(8) } else { 0 }
    }

    fn write(&mut self, offset: u32, value: u32) -> Result<Option<u8>, SimError> {
        let (address_at, data_at) = (self.host_delay(), self.host_delay());
        let ready_at = address_at.max(data_at) + self.host_delay();
        let (mut address_done, mut data_done) = (false, false);
        let resets = self.resets;
        for cycle in 0..REGISTER_TIMEOUT {
            self.host.write_address = (cycle >= address_at && !address_done).then_some(offset);
            self.host.write_data = (cycle >= data_at && !data_done).then_some(value);
            self.host.response_ready = cycle >= ready_at;
            self.step(1)?;
            if self.resets != resets {
                return Ok(None);
            }
            address_done |= self.host.write_address.is_some() && self.registers.write_address_ready;
            data_done |= self.host.write_data.is_some() && self.registers.write_data_ready;
            if let (Some(response), true) = (self.registers.write_response, self.host.response_ready) {
                self.host = HostSignals::default();
                return Ok(Some(response));
            }
        }
        self.host = HostSignals::default();
        Ok(None)
    }

    /// Writes registers as a host does that posts its writes: the next address and the next word are offered as soon as the one before
    /// is taken, whatever has been answered.
    ///
    /// # Errors
    /// The rule that the core broke, or an access that was not answered with success.
    pub fn post_registers(&mut self, writes: &[(u32, u32)]) -> Result<(), LinkError> {
        let (mut addresses, mut words) = (writes.iter(), writes.iter());
        let mut answered = writes.iter();
        for _ in 0..REGISTER_TIMEOUT * writes.len() as u64 {
            if self.host.write_address.is_none() && self.host_delay() == 0 {
                self.host.write_address = addresses.next().map(|(offset, _)| *offset);
            }
            if self.host.write_data.is_none() && self.host_delay() == 0 {
                self.host.write_data = words.next().map(|(_, value)| *value);
            }
            self.host.response_ready = self.host_delay() == 0;
            self.step(1)?;
            if self.registers.write_address_ready {
                self.host.write_address = None;
            }
            if self.registers.write_data_ready {
                self.host.write_data = None;
            }
            if let (Some(response), true) = (self.registers.write_response, self.host.response_ready) {
                let offset = answered.next().map_or(0, |(offset, _)| *offset);
                outcome("write", offset, Some((response, ())))?;
                if answered.as_slice().is_empty() {
                    self.host = HostSignals::default();
                    return Ok(());
                }
            }
        }
        self.host = HostSignals::default();
        outcome("write", answered.next().map_or(0, |(offset, _)| *offset), None)
    }

    /// Reads registers as a host does that posts its reads.
    ///
    /// # Errors
    /// The rule that the core broke, or an access that was not answered with success.
    pub fn fetch_registers(&mut self, offsets: &[u32]) -> Result<Vec<u32>, LinkError> {
        let (mut wanted, mut values) = (offsets.iter(), Vec::new());
        for _ in 0..REGISTER_TIMEOUT * offsets.len() as u64 {
            if self.host.read_address.is_none() && self.host_delay() == 0 {
                self.host.read_address = wanted.next().copied();
            }
            self.host.read_ready = self.host_delay() == 0;
            self.step(1)?;
            if self.registers.read_address_ready {
                self.host.read_address = None;
            }
            if let (Some(answer), true) = (self.registers.read_data, self.host.read_ready) {
                values.push(outcome("read", offsets[values.len()], Some(answer))?);
                if values.len() == offsets.len() {
                    self.host = HostSignals::default();
                    return Ok(values);
                }
            }
        }
        self.host = HostSignals::default();
        outcome("read", offsets[values.len()], None)
    }

    fn read(&mut self, offset: u32) -> Result<Option<(u8, u32)>, SimError> {
        let ready_at = self.host_delay();
        let mut address_done = false;
        let resets = self.resets;
        for cycle in 0..REGISTER_TIMEOUT {
            self.host.read_address = (!address_done).then_some(offset);
            self.host.read_ready = cycle >= ready_at;
            self.step(1)?;
            if self.resets != resets {
                return Ok(None);
            }
            address_done |= self.host.read_address.is_some() && self.registers.read_address_ready;
            if let (Some(answer), true) = (self.registers.read_data, self.host.read_ready) {
                self.host = HostSignals::default();
                return Ok(Some(answer));
            }
        }
        self.host = HostSignals::default();
        Ok(None)
    }
}

/// The outcome of a register access: its value, or the error that the bus answered with, if it did.
fn outcome<T>(access: &'static str, offset: u32, answer: Option<(u8, T)>) -> Result<T, LinkError> {
    match answer {
        Some((0, value)) => Ok(value),
        Some((code, _)) => Err(LinkError::Register { access, offset, response: response_name(code) }),
        None => Err(LinkError::NoAnswer {
            access,
            offset,
            waited: format!("{REGISTER_TIMEOUT} cycles, or the core was reset"),
        }),
    }
}

impl Link for SimLink {
    fn read_register(&mut self, offset: u32) -> Result<u32, LinkError> {
        let answer = self.read(offset)?;
        outcome("read", offset, answer)
    }

    fn write_register(&mut self, offset: u32, value: u32) -> Result<(), LinkError> {
        let answer = self.write(offset, value)?;
        outcome("write", offset, answer.map(|code| (code, ())))
    }

    fn read_memory(&mut self, offset: u64, into: &mut [u8]) -> Result<(), LinkError> {
        let range = window_range(offset, into.len(), self.memory_size())?;
        into.copy_from_slice(&self.memory.bytes()[range]);
        Ok(())
    }

    fn write_memory(&mut self, offset: u64, data: &[u8]) -> Result<(), LinkError> {
        let range = window_range(offset, data.len(), self.memory_size())?;
        self.memory.bytes_mut()[range].copy_from_slice(data);
        Ok(())
    }

    fn memory_base(&self) -> u64 {
        self.memory.options().base
    }

    fn memory_size(&self) -> u64 {
        self.memory.bytes().len() as u64
    }

    fn wait_interrupt(&mut self, timeout: Duration) -> Result<bool, LinkError> {
        let cycles = timeout.as_nanos().div_ceil(CYCLE_NANOSECONDS);
        for _ in 0..cycles {
            self.step(1)?;
            if self.interrupt {
                return Ok(true);
            }
        }
        Ok(false)
    }
    fn clock(&self) -> Duration {
        Duration::from_nanos(self.cycles().saturating_mul(CYCLE_NANOSECONDS as u64))
    }
}
