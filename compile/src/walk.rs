//! How a layer's tokens are visited, and with which strides that reads or writes a plane.

use model::network::{Grid, Walk};

/// The four nested counts of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Rows of blocks.
    pub blocks_y: u32,
    /// Columns of blocks.
    pub blocks_x: u32,
    /// Token rows in a block.
    pub inner_y: u32,
    /// Token columns in a block.
    pub inner_x: u32,
    /// Cyclic shift in rows and columns.
    pub shift: u32,
}

impl Blocks {
    /// One block for a raster walk, one block a window otherwise.
    pub fn new(walk: Walk, grid: Grid) -> Blocks {
        match walk {
            Walk::Raster => Blocks {
                blocks_y: 1,
                blocks_x: 1,
                inner_y: grid.rows as u32,
                inner_x: grid.columns as u32,
                shift: 0,
            },
            Walk::Windows(w) => Blocks {
                blocks_y: (grid.rows / w.size) as u32,
                blocks_x: (grid.columns / w.size) as u32,
                inner_y: w.size as u32,
                inner_x: w.size as u32,
                shift: w.shift as u32,
            },
        }
    }

    /// Number of blocks.
    pub fn count(&self) -> u32 {
        self.blocks_y * self.blocks_x
    }

    /// Tokens in a block.
    pub fn tokens(&self) -> u32 {
        self.inner_y * self.inner_x
    }
}

/// What one descriptor runs of a layer's walk: neighbouring tokens in the order of evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strip {
    /// Its own counts.
    pub blocks: Blocks,
    /// Row of blocks, column of blocks, and in the block row and column of its first token.
    pub first: [u32; 4],
    /// Whether it has the last row of blocks.
    pub last_row: bool,
    /// Whether it has the last column of blocks.
    pub last_column: bool,
    /// Tokens of the layer before its first.
    pub tokens_before: u64,
}

impl Blocks {
    /// The walk in strips of at most `most` tokens: whole rows of tokens or pieces of a row in a raster walk, whole rows of windows or runs of
    /// windows of a row otherwise. `None` if not even one token, or one window, fits.
    pub fn strips(self, walk: Walk, most: u32) -> Option<Vec<Strip>> {
        match walk {
            Walk::Raster => (most > 0).then(|| self.token_strips(most)),
            Walk::Windows(_) => (most >= self.tokens()).then(|| self.window_strips(most / self.tokens())),
        }
    }

    /// Strips of at most `most` tokens of one block.
    fn token_strips(self, most: u32) -> Vec<Strip> {
        let (rows, columns) = ((most / self.inner_x).max(1), most.min(self.inner_x));
        pieces(self.inner_y, rows, self.inner_x, columns)
            .map(|[y, inner_y, x, inner_x]| Strip {
                blocks: Blocks { inner_y, inner_x, ..self },
                first: [0, 0, y, x],
                last_row: true,
                last_column: true,
                tokens_before: u64::from(y) * u64::from(self.inner_x) + u64::from(x),
            })
            .collect()
    }

    /// Strips of at most `most` blocks.
    fn window_strips(self, most: u32) -> Vec<Strip> {
        let (rows, columns) = ((most / self.blocks_x).max(1), most.min(self.blocks_x));
        pieces(self.blocks_y, rows, self.blocks_x, columns)
            .map(|[y, blocks_y, x, blocks_x]| Strip {
                blocks: Blocks { blocks_y, blocks_x, ..self },
                first: [y, x, 0, 0],
                last_row: y + blocks_y == self.blocks_y,
                last_column: x + blocks_x == self.blocks_x,
                tokens_before: u64::from(y * self.blocks_x + x) * u64::from(self.tokens()),
            })
            .collect()
    }
}

/// Cuts `height` times `width` into pieces of at most `rows` times `columns`, row by row: first row and rows, first column and columns.
fn pieces(height: u32, rows: u32, width: u32, columns: u32) -> impl Iterator<Item = [u32; 4]> {
    let along = |size: u32, piece: u32| {
        (0..size).step_by(piece as usize).map(move |first| (first, piece.min(size - first)))
    };
    along(height, rows)
        .flat_map(move |(y, rows)| along(width, columns).map(move |(x, columns)| [y, rows, x, columns]))
}

/// Where a walk's tokens lie: bytes from a plane's base. See "Addresses" in [`isa::descriptor`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strides {
    /// From the plane's base to the first token visited.
    pub start: u32,
    /// Between rows of blocks.
    pub block_y: u32,
    /// Between columns of blocks.
    pub block_x: u32,
    /// Between token rows of a block.
    pub y: u32,
    /// Between token columns of a block.
    pub x: u32,
    /// Subtracted in the row band.
    pub wrap_y: u32,
    /// Subtracted in the column band.
    pub wrap_x: u32,
}

impl Strides {
    /// Tokens that follow each other in memory in the order of the walk, `token_bytes` apart.
    pub fn linear(blocks: Blocks, token_bytes: u32) -> Strides {
        let block = blocks.tokens() * token_bytes;
        Strides {
            block_y: blocks.blocks_x * block,
            block_x: block,
            y: blocks.inner_x * token_bytes,
            x: token_bytes,
            ..Strides::default()
        }
    }

    /// Tokens of a raster plane with `y` bytes between the token rows and `x` between the token columns of the walk.
    ///
    /// Strides are two's complement numbers of 32 bits: those that lead past the plane's end are never used.
    pub fn raster(blocks: Blocks, y: u32, x: u32) -> Strides {
        let Blocks { blocks_y, blocks_x, inner_y, inner_x, shift } = blocks;
        let (block_y, block_x) = (inner_y.wrapping_mul(y), inner_x.wrapping_mul(x));
        Strides {
            start: shift.wrapping_mul(y.wrapping_add(x)),
            block_y,
            block_x,
            y,
            x,
            wrap_y: if shift > 0 { blocks_y.wrapping_mul(block_y) } else { 0 },
            wrap_x: if shift > 0 { blocks_x.wrapping_mul(block_x) } else { 0 },
        }
    }

    /// The strides of a strip of the walk, from its own first token on.
    pub fn of_strip(self, strip: &Strip) -> Strides {
        let strides = [self.block_y, self.block_x, self.y, self.x];
        let steps = strip.first.iter().zip(strides).map(|(count, stride)| count.wrapping_mul(stride));
        Strides {
            start: steps.fold(self.start, u32::wrapping_add),
            wrap_y: if strip.last_row { self.wrap_y } else { 0 },
            wrap_x: if strip.last_column { self.wrap_x } else { 0 },
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::network::Windows;
    use proptest::prelude::*;

    const GRID: Grid = Grid { rows: 6, columns: 10 };

    fn strips(walk: Walk, most: u32) -> Option<Vec<Strip>> {
        Blocks::new(walk, GRID).strips(walk, most)
    }

    /// Rows and columns of a strip's tokens, over all blocks.
    fn tokens(strip: &Strip, whole: Blocks) -> impl Iterator<Item = (u32, u32)> {
        let Strip { blocks: b, first: [block_y, block_x, y, x], .. } = *strip;
        (0..b.blocks_y * b.blocks_x * b.tokens()).map(move |n| {
            let (block, inner) = (n / b.tokens(), n % b.tokens());
            (
                (block_y + block / b.blocks_x) * whole.inner_y + y + inner / b.inner_x,
                (block_x + block % b.blocks_x) * whole.inner_x + x + inner % b.inner_x,
            )
        })
    }

    proptest! {
        #[test]
        fn strips_are_the_walk_in_its_order(most in 1u32..70, window in prop::sample::select(vec![0usize, 1, 2])) {
            let walk = if window == 0 { Walk::Raster } else { Walk::Windows(Windows { size: window, shift: 0 }) };
            let whole = Blocks::new(walk, GRID);
            let Some(strips) = strips(walk, most) else {
                prop_assert!(most < (window * window) as u32);
                return Ok(());
            };
            let all = Blocks::new(walk, GRID).strips(walk, u32::MAX).unwrap();
            prop_assert_eq!(all.len(), 1);
            let mut visited = Vec::new();
            for strip in &strips {
                prop_assert!(strip.blocks.count() * strip.blocks.tokens() <= most);
                prop_assert_eq!(strip.tokens_before, visited.len() as u64);
                visited.extend(tokens(strip, whole));
            }
            prop_assert_eq!(visited, tokens(&all[0], whole).collect::<Vec<_>>());
        }
    }

    #[test]
    fn whole_rows_if_one_fits_else_pieces_of_a_row() {
        let counts = |walk, most| -> Vec<[u32; 4]> {
            let of = |b: Blocks| [b.blocks_y, b.blocks_x, b.inner_y, b.inner_x];
            strips(walk, most).unwrap().iter().map(|strip| of(strip.blocks)).collect()
        };
        assert_eq!(counts(Walk::Raster, 29), [[1, 1, 2, 10]; 3]);
        assert_eq!(counts(Walk::Raster, 49), [[1, 1, 4, 10], [1, 1, 2, 10]]);
        assert_eq!(counts(Walk::Raster, 7)[..3], [[1, 1, 1, 7], [1, 1, 1, 3], [1, 1, 1, 7]]);
        let windows = Walk::Windows(Windows { size: 2, shift: 1 });
        assert_eq!(counts(windows, 41), [[2, 5, 2, 2], [1, 5, 2, 2]]);
        assert_eq!(counts(windows, 15)[..3], [[1, 3, 2, 2], [1, 2, 2, 2], [1, 3, 2, 2]]);
        assert_eq!(strips(windows, 3), None);
        assert_eq!(strips(Walk::Raster, 0), None);
    }

    #[test]
    fn only_the_last_windows_wrap() {
        let windows = Walk::Windows(Windows { size: 2, shift: 1 });
        let strides = Strides::raster(Blocks::new(windows, GRID), 80, 8);
        let wraps = |most| -> Vec<(u32, u32, u32)> {
            let of = |strip: &Strip| {
                let strides = strides.of_strip(strip);
                (strides.start, strides.wrap_y, strides.wrap_x)
            };
            strips(windows, most).unwrap().iter().map(of).collect()
        };
        assert_eq!(wraps(40), [(88, 0, 80), (88 + 320, 480, 80)]);
        assert_eq!(wraps(12)[..2], [(88, 0, 0), (88 + 48, 0, 80)]);
        assert_eq!(wraps(12)[4..], [(88 + 320, 480, 0), (88 + 368, 480, 80)]);
    }
}
