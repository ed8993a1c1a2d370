//! One image on core and reference.

use super::layers::LayerCost;
use super::part::Part;
use crate::error::GenError;
use driver::{Accelerator, Counters, DriverError, LayerProfile, Link};
use isa::CoreConfig;
use model::work::{LayerWork, work};
use model::{Configured, Executor, SpikePlane, Trace};
use serde::Serialize;
use sim::{SimLink, SimOptions, Verilated};
use std::ops::Range;
use std::time::Duration;

/// Nanoseconds of a simulated clock cycle.
const CYCLE_NANOSECONDS: u64 = 10;
/// Cycles that a run may take for each cycle that it needs: far more than random stalls cost.
const PATIENCE: u64 = 40;
/// Cycles that any run may take.
const BASE_CYCLES: u64 = 2_000_000;

/// Whether images run once more layer by layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profiling {
    /// They do not.
    None,
    /// They do.
    PerLayer,
}

/// What all images have in common.
pub struct Setup<'a> {
    /// Sizes of the core.
    pub core: &'a CoreConfig,
    /// The network.
    pub network: &'a Configured,
    /// The reference.
    pub executor: Executor<'a>,
    /// What runs: the network compiled for the core, or some of its layers.
    pub part: &'a Part,
    /// The core compiled for this machine.
    pub verilated: &'a Verilated,
    /// The world around the core.
    pub options: SimOptions,
    /// Whether to look at layers.
    pub profiling: Profiling,
}

/// The first difference between core and reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Mismatch {
    /// A spike that one of them has.
    Spike {
        /// Index of the layer.
        index: usize,
        /// Name of the layer.
        layer: String,
        /// Token of its plane.
        token: usize,
        /// Channel.
        channel: usize,
        /// Time step.
        t: usize,
        /// Whether the core's neuron fired.
        core: bool,
    },
    /// A logit.
    Logit {
        /// The class.
        class: usize,
        /// The core's.
        core: i32,
        /// The reference's.
        reference: i32,
    },
    /// The spikes that the core counted, while all planes agree.
    Count {
        /// The core's counter.
        core: u64,
        /// Spikes in the planes.
        reference: u64,
    },
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Mismatch::Spike { index, layer, token, channel, t, core } => {
                let (fires, rests) = if *core { ("core", "reference") } else { ("reference", "core") };
                write!(
                    f,
                    "layer {index} `{layer}`, token {token}, channel {channel}, t {t}: fires in the {fires}, not in the {rests}"
                )
            }
            Mismatch::Logit { class, core, reference } => {
                write!(
                    f,
                    "logit {class}: {core} in the core, {reference} in the reference, after identical spikes"
                )
            }
            Mismatch::Count { core, reference } => {
                write!(f, "the core counted {core} spikes, its planes hold {reference}")
            }
        }
    }
}

/// The result of one image.
#[derive(Debug, Serialize)]
pub struct ImageReport {
    /// Index in the data set.
    pub image: usize,
    /// Class in the data set.
    pub label: Option<usize>,
    /// The core's class; none where no readout ran.
    pub class: Option<usize>,
    /// Whether every spike and every logit agreed.
    pub identical: bool,
    /// The first difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mismatch: Option<Mismatch>,
    /// Clock cycles from the first register access to the last.
    pub cycles: u64,
    /// Cycles that the image's spikes need on that many lanes.
    pub needed_cycles: u64,
    /// Events if every spike were walked step by step.
    pub step_events: u64,
    /// Needed cycles / busy cycles.
    pub useful: f64,
    /// What the core counted.
    #[serde(flatten)]
    pub counters: Counters,
    /// What each layer cost alone.
    #[serde(skip)]
    pub layers: Vec<LayerCost>,
}

/// A simulated accelerator with the network loaded.
pub struct Bench<'a> {
    setup: &'a Setup<'a>,
    accelerator: Accelerator<SimLink>,
}

impl<'a> Bench<'a> {
    /// Powers the core up and loads the network. `number` varies what differs between simulations: stalls and power-up values.
    pub fn new(setup: &'a Setup<'a>, number: u32) -> Result<Bench<'a>, GenError> {
        let mut options = setup.options.clone();
        options.power_up_seed += number;
        if let Some(stalls) = &mut options.stalls {
            stalls.seed = stalls.seed.wrapping_add(u64::from(number));
        }
        let link = SimLink::with_model(setup.verilated, setup.core, &options)?;
        let mut accelerator = Accelerator::open_expecting(link, setup.core)?;
        accelerator.load(&setup.part.program)?;
        Ok(Bench { setup, accelerator })
    }

    /// Runs and compares one image.
    pub fn compare(
        &mut self,
        image: usize,
        pixels: &[u8],
        label: Option<usize>,
    ) -> Result<ImageReport, GenError> {
        let Setup { network, core, executor, profiling, part, .. } = self.setup;
        let expected = executor.trace(pixels)?;
        let needed = &work(network, pixels, &expected, core)[part.layers.clone()];
        let needed_cycles: u64 = needed.iter().map(|layer| layer.needed_cycles).sum();
        let deadline = BASE_CYCLES + PATIENCE * needed_cycles;
        self.accelerator.set_deadline(Duration::from_nanos(deadline * CYCLE_NANOSECONDS));

        let failed = |source| GenError::Core { image, source };
        self.write_sources(&expected).map_err(failed)?;
        let before = self.accelerator.link().cycles();
        let counters = self.accelerator.run_image(pixels).map_err(failed)?;
        let found = self.answer(counters).map_err(failed)?;
        let cycles = self.accelerator.link().cycles() - before;
        let mut mismatch = self.difference(&expected, &found).map_err(failed)?;
        let mut layers = Vec::new();
        if *profiling == Profiling::PerLayer && mismatch.is_none() {
            let (counters, profile) = self.accelerator.profile(pixels).map_err(failed)?;
            let alone = self.answer(counters).map_err(failed)?;
            mismatch = self.difference(&expected, &alone).map_err(failed)?;
            layers = costs(&profile, needed);
        }
        Ok(ImageReport {
            image,
            label,
            class: found.class,
            identical: mismatch.is_none(),
            mismatch,
            cycles,
            needed_cycles,
            step_events: needed.iter().map(|layer| layer.step_events).sum(),
            useful: crate::screen::ratio(needed_cycles, found.counters.busy_cycles),
            counters: found.counters,
            layers,
        })
    }

    /// Puts what the layers read of others, which do not run, where they would have left it.
    fn write_sources(&mut self, expected: &Trace) -> Result<(), DriverError> {
        for (id, layout) in &self.setup.part.sources {
            let plane = expected.planes[id.0].in_memory(layout.clone());
            self.accelerator.link().write_memory(layout.base.into(), &plane.bytes)?;
        }
        Ok(())
    }

    fn answer(&mut self, counters: Counters) -> Result<Answer, DriverError> {
        if !self.setup.part.has_readout() {
            return Ok(Answer { class: None, logits: Vec::new(), counters });
        }
        let answer = self.accelerator.answer(counters)?;
        Ok(Answer { class: Some(answer.class), logits: answer.logits, counters })
    }

    fn difference(&mut self, expected: &Trace, found: &Answer) -> Result<Option<Mismatch>, DriverError> {
        let layers = self.setup.part.layers.clone();
        difference(&mut self.accelerator, self.setup.network, layers, expected, found)
    }
}

/// What a run left beside its planes.
#[derive(Clone, Debug)]
struct Answer {
    /// None where no readout ran; then there are no logits.
    class: Option<usize>,
    logits: Vec<i32>,
    counters: Counters,
}

/// The first difference in what the accelerator's last run of `layers` left in memory, layer by layer, then in logits and counted spikes.
fn difference<L: Link>(
    accelerator: &mut Accelerator<L>,
    network: &Configured,
    layers: Range<usize>,
    expected: &Trace,
    found: &Answer,
) -> Result<Option<Mismatch>, DriverError> {
    let planes = expected.planes.iter().enumerate().take(layers.end).skip(layers.start);
    for (index, plane) in planes.clone() {
        let core = SpikePlane::from(&accelerator.read_plane(index - layers.start)?);
        if let Some((token, channel, t)) = plane.first_difference(&core) {
            let layer = network.layers[index].name.clone();
            let core = !plane.get(token, channel, t);
            return Ok(Some(Mismatch::Spike { index, layer, token, channel, t, core }));
        }
    }
    let pairs = found.logits.iter().zip(&expected.logits);
    if let Some((class, (&core, &reference))) =
        pairs.enumerate().find(|(_, (core, reference))| core != reference)
    {
        return Ok(Some(Mismatch::Logit { class, core, reference }));
    }
    let (core, reference) = (found.counters.spikes, planes.map(|(_, plane)| plane.spikes()).sum());
    Ok((core != reference).then_some(Mismatch::Count { core, reference }))
}

fn costs(profile: &[LayerProfile], needed: &[LayerWork]) -> Vec<LayerCost> {
    let pairs = profile.iter().zip(needed);
    pairs
        .map(|(profile, work)| LayerCost {
            layer: profile.name.clone(),
            op: work.operation,
            needed_cycles: work.needed_cycles,
            step_events: work.step_events,
            counters: profile.counters,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use compile::ProgramOptions;
    use driver::link::LinkError;
    use isa::program::Planes;
    use model::{Checkpoint, ConvertOptions, RunOptions};
    use sim::SoftCore;
    use std::path::Path;

    const MEMORY: usize = 1 << 22;

    /// A core whose memory has one bit wrong when it is read.
    struct FlippedBit {
        core: SoftCore,
        at: u64,
        bit: u32,
    }

    impl Link for FlippedBit {
        fn read_register(&mut self, offset: u32) -> Result<u32, LinkError> {
            self.core.read_register(offset)
        }

        fn write_register(&mut self, offset: u32, value: u32) -> Result<(), LinkError> {
            self.core.write_register(offset, value)
        }

        fn read_memory(&mut self, offset: u64, into: &mut [u8]) -> Result<(), LinkError> {
            self.core.read_memory(offset, into)?;
            if let Some(byte) = self.at.checked_sub(offset).and_then(|at| into.get_mut(at as usize)) {
                *byte ^= 1 << self.bit;
            }
            Ok(())
        }

        fn write_memory(&mut self, offset: u64, data: &[u8]) -> Result<(), LinkError> {
            self.core.write_memory(offset, data)
        }

        fn memory_base(&self) -> u64 {
            self.core.memory_base()
        }

        fn memory_size(&self) -> u64 {
            self.core.memory_size()
        }

        fn wait_interrupt(&mut self, timeout: Duration) -> Result<bool, LinkError> {
            self.core.wait_interrupt(timeout)
        }
    }

    #[test]
    fn differences_are_named_where_they_first_are() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/fashion-mnist");
        let checkpoint = Checkpoint::load(&models.join("checkpoint.safetensors")).unwrap();
        let network = model::convert(&checkpoint, &ConvertOptions::new("test")).unwrap();
        let network = network.configure(&RunOptions::new(8)).unwrap();
        let core = CoreConfig::preset("ecp5").unwrap();
        let options = ProgramOptions { memory_size: MEMORY as u64, planes: Planes::Keep };
        let program = compile::compile(&network, &core, &options).unwrap();
        let image = vec![100; network.image.bytes()];
        let expected = Executor::new(&network).trace(&image).unwrap();
        let (index, token, channel, t) = (4, 20, 3, 6);
        let plane = program.layers[index].plane.as_ref().unwrap();

        // First no wrong bit: the address lies outside the memory.
        let link = FlippedBit { core: SoftCore::new(&core, MEMORY).unwrap(), at: u64::MAX, bit: t as u32 };
        let mut accelerator = Accelerator::open(link).unwrap();
        accelerator.load(&program).unwrap();
        let found = accelerator.infer(&image).unwrap();
        let spikes = found.counters.spikes;
        let mut check = |at: u64, logits: &[i32], spikes| {
            accelerator.link().at = at;
            let counters = Counters { spikes, ..found.counters };
            let answer = Answer { class: Some(found.class), logits: logits.to_vec(), counters };
            difference(&mut accelerator, &network, 0..network.layers.len(), &expected, &answer).unwrap()
        };
        assert_eq!(check(u64::MAX, &found.logits, spikes), None);
        assert_eq!(
            check(u64::MAX, &found.logits, spikes + 1),
            Some(Mismatch::Count { core: spikes + 1, reference: spikes })
        );

        let mut logits = found.logits.clone();
        logits[2] += 1;
        let (core, reference) = (logits[2], found.logits[2]);
        assert_eq!(check(u64::MAX, &logits, spikes), Some(Mismatch::Logit { class: 2, core, reference }));

        let fires = !expected.planes[index].get(token, channel, t);
        let layer = network.layers[index].name.clone();
        assert_eq!(
            check(plane.address(token, 0, channel), &logits, spikes),
            Some(Mismatch::Spike { index, layer, token, channel, t, core: fires })
        );
    }
}
