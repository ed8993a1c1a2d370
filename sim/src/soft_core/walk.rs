//! The tokens of a layer, where they read, and where they are written.

use isa::pass::START_BITS;
use isa::{Descriptor, Pass};

/// A token of the walk.
#[derive(Clone, Copy)]
pub struct Token {
    /// Row and column of its block.
    pub block: (u32, u32),
    /// Row and column in its block.
    pub inner: (u32, u32),
    /// Whether it lies in the row band.
    pub row_band: bool,
    /// Whether it lies in the column band.
    pub column_band: bool,
}

impl Token {
    /// Token `inner` of block `block`, both counted row by row.
    pub fn of(d: &Descriptor, block: u32, inner: u32) -> Token {
        let (block_y, block_x) = (block / d.blocks_x, block % d.blocks_x);
        let (y, x) = (inner / d.inner_x, inner % d.inner_x);
        let row_band = d.shift > 0 && block_y == d.blocks_y - 1 && y >= d.inner_y - d.shift;
        let column_band = d.shift > 0 && block_x == d.blocks_x - 1 && x >= d.inner_x - d.shift;
        Token { block: (block_y, block_x), inner: (y, x), row_band, column_band }
    }

    /// Byte offset from a base, with strides between block rows, block columns, token rows and token columns, and with both wraps. Addresses
    /// are 32 bits wide and wrap around.
    fn offset(self, strides: [u32; 4], wraps: [u32; 2]) -> u32 {
        let counts = [self.block.0, self.block.1, self.inner.0, self.inner.1];
        let sum = counts
            .iter()
            .zip(strides)
            .fold(0u32, |sum, (&count, stride)| sum.wrapping_add(count.wrapping_mul(stride)));
        let wrap = |band: bool, wrap: u32| if band { wrap } else { 0 };
        sum.wrapping_sub(wrap(self.row_band, wraps[0])).wrapping_sub(wrap(self.column_band, wraps[1]))
    }

    /// Where segment `segment` of a pass begins in a chunk for a group, or `None` if its position is outside the source.
    pub fn input(self, d: &Descriptor, pass: &Pass, segment: usize, group: u32, chunk: u32) -> Option<u32> {
        let entry = pass.table[segment];
        let position = |start: u32, token: u32, step: u32, tap: u32| {
            // Two's complement of `START_BITS` bits.
            let start = i64::from((start << (32 - START_BITS)) as i32 >> (32 - START_BITS));
            start + i64::from(token) * i64::from(step) + i64::from(tap)
        };
        let (y, x) = (self.block.0 * d.inner_y + self.inner.0, self.block.1 * d.inner_x + self.inner.1);
        let row = position(pass.start_y, y, pass.step_y, entry.dy);
        let column = position(pass.start_x, x, pass.step_x, entry.dx);
        if !(0..i64::from(pass.rows)).contains(&row) || !(0..i64::from(pass.columns)).contains(&column) {
            return None;
        }
        let strides = [pass.block_y_stride, pass.block_x_stride, pass.y_stride, pass.x_stride];
        let parts = [
            self.offset(strides, [pass.wrap_y, pass.wrap_x]),
            group.wrapping_mul(pass.group_stride),
            chunk.wrapping_mul(pass.chunk_stride),
        ];
        Some(parts.into_iter().fold(entry.base, u32::wrapping_add))
    }

    /// Where the token's output row begins in a chunk for a group.
    pub fn output(self, d: &Descriptor, group: u32, chunk: u32) -> u32 {
        let strides =
            [d.output_block_y_stride, d.output_block_x_stride, d.output_y_stride, d.output_x_stride];
        let parts = [
            self.offset(strides, [d.output_wrap_y, d.output_wrap_x]),
            group.wrapping_mul(d.output_group_stride),
            chunk.wrapping_mul(d.output_chunk_stride),
        ];
        parts.into_iter().fold(d.output_base, u32::wrapping_add)
    }
}
