//! Any generated module as a compiled Verilator model: [`Verilated::build`] compiles it or finds it in the cache, [`Model`] runs it.

mod build;
mod ffi;
mod shim;
mod tools;

pub use build::{BuildError, Tracing, Verilated};
pub(crate) use build::{file_error, lock};
pub(crate) use tools::cache;
pub use tools::{tools, verilator};

use ffi::Instance;
use std::path::{Path, PathBuf};

/// Where the value of a port lies among those of its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    first: usize,
    width: u32,
}

impl Place {
    fn words(self) -> usize {
        self.width.div_ceil(64) as usize
    }
}

/// Name and place of every port of one direction.
#[derive(Clone, Debug, Default)]
struct Ports {
    names: Vec<String>,
    places: Vec<Place>,
    words: usize,
}

impl Ports {
    fn push(&mut self, name: &str, width: u32) {
        let place = Place { first: self.words, width };
        self.words += place.words();
        self.names.push(name.to_owned());
        self.places.push(place);
    }

    fn find(&self, direction: &'static str, name: &str) -> Result<Place, ModelError> {
        match self.names.iter().position(|n| n == name) {
            Some(index) => Ok(self.places[index]),
            None => {
                Err(ModelError::NoPort { direction, name: name.to_owned(), ports: self.names.join(", ") })
            }
        }
    }
}

/// An input port, from [`Model::input`]. It belongs to the model that it came from.
#[derive(Clone, Copy, Debug)]
pub struct Input(Place);

/// An output port, from [`Model::output`]. It belongs to the model that it came from.
#[derive(Clone, Copy, Debug)]
pub struct Output(Place);

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The compiled library cannot be loaded.
    #[error("{}: {source}; delete the file to have it built again", library.display())]
    Load {
        /// The library.
        library: PathBuf,
        /// What the system reported.
        source: libloading::Error,
    },
    /// The module has no such port.
    #[error("no {direction} port `{name}`; there are: {ports}")]
    NoPort {
        /// `input` or `output`.
        direction: &'static str,
        /// The name looked for.
        name: String,
        /// The names there are.
        ports: String,
    },
    /// The trace file cannot be written.
    #[error("{}: the trace cannot be written there; its folder must exist", .0.display())]
    Trace(PathBuf),
    /// A trace was asked of a model that was built without.
    #[error("{}: a trace was asked for, but the model was built without; build it with `Tracing::Fst`", .0.display())]
    NoTracing(PathBuf),
}

/// A running model.
///
/// Inputs keep their values until they are set again. One [`cycle`](Model::cycle) settles the module with its inputs, samples the
/// outputs and then makes the rising edge of `clk`: outputs are read as the edge saw them.
pub struct Model {
    instance: Instance,
    inputs: Vec<u64>,
    outputs: Vec<u64>,
    ports: Verilated,
    cycles: u64,
}

impl Model {
    /// Loads the library of `verilated`. Registers and memories without an initial value start from random bits made from `seed`.
    ///
    /// # Errors
    /// If the library cannot be loaded or the trace not be written.
    pub fn new(verilated: &Verilated, seed: u32, trace: Option<&Path>) -> Result<Model, ModelError> {
        if let (Some(path), Tracing::None) = (trace, verilated.tracing) {
            return Err(ModelError::NoTracing(path.to_owned()));
        }
        // The FST writer itself opens nothing there, and says nothing.
        let nowhere = |path: &&Path| path.parent().is_some_and(|p| !p.as_os_str().is_empty() && !p.is_dir());
        if let Some(path) = trace.filter(nowhere) {
            return Err(ModelError::Trace(path.to_owned()));
        }
        let mut model = Model {
            instance: Instance::load(&verilated.library, seed, trace)?,
            inputs: vec![0; verilated.inputs.words],
            outputs: vec![0; verilated.outputs.words],
            ports: verilated.clone(),
            cycles: 0,
        };
        verilated.straps.iter().for_each(|&(port, value)| model.set(port, value));
        Ok(model)
    }

    /// The input port `name`; `rst` is one if the module has it.
    ///
    /// # Errors
    /// [`ModelError::NoPort`].
    pub fn input(&self, name: &str) -> Result<Input, ModelError> {
        self.ports.inputs.find("input", name).map(Input)
    }

    /// The output port `name`.
    ///
    /// # Errors
    /// [`ModelError::NoPort`].
    pub fn output(&self, name: &str) -> Result<Output, ModelError> {
        self.ports.outputs.find("output", name).map(Output)
    }

    /// Sets an input of at most 64 bits. Bits beyond the port's width are dropped.
    pub fn set(&mut self, port: Input, value: u64) {
        self.inputs[port.0.first] = value;
    }

    /// Sets an input of any width, least significant word first. Missing words are 0, words and bits beyond the width dropped.
    pub fn set_wide(&mut self, port: Input, value: &[u64]) {
        let place = &mut self.inputs[port.0.first..port.0.first + port.0.words()];
        for (i, word) in place.iter_mut().enumerate() {
            *word = value.get(i).copied().unwrap_or(0);
        }
    }

    /// An output of at most 64 bits (of a wider one, the lowest 64), as of the last cycle.
    pub fn get(&self, port: Output) -> u64 {
        self.outputs[port.0.first]
    }

    /// An output of any width, least significant word first, as of the last cycle.
    pub fn get_wide(&self, port: Output) -> &[u64] {
        &self.outputs[port.0.first..port.0.first + port.0.words()]
    }

    /// One clock cycle.
    pub fn cycle(&mut self) {
        self.instance.cycle(&self.inputs, &mut self.outputs);
        self.cycles += 1;
    }

    /// Settles the module with its inputs and samples its outputs, without a clock edge.
    pub fn settle(&mut self) {
        self.instance.settle(&self.inputs, &mut self.outputs);
    }

    /// Clock cycles so far.
    pub fn cycles(&self) -> u64 {
        self.cycles
    }
}
