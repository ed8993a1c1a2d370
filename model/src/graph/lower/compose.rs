//! Two linear maps in a row as one.

use super::expression::{Entry, Map, Term};
use crate::error::ModelError;
use crate::graph::{Node, unmappable};
use crate::network::{Axis, Grid, Taps};
use std::collections::BTreeMap;

/// Largest number of weights that a composed map may have.
const MAX_WEIGHTS: usize = 1 << 28;

/// The taps of `outer` over a tensor on the grid `middle`, whose positions read the source of `term`; the result lies on `grid`.
///
/// Position `t * s2 - p2 + d2` of the tensor reads `(t * s2 - p2 + d2) * s1 - p1 + d1` of the source, so strides multiply. Outside its grid the
/// tensor is 0; that is so for the composed taps, too, if they read nothing there.
pub(super) fn taps(
    node: &Node,
    term: &Term,
    outer: Taps,
    middle: Grid,
    grid: Grid,
) -> Result<Taps, ModelError> {
    let rows = axis(term.taps.rows, outer.rows, [term.grid.rows, middle.rows, grid.rows]);
    let columns = axis(term.taps.columns, outer.columns, [term.grid.columns, middle.columns, grid.columns]);
    match (rows, columns) {
        (Some(rows), Some(columns)) => Ok(Taps { rows, columns }),
        _ => Err(unmappable(
            node,
            "its padding lies where the map before it, without an activation between, would not be 0",
            "put an activation between both, or set the padding of one of them to 0, and train again",
        )),
    }
}

fn axis(inner: Axis, outer: Axis, [source, middle, tokens]: [usize; 3]) -> Option<Axis> {
    let outside = |position: i64, size: usize| !(0..size as i64).contains(&position);
    let at =
        |axis: Axis, token: i64, tap: usize| token * axis.stride as i64 - axis.padding as i64 + tap as i64;
    let nothing_there =
        |position: i64| (0..inner.kernel).all(|tap| outside(at(inner, position, tap), source));
    let read = (0..tokens).flat_map(|token| (0..outer.kernel).map(move |tap| at(outer, token as i64, tap)));
    let mut beyond = read.filter(|&position| outside(position, middle));
    beyond.all(nothing_there).then_some(Axis {
        kernel: (outer.kernel - 1) * inner.stride + inner.kernel,
        stride: outer.stride * inner.stride,
        padding: outer.padding * inner.stride + inner.padding,
    })
}

/// The weights of `outer` of a tensor of `channels` that is the map of `term`, for the composed taps. The two passed [`check`].
pub(super) fn maps(
    node: &Node,
    term: &Term,
    channels: usize,
    taps: Taps,
    outer: &Map,
    composed: Taps,
    outputs: usize,
) -> Result<Map, ModelError> {
    // The combined tap of each pair of taps.
    let (inner_columns, outer_columns) = (term.taps.columns.kernel, taps.columns.kernel);
    let tap = |inner: usize, outer: usize| {
        let row = outer / outer_columns * term.taps.rows.stride + inner / inner_columns;
        let column = outer % outer_columns * term.taps.columns.stride + inner % inner_columns;
        row * composed.columns.kernel + column
    };
    let row_length = composed.count() * term.inputs;
    let room = || {
        if outputs * row_length <= MAX_WEIGHTS {
            return Ok(vec![0.0; outputs * row_length]);
        }
        Err(unmappable(
            node,
            format!(
                "it and the map before it are {outputs} x {row_length} weights together, 2^28 are allowed"
            ),
            "put an activation between both, and train again",
        ))
    };
    match (&term.map, outer) {
        (Map::Sparse(inner), Map::Sparse(rows)) => {
            let compose = |row: &Vec<Entry>| {
                let mut sums = BTreeMap::new();
                for to in row {
                    for from in &inner[to.channel] {
                        *sums.entry((tap(from.tap, to.tap), from.channel)).or_insert(0.0) +=
                            to.gain * from.gain;
                    }
                }
                sums.into_iter().map(|((tap, channel), gain)| Entry { tap, channel, gain }).collect()
            };
            Ok(Map::Sparse(rows.iter().map(compose).collect()))
        }
        (Map::Sparse(inner), Map::Dense(weights)) => {
            let mut data = room()?;
            for (row, weights) in data.chunks_mut(row_length).zip(weights.chunks(taps.count() * channels)) {
                for (at, weight) in weights.iter().enumerate() {
                    for from in &inner[at % channels] {
                        row[tap(from.tap, at / channels) * term.inputs + from.channel] += weight * from.gain;
                    }
                }
            }
            Ok(Map::Dense(data))
        }
        (Map::Dense(weights), Map::Sparse(rows)) if outer.is_diagonal() => {
            let mut data = room()?;
            let inner_length = term.taps.count() * term.inputs;
            for (o, row) in rows.iter().enumerate() {
                let out = &mut data[o * row_length..][..row_length];
                for to in row {
                    let weights = &weights[to.channel * inner_length..][..inner_length];
                    for (at, weight) in weights.iter().enumerate() {
                        out[tap(at / term.inputs, to.tap) * term.inputs + at % term.inputs] +=
                            to.gain * weight;
                    }
                }
            }
            Ok(Map::Dense(data))
        }
        (Map::Dense(_), _) => unreachable!("refused by `check`"),
    }
}

/// Refuses two dense maps in a row: their product has the taps of both, and mostly far more weights than they have.
pub(super) fn check(node: &Node, term: &Term, outer: &Map) -> Result<(), ModelError> {
    if matches!(term.map, Map::Sparse(_)) || outer.is_diagonal() {
        return Ok(());
    }
    Err(unmappable(
        node,
        "a linear layer or convolution comes before it without an activation between",
        "put an activation between both and train again, or multiply their weights and export one layer",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{node, plane};
    use super::*;
    use proptest::prelude::*;

    fn taps_strategy() -> impl Strategy<Value = Taps> {
        let axis = || {
            (1usize..4, 1usize..4)
                .prop_flat_map(|(kernel, stride)| (Just(kernel), Just(stride), 0..kernel))
                .prop_map(|(kernel, stride, padding)| Axis { kernel, stride, padding })
        };
        (axis(), axis()).prop_map(|(rows, columns)| Taps { rows, columns })
    }

    /// Plain loops: a sparse map with one channel, all gains 1, of numbers on a grid.
    fn sums(values: &[f64], source: Grid, taps: Taps) -> (Vec<f64>, Option<Grid>) {
        let Some(grid) = taps.grid(source) else { return (Vec::new(), None) };
        let sum = |token| taps.positions(source, grid, token).flatten().map(|at| values[at]).sum();
        ((0..grid.tokens()).map(sum).collect(), Some(grid))
    }

    proptest! {
        /// Wherever two maps are composed, the composed one computes the same; strides without padding are always composed.
        #[test]
        fn composed_taps_see_what_both_see(
            inner in taps_strategy(),
            outer in taps_strategy(),
            (rows, columns) in (1usize..9, 1usize..9),
        ) {
            let source = Grid { rows, columns };
            let values: Vec<f64> = (0..source.tokens()).map(|n| (n * n % 97) as f64 + 1.0).collect();
            let (middle, Some(middle_grid)) = sums(&values, source, inner) else { return Ok(()) };
            let (expected, Some(grid)) = sums(&middle, middle_grid, outer) else { return Ok(()) };
            let ones = |taps: Taps| Map::diagonal(1, taps.count(), |_, _| 1.0);
            let first = plane(rows, columns, 1).mapped(&node(), inner, &ones(inner), 1).unwrap();
            let both = match first.mapped(&node(), outer, &ones(outer), 1) {
                Ok(both) => both,
                Err(_) => {
                    prop_assert!(outer.rows.padding + outer.columns.padding > 0);
                    return Ok(());
                }
            };
            let term = &both.terms[0];
            prop_assert_eq!(both.grid, grid);
            prop_assert_eq!(term.taps.grid(source), Some(grid));
            let entries = term.map.row(0, term.taps.count(), 1);
            for (token, expected) in expected.iter().enumerate() {
                let read: Vec<_> = term.taps.positions(source, grid, token).collect();
                let sum: f64 = entries
                    .iter()
                    .filter_map(|entry| read[entry.tap].map(|at| entry.gain * values[at]))
                    .sum();
                prop_assert_eq!(sum, *expected, "token {}", token);
            }
        }
    }

    #[test]
    fn two_dense_maps_are_refused() {
        let dense = Map::Dense(vec![1.0; 4]);
        let first = plane(1, 1, 2).mapped(&node(), Taps::TOKEN, &dense, 2).unwrap();
        let said = first.mapped(&node(), Taps::TOKEN, &dense, 2).unwrap_err().to_string();
        assert!(said.contains("module `here`: a linear layer or convolution comes before it"), "{said}");
    }
}
