//! Arrays of images: which axis is which, and how their elements come into the network's order.

use crate::error::ImageError;
use crate::fit::{self, Kind};
use crate::options::{Axes, Options};
use model::network::ImageShape;
use std::path::Path;

/// Images of one shape, channel by channel and row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Array {
    /// Shape of each.
    pub shape: ImageShape,
    /// Their number.
    pub count: usize,
    /// Their bytes, one image after the other.
    pub pixels: Vec<u8>,
}

/// The sizes of an array and how far apart its elements lie, axis by axis.
pub(crate) struct Layout {
    /// Elements along each axis.
    pub sizes: Vec<usize>,
    /// Elements between neighbours along each axis.
    pub strides: Vec<usize>,
}

impl Layout {
    /// The last index moves fastest.
    pub fn row_major(sizes: Vec<usize>) -> Layout {
        let mut strides = vec![1usize; sizes.len()];
        for axis in (1..sizes.len()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(sizes[axis]);
        }
        Layout { sizes, strides }
    }

    /// The first index moves fastest.
    pub fn column_major(sizes: Vec<usize>) -> Layout {
        let mut strides = vec![1usize; sizes.len()];
        for axis in 1..sizes.len() {
            strides[axis] = strides[axis - 1].saturating_mul(sizes[axis - 1]);
        }
        Layout { sizes, strides }
    }
}

/// Where an array keeps its images: size and stride of images, channels, rows and columns.
pub(crate) struct Images {
    axes: [(usize, usize); 4],
}

impl Images {
    /// Finds out which axis is which: by the option, or by what the network takes.
    ///
    /// # Errors
    /// If the array has not three or four axes, if no order of the axes gives images that the network takes, or if both do.
    pub fn find(
        path: &Path,
        layout: &Layout,
        network: ImageShape,
        options: &Options,
    ) -> Result<Images, ImageError> {
        let axis = |axis: usize| (layout.sizes[axis], layout.strides[axis]);
        let candidates = match (layout.sizes.len(), options.axes) {
            (3, None) => vec![Images { axes: [axis(0), (1, 0), axis(1), axis(2)] }],
            (3, Some(axes)) => {
                let reason = format!(
                    "--axes is {}, but the array has the three axes images, height and width; leave --axes out",
                    axes.name()
                );
                return Err(ImageError::file(path, reason));
            }
            (4, Some(Axes::Nchw)) => vec![Images { axes: [axis(0), axis(1), axis(2), axis(3)] }],
            (4, Some(Axes::Nhwc)) => vec![Images { axes: [axis(0), axis(3), axis(1), axis(2)] }],
            (4, None) => vec![
                Images { axes: [axis(0), axis(1), axis(2), axis(3)] },
                Images { axes: [axis(0), axis(3), axis(1), axis(2)] },
            ],
            _ => {
                let reason = format!(
                    "an array of shape {:?}, allowed: three axes (images, height, width) or four (images, channels, height, width, \
                     or images, height, width, channels)",
                    layout.sizes
                );
                return Err(ImageError::file(path, reason));
            }
        };
        let shapes: Vec<ImageShape> = candidates.iter().map(Images::shape).collect();
        let mut taken: Vec<Images> = candidates
            .into_iter()
            .filter(|images| fit::remedy(images.shape(), network, Kind::Array, options).is_none())
            .collect();
        match (taken.pop(), taken.pop()) {
            (Some(images), None) => Ok(images),
            (Some(_), Some(_)) => {
                let reason = format!(
                    "an array of shape {:?} has images of {} either way; say with --axes nchw or --axes nhwc where its channels are",
                    layout.sizes,
                    fit::text(network),
                );
                Err(ImageError::file(path, reason))
            }
            _ => {
                let found: Vec<String> = shapes.iter().copied().map(fit::text).collect();
                let remedy =
                    shapes.iter().find_map(|&shape| fit::remedy(shape, network, Kind::Array, options));
                Err(ImageError::Shape {
                    path: path.to_owned(),
                    found: found.join(" or "),
                    expected: fit::text(network),
                    remedy: remedy.unwrap_or(fit::OTHER_NETWORK),
                })
            }
        }
    }

    /// Shape of each image.
    fn shape(&self) -> ImageShape {
        let [_, (channels, _), (height, _), (width, _)] = self.axes;
        ImageShape { height, width, channels }
    }

    /// Brings the elements into order. `bytes` has as many elements as the layout says.
    pub fn gather(&self, bytes: Vec<u8>) -> Array {
        let [(count, image), (channels, channel), (height, row), (width, column)] = self.axes;
        let shape = self.shape();
        let in_order = [(column, 1), (row, width), (channel, width * height), (image, shape.bytes())];
        let channel_is_one = channels == 1;
        let ordered = in_order
            .into_iter()
            .enumerate()
            .all(|(place, (stride, expected))| stride == expected || (place == 2 && channel_is_one));
        if ordered {
            return Array { shape, count, pixels: bytes };
        }
        let mut pixels = Vec::with_capacity(bytes.len());
        for n in 0..count {
            for c in 0..channels {
                for y in 0..height {
                    let start = n * image + c * channel + y * row;
                    pixels.extend((0..width).map(|x| bytes[start + x * column]));
                }
            }
        }
        Array { shape, count, pixels }
    }
}
