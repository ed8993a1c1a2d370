//! The way that the card does not take to host memory, measured: LitePCIe's AXI slave (`mmap_slave_axi_full`), with a master that moves a
//! range of it burst after burst.

use super::error::PcieError;
use super::litepcie::Litepcie;
use super::memory::{Buffers, Placement};
use super::options::{RootOptions, Traffic};
use super::pins;
use super::root::{CardModel, RootComplex};
use crate::verilated::Tracing;
use driver::pcie::{Buffer, Direction};
use hdl::rtl::VerilogFile;
use hdl::shell::litepcie::slave_yaml;
use isa::pcie::CORE_BASE;

/// LitePCIe's core and the master.
const VERILOG: &str = include_str!("host_memory_slave.v");
/// Bits of its register: start, write, running.
const START: u32 = 1 << 31;
const WRITE: u32 = 1 << 30;
const RUNNING: u32 = 1 << 31;
/// Bytes of a beat.
const BEAT: usize = 16;
/// Cycles between two looks whether it is over, so that looking costs next to nothing.
const LOOK_EVERY: u32 = 2_000;

/// What moving a range of host memory took, and whether it came as it was.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// What was on the link.
    pub traffic: Traffic,
    /// Whether all data arrived.
    pub right: bool,
}

/// LitePCIe's core with an AXI slave, compiled.
#[derive(Clone, Debug)]
pub struct HostMemorySlave(CardModel);

impl HostMemorySlave {
    /// Compiles it, or finds it in the cache.
    ///
    /// # Errors
    /// If a tool is missing or fails.
    pub fn build() -> Result<HostMemorySlave, PcieError> {
        HostMemorySlave::build_edited(|_| ())
    }

    /// The same after `edit` has changed the Verilog: to plant errors that tests must find.
    ///
    /// # Errors
    /// Those of `build`.
    pub fn build_edited(edit: impl FnOnce(&mut [VerilogFile])) -> Result<HostMemorySlave, PcieError> {
        let litepcie = Litepcie::of(&slave_yaml())?;
        let master = VerilogFile { name: "mst_pcie.v".to_owned(), text: VERILOG.to_owned() };
        let verilated = pins::build_files(vec![master], &litepcie, Tracing::None, edit)?;
        Ok(HostMemorySlave(CardModel::of(verilated)))
    }

    /// Reads or writes `bytes` bytes of host memory in bursts of `beats` beats (16 bytes each), of which it has a whole number.
    ///
    /// # Errors
    /// If the core breaks a rule of PCI Express or does not answer.
    pub fn run(
        &self,
        options: RootOptions,
        direction: Direction,
        bytes: usize,
        beats: usize,
    ) -> Result<Moved, PcieError> {
        // Its addresses have 32 bits.
        let options = RootOptions { buffers: Placement::Below, ..options };
        let buffers = Buffers::new(options.buffers);
        let mut buffer = buffers.map(bytes, direction);
        let words: Vec<u32> = (0..(bytes / 4) as u32).map(|i| i.wrapping_mul(0x9e37_79b9)).collect();
        if direction == Direction::ToCard {
            let data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            buffer.write(0, &data);
        }
        let mut root = RootComplex::new(&self.0, options, buffers, None)?;
        root.bar_write(CORE_BASE, buffer.address() as u32)?;
        root.bar_read(CORE_BASE)?;
        root.take_traffic();
        let bursts = bytes / (beats * BEAT);
        let write = if direction == Direction::ToHost { WRITE } else { 0 };
        root.bar_write(CORE_BASE, START | write | (bursts as u32) << 8 | (beats - 1) as u32)?;
        let sum = loop {
            root.step(LOOK_EVERY)?;
            match root.bar_read(CORE_BASE)? {
                running if running & RUNNING != 0 => {}
                sum => break sum,
            }
        };
        // Its last write is on its way.
        root.step(LOOK_EVERY)?;
        let traffic = root.take_traffic();
        let right = match direction {
            Direction::ToCard => {
                sum == words.iter().fold(0, |sum: u32, word| sum.wrapping_add(*word)) & !RUNNING
            }
            Direction::ToHost => {
                let mut found = vec![0; bytes];
                buffer.read(0, &mut found);
                let lane = |i: usize| (i / 4 + i % 4) as u32;
                found.chunks_exact(4).enumerate().all(|(i, word)| word == lane(i).to_le_bytes())
            }
        };
        Ok(Moved { traffic, right })
    }
}
