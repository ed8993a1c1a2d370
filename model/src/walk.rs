//! Where the tokens of windows lie, and which pairs of a window are connected.

use crate::network::{Grid, Walk, Windows};

impl Windows {
    /// Tokens of one window: N.
    pub fn tokens(self) -> usize {
        self.size * self.size
    }

    /// Windows of a grid, row by row.
    pub fn count(self, grid: Grid) -> usize {
        (grid.rows / self.size) * (grid.columns / self.size)
    }

    /// Raster index of token `inner` of `window`.
    pub fn token(self, grid: Grid, window: usize, inner: usize) -> usize {
        let across = grid.columns / self.size;
        let row = window / across * self.size + inner / self.size + self.shift;
        let column = window % across * self.size + inner % self.size + self.shift;
        row % grid.rows * grid.columns + column % grid.columns
    }

    /// Index of the relative position of tokens `i` (query) and `j` (key) of one window, below [`Windows::positions`].
    pub fn relative(self, i: usize, j: usize) -> usize {
        let y = i / self.size + self.size - 1 - j / self.size;
        let x = i % self.size + self.size - 1 - j % self.size;
        y * (2 * self.size - 1) + x
    }

    /// Number of relative positions: `(2 * size - 1)^2`.
    pub fn positions(self) -> usize {
        (2 * self.size - 1) * (2 * self.size - 1)
    }

    /// Whether a token of a window lies in the row band and in the column band: in its last `shift` rows, in its last `shift` columns.
    pub fn bands(self, inner: usize) -> (bool, bool) {
        let band = |position: usize| position >= self.size - self.shift;
        (band(inner / self.size), band(inner % self.size))
    }

    /// Region of a token of a window: tokens of different regions were no neighbours before the shift and never attend. Only the last row
    /// and the last column of windows have several.
    pub fn region(self, grid: Grid, window: usize, inner: usize) -> usize {
        let (down, across) = (grid.rows / self.size, grid.columns / self.size);
        let (row_band, column_band) = self.bands(inner);
        let row_band = row_band && window / across == down - 1;
        let column_band = column_band && window % across == across - 1;
        usize::from(row_band) * 2 + usize::from(column_band)
    }
}

/// One step of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Raster index of the token.
    pub token: usize,
    /// The index that `rotate` multiplies.
    pub index: usize,
}

impl Walk {
    /// The tokens of `grid` in the order of evaluation.
    pub fn steps(self, grid: Grid) -> impl Iterator<Item = Step> {
        (0..grid.tokens()).map(move |n| match self {
            Walk::Raster => Step { token: n, index: n },
            Walk::Windows(windows) => {
                let (window, index) = (n / windows.tokens(), n % windows.tokens());
                Step { token: windows.token(grid, window, index), index }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shifted_walk_visits_every_token_once_and_wraps() {
        let (grid, windows) = (Grid { rows: 6, columns: 9 }, Windows { size: 3, shift: 1 });
        let steps = Walk::Windows(windows).steps(grid);
        let mut tokens: Vec<_> = steps.map(|s| s.token).collect();
        assert_eq!(tokens[..4], [10, 11, 12, 19], "the first window starts one row and one column later");
        assert_eq!(tokens.last(), Some(&0), "the last one wraps to the first token");
        tokens.sort_unstable();
        assert!(tokens.into_iter().eq(0..54));
    }

    #[test]
    fn only_the_last_windows_have_several_regions() {
        let (grid, windows) = (Grid { rows: 8, columns: 8 }, Windows { size: 4, shift: 2 });
        let regions = |window| (0..16).map(|inner| windows.region(grid, window, inner)).collect::<Vec<_>>();
        assert_eq!(regions(0), [0; 16]);
        assert_eq!(regions(1), [0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1]);
        assert_eq!(regions(2), [0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2]);
        assert_eq!(regions(3), [0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3]);
    }

    #[test]
    fn relative_positions_are_the_offsets_of_the_table() {
        let windows = Windows { size: 3, shift: 0 };
        assert_eq!(windows.relative(0, 8), 0);
        assert_eq!(windows.relative(4, 4), 12);
        assert_eq!(windows.relative(8, 0), windows.positions() - 1);
    }
}
