//! Compiles a network for a core: layers in passes and strips, their records and parameters, and the places of everything in memory, as a [`Program`].

mod allocate;
mod cut;
mod error;
mod layer;
mod limits;
mod logits;
mod parameters;
mod plane;
mod records;
mod walk;
mod weights;

pub use error::{Part, ProgramError};

use allocate::{Placement, Request, Reuse};
use cut::Cut;
use isa::program::{
    InputLayout, LayerPlan, LogitsLayout, PlaneLayout, Planes, Program, Segment, Strip, bytes_of_passes,
    descriptor_bytes, write_records,
};
use isa::{CHUNK_STEPS, CoreConfig, LARGEST_WINDOW, layout::LOGIT_BYTES};
use layer::Site;
use model::network::{Operation, Source};
use model::{Configured, LayerId};
use plane::padded;
use records::Bases;

/// Alignment of parameters, inputs, logits and planes: a multiple of every bus width, and long bursts start on it.
const ALIGNMENT: usize = 64;

/// What a program is compiled for, apart from the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramOptions {
    /// Bytes in the memory window.
    pub memory_size: u64,
    /// What happens to planes after their last reader.
    pub planes: Planes,
}

/// Compiles `network` for `core`.
///
/// # Errors
/// If the network needs more than the core or the memory has, or reads a plane in ways that no layout serves; the message
/// names the layer, the value and what is allowed.
pub fn compile(
    network: &Configured,
    core: &CoreConfig,
    options: &ProgramOptions,
) -> Result<Program, ProgramError> {
    Compiler::plan_for(network, core, options)?.program()
}

/// What a network takes of a core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Bytes of the accelerator's memory.
    pub memory_bytes: u64,
    /// How each layer is cut.
    pub layers: Vec<LayerCut>,
}

/// Into how much a layer is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerCut {
    /// Slices of its inputs, 1 or more.
    pub passes: usize,
    /// Parts of its tokens, 1 or more: a descriptor each.
    pub strips: usize,
}

/// What `network` takes of `core`; asks next to no memory of the host.
///
/// # Errors
/// Those of [`compile`].
pub fn needs(
    network: &Configured,
    core: &CoreConfig,
    options: &ProgramOptions,
) -> Result<Needs, ProgramError> {
    let plan = Compiler::plan_for(network, core, options)?;
    let cut = |cut: &Cut| LayerCut { passes: cut.passes.len(), strips: cut.strips.len() };
    Ok(Needs { memory_bytes: plan.total_bytes, layers: plan.cuts.iter().map(cut).collect() })
}

/// How many bytes of the accelerator's memory `network` needs on `core`; takes next to none of the host's.
///
/// # Errors
/// Those of [`compile`].
pub fn memory_bytes(
    network: &Configured,
    core: &CoreConfig,
    options: &ProgramOptions,
) -> Result<u64, ProgramError> {
    Ok(Compiler::plan_for(network, core, options)?.total_bytes)
}

struct Compiler<'a> {
    network: &'a Configured,
    core: &'a CoreConfig,
    names: Vec<String>,
    planes: Vec<Option<PlaneLayout>>,
    /// One a term that reads the image.
    inputs: Vec<Vec<InputLayout>>,
    logits: LogitsLayout,
}

impl<'a> Compiler<'a> {
    /// Checks everything that can be refused, then says where everything lies.
    fn plan_for(
        network: &'a Configured,
        core: &'a CoreConfig,
        options: &ProgramOptions,
    ) -> Result<Plan<'a>, ProgramError> {
        core.validate()?;
        limits::check_network(network, network.time_steps(), core)?;
        limits::check_membranes(network, core)?;
        Compiler::new(network, core)?.plan(options)
    }

    fn new(network: &'a Configured, core: &'a CoreConfig) -> Result<Self, ProgramError> {
        let inputs = network.layers.iter().map(|layer| {
            let Operation::Linear { terms, .. } = &layer.operation else { return Vec::new() };
            let images = terms.iter().filter(|term| term.source == Source::Image);
            let input = |taps: isa::Taps| InputLayout {
                base: 0,
                row_bytes: padded(taps.count() * network.image.channels, core),
                grid: layer.grid,
                taps,
            };
            images.map(|term| input(term.taps)).collect()
        });
        Ok(Compiler {
            network,
            core,
            names: network.layers.iter().map(|layer| layer.name.clone()).collect(),
            planes: plane::layouts(network, chunks(network), core)?,
            inputs: inputs.collect(),
            logits: LogitsLayout {
                base: 0,
                plane_bytes: padded(network.classes, core),
                classes: network.classes,
            },
        })
    }

    fn site<'s>(&'s self, index: usize) -> Site<'s> {
        Site {
            index,
            draws: self.network.draws(index),
            layer: &self.network.layers[index],
            time_steps: self.network.time_steps(),
            order: &self.network.slots(LayerId(index)).order,
            seed: self.network.seed,
            core: self.core,
            planes: &self.planes,
            inputs: &self.inputs[index],
            image_channels: self.network.image.channels,
            logits: &self.logits,
            names: &self.names,
        }
    }

    /// Says where everything lies. Nothing is made that is larger than the records.
    fn plan(mut self, options: &ProgramOptions) -> Result<Plan<'a>, ProgramError> {
        let count = self.network.layers.len();
        let cuts: Vec<Cut> = (0..count).map(|index| self.site(index).cut()).collect::<Result<_, _>>()?;
        limits::check_cuts(self.network, self.core, &cuts, chunks(self.network))?;
        let alignment = ALIGNMENT as u64;
        let records = |cut: &Cut| {
            cut.strips.len() as u64 * bytes_of_passes(cut.passes.len(), cut.pass_words(self.core))
        };
        let descriptors: usize = cuts.iter().map(|cut| cut.strips.len()).sum();
        let mut end = descriptor_bytes(descriptors) + cuts.iter().map(records).sum::<u64>();
        let mut take = |bytes: u64| {
            let base = end.next_multiple_of(alignment);
            end = base + bytes;
            base
        };
        let mut stored = Vec::with_capacity(count);
        for (index, cut) in cuts.iter().enumerate() {
            let parts = self.site(index).stored_bytes(cut)?;
            stored.push(Stored { bases: parts.map(&mut take), bytes: parts.iter().sum() });
        }
        let (placements, total_bytes) = self.place(end, &stored, options)?;
        let layers = self.layers(&cuts, &stored, &placements)?;
        Ok(Plan {
            compiler: self,
            layers,
            cuts,
            stored,
            stored_bytes: end,
            total_bytes,
            planes: options.planes,
        })
    }

    /// The layers with their records, when everything has its place.
    fn layers(
        &self,
        cuts: &[Cut],
        stored: &[Stored],
        placements: &[Placement],
    ) -> Result<Vec<LayerPlan>, ProgramError> {
        // How many descriptors the first layers have: what must have completed is counted in descriptors.
        let mut descriptors = vec![0];
        for cut in cuts {
            descriptors.push(descriptors[descriptors.len() - 1] + cut.strips.len() as u32);
        }
        let mut pass_base = descriptor_bytes(descriptors[cuts.len()] as usize);
        let mut layers = Vec::with_capacity(cuts.len());
        for (index, cut) in cuts.iter().enumerate() {
            let site = self.site(index);
            let [parameters, weights, biases] = stored[index].bases;
            let own = if site.own_parameters() { site.parameter_bytes()? } else { 0 };
            let mut strips = Vec::with_capacity(cut.strips.len());
            for (number, strip) in cut.strips.iter().enumerate() {
                let bases = Bases {
                    parameters: (parameters + number as u64 * own) as u32,
                    weights: weights as u32,
                    biases: biases as u32,
                    passes: pass_base as u32,
                };
                let mut descriptor = site.descriptor(cut, strip, bases)?;
                descriptor.inputs_ready = descriptors[placements[index].inputs_ready as usize];
                descriptor.weights_ready = site.reads().1.map_or(0, |id| descriptors[id.0 + 1]);
                let strip = Strip { descriptor, passes: site.passes(cut, strip)? };
                limits::check_records(index, &site.layer.name, &strip)?;
                pass_base += isa::program::pass_bytes(&strip);
                strips.push(strip);
            }
            layers.push(LayerPlan {
                name: site.layer.name.clone(),
                strips,
                plane: self.planes[index].clone(),
                inputs: self.inputs[index].clone(),
            });
        }
        Ok(layers)
    }

    /// Gives inputs, logits and planes their places behind the `start` bytes written once, and returns the planes' placements
    /// and the bytes used in all.
    fn place(
        &mut self,
        start: u64,
        stored: &[Stored],
        options: &ProgramOptions,
    ) -> Result<(Vec<Placement>, u64), ProgramError> {
        let alignment = ALIGNMENT as u64;
        let mut end = start.next_multiple_of(alignment);
        let mut take = |bytes: u64| {
            let base = end;
            end = (end + bytes).next_multiple_of(alignment);
            base
        };
        // A base beyond 32 bits is caught below, before anything uses it.
        for input in self.inputs.iter_mut().flatten() {
            input.base = take(input.bytes() as u64) as u32;
        }
        self.logits.base = take(u64::from(LOGIT_BYTES * self.logits.plane_bytes)) as u32;
        let start = end;

        let requests = self.requests();
        let available = options.memory_size.min(LARGEST_WINDOW);
        let attempts: &[Reuse] = match options.planes {
            Planes::Keep => &[Reuse::Never],
            Planes::Reuse => &[Reuse::WithoutWaiting, Reuse::Always],
        };
        let mut needed = 0;
        for &reuse in attempts {
            let (placements, bytes) = allocate::place(&requests, reuse, alignment);
            needed = start + bytes;
            if needed <= available {
                for (plane, placement) in self.planes.iter_mut().zip(&placements) {
                    if let Some(plane) = plane {
                        plane.base = (start + placement.offset) as u32;
                    }
                }
                return Ok((placements, needed));
            }
        }
        Err(self.too_large(needed, available, stored))
    }

    fn too_large(&self, needed: u64, available: u64, stored: &[Stored]) -> ProgramError {
        let part = |index: usize, what, bytes| Part {
            index,
            layer: self.network.layers[index].name.clone(),
            what,
            bytes,
        };
        let parts = (0..self.network.layers.len()).flat_map(|index| {
            let inputs = self.inputs[index].iter().map(|input| input.bytes() as u64).sum();
            let spikes = self.planes[index].as_ref().map_or(0, PlaneLayout::bytes);
            let stored = stored.get(index).map_or(0, |stored| stored.bytes);
            [(index, "parameters and weights", stored), (index, "inputs", inputs), (index, "spikes", spikes)]
        });
        let (index, what, bytes) = parts.max_by_key(|&(_, _, bytes)| bytes).unwrap_or((0, "spikes", 0));
        let mut advice = vec!["a smaller image or network"];
        if self.network.time_steps() > CHUNK_STEPS {
            advice.push("fewer time steps (`--time-steps`)");
        }
        if available < LARGEST_WINDOW {
            advice.push("an accelerator with more memory");
        }
        ProgramError::Memory {
            network: self.network.name.clone(),
            needed,
            available,
            largest: Box::new(part(index, what, bytes)),
            advice: advice.join(", or "),
        }
    }

    fn requests(&self) -> Vec<Request> {
        let mut requests: Vec<Request> = self
            .planes
            .iter()
            .enumerate()
            .map(|(index, plane)| Request {
                bytes: plane.as_ref().map_or(0, PlaneLayout::bytes),
                last_use: index,
                inputs_ready: 0,
            })
            .collect();
        for index in 0..requests.len() {
            let (inputs, matrix) = self.site(index).reads();
            for id in inputs.iter().chain(&matrix) {
                requests[id.0].last_use = index;
            }
            let latest = inputs.iter().map(|id| id.0 as u32 + 1).max();
            requests[index].inputs_ready = latest.unwrap_or(0);
        }
        requests
    }
}

/// What is written to memory once for one layer.
struct Stored {
    /// Byte offsets of its parameters, of its weights and of its bias rows.
    bases: [u64; 3],
    /// How much that is.
    bytes: u64,
}

/// Where everything lies, before the bytes are made.
struct Plan<'a> {
    compiler: Compiler<'a>,
    layers: Vec<LayerPlan>,
    cuts: Vec<Cut>,
    stored: Vec<Stored>,
    /// Bytes written once.
    stored_bytes: u64,
    total_bytes: u64,
    planes: Planes,
}

impl Plan<'_> {
    fn program(self) -> Result<Program, ProgramError> {
        let Plan { compiler, layers, cuts, stored, stored_bytes, total_bytes, planes } = self;
        let network = compiler.network;
        let mut bytes = Vec::new();
        let refused = |_| ProgramError::Host { network: network.name.clone(), bytes: stored_bytes };
        bytes.try_reserve_exact(stored_bytes as usize).map_err(refused)?;
        bytes.resize(isa::program::record_bytes(&layers) as usize, 0);
        write_records(&mut bytes, 0, &layers);
        for (index, Stored { bases: [parameters, weights, biases], .. }) in stored.iter().enumerate() {
            let (site, cut) = (compiler.site(index), &cuts[index]);
            bytes.resize(*parameters as usize, 0);
            match &site.layer.operation {
                Operation::Linear { .. } => parameters::push_linear(&mut bytes, &site, cut)?,
                Operation::Scores { heads, .. } => parameters::push_scores(&mut bytes, &site, *heads)?,
                Operation::Context { heads, .. } => parameters::push_context(&mut bytes, &site, *heads)?,
            }
            bytes.resize(*weights as usize, 0);
            weights::push(&mut bytes, &site, cut)?;
            bytes.resize(*biases as usize, 0);
            if let Operation::Scores { heads, bias, .. } = &site.layer.operation {
                parameters::push_bias_rows(&mut bytes, &site, *heads, bias)?;
            }
        }
        assert_eq!(bytes.len() as u64, stored_bytes, "`stored_bytes` counts what is written");
        Ok(Program {
            network: network.name.clone(),
            core: compiler.core.clone(),
            image_shape: network.image,
            border: network.border.clone(),
            time_steps: network.time_steps(),
            layers,
            image: vec![Segment { offset: 0, bytes }],
            descriptor_base: 0,
            logits: compiler.logits,
            logit_ranges: logits::ranges(network),
            total_bytes,
            planes,
            second: None,
        })
    }
}

/// Chunks of 8 time steps that a network runs.
fn chunks(network: &Configured) -> u32 {
    network.time_steps().div_ceil(CHUNK_STEPS)
}
