//! The pass record: how one slice of a layer's inputs is gathered. 8 to 24 little-endian words of 64 bits, aligned to 64 bytes.
//!
//! A pass reads one source, an earlier plane or the input bytes, through up to 16 *segments*: taps of one plane, or the same tap of planes that lie
//! alike. A dense pass has a row of weights for each byte of its concatenated segments; a diagonal one a row for each segment, in
//! which each output channel has the gain of its own channel of that segment.
//!
//! # Positions
//! With the token at `(y, x)`, counted over all blocks, segment `s` reads the source's position
//! `(start_y + y * step_y + dy[s], start_x + x * step_x + dx[s])`. A position outside `0..rows` or `0..columns` contributes nothing: the segment is
//! not read, and its weights' rows are passed over. `start` is negative by the padding.
//! Its bytes lie at `base[s]` plus the token's offset (see "Addresses" in [`descriptor`](crate::descriptor)) plus `chunk * chunk_stride`, and for a
//! diagonal pass plus the tile's LANES bytes: `base[s]` contains the offset of the tap. A cyclic shift moves tokens, not positions, so a
//! layer with a shift reads positions that are always inside: `step` and `start` 0, `rows` and `columns` 1.

use crate::MAX_SEGMENTS;
use crate::record::{Field, record};
use serde::{Deserialize, Serialize};

/// Words of 64 bits in the longest record.
pub const WORDS: usize = SEGMENT_WORD + MAX_SEGMENTS as usize;
/// Alignment of a layer's first record in bytes.
pub const ALIGNMENT: usize = 64;
/// First word of the segment table: one segment a word.
pub const SEGMENT_WORD: usize = 7;
/// Bits of `start_y` and `start_x`, which are two's complement.
pub const START_BITS: u32 = 14;

/// One segment of an input row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Byte offset of the first token's bytes. Bits 31:0.
    pub base: u32,
    /// Rows by which the tap lies below the token's first. Bits 43:32.
    pub dy: u32,
    /// Columns by which the tap lies right of the token's first. Bits 59:48.
    pub dx: u32,
}

impl Segment {
    /// Least significant bit of `dy` in the segment's word.
    pub const DY_BIT: u32 = 32;
    /// Least significant bit of `dx` in the segment's word.
    pub const DX_BIT: u32 = 48;
    /// Bits of `dy` and of `dx`.
    pub const TAP_BITS: u32 = 12;

    fn to_word(self) -> u64 {
        let tap = |value: u32| u64::from(value) & ((1 << Segment::TAP_BITS) - 1);
        u64::from(self.base) | tap(self.dy) << Segment::DY_BIT | tap(self.dx) << Segment::DX_BIT
    }

    fn from_word(word: u64) -> Segment {
        let tap = |bit: u32| (word >> bit) as u32 & ((1 << Segment::TAP_BITS) - 1);
        Segment { base: word as u32, dy: tap(Segment::DY_BIT), dx: tap(Segment::DX_BIT) }
    }
}

record! {
    /// A pass record, field by field. See the module documentation for how the fields work together.
    Pass {
        /// The segments (`segments` entries are used).
        table: Vec<Segment>,
    }

    diagonal @ 0 [0 +: 1] "1: each lane reads its own channel of a segment; 0: dense, and attention.";
    shift @ 0 [4 +: 3] "Every product of the pass counts times 2^shift, 0..=7.";
    segments @ 0 [8 +: 5] "Segments that an input row is gathered from, 1..=16; 1 for attention.";
    segment_words @ 0 [16 +: 12] "64-bit words of one segment, 1 or more; of a diagonal pass those of a whole channel row, `output_words`.";
    matrix_rows @ 0 [32 +: 12] "Rows of weights: bytes of the row, or (diagonal) segments. Not used by attention.";

    start_y @ 1 [0 +: 14] "Row of the source that the first token's row 0 of taps reads; two's complement.";
    start_x @ 1 [16 +: 14] "Column of the source that the first token's column 0 of taps reads; two's complement.";
    rows @ 1 [32 +: 14] "Rows of the source, 1 or more.";
    columns @ 1 [48 +: 14] "Columns of the source, 1 or more.";
    step_y @ 2 [0 +: 12] "Rows of the source between token rows.";
    step_x @ 2 [16 +: 12] "Columns of the source between token columns.";

    block_y_stride @ 3 [0 +: 32] "Bytes between rows of blocks.";
    block_x_stride @ 3 [32 +: 32] "Bytes between columns of blocks.";
    y_stride @ 4 [0 +: 32] "Bytes between token rows of a block.";
    x_stride @ 4 [32 +: 32] "Bytes between token columns of a block.";
    wrap_y @ 5 [0 +: 32] "Bytes subtracted in the row band.";
    wrap_x @ 5 [32 +: 32] "Bytes subtracted in the column band.";
    chunk_stride @ 6 [0 +: 32] "Bytes between chunks of a token.";
    group_stride @ 6 [32 +: 32] "Bytes between groups, the same in all passes of a layer.";
}

impl Pass {
    /// Words that a record of `segments` segments takes on a bus of `bus_bytes`.
    pub fn words_for(segments: u32, bus_bytes: u32) -> u32 {
        (SEGMENT_WORD as u32 + segments).max(8).next_multiple_of(bus_bytes / 8)
    }

    /// The words as they lie in memory. Bits of a value beyond its field's width are dropped.
    pub fn to_words(&self) -> [u64; WORDS + 1] {
        let mut words = [0u64; WORDS + 1];
        self.write_fields(&mut words);
        for (word, segment) in words[SEGMENT_WORD..WORDS].iter_mut().zip(&self.table) {
            *word = segment.to_word();
        }
        words
    }

    /// Reads a record back from its words.
    pub fn from_words(words: &[u64]) -> Pass {
        let mut whole = [0u64; WORDS + 1];
        whole.iter_mut().zip(words).for_each(|(whole, &word)| *whole = word);
        let mut pass = Pass::default();
        pass.read_fields(&whole);
        let segments = whole[SEGMENT_WORD..WORDS].iter().take(pass.segments as usize);
        pass.table = segments.map(|&word| Segment::from_word(word)).collect();
        pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_overlap_and_stay_before_the_table() {
        crate::record::check_positions(FIELDS, SEGMENT_WORD);
    }

    #[test]
    fn words_carry_every_field() {
        let segment = |i: u32| Segment { base: 0x0101_0101 * i, dy: 4095 - i, dx: 255 * i };
        let mut pass = Pass {
            segments: MAX_SEGMENTS,
            table: (0..MAX_SEGMENTS).map(segment).collect(),
            ..Pass::default()
        };
        for (i, (field, value)) in FIELDS.iter().zip(pass.values_mut()).enumerate() {
            if field.name != "segments" {
                *value = (0x9e37_79b9u32.wrapping_mul(i as u32 + 1)) & field.largest() as u32;
            }
        }
        assert_eq!(Pass::from_words(&pass.to_words()), pass);
        let short = Pass { segments: 1, table: vec![segment(3)], ..pass };
        assert_eq!(Pass::from_words(&short.to_words()[..8]), short);
    }

    #[test]
    fn records_are_as_long_as_their_segments_need() {
        for (segments, bus_bytes, words) in
            [(1, 8, 8), (1, 16, 8), (2, 8, 9), (2, 16, 10), (16, 8, 23), (16, 16, 24)]
        {
            assert_eq!(Pass::words_for(segments, bus_bytes), words);
        }
    }
}
