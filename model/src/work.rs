//! What a run costs the core: events and compute cycles of every layer, counted from the spikes alone.
//!
//! A *job tile* is what LANES neurons do in parallel; each takes the layer's tokens one after the other. One event is one cycle in
//! which the lanes accumulate:
//! - two_phase, dense: for each input and chunk of 8 steps, the set bits of its spike count in the chunk;
//! - two_phase, shortcut: for each chunk, bit of the count and segment, 1 if any channel of the tile has the bit set;
//! - two_phase, scores and context: the inputs of a head that spike in a chunk of 8 steps;
//! - analog: the set bits of the pixels;
//! - `if`: the inputs that spike, step by step (shortcut: segments in which any channel of the tile spikes).
//!
//! A row without an event costs one null event; a row is a time step of a token (`if`), a chunk of 8 steps of a token
//! (two_phase), or a token's pixels. A token takes at least T cycles, for its T threshold steps run beside the events of the next
//! one.

use crate::network::{Grid, Layer, LayerId, Operation, Patch, Walk, Windows};
use crate::run::Configured;
use crate::spikes::{SpikePlane, Trace};
use isa::{CHUNK_STEPS, Neuron};

/// Work of one layer on one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerWork {
    /// Name of the layer.
    pub layer: String,
    /// `analog`, `dense`, `shortcut`, `scores`, `context` or `readout`.
    pub operation: &'static str,
    /// Events that the lanes accumulate.
    pub events: u64,
    /// Events if every spike were walked step by step: the same as `events` for `if` and analog layers.
    pub step_events: u64,
    /// Cycles for rows without an event.
    pub null_events: u64,
    /// Least number of compute cycles: for each job tile and token, events and null events, and T at least.
    pub needed_cycles: u64,
    /// Spikes transmitted; 0 for the readout.
    pub spikes: u64,
}

/// Work of every layer for a core with `lanes` lanes, which stores each head's channels in multiples of `pad` (bus bytes).
///
/// # Panics
/// If `trace` does not belong to `configured`, or `lanes` or `pad` is 0.
pub fn work(
    configured: &Configured,
    image: &[u8],
    trace: &Trace,
    lanes: usize,
    pad: usize,
) -> Vec<LayerWork> {
    let counter = Counter { configured, image, planes: &trace.planes, lanes, pad };
    (0..configured.layers.len()).map(|index| counter.layer(LayerId(index))).collect()
}

/// What one token asks of one tile.
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
}

impl Counter<'_> {
    fn layer(&self, id: LayerId) -> LayerWork {
        let layer = self.configured.layer(id);
        let operation = match layer.operation {
            Operation::Analog { .. } => "analog",
            Operation::Dense { .. } => "dense",
            Operation::Shortcut { .. } => "shortcut",
            Operation::Scores { .. } => "scores",
            Operation::Context { .. } => "context",
            Operation::Readout { .. } => "readout",
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
        let tokens = 0..layer.grid.tokens();
        let tiles = self.padded_channels(id, layer).div_ceil(self.lanes) as u64;
        match &layer.operation {
            Operation::Analog { patch, .. } => {
                for token in tokens {
                    let merged = vec![self.pixel_bits(layer.grid, *patch, token)];
                    self.add(layer, tiles, &TokenEvents { merged, steps: Vec::new() }, work);
                }
            }
            Operation::Dense { input, gather, .. } => {
                let plane = &self.planes[input.0];
                for token in tokens {
                    let cells = gather.tokens(layer.grid, token);
                    let cells = cells.flat_map(|token| (0..plane.channels()).map(move |c| (token, c)));
                    self.add(layer, tiles, &self.events(plane, cells, |count| count.count_ones()), work);
                }
            }
            Operation::Shortcut { inputs, .. } => {
                for first in (0..layer.channels).step_by(self.lanes) {
                    let channels = first..(first + self.lanes).min(layer.channels);
                    for token in tokens.clone() {
                        self.add(layer, 1, &self.segment_events(inputs, token, channels.clone()), work);
                    }
                }
            }
            Operation::Scores { query, heads, .. } => {
                let plane = &self.planes[query.0];
                let (head_size, windows) = (plane.channels() / heads, windows(layer));
                let tiles = windows.tokens().div_ceil(self.lanes) as u64;
                for head in 0..*heads {
                    for token in tokens.clone() {
                        let cells = (0..head_size).map(|c| (token, head * head_size + c));
                        self.add(
                            layer,
                            tiles,
                            &self.events(plane, cells, |count| u32::from(count > 0)),
                            work,
                        );
                    }
                }
            }
            Operation::Context { scores, heads, .. } => {
                let plane = &self.planes[scores.0];
                let tiles = (layer.channels / heads).div_ceil(self.lanes) as u64;
                for token in 0..plane.tokens() {
                    let cells = (0..plane.channels()).map(|key| (token, key));
                    self.add(layer, tiles, &self.events(plane, cells, |count| u32::from(count > 0)), work);
                }
            }
            Operation::Readout { input, .. } => {
                let plane = &self.planes[input.0];
                for token in tokens {
                    let cells = (0..plane.channels()).map(|c| (token, c));
                    let events = self.events(plane, cells, |count| count.count_ones());
                    let (merged, null) = rows(&events.merged);
                    work.events += tiles * merged;
                    work.step_events += tiles * events.steps.iter().sum::<u64>();
                    work.null_events += tiles * null;
                    work.needed_cycles += tiles * (merged + null);
                }
            }
        }
    }

    /// Adds a token of `tiles` tiles that all see the same events.
    fn add(&self, layer: &Layer, tiles: u64, token: &TokenEvents, work: &mut LayerWork) {
        let analog = matches!(layer.operation, Operation::Analog { .. });
        let (merged, silent_chunks) = rows(&token.merged);
        let (steps, silent_steps) = rows(&token.steps);
        let (events, null, least) = if layer.neuron == Neuron::TwoPhase || analog {
            (merged, silent_chunks, u64::from(self.configured.time_steps()))
        } else {
            (steps, silent_steps, 0)
        };
        let cycles = least.max(events + null);
        work.events += tiles * events;
        work.step_events += tiles * if analog { merged } else { steps };
        work.null_events += tiles * null;
        work.needed_cycles += tiles * cycles;
    }

    fn silence(&self) -> TokenEvents {
        let steps = self.configured.time_steps();
        TokenEvents { merged: vec![0; steps.div_ceil(CHUNK_STEPS) as usize], steps: vec![0; steps as usize] }
    }

    /// Events of the cells (token, channel); `merged` tells how many a chunk with that many spikes takes.
    fn events(
        &self,
        plane: &SpikePlane,
        cells: impl Iterator<Item = (usize, usize)>,
        merged: impl Fn(u32) -> u32,
    ) -> TokenEvents {
        let mut events = self.silence();
        for (token, channel) in cells {
            for (chunk, steps) in events.steps.chunks_mut(CHUNK_STEPS as usize).enumerate() {
                let spikes = plane.byte(token, channel, chunk);
                events.merged[chunk] += u64::from(merged(spikes.count_ones()));
                steps.iter_mut().enumerate().for_each(|(t, step)| *step += u64::from(spikes >> t & 1));
            }
        }
        events
    }

    /// Events of one token of a shortcut, for the tile of `channels`.
    fn segment_events(
        &self,
        inputs: &[LayerId],
        token: usize,
        channels: std::ops::Range<usize>,
    ) -> TokenEvents {
        let mut events = self.silence();
        for id in inputs {
            let plane = &self.planes[id.0];
            for (chunk, steps) in events.steps.chunks_mut(CHUNK_STEPS as usize).enumerate() {
                let bytes = channels.clone().map(|c| plane.byte(token, c, chunk));
                let (counts, spikes) =
                    bytes.fold((0, 0), |(counts, spikes), byte| (counts | byte.count_ones(), spikes | byte));
                events.merged[chunk] += u64::from(counts.count_ones());
                steps.iter_mut().enumerate().for_each(|(t, step)| *step += u64::from(spikes >> t & 1));
            }
        }
        events
    }

    fn pixel_bits(&self, grid: Grid, patch: Patch, token: usize) -> u64 {
        let pixels = patch.pixels(self.configured.image, grid, token).flatten();
        pixels.map(|at| u64::from(self.image[at].count_ones())).sum()
    }

    /// Channels that tiles are cut from: those that attention reads are padded head by head.
    fn padded_channels(&self, id: LayerId, layer: &Layer) -> usize {
        let heads = self.configured.layers.iter().find_map(|reader| match reader.operation {
            Operation::Scores { query, key, heads, .. } if query == id || key == id => Some(heads),
            Operation::Context { value, heads, .. } if value == id => Some(heads),
            _ => None,
        });
        heads.map_or(layer.channels, |heads| heads * (layer.channels / heads).next_multiple_of(self.pad))
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
    use crate::network::{Gather, ImageShape, Network, Weights};

    /// One pixel that makes `counts[c]` spikes in channel c of the first layer, which dense and shortcut read.
    fn network(counts: &[i32], neuron: Neuron) -> Network {
        let grid = Grid { rows: 1, columns: 1 };
        let channels = counts.len();
        let layer = |name: &str, operation, channels: usize| Layer {
            neuron,
            v0: vec![0; channels],
            rotate: 0,
            ..Layer::new(name, operation, grid, vec![16; channels])
        };
        let weights = |outputs, inputs| Weights { outputs, inputs, data: vec![0; outputs * inputs] };
        let patch = Patch { kernel: 1, stride: 1, padding: 0 };
        let analog = Operation::Analog { patch, weights: weights(channels, 1), bias: counts.to_vec() };
        let input = LayerId(0);
        let dense = Operation::Dense {
            input,
            gather: Gather::Token,
            weights: weights(9, channels),
            bias: vec![0; 9],
        };
        let gains = vec![0; 2 * channels];
        let shortcut = Operation::Shortcut { inputs: vec![input, input], gains, bias: vec![0; channels] };
        let readout = Operation::Readout { input, weights: weights(2, channels), bias: vec![0; 2] };
        let last = Layer { theta: Vec::new(), v0: Vec::new(), ..layer("readout", readout, 2) };
        let image = ImageShape { height: 1, width: 1, channels: 1 };
        let layers = vec![
            layer("analog", analog, channels),
            layer("dense", dense, 9),
            layer("shortcut", shortcut, channels),
            last,
        ];
        Network::new("work", image, 2, layers, 1)
    }

    fn work_of(counts: &[i32], neuron: Neuron) -> Vec<[u64; 4]> {
        let configured = network(counts, neuron).configure(&RunOptions::new(16)).unwrap();
        let trace = crate::Executor::new(&configured).trace(&[0x55]).unwrap();
        let layers = work(&configured, &[0x55], &trace, 8, 8);
        layers.iter().map(|w| [w.events, w.step_events, w.null_events, w.needed_cycles]).collect()
    }

    #[test]
    fn merged_events_are_bits_of_counts_and_tokens_take_t_cycles() {
        // Counts 3 and 11 of 16 steps: chunks of 3 and 0, of 8 and 3 spikes.
        let layers = work_of(&[3, 11], Neuron::TwoPhase);
        assert_eq!(layers[0], [4, 4, 0, 16], "set bits of the pixel");
        assert_eq!(layers[1], [2 * 5, 2 * 14, 0, 2 * 16], "two tiles, bits 2 and 1 + 2");
        assert_eq!(
            layers[2],
            [2 * 5, 2 * 11, 0, 16],
            "two segments, bits 0, 1, 3 in the first chunk and 0, 1 in the second"
        );
        assert_eq!(layers[3], [5, 14, 0, 5]);
    }

    #[test]
    fn silence_costs_null_events() {
        let layers = work_of(&[0, 0], Neuron::TwoPhase);
        assert_eq!(layers[1], [0, 0, 4, 32], "one a chunk and tile");
        assert_eq!(layers[2], [0, 0, 2, 16]);
        assert_eq!(layers[3], [0, 0, 2, 2]);
        let layers = work_of(&[0, 0], Neuron::If);
        assert_eq!(layers[1], [0, 0, 32, 32], "one a time step and tile");
    }

    #[test]
    fn if_layers_walk_steps() {
        // A drive of 8 fires in every other step, 16 in every step.
        let layers = work_of(&[8, 16], Neuron::If);
        assert_eq!(layers[1], [2 * 24, 2 * 24, 0, 2 * 24]);
        assert_eq!(layers[2], [2 * 16, 2 * 16, 0, 32]);
    }
}
