//! The layer descriptor: 32 little-endian words of 64 bits, aligned to 256 bytes.
//!
//! A descriptor names one layer's operation, where its operands lie and how its tokens are walked. All addresses are
//! byte offsets from the memory window's base (register `MEMORY_BASE`), all strides are in bytes.
//!
//! # Order of evaluation
//! ```text
//! for group (head) in 0..groups
//!   for tile in 0..tiles                       LANES output channels each
//!     for block_y, block_x                     windows; raster layers may use one block
//!       for inner_y, inner_x                   tokens of a block
//!         for chunk in 0..chunks               8 time steps each
//!           row = concatenation of segments    scanned for its active entries
//! ```
//! A *job* is what runs on one set of parameters and weights: all blocks of a tile, or one block for `scores` and
//! `context`, whose matrix (K or V) differs from block to block.
//!
//! # Addresses
//! A token lies at
//! `base + group * group_stride + block_y * block_y_stride + block_x * block_x_stride + inner_y * y_stride + inner_x * x_stride`, less `wrap_y` if the token is in the *row band* and less `wrap_x` if it
//! is in the *column band*. The row band is `inner_y >= inner_y_count - shift` in the last row of blocks when `shift > 0`; the
//! column band likewise. So a cyclic shift is a base that starts `shift` rows and columns later, and two wraps.
//! The same bands are the regions of shifted-window attention: a pair of tokens of one block is connected only when both lie in
//! the same row band and the same column band.

use crate::MAX_SEGMENTS;
use serde::{Deserialize, Serialize};

/// Words of 64 bits in a descriptor.
pub const WORDS: usize = 32;
/// Bytes in a descriptor, and its alignment.
pub const BYTES: usize = WORDS * 8;
/// First word of the segment table: two 32-bit bases a word, the even one in the lower half.
pub const SEGMENT_WORD: usize = 16;
/// First word of the rank table: eight bytes a word.
pub const RANK_WORD: usize = 24;

/// What a layer computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Op {
    /// `b[o] + sum_i w[o,i] * s[i]`, int8 weights.
    Dense = 0,
    /// `b[o] + sum_i w[o,i] * x[i]` with 8-bit unsigned inputs that are constant over time.
    Analog = 1,
    /// `b[c] + sum_k g_k[c] * s_k[c]`: each lane reads its own channel.
    Shortcut = 2,
    /// `bias[h, rel(i,j)] + (sum_c q[i,c] * k[j,c]) << F`.
    Scores = 3,
    /// `(sum_j a[i,j] * v[j,c]) << F`.
    Context = 4,
    /// One accumulation over all tokens and time steps, without a neuron: logits.
    Readout = 5,
}

impl Op {
    /// All operations, in the order of their codes.
    pub const ALL: [Op; 6] = [Op::Dense, Op::Analog, Op::Shortcut, Op::Scores, Op::Context, Op::Readout];

    /// Whether the matrix operand is a spike plane (K or V) rather than stored weights.
    pub const fn is_attention(self) -> bool {
        matches!(self, Op::Scores | Op::Context)
    }
}

/// How a layer's neurons spend their time steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Neuron {
    /// Integrate and fire in the same time step: the paper's neuron.
    If = 0,
    /// First integrate all drives, then fire in T threshold steps.
    TwoPhase = 1,
}

/// One bit field of the descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name, as in [`Descriptor`].
    pub name: &'static str,
    /// Index of the 64-bit word.
    pub word: usize,
    /// Least significant bit inside the word.
    pub lsb: u32,
    /// Width in bits.
    pub width: u32,
    /// Meaning, unit and valid range.
    pub doc: &'static str,
}

macro_rules! descriptor {
    ($($name:ident @ $word:literal [$lsb:literal +: $width:literal] $doc:literal;)*) => {
        /// A layer descriptor, field by field. See the module documentation for how the fields work together.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Descriptor {
            $(#[doc = $doc] pub $name: u32,)*
            /// Byte offset of each segment of an input row (`segments` entries are used).
            pub segment_bases: [u32; MAX_SEGMENTS as usize],
            /// `rank[slot]` is the threshold step `k` with `order[k] = slot` (`time_steps` entries are used).
            pub rank: Vec<u8>,
        }

        /// Every scalar field of the descriptor, in the order of its position.
        pub const FIELDS: &[Field] = &[
            $(Field { name: stringify!($name), word: $word, lsb: $lsb, width: $width, doc: $doc },)*
        ];

        impl Descriptor {
            /// The value of every scalar field, in the order of [`FIELDS`].
            fn values(&self) -> Vec<u32> {
                vec![$(self.$name,)*]
            }

            fn values_mut(&mut self) -> Vec<&mut u32> {
                vec![$(&mut self.$name,)*]
            }
        }
    };
}

descriptor! {
    op @ 0 [0 +: 4] "Operation, a code of [`Op`].";
    neuron @ 0 [4 +: 1] "Neuron mode, a code of [`Neuron`].";
    mask_ratio @ 0 [8 +: 8] "A spike is transmitted when 8 fresh LFSR bits are >= this; 0 transmits all.";
    time_steps @ 0 [16 +: 7] "Time steps T, 1..=64.";
    tail_steps @ 0 [24 +: 4] "Time steps in the last chunk, 1..=8: `T - 8 * (ceil(T/8) - 1)`.";
    chunks @ 0 [28 +: 4] "Input chunks of a row, 1..=8: `ceil(T/8)`, and 1 for `analog`.";
    fraction @ 0 [32 +: 3] "F of `scores` and `context`: fractional bits below one coincidence, 0..=7.";
    segments @ 0 [36 +: 5] "Segments that an input row is gathered from, 1..=16.";
    rotate @ 0 [44 +: 7] "Slots by which each next token of a block shifts its order, 0..T (two_phase).";
    shift @ 0 [52 +: 4] "Cyclic shift in rows and columns, 0 or less than `inner_y` and `inner_x`.";
    rotate_by_block @ 0 [56 +: 1] "1: the token index that `rotate` multiplies restarts in each block; 0: only in each job.";
    step_events @ 0 [57 +: 1] "1: a two_phase layer walks its input spikes step by step instead of merged: the same result in more cycles.";

    tiles @ 1 [0 +: 12] "Tiles of LANES output channels in a group, 1 or more.";
    groups @ 1 [16 +: 8] "Groups (attention heads), 1 or more.";
    weights_ready @ 1 [32 +: 12] "Layers of this run that must have completed before the matrix is read.";
    inputs_ready @ 1 [48 +: 12] "Layers of this run that must have completed before the inputs are read.";

    blocks_y @ 2 [0 +: 12] "Rows of blocks, 1 or more.";
    blocks_x @ 2 [16 +: 12] "Columns of blocks, 1 or more.";
    inner_y @ 2 [32 +: 12] "Token rows in a block, 1 or more.";
    inner_x @ 2 [48 +: 12] "Token columns in a block, 1 or more.";

    segment_words @ 3 [0 +: 12] "64-bit words of one segment (of a whole channel row for `shortcut`), 1 or more.";
    output_words @ 3 [16 +: 12] "64-bit words of an output row of one group, 1 or more.";
    matrix_rows @ 3 [32 +: 12] "Rows of the stored matrix for all but attention (fan-in; segments for `shortcut`); keys of a block (its tokens) for attention.";
    matrix_words @ 3 [48 +: 12] "Attention only: 64-bit words of a K or V row of one head.";

    input_block_y_stride @ 4 [0 +: 32] "Input bytes between rows of blocks.";
    input_block_x_stride @ 4 [32 +: 32] "Input bytes between columns of blocks.";
    input_y_stride @ 5 [0 +: 32] "Input bytes between token rows of a block.";
    input_x_stride @ 5 [32 +: 32] "Input bytes between token columns of a block.";
    input_wrap_y @ 6 [0 +: 32] "Input bytes subtracted in the row band.";
    input_wrap_x @ 6 [32 +: 32] "Input bytes subtracted in the column band.";
    input_chunk_stride @ 7 [0 +: 32] "Input bytes between chunks of a token.";
    input_group_stride @ 7 [32 +: 32] "Input bytes between groups.";

    output_block_y_stride @ 8 [0 +: 32] "Output bytes between rows of blocks.";
    output_block_x_stride @ 8 [32 +: 32] "Output bytes between columns of blocks.";
    output_y_stride @ 9 [0 +: 32] "Output bytes between token rows of a block.";
    output_x_stride @ 9 [32 +: 32] "Output bytes between token columns of a block.";
    output_wrap_y @ 10 [0 +: 32] "Output bytes subtracted in the row band.";
    output_wrap_x @ 10 [32 +: 32] "Output bytes subtracted in the column band.";
    output_chunk_stride @ 11 [0 +: 32] "Output bytes between chunks of a token (byte planes for `readout`).";
    output_group_stride @ 11 [32 +: 32] "Output bytes between groups.";

    parameter_base @ 12 [0 +: 32] "Neuron parameters, one block a job in the order of evaluation; the stored matrix follows each block.";
    bias_base @ 12 [32 +: 32] "`scores` only: bias rows, one block a (group, tile) in the order of evaluation.";
    output_base @ 13 [0 +: 32] "Output plane.";
    matrix_base @ 13 [32 +: 32] "Attention only: K or V plane.";
    matrix_group_stride @ 14 [0 +: 32] "Attention only: matrix bytes between groups.";
    matrix_block_stride @ 14 [32 +: 32] "Attention only: matrix bytes between consecutive blocks.";
    matrix_token_stride @ 15 [0 +: 32] "Attention only: matrix bytes between tokens.";
    matrix_chunk_stride @ 15 [32 +: 32] "Attention only: matrix bytes between chunks.";
}

/// The position of the field called `name`.
///
/// # Panics
/// If there is no such field: names are compile-time constants of the hardware and the documents.
pub fn field(name: &str) -> &'static Field {
    FIELDS.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("descriptor has no field `{name}`"))
}

impl Descriptor {
    /// The 32 words as they lie in memory. Bits of a value beyond its field's width are dropped.
    pub fn to_words(&self) -> [u64; WORDS] {
        let mut words = [0u64; WORDS];
        for (field, value) in FIELDS.iter().zip(self.values()) {
            let mask = (1u64 << field.width) - 1;
            words[field.word] |= (u64::from(value) & mask) << field.lsb;
        }
        for (i, &base) in self.segment_bases.iter().enumerate() {
            words[SEGMENT_WORD + i / 2] |= u64::from(base) << (32 * (i % 2));
        }
        for (i, &rank) in self.rank.iter().take(8 * (WORDS - RANK_WORD)).enumerate() {
            words[RANK_WORD + i / 8] |= u64::from(rank) << (8 * (i % 8));
        }
        words
    }

    /// Reads a descriptor back from its words.
    pub fn from_words(words: &[u64; WORDS]) -> Descriptor {
        let mut descriptor = Descriptor::default();
        for (field, value) in FIELDS.iter().zip(descriptor.values_mut()) {
            *value = ((words[field.word] >> field.lsb) & ((1u64 << field.width) - 1)) as u32;
        }
        for (i, base) in descriptor.segment_bases.iter_mut().enumerate() {
            *base = (words[SEGMENT_WORD + i / 2] >> (32 * (i % 2))) as u32;
        }
        descriptor.rank = (0..descriptor.time_steps as usize)
            .map(|i| (words[(RANK_WORD + i / 8).min(WORDS - 1)] >> (8 * (i % 8))) as u8)
            .collect();
        descriptor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_overlap_and_stay_before_the_tables() {
        let mut used = [0u64; WORDS];
        for field in FIELDS {
            assert!(field.word < SEGMENT_WORD, "{} lies in the tables", field.name);
            assert!(field.lsb + field.width <= 64, "{} leaves its word", field.name);
            let mask = ((1u64 << field.width) - 1) << field.lsb;
            assert_eq!(used[field.word] & mask, 0, "{} overlaps another field", field.name);
            used[field.word] |= mask;
        }
    }

    #[test]
    fn words_carry_every_field() {
        let mut descriptor =
            Descriptor { time_steps: 64, rank: (0..64).rev().collect(), ..Default::default() };
        for (i, (field, value)) in FIELDS.iter().zip(descriptor.values_mut()).enumerate() {
            if field.name != "time_steps" {
                *value = (0x9e37_79b9u32.wrapping_mul(i as u32 + 1)) & ((1u64 << field.width) - 1) as u32;
            }
        }
        for (i, base) in descriptor.segment_bases.iter_mut().enumerate() {
            *base = 0x0101_0101 * i as u32;
        }
        assert_eq!(Descriptor::from_words(&descriptor.to_words()), descriptor);
    }
}
