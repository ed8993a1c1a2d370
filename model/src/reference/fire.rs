//! The neuron: from drives to transmitted spikes.

use super::observer::Observer;
use crate::mask::MaskBits;
use crate::network::{Layer, LayerId, Mask, Neuron, Operation, Reset, Schedule};
use crate::run::Slots;
use std::ops::Range;

/// Thresholds and time slots of one layer.
pub(super) struct Neurons {
    kind: Neuron,
    pub time_steps: usize,
    pub layer: LayerId,
    slots: Slots,
    /// Spikes of a two-phase neuron by rotation, then by their number: entry `n` of rotation 0 has the slots `order[0..n]` set. Only
    /// for `T <= 64`, else empty.
    by_count: Vec<u64>,
    theta: Vec<i32>,
    v0: Vec<i32>,
    /// `1 / theta` and `(v0 + 1/2) / theta - 1/2`, see [`Neurons::two_phase`].
    inverse: Vec<f64>,
    start: Vec<f64>,
}

/// Buffers that live as long as a layer is evaluated: one value a neuron that fires at the same time.
pub(super) struct FireScratch {
    counts: Vec<u16>,
    membranes: Vec<i32>,
}

impl FireScratch {
    pub fn new(neurons: usize) -> FireScratch {
        FireScratch { counts: vec![0; neurons], membranes: vec![0; neurons] }
    }
}

/// `2^52`: adding it to a number below rounds that to an integer, which is then in the low bits.
const ROUND: f64 = (1u64 << 52) as f64;

impl Neurons {
    /// Thresholds of a scores layer, one a head, are repeated for all keys of the head.
    ///
    /// # Panics
    /// If the layer is the readout.
    pub fn new(layer_id: LayerId, layer: &Layer, slots: &Slots, time_steps: u32) -> Neurons {
        let repeat = if let Operation::Scores { .. } = layer.operation { layer.channels } else { 1 };
        let spread = |values: &[i32]| values.iter().flat_map(|&v| std::iter::repeat_n(v, repeat)).collect();
        let (theta, v0) = (spread(&layer.theta), spread(&layer.v0));
        let kind = layer.neuron.expect("validated: all but the readout have neurons");
        Neurons { layer: layer_id, ..Neurons::with_thresholds(kind, slots, time_steps, theta, v0) }
    }

    fn with_thresholds(
        kind: Neuron,
        slots: &Slots,
        time_steps: u32,
        theta: Vec<i32>,
        v0: Vec<i32>,
    ) -> Neurons {
        let time_steps = time_steps as usize;
        let rotations = if time_steps <= 64 { time_steps } else { 0 };
        let mut by_count = Vec::with_capacity(rotations * (time_steps + 1));
        for rotation in 0..rotations {
            by_count.push(0);
            by_count.extend(slots.order.iter().scan(0u64, |set, &slot| {
                *set |= 1 << ((slot as usize + rotation) % time_steps);
                Some(*set)
            }));
        }
        let inverse: Vec<f64> = theta.iter().map(|&theta| 1.0 / f64::from(theta)).collect();
        let start = v0.iter().zip(&inverse).map(|(&v0, inverse)| (f64::from(v0) + 0.5) * inverse - 0.5);
        let start = start.collect();
        Neurons {
            kind,
            time_steps,
            layer: LayerId(0),
            slots: slots.clone(),
            by_count,
            theta,
            v0,
            inverse,
            start,
        }
    }

    /// Fires the neurons `first..` of one token into `row`, one cell a neuron, which must be empty.
    ///
    /// `drives` holds the sum over all time steps of each neuron (two_phase), or T rows of one drive a neuron (each step).
    #[inline(always)]
    pub fn fire(
        &self,
        first: usize,
        index: usize,
        drives: &[i32],
        row: &mut [u8],
        scratch: &mut FireScratch,
        observer: &mut impl Observer,
    ) {
        let theta = &self.theta[first..];
        match self.kind.schedule {
            Schedule::AfterAll => {
                self.two_phase(first, index, drives, row, &mut scratch.counts);
                let membranes = self.v0[first..].iter().zip(drives).map(|(v0, drive)| v0 + drive);
                for ((v, &theta), &count) in membranes.zip(theta).zip(&scratch.counts) {
                    observer.membrane(self.layer, v - i32::from(count) * theta, theta);
                }
            }
            Schedule::EachStep => {
                match self.kind.reset {
                    Reset::Subtract => {
                        self.integrate_and_fire(first, drives, row, &mut scratch.membranes, |u, theta| {
                            u - theta
                        });
                    }
                    Reset::Zero => {
                        self.integrate_and_fire(first, drives, row, &mut scratch.membranes, |_, _| 0)
                    }
                }
                for (&v, &theta) in scratch.membranes.iter().zip(theta) {
                    observer.membrane(self.layer, v, theta);
                }
            }
        }
    }

    /// Shows the spikes of one token, which [`Neurons::fire`] made and no mask has touched, and masks them.
    #[inline(always)]
    pub fn transmit<M: MaskBits>(&self, row: &mut [u8], masks: &mut Masks<M>, observer: &mut impl Observer) {
        observer.fired(self.layer, row);
        masks.apply(row, self.time_steps);
    }

    /// `count = clip(floor((v0 + sum of drives) / theta), 0, T)`: the T threshold steps `s = (v >= theta); v -= s * theta` spike
    /// as often as theta fits, first step first.
    ///
    /// The quotient is taken in doubles, where vectors of neurons divide at once. With `v` the membrane, `(v + 1/2) / theta` lies at
    /// least `1 / (2 theta)`, which is `2^-32` or more, away from an integer, and up to T its error is below `2^-43`. So
    /// rounding it less 1/2 to the nearest integer gives the floor of `v / theta`, exactly.
    #[inline(always)]
    fn two_phase(&self, first: usize, index: usize, drives: &[i32], row: &mut [u8], counts: &mut [u16]) {
        let neurons = drives.len();
        let counts = &mut counts[..neurons];
        let (inverse, start) = (&self.inverse[first..][..neurons], &self.start[first..][..neurons]);
        let most = self.time_steps as f64;
        for c in 0..neurons {
            let fits = f64::from(drives[c]) * inverse[c] + start[c];
            let fits = if fits > 0.0 { fits } else { 0.0 };
            let fits = if fits < most { fits } else { most };
            counts[c] = (fits + ROUND).to_bits() as u16;
        }
        let rotation = self.slots.rotate as usize * index % self.time_steps;
        if self.time_steps <= 8 {
            let by_count = self.rotated(rotation);
            // The spike that each next threshold step adds: comparing with all of them takes a vector of neurons less than looking up.
            let steps: [u8; 8] =
                std::array::from_fn(|k| by_count.get(k + 1).map_or(0, |spikes| (spikes ^ by_count[k]) as u8));
            for (cell, &count) in row.iter_mut().zip(&*counts) {
                let mut spikes = 0;
                for (k, &spike) in steps.iter().enumerate() {
                    spikes |= if count > k as u16 { spike } else { 0 };
                }
                *cell = spikes;
            }
        } else if self.time_steps <= 64 {
            let by_count = self.rotated(rotation);
            let cell_bytes = self.time_steps.div_ceil(8);
            for (cell, &count) in row.chunks_exact_mut(cell_bytes).zip(&*counts) {
                let spikes = by_count[count as usize].to_le_bytes();
                cell.iter_mut().zip(spikes).for_each(|(cell, byte)| *cell = byte);
            }
        } else {
            let cell_bytes = self.time_steps.div_ceil(8);
            for (cell, &count) in row.chunks_exact_mut(cell_bytes).zip(&*counts) {
                for k in 0..count as usize {
                    let slot = self.slots.slot(k, index);
                    cell[slot / 8] |= 1 << (slot % 8);
                }
            }
        }
    }

    #[inline(always)]
    fn rotated(&self, rotation: usize) -> &[u64] {
        &self.by_count[rotation * (self.time_steps + 1)..][..self.time_steps + 1]
    }

    /// `u = v + drive(t); s = (u >= theta); v = u`, or what `reset` leaves of `u` after a spike.
    #[inline(always)]
    fn integrate_and_fire(
        &self,
        first: usize,
        drives: &[i32],
        row: &mut [u8],
        membranes: &mut [i32],
        reset: impl Fn(i32, i32) -> i32,
    ) {
        let neurons = drives.len() / self.time_steps;
        let cell_bytes = self.time_steps.div_ceil(8);
        let (membranes, theta) = (&mut membranes[..neurons], &self.theta[first..][..neurons]);
        membranes.copy_from_slice(&self.v0[first..][..neurons]);
        for (t, drives) in drives.chunks_exact(neurons).enumerate() {
            let step = |(cell, (v, (&theta, drive))): (&mut u8, (&mut i32, (&i32, &i32)))| {
                let u = *v + drive;
                let spike = u >= theta;
                *v = if spike { reset(u, theta) } else { u };
                *cell |= u8::from(spike) << (t % 8);
            };
            let neurons = membranes.iter_mut().zip(theta.iter().zip(drives));
            let cells = row[t / 8..].iter_mut();
            // Neighbouring bytes are a vector.
            if cell_bytes == 1 {
                cells.zip(neurons).for_each(step);
            } else {
                cells.step_by(cell_bytes).zip(neurons).for_each(step);
            }
        }
    }
}

/// The masks of neighbouring neurons; none for a ratio of 0, whose draws change nothing.
pub(super) enum Masks<M> {
    None,
    /// The registers run on from token to token.
    Running {
        ratio: u8,
        neurons: Vec<M>,
    },
    /// The same cells for all tokens: what is left of a row that spikes in every slot.
    Shared(Vec<u8>),
}

impl<M: MaskBits> Masks<M> {
    /// `draws` are the network's seed and the layer that the draws are those of.
    pub fn new(mask: &Mask, draws: (u32, usize), channels: Range<usize>, time_steps: usize) -> Masks<M> {
        if mask.ratio == 0 {
            return Masks::None;
        }
        let cells = channels.len() * time_steps.div_ceil(8);
        let neurons = channels.map(|channel| M::new(draws.0, draws.1, channel)).collect();
        let mut running = Masks::Running { ratio: mask.ratio, neurons };
        if !mask.shared {
            return running;
        }
        let mut kept = vec![0xff; cells];
        running.apply(&mut kept, time_steps);
        Masks::Shared(kept)
    }

    /// Drops spikes of one token, one cell a neuron.
    #[inline(always)]
    fn apply(&mut self, row: &mut [u8], time_steps: usize) {
        let (ratio, neurons) = match self {
            Masks::None => return,
            Masks::Shared(kept) => {
                row.iter_mut().zip(&*kept).for_each(|(cell, kept)| *cell &= kept);
                return;
            }
            Masks::Running { ratio, neurons } => (*ratio, neurons),
        };
        let cell_bytes = time_steps.div_ceil(8);
        for t in 0..time_steps {
            let draw = |(neuron, cell): (&mut M, &mut u8)| {
                let dropped = neuron.draw() < ratio;
                *cell &= !(u8::from(dropped) << (t % 8));
            };
            let (neurons, cells) = (neurons.iter_mut(), row[t / 8..].iter_mut());
            // Neighbouring bytes are a vector.
            if cell_bytes == 1 {
                neurons.zip(cells).for_each(draw);
            } else {
                neurons.zip(cells.step_by(cell_bytes)).for_each(draw);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::SlotOrder;

    fn neurons(
        kind: Neuron,
        order: &SlotOrder,
        rotate: u32,
        time_steps: u32,
        theta: i32,
        v0: i32,
    ) -> Neurons {
        let slots = Slots { order: order.permutation(time_steps).unwrap(), rotate: rotate % time_steps };
        Neurons::with_thresholds(kind, &slots, time_steps, vec![theta], vec![v0])
    }

    /// The spikes of one neuron.
    fn fire(neurons: &Neurons, index: usize, drives: &[i32]) -> Vec<u8> {
        let mut row = vec![0; neurons.time_steps.div_ceil(8)];
        neurons.fire(0, index, drives, &mut row, &mut FireScratch::new(1), &mut ());
        row
    }

    #[test]
    fn two_phase_counts_are_clip_floor_shift() {
        for (time_steps, theta) in [(1, 1), (4, 6), (8, 7), (8, 100), (40, 9), (64, 5), (256, 3)] {
            let neurons = neurons(Neuron::TWO_PHASE, &SlotOrder::Spread, 3, time_steps, theta, theta / 2);
            for sum in -3 * theta..theta * (time_steps as i32 + 3) {
                let count: u32 = fire(&neurons, 5, &[sum]).iter().map(|byte| byte.count_ones()).sum();
                // QCFS with x = sum / T, lambda = theta, L = T: clip(floor(x * L / lambda + 1/2), 0, L).
                let qcfs = (2 * sum + theta).div_euclid(2 * theta).clamp(0, time_steps as i32);
                assert_eq!(count as i32, qcfs, "T {time_steps}, theta {theta}, sum {sum}");
            }
        }
    }

    /// On both sides of every multiple of the threshold, for thresholds and membranes as large as 32 bits allow.
    #[test]
    fn large_membranes_are_divided_exactly() {
        for theta in [1, 3, 1000, 1_048_575, 8_388_607, 0x3fff_ffff, i32::MAX] {
            for v0 in [0, 1, theta / 2, -theta / 3, i32::MAX, i32::MIN] {
                let neurons = neurons(Neuron::TWO_PHASE, &SlotOrder::Identity, 0, 256, theta, v0);
                for multiple in -1..258 {
                    for offset in [-1, 0, 1] {
                        let v = multiple * i64::from(theta) + offset;
                        let fits = i32::try_from(v).and_then(|_| i32::try_from(v - i64::from(v0)));
                        let Ok(drive) = fits else { continue };
                        let count: u32 =
                            fire(&neurons, 0, &[drive]).iter().map(|byte| byte.count_ones()).sum();
                        let expected = v.div_euclid(theta.into()).clamp(0, 256);
                        assert_eq!(i64::from(count), expected, "theta {theta}, v0 {v0}, membrane {v}");
                    }
                }
            }
        }
    }

    #[test]
    fn threshold_steps_fire_into_rotated_slots() {
        for time_steps in [5, 12, 64, 70] {
            let order = SlotOrder::Explicit((0..time_steps).rev().collect());
            let neurons = neurons(Neuron::TWO_PHASE, &order, 3, time_steps, 10, 5);
            for index in 0..20 {
                let row = fire(&neurons, index, &[25]);
                let set: Vec<usize> =
                    (0..time_steps as usize).filter(|t| row[t / 8] >> (t % 8) & 1 == 1).collect();
                let mut expected =
                    [0, 1, 2].map(|k| (time_steps as usize - 1 - k + 3 * index) % time_steps as usize);
                expected.sort_unstable();
                assert_eq!(set, expected, "T {time_steps}, token {index}");
            }
        }
    }

    #[test]
    fn if_neurons_keep_what_is_left_over() {
        let neurons = neurons(Neuron::IF, &SlotOrder::Identity, 0, 6, 10, 5);
        // u = 9, 10, 25, -15, -6, 6
        assert_eq!(fire(&neurons, 0, &[4, 1, 25, -30, 9, 12]), [0b000110]);
    }

    #[test]
    fn neurons_with_hard_reset_start_again_from_zero() {
        let neurons = neurons(Neuron::OR, &SlotOrder::Identity, 0, 6, 10, 5);
        // u = 9, 10, 9, 34, -3, 7
        assert_eq!(fire(&neurons, 0, &[4, 1, 9, 25, -3, 10]), [0b001010]);
    }
}
