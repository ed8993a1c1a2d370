//! Rows of cells regrouped into bit vectors, so that coincidences are counted 64 at a time.

use isa::Schedule;

/// How the cells of a row (each T spikes) lie in bit vectors.
///
/// A two-phase neuron needs only the sum over all time steps, so its row is one vector: the cells' bytes as they are. A neuron that fires in each step
/// takes each step on its own, so its row is T vectors of a bit a cell. Several rows lie vector by vector, then row by row, so
/// that all rows of a vector are neighbours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub vectors: usize,
    pub words: usize,
    schedule: Schedule,
    cell_bytes: usize,
}

impl Layout {
    pub fn new(schedule: Schedule, cells: usize, time_steps: u32) -> Layout {
        let time_steps = time_steps as usize;
        let cell_bytes = time_steps.div_ceil(8);
        let (vectors, bits) = match schedule {
            Schedule::AfterAll => (1, 8 * cells * cell_bytes),
            Schedule::EachStep => (time_steps, cells),
        };
        Layout { vectors, words: bits.div_ceil(64), schedule, cell_bytes }
    }

    /// Words of a row.
    pub fn size(&self) -> usize {
        self.vectors * self.words
    }

    /// All rows of vector `v`.
    #[inline(always)]
    pub fn vector<'b>(&self, bits: &'b [u64], rows: usize, v: usize) -> &'b [u64] {
        &bits[v * rows * self.words..][..rows * self.words]
    }

    /// Adds cell `at` to a row, one of `rows` in `bits`. Its place must be empty.
    #[inline(always)]
    pub fn put(&self, bits: &mut [u64], (row, rows): (usize, usize), at: usize, cell: &[u8]) {
        match self.schedule {
            Schedule::AfterAll => {
                let row = &mut bits[row * self.words..][..self.words];
                for (i, &byte) in cell.iter().enumerate() {
                    let position = at * self.cell_bytes + i;
                    row[position / 8] |= u64::from(byte) << (position % 8 * 8);
                }
            }
            Schedule::EachStep => {
                for (i, &byte) in cell.iter().enumerate() {
                    for t in set_bits(byte.into()) {
                        bits[((8 * i + t) * rows + row) * self.words + at / 64] |= 1 << (at % 64);
                    }
                }
            }
        }
    }

    /// Fills a row with neighbouring cells. It must be empty.
    #[inline(always)]
    pub fn put_all(&self, bits: &mut [u64], (row, rows): (usize, usize), cells: &[u8]) {
        if self.schedule == Schedule::AfterAll {
            let row = &mut bits[row * self.words..][..self.words];
            let (whole, rest) = cells.as_chunks();
            row.iter_mut().zip(whole).for_each(|(word, &bytes)| *word = u64::from_le_bytes(bytes));
            for (i, &byte) in rest.iter().enumerate() {
                row[whole.len()] |= u64::from(byte) << (8 * i);
            }
        } else {
            for (i, cell) in cells.chunks_exact(self.cell_bytes).enumerate() {
                self.put(bits, (row, rows), i, cell);
            }
        }
    }
}

/// Positions of the set bits, ascending.
#[inline(always)]
fn set_bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        word &= word.wrapping_sub(1);
        (bit < 64).then_some(bit)
    })
}

/// Bits that `one` has in common with each row of `many`, times `2^fraction`.
#[inline(always)]
pub(super) fn coincidences(one: &[u64], many: &[u64], fraction: u32, sums: &mut [i32]) {
    // Rows of these lengths are common, and a loop of known length takes half the time.
    match one.len() {
        1 => coincidences_of::<1>(one, many, fraction, sums),
        2 => coincidences_of::<2>(one, many, fraction, sums),
        4 => coincidences_of::<4>(one, many, fraction, sums),
        7 => coincidences_of::<7>(one, many, fraction, sums),
        length => {
            for (sum, row) in sums.iter_mut().zip(many.chunks_exact(length)) {
                let common = |(a, b): (&u64, &u64)| (a & b).count_ones() as i32;
                *sum = one.iter().zip(row).map(common).sum::<i32>() << fraction;
            }
        }
    }
}

#[inline(always)]
fn coincidences_of<const WORDS: usize>(one: &[u64], many: &[u64], fraction: u32, sums: &mut [i32]) {
    for one in one.as_chunks::<WORDS>().0 {
        for (sum, row) in sums.iter_mut().zip(many.as_chunks::<WORDS>().0) {
            let mut common = 0;
            for i in 0..WORDS {
                common += (one[i] & row[i]).count_ones() as i32;
            }
            *sum = common << fraction;
        }
    }
}

/// Spikes of each cell of a row.
#[inline(always)]
pub(super) fn counts(cells: &[u8], cell_bytes: usize, counts: &mut [i16]) {
    if cell_bytes == 1 {
        counts.iter_mut().zip(cells).for_each(|(count, byte)| *count = byte.count_ones() as i16);
    } else {
        for (count, cell) in counts.iter_mut().zip(cells.chunks_exact(cell_bytes)) {
            *count = cell.iter().map(|byte| byte.count_ones() as i16).sum();
        }
    }
}

/// Whether each cell of a row spikes at time step `t`: 0 or 1.
#[inline(always)]
pub(super) fn spikes_at(cells: &[u8], cell_bytes: usize, t: usize, spikes: &mut [i16]) {
    let spike = |(spike, byte): (&mut i16, &u8)| *spike = i16::from(byte >> (t % 8) & 1);
    // Neighbouring bytes are a vector.
    if cell_bytes == 1 {
        spikes.iter_mut().zip(cells).for_each(spike);
    } else {
        spikes.iter_mut().zip(cells[t / 8..].iter().step_by(cell_bytes)).for_each(spike);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_hold_the_same_spikes() {
        for time_steps in [1u32, 7, 8, 40, 64, 70, 130] {
            let bytes = (time_steps as usize).div_ceil(8);
            let spike = |row: usize, c: usize, t: usize| (row * 13 + c * 37 + t * 11) % 5 < 2;
            let mut cells = vec![vec![vec![0u8; bytes]; 75]; 2];
            for (row, cells) in cells.iter_mut().enumerate() {
                for (c, cell) in cells.iter_mut().enumerate() {
                    (0..time_steps as usize)
                        .filter(|&t| spike(row, c, t))
                        .for_each(|t| cell[t / 8] |= 1 << (t % 8));
                }
            }
            for schedule in [Schedule::AfterAll, Schedule::EachStep] {
                let layout = Layout::new(schedule, 75, time_steps);
                let mut bits = vec![0; 2 * layout.size()];
                // One row at once, one cell by cell.
                layout.put_all(&mut bits, (0, 2), &cells[0].concat());
                (0..75).for_each(|c| layout.put(&mut bits, (1, 2), c, &cells[1][c]));
                for row in 0..2 {
                    for c in 0..75 {
                        for t in 0..time_steps as usize {
                            let (vector, bit) = match schedule {
                                Schedule::AfterAll => (0, 8 * c * bytes + t),
                                Schedule::EachStep => (t, c),
                            };
                            let words = &layout.vector(&bits, 2, vector)[row * layout.words..];
                            let found = words[bit / 64] >> (bit % 64) & 1 == 1;
                            assert_eq!(
                                found,
                                spike(row, c, t),
                                "{schedule:?}, T {time_steps}, cell {c}, step {t}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn rows_of_every_length_have_the_same_coincidences() {
        for length in 1..12 {
            let word = |n: usize| (n as u64 + 3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let one: Vec<u64> = (0..length).map(word).collect();
            let many: Vec<u64> = (0..3 * length).map(|n| word(n * n + 7)).collect();
            let mut sums = [0; 3];
            coincidences(&one, &many, 2, &mut sums);
            for (row, sum) in sums.into_iter().enumerate() {
                let common: u32 = (0..length).map(|i| (one[i] & many[row * length + i]).count_ones()).sum();
                assert_eq!(sum, 4 * common as i32);
            }
        }
    }
}
