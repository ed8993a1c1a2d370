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
