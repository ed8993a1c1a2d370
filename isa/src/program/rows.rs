//! Cuts an image into the rows that a layer reads.

use super::InputLayout;
use crate::ImageShape;

/// The rows of `input`, token by token in raster order: the pixels of each tap channel by channel, those outside the image 0, each row padded with
/// zeros.
///
/// `image` holds `shape.bytes()` pixels, channel by channel and row by row.
pub(super) fn rows(image: &[u8], shape: ImageShape, input: &InputLayout) -> Vec<u8> {
    let mut rows = Vec::with_capacity(input.bytes());
    let area = shape.height * shape.width;
    for token in 0..input.grid.tokens() {
        for position in input.taps.positions(shape.grid(), input.grid, token) {
            let byte = |channel: usize| position.and_then(|at| image.get(channel * area + at)).copied();
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
    fn rows_are_cut_tap_by_tap_with_a_border_of_zeros() {
        let shape = ImageShape { height: 2, width: 2, channels: 2 };
        let (grid, taps) = (Grid { rows: 1, columns: 2 }, Taps::square(2, 1, 1));
        let input = InputLayout { base: 0, row_bytes: 16, grid, taps };
        let rows = rows(&[1, 2, 3, 4, 5, 6, 7, 8], shape, &input);
        let first = [0, 0, 0, 0, 0, 0, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0];
        let second = [0, 0, 0, 0, 1, 5, 2, 6, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(rows, [first, second].concat());
    }
}
