//! What a run costs the core: events and compute cycles of every layer, counted from the spikes alone.
//!
//! A *job tile* is what LANES neurons do in parallel; each takes the layer's tokens one after the other. One event is one cycle in
//! which the lanes accumulate:
//! - linear, two_phase, a dense term: for each channel under each tap and each chunk of 8 steps, the set bits of its spike count in the
//!   chunk;
//! - linear, two_phase, a diagonal term: for each tap, chunk and bit of the count, 1 if any channel of the tile has the bit set;
//! - linear, the image: as a chunk whose counts are the bytes;
//! - scores and context, two_phase: the inputs of a head that spike in a chunk of 8 steps;
//! - each step: the inputs that spike, step by step (diagonal terms: taps under which any channel of the tile spikes).
//!
//! Taps outside a source's grid cost nothing. A row without an event costs one null event; a row is what one [pass](isa::pass) takes of a
//! time step of a token (each step), of a chunk of 8 steps of a token (two_phase), or of a token's bytes. Passes are the compiler's choice; here
//! terms that read alike share passes, and rows of more than `max_fan_in` bytes are cut.
//!
//! A token takes at least T cycles in the last pass, for its T threshold steps run beside the events of the next one; in layers that fire step by
//! step and read spikes, each step is its own threshold step, and none waits.

mod passes;

use crate::network::{Layer, LayerId, Operation, Schedule, Source, Term, Walk, Windows};
use crate::run::Configured;
use crate::spikes::{SpikePlane, Trace};
use isa::{CHUNK_STEPS, CoreConfig};
use passes::Pass;

/// Work of one layer on one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerWork {
    /// Name of the layer.
    pub layer: String,
    /// `image` (linear, reads the image), `linear`, `scores`, `context` or `readout`.
    pub operation: &'static str,
    /// Events that the lanes accumulate.
    pub events: u64,
    /// Events if every spike were walked step by step: the same as `events` for `if` neurons and the image.
    pub step_events: u64,
    /// Cycles for rows without an event.
    pub null_events: u64,
    /// Least number of compute cycles: for each job tile and token, events and null events, and T at least.
    pub needed_cycles: u64,
    /// Spikes transmitted; 0 for the readout.
    pub spikes: u64,
}

/// Work of every layer on a core of these lanes, bus (each head's channels are stored in multiples of its bytes) and largest fan-in of a pass.
///
/// # Panics
/// If `trace` does not belong to `configured`, or a size of the core is 0.
pub fn work(configured: &Configured, image: &[u8], trace: &Trace, core: &CoreConfig) -> Vec<LayerWork> {
    let (lanes, pad) = (core.lanes as usize, core.bus_bytes() as usize);
    let largest = core.max_fan_in as usize;
    let counter = Counter { configured, image, planes: &trace.planes, lanes, pad, largest };
    (0..configured.layers.len()).map(|index| counter.layer(LayerId(index))).collect()
}

/// What one pass over one token asks of one tile.
#[derive(Default)]
struct TokenEvents {
    /// By chunk of 8 steps.
    merged: Vec<u64>,
    /// By time step.
    steps: Vec<u64>,
}

struct Counter<'a> {
    configured: &'a Configured,
    image: &'a [u8],
    planes: &'a [SpikePlane],
    lanes: usize,
    pad: usize,
    /// Bytes of the longest row of a pass.
    largest: usize,
}

impl Counter<'_> {
    fn layer(&self, id: LayerId) -> LayerWork {
        let layer = self.configured.layer(id);
        let operation = match layer.operation {
            Operation::Linear { .. } if layer.neuron.is_none() => "readout",
            Operation::Linear { .. } if layer.operation.reads_image() => "image",
            Operation::Linear { .. } => "linear",
            Operation::Scores { .. } => "scores",
            Operation::Context { .. } => "context",
        };
        let spikes = self.planes.get(id.0).map_or(0, SpikePlane::spikes);
        let name = layer.name.clone();
        let (events, step_events, null_events, needed_cycles) = (0, 0, 0, 0);
        let mut work =
            LayerWork { layer: name, operation, events, step_events, null_events, needed_cycles, spikes };
        self.count(id, layer, &mut work);
        work
    }

    fn count(&self, id: LayerId, layer: &Layer, work: &mut LayerWork) {
        match &layer.operation {
            Operation::Linear { terms, .. } => self.linear(id, layer, terms, work),
            Operation::Scores { query, heads, .. } => {
                let plane = &self.planes[query.0];
                let (head_size, windows) = (plane.channels() / heads, windows(layer));
                let tiles = windows.tokens().div_ceil(self.lanes) as u64;
                for head in 0..*heads {
                    for token in 0..layer.grid.tokens() {
                        let cells = (0..head_size).map(|c| (token, head * head_size + c));
                        self.add(layer, tiles, &[self.attention_events(plane, cells)], work);
                    }
                }
            }
            Operation::Context { scores, heads, .. } => {
                let plane = &self.planes[scores.0];
                let tiles = (layer.channels / heads).div_ceil(self.lanes) as u64;
                for token in 0..plane.tokens() {
                    let cells = (0..plane.channels()).map(|key| (token, key));
                    self.add(layer, tiles, &[self.attention_events(plane, cells)], work);
                }
            }
        }
    }

    fn linear(&self, id: LayerId, layer: &Layer, terms: &[Term], work: &mut LayerWork) {
        let passes = passes::of_layer(self.configured, terms, self.largest, |term| self.row(term));
        let stored = self.stored(id);
        let tiles: Vec<Vec<usize>> =
            stored.chunks(self.lanes).map(|tile| tile.iter().copied().flatten().collect()).collect();
        // All tiles see the same events of a dense term.
        let alike = passes.iter().all(|pass| !pass.diagonal);
        for token in 0..layer.grid.tokens() {
            let positions: Vec<Vec<Option<usize>>> = terms
                .iter()
                .map(|term| {
                    let source = match term.source {
                        Source::Image => self.configured.image.grid(),
                        Source::Plane(id) => self.configured.layer(id).grid,
                    };
                    term.taps.positions(source, layer.grid, token).collect()
                })
                .collect();
            let of_tile = |tile: &[usize]| -> Vec<TokenEvents> {
                passes.iter().map(|pass| self.pass_events(pass, terms, &positions, tile)).collect()
            };
            if alike {
                self.add(layer, tiles.len() as u64, &of_tile(&[]), work);
            } else {
                tiles.iter().for_each(|tile| self.add(layer, 1, &of_tile(tile), work));
            }
        }
    }

    /// Adds what the passes over a token ask of `tiles` tiles, which all see the same.
    fn add(&self, layer: &Layer, tiles: u64, passes: &[TokenEvents], work: &mut LayerWork) {
        let image = layer.operation.reads_image();
        let by_step = layer.schedule() == Some(Schedule::EachStep) && !image;
        for (index, pass) in passes.iter().enumerate() {
            let (merged, silent_chunks) = rows(&pass.merged);
            let (steps, silent_steps) = rows(&pass.steps);
            let (events, null) = if by_step { (steps, silent_steps) } else { (merged, silent_chunks) };
            let fires = index + 1 == passes.len() && layer.neuron.is_some() && !by_step;
            let least = if fires { u64::from(self.configured.time_steps()) } else { 0 };
            work.events += tiles * events;
            work.step_events += tiles * if image { merged } else { steps };
            work.null_events += tiles * null;
            work.needed_cycles += tiles * least.max(events + null);
        }
    }

    fn silence(&self) -> TokenEvents {
        let steps = self.configured.time_steps();
        TokenEvents { merged: vec![0; steps.div_ceil(CHUNK_STEPS) as usize], steps: vec![0; steps as usize] }
    }

    /// Events of the cells (token, channel) that a query of attention reads.
    fn attention_events(
        &self,
        plane: &SpikePlane,
        cells: impl Iterator<Item = (usize, usize)>,
    ) -> TokenEvents {
        let mut events = self.silence();
        for (token, channel) in cells {
            for (chunk, steps) in events.steps.chunks_mut(CHUNK_STEPS as usize).enumerate() {
                let spikes = plane.byte(token, channel, chunk);
                events.merged[chunk] += u64::from(spikes != 0);
                steps.iter_mut().enumerate().for_each(|(t, step)| *step += u64::from(spikes >> t & 1));
            }
        }
        events
    }

    /// Events of one pass over a token whose taps read `positions`, for the tile of `channels`.
    fn pass_events(
        &self,
        pass: &Pass,
        terms: &[Term],
        positions: &[Vec<Option<usize>>],
        channels: &[usize],
    ) -> TokenEvents {
        let image = terms[0].source == Source::Image;
        let mut events =
            if image { TokenEvents { merged: vec![0], steps: Vec::new() } } else { self.silence() };
        for &(term, tap) in &pass.segments {
            let Source::Plane(id) = terms[term].source else {
                events.merged[0] += self.image_bits(&positions[term], &pass.channels);
                continue;
            };
            let Some(at) = positions[term][tap] else { continue };
            let inputs = if pass.diagonal { channels } else { &pass.channels };
            let plane = &self.planes[id.0];
            for (chunk, steps) in events.steps.chunks_mut(CHUNK_STEPS as usize).enumerate() {
                let bytes = inputs.iter().map(|&c| plane.byte(at, c, chunk));
                if pass.diagonal {
                    let (counts, spikes) = bytes
                        .fold((0, 0), |(counts, spikes), byte| (counts | byte.count_ones(), spikes | byte));
                    events.merged[chunk] += u64::from(counts.count_ones());
                    steps.iter_mut().enumerate().for_each(|(t, step)| *step += u64::from(spikes >> t & 1));
                } else {
                    for byte in bytes {
                        events.merged[chunk] += u64::from(byte.count_ones().count_ones());
                        steps.iter_mut().enumerate().for_each(|(t, step)| *step += u64::from(byte >> t & 1));
                    }
                }
            }
        }
        events
    }

    /// Set bits of some bytes of what a term reads of the image at these positions.
    fn image_bits(&self, positions: &[Option<usize>], bytes: &[usize]) -> u64 {
        let (channels, pixels) = (self.configured.image.channels, self.configured.image.grid().tokens());
        let bits = |byte: &usize| {
            let (tap, channel) = (byte / channels, byte % channels);
            let pixel = positions[tap].map(|at| self.image[channel * pixels + at]);
            let border = || self.configured.border.get(channel).copied();
            u64::from(pixel.or_else(border).unwrap_or(0).count_ones())
        };
        bytes.iter().map(bits).sum()
    }

    /// The bytes of a term's row, padded to the bus: channels of a plane, or all that it reads of the image.
    fn row(&self, term: &Term) -> Vec<Option<usize>> {
        match term.source {
            Source::Plane(id) => self.stored(id),
            Source::Image => {
                let bytes = term.taps.count() * self.configured.image.channels;
                (0..bytes.next_multiple_of(self.pad)).map(|byte| (byte < bytes).then_some(byte)).collect()
            }
        }
    }

    /// The bytes of a layer's row as it is stored, and tiles are cut from: its channels, with none where a byte pads. Rows are padded to the
    /// bus, those that attention reads head by head.
    fn stored(&self, id: LayerId) -> Vec<Option<usize>> {
        let layer = self.configured.layer(id);
        let heads = self.configured.layers.iter().find_map(|reader| match reader.operation {
            Operation::Scores { query, key, heads, .. } if query == id || key == id => Some(heads),
            Operation::Context { value, heads, .. } if value == id => Some(heads),
            _ => None,
        });
        let heads = heads.unwrap_or(1);
        let size = layer.channels / heads;
        let padded = size.next_multiple_of(self.pad);
        let of_head = |head| (0..padded).map(move |c| (c < size).then_some(head * size + c));
        (0..heads).flat_map(of_head).collect()
    }
}

/// Events of some rows, and how many rows have none.
fn rows(events: &[u64]) -> (u64, u64) {
    (events.iter().sum(), events.iter().filter(|&&events| events == 0).count() as u64)
}

fn windows(layer: &Layer) -> Windows {
    match layer.walk {
        Walk::Windows(windows) => windows,
        Walk::Raster => unreachable!("validated: attention walks windows"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunOptions;
    use crate::network::{Grid, ImageShape, Network, Neuron, Taps, Weights};

    fn layer(name: &str, terms: Vec<Term>, bias: Vec<i32>, grid: Grid, neuron: Neuron) -> Layer {
        let channels = bias.len();
        Layer {
            neuron: Some(neuron),
            v0: vec![0; channels],
            rotate: 0,
            ..Layer::new(name, Operation::Linear { terms, bias }, grid, vec![16; channels])
        }
    }

    /// One pixel that makes `counts[c]` spikes in channel c of the first layer, which all others read.
    fn network(counts: &[i32], neuron: Neuron) -> Network {
        let grid = Grid { rows: 1, columns: 1 };
        let channels = counts.len();
        let image = Term { source: Source::Image, ..Term::dense(LayerId(0), vec![0; channels]) };
        let dense = |outputs: usize| Term::dense(LayerId(0), vec![0; outputs * channels]);
        let diagonal = || Term::diagonal(LayerId(0), vec![0; channels]);
        let shifted = Term { shift: 1, ..diagonal() };
        let layers = vec![
            layer("image", vec![image], counts.to_vec(), grid, neuron),
            layer("dense", vec![dense(9)], vec![0; 9], grid, neuron),
            layer("shortcut", vec![diagonal(), diagonal()], vec![0; channels], grid, neuron),
            layer(
                "three passes",
                vec![dense(channels), diagonal(), shifted],
                vec![0; channels],
                grid,
                neuron,
            ),
            Layer::readout("readout", vec![dense(2)], vec![0; 2], grid),
        ];
        Network::new("work", ImageShape { height: 1, width: 1, channels: 1 }, 2, layers, 1)
    }

    fn core(max_fan_in: u32) -> CoreConfig {
        CoreConfig { max_fan_in, ..CoreConfig::preset("tiny").unwrap() }
    }

    fn numbers(network: &Network, image: &[u8], core: &CoreConfig) -> Vec<[u64; 4]> {
        let configured = network.configure(&RunOptions::new(16)).unwrap();
        let trace = crate::Executor::new(&configured).trace(image).unwrap();
        let layers = work(&configured, image, &trace, core);
        layers.iter().map(|w| [w.events, w.step_events, w.null_events, w.needed_cycles]).collect()
    }

    fn work_of(counts: &[i32], neuron: Neuron) -> Vec<[u64; 4]> {
        numbers(&network(counts, neuron), &[0x55], &core(512))
    }

    #[test]
    fn merged_events_are_bits_of_counts_and_tokens_take_t_cycles() {
        // Counts 3 and 11 of 16 steps: chunks of 3 and 0, of 8 and 3 spikes.
        let layers = work_of(&[3, 11], Neuron::TWO_PHASE);
        assert_eq!(layers[0], [4, 4, 0, 16], "set bits of the pixel");
        assert_eq!(layers[1], [2 * 5, 2 * 14, 0, 2 * 16], "two tiles, bits 2 and 1 + 2");
        assert_eq!(
            layers[2],
            [2 * 5, 2 * 11, 0, 16],
            "two segments, bits 0, 1, 3 in the first chunk and 0, 1 in the second"
        );
        assert_eq!(layers[3], [5 + 5 + 5, 14 + 11 + 11, 0, 5 + 5 + 16], "only the last pass fires");
        assert_eq!(layers[4], [5, 14, 0, 5]);
    }

    #[test]
    fn silence_costs_null_events() {
        let layers = work_of(&[0, 0], Neuron::TWO_PHASE);
        assert_eq!(layers[1], [0, 0, 4, 32], "one a chunk and tile");
        assert_eq!(layers[2], [0, 0, 2, 16]);
        assert_eq!(layers[3], [0, 0, 6, 2 + 2 + 16], "one a chunk and pass");
        assert_eq!(layers[4], [0, 0, 2, 2]);
        let layers = work_of(&[0, 0], Neuron::IF);
        assert_eq!(layers[1], [0, 0, 32, 32], "one a time step and tile");
    }

    #[test]
    fn if_layers_walk_steps() {
        // A drive of 8 fires in every other step, 16 in every step.
        let layers = work_of(&[8, 16], Neuron::IF);
        assert_eq!(layers[1], [2 * 24, 2 * 24, 0, 2 * 24]);
        assert_eq!(layers[2], [2 * 16, 2 * 16, 0, 32]);
        assert_eq!(layers[3], [24 + 16 + 16, 24 + 16 + 16, 0, 24 + 16 + 16]);
    }

    /// 3x3 taps over 2x2 tokens, all of which spike in every step: the border costs nothing, and a pass that sees nothing else a null event.
    #[test]
    fn taps_outside_cost_nothing() {
        let (grid, taps) = (Grid { rows: 2, columns: 2 }, Taps::square(3, 1, 1));
        let image = Term { source: Source::Image, ..Term::dense(LayerId(0), vec![1]) };
        let conv = |weights| Term { taps, ..Term { weights, ..Term::dense(LayerId(0), Vec::new()) } };
        let bias = vec![0];
        let layers = vec![
            layer("image", vec![image.clone()], vec![16], grid, Neuron::IF),
            layer("dense", vec![conv(Weights::Dense(vec![0; 9]))], bias.clone(), grid, Neuron::IF),
            layer("diagonal", vec![conv(Weights::Diagonal(vec![0; 9]))], bias.clone(), grid, Neuron::IF),
            layer("image", vec![Term { taps, ..image }], bias.clone(), grid, Neuron::IF),
        ];
        let mut layers: Vec<Layer> = layers;
        if let Operation::Linear { terms, .. } = &mut layers[3].operation {
            terms[0].weights = Weights::Dense(vec![0; 9]);
        }
        layers.push(Layer::readout("readout", vec![Term::dense(LayerId(0), vec![0])], bias, grid));
        layers[3].name = "image through taps".to_owned();
        let network = Network::new("taps", ImageShape { height: 2, width: 2, channels: 1 }, 1, layers, 1);
        let image = [1, 3, 0, 0];
        let whole = numbers(&network, &image, &core(512));
        let steps = 4 * 4 * 16;
        assert_eq!(whole[1], [steps, steps, 0, steps], "four taps of each of four tokens are inside");
        assert_eq!(whole[2], [steps, steps, 0, steps]);
        assert_eq!(whole[3], [4 * 3, 4 * 3, 0, 4 * 16], "bits of the bytes, which each token sees");
        // Rows of 8 bytes and of 24: three passes of three taps, the outer rows of which lie outside for half of the tokens.
        let cut = numbers(&network, &image, &core(24));
        assert_eq!(cut[1], [steps, steps, 4 * 16, steps + 4 * 16]);
        assert_eq!(cut[2], whole[2], "diagonal rows have one byte a segment");
    }

    #[test]
    fn long_rows_are_cut_into_slices_of_channels() {
        let counts: Vec<i32> = (0..24).map(|c| if c < 16 { 1 } else { 0 }).collect();
        let cut = numbers(&network(&counts, Neuron::TWO_PHASE), &[0], &core(16));
        // A drive of 1 in 16 steps is one spike, in one chunk.
        assert_eq!(cut[1], [2 * 16, 2 * 16, 2 + 2 * 2, 2 * (16 + 1 + 16)], "the second slice is silent");
    }
}
