//! Core against reference: every spike plane and every logit.
//!
//! - [`Cosim`]: one compiled core; [`Session`]: that core with a network loaded.
//! - [`addresses`]: every bit of every address counts.
//! - [`shapes`]: networks that are large in one way.
//! - [`window`], [`spread`]: offsets and strides of any size.
//! - [`walks`]: windows of every size and shift, many windows, many tiles.
//! - [`campaign`]: many random networks at once, and the smallest one that fails.
//! - [`checks`]: what must hold for any core. The tests run them on the core as it is, and on cores with planted bugs.
//! - [`counters`]: what the counters count.
//! - [`order`]: reads that must wait for writes.
//! - [`rows`]: rows of many words.
//! - [`recovery`], [`malformed`]: the same for bus errors, resets and refused work.

pub mod addresses;
pub mod campaign;
pub mod checks;
pub mod counters;
pub mod malformed;
pub mod order;
pub mod recovery;
pub mod rows;
pub mod shapes;
pub mod spread;
pub mod walks;
pub mod window;

use crate::random::Random;
use compile::ProgramOptions;
use driver::{Accelerator, Counters, Link};
use isa::layout::LOGIT_BYTES;
use isa::program::{Planes, Program};
use isa::{CoreConfig, registers};
use model::{Configured, Executor, SpikePlane, Trace};
use sim::axi::Stalls;
use sim::{SimLink, SimOptions, Tracing, Verilated};
use std::ops::Range;
use std::time::Duration;

/// The ordinary [`Cosim::deadline`]: two million cycles.
pub const DEADLINE: Duration = Duration::from_millis(20);

/// What planes and logits hold before a run.
const STALE: u8 = 0xa5;

/// A compiled core, ready to run any number of networks.
#[derive(Clone, Debug)]
pub struct Cosim {
    /// Sizes of the core.
    pub core: CoreConfig,
    /// The compiled model.
    pub verilated: Verilated,
    /// What register `SCRATCH` is set to before a network is loaded: selects a planted bug, if the model has any.
    pub scratch: u32,
    /// Simulated time after which a run counts as hung.
    pub deadline: Duration,
}

impl Cosim {
    /// Compiles the core of a named configuration, or takes it from the cache.
    ///
    /// # Panics
    /// If it cannot be generated or compiled: then no comparison is possible.
    pub fn preset(name: &str) -> Cosim {
        let core = CoreConfig::preset(name).unwrap_or_else(|| panic!("no preset `{name}`"));
        Cosim::new(core)
    }

    /// Compiles the core of any configuration.
    ///
    /// # Panics
    /// If it cannot be generated or compiled.
    pub fn new(core: CoreConfig) -> Cosim {
        let top = hdl::core::mst_core(&core).unwrap_or_else(|error| panic!("{error}"));
        let verilated = Verilated::build(&top, Tracing::None).unwrap_or_else(|error| panic!("{error}"));
        Cosim { core, verilated, scratch: 0, deadline: DEADLINE }
    }

    /// An accelerator over a fresh simulation.
    ///
    /// # Errors
    /// If the core does not come up.
    pub fn accelerator(&self, world: &SimOptions) -> Result<Accelerator<SimLink>, String> {
        let link = SimLink::with_model(&self.verilated, &self.core, world).map_err(text)?;
        let mut accelerator = Accelerator::open(link).map_err(text)?;
        accelerator.link().write_register(registers::SCRATCH, self.scratch).map_err(text)?;
        accelerator.set_deadline(self.deadline);
        Ok(accelerator)
    }

    /// The program of a network, with planes that can be read back.
    ///
    /// # Errors
    /// If the core cannot run it.
    pub fn program(&self, network: &Configured, memory_size: u64) -> Result<Program, String> {
        compile::compile(network, &self.core, &ProgramOptions { memory_size, planes: Planes::Keep })
            .map_err(text)
    }

    /// A fresh simulation with a network loaded.
    ///
    /// # Errors
    /// If the core does not come up or cannot run the network.
    pub fn session<'a>(&self, network: &'a Configured, world: &SimOptions) -> Result<Session<'a>, String> {
        self.loaded(self.accelerator(world)?, network)
    }

    /// A network loaded into an accelerator, whatever ran there before.
    ///
    /// # Errors
    /// If the core cannot run the network.
    pub fn loaded<'a>(
        &self,
        mut accelerator: Accelerator<SimLink>,
        network: &'a Configured,
    ) -> Result<Session<'a>, String> {
        let program = self.program(network, accelerator.window_size())?;
        accelerator.load(&program).map_err(text)?;
        Ok(Session { accelerator, network, program, deadline: self.deadline })
    }

    /// Runs one image on core and reference and compares what the core wrote to memory, plane by plane.
    ///
    /// # Errors
    /// The first difference, or what the driver reported.
    pub fn check(&self, network: &Configured, image: &[u8], world: &SimOptions) -> Result<Counters, String> {
        self.session(network, world)?.compare(image)
    }
}

/// A running core with a network loaded.
pub struct Session<'a> {
    /// The core and its memory.
    pub accelerator: Accelerator<SimLink>,
    /// The network.
    pub network: &'a Configured,
    /// What was loaded, with the bytes.
    pub program: Program,
    deadline: Duration,
}

impl Session<'_> {
    /// Runs one image on core and reference and compares what the core wrote to memory, plane by plane, and how much it moved.
    ///
    /// # Errors
    /// The first difference, or what the driver reported.
    pub fn compare(&mut self, image: &[u8]) -> Result<Counters, String> {
        let expected = self.expected(image)?;
        let counters = self.compare_with(image, &expected)?;
        self.check_traffic(&counters)?;
        Ok(counters)
    }

    /// What the reference computes for an image.
    ///
    /// # Errors
    /// If the image does not fit the network.
    pub fn expected(&self, image: &[u8]) -> Result<Trace, String> {
        Executor::new(self.network).trace(image).map_err(text)
    }

    /// Like [`compare`](Session::compare), with the reference's result at hand, and whatever it moved: after a reset also what was under way before.
    ///
    /// # Errors
    /// The first difference, or what the driver reported.
    pub fn compare_with(&mut self, image: &[u8], expected: &Trace) -> Result<Counters, String> {
        self.spoil_outputs();
        let before = self.accelerator.link().memory().bytes().to_vec();
        let found = self.accelerator.infer(image);
        let counters = self.accelerator.counters();
        let found = found.map_err(|e| format!("{e}; {counters:?}"))?;
        self.check_writes(before)?;
        for (index, plane) in expected.planes.iter().enumerate() {
            let core = SpikePlane::from(&self.accelerator.read_plane(index).map_err(text)?);
            if let Some((token, channel, t)) = plane.first_difference(&core) {
                let (name, expected) = (&self.network.layers[index].name, plane.get(token, channel, t));
                return Err(format!(
                    "layer {index} `{name}`: token {token}, channel {channel}, time step {t}: expected {expected}"
                ));
            }
            self.check_pads(index, plane.spikes())?;
        }
        if found.logits != expected.logits {
            return Err(format!("logits {:?}, expected {:?}", found.logits, expected.logits));
        }
        let spikes: u64 = expected.planes.iter().map(model::SpikePlane::spikes).sum();
        if found.counters.spikes != spikes {
            return Err(format!(
                "the core counted {} spikes, its planes hold {spikes}",
                found.counters.spikes
            ));
        }
        Ok(found.counters)
    }

    /// The core moves what the records ask for, and nothing beside it.
    fn check_traffic(&self, counters: &Counters) -> Result<(), String> {
        let traffic = self.program.traffic();
        let bus_bytes = u64::from(self.program.core.bus_bytes());
        checks::equal("bytes read", counters.read_beats * bus_bytes, traffic.read())?;
        checks::equal("bytes written", counters.write_beats * bus_bytes, traffic.written())
    }

    /// Where a run writes, in ascending order: planes and logits.
    fn outputs(&self) -> Vec<Range<usize>> {
        let range = |base: u32, bytes: u64| base as usize..base as usize + bytes as usize;
        let planes = self.program.layers.iter().filter_map(|layer| layer.plane.as_ref());
        let logits = &self.program.logits;
        let mut outputs: Vec<_> = planes.map(|plane| range(plane.base, plane.bytes())).collect();
        outputs.push(range(logits.base, u64::from(LOGIT_BYTES * logits.plane_bytes)));
        outputs.sort_by_key(|range| range.start);
        outputs
    }

    /// Overwrites all planes and logits: what an earlier image left there must not pass for the next one's.
    fn spoil_outputs(&mut self) {
        for range in self.outputs() {
            self.accelerator.link().memory().bytes_mut()[range].fill(STALE);
        }
    }

    /// Checks that a run changed nothing but planes and logits; `before` is the memory before the image was written.
    fn check_writes(&mut self, mut before: Vec<u8>) -> Result<(), String> {
        let outputs = self.outputs();
        let inputs = self.program.layers.iter().flat_map(|layer| &layer.inputs);
        let inputs: Vec<_> = inputs.map(|i| i.base as usize..i.base as usize + i.bytes()).collect();
        let after = self.accelerator.link().memory().bytes();
        for range in outputs.into_iter().chain(inputs) {
            before[range.clone()].copy_from_slice(&after[range]);
        }
        match before.iter().zip(after).position(|(before, after)| before != after) {
            None => Ok(()),
            Some(at) => Err(format!("byte 0x{at:x} was written, which belongs to no plane")),
        }
    }

    /// Checks that the plane of a layer holds these spikes and no others: pad channels never spike.
    fn check_pads(&mut self, index: usize, spikes: u64) -> Result<(), String> {
        let layer = &self.program.layers[index];
        let Some(plane) = &layer.plane else { return Ok(()) };
        let mut bytes = vec![0; plane.bytes() as usize];
        self.accelerator.link().read_memory(u64::from(plane.base), &mut bytes).map_err(text)?;
        let set: u64 = bytes.iter().map(|byte| u64::from(byte.count_ones())).sum();
        if set == spikes {
            return Ok(());
        }
        Err(format!("layer {index} `{}`: {} bits are set outside its channels", layer.name, set - spikes))
    }
}

/// A world with random latency, stalls, reordering and power-up state: a function of the seed.
pub fn rough_world(seed: u64) -> SimOptions {
    let mut random = Random(!seed);
    let latency = random.pick(&[0, 1, 5, 20, 60]);
    SimOptions {
        stalls: Some(Stalls { seed, percent: random.pick(&[5, 20, 40, 60]) }),
        latency: latency..=latency + random.pick(&[0, 3, 30, 200]),
        outstanding: random.size(1, 16),
        power_up_seed: random.bits() as u32,
        ..SimOptions::default()
    }
}

/// The text of an error: what the checks report.
pub fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
