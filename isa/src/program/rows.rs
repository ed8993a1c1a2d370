//! Cuts an image into the rows that a layer reads.

use super::InputLayout;
use crate::ImageShape;

/// The rows of `input`, token by token in raster order: the pixels of each tap channel by channel, those outside the image the border's, each row padded
/// with zeros.
///
/// `image` holds `shape.bytes()` pixels, channel by channel and row by row, `border` a byte a channel, or none for zeros.
pub(super) fn rows((image, border): (&[u8], &[u8]), shape: ImageShape, input: &InputLayout) -> Vec<u8> {
    let mut rows = Vec::with_capacity(input.bytes());
    let area = shape.height * shape.width;
    for token in 0..input.grid.tokens() {
        for position in input.taps.positions(shape.grid(), input.grid, token) {
            let byte = |channel: usize| match position {
                Some(at) => image.get(channel * area + at).copied(),
                None => border.get(channel).copied(),
            };
            rows.extend((0..shape.channels).map(|channel| byte(channel).unwrap_or(0)));
        }
        rows.resize((token + 1) * input.row_bytes as usize, 0);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grid, Taps};

    #[test]
    fn rows_are_cut_tap_by_tap_with_a_border() {
        let shape = ImageShape { height: 2, width: 2, channels: 2 };
        let (grid, taps) = (Grid { rows: 1, columns: 2 }, Taps::square(2, 1, 1));
        let input = InputLayout { base: 0, row_bytes: 16, grid, taps };
        let image = [1, 2, 3, 4, 5, 6, 7, 8];
        let first = [0, 0, 0, 0, 0, 0, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0];
        let second = [0, 0, 0, 0, 1, 5, 2, 6, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(rows((&image, &[]), shape, &input), [first, second].concat());
        let first = [10, 20, 10, 20, 10, 20, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0];
        let second = [10, 20, 10, 20, 1, 5, 2, 6, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(rows((&image, &[10, 20]), shape, &input), [first, second].concat());
    }
}
