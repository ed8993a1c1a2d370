//! What a network costs the host that runs it: counted before anything is made for it, so that a small file cannot ask for more
//! memory or time than a limit with a name.

use crate::error::ModelError;
use crate::network::{Layer, Network, Operation, Schedule, Source, Term, Walk, Weights};

/// Most bytes that one image may take in the reference: the spikes of all layers, and what is prepared for them.
pub const MOST_BYTES: u64 = 2 << 30;

/// Most additions (of one weight, or of 64 coincidences) that one image may take in the reference: about ten minutes of one processor.
pub const MOST_ADDITIONS: u64 = 1 << 40;

/// Bytes that the reference prepares for a token of attention: its place in the grid and its shift region.
const TOKEN_BYTES: u64 = 16;

/// What one image costs the reference, counted from above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Bytes of the spikes of all layers.
    pub spike_bytes: u64,
    /// Bytes prepared once, whatever the number of images.
    pub prepared_bytes: u64,
    /// Bytes that the layer with the most takes for itself while it runs.
    pub working_bytes: u64,
    /// Additions, as [`MOST_ADDITIONS`] counts them.
    pub additions: u64,
}

impl Cost {
    /// Bytes that one image takes beside what is prepared.
    pub fn image_bytes(&self) -> u64 {
        self.spike_bytes + self.working_bytes
    }

    /// Images that can run at the same time in [`MOST_BYTES`], 1 or more.
    pub fn images_at_once(&self) -> usize {
        let free = MOST_BYTES.saturating_sub(self.prepared_bytes);
        usize::try_from(free / self.image_bytes().max(1)).unwrap_or(usize::MAX).max(1)
    }

    /// Seconds that so many images take at most on this host, about: one after the other, by the speed of [`MOST_ADDITIONS`]. Spikes
    /// are few, so most runs take a part of that.
    pub fn seconds_in_turn(&self, images: usize) -> f64 {
        images as f64 * self.additions as f64 / (MOST_ADDITIONS / 600) as f64
    }

    /// The same for images that run on all threads, as many at a time as memory allows.
    pub fn seconds(&self, images: usize) -> f64 {
        let together = rayon::current_num_threads().min(self.images_at_once()).min(images.max(1));
        self.seconds_in_turn(images) / together as f64
    }

    fn add(self, layer: Cost) -> Cost {
        Cost {
            spike_bytes: self.spike_bytes + layer.spike_bytes,
            prepared_bytes: self.prepared_bytes + layer.prepared_bytes,
            working_bytes: self.working_bytes.max(layer.working_bytes),
            additions: self.additions + layer.additions,
        }
    }

    fn bytes(&self) -> u64 {
        self.image_bytes() + self.prepared_bytes
    }
}

/// The cost of a validated network.
///
/// # Errors
/// [`ModelError::Cost`] if it is beyond [`MOST_BYTES`] or [`MOST_ADDITIONS`], with the layer that takes the most.
pub(crate) fn check(network: &Network, time_steps: u32) -> Result<Cost, ModelError> {
    let layers: Vec<Cost> = network.layers.iter().map(|layer| of_layer(network, layer, time_steps)).collect();
    let total = layers.iter().copied().fold(Cost::default(), Cost::add);
    let within = |what, unit, of: fn(&Cost) -> u64, allowed| {
        let needed = of(&total);
        if needed <= allowed {
            return Ok(());
        }
        let index = (0..layers.len()).max_by_key(|&index| of(&layers[index])).unwrap_or(0);
        let (layer, share) = (network.layers[index].name.clone(), of(&layers[index]));
        Err(ModelError::Cost { what, unit, needed, allowed, index, layer, share, time_steps })
    };
    within("memory", "bytes", Cost::bytes, MOST_BYTES)?;
    within("time", "additions", |cost| cost.additions, MOST_ADDITIONS)?;
    Ok(total)
}

/// No product leaves 64 bits: [validated](Network::validate) networks have at most 2^26 cells a plane and 2^15 inputs a neuron.
fn of_layer(network: &Network, layer: &Layer, time_steps: u32) -> Cost {
    let cell_bytes = u64::from(time_steps.div_ceil(8));
    let (tokens, channels) = (layer.grid.tokens() as u64, layer.channels as u64);
    // Neurons that fire in each step sum step by step, others once.
    let each_step = layer.schedule() == Some(Schedule::EachStep);
    let times = if each_step { u64::from(time_steps) } else { 1 };
    // Words of 64 bits that hold the cells of one row.
    let words = |cells: u64| {
        if each_step { times * cells.div_ceil(64) } else { (cells * cell_bytes).div_ceil(8) }
    };
    match &layer.operation {
        Operation::Linear { terms, .. } => {
            let taps = |term: &Term| term.taps.count() as u64;
            let inputs = |term: &Term| match (&term.weights, term.source) {
                (Weights::Diagonal(_), _) => 0,
                (_, Source::Image) => taps(term) * network.image.channels as u64,
                (_, Source::Plane(id)) => taps(term) * network.layer(id).channels as u64,
            };
            let dense: u64 = terms.iter().map(inputs).sum();
            let diagonal: u64 = terms.iter().filter(|&term| inputs(term) == 0).map(taps).sum();
            Cost {
                spike_bytes: if layer.neuron.is_some() { tokens * channels * cell_bytes } else { 0 },
                prepared_bytes: 2 * (dense * channels.next_multiple_of(32) + diagonal * channels),
                working_bytes: 4 * (times + 1) * (channels + dense),
                additions: tokens * channels * (dense + diagonal) * times,
            }
        }
        Operation::Scores { query, heads, .. } => {
            let (heads, head_size) = (*heads as u64, (network.layer(*query).channels / heads) as u64);
            Cost {
                spike_bytes: heads * tokens * channels * cell_bytes,
                prepared_bytes: 4 * heads * channels * channels + TOKEN_BYTES * tokens,
                working_bytes: 8 * channels * words(head_size) + 4 * times * channels,
                additions: heads * tokens * channels * words(head_size),
            }
        }
        Operation::Context { .. } => {
            let keys = if let Walk::Windows(windows) = layer.walk { windows.tokens() as u64 } else { 0 };
            Cost {
                spike_bytes: tokens * channels * cell_bytes,
                prepared_bytes: TOKEN_BYTES * tokens,
                working_bytes: 8 * channels * words(keys) + 4 * times * channels,
                additions: tokens * channels * words(keys),
            }
        }
    }
}
