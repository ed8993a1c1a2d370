//! How data lies in memory.
//!
//! # Spike planes
//! A plane holds the spikes of one layer. The unit is the *spike byte*: one channel's spikes in one chunk of 8 time
//! steps, time step `8 * chunk + t` in bit `t`. Eight neighbouring channels make a 64-bit *spike word*, the lowest
//! channel in the lowest byte. A token is `chunks` rows of channels, padded to the bus width:
//! `byte(token, chunk, channel) = base + token * chunks * row_bytes + chunk * row_bytes + channel`.
//! Channels of `q`, `k`, `v` and `context` lie head by head, each head padded to the bus width. Pad channels never spike.
//!
//! # Input bytes
//! One token is one row of unsigned bytes, tap by tap and in each tap channel by channel, padded to the bus width.
//!
//! # Parameters
//! A parameter block is [`PARAMETER_ROWS`] rows of one 16-bit half-word a lane (lane 0 first, little endian), see
//! [`parameter_row`]: one block a tile, for attention one a job.
//!
//! # Weights
//! A slice of stored weights, one a (tile, pass), is `matrix_rows` rows of one int8 a lane. Row `i` of a dense slice belongs to byte `i` of the
//! gathered row; row `s` of a diagonal one to segment `s`.
//!
//! # Bias rows (`scores`)
//! For each (group, tile) in the order of evaluation, one row of one int16 a lane for each token `i` of a block: what
//! the lane's accumulator starts from for query `i`.
//!
//! # What the accumulator starts from
//! | schedule | inputs | `bias` (or bias row) | `v0` |
//! |---|---|---|---|
//! | each step | all | `b` | `v(0)` |
//! | after all | spikes | `T * b + v(0)` | unused |
//! | after all | bytes | `b` | `v(0)` |
//! | `sum` | spikes | `T * b`, once for all tokens | unused |
//!
//! A pass after the first starts from the partial sum of the passes before it.
//!
//! # Logits
//! `sum` stores one 32-bit signed accumulator a channel as four byte planes: `byte p` of channel `c` lies at
//! `output_base + p * output_chunk_stride + c`.

/// Rows of a parameter block.
pub const PARAMETER_ROWS: u32 = 9;

/// The rows of a parameter block, by what they carry.
pub mod parameter_row {
    /// Bits 15:0 of the bias.
    pub const BIAS_LOW: u32 = 0;
    /// Bits 31:16 of the bias.
    pub const BIAS_HIGH: u32 = 1;
    /// Bits 15:0 of the threshold.
    pub const THETA_LOW: u32 = 2;
    /// Bits 31:16 of the threshold.
    pub const THETA_HIGH: u32 = 3;
    /// Bits 15:0 of the initial membrane.
    pub const V0_LOW: u32 = 4;
    /// Bits 31:16 of the initial membrane.
    pub const V0_HIGH: u32 = 5;
    /// Bits 15:0 of the mask seed.
    pub const SEED_LOW: u32 = 6;
    /// Bits 31:16 of the mask seed.
    pub const SEED_HIGH: u32 = 7;
    /// Flags, see [`super::flag`].
    pub const FLAGS: u32 = 8;
}

/// Bits of the flags half-word of a lane.
pub mod flag {
    /// The lane has a channel; a lane without one never fires.
    pub const VALID: u16 = 1;
    /// `scores`: the lane's key lies at `inner_y >= inner_y_count - shift`.
    pub const ROW_BAND: u16 = 1 << 1;
    /// `scores`: the lane's key lies at `inner_x >= inner_x_count - shift`.
    pub const COLUMN_BAND: u16 = 1 << 2;
}

/// Byte planes of the stored logits.
pub const LOGIT_BYTES: u32 = 4;
