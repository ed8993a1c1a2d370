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
    /// Which of its tokens are in the row band, and in the column band. See "Addresses" in [`isa::descriptor`].
    pub bands: [Band; 2],
    /// Tokens of the layer before its first.
    pub tokens_before: u64,
}

/// Which tokens of a strip are in a band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Band {
    /// None: it lies before the band.
    None,
    /// The last `shift` rows or columns of its last blocks.
    Last,
    /// All.
    All,
}

impl Blocks {
    /// The walk in strips of at most `most` tokens, in its order: whole rows of blocks or runs of blocks of a row; where no block fits, whole rows of
    /// tokens of a block or pieces of a row. `None` if not even one token fits.
    pub fn strips(self, most: u32) -> Option<Vec<Strip>> {
        match most {
            0 => None,
            _ if most >= self.tokens() => Some(self.block_strips(most / self.tokens()).collect()),
            _ => Some(self.block_strips(1).flat_map(|block| self.token_strips(block, most)).collect()),
        }
    }

    /// Strips of at most `most` blocks.
    fn block_strips(self, most: u32) -> impl Iterator<Item = Strip> {
        let whole = [self.blocks_y, self.blocks_x];
        let band = move |last: bool| if last && self.shift > 0 { Band::Last } else { Band::None };
        pieces(whole, whole, most).map(move |[y, blocks_y, x, blocks_x]| Strip {
            blocks: Blocks { blocks_y, blocks_x, ..self },
            first: [y, x, 0, 0],
            bands: [band(y + blocks_y == self.blocks_y), band(x + blocks_x == self.blocks_x)],
            tokens_before: u64::from(y * self.blocks_x + x) * u64::from(self.tokens()),
        })
    }

    /// Strips of at most `most` tokens of one block, each before a band or in it.
    fn token_strips(self, block: Strip, most: u32) -> impl Iterator<Item = Strip> {
        let Strip { first: [block_y, block_x, ..], bands, tokens_before, .. } = block;
        let whole = [self.inner_y, self.inner_x];
        let band = [0, 1].map(|axis| whole[axis] - if bands[axis] == Band::Last { self.shift } else { 0 });
        pieces(whole, band, most).map(move |[y, inner_y, x, inner_x]| Strip {
            blocks: Blocks { blocks_y: 1, blocks_x: 1, inner_y, inner_x, shift: 0 },
            first: [block_y, block_x, y, x],
            bands: [(y, band[0]), (x, band[1])]
                .map(|(first, band)| if first < band { Band::None } else { Band::All }),
            tokens_before: tokens_before + u64::from(y * self.inner_x + x),
        })
    }
}

/// Cuts `[height, width]` into pieces of at most `most`, none on both sides of `cut`, in the order of the rows: first row and rows, first column and
/// columns. A piece has several rows only if they are whole.
fn pieces([height, width]: [u32; 2], cut: [u32; 2], most: u32) -> impl Iterator<Item = [u32; 4]> {
    let runs = |from: u32, to: u32, most: u32| {
        (from..to).step_by(most as usize).map(move |first| [first, most.min(to - first)])
    };
    let runs = move |size: u32, cut: u32, most: u32| runs(0, cut, most).chain(runs(cut, size, most));
    let rows = if runs(width, cut[1], most).count() == 1 { most / width } else { 1 };
    runs(height, cut[0], rows)
        .flat_map(move |[y, rows]| runs(width, cut[1], most).map(move |[x, columns]| [y, rows, x, columns]))
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
        let start = steps.fold(self.start, u32::wrapping_add);
        let wraps = [(strip.bands[0], self.wrap_y), (strip.bands[1], self.wrap_x)];
        let of = |band: Band| wraps.map(|(found, wrap)| if found == band { wrap } else { 0 });
        let ([all_y, all_x], [wrap_y, wrap_x]) = (of(Band::All), of(Band::Last));
        Strides { start: start.wrapping_sub(all_y).wrapping_sub(all_x), wrap_y, wrap_x, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::network::Windows;
    use proptest::prelude::*;

    const GRID: Grid = Grid { rows: 6, columns: 10 };
    const SQUARE: Grid = Grid { rows: 6, columns: 6 };

    fn strips(walk: Walk, most: u32) -> Option<Vec<Strip>> {
        Blocks::new(walk, GRID).strips(most)
    }

    /// Bytes from the base to each token of a strip, as the core finds them.
    fn offsets(strip: &Strip, strides: Strides) -> Vec<u32> {
        let (b, s) = (strip.blocks, strides.of_strip(strip));
        let mut found = Vec::new();
        for (block_y, block_x) in (0..b.blocks_y).flat_map(|y| (0..b.blocks_x).map(move |x| (y, x))) {
            for (y, x) in (0..b.inner_y).flat_map(|y| (0..b.inner_x).map(move |x| (y, x))) {
                let wrap_y = block_y + 1 == b.blocks_y && y + b.shift >= b.inner_y && b.shift > 0;
                let wrap_x = block_x + 1 == b.blocks_x && x + b.shift >= b.inner_x && b.shift > 0;
                let at = s.start + block_y * s.block_y + block_x * s.block_x + y * s.y + x * s.x;
                found.push(at - if wrap_y { s.wrap_y } else { 0 } - if wrap_x { s.wrap_x } else { 0 });
            }
        }
        found
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
        fn strips_are_the_walk_in_its_order(most in 1u32..70, window in 0usize..3, shift in 0usize..2) {
            let windows = |size| Walk::Windows(Windows { size, shift: shift.min(size - 1) });
            let walk = if window == 0 { Walk::Raster } else { windows(window) };
            let whole = Blocks::new(walk, GRID);
            let all = strips(walk, u32::MAX).unwrap();
            prop_assert_eq!(all.len(), 1);
            let strides = Strides::raster(whole, 80, 8);
            let (mut visited, mut at) = (Vec::new(), Vec::new());
            for strip in &strips(walk, most).unwrap() {
                prop_assert!(strip.blocks.count() * strip.blocks.tokens() <= most);
                prop_assert_eq!(strip.tokens_before, visited.len() as u64);
                visited.extend(tokens(strip, whole));
                at.extend(offsets(strip, strides));
            }
            prop_assert_eq!(visited, tokens(&all[0], whole).collect::<Vec<_>>());
            prop_assert_eq!(at, offsets(&all[0], strides));
        }
    }

    #[test]
    fn whole_rows_if_one_fits_else_pieces_of_a_row() {
        let counts_of = |grid, walk, most| -> Vec<[u32; 4]> {
            let of = |b: Blocks| [b.blocks_y, b.blocks_x, b.inner_y, b.inner_x];
            Blocks::new(walk, grid).strips(most).unwrap().iter().map(|strip| of(strip.blocks)).collect()
        };
        let counts = |walk, most| counts_of(GRID, walk, most);
        assert_eq!(counts(Walk::Raster, 29), [[1, 1, 2, 10]; 3]);
        assert_eq!(counts(Walk::Raster, 49), [[1, 1, 4, 10], [1, 1, 2, 10]]);
        assert_eq!(counts(Walk::Raster, 7)[..3], [[1, 1, 1, 7], [1, 1, 1, 3], [1, 1, 1, 7]]);
        let windows = Walk::Windows(Windows { size: 2, shift: 1 });
        assert_eq!(counts(windows, 41), [[2, 5, 2, 2], [1, 5, 2, 2]]);
        assert_eq!(counts(windows, 15)[..3], [[1, 3, 2, 2], [1, 2, 2, 2], [1, 3, 2, 2]]);
        assert_eq!(counts(windows, 3)[..2], [[1, 1, 1, 2]; 2]);
        let large = |shift, most| counts_of(SQUARE, Walk::Windows(Windows { size: 6, shift }), most);
        assert_eq!(large(0, 17), [[1, 1, 2, 6]; 3]);
        // The only window is the last, whose last rows and columns lie elsewhere.
        assert_eq!(large(2, 17)[..3], [[1, 1, 1, 4], [1, 1, 1, 2], [1, 1, 1, 4]]);
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
