//! In which order the tokens and channels of each plane lie.

use crate::ProgramError;
use isa::CoreConfig;
use isa::program::{PlaneLayout, TokenOrder};
use model::network::{Grid, LayerId, Network, Operation, Walk, Windows};

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
        let order = if is_raster(windows, layer.grid) {
            TokenOrder::Raster
        } else {
            TokenOrder::Windows { size: windows.size, shift: windows.shift }
        };
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
        let (order, groups) = match &layer.operation {
            _ if layer.neuron.is_none() => return None,
            Operation::Scores { heads, .. } => (TokenOrder::Scores { heads: *heads }, 1),
            _ => wish.map_or((TokenOrder::Raster, 1), |(wish, _)| (wish.order, wish.groups)),
        };
        let group_channels = layer.channels / groups;
        let group_bytes = padded(group_channels, core);
        Some(PlaneLayout { base: 0, grid: layer.grid, order, groups, group_channels, group_bytes, chunks })
    };
    Ok(wishes.into_iter().enumerate().map(layout).collect())
}
