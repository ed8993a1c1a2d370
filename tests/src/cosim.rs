//! Core against reference: every spike plane and every logit.

use driver::program::{Planes, Program, ProgramOptions};
use driver::{Accelerator, Counters};
use isa::CoreConfig;
use model::{Configured, Executor, LayerId};
use sim::axi::Stalls;
use std::time::Duration;
use sim::{SimLink, SimOptions, Tracing, Verilated};

/// Simulated time after which a run counts as hung: two million cycles.
const DEADLINE: Duration = Duration::from_millis(20);

/// A compiled core, ready to run any number of networks.
pub struct Cosim {
    /// Sizes of the core.
    pub core: CoreConfig,
    /// The compiled model.
    pub verilated: Verilated,
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
        Cosim { core, verilated }
    }

    /// An accelerator over a fresh simulation.
    ///
    /// # Errors
    /// If the core does not come up.
    pub fn accelerator(&self, options: &SimOptions) -> Result<Accelerator<SimLink>, String> {
        let link = SimLink::with_model(&self.verilated, &self.core, options).map_err(|e| e.to_string())?;
        Accelerator::open(link).map_err(|e| e.to_string())
    }

    /// Runs one image on core and reference and compares what the core wrote to memory, plane by plane.
    ///
    /// # Errors
    /// The first difference, or what the driver reported.
    pub fn check(&self, network: &Configured, image: &[u8], stalls: Option<u64>) -> Result<Counters, String> {
        let options =
            SimOptions { stalls: stalls.map(|seed| Stalls { seed, percent: 30 }), ..SimOptions::default() };
        let mut accelerator = self.accelerator(&options)?;
        accelerator.set_deadline(DEADLINE);
        let options = ProgramOptions { memory_size: accelerator.window_size(), planes: Planes::Keep };
        let program = Program::compile(network, &self.core, &options).map_err(|e| e.to_string())?;
        accelerator.load(&program).map_err(|e| e.to_string())?;
        let found = accelerator.infer(image);
        let counters = accelerator.counters();
        let found = found.map_err(|e| format!("{e}; {counters:?}"))?;
        let expected = Executor::new(network).trace(image).map_err(|e| e.to_string())?;
        let mut spikes = 0;
        for (index, plane) in expected.planes.iter().enumerate() {
            let core = accelerator.read_plane(LayerId(index)).map_err(|e| e.to_string())?;
            spikes += plane.spikes();
            if let Some((token, channel, t)) = plane.first_difference(&core) {
                let layer = &network.layers[index];
                let expected = plane.get(token, channel, t);
                return Err(format!(
                    "layer {index} `{}`: token {token}, channel {channel}, time step {t}: expected {expected}",
                    layer.name
                ));
            }
        }
        if found.logits != expected.logits {
            return Err(format!("logits {:?}, expected {:?}", found.logits, expected.logits));
        }
        if found.counters.spikes != spikes {
            return Err(format!(
                "the core counted {} spikes, its planes hold {spikes}",
                found.counters.spikes
            ));
        }
        Ok(found.counters)
    }
}
