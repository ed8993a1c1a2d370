//! The layer descriptor: 24 little-endian words of 64 bits, aligned to 64 bytes.
//!
//! A descriptor names one layer's operation, how its tokens are walked, and where its parameters, its [passes](crate::pass) and its outputs
//! lie. All addresses are byte offsets from the memory window's base (register `MEMORY_BASE`), all strides are in bytes.
//!
//! # Order of evaluation
//! ```text
//! for group (head) in 0..groups
//!   for tile in 0..tiles                       LANES output channels each
//!     for pass in 0..passes                    a slice of the fan-in and of the weights
//!       for block_y, block_x                   windows; raster layers may use one block
//!         for inner_y, inner_x                 tokens of a block
//!           for chunk in 0..chunks             8 time steps each
//!             row = concatenation of segments  scanned for its active entries
//! ```
//! A *job* is what runs on one set of weights: a pass over all tokens of a tile, or one block for `scores` and
//! `context`, whose matrix (K or V) differs from block to block and which have one pass.
//!
//! A layer of several passes keeps the partial sum of every token (`each step`: of every time step of every token) in the core's sum buffer
//! from pass to pass; only the last pass fires. So its sums must fit `SUM_ROWS`, or the run stops with `TooLarge`. A layer with more tokens is written
//! as several descriptors, one a *strip* of tokens, that share weights: a strip's passes start at its first position, its rank table is turned by
//! the tokens before it, its parameters hold the state of the mask's LFSR at its first token. `sum` keeps one sum for all tokens, so it needs one row.
//!
//! # Addresses
//! A token lies at
//! `base + group * group_stride + block_y * block_y_stride + block_x * block_x_stride + inner_y * y_stride + inner_x * x_stride`, less `wrap_y` if the token is in the *row band* and less `wrap_x` if it
//! is in the *column band*. The row band is `inner_y >= inner_y_count - shift` in the last row of blocks when `shift > 0`; the
//! column band likewise. So a cyclic shift is a base that starts `shift` rows and columns later, and two wraps.
//! The same bands are the regions of shifted-window attention: a pair of tokens of one block is connected only when both lie in
//! the same row band and the same column band.

use crate::record::{Field, record};
use serde::{Deserialize, Serialize};

/// Words of 64 bits in a descriptor.
pub const WORDS: usize = 24;
/// Bytes in a descriptor.
pub const BYTES: usize = WORDS * 8;
/// Alignment of the first descriptor in bytes; each next one follows directly.
pub const ALIGNMENT: usize = 64;
/// First word of the rank table: eight bytes a word.
pub const RANK_WORD: usize = 16;

/// What a layer computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Op {
    /// `b[o] + sum over passes of (sum_i w[o,i] * x[i]) << shift`, int8 weights; x are spikes, or bytes that are constant over time.
    Linear = 0,
    /// `bias[h, rel(i,j)] + (sum_c q[i,c] * k[j,c]) << F`.
    Scores = 1,
    /// `(sum_j a[i,j] * v[j,c]) << F`.
    Context = 2,
}

impl Op {
    /// All operations, in the order of their codes.
    pub const ALL: [Op; 3] = [Op::Linear, Op::Scores, Op::Context];

    /// Whether the matrix operand is a spike plane (K or V) rather than stored weights.
    pub const fn is_attention(self) -> bool {
        matches!(self, Op::Scores | Op::Context)
    }
}

/// When neurons integrate and when they fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Schedule {
    /// Integrate and fire in the same time step: the paper's neuron, `if`.
    EachStep = 0,
    /// First integrate all drives, then fire in T threshold steps: `two_phase`.
    AfterAll = 1,
}

record! {
    /// A layer descriptor, field by field. See the module documentation for how the fields work together.
    Descriptor {
        /// `rank[slot]` is the threshold step `k` with `order[k] = slot` (`time_steps` entries are used).
        rank: Vec<u8>,
    }

    op @ 0 [0 +: 4] "Operation, a code of [`Op`].";
    schedule @ 0 [4 +: 1] "When neurons fire, a code of [`Schedule`].";
    hard_reset @ 0 [5 +: 1] "1: a neuron that fires starts again from 0 (each step only); 0: its threshold is subtracted.";
    sum @ 0 [6 +: 1] "1: no neuron; the sum over all tokens and time steps is stored (`linear` only): logits.";
    bytes @ 0 [7 +: 1] "1: inputs are unsigned bytes, constant over time (`linear` without `sum` only); 0: spikes.";
    mask_ratio @ 0 [8 +: 8] "A spike is transmitted when 8 fresh LFSR bits are >= this; 0 transmits all.";
    time_steps @ 0 [16 +: 7] "Time steps T, 1..=64.";
    mask_shared @ 0 [23 +: 1] "1: the LFSR starts over at each token, so that all tokens drop alike; 0: only at the first.";
    tail_steps @ 0 [24 +: 4] "Time steps in the last chunk, 1..=8: `T - 8 * (ceil(T/8) - 1)`.";
    chunks @ 0 [28 +: 4] "Input chunks of a row, 1..=8: `ceil(T/8)`, and 1 for `bytes`.";
    fraction @ 0 [32 +: 3] "F of `scores` and `context`: fractional bits below one coincidence, 0..=7.";
    pass_words @ 0 [36 +: 5] "64-bit words of each pass record, 8..=24 and a multiple of the bus: as many as its segments need.";
    rotate @ 0 [44 +: 7] "Slots by which each next token of a block shifts its order, 0..T (after all).";
    shift @ 0 [52 +: 4] "Cyclic shift in rows and columns, 0 or less than `inner_y` and `inner_x`.";
    rotate_by_block @ 0 [56 +: 1] "1: the token index that `rotate` multiplies restarts in each block; 0: only in each tile.";
    step_events @ 0 [57 +: 1] "1: an after-all layer walks its input spikes step by step instead of merged: the same result in more cycles.";

    tiles @ 1 [0 +: 12] "Tiles of LANES output channels in a group, 1 or more.";
    groups @ 1 [16 +: 8] "Groups (attention heads), 1 or more.";
    weights_ready @ 1 [32 +: 12] "Descriptors of this run that must have completed before the matrix is read.";
    inputs_ready @ 1 [48 +: 12] "Descriptors of this run that must have completed before the inputs are read.";

    blocks_y @ 2 [0 +: 12] "Rows of blocks, 1 or more.";
    blocks_x @ 2 [16 +: 12] "Columns of blocks, 1 or more.";
    inner_y @ 2 [32 +: 12] "Token rows in a block, 1 or more.";
    inner_x @ 2 [48 +: 12] "Token columns in a block, 1 or more.";

    passes @ 3 [0 +: 12] "Passes, 1 or more; 1 for attention.";
    output_words @ 3 [16 +: 12] "64-bit words of an output row of one group, 1 or more.";
    keys @ 3 [32 +: 12] "Attention only: keys of a block (its tokens).";
    key_words @ 3 [48 +: 12] "Attention only: 64-bit words of a K or V row of one head.";

    parameter_base @ 4 [0 +: 32] "Neuron parameters: one block a tile, or (attention) a job, in the order of evaluation.";
    pass_base @ 4 [32 +: 32] "Pass records, one after the other.";
    matrix_base @ 5 [0 +: 32] "Stored weights, one slice a (tile, pass) in the order of evaluation; attention: K or V plane.";
    bias_base @ 5 [32 +: 32] "`scores` only: bias rows, one block a (group, tile) in the order of evaluation.";

    output_base @ 6 [0 +: 32] "Output plane.";
    output_group_stride @ 6 [32 +: 32] "Output bytes between groups.";
    output_block_y_stride @ 7 [0 +: 32] "Output bytes between rows of blocks.";
    output_block_x_stride @ 7 [32 +: 32] "Output bytes between columns of blocks.";
    output_y_stride @ 8 [0 +: 32] "Output bytes between token rows of a block.";
    output_x_stride @ 8 [32 +: 32] "Output bytes between token columns of a block.";
    output_wrap_y @ 9 [0 +: 32] "Output bytes subtracted in the row band.";
    output_wrap_x @ 9 [32 +: 32] "Output bytes subtracted in the column band.";
    output_chunk_stride @ 10 [0 +: 32] "Output bytes between chunks of a token (byte planes for `sum`).";

    matrix_group_stride @ 11 [0 +: 32] "Attention only: matrix bytes between groups.";
    matrix_block_stride @ 11 [32 +: 32] "Attention only: matrix bytes between consecutive blocks.";
    matrix_token_stride @ 12 [0 +: 32] "Attention only: matrix bytes between tokens.";
    matrix_chunk_stride @ 12 [32 +: 32] "Attention only: matrix bytes between chunks.";
}

impl Descriptor {
    /// The words as they lie in memory. Bits of a value beyond its field's width are dropped.
    pub fn to_words(&self) -> [u64; WORDS] {
        let mut words = [0u64; WORDS];
        self.write_fields(&mut words);
        for (i, &rank) in self.rank.iter().take(8 * (WORDS - RANK_WORD)).enumerate() {
            words[RANK_WORD + i / 8] |= u64::from(rank) << (8 * (i % 8));
        }
        words
    }

    /// Reads a descriptor back from its words.
    pub fn from_words(words: &[u64; WORDS]) -> Descriptor {
        let mut descriptor = Descriptor::default();
        descriptor.read_fields(words);
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
    fn fields_do_not_overlap_and_stay_before_the_table() {
        crate::record::check_positions(FIELDS, RANK_WORD);
    }

    #[test]
    fn words_carry_every_field() {
        let mut descriptor =
            Descriptor { time_steps: 64, rank: (0..64).rev().collect(), ..Default::default() };
        for (i, (field, value)) in FIELDS.iter().zip(descriptor.values_mut()).enumerate() {
            if field.name != "time_steps" {
                *value = (0x9e37_79b9u32.wrapping_mul(i as u32 + 1)) & field.largest() as u32;
            }
        }
        assert_eq!(Descriptor::from_words(&descriptor.to_words()), descriptor);
    }
}
