//! Descriptors and pass records as they lie in memory.

use super::{LayerPlan, Program, Strip};
use crate::{Pass, descriptor};

/// Bytes from the first descriptor to the first pass record: the descriptors, then up to the alignment of records.
pub fn descriptor_bytes(descriptors: usize) -> u64 {
    (descriptors * descriptor::BYTES).next_multiple_of(crate::pass::ALIGNMENT) as u64
}

/// Bytes of the pass records of a descriptor, which the next one's follow.
pub fn pass_bytes(strip: &Strip) -> u64 {
    bytes_of_passes(strip.passes.len(), strip.descriptor.pass_words)
}

/// Bytes of so many pass records of `pass_words` words, up to the alignment of the next descriptor's.
pub fn bytes_of_passes(passes: usize, pass_words: u32) -> u64 {
    (8 * passes as u64 * u64::from(pass_words)).next_multiple_of(crate::pass::ALIGNMENT as u64)
}

/// Bytes of all records of `layers`.
pub fn record_bytes(layers: &[LayerPlan]) -> u64 {
    let strips = || layers.iter().flat_map(|layer| &layer.strips);
    descriptor_bytes(strips().count()) + strips().map(pass_bytes).sum::<u64>()
}

/// Writes the records of `layers` into the bytes that they take in memory, which begin at `base`. Records that their descriptors place elsewhere
/// are left out.
pub fn write_records(bytes: &mut [u8], base: u32, layers: &[LayerPlan]) {
    let mut write = |at: usize, words: &[u64]| {
        for (index, word) in words.iter().enumerate() {
            if let Some(place) = bytes.get_mut(at + 8 * index..at + 8 * index + 8) {
                place.copy_from_slice(&word.to_le_bytes());
            }
        }
    };
    for (index, strip) in layers.iter().flat_map(|layer| &layer.strips).enumerate() {
        write(index * descriptor::BYTES, &strip.descriptor.to_words());
        let Some(first) = strip.descriptor.pass_base.checked_sub(base) else { continue };
        let words = strip.descriptor.pass_words as usize;
        for (number, pass) in strip.passes.iter().enumerate() {
            let record = Pass::to_words(pass);
            write(first as usize + 8 * words * number, &record[..words.min(record.len())]);
        }
    }
}

impl Program {
    /// Writes the records of every place anew, from the layers.
    pub(super) fn rewrite_records(&mut self) {
        let second = self.second_layers();
        for (place, layers) in self.places().iter().zip([Some(&self.layers), second.as_ref()]) {
            let (base, Some(layers)) = (place.descriptor_base, layers) else { continue };
            let here = |segment: &&mut super::Segment| segment.offset == u64::from(base);
            if let Some(segment) = self.image.iter_mut().find(here) {
                write_records(&mut segment.bytes, base, layers);
            }
        }
    }
}
