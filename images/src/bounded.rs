//! Reading no more than a header has announced.

use crate::error::ImageError;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Most bytes of images that are held at a time.
pub const LIMIT: u64 = 1 << 30;
/// What to do about an array file beyond it.
const SPLIT: &str = "split the file into smaller ones";
/// Bytes that are reserved at first: what a header announces is believed only as it arrives.
const FIRST: usize = 1 << 20;

/// Number of elements of an array, if its bytes are within [`LIMIT`].
///
/// # Errors
/// If there are more, or so many that they cannot be counted.
pub(crate) fn elements(path: &Path, sizes: &[usize]) -> Result<usize, ImageError> {
    let product = sizes.iter().fold(1u64, |product, &size| product.saturating_mul(size as u64));
    if product > LIMIT {
        return Err(ImageError::Size { path: path.to_owned(), bytes: product, limit: LIMIT, remedy: SPLIT });
    }
    Ok(product as usize)
}

/// Reads exactly `count` bytes, after which the stream must end.
///
/// # Errors
/// If it ends before, goes on (of which one byte is read, and no more), or is corrupt.
pub(crate) fn read_exactly(path: &Path, from: &mut dyn Read, count: usize) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::with_capacity(count.min(FIRST));
    from.take(count as u64 + 1).read_to_end(&mut bytes).map_err(|error| corrupt(path, &error))?;
    match bytes.len() {
        found if found == count => Ok(bytes),
        found if found < count => Err(ImageError::file(
            path,
            format!("truncated: its header announces {count} bytes, {found} follow"),
        )),
        _ => Err(ImageError::file(path, format!("its header announces {count} bytes, but more follow"))),
    }
}

/// Opens a file as [`model::input::open`] does.
pub(crate) fn open(path: &Path) -> Result<File, ImageError> {
    model::input::open(path).map_err(ImageError::io(path))
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// If it is longer, or cannot be read.
pub(crate) fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, ImageError> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(ImageError::io(path))?;
    if bytes.len() as u64 > limit {
        return Err(ImageError::file(
            path,
            format!("a file of more than {limit} bytes, allowed: at most that"),
        ));
    }
    Ok(bytes)
}

/// A stream that broke.
pub(crate) fn corrupt(path: &Path, error: &std::io::Error) -> ImageError {
    ImageError::file(path, format!("truncated or corrupt: {error}"))
}
