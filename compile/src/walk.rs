//! How a layer's tokens are visited, and with which strides that reads or writes a plane.

use isa::program::{PlaneLayout, TokenOrder};
use model::network::{Grid, Walk, Windows};

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

    /// Tokens of a raster plane with `row` bytes between the token rows and `x` between the token columns of the walk.
    pub fn raster(blocks: Blocks, row: u32, x: u32) -> Strides {
        let Blocks { blocks_y, blocks_x, inner_y, inner_x, shift } = blocks;
        Strides {
            start: shift * (row + x),
            block_y: inner_y * row,
            block_x: inner_x * x,
            y: row,
            x,
            wrap_y: if shift > 0 { blocks_y * inner_y * row } else { 0 },
            wrap_x: if shift > 0 { blocks_x * inner_x * x } else { 0 },
        }
    }

    /// How `walk` over `grid` visits `plane`; `None` if the plane's order cannot be visited so. `step` is the number of plane rows
    /// and columns from one token of the walk to the next: 2 for patch merging, otherwise 1.
    pub fn of_plane(walk: Walk, grid: Grid, plane: &PlaneLayout, step: u32) -> Option<Strides> {
        let blocks = Blocks::new(walk, grid);
        match plane.order {
            TokenOrder::Raster => {
                let x = step * plane.token_bytes();
                Some(Strides::raster(blocks, plane.grid.columns as u32 * x, x))
            }
            TokenOrder::Windows { size, shift }
                if walk == Walk::Windows(Windows { size, shift }) && step == 1 =>
            {
                Some(Strides::linear(blocks, plane.token_bytes()))
            }
            _ => None,
        }
    }
}
