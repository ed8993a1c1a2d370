//! Flattening and merging: maps that only move channels.
//!
//! A linear layer behind them reads taps: all positions of the grid behind a flatten, whose channels come in PyTorch's order (channel by channel,
//! row by row), 2 x 2 neighbours behind a merge.

use super::expression::{Entry, Expression, Map, Positions};
use crate::error::ModelError;
use crate::graph::{Node, unmappable};
use crate::network::{Axis, Taps};

/// Channel `c * positions + p` is channel `c` at position `p`.
pub(super) fn flatten(node: &Node, input: &Expression) -> Result<Expression, ModelError> {
    // One position already has its channels in that order.
    if input.positions == Positions::Averaged || input.grid.tokens() == 1 {
        return Ok(input.clone());
    }
    let axis = |kernel| Axis { kernel, stride: 1, padding: 0 };
    let taps = Taps { rows: axis(input.grid.rows), columns: axis(input.grid.columns) };
    let positions = taps.count();
    selected(node, input, taps, input.channels * positions, |o| (o % positions, o / positions))
}

/// Channel `q * channels + c` is channel `c` of neighbour `q`.
pub(super) fn merge(node: &Node, input: &Expression) -> Result<Expression, ModelError> {
    let channels = input.channels;
    selected(node, &input.spread(node)?, Taps::square(2, 2, 0), 4 * channels, |o| {
        (o / channels, o % channels)
    })
}

/// Outputs that each are one (tap, channel) of the input.
fn selected(
    node: &Node,
    input: &Expression,
    taps: Taps,
    outputs: usize,
    from: impl Fn(usize) -> (usize, usize),
) -> Result<Expression, ModelError> {
    if input.terms.iter().any(|term| matches!(term.map, Map::Dense(_))) {
        return Err(unmappable(
            node,
            "it moves channels of a linear layer or convolution, without an activation between",
            "put the activation before it; that changes nothing if it has one threshold for all channels",
        ));
    }
    let row = |o| {
        let (tap, channel) = from(o);
        vec![Entry { tap, channel, gain: 1.0 }]
    };
    let map = Map::Sparse((0..outputs).map(row).collect());
    input.mapped(node, taps, &map, outputs)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{node, plane};
    use super::*;

    #[test]
    fn a_flattened_channel_is_a_tap_of_a_channel() {
        let flat = flatten(&node(), &plane(2, 3, 4)).unwrap();
        assert_eq!((flat.grid.tokens(), flat.channels), (1, 24));
        // Channel 2, position (1, 1).
        let row = flat.terms[0].map.row(2 * 6 + 4, 6, 4);
        assert_eq!(row, [Entry { tap: 4, channel: 2, gain: 1.0 }]);
    }

    #[test]
    fn neighbours_are_merged_row_by_row() {
        let merged = merge(&node(), &plane(4, 4, 3)).unwrap();
        assert_eq!((merged.grid.tokens(), merged.terms[0].taps), (4, Taps::square(2, 2, 0)));
        assert_eq!(merged.terms[0].map.row(2 * 3 + 1, 4, 3), [Entry { tap: 2, channel: 1, gain: 1.0 }]);
    }

    #[test]
    fn a_mean_is_flat_already() {
        let mean = super::super::fold_pooling::mean(plane(2, 2, 3));
        assert_eq!(flatten(&node(), &mean).unwrap().channels, 3);
    }
}
