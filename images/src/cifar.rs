//! Binary batches of CIFAR-10 and CIFAR-100: records of a label and 32 x 32 pixels of red, then green, then blue.
//!
//! A record of CIFAR-10 has one label, 0 to 9. One of CIFAR-100 has two, the superclass (0 to 19) and the class (0 to 99); the
//! class is taken. The files have no header: they are told by their length and their labels.

use crate::axes::Array;
use crate::bounded::{self, read_file};
use crate::error::ImageError;
use model::network::ImageShape;
use std::path::Path;

/// Every image.
const SHAPE: ImageShape = ImageShape { height: 32, width: 32, channels: 3 };
const PIXELS: usize = 32 * 32 * 3;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cifar {
    /// Records of 3,073 bytes.
    Ten,
    /// Records of 3,074 bytes.
    Hundred,
}

impl Cifar {
    /// Bytes of a record.
    pub fn record(self) -> usize {
        self.labels().len() + PIXELS
    }

    /// Values that each label byte may have, less one.
    fn labels(self) -> &'static [u8] {
        match self {
            Cifar::Ten => &[9],
            Cifar::Hundred => &[19, 99],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Cifar::Ten => "CIFAR-10",
            Cifar::Hundred => "CIFAR-100",
        }
    }

    /// What a file of that length that begins like that may be.
    pub(crate) fn sniff(start: &[u8], length: u64) -> Option<Cifar> {
        [Cifar::Ten, Cifar::Hundred]
            .into_iter()
            .find(|kind| length > 0 && length.is_multiple_of(kind.record() as u64) && kind.labels_fit(start))
    }

    fn labels_fit(self, record: &[u8]) -> bool {
        record.len() >= self.labels().len()
            && record.iter().zip(self.labels()).all(|(label, last)| label <= last)
    }
}

/// Images and labels of batches, one after the other.
///
/// # Errors
/// If a file cannot be read, is cut off within a record, or has a label that the data set does not have.
pub(crate) fn read(paths: &[std::path::PathBuf], kind: Cifar) -> Result<(Array, Vec<u32>), ImageError> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for path in paths {
        let bytes = read_file(path, bounded::LIMIT)?;
        if bytes.is_empty() || bytes.len() % kind.record() != 0 {
            let reason = format!(
                "{} bytes are no whole records of {} ({} bytes each); is the file truncated?",
                bytes.len(),
                kind.name(),
                kind.record()
            );
            return Err(ImageError::file(path, reason));
        }
        bounded::elements(path, &[pixels.len() + bytes.len()])?;
        for (index, record) in bytes.chunks_exact(kind.record()).enumerate() {
            if !kind.labels_fit(record) {
                return Err(foreign(path, kind, index, record));
            }
            let (label, image) = record.split_at(kind.labels().len());
            labels.push(u32::from(label[label.len() - 1]));
            pixels.extend_from_slice(image);
        }
    }
    Ok((Array { shape: SHAPE, count: labels.len(), pixels }, labels))
}

fn foreign(path: &Path, kind: Cifar, index: usize, record: &[u8]) -> ImageError {
    let found = &record[..kind.labels().len()];
    let reason = format!(
        "its length is that of batches of {}, but record {index} has the label {found:?}, allowed: 0 to {:?}; if it is something \
         else, save it as .npy",
        kind.name(),
        kind.labels()
    );
    ImageError::file(path, reason)
}
