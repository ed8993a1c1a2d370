//! Spike planes: the spikes of one layer, bit-packed over time.

use isa::program::{Plane, PlaneLayout};

/// The spikes `s[token][channel][t]` of one layer.
///
/// A cell (token, channel) holds `ceil(time_steps / 8)` bytes, time step `t` in bit `t mod 8` of byte `t / 8`: the spike bytes of the
/// memory layout. Bits beyond `time_steps` are 0, so that neighbouring cells are one bit vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpikePlane {
    tokens: usize,
    channels: usize,
    time_steps: usize,
    cell_bytes: usize,
    bytes: Vec<u8>,
}

impl SpikePlane {
    /// A plane without spikes.
    pub fn new(tokens: usize, channels: usize, time_steps: u32) -> SpikePlane {
        let time_steps = time_steps as usize;
        let cell_bytes = time_steps.div_ceil(8);
        SpikePlane {
            tokens,
            channels,
            time_steps,
            cell_bytes,
            bytes: vec![0; tokens * channels * cell_bytes],
        }
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Number of time steps.
    pub fn time_steps(&self) -> u32 {
        self.time_steps as u32
    }

    /// Words of 64 time steps in a cell.
    pub fn cell_bytes(&self) -> usize {
        self.cell_bytes
    }

    /// Whether the channel spikes at time step `t`.
    ///
    /// # Panics
    /// If token, channel or time step do not exist.
    pub fn get(&self, token: usize, channel: usize, t: usize) -> bool {
        assert!(t < self.time_steps, "time step {t} of {}", self.time_steps);
        self.cell(token, channel)[t / 8] >> (t % 8) & 1 == 1
    }

    /// Sets or clears one spike.
    ///
    /// # Panics
    /// If token, channel or time step do not exist.
    pub fn set(&mut self, token: usize, channel: usize, t: usize, spike: bool) {
        assert!(t < self.time_steps, "time step {t} of {}", self.time_steps);
        assert!(channel < self.channels, "channel {channel} of {}", self.channels);
        let byte = &mut self.row_mut(token, channel, 1)[t / 8];
        *byte = *byte & !(1 << (t % 8)) | u8::from(spike) << (t % 8);
    }

    /// Spikes of a cell over all time steps.
    pub fn count(&self, token: usize, channel: usize) -> u32 {
        self.cell(token, channel).iter().map(|byte| byte.count_ones()).sum()
    }

    /// The spikes of time steps `8 * chunk .. 8 * chunk + 8`, the first in bit 0: a spike byte of the memory layout.
    pub fn byte(&self, token: usize, channel: usize, chunk: usize) -> u8 {
        self.cell(token, channel)[chunk]
    }

    /// The bytes of one cell.
    ///
    /// # Panics
    /// If token or channel do not exist.
    pub fn cell(&self, token: usize, channel: usize) -> &[u8] {
        assert!(channel < self.channels, "channel {channel} of {}", self.channels);
        let first = (token * self.channels + channel) * self.cell_bytes;
        &self.bytes[first..first + self.cell_bytes]
    }

    /// The bytes of all cells of one token, channel by channel.
    pub fn row(&self, token: usize) -> &[u8] {
        let size = self.channels * self.cell_bytes;
        &self.bytes[token * size..(token + 1) * size]
    }

    /// The bytes of `channels` neighbouring cells of one token, from channel `first`.
    pub(crate) fn row_mut(&mut self, token: usize, first: usize, channels: usize) -> &mut [u8] {
        let start = (token * self.channels + first) * self.cell_bytes;
        &mut self.bytes[start..start + channels * self.cell_bytes]
    }

    /// All spikes of the plane.
    pub fn spikes(&self) -> u64 {
        ones(&self.bytes)
    }

    /// The first (token, channel, time step) at which two planes differ. Planes of different shape differ at once.
    pub fn first_difference(&self, other: &SpikePlane) -> Option<(usize, usize, usize)> {
        if (self.tokens, self.channels, self.time_steps) != (other.tokens, other.channels, other.time_steps) {
            return Some((0, 0, 0));
        }
        let at = self.bytes.iter().zip(&other.bytes).position(|(a, b)| a != b)?;
        let bit = (self.bytes[at] ^ other.bytes[at]).trailing_zeros() as usize;
        let cell = at / self.cell_bytes;
        Some((cell / self.channels, cell % self.channels, at % self.cell_bytes * 8 + bit))
    }
}

/// What a core left in memory, as the reference has it.
impl From<&Plane> for SpikePlane {
    fn from(memory: &Plane) -> SpikePlane {
        let layout = &memory.layout;
        let mut plane = SpikePlane::new(layout.tokens(), layout.channels(), memory.time_steps);
        for (token, channel) in plane.cells() {
            let cell = plane.row_mut(token, channel, 1);
            for (byte, chunk) in cell.iter_mut().zip(0..) {
                *byte = memory.bytes[memory.index(token, chunk, channel)];
            }
        }
        plane
    }
}

impl SpikePlane {
    /// The plane as it lies in memory. Pad channels never spike.
    pub fn in_memory(&self, layout: PlaneLayout) -> Plane {
        let mut memory = Plane::new(layout, self.time_steps());
        for (token, channel) in self.cells() {
            for (&byte, chunk) in self.cell(token, channel).iter().zip(0..) {
                let at = memory.index(token, chunk, channel);
                memory.bytes[at] = byte;
            }
        }
        memory
    }

    fn cells(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (tokens, channels) = (self.tokens, self.channels);
        (0..tokens).flat_map(move |token| (0..channels).map(move |channel| (token, channel)))
    }
}

/// Bits that are set.
#[inline(always)]
pub(crate) fn ones(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let words: u64 = words.iter().map(|&word| u64::from(u64::from_le_bytes(word).count_ones())).sum();
    words + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// Everything that a run of the network on one image produced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// One plane for each layer but the readout, by [`LayerId`](crate::LayerId). Tokens are in raster order, but those of `Scores`:
    /// head, then window, then query, with one channel a key.
    pub planes: Vec<SpikePlane>,
    /// One a class.
    pub logits: Vec<i32>,
}

impl Trace {
    /// The class with the largest logit, the first of equals.
    pub fn class(&self) -> usize {
        largest(&self.logits)
    }
}

/// What a classification needs: logits, and how many spikes they took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classification {
    /// One a class.
    pub logits: Vec<i32>,
    /// Spikes that each layer but the readout fired.
    pub fired: Vec<u64>,
    /// Those of them that it transmitted: a masked spike stays in its neuron, costs its consumers nothing and counts here no
    /// more.
    pub spikes: Vec<u64>,
    /// What those drove in each layer; see [`synapses`](crate::synapses).
    pub synaptic_events: Vec<u64>,
}

impl Classification {
    /// The class with the largest logit, the first of equals.
    pub fn class(&self) -> usize {
        largest(&self.logits)
    }
}

fn largest(logits: &[i32]) -> usize {
    (0..logits.len()).rev().max_by_key(|&class| logits[class]).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spikes_lie_where_they_were_set() {
        let mut plane = SpikePlane::new(3, 5, 70);
        for (token, channel, t) in [(0, 0, 0), (2, 4, 69), (1, 3, 63), (1, 3, 64)] {
            plane.set(token, channel, t, true);
            assert!(plane.get(token, channel, t));
        }
        assert_eq!((plane.spikes(), plane.count(1, 3), plane.byte(2, 4, 8)), (4, 2, 1 << 5));
        let mut other = plane.clone();
        other.set(1, 3, 64, false);
        assert_eq!(plane.first_difference(&other), Some((1, 3, 64)));
    }

    #[test]
    fn equal_logits_name_the_first_class() {
        assert_eq!(largest(&[1, 5, 5, 2]), 1);
    }
}
