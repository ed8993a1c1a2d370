//! The neuron: from drives to transmitted spikes.

use super::observer::Observer;
use crate::mask::Lfsr;
use crate::network::{Layer, LayerId, Operation};
use crate::run::Slots;
use isa::Neuron;
use std::ops::Range;

/// Thresholds and time slots of one layer.
pub(super) struct Neurons {
    pub mode: Neuron,
    pub time_steps: usize,
    layer: LayerId,
    slots: Slots,
    /// Spikes of a two-phase neuron by their number, for token index 0: `by_count[n]` has the slots `order[0..n]` set. Only for
    /// `T <= 64`, else empty.
    by_count: Vec<u64>,
    theta: Vec<i32>,
    v0: Vec<i32>,
}

impl Neurons {
    /// Thresholds of a scores layer, one a head, are repeated for all keys of the head.
    pub fn new(id: LayerId, layer: &Layer, slots: &Slots, time_steps: u32) -> Neurons {
        let repeat = if let Operation::Scores { .. } = layer.operation { layer.channels } else { 1 };
        let spread = |values: &[i32]| values.iter().flat_map(|&v| std::iter::repeat_n(v, repeat)).collect();
        let mut by_count = Vec::new();
        if time_steps <= 64 {
            by_count.push(0);
            by_count.extend(slots.order.iter().scan(0u64, |set, &slot| {
                *set |= 1 << slot;
                Some(*set)
            }));
        }
        Neurons {
            mode: layer.neuron,
            time_steps: time_steps as usize,
            layer: id,
            slots: slots.clone(),
            by_count,
            theta: spread(&layer.theta),
            v0: spread(&layer.v0),
        }
    }

    /// Fires the neurons `first..` of one token into `row`, one cell a neuron.
    ///
    /// `drives` holds the sum over all time steps of each neuron (two_phase), or T rows of one drive a neuron (`if`).
    pub fn fire(
        &self,
        first: usize,
        index: usize,
        drives: &[i32],
        row: &mut [u64],
        observer: &mut impl Observer,
    ) {
        match self.mode {
            Neuron::TwoPhase => self.two_phase(first, index, drives, row, observer),
            Neuron::If => self.integrate_and_fire(first, drives, row, observer),
        }
    }

    /// Shows the spikes of one token, which [`Neurons::fire`] made and no mask has touched, and masks them.
    pub fn transmit(&self, row: &mut [u64], masks: &mut Masks, observer: &mut impl Observer) {
        observer.fired(self.layer, row);
        masks.apply(row, self.time_steps);
    }

    /// `count = clip(floor((v0 + sum of drives) / theta), 0, T)`: the T threshold steps `s = (v >= theta); v -= s * theta` spike
    /// as often as theta fits, first step first.
    fn two_phase(
        &self,
        first: usize,
        index: usize,
        drives: &[i32],
        row: &mut [u64],
        observer: &mut impl Observer,
    ) {
        let cell_words = row.len() / drives.len();
        let rotation = self.slots.rotate as usize * index % self.time_steps;
        for (c, (&drive, cell)) in drives.iter().zip(row.chunks_exact_mut(cell_words)).enumerate() {
            let (v, theta) = (self.v0[first + c] + drive, self.theta[first + c]);
            if v < theta {
                observer.membrane(self.layer, v, theta);
                continue;
            }
            let count = ((v / theta) as usize).min(self.time_steps);
            observer.membrane(self.layer, v - count as i32 * theta, theta);
            if let [word] = cell {
                *word = self.rotate(self.by_count[count], rotation);
            } else {
                for k in 0..count {
                    let slot = self.slots.slot(k, index);
                    cell[slot / 64] |= 1 << (slot % 64);
                }
            }
        }
    }

    /// Moves every spike `rotation < T <= 64` slots later, around the end.
    fn rotate(&self, spikes: u64, rotation: usize) -> u64 {
        if rotation == 0 {
            return spikes;
        }
        let all = !0 >> (64 - self.time_steps);
        (spikes << rotation | spikes >> (self.time_steps - rotation)) & all
    }

    /// `u = v + drive(t); s = (u >= theta); v = u - s * theta`.
    fn integrate_and_fire(
        &self,
        first: usize,
        drives: &[i32],
        row: &mut [u64],
        observer: &mut impl Observer,
    ) {
        let neurons = drives.len() / self.time_steps;
        let cell_words = row.len() / neurons;
        for (c, cell) in row.chunks_exact_mut(cell_words).enumerate() {
            let (mut v, theta) = (self.v0[first + c], self.theta[first + c]);
            for (t, drive) in drives[c..].iter().step_by(neurons).enumerate() {
                v += drive;
                if v >= theta {
                    v -= theta;
                    cell[t / 64] |= 1 << (t % 64);
                }
            }
            observer.membrane(self.layer, v, theta);
        }
    }
}

/// The shift registers of neighbouring neurons; none for a ratio of 0, whose draws change nothing.
pub(super) struct Masks {
    ratio: u8,
    registers: Vec<Lfsr>,
}

impl Masks {
    pub fn new(ratio: u8, seed: u32, layer: usize, channels: Range<usize>) -> Masks {
        let channels = if ratio == 0 { 0..0 } else { channels };
        Masks { ratio, registers: channels.map(|channel| Lfsr::new(seed, layer, channel)).collect() }
    }

    /// Drops spikes of one token, one cell a neuron.
    fn apply(&mut self, row: &mut [u64], time_steps: usize) {
        let cell_words = time_steps.div_ceil(64);
        for (register, cell) in self.registers.iter_mut().zip(row.chunks_exact_mut(cell_words)) {
            for (i, word) in cell.iter_mut().enumerate() {
                *word &= register.keep((time_steps - 64 * i).min(64), self.ratio);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::SlotOrder;

    fn neurons(
        mode: Neuron,
        order: &SlotOrder,
        rotate: u32,
        time_steps: u32,
        theta: i32,
        v0: i32,
    ) -> Neurons {
        let slots = Slots { order: order.permutation(time_steps).unwrap(), rotate: rotate % time_steps };
        let (theta, v0) = (vec![theta], vec![v0]);
        let mut by_count = vec![0];
        for slot in &slots.order {
            by_count.push(by_count[by_count.len() - 1] | 1u64 << (slot % 64));
        }
        Neurons { mode, time_steps: time_steps as usize, layer: LayerId(0), slots, by_count, theta, v0 }
    }

    #[test]
    fn two_phase_counts_are_clip_floor_shift() {
        for (time_steps, theta) in [(1, 1), (4, 6), (8, 7), (8, 100), (40, 9), (64, 5)] {
            let neurons = neurons(Neuron::TwoPhase, &SlotOrder::Spread, 3, time_steps, theta, theta / 2);
            for sum in -3 * theta..theta * (time_steps as i32 + 3) {
                let mut row = [0];
                neurons.fire(0, 5, &[sum], &mut row, &mut ());
                // QCFS with x = sum / T, lambda = theta, L = T: clip(floor(x * L / lambda + 1/2), 0, L).
                let qcfs = (2 * sum + theta).div_euclid(2 * theta).clamp(0, time_steps as i32);
                assert_eq!(row[0].count_ones() as i32, qcfs, "T {time_steps}, theta {theta}, sum {sum}");
            }
        }
    }

    #[test]
    fn threshold_steps_fire_into_rotated_slots() {
        for time_steps in [5, 64, 70] {
            let order = SlotOrder::Explicit((0..time_steps).rev().collect());
            let mut neurons = neurons(Neuron::TwoPhase, &order, 3, time_steps, 10, 5);
            if time_steps > 64 {
                neurons.by_count.clear();
            }
            for index in 0..20 {
                let mut row = vec![0u64; (time_steps as usize).div_ceil(64)];
                neurons.fire(0, index, &[25], &mut row, &mut ());
                let set: Vec<usize> =
                    (0..time_steps as usize).filter(|t| row[t / 64] >> (t % 64) & 1 == 1).collect();
                let mut expected =
                    [0, 1, 2].map(|k| (time_steps as usize - 1 - k + 3 * index) % time_steps as usize);
                expected.sort_unstable();
                assert_eq!(set, expected, "T {time_steps}, token {index}");
            }
        }
    }

    #[test]
    fn if_neurons_keep_what_is_left_over() {
        let neurons = neurons(Neuron::If, &SlotOrder::Identity, 0, 6, 10, 5);
        let mut row = [0];
        neurons.fire(0, 0, &[4, 1, 25, -30, 9, 12], &mut row, &mut ());
        // u = 9, 10, 25, -15, -6, 6
        assert_eq!(row[0], 0b000110);
    }
}
