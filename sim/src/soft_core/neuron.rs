//! One lane's neuron: parameters, threshold steps, slots and mask.

use isa::layout::{PARAMETER_ROWS, flag, parameter_row};
use isa::{Descriptor, Neuron, mask};

/// The parameters of one lane and the state of its LFSR.
pub struct Lane {
    /// What the accumulator starts from.
    pub bias: i64,
    /// Flags, see [`flag`].
    pub flags: u16,
    theta: i64,
    v0: i64,
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

    /// The transmitted spikes of one token, slot `t` in bit `t`. `start` is what the accumulator starts from, `drives` what the
    /// inputs add in each time step, `index` the token's index for the rotation; a neuron that is not `connected` never fires.
    pub fn spikes(
        &mut self,
        d: &Descriptor,
        start: i64,
        drives: &Drives<'_>,
        index: u32,
        connected: bool,
    ) -> u64 {
        let steps = d.time_steps as usize;
        let mut fired = 0u64;
        let mut step = |v: &mut i64, k: usize| {
            if *v >= self.theta {
                *v -= self.theta;
                fired |= 1 << k;
            }
        };
        let mut slots = 0u64;
        if d.neuron == Neuron::If as u32 {
            let mut v = self.v0;
            for t in 0..steps {
                v += start + drives.at(t);
                step(&mut v, t);
            }
            slots = fired;
        } else {
            let mut v = match drives {
                Drives::Constant(x) => self.v0 + d.time_steps as i64 * (start + x),
                Drives::Each(each) => start + each.iter().sum::<i64>(),
            };
            for k in 0..steps {
                step(&mut v, k);
            }
            for slot in 0..d.time_steps {
                let unrotated = (slot + d.time_steps - d.rotate * index % d.time_steps) % d.time_steps;
                slots |= (fired >> d.rank[unrotated as usize] & 1) << slot;
            }
        }
        let mut kept = 0;
        for slot in 0..steps {
            kept |= u64::from(self.draw() >= d.mask_ratio) << slot;
        }
        if connected && self.flags & flag::VALID != 0 { slots & kept } else { 0 }
    }
}

/// What the inputs add to one lane's neuron for one token.
pub enum Drives<'a> {
    /// The same in every time step.
    Constant(i64),
    /// One a time step.
    Each(&'a [i64]),
}

impl Drives<'_> {
    fn at(&self, t: usize) -> i64 {
        match self {
            Drives::Constant(x) => *x,
            Drives::Each(each) => each[t],
        }
    }
}
