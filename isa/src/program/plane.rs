//! Where a layer's spikes lie in memory.

use crate::{CHUNK_STEPS, Grid};
use serde::{Deserialize, Serialize};

/// In which order a plane's tokens lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenOrder {
    /// Row by row of the grid.
    Raster,
    /// Window by window, and inside a window row by row: what attention reads.
    Windows {
        /// Rows and columns of a window.
        size: usize,
        /// Cyclic shift in rows and columns.
        shift: usize,
    },
    /// Head by head, window by window, query by query: the output of `scores`.
    Scores {
        /// Attention heads.
        heads: usize,
    },
}

/// Where the spikes of one layer lie: its tokens, chunks and channels.
///
/// The spike byte of a token's channel in one chunk of 8 time steps is at [`PlaneLayout::address`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaneLayout {
    /// Byte offset in the memory window.
    pub base: u32,
    /// Tokens of the layer (for `scores`: of the grid whose windows attend).
    pub grid: Grid,
    /// Order of the tokens.
    pub order: TokenOrder,
    /// Groups of channels side by side in a row (attention heads), 1 or more.
    pub groups: usize,
    /// Channels in a group.
    pub group_channels: usize,
    /// Bytes between groups: the channels of a group, padded to the bus width.
    pub group_bytes: u32,
    /// Chunks of 8 time steps in a token, 1..=8.
    pub chunks: u32,
}

impl PlaneLayout {
    /// Bytes of one chunk of a token.
    pub fn row_bytes(&self) -> u32 {
        self.groups as u32 * self.group_bytes
    }

    /// Bytes between tokens.
    pub fn token_bytes(&self) -> u32 {
        self.chunks * self.row_bytes()
    }

    /// Channels of the layer.
    pub fn channels(&self) -> usize {
        self.groups * self.group_channels
    }

    /// Tokens in the plane.
    pub fn tokens(&self) -> usize {
        match self.order {
            TokenOrder::Scores { heads } => heads * self.grid.tokens(),
            _ => self.grid.tokens(),
        }
    }

    /// Bytes of the plane.
    pub fn bytes(&self) -> u64 {
        self.tokens() as u64 * u64::from(self.token_bytes())
    }

    /// The channel that lies at byte `position` of a row, or `None` for padding.
    pub fn channel_at(&self, position: usize) -> Option<usize> {
        let (group, channel) = (position / self.group_bytes as usize, position % self.group_bytes as usize);
        (group < self.groups && channel < self.group_channels).then(|| group * self.group_channels + channel)
    }

    /// The byte of a row at which `channel` lies.
    pub fn position_of(&self, channel: usize) -> usize {
        channel / self.group_channels * self.group_bytes as usize + channel % self.group_channels
    }

    /// The place in memory of token `token`, counted as the layer's plane does: raster order, or head, window, query for `scores`.
    pub fn slot_of(&self, token: usize) -> usize {
        match self.order {
            TokenOrder::Raster | TokenOrder::Scores { .. } => token,
            TokenOrder::Windows { size, shift } => {
                let Grid { rows, columns } = self.grid;
                let row = (token / columns + rows - shift % rows) % rows;
                let column = (token % columns + columns - shift % columns) % columns;
                let window = row / size * (columns / size) + column / size;
                window * size * size + row % size * size + column % size
            }
        }
    }

    /// Byte offset in the memory window of the spikes of `channel` in time steps `8 * chunk ..` of `token`.
    pub fn address(&self, token: usize, chunk: u32, channel: usize) -> u64 {
        u64::from(self.base)
            + self.slot_of(token) as u64 * u64::from(self.token_bytes())
            + u64::from(chunk * self.row_bytes())
            + self.position_of(channel) as u64
    }

    /// Whether the channels of both planes lie at the same bytes of a row.
    pub fn same_channels(&self, other: &PlaneLayout) -> bool {
        self.row_bytes() == other.row_bytes()
            && (0..self.row_bytes() as usize).all(|p| self.channel_at(p) == other.channel_at(p))
    }
}

/// The spikes of one layer, as they lie in memory after a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Where each spike byte lies.
    pub layout: PlaneLayout,
    /// Time steps T: bits beyond are 0.
    pub time_steps: u32,
    /// The [`bytes`](PlaneLayout::bytes) from the layout's base on.
    pub bytes: Vec<u8>,
}

impl Plane {
    /// A plane without spikes.
    pub fn new(layout: PlaneLayout, time_steps: u32) -> Plane {
        Plane { bytes: vec![0; layout.bytes() as usize], layout, time_steps }
    }

    /// Index of the byte with the spikes of `channel` in time steps `8 * chunk ..` of `token`.
    pub fn index(&self, token: usize, chunk: u32, channel: usize) -> usize {
        (self.layout.address(token, chunk, channel) - u64::from(self.layout.base)) as usize
    }

    /// The first token, channel and time step beyond the last at which memory holds a spike.
    pub fn beyond_the_last_step(&self) -> Option<(usize, usize, u32)> {
        let chunk = self.layout.chunks - 1;
        let steps = self.time_steps - CHUNK_STEPS * chunk;
        let cells = (0..self.layout.tokens()).flat_map(|t| (0..self.layout.channels()).map(move |c| (t, c)));
        cells.into_iter().find_map(|(token, channel)| {
            let beyond = u32::from(self.bytes[self.index(token, chunk, channel)]) >> steps;
            let first = CHUNK_STEPS * chunk + steps + beyond.trailing_zeros();
            (beyond != 0).then_some((token, channel, first))
        })
    }
}
