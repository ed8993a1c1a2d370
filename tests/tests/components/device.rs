//! A component under test: a compiled module whose ports are called by name.

use std::collections::BTreeMap;
use std::rc::Rc;

use hdl::rtl::{Builder, Expr, Module};
use isa::CoreConfig;
use sim::verilated::{Input, Output};
use sim::{Model, Tracing, Verilated};
use tests::mutation::beside;
use tests::mutation::chosen::CHOSEN;
use tests::random::Random;

/// A running component.
pub struct Device {
    model: Model,
    inputs: BTreeMap<String, Input>,
    outputs: BTreeMap<String, Output>,
}

impl Device {
    /// Compiles `module`, starts it from noise, runs it with noise on its inputs and resets it: what a reset leaves does not depend on
    /// what came before.
    pub fn new(module: &Rc<Module>) -> Device {
        let verilated = build(module).unwrap_or_else(|error| panic!("{error}"));
        let model = Model::new(&verilated, 1, None).unwrap();
        let names = |ports: &[hdl::rtl::Port]| ports.iter().map(|port| port.name.clone()).collect::<Vec<_>>();
        let mut inputs: BTreeMap<_, _> = names(module.inputs())
            .into_iter()
            .map(|name| (name.clone(), model.input(&name).unwrap()))
            .collect();
        if module.uses_reset() {
            inputs.insert("rst".to_owned(), model.input("rst").unwrap());
        }
        let outputs = names(module.outputs())
            .into_iter()
            .map(|name| (name.clone(), model.output(&name).unwrap()))
            .collect();
        let mut device = Device { model, inputs, outputs };
        let mut random = Random(0);
        for _ in 0..200 {
            device.drive_all(|| random.bits());
            device.cycle();
        }
        device.drive_all(|| 0);
        if module.uses_reset() {
            device.pulse("rst");
        }
        device
    }

    fn drive_all(&mut self, mut word: impl FnMut() -> u64) {
        let words: Vec<_> = self.inputs.iter().filter(|(name, _)| *name != "rst").collect();
        for (_, port) in words {
            self.model.set_wide(*port, &std::array::from_fn::<u64, 16, _>(|_| word()));
        }
    }

    /// Drives an input until it is set again.
    pub fn set(&mut self, port: &str, value: impl Into<u64>) {
        self.model.set(self.inputs[port], value.into());
    }

    /// Drives an input of any width with bytes, lowest first.
    pub fn set_bytes(&mut self, port: &str, bytes: &[u8]) {
        let words: Vec<u64> = bytes
            .chunks(8)
            .map(|chunk| chunk.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)))
            .collect();
        self.model.set_wide(self.inputs[port], &words);
    }

    /// Drives the inputs named after a record's fields, `prefix` before them, with what its words say.
    pub fn set_fields(&mut self, prefix: &str, fields: &[isa::Field], words: &[u64]) {
        for field in fields {
            let name = format!("{prefix}{}", field.name);
            if self.inputs.contains_key(&name) {
                self.set(&name, words[field.word] >> field.lsb & field.largest());
            }
        }
    }

    /// What an output was before the last clock edge.
    pub fn get(&self, port: &str) -> u64 {
        self.model.get(self.outputs[port])
    }

    /// Whether a one-bit output was high before the last clock edge.
    pub fn is(&self, port: &str) -> bool {
        self.get(port) != 0
    }

    /// The bytes of an output of any width, lowest first.
    pub fn bytes(&self, port: &str) -> Vec<u8> {
        self.model.get_wide(self.outputs[port]).iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// One clock cycle: the outputs follow the inputs and are kept for [`get`](Device::get), then the clock rises.
    pub fn cycle(&mut self) {
        self.model.cycle();
    }

    /// One clock cycle with a one-bit input high.
    pub fn pulse(&mut self, port: &str) {
        self.set(port, true);
        self.cycle();
        self.set(port, false);
    }

    /// Clock cycles so far.
    pub fn cycles(&self) -> u64 {
        self.model.cycles()
    }
}

/// The compiled module; with a mutant in it, if the variable of [`beside`] says so.
fn build(module: &Rc<Module>) -> Result<Verilated, sim::verilated::BuildError> {
    let Ok(number) = std::env::var(beside::VARIABLE) else { return Verilated::build(module, Tracing::None) };
    let number: usize = number.parse().expect("a mutant's number");
    let mut files = hdl::rtl::emit(module)?;
    CHOSEN[number - 1].plant(&mut files);
    // A mutant may leave something unused, which is no error here.
    Verilated::build_netlist(module, files, &[])
}

/// Gives a bench an input for each input of `child` that is not connected yet.
pub fn add_inputs(m: &mut Builder, child: &Module, connected: &mut Vec<(String, Expr)>) {
    for port in child.inputs() {
        if !connected.iter().any(|(name, _)| *name == port.name) {
            connected.push((port.name.clone(), m.input(&port.name, port.width)));
        }
    }
}

/// Connections as an instance takes them.
pub fn connections(inputs: &[(String, Expr)]) -> Vec<(&str, Expr)> {
    inputs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect()
}

/// A small core with the narrow bus and one with the wide bus: every width that depends on lanes and bus has two values.
pub fn small_cores() -> [CoreConfig; 2] {
    let narrow = CoreConfig {
        lanes: 8,
        bus_bits: 64,
        address_bits: 32,
        membrane_bits: 24,
        max_fan_in: 128,
        weight_rows: 128,
        bias_rows: 16,
        sum_rows: 40,
    };
    let wide = CoreConfig {
        lanes: 32,
        bus_bits: 128,
        address_bits: 40,
        membrane_bits: 32,
        max_fan_in: 256,
        weight_rows: 256,
        sum_rows: 64,
        ..narrow.clone()
    };
    [narrow, wide]
}
