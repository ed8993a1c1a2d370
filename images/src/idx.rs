//! Idx files, the format of MNIST: `00 00`, the type of the elements, the number of axes, the sizes as big-endian 32-bit
//! integers, and the elements, the last index moving fastest. Of the types only `08`, bytes, is read. Gzipped or not.

use crate::bounded::{self, corrupt, read_exactly};
use crate::error::ImageError;
use flate2::read::MultiGzDecoder;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

/// How a gzip file begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A file, unpacked if it is gzipped.
pub(crate) fn unpacked(path: &Path) -> Result<Box<dyn Read>, ImageError> {
    let mut file = BufReader::new(bounded::open(path)?);
    let mut start = [0; GZIP.len()];
    let packed = file.read_exact(&mut start).is_ok() && start == GZIP;
    file.rewind().map_err(ImageError::io(path))?;
    Ok(if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// Whether these first bytes are those of an idx file: its number of axes and the type of its elements.
pub(crate) fn sniff(start: &[u8]) -> Option<(usize, u8)> {
    match start {
        [0, 0, kind @ (0x08 | 0x09 | 0x0b..=0x0e), axes @ 1..=4, ..] => Some((usize::from(*axes), *kind)),
        _ => None,
    }
}

/// Bytes of the header of a file with that many axes.
pub(crate) fn header_bytes(axes: usize) -> usize {
    4 + 4 * axes
}

/// The sizes in a whole header.
pub(crate) fn sizes(header: &[u8]) -> Vec<usize> {
    header[4..].as_chunks().0.iter().map(|&size| u32::from_be_bytes(size) as usize).collect()
}

/// Sizes and elements of a file.
///
/// # Errors
/// If it cannot be read, is no idx file of bytes with one to four axes, is truncated, has more bytes than its header says, or
/// more than [`LIMIT`](crate::LIMIT): what is beyond is not read.
pub fn read(path: &Path) -> Result<(Vec<usize>, Vec<u8>), ImageError> {
    let mut file = unpacked(path)?;
    let mut header = Vec::new();
    file.by_ref().take(4).read_to_end(&mut header).map_err(|error| corrupt(path, &error))?;
    let Some((axes, kind)) = sniff(&header) else {
        let found: Vec<String> = header.iter().map(|byte| format!("{byte:02x}")).collect();
        let reason = format!(
            "starts with {}, not with 00 00 08 and 01 to 04, as idx files of bytes do",
            found.join(" ")
        );
        return Err(ImageError::file(path, reason));
    };
    if kind != 0x08 {
        let reason =
            format!("an idx file of elements of type {kind:02x}, allowed: 08, bytes; save the array as .npy");
        return Err(ImageError::file(path, reason));
    }
    file.by_ref().take(4 * axes as u64).read_to_end(&mut header).map_err(|error| corrupt(path, &error))?;
    if header.len() != header_bytes(axes) {
        return Err(ImageError::file(path, "truncated: it ends within its header"));
    }
    let sizes = sizes(&header);
    let count = bounded::elements(path, &sizes)?;
    let bytes = read_exactly(path, &mut file, count)?;
    Ok((sizes, bytes))
}
