//! Proofs: small tops for formal tools, one a file, named after what they prove.
//!
//! Rules that a module can state of itself stand in the module (`Builder::formal`). Here stand the tops that give it an
//! environment: what the other side of a bus may do, which situations must be reachable, and what only two modules
//! together can say. Each proof also lists *planted bugs*: changes of the generated text that it must find.

use std::rc::Rc;

use isa::{CoreConfig, SocConfig};

use crate::rtl::{Builder, Expr, Instance, Module, RtlError, VerilogFile, emit, lit};

mod axi_ram;
mod buffers;
mod csr_slave;
mod dma_read;
mod dma_write;
mod fetcher;
mod host_bus;
mod mask_gate;
mod neuron;
mod neuron_control;
mod run_control;
mod scanner;
mod serial_bridge;
mod stream_fifo;
mod uart;

/// How a proof is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// k-induction: the rules hold for ever.
    Induction,
    /// Property-directed reachability: the rules hold for ever.
    Reachability,
    /// The rules hold in the first cycles, as many as the depth says.
    Bounded,
}

/// A change of the generated text that a proof must find.
#[derive(Debug, Clone, Copy)]
pub struct Planted<'a> {
    /// The file, with `.v`.
    pub file: &'a str,
    /// Text that is there exactly once, before the rules.
    pub text: &'a str,
    /// What replaces it.
    pub changed: &'a str,
}

/// One proof.
pub struct Proof {
    /// Its name, and that of its top.
    pub name: &'static str,
    /// What it states, in a line.
    pub rule: &'static str,
    /// How it is closed.
    pub method: Method,
    /// Cycles: of induction, of a bounded proof, and in which a planted bug must show itself.
    pub depth: u32,
    /// Cycles within which every cover is reached.
    pub cover_depth: u32,
    /// Builds the top.
    pub build: fn(&str) -> Result<Rc<Module>, RtlError>,
    /// What it must find.
    pub planted: &'static [Planted<'static>],
}

impl Proof {
    /// The files of the proof; its top is the last.
    ///
    /// # Errors
    /// If the modules do not fit the top.
    pub fn files(&self) -> Result<Vec<VerilogFile>, RtlError> {
        emit(&(self.build)(self.name)?)
    }

    /// The same with a bug in the logic; nothing if the text is not there exactly once.
    ///
    /// # Errors
    /// If the modules do not fit the top.
    pub fn with_bug(&self, bug: &Planted<'_>) -> Result<Option<Vec<VerilogFile>>, RtlError> {
        let mut files = self.files()?;
        let Some(file) = files.iter_mut().find(|file| file.name == bug.file) else { return Ok(None) };
        let end = file.text.rfind("`ifdef FORMAL").unwrap_or(file.text.len());
        let (logic, rules) = file.text.split_at(end);
        if logic.matches(bug.text).count() != 1 {
            return Ok(None);
        }
        file.text = logic.replace(bug.text, bug.changed) + rules;
        Ok(Some(files))
    }
}

/// Every proof, in the order in which data flows.
pub fn proofs() -> Vec<Proof> {
    let mut proofs = Vec::new();
    proofs.extend(csr_slave::PROOFS);
    proofs.extend(run_control::PROOFS);
    proofs.extend(dma_read::PROOFS);
    proofs.extend(dma_write::PROOFS);
    proofs.extend(stream_fifo::PROOFS);
    proofs.extend(buffers::PROOFS);
    proofs.extend(fetcher::PROOFS);
    proofs.extend(scanner::PROOFS);
    proofs.extend(neuron_control::PROOFS);
    proofs.extend(neuron::PROOFS);
    proofs.extend(mask_gate::PROOFS);
    proofs.extend(uart::PROOFS);
    proofs.extend(serial_bridge::PROOFS);
    proofs.extend(host_bus::PROOFS);
    proofs.extend(axi_ram::PROOFS);
    proofs
}

/// An instance whose inputs are connected by name; a free input of the top stands for each that is not.
fn instance(m: &mut Builder, name: &str, module: &Rc<Module>, inputs: &[(&str, Expr)]) -> Instance {
    let mut connections: Vec<(&str, Expr)> = inputs.to_vec();
    for port in module.inputs() {
        if !connections.iter().any(|(name, _)| *name == port.name) {
            let free = m.input(&port.name, port.width);
            connections.push((&port.name, free));
        }
    }
    m.instance(name, module, &connections)
}

/// Takes for granted that an input keeps its value, from the end of the reset on.
fn steady(m: &mut Builder, name: &str, input: &Expr) {
    let before = m.delay(&format!("{name}_before"), input);
    let known = m.delay_reset(&format!("{name}_known"), &lit(1, 1));
    m.assume_formal(
        &format!("{name}_is_steady"),
        "Set before a run, and left alone.",
        &(!&known | input.eq(&before)),
    );
}

/// Takes for granted what the driver does with the memory window: set before a run, left alone, aligned.
fn memory_window(m: &mut Builder, base: &Expr, size: &Expr) {
    steady(m, "memory_base", base);
    steady(m, "memory_size", size);
    m.assume_formal(
        "base_aligned",
        "The memory window begins at a 4 KiB border.",
        &base.slice(0, 12).is_zero(),
    );
}

/// The configuration of the proofs: 8 lanes, 64-bit bus, and rows as short as they may be.
fn tiny() -> CoreConfig {
    CoreConfig {
        lanes: 8,
        bus_bits: 64,
        address_bits: 32,
        membrane_bits: 24,
        max_fan_in: 64,
        weight_rows: 64,
        bias_rows: 16,
        sum_rows: 16,
    }
}

/// The system of the proofs: a memory of two banks, the smaller one as small as it may be.
fn system() -> SocConfig {
    SocConfig { core: tiny(), memory_bytes: 3 << 12, clock_hz: 1_000_000, baud: 250_000 }
}
