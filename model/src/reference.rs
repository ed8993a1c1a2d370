//! The bit-exact reference: runs a configured network on images and yields every spike.
//!
//! It follows the contract of [`network`](crate::network) layer by layer and token by token, but sums what can be summed: the
//! drives of a two-phase neuron over all T steps at once (a linear layer from spike counts, attention from the number of
//! coincidences), those of a neuron that fires in each step one by one.
//!
//! Each layer is compiled for several instruction sets and run with the best that the processor has; the inner loops are
//! inlined into that so that they become vector instructions.

mod attention;
mod bits;
mod drive;
mod fire;
mod observer;
mod readout;

use crate::error::ModelError;
use crate::mask::{Lfsr, MaskBits};
use crate::network::{Layer, LayerId, Operation, Walk};
use crate::run::Configured;
use crate::spikes::{Classification, SpikePlane, Trace};
use crate::synapses;
use attention::Attention;
use drive::Drive;
use fire::{FireScratch, Masks, Neurons};
use observer::FiredSpikes;
pub use observer::Observer;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs a configured network. Building one prepares the weights; it can be shared between threads.
pub struct Executor<'a, M = Lfsr> {
    configured: &'a Configured,
    /// All but the readout.
    layers: Vec<Prepared<'a>>,
    instructions: Arch,
    masks: PhantomData<fn() -> M>,
}

/// One layer's constants in the form that the inner loops read.
struct Prepared<'a> {
    layer: &'a Layer,
    /// The network's seed, and the layer whose draws its mask has.
    draws: (u32, usize),
    neurons: Neurons,
    kind: Kind,
}

enum Kind {
    /// Each token on its own.
    Tokens(Drive),
    /// Each window of each head on its own.
    Attention(Attention),
}

impl<'a> Executor<'a> {
    /// Prepares the network.
    pub fn new(configured: &'a Configured) -> Executor<'a> {
        Executor::with_mask_bits(configured)
    }
}

impl<'a, M: MaskBits> Executor<'a, M> {
    /// Prepares the network; its masks draw from `M`, which only the hardware's own makes equal to the core.
    pub fn with_mask_bits(configured: &'a Configured) -> Executor<'a, M> {
        let layers = (0..configured.layers.len() - 1).map(|index| Prepared::new(configured, index));
        let layers = layers.collect();
        Executor { configured, layers, instructions: Arch::new(), masks: PhantomData }
    }

    /// Runs one image and keeps every spike.
    ///
    /// # Errors
    /// If the image does not have the size that the network takes.
    pub fn trace(&self, image: &[u8]) -> Result<Trace, ModelError> {
        self.observe(image, &mut ())
    }

    /// Runs one image and keeps every spike; `observer` sees what is no transmitted spike.
    ///
    /// # Errors
    /// If the image does not have the size that the network takes.
    pub fn observe(&self, image: &[u8], observer: &mut impl Observer) -> Result<Trace, ModelError> {
        let expected = self.configured.image.bytes();
        if image.len() != expected {
            return Err(ModelError::ImageSize { found: image.len(), expected });
        }
        let mut planes = Vec::with_capacity(self.layers.len());
        for prepared in &self.layers {
            let run = LayerRun {
                prepared,
                configured: self.configured,
                image,
                planes: &planes,
                observer,
                masks: PhantomData::<M>,
            };
            planes.push(self.instructions.dispatch(run));
        }
        let logits = readout::logits(self.configured, &planes);
        Ok(Trace { planes, logits })
    }

    /// Runs one image and keeps what a classification needs.
    ///
    /// # Errors
    /// If the image does not have the size that the network takes.
    pub fn classify(&self, image: &[u8]) -> Result<Classification, ModelError> {
        let mut fired = FiredSpikes(vec![0; self.layers.len()]);
        let trace = self.observe(image, &mut fired)?;
        Ok(Classification {
            fired: fired.0,
            spikes: trace.planes.iter().map(SpikePlane::spikes).collect(),
            synaptic_events: synapses::events(self.configured, &trace.planes),
            logits: trace.logits,
        })
    }

    /// Classifies many images on all threads of the rayon pool. `progress` is told how many are done, from any thread.
    ///
    /// # Errors
    /// If an image does not have the size that the network takes.
    pub fn classify_batch(
        &self,
        images: &[&[u8]],
        progress: impl Fn(usize) + Sync,
    ) -> Result<Vec<Classification>, ModelError> {
        let done = AtomicUsize::new(0);
        let classify = |image: &&[u8]| {
            let result = self.classify(image);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            result
        };
        let mut results = Vec::with_capacity(images.len());
        for together in images.chunks(self.configured.cost().images_at_once()) {
            results.extend(together.par_iter().map(classify).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(results)
    }
}

/// The evaluation of one layer for one image.
struct LayerRun<'r, O, M> {
    prepared: &'r Prepared<'r>,
    configured: &'r Configured,
    image: &'r [u8],
    planes: &'r [SpikePlane],
    observer: &'r mut O,
    masks: PhantomData<M>,
}

impl<O: Observer, M: MaskBits> WithSimd for LayerRun<'_, O, M> {
    type Output = SpikePlane;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> SpikePlane {
        self.prepared.run::<M>(self.configured, self.image, self.planes, self.observer)
    }
}

impl<'a> Prepared<'a> {
    fn new(configured: &'a Configured, index: usize) -> Prepared<'a> {
        let layer = &configured.layers[index];
        let kind = match &layer.operation {
            Operation::Scores { .. } | Operation::Context { .. } => {
                let Walk::Windows(windows) = layer.walk else {
                    unreachable!("validated: attention walks windows")
                };
                Kind::Attention(Attention::new(configured, layer, windows))
            }
            Operation::Linear { .. } => Kind::Tokens(Drive::new(configured, layer)),
        };
        let neurons =
            Neurons::new(LayerId(index), layer, configured.slots(LayerId(index)), configured.time_steps());
        Prepared { layer, draws: (configured.seed, configured.draws(index)), neurons, kind }
    }

    #[inline(always)]
    fn run<M: MaskBits>(
        &self,
        configured: &Configured,
        image: &[u8],
        planes: &[SpikePlane],
        observer: &mut impl Observer,
    ) -> SpikePlane {
        match &self.kind {
            Kind::Attention(attention) => attention.run::<M>(&self.neurons, self.draws, planes, observer),
            Kind::Tokens(drive) => {
                let channels = self.layer.channels;
                let mut plane = SpikePlane::new(self.layer.grid.tokens(), channels, configured.time_steps());
                let steps = self.neurons.time_steps;
                let mut masks = Masks::<M>::new(&self.layer.mask, self.draws, 0..channels, steps);
                let (mut scratch, mut fire) = (drive.scratch(), FireScratch::new(channels));
                for step in self.layer.walk.steps(self.layer.grid) {
                    let drives = drive.token(step.token, image, planes, &mut scratch);
                    let row = plane.row_mut(step.token, 0, channels);
                    self.neurons.fire(0, step.index, drives, row, &mut fire, observer);
                    self.neurons.transmit(row, &mut masks, observer);
                }
                plane
            }
        }
    }
}
