//! A root complex: it configures the card, reaches its registers, and is the memory that the card reaches.

use super::beats::{Beat, FromCard, ToCard};
use super::completer::{Completer, Fault, Manner, ROOT};
use super::config_space::{self, ConfigSpace, command, status};
use super::error::PcieError;
use super::litepcie::Litepcie;
use super::memory::HostMemory;
use super::options::{RootOptions, Traffic};
use super::pins::{self, Driven, Pins};
use super::tlp::{DWORD, Status, Tlp};
use crate::axi::random::Random;
use crate::verilated::{Tracing, Verilated};
use hdl::rtl::VerilogFile;
use isa::PcieConfig;
use isa::pcie::BAR0_BYTES;
use std::collections::VecDeque;
use std::path::Path;

/// Bus, device and function number of the card.
const CARD: u16 = 0x0300;
/// Where the host puts BAR 0.
const BAR0: u32 = 0xf000_0000;
/// Cycles that a reset lasts, and that the card gets after it.
const RESET_CYCLES: u32 = 32;
/// Cycles after which a read of a register is given up: half a millisecond, within what hosts allow.
pub(crate) const REGISTER_CYCLES: u32 = 1 << 16;
/// Reads that the root complex takes before it has answered one.
const NON_POSTED: usize = 32;
/// Packets to the card that are made ahead.
const AHEAD: usize = 2;

/// A compiled card.
#[derive(Clone, Debug)]
pub struct CardModel {
    verilated: Verilated,
}

impl CardModel {
    /// What else stands behind a hard block.
    pub(crate) fn of(verilated: Verilated) -> CardModel {
        CardModel { verilated }
    }

    /// Generates and compiles the card of `config` with LitePCIe's own core, or finds it in the cache.
    ///
    /// # Errors
    /// If a tool is missing or fails.
    pub fn build(config: &PcieConfig, tracing: Tracing) -> Result<CardModel, PcieError> {
        CardModel::build_edited(config, tracing, |_| ())
    }

    /// The same after `edit` has changed the Verilog: to plant errors that tests must find.
    ///
    /// # Errors
    /// Those of `build`.
    pub fn build_edited(
        config: &PcieConfig,
        tracing: Tracing,
        edit: impl FnOnce(&mut [VerilogFile]),
    ) -> Result<CardModel, PcieError> {
        let card = hdl::shell::mst_pcie(config)?;
        let litepcie = Litepcie::generate(config)?;
        Ok(CardModel { verilated: pins::build(&card, &litepcie, tracing, edit)? })
    }
}

/// The host's end of the link.
pub struct RootComplex<M> {
    pins: Pins,
    config: ConfigSpace,
    memory: M,
    options: RootOptions,
    random: Random,
    to_card: ToCard,
    from_card: FromCard,
    beat: Option<Beat>,
    completer: Completer,
    /// The answer to the register read with this tag, when it has come.
    answer: Option<(u8, Option<u32>)>,
    tag: u8,
    interrupts: VecDeque<(u32, u16)>,
    traffic: Traffic,
    /// Writes of the card that memory refused.
    dropped_writes: u64,
    /// When something was on the link.
    last_beat: u64,
}

impl<M: HostMemory> RootComplex<M> {
    /// Powers a card up and configures it: BAR 0 placed, memory, bus mastering and MSI on. Waves go to `trace`, if any.
    ///
    /// # Errors
    /// If the model cannot be loaded.
    pub fn new(
        card: &CardModel,
        options: RootOptions,
        memory: M,
        trace: Option<&Path>,
    ) -> Result<RootComplex<M>, PcieError> {
        let mut root = RootComplex::unconfigured(card, options, memory, trace)?;
        root.enable();
        Ok(root)
    }

    /// Powers a card up and leaves its configuration to whoever writes it.
    ///
    /// # Errors
    /// If the model cannot be loaded.
    pub fn unconfigured(
        card: &CardModel,
        options: RootOptions,
        memory: M,
        trace: Option<&Path>,
    ) -> Result<RootComplex<M>, PcieError> {
        let pins = Pins::new(&card.verilated, options.seed as u32, trace)?;
        let mut root = RootComplex {
            pins,
            config: ConfigSpace::default(),
            memory,
            random: Random::new(options.seed),
            options,
            to_card: ToCard::default(),
            from_card: FromCard::default(),
            beat: None,
            completer: Completer::default(),
            answer: None,
            tag: 0,
            interrupts: VecDeque::new(),
            traffic: Traffic::default(),
            dropped_writes: 0,
            last_beat: 0,
        };
        root.reset()?;
        Ok(root)
    }

    /// Resets the link and with it the card: configuration is lost, and all that is under way.
    ///
    /// # Errors
    /// If the card breaks a rule.
    pub fn reset(&mut self) -> Result<(), PcieError> {
        self.config = ConfigSpace::default();
        self.to_card = ToCard::default();
        self.from_card = FromCard::default();
        self.beat = None;
        self.completer.clear();
        self.answer = None;
        self.interrupts.clear();
        for _ in 0..RESET_CYCLES {
            self.pins.configure(&self.config, CARD);
            let driven = Driven { reset: true, rx: None, tx_ready: false, interrupt_ready: false };
            self.pins.cycle(&driven);
        }
        self.step(RESET_CYCLES)
    }

    /// Configures as firmware and kernel do: sizes and places BAR 0, enables memory, bus mastering and MSI.
    pub fn enable(&mut self) {
        let all = 0xf;
        self.config.write(config_space::offset::BAR0, BAR0, all);
        let code = |bytes: u32| bytes.trailing_zeros() - 7;
        let control = code(self.options.max_request) << 12 | code(self.options.max_payload) << 5;
        self.config.write(config_space::offset::DEVICE_CONTROL, control, 0b11);
        self.config.write(config_space::offset::MSI + 4, 0xfee0_0000, all);
        self.config.write(config_space::offset::MSI + 8, 0x41, all);
        self.config.write(config_space::offset::MSI, config_space::MSI_ENABLE, all);
        self.config.write(config_space::offset::COMMAND, command::MEMORY | command::BUS_MASTER, 0b11);
        self.pins.configure(&self.config, CARD);
    }

    /// Reads 32 bits of configuration space.
    pub fn config_read(&self, offset: usize) -> u32 {
        self.config.read(offset)
    }

    /// Writes the bytes of configuration space that `enables` names.
    pub fn config_write(&mut self, offset: usize, value: u32, enables: u8) {
        self.config.write(offset, value, enables);
        self.pins.configure(&self.config, CARD);
    }

    /// Reads 32 bits of BAR 0. All ones where a host gets no answer: outside, or if memory is disabled.
    ///
    /// # Errors
    /// If the card does not answer, or breaks a rule.
    pub fn bar_read(&mut self, offset: u32) -> Result<u32, PcieError> {
        if offset >= BAR0_BYTES || self.config.command() & command::MEMORY == 0 {
            return Ok(u32::MAX);
        }
        self.tag = self.tag.wrapping_add(1);
        let read = Tlp::Read { requester: ROOT, tag: self.tag, address: self.bar_address(offset), dwords: 1 };
        self.to_card.push(read.encode(), true);
        self.answer = Some((self.tag, None));
        for _ in 0..REGISTER_CYCLES {
            self.cycle()?;
            if let Some((_, Some(value))) = self.answer {
                self.answer = None;
                return Ok(value);
            }
        }
        Err(PcieError::NoAnswer { offset })
    }

    /// Writes 32 bits of BAR 0: posted, so it is on its way when this returns.
    ///
    /// # Errors
    /// If the card breaks a rule.
    pub fn bar_write(&mut self, offset: u32, value: u32) -> Result<(), PcieError> {
        if offset >= BAR0_BYTES || self.config.command() & command::MEMORY == 0 {
            return Ok(());
        }
        let (address, data) = (self.bar_address(offset), value.to_le_bytes().to_vec());
        self.to_card.push(Tlp::Write { requester: ROOT, tag: 0, address, data }.encode(), true);
        self.step(1)
    }

    fn bar_address(&self, offset: u32) -> u64 {
        self.config.bar0() + u64::from(offset & !3)
    }

    /// Runs `cycles` clock cycles.
    ///
    /// # Errors
    /// If the card breaks a rule of PCI Express.
    pub fn step(&mut self, cycles: u32) -> Result<(), PcieError> {
        (0..cycles).try_for_each(|_| self.cycle())
    }

    fn cycle(&mut self) -> Result<(), PcieError> {
        let now = self.pins.cycles();
        let stalls = self.options.stalls;
        if self.to_card.waiting() < AHEAD {
            self.complete(now);
        }
        // What is offered stays until it is taken.
        if self.beat.is_none() && !self.random.percent(stalls) {
            self.beat = self.to_card.beat(self.options.straddle);
        }
        let credits = self.completer.pending() < NON_POSTED;
        let tx_ready = credits && !self.random.percent(stalls);
        let interrupt_ready = !self.random.percent(stalls);
        let shown = self.pins.cycle(&Driven { reset: false, rx: self.beat, tx_ready, interrupt_ready });
        if shown.rx_ready
            && let Some(beat) = self.beat.take()
        {
            self.traffic.rx_beats += 1;
            self.last_beat = now;
            if beat.of_completion() {
                self.traffic.note(now);
            }
        }
        if shown.interrupt && interrupt_ready && self.config.msi_enabled() {
            self.interrupts.push_back(self.config.msi());
        }
        let Some((lanes, keep, last)) = shown.tx else { return Ok(()) };
        self.traffic.tx_beats += 1;
        self.last_beat = now;
        match self.from_card.take(lanes, keep, last) {
            Some(packet) => self.receive(now, Tlp::decode(&packet)?),
            None => Ok(()),
        }
    }

    /// Sends a completion that is due.
    fn complete(&mut self, now: u64) {
        let manner = Manner { split: self.options.split, reorder: self.options.reorder };
        let most = self.config.max_payload();
        let answer = self.completer.answer(now, &manner, most, &mut self.random, &mut self.memory);
        let Some(answer) = answer else { return };
        if let Tlp::Completion { data, status: code, poisoned, .. } = &answer {
            if *code != Status::Successful {
                self.config.report(status::RECEIVED_MASTER_ABORT);
            }
            if *poisoned {
                self.config.report(status::DETECTED_PARITY_ERROR);
            }
            self.traffic.read_bytes += data.len() as u64;
        }
        self.to_card.push(answer.encode(), false);
    }

    /// Does what the card asks for.
    fn receive(&mut self, now: u64, packet: Tlp) -> Result<(), PcieError> {
        let may = self.config.command() & command::BUS_MASTER != 0;
        let within = |what, found, allowed| match found <= allowed {
            true => Ok(()),
            false => Err(PcieError::TooLarge { what, found, allowed }),
        };
        match packet {
            Tlp::Read { .. } | Tlp::Write { .. } if !may => Err(PcieError::NotMaster),
            Tlp::Read { requester, tag, address, dwords } => {
                let bytes = dwords as usize * DWORD;
                within("a read", bytes, self.config.max_request())?;
                let delay = self.options.latency + self.random.below(self.options.jitter + 1);
                self.completer.ask([requester, tag.into()], address, bytes, now + delay);
                Ok(())
            }
            Tlp::Write { address, data, .. } => {
                within("a write", data.len(), self.config.max_payload())?;
                self.traffic.written_bytes += data.len() as u64;
                self.traffic.note(now);
                self.dropped_writes += u64::from(self.memory.write(address, &data).is_err());
                Ok(())
            }
            Tlp::Completion { tag, data, status: code, .. } => {
                if let Some((asked, slot @ None)) = &mut self.answer
                    && *asked == tag
                {
                    let value = data.first_chunk().map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes));
                    *slot = Some(if code == Status::Successful { value } else { u32::MAX });
                }
                Ok(())
            }
        }
    }

    /// Lets something go wrong with the read of the card that comes after `skip` others.
    pub fn inject(&mut self, skip: u64, fault: Fault) {
        self.completer.inject(skip, fault);
    }

    /// The next MSI that has come: address and data.
    pub fn take_interrupt(&mut self) -> Option<(u32, u16)> {
        self.interrupts.pop_front()
    }

    /// Clock cycles since power-up.
    pub fn cycles(&self) -> u64 {
        self.pins.cycles()
    }

    /// Cycles since anything was on the link or waited for an answer.
    pub fn quiet_cycles(&self) -> u64 {
        if self.completer.pending() > 0 || self.to_card.waiting() > 0 {
            return 0;
        }
        self.pins.cycles() - self.last_beat
    }

    /// The lights: a run in progress, a run failed.
    pub fn lights(&self) -> (bool, bool) {
        self.pins.lights()
    }

    /// What has moved since this was last called.
    pub fn take_traffic(&mut self) -> Traffic {
        std::mem::take(&mut self.traffic)
    }

    /// Writes of the card that memory refused.
    pub fn dropped_writes(&self) -> u64 {
        self.dropped_writes
    }

    /// The host's memory.
    pub fn memory(&mut self) -> &mut M {
        &mut self.memory
    }
}
