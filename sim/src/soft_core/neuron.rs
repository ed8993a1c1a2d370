//! One lane's neuron: parameters, threshold steps, slots and mask.

use isa::layout::{PARAMETER_ROWS, flag, parameter_row};
use isa::{Descriptor, Schedule, mask};

/// The parameters of one lane and the state of its LFSR.
pub struct Lane {
    /// What the accumulator starts from.
    pub bias: i64,
    /// Flags, see [`flag`].
    pub flags: u16,
    theta: i64,
    v0: i64,
    seed: u32,
    lfsr: u32,
}

impl Lane {
    /// The lanes of a parameter block.
    pub fn block(bytes: &[u8], lanes: usize) -> Vec<Lane> {
        let half_word = |row: u32, lane: usize| {
            let at = 2 * (row as usize * lanes + lane);
            u16::from_le_bytes([bytes[at], bytes[at + 1]])
        };
        let word = |low: u32, high: u32, lane: usize| {
            u32::from(half_word(low, lane)) | u32::from(half_word(high, lane)) << 16
        };
        (0..lanes)
            .map(|lane| Lane {
                bias: i64::from(word(parameter_row::BIAS_LOW, parameter_row::BIAS_HIGH, lane) as i32),
                theta: i64::from(word(parameter_row::THETA_LOW, parameter_row::THETA_HIGH, lane) as i32),
                v0: i64::from(word(parameter_row::V0_LOW, parameter_row::V0_HIGH, lane) as i32),
                seed: word(parameter_row::SEED_LOW, parameter_row::SEED_HIGH, lane),
                lfsr: word(parameter_row::SEED_LOW, parameter_row::SEED_HIGH, lane),
                flags: half_word(parameter_row::FLAGS, lane),
            })
            .collect()
    }

    /// Bytes of a parameter block.
    pub fn block_bytes(lanes: usize) -> usize {
        PARAMETER_ROWS as usize * 2 * lanes
    }

    /// Eight fresh bits: the state after eight steps ends in them.
    fn draw(&mut self) -> u32 {
        for _ in 0..mask::DRAW_BITS {
            let feedback = mask::TAPS.iter().fold(0, |bit, tap| bit ^ self.lfsr >> (tap - 1) & 1);
            self.lfsr = self.lfsr << 1 | feedback;
        }
        self.lfsr & 0xff
    }

    /// The transmitted spikes of one token, slot `t` in bit `t`. `sums` are its accumulators: one, or (each step) one a time step. `index` is the
    /// token's index for the rotation; a neuron that is not `connected` never fires.
    pub fn spikes(&mut self, d: &Descriptor, sums: &[i64], index: u32, connected: bool) -> u64 {
        let fired = if d.schedule == Schedule::EachStep as u32 {
            self.fired_each_step(d, sums)
        } else {
            self.fired_after_all(d, sums[0], index)
        };
        if d.mask_shared == 1 {
            self.lfsr = self.seed;
        }
        let mut kept = 0;
        for slot in 0..d.time_steps {
            kept |= u64::from(self.draw() >= d.mask_ratio) << slot;
        }
        if connected && self.flags & flag::VALID != 0 { fired & kept } else { 0 }
    }

    fn fired_each_step(&self, d: &Descriptor, sums: &[i64]) -> u64 {
        let mut v = self.v0;
        let mut fired = 0;
        for (t, sum) in sums.iter().enumerate() {
            v += sum;
            if v >= self.theta {
                v = if d.hard_reset == 1 { 0 } else { v - self.theta };
                fired |= 1 << t;
            }
        }
        fired
    }

    fn fired_after_all(&self, d: &Descriptor, sum: i64, index: u32) -> u64 {
        let steps = d.time_steps;
        let mut v = if d.bytes == 1 { self.v0 + i64::from(steps) * sum } else { sum };
        let mut fired = 0u64;
        for k in 0..steps {
            if v >= self.theta {
                v -= self.theta;
                fired |= 1 << k;
            }
        }
        let turned = (u64::from(d.rotate) * u64::from(index) % u64::from(steps)) as u32;
        (0..steps).fold(0, |slots, slot| {
            let rank = d.rank[((slot + steps - turned) % steps) as usize];
            slots | (fired.checked_shr(rank.into()).unwrap_or(0) & 1) << slot
        })
    }
}
