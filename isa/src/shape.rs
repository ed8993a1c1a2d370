//! Sizes that networks, programs and images share.

use serde::{Deserialize, Serialize};

/// Rows and columns of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    /// Token rows.
    pub rows: usize,
    /// Token columns.
    pub columns: usize,
}

impl Grid {
    /// Number of tokens.
    pub fn tokens(self) -> usize {
        self.rows * self.columns
    }
}

/// How patches are cut from the image: `analog` inputs are the pixels of a `kernel * kernel` patch, channel by channel, row
/// by row; pixels outside the image are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// Rows and columns of a patch.
    pub kernel: usize,
    /// Distance between patches.
    pub stride: usize,
    /// Pixels added on each side of the image.
    pub padding: usize,
}

impl Patch {
    /// Patches along one side of an image, or `None` if not even one fits.
    pub fn along(self, pixels: usize) -> Option<usize> {
        Some((pixels + 2 * self.padding).checked_sub(self.kernel)? / self.stride + 1)
    }

    /// Where in the image the inputs of `token`, a token of `grid`, lie: channel by channel, row by row. `None` outside the image, where an
    /// input is 0.
    pub fn pixels(
        self,
        image: ImageShape,
        grid: Grid,
        token: usize,
    ) -> impl Iterator<Item = Option<usize>> + Clone {
        let (top, left) = (token / grid.columns * self.stride, token % grid.columns * self.stride);
        // Wraps below 0 to a position far outside.
        let from = move |start: usize, i: usize| (start + i).wrapping_sub(self.padding);
        (0..image.channels).flat_map(move |channel| {
            (0..self.kernel).flat_map(move |y| {
                let row = from(top, y);
                let start = (row < image.height).then(|| (channel * image.height + row) * image.width);
                (0..self.kernel).map(move |x| {
                    let column = from(left, x);
                    start.filter(|_| column < image.width).map(|start| start + column)
                })
            })
        })
    }
}

/// The image that a network classifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageShape {
    /// Pixel rows.
    pub height: usize,
    /// Pixel columns.
    pub width: usize,
    /// Bytes a pixel; pixels are stored channel by channel.
    pub channels: usize,
}

impl ImageShape {
    /// Bytes of one image.
    pub fn bytes(self) -> usize {
        self.height * self.width * self.channels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_cut_channel_by_channel_with_a_border() {
        let image = ImageShape { height: 2, width: 2, channels: 2 };
        let (grid, patch) = (Grid { rows: 1, columns: 2 }, Patch { kernel: 3, stride: 1, padding: 1 });
        let pixels = |token| -> Vec<i32> {
            patch.pixels(image, grid, token).map(|at| at.map_or(-1, |at| at as i32)).collect()
        };
        assert_eq!(pixels(0), [-1, -1, -1, -1, 0, 1, -1, 2, 3, -1, -1, -1, -1, 4, 5, -1, 6, 7]);
        assert_eq!(pixels(1), [-1, -1, -1, 0, 1, -1, 2, 3, -1, -1, -1, -1, 4, 5, -1, 6, 7, -1]);
    }
}
