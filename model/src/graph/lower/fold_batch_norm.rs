//! Batch norm: a gain for all weights of an output, and a constant.
//!
//! Behind a convolution or linear layer it scales rows and adds to the bias; on a sum of planes (a residual stream) it becomes their gains; in front of a layer, with no activation
//! between, its gains go into the columns of that layer and its constants into the bias. A convolution with padding cuts constants off at the
//! border, which [`Expression::mapped`] refuses. Gains may be negative: weights are signed.

use super::expression::Expression;
use crate::checkpoint::BatchNorm;

pub(super) fn fold(mut input: Expression, norm: &BatchNorm) -> Expression {
    let channels = input.channels;
    for term in &mut input.terms {
        term.map.scale_outputs(channels, |o| norm.gain[o]);
    }
    for ((offset, gain), constant) in input.offset.iter_mut().zip(&norm.gain).zip(&norm.offset) {
        *offset = gain * *offset + constant;
    }
    input
}

#[cfg(test)]
mod tests {
    use super::super::expression::Map;
    use super::super::samples::{node, plane};
    use super::*;
    use crate::network::Taps;

    fn norm() -> BatchNorm {
        BatchNorm { gain: vec![2.0, -3.0], offset: vec![0.25, 1.0] }
    }

    #[test]
    fn behind_a_layer_it_scales_rows_and_bias() {
        let map = Map::Dense(vec![1.0, 2.0, 3.0, 4.0]);
        let mut layer = plane(1, 1, 2).mapped(&node(), Taps::TOKEN, &map, 2).unwrap();
        layer.add_offset(&[1.0, 1.0]);
        let folded = fold(layer, &norm());
        let Map::Dense(data) = &folded.terms[0].map else { panic!("dense stays dense") };
        assert_eq!((&data[..], &folded.offset[..]), (&[2.0, 4.0, -9.0, -12.0][..], &[2.25, -2.0][..]));
    }

    #[test]
    fn in_front_of_a_layer_it_scales_columns() {
        let map = Map::Dense(vec![1.0, 2.0, 3.0, 4.0]);
        let folded = fold(plane(1, 1, 2), &norm()).mapped(&node(), Taps::TOKEN, &map, 2).unwrap();
        let Map::Dense(data) = &folded.terms[0].map else { panic!("dense of diagonal is dense") };
        assert_eq!((&data[..], &folded.offset[..]), (&[2.0, -6.0, 6.0, -12.0][..], &[2.25, 4.75][..]));
    }
}
