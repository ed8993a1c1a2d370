//! Labelled images from `idx.gz` files, the format of MNIST and Fashion-MNIST.

use crate::container::format_error;
use crate::error::ModelError;
use crate::network::ImageShape;
use flate2::read::GzDecoder;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The test images.
    Test,
    /// The training images that training sees: all but the last [`HELD_OUT`].
    Train,
    /// The last [`HELD_OUT`] training images, on which training makes its choices.
    HeldOut,
}

/// Training images that training keeps for its choices, as `train/dataset.py` has it.
pub const HELD_OUT: usize = 5000;

impl Part {
    /// Files of images (one byte a pixel, row by row) and labels (one byte an image).
    pub fn files(self) -> [&'static str; 2] {
        match self {
            Part::Test => ["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"],
            Part::Train | Part::HeldOut => ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"],
        }
    }
}

/// Grey images with labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    shape: ImageShape,
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Dataset {
    /// Reads the test images and labels of a folder.
    ///
    /// # Errors
    /// If a file cannot be read or is no gzipped idx file of bytes, or if there are not as many labels as images: names the path.
    pub fn load(folder: &Path) -> Result<Dataset, ModelError> {
        Dataset::load_part(folder, Part::Test)
    }

    /// Reads one part of the data set in a folder.
    ///
    /// # Errors
    /// As [`Dataset::load`], and if there are no training images but the held-out ones.
    pub fn load_part(folder: &Path, part: Part) -> Result<Dataset, ModelError> {
        let [images, labels] = part.files().map(|name| folder.join(name));
        let mut data = Dataset::load_files(&images, &labels)?;
        if part == Part::Test {
            return Ok(data);
        }
        let count = data.len();
        let Some(first) = count.checked_sub(HELD_OUT).filter(|&first| first > 0) else {
            let reason = format!("{count} images, but {HELD_OUT} are held out: more are needed");
            return Err(format_error(reason).in_file(&images));
        };
        let cut = first * data.shape.bytes();
        if part == Part::Train {
            data.labels.truncate(first);
            data.pixels.truncate(cut);
        } else {
            data.labels.drain(..first);
            data.pixels.drain(..cut);
        }
        Ok(data)
    }

    /// Reads images and labels from two files.
    ///
    /// # Errors
    /// As [`Dataset::load`].
    pub fn load_files(images: &Path, labels: &Path) -> Result<Dataset, ModelError> {
        let ([count, height, width], pixels) = read_idx(images)?;
        let ([labelled], labels_read) = read_idx(labels)?;
        if count != labelled {
            let reason = format!("{labelled} labels, but {count} images in {}", images.display());
            return Err(format_error(reason).in_file(labels));
        }
        if pixels.is_empty() {
            return Err(format_error("no images").in_file(images));
        }
        Ok(Dataset { shape: ImageShape { height, width, channels: 1 }, pixels, labels: labels_read })
    }

    /// Size of each image.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// Number of images, 1 or more.
    #[expect(clippy::len_without_is_empty, reason = "a data set is never empty")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The pixels of image `index`.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn image(&self, index: usize) -> &[u8] {
        &self.pixels[index * self.shape.bytes()..(index + 1) * self.shape.bytes()]
    }

    /// The first `count` images, or all.
    pub fn images(&self, count: usize) -> Vec<&[u8]> {
        self.pixels.chunks_exact(self.shape.bytes()).take(count).collect()
    }

    /// One class an image.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }
}

/// Largest decompressed file.
const MAX_BYTES: u64 = 1 << 30;

/// An idx file of bytes with `N` dimensions: two zero bytes, type 8, N, then big-endian sizes and the data.
fn read_idx<const N: usize>(path: &Path) -> Result<([usize; N], Vec<u8>), ModelError> {
    let io = |source| ModelError::Io { path: PathBuf::from(path), source };
    let wrong = |reason: String| format_error(reason).in_file(path);
    let file = std::fs::File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    GzDecoder::new(file)
        .take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| wrong(format!("not a gzip file, or a truncated one: {error}")))?;
    let header = 4 + 4 * N;
    if bytes.len() < header || bytes[..3] != [0, 0, 8] || usize::from(bytes[3]) != N {
        let found: Vec<String> = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let reason = format!(
            "starts with {}, not with 00 00 08 {N:02x} (idx, bytes, {N} dimensions)",
            found.join(" ")
        );
        return Err(wrong(reason));
    }
    let size = |i: usize| u32::from_be_bytes([0, 1, 2, 3].map(|b| bytes[4 + 4 * i + b])) as usize;
    let sizes: [usize; N] = std::array::from_fn(size);
    let expected = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    let data = bytes.split_off(header);
    if expected != Some(data.len()) {
        return Err(wrong(format!("{} bytes of data, but sizes {sizes:?}", data.len())));
    }
    Ok((sizes, data))
}
