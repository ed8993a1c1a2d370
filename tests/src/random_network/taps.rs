//! Taps: how the tokens of one grid sample another.

use super::builder::Builder;
use isa::{Axis, Grid, Taps};

/// Largest kernel of a convolution.
const KERNEL: usize = 7;
/// Largest stride.
const STRIDE: usize = 4;
/// Largest padding.
const PADDING: usize = 3;

/// Every axis that takes `from` positions to `to` tokens.
fn between(from: usize, to: usize) -> Vec<Axis> {
    let kernels = 1..=KERNEL;
    let axes = kernels.flat_map(|kernel| {
        (1..=STRIDE)
            .flat_map(move |stride| (0..=PADDING).map(move |padding| Axis { kernel, stride, padding }))
    });
    axes.filter(|axis| axis.along(from) == Some(to)).collect()
}

impl Builder {
    /// Taps that take one grid to another, or `None` if none does; of those with at most `most` taps if there are any.
    pub(super) fn taps_between(&mut self, from: Grid, to: Grid, most: usize) -> Option<Taps> {
        let (rows, columns) = (between(from.rows, to.rows), between(from.columns, to.columns));
        if rows.is_empty() || columns.is_empty() {
            return None;
        }
        let tries = [(); 8].map(|()| Taps {
            rows: rows[self.random.size(0, rows.len() - 1)],
            columns: columns[self.random.size(0, columns.len() - 1)],
        });
        tries.into_iter().find(|taps| taps.count() <= most).or_else(|| {
            let smallest = |axes: &[Axis]| axes.iter().copied().min_by_key(|axis| axis.kernel);
            Some(Taps { rows: smallest(&rows)?, columns: smallest(&columns)? })
        })
    }

    /// Any taps over a grid, at most `most` of them. Of every second ones the tokens lie on the same grid.
    pub(super) fn any_taps(&mut self, grid: Grid, most: usize) -> Taps {
        let same = self.random.chance(1, 2);
        let square = self.random.chance(1, 3);
        let rows = self.axis(grid.rows, same);
        let columns = if square && grid.rows == grid.columns { rows } else { self.axis(grid.columns, same) };
        let mut taps = Taps { rows, columns };
        while taps.count() > most {
            let longer =
                if taps.rows.kernel >= taps.columns.kernel { &mut taps.rows } else { &mut taps.columns };
            let shorter = if same && longer.kernel > 2 { 2 } else { 1 };
            longer.kernel -= shorter;
            if same {
                longer.padding = longer.kernel / 2;
            }
        }
        taps
    }

    /// Any axis over `size` positions; with `same` one that takes them to as many.
    fn axis(&mut self, size: usize, same: bool) -> Axis {
        if same {
            let padding = self.random.size(0, PADDING);
            return Axis { kernel: 2 * padding + 1, stride: 1, padding };
        }
        let kernel = self.random.size(1, KERNEL.min(size + 2 * PADDING));
        // Enough to have one token; some read nothing but padding.
        let least = kernel.saturating_sub(size).div_ceil(2);
        let padding = self.random.pick(&[0, 0, 1, 2, PADDING]).max(least);
        let stride =
            if size <= 3 { self.random.size(1, 2) } else { self.random.pick(&[1, 1, 2, 2, 3, STRIDE]) };
        Axis { kernel, stride, padding }
    }
}
