//! A component under test: a compiled module whose ports are called by name.

use std::collections::HashMap;
use std::rc::Rc;

use hdl::rtl::Module;
use isa::CoreConfig;
use sim::verilated::{Input, Output};
use sim::{Model, Tracing, Verilated};

/// A running component.
pub struct Device {
    model: Model,
    inputs: HashMap<String, Input>,
    outputs: HashMap<String, Output>,
}

impl Device {
    /// Compiles `module`, fills its registers with noise and resets it.
    pub fn new(module: &Rc<Module>) -> Device {
        let verilated = Verilated::build(module, Tracing::None).unwrap_or_else(|error| panic!("{error}"));
        let model = Model::new(&verilated, 1, None).unwrap();
        let names = |ports: &[hdl::rtl::Port]| ports.iter().map(|port| port.name.clone()).collect::<Vec<_>>();
        let mut inputs: HashMap<_, _> =
            names(module.inputs()).into_iter().map(|name| (name.clone(), model.input(&name).unwrap())).collect();
        if module.uses_reset() {
            inputs.insert("rst".to_owned(), model.input("rst").unwrap());
        }
        let outputs =
            names(module.outputs()).into_iter().map(|name| (name.clone(), model.output(&name).unwrap())).collect();
        let mut device = Device { model, inputs, outputs };
        if module.uses_reset() {
            device.pulse("rst");
        }
        device
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
    };
    let wide = CoreConfig { lanes: 32, bus_bits: 128, address_bits: 40, max_fan_in: 256, ..narrow.clone() };
    [narrow, wide]
}
