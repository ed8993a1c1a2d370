//! Average pooling: a diagonal map with a stride.
//!
//! In front of a layer it goes into that layer's taps, behind one into a larger kernel, in front of an activation it is a term of its own. Padding counts as 0, as
//! `count_include_pad` of frameworks has it: then every output divides by the same number. A mean over all positions stays one as
//! long as only maps of single positions follow, since the readout sums over tokens anyway.

use super::expression::{Expression, Map, Positions};
use crate::error::ModelError;
use crate::graph::Node;
use crate::network::{Axis, Taps};

pub(super) fn average(node: &Node, input: &Expression, taps: Taps) -> Result<Expression, ModelError> {
    let whole = taps.rows.kernel == input.grid.rows && taps.columns.kernel == input.grid.columns;
    if input.positions == Positions::Each && whole && !taps.is_padded() {
        return Ok(mean(input.clone()));
    }
    let input = input.spread(node)?;
    let (count, channels) = (taps.count(), input.channels);
    let share = 1.0 / count as f64;
    input.mapped(node, taps, &Map::diagonal(channels, count, |_, _| share), channels)
}

/// The mean over all positions.
pub(super) fn mean(input: Expression) -> Expression {
    Expression { positions: Positions::Averaged, ..input }
}

/// The mean over all positions of an expression, as taps.
pub(super) fn whole_grid(node: &Node, each: &Expression) -> Result<Expression, ModelError> {
    let axis = |kernel| Axis { kernel, stride: 1, padding: 0 };
    let taps = Taps { rows: axis(each.grid.rows), columns: axis(each.grid.columns) };
    let share = 1.0 / taps.count() as f64;
    each.mapped(node, taps, &Map::diagonal(each.channels, taps.count(), |_, _| share), each.channels)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{node, plane};
    use super::*;

    #[test]
    fn behind_an_activation_it_is_diagonal_with_its_stride() {
        let pooled = average(&node(), &plane(4, 6, 2), Taps::square(2, 2, 0)).unwrap();
        assert_eq!((pooled.grid.rows, pooled.grid.columns), (2, 3));
        assert!(pooled.terms[0].map.is_diagonal());
        assert!(
            pooled.terms[0].map.row(1, 4, 2).iter().all(|entry| entry.gain == 0.25 && entry.channel == 1)
        );
    }

    #[test]
    fn in_front_of_a_convolution_it_goes_into_its_taps() {
        let pooled = average(&node(), &plane(8, 8, 1), Taps::square(2, 2, 0)).unwrap();
        let both =
            pooled.mapped(&node(), Taps::square(3, 1, 1), &Map::Dense((1..=9).map(f64::from).collect()), 1);
        let both = both.unwrap();
        assert_eq!(both.terms[0].taps, Taps::square(6, 2, 2));
        let row = both.terms[0].map.row(0, 36, 1);
        assert_eq!([row[0].gain, row[7].gain, row[35].gain], [0.25, 0.25, 2.25]);
    }

    #[test]
    fn a_pool_of_the_whole_grid_is_the_mean() {
        let pooled = average(&node(), &plane(3, 3, 2), Taps::square(3, 3, 0)).unwrap();
        assert_eq!(pooled.positions, Positions::Averaged);
        let taps = pooled.spread(&node()).unwrap();
        assert_eq!((taps.terms[0].taps.count(), taps.grid.tokens()), (9, 1));
        assert_eq!(taps.terms[0].map.row(1, 9, 2)[8].gain, 1.0 / 9.0);
    }

    #[test]
    fn constants_do_not_survive_padding() {
        let mut input = plane(4, 4, 1);
        input.add_offset(&[1.0]);
        assert_eq!(average(&node(), &input, Taps::square(2, 2, 0)).unwrap().offset, [1.0]);
        assert!(average(&node(), &input, Taps::square(3, 2, 1)).is_err());
    }
}
