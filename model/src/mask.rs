//! The shift register of random spike masking; see [`isa::mask`] for its polynomial and seeds.

use isa::mask::{DRAW_BITS, LFSR_BITS, TAPS};

/// Random bits of one neuron's mask. The hardware has [`Lfsr`]; others show that masks need no better randomness.
pub trait MaskBits {
    /// The state at the start of an image; see [`isa::mask::seed`] for the arguments.
    fn new(seed: u32, layer: usize, channel: usize) -> Self;

    /// The next eight bits.
    fn draw(&mut self) -> u8;
}

/// One neuron's shift register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lfsr(u32);

impl Lfsr {
    /// Its state: what a run that goes on from here starts from.
    pub fn state(self) -> u32 {
        self.0
    }
}

impl MaskBits for Lfsr {
    fn new(seed: u32, layer: usize, channel: usize) -> Lfsr {
        Lfsr(isa::mask::seed(seed, layer as u32, channel as u32))
    }

    /// Eight steps at once: the eight bits shifted in, the first of them as the most significant.
    ///
    /// All taps lie above bit 24, so the k-th new bit is the parity of the taps moved down by k, and the eight together
    /// are the parity of the state moved down so that each tap in turn becomes bit 7.
    #[inline(always)]
    fn draw(&mut self) -> u8 {
        const _: () = assert!(LFSR_BITS == 32 && DRAW_BITS == 8 && TAPS[3] > 24);
        let bits = TAPS.iter().fold(0, |parity, &tap| parity ^ (self.0 >> (tap - DRAW_BITS))) as u8;
        self.0 = self.0 << DRAW_BITS | u32::from(bits);
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One step of the register as `isa::mask` words it.
    fn step(state: u32) -> u32 {
        state << 1 | TAPS.iter().fold(0, |bit, &tap| bit ^ (state >> (tap - 1) & 1))
    }

    #[test]
    fn a_draw_is_eight_single_steps() {
        let mut lfsr = Lfsr::new(7, 3, 11);
        for _ in 0..1000 {
            let expected = (0..8).fold(lfsr.0, |state, _| step(state));
            let draw = lfsr.draw();
            assert_eq!((lfsr.0, u32::from(draw)), (expected, expected & 0xff));
        }
    }

    const DRAWS: usize = 40_000;

    fn keeps(channel: usize, ratio: u8) -> Vec<f64> {
        let mut lfsr = Lfsr::new(1, 5, channel);
        (0..DRAWS).map(|_| f64::from(u8::from(lfsr.draw() >= ratio))).collect()
    }

    /// Deviation of the mean product of two centred keep sequences from zero, in standard deviations.
    fn correlation(a: &[f64], b: &[f64], rate: f64) -> f64 {
        let sum: f64 = a.iter().zip(b).map(|(x, y)| (x - rate) * (y - rate)).sum();
        sum / (rate * (1.0 - rate) * (a.len().min(b.len()) as f64).sqrt())
    }

    #[test]
    fn keep_rate_lies_within_four_sigma() {
        for ratio in [1, 26, 64, 128, 192, 255] {
            let rate = 1.0 - f64::from(ratio) / 256.0;
            for channel in 0..16 {
                let kept: f64 = keeps(channel, ratio).iter().sum();
                let sigma = (rate * (1.0 - rate) * DRAWS as f64).sqrt();
                let deviation = (kept - rate * DRAWS as f64) / sigma;
                assert!(deviation.abs() < 4.0, "ratio {ratio}, channel {channel}: {deviation} sigma");
            }
        }
    }

    #[test]
    fn lanes_and_lags_do_not_correlate() {
        let rate = 0.5;
        let lanes: Vec<_> = (0..16).map(|channel| keeps(channel, 128)).collect();
        for (i, a) in lanes.iter().enumerate() {
            for b in &lanes[i + 1..] {
                assert!(correlation(a, b, rate).abs() < 4.0, "lane {i} and another one");
            }
        }
        for (i, lane) in lanes.iter().take(4).enumerate() {
            for lag in 1..=64 {
                let deviation = correlation(lane, &lane[lag..], rate);
                assert!(deviation.abs() < 4.0, "lane {i}, lag {lag}: {deviation} sigma");
            }
        }
    }
}
