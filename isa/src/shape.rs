//! Sizes that networks, programs and images share.

use serde::{Deserialize, Serialize};

/// Rows and columns of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    /// Token rows.
    pub rows: usize,
    /// Token columns.
    pub columns: usize,
}

impl Grid {
    /// Number of tokens.
    pub fn tokens(self) -> usize {
        self.rows * self.columns
    }
}

/// How output tokens sample one dimension of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Axis {
    /// Positions that each token reads, 1 or more.
    pub kernel: usize,
    /// Positions from one token to the next, 1 or more.
    pub stride: usize,
    /// Positions before the first and behind the last of the source that tokens may read, up to 255: they hold nothing.
    pub padding: usize,
}

impl Axis {
    /// Each token reads its own position.
    pub const TOKEN: Axis = Axis { kernel: 1, stride: 1, padding: 0 };

    /// Tokens along a dimension of `size` positions, or `None` if not even one fits.
    pub fn along(self, size: usize) -> Option<usize> {
        Some((size + 2 * self.padding).checked_sub(self.kernel)? / self.stride + 1)
    }

    /// The position that tap `tap` of `token` reads, or `None` outside a dimension of `size`.
    pub fn at(self, token: usize, tap: usize, size: usize) -> Option<usize> {
        (token * self.stride + tap).checked_sub(self.padding).filter(|&position| position < size)
    }
}

/// Which positions of a source's grid an output token reads: `rows.kernel * columns.kernel` taps, row by row. Tap `(dy, dx)` of the token at
/// `(y, x)` reads position `(y * rows.stride - rows.padding + dy, x * columns.stride - columns.padding + dx)`; outside the grid there is
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Taps {
    /// From top to bottom.
    pub rows: Axis,
    /// From left to right.
    pub columns: Axis,
}

impl Taps {
    /// Each token reads its own position.
    pub const TOKEN: Taps = Taps { rows: Axis::TOKEN, columns: Axis::TOKEN };

    /// The same in both dimensions.
    pub const fn square(kernel: usize, stride: usize, padding: usize) -> Taps {
        let axis = Axis { kernel, stride, padding };
        Taps { rows: axis, columns: axis }
    }

    /// Whether tokens may read positions outside the source.
    pub fn is_padded(self) -> bool {
        self.rows.padding > 0 || self.columns.padding > 0
    }

    /// Number of taps.
    pub fn count(self) -> usize {
        self.rows.kernel * self.columns.kernel
    }

    /// The grid of tokens over a source, or `None` if not even one token fits.
    pub fn grid(self, source: Grid) -> Option<Grid> {
        Some(Grid { rows: self.rows.along(source.rows)?, columns: self.columns.along(source.columns)? })
    }

    /// The raster index in `source` that each tap of `token`, a raster index of `grid`, reads; `None` outside.
    pub fn positions(
        self,
        source: Grid,
        grid: Grid,
        token: usize,
    ) -> impl Iterator<Item = Option<usize>> + Clone {
        let (y, x) = (token / grid.columns, token % grid.columns);
        (0..self.rows.kernel).flat_map(move |dy| {
            let row = self.rows.at(y, dy, source.rows);
            (0..self.columns.kernel).map(move |dx| {
                let column = self.columns.at(x, dx, source.columns);
                row.zip(column).map(|(row, column)| row * source.columns + column)
            })
        })
    }
}

/// The image that a network classifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageShape {
    /// Pixel rows.
    pub height: usize,
    /// Pixel columns.
    pub width: usize,
    /// Bytes a pixel; pixels are stored channel by channel.
    pub channels: usize,
}

impl ImageShape {
    /// Its pixels as positions.
    pub fn grid(self) -> Grid {
        Grid { rows: self.height, columns: self.width }
    }

    /// Bytes of one image.
    pub fn bytes(self) -> usize {
        self.height * self.width * self.channels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_read_row_by_row_and_nothing_outside() {
        let (source, taps) = (Grid { rows: 2, columns: 3 }, Taps::square(3, 2, 1));
        let grid = taps.grid(source).unwrap();
        assert_eq!(grid, Grid { rows: 1, columns: 2 });
        let of = |token| -> Vec<i32> {
            taps.positions(source, grid, token).map(|at| at.map_or(-1, |at| at as i32)).collect()
        };
        assert_eq!(of(0), [-1, -1, -1, -1, 0, 1, -1, 3, 4]);
        assert_eq!(of(1), [-1, -1, -1, 1, 2, -1, 4, 5, -1]);
        assert_eq!(Taps::square(4, 1, 0).grid(source), None, "a kernel larger than the grid");
    }
}
