//! Cuts an image into the rows that an analog layer reads.

use super::InputLayout;
use crate::ImageShape;

/// The rows of `input`, token by token in raster order: the pixels of a patch channel by channel and row by row, pixels outside
/// the image 0, each row padded with zeros.
///
/// `image` holds `shape.bytes()` pixels, channel by channel and row by row.
pub(super) fn rows(image: &[u8], shape: ImageShape, input: &InputLayout) -> Vec<u8> {
    let mut rows = Vec::with_capacity(input.bytes());
    for token in 0..input.grid.tokens() {
        let pixels = input.patch.pixels(shape, input.grid, token);
        rows.extend(pixels.map(|at| at.and_then(|at| image.get(at)).copied().unwrap_or(0)));
        rows.resize((token + 1) * input.row_bytes as usize, 0);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grid, Patch};

    #[test]
    fn patches_are_cut_channel_by_channel_with_a_border_of_zeros() {
        let shape = ImageShape { height: 2, width: 2, channels: 2 };
        let input = InputLayout {
            base: 0,
            row_bytes: 24,
            grid: Grid { rows: 1, columns: 2 },
            patch: Patch { kernel: 3, stride: 1, padding: 1 },
        };
        let rows = rows(&[1, 2, 3, 4, 5, 6, 7, 8], shape, &input);
        let first = [0, 0, 0, 0, 1, 2, 0, 3, 4, 0, 0, 0, 0, 5, 6, 0, 7, 8, 0, 0, 0, 0, 0, 0];
        let second = [0, 0, 0, 1, 2, 0, 3, 4, 0, 0, 0, 0, 5, 6, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(rows, [first, second].concat());
    }
}
