//! Where a layer's spikes lie in memory.

use super::ProgramError;
use isa::CoreConfig;
use model::network::{Grid, LayerId, Network, Operation, Walk, Windows};
use serde::{Deserialize, Serialize};

/// In which order a plane's tokens lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenOrder {
    /// Row by row of the grid.
    Raster,
    /// Window by window, and inside a window row by row: what attention reads.
    Windows(Windows),
    /// Head by head, window by window, query by query: the output of `scores`.
    Scores {
        /// Attention heads.
        heads: usize,
        /// The windows that attend.
        windows: Windows,
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
            TokenOrder::Scores { heads, .. } => heads * self.grid.tokens(),
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
            TokenOrder::Windows(w) => {
                let Grid { rows, columns } = self.grid;
                let row = (token / columns + rows - w.shift % rows) % rows;
                let column = (token % columns + columns - w.shift % columns) % columns;
                let window = row / w.size * (columns / w.size) + column / w.size;
                window * w.size * w.size + row % w.size * w.size + column % w.size
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

/// `bytes`, padded to the bus width.
pub fn padded(bytes: usize, core: &CoreConfig) -> u32 {
    bytes.next_multiple_of(core.bus_bytes() as usize) as u32
}

/// How a reader wants a plane to lie.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Wish {
    order: TokenOrder,
    groups: usize,
}

/// Whether walking these windows visits the tokens in raster order.
fn is_raster(windows: Windows, grid: Grid) -> bool {
    windows.shift == 0 && windows.size == grid.columns
}

/// The layout of every layer's plane (all but the readout's), with `base` 0.
///
/// # Errors
/// [`ProgramError::Layout`] if two readers of a plane want different orders of its tokens or channels.
pub fn layouts(
    network: &Network,
    chunks: u32,
    core: &CoreConfig,
) -> Result<Vec<Option<PlaneLayout>>, ProgramError> {
    let mut wishes: Vec<Option<(Wish, usize)>> = vec![None; network.layers.len()];
    let mut wish = |plane: LayerId, reader: usize, wish: Wish| match wishes[plane.0] {
        Some((earlier, other)) if earlier != wish => Err(ProgramError::Layout {
            index: reader,
            layer: network.layers[reader].name.clone(),
            plane: network.layer(plane).name.clone(),
            reason: format!(
                "layer {other} `{}` reads it with other windows or heads; attention layers that share a plane must agree in both",
                network.layers[other].name
            ),
        }),
        _ => {
            wishes[plane.0] = Some((wish, reader));
            Ok(())
        }
    };
    for (index, layer) in network.layers.iter().enumerate() {
        let Walk::Windows(windows) = layer.walk else { continue };
        let order =
            if is_raster(windows, layer.grid) { TokenOrder::Raster } else { TokenOrder::Windows(windows) };
        match &layer.operation {
            Operation::Scores { query, key, heads, .. } => {
                wish(*query, index, Wish { order, groups: *heads })?;
                wish(*key, index, Wish { order, groups: *heads })?;
            }
            Operation::Context { value, heads, .. } => {
                wish(*value, index, Wish { order, groups: *heads })?;
                wish(LayerId(index), index, Wish { order: TokenOrder::Raster, groups: *heads })?;
            }
            _ => {}
        }
    }
    let layout = |(index, wish): (usize, Option<(Wish, usize)>)| {
        let layer = &network.layers[index];
        let (order, groups) = match (&layer.operation, layer.walk) {
            (Operation::Readout { .. }, _) => return None,
            (Operation::Scores { heads, .. }, Walk::Windows(windows)) => {
                (TokenOrder::Scores { heads: *heads, windows }, 1)
            }
            _ => wish.map_or((TokenOrder::Raster, 1), |(wish, _)| (wish.order, wish.groups)),
        };
        let group_channels = layer.channels / groups;
        let group_bytes = padded(group_channels, core);
        Some(PlaneLayout { base: 0, grid: layer.grid, order, groups, group_channels, group_bytes, chunks })
    };
    Ok(wishes.into_iter().enumerate().map(layout).collect())
}
