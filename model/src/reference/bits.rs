//! Rows of cells regrouped into bit vectors, so that coincidences are counted 64 at a time.

use isa::Neuron;

/// How the cells of a row (each T spikes) lie in bit vectors.
///
/// A two-phase neuron needs only the sum over all time steps, so its row is one vector of `cells * T` bits; an `if` neuron takes
/// each step on its own, so its row is T vectors of `cells` bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub vectors: usize,
    pub words: usize,
    neuron: Neuron,
    time_steps: usize,
}

impl Layout {
    pub fn new(neuron: Neuron, cells: usize, time_steps: u32) -> Layout {
        let time_steps = time_steps as usize;
        let (vectors, bits) = match neuron {
            Neuron::TwoPhase => (1, cells * time_steps),
            Neuron::If => (time_steps, cells),
        };
        Layout { vectors, words: bits.div_ceil(64), neuron, time_steps }
    }

    /// Words of a row.
    pub fn size(&self) -> usize {
        self.vectors * self.words
    }

    /// Vector `v` of a row.
    pub fn vector<'r>(&self, row: &'r [u64], v: usize) -> &'r [u64] {
        &row[v * self.words..(v + 1) * self.words]
    }

    /// Fills `row` from cells, each of `ceil(T / 64)` words.
    pub fn fill<'c>(&self, row: &mut [u64], cells: impl Iterator<Item = &'c [u64]>) {
        row.fill(0);
        match self.neuron {
            Neuron::TwoPhase => self.fill_merged(row, cells),
            Neuron::If => self.fill_steps(row, cells),
        }
    }

    fn fill_merged<'c>(&self, row: &mut [u64], cells: impl Iterator<Item = &'c [u64]>) {
        let mut at = 0;
        for cell in cells {
            for (i, &word) in cell.iter().enumerate() {
                let (index, offset) = (at / 64, at % 64);
                row[index] |= word << offset;
                let bits = (self.time_steps - 64 * i).min(64);
                if offset + bits > 64 {
                    row[index + 1] |= word >> (64 - offset);
                }
                at += bits;
            }
        }
    }

    fn fill_steps<'c>(&self, row: &mut [u64], cells: impl Iterator<Item = &'c [u64]>) {
        for (c, cell) in cells.enumerate() {
            for (i, &word) in cell.iter().enumerate() {
                for t in set_bits(word) {
                    row[(64 * i + t) * self.words + c / 64] |= 1 << (c % 64);
                }
            }
        }
    }
}

/// Positions of the set bits, ascending.
pub(super) fn set_bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        word &= word.wrapping_sub(1);
        (bit < 64).then_some(bit)
    })
}

/// Bits set in both vectors.
pub(super) fn coincidences(a: &[u64], b: &[u64]) -> i32 {
    a.iter().zip(b).map(|(x, y)| (x & y).count_ones() as i32).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_hold_the_same_spikes() {
        for time_steps in [1u32, 7, 8, 40, 64, 70, 130] {
            let words = (time_steps as usize).div_ceil(64);
            let spike = |c: usize, t: usize| (c * 37 + t * 11) % 5 < 2;
            let mut cells = vec![vec![0u64; words]; 75];
            for (c, cell) in cells.iter_mut().enumerate() {
                (0..time_steps as usize).filter(|&t| spike(c, t)).for_each(|t| cell[t / 64] |= 1 << (t % 64));
            }
            for neuron in [Neuron::TwoPhase, Neuron::If] {
                let layout = Layout::new(neuron, cells.len(), time_steps);
                let mut row = vec![!0; layout.size()];
                layout.fill(&mut row, cells.iter().map(Vec::as_slice));
                for c in 0..cells.len() {
                    for t in 0..time_steps as usize {
                        let (vector, bit) = match neuron {
                            Neuron::TwoPhase => (0, c * time_steps as usize + t),
                            Neuron::If => (t, c),
                        };
                        let found = layout.vector(&row, vector)[bit / 64] >> (bit % 64) & 1 == 1;
                        assert_eq!(found, spike(c, t), "{neuron:?}, T {time_steps}, cell {c}, step {t}");
                    }
                }
            }
        }
    }
}
