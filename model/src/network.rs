//! The integer network: the bit-exact contract between conversion, reference and hardware.
//!
//! A [`Network`] is a list of layers. Each layer reads the spike planes of earlier layers (or the image) and produces one
//! spike plane `s[token][channel][t]`; the last layer is the readout. Everything is an integer.
//!
//! # The neuron
//! ```text
//! u = v + drive(t);   s = (u >= theta);   v = u - s * theta;   v(0) = v0
//! ```
//! Soft reset, no lower bound on `v`, signed 24 bits. [`Neuron::If`] does this for `t = 0..T`. [`Neuron::TwoPhase`] first sums
//! all T drives onto `v0`, then takes T threshold steps `s_k = (v >= theta); v -= s_k * theta` without drive; step `k` of
//! token `n` spikes in time slot `(order[k] + rotate * n) mod T`.
//!
//! # Token order
//! Tokens of a layer lie on a [`Grid`]. A layer *evaluates* them in its [`Walk`]: row by row, or window by window (windows row
//! by row, and inside a window row by row), where the windows of a cyclically shifted grid start `shift` rows and columns
//! later and wrap around: window `(wy, wx)`, inner `(y, x)` is the token at row `(wy * window + y + shift) mod rows`, column
//! `(wx * window + x + shift) mod columns`. The index `n` that `rotate` multiplies is the index inside the window for window walks, and for `Scores`
//! and `Context` the query's index; else the raster index.
//!
//! # Masks
//! After firing and reset, the spike of neuron `c` in slot `t` of token `n` is ANDed with `draw >= ratio`, where `draw` is the
//! neuron's next 8 LFSR bits (see [`isa::mask`]). A neuron draws once for every slot of every token it evaluates, slots
//! ascending, also when the ratio is 0 or no spike is there. The LFSR starts from `isa::mask::seed(seed, layer, channel)` with
//! - all but attention: the channel; the tokens follow each other in the order of the walk;
//! - `Scores`: `channel = (window * heads + head) * N + key`, tokens are the queries of that window;
//! - `Context`: `channel = (window * heads + head) * head_size + channel_in_head`, tokens are the queries of that window.
//!
//! # Planes
//! All layers but `Scores` produce a plane of `rows * columns` tokens in raster order (whatever their walk). `Scores` produces
//! one of `heads * windows * N` tokens (head, then window, then query) and `N` channels (keys).

use isa::Neuron;
pub use isa::{Grid, ImageShape, Patch};
use serde::{Deserialize, Serialize};

/// Index of a layer in its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LayerId(pub usize);

/// Attention windows: `size * size` tokens each, cyclically shifted by `shift < size`; `size` divides rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows {
    /// Rows and columns of a window.
    pub size: usize,
    /// Cyclic shift in rows and columns; 0 for plain windows.
    pub shift: usize,
}

/// In which order a layer evaluates its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Walk {
    /// Row by row.
    Raster,
    /// Window by window.
    Windows(Windows),
}

/// How a dense layer's input row is gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gather {
    /// The same token of the input plane.
    Token,
    /// The four tokens `(2r, 2c), (2r, 2c+1), (2r+1, 2c), (2r+1, 2c+1)` of the input grid, concatenated: patch merging.
    Merge,
}

/// Rows of `i8` weights, `outputs * inputs`, row-major by output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    /// Number of rows.
    pub outputs: usize,
    /// Number of columns.
    pub inputs: usize,
    /// `data[o * inputs + i]`.
    pub data: Vec<i8>,
}

/// What a layer computes: its drive for every output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "op")]
pub enum Operation {
    /// `bias[o] + sum_i weights[o,i] * x[i]`, the same in every time step; x are the 8-bit pixels of a patch.
    Analog {
        /// How patches are cut.
        patch: Patch,
        /// Weights.
        weights: Weights,
        /// One a channel.
        bias: Vec<i32>,
    },
    /// `bias[o] + sum_i weights[o,i] * s[i]`.
    Dense {
        /// The plane read.
        input: LayerId,
        /// How the input row is gathered.
        gather: Gather,
        /// Weights.
        weights: Weights,
        /// One a channel.
        bias: Vec<i32>,
    },
    /// `bias[c] + sum_k gains[k][c] * s_k[c]`.
    Shortcut {
        /// The planes that make up the residual stream.
        inputs: Vec<LayerId>,
        /// `gains[k * channels + c]`.
        gains: Vec<i8>,
        /// One a channel.
        bias: Vec<i32>,
    },
    /// `bias[head][rel(i,j)] + (sum_c q[i,c] * k[j,c]) << fraction`; pairs of tokens in different shift regions never fire.
    ///
    /// Inside a window, `rel(i,j) = (y_i - y_j + size - 1) * (2 * size - 1) + (x_i - x_j + size - 1)`. In the last row of
    /// windows, the tokens with `y >= size - shift` are one region and the others another; in the last column likewise with `x`.
    Scores {
        /// Plane of queries.
        query: LayerId,
        /// Plane of keys.
        key: LayerId,
        /// Attention heads: head `h` owns channels `h * head_size .. (h + 1) * head_size`.
        heads: usize,
        /// `bias[head * (2 * size - 1)^2 + rel]`.
        bias: Vec<i32>,
        /// F.
        fraction: u32,
    },
    /// `(sum_j a[i,j] * v[j,c]) << fraction`.
    Context {
        /// Plane of scores.
        scores: LayerId,
        /// Plane of values.
        value: LayerId,
        /// Attention heads.
        heads: usize,
        /// F.
        fraction: u32,
    },
    /// Logits: `sum_t sum_tokens (sum_i weights[o,i] * s[i]) + T * bias[o]`. No neuron.
    Readout {
        /// The plane read.
        input: LayerId,
        /// Weights.
        weights: Weights,
        /// One a class, added once a time step.
        bias: Vec<i32>,
    },
}

/// Into which slots a two-phase neuron's threshold steps fire before rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotOrder {
    /// `order[k] = k`.
    Identity,
    /// Bit-reversed `k + 1`: 4 2 6 1 5 3 7 0 for T = 8. For other T the reversal over the next power of two, less what is beyond T.
    Spread,
    /// A permutation of `0..T` for one T; for other T the network is refused.
    Explicit(Vec<u32>),
}

impl SlotOrder {
    /// The permutation for `time_steps`, or `None` if an explicit one does not fit.
    pub fn permutation(&self, time_steps: u32) -> Option<Vec<u32>> {
        match self {
            SlotOrder::Identity => Some((0..time_steps).collect()),
            SlotOrder::Spread => {
                let size = time_steps.next_power_of_two();
                let bits = size.trailing_zeros();
                let reversed = |k: u32| if bits == 0 { 0 } else { k.reverse_bits() >> (32 - bits) };
                Some((0..size).map(|k| reversed((k + 1) % size)).filter(|&slot| slot < time_steps).collect())
            }
            SlotOrder::Explicit(order) => {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                sorted.iter().copied().eq(0..time_steps).then(|| order.clone())
            }
        }
    }
}

/// The matrices that random spike masking acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskSite {
    /// Queries.
    Query,
    /// Keys.
    Key,
    /// The attention matrix.
    Attention,
    /// Output of the first MLP layer.
    Fc1,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Name, as in the checkpoint: `stages.0.blocks.1.attn.q`.
    pub name: String,
    /// The drive.
    pub operation: Operation,
    /// Tokens of the output (for `Scores` and `Context`: of the grid whose windows attend).
    pub grid: Grid,
    /// Output channels (for `Scores`: tokens of a window).
    pub channels: usize,
    /// Order of evaluation.
    pub walk: Walk,
    /// Neuron mode.
    pub neuron: Neuron,
    /// Thresholds, 1 or more each: one a channel; for `Scores` one a head; empty for `Readout`.
    pub theta: Vec<i32>,
    /// Initial membranes, as many as thresholds. Default: `theta / 2`, rounded down.
    pub v0: Vec<i32>,
    /// Slots of the threshold steps (two_phase).
    pub order: SlotOrder,
    /// Slots by which each next token shifts its order, taken modulo T (two_phase).
    pub rotate: u32,
    /// Which of the maskable matrices this is.
    pub mask_site: Option<MaskSite>,
    /// Mask ratio in 1/256: 0 transmits all spikes.
    pub mask_ratio: u8,
}

impl Layer {
    /// A layer with the defaults: raster order, two-phase neurons that start at half their thresholds, slots in order and shifted by one a
    /// token, no mask; a channel for each threshold.
    pub fn new(name: impl Into<String>, operation: Operation, grid: Grid, theta: Vec<i32>) -> Layer {
        Layer {
            name: name.into(),
            operation,
            grid,
            channels: theta.len(),
            walk: Walk::Raster,
            neuron: Neuron::TwoPhase,
            v0: theta.iter().map(|theta| theta / 2).collect(),
            theta,
            order: SlotOrder::Identity,
            rotate: 1,
            mask_site: None,
            mask_ratio: 0,
        }
    }
}

/// An integer network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Name.
    pub name: String,
    /// Input.
    pub image: ImageShape,
    /// Number of logits.
    pub classes: usize,
    /// Layers in the order of evaluation; each reads earlier ones only. The last is the readout.
    pub layers: Vec<Layer>,
    /// Seed of all masks.
    pub seed: u32,
    /// Names of the classes, one a class; empty if they have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// The checkpoint that the network was converted from; none if it was made otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Origin>,
}

/// The checkpoint of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its file, as seen from the folder of the network's file, or an absolute path.
    pub path: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

impl Network {
    /// A network whose classes have no names and that comes from no checkpoint.
    pub fn new(
        name: impl Into<String>,
        image: ImageShape,
        classes: usize,
        layers: Vec<Layer>,
        seed: u32,
    ) -> Network {
        Network { name: name.into(), image, classes, layers, seed, class_names: Vec::new(), checkpoint: None }
    }

    /// The layer `id`.
    pub fn layer(&self, id: LayerId) -> &Layer {
        &self.layers[id.0]
    }
}
