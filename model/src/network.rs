//! The integer network, version 2: the bit-exact contract between conversion, reference and hardware.
//!
//! A [`Network`] is a list of layers. Each layer reads the spike planes of earlier layers (or the image) and produces one
//! spike plane `s[token][channel][t]`; the last layer is the readout. Everything is an integer. Every layer is a sum, then a neuron, then a mask;
//! there are three sums: [`Linear`](Operation::Linear), [`Scores`](Operation::Scores) and [`Context`](Operation::Context).
//!
//! # The neuron
//! ```text
//! u = v + drive(t);   s = (u >= theta);   v = u - s * theta;   v(0) = v0
//! ```
//! Soft reset ([`Reset::Subtract`]), no lower bound on `v`, signed 24 bits. [`Schedule::EachStep`] (`if`) does this for `t = 0..T`; with
//! [`Reset::Zero`] a neuron that fires goes on from `v = 0` instead. [`Schedule::AfterAll`] (`two_phase`) first sums
//! all T drives onto `v0`, then takes T threshold steps `s_k = (v >= theta); v -= s_k * theta` without drive; step `k` of
//! token `n` spikes in time slot `(order[k] + rotate * n) mod T`. A layer without a neuron is the readout: its sum over all tokens and time steps
//! are the logits.
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
//! A mask *shared by tokens* ([`Mask::shared`]) lets the LFSR start over at each token, so that all tokens (attention: all queries of a window) drop the
//! same (channel, slot) pairs. `layer` is the layer's index, or that of the layer whose draws it has ([`Mask::draws_of`]): two masks with the same draws, channels
//! and ratio then keep the same slots.
//!
//! # Planes
//! All layers but `Scores` produce a plane of `rows * columns` tokens in raster order (whatever their walk). `Scores` produces
//! one of `heads * windows * N` tokens (head, then window, then query) and `N` channels (keys).

use crate::mask_rules::MaskRatio;
pub use isa::{Axis, Grid, ImageShape, Schedule, Taps};
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

/// What a term of a linear sum reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The image's bytes, the same in every time step: one position a pixel, one channel a byte.
    Image,
    /// The spikes of an earlier layer, which is no `Scores`.
    Plane(LayerId),
}

/// The weights of a term, with `taps` and `inputs` the taps and the channels of its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// Every output sees every channel: `w[o, tap, i]` at `(o * taps + tap) * inputs + i`.
    Dense(Vec<i8>),
    /// Output `o` sees channel `o` alone, so there are as many channels as outputs: `g[tap, o]` at `tap * outputs + o`.
    Diagonal(Vec<i8>),
}

impl Weights {
    /// The numbers, in their order.
    pub fn data(&self) -> &[i8] {
        let (Weights::Dense(data) | Weights::Diagonal(data)) = self;
        data
    }
}

/// One term of a linear sum: `2^shift * sum_tap sum_i w[o, tap, i] * x[at(token, tap)][i](t)`. A tap outside the source's grid adds nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// What it reads.
    pub source: Source,
    /// Where in the source's grid.
    pub taps: Taps,
    /// Weights.
    pub weights: Weights,
    /// Power of two, 0..=7.
    pub shift: u32,
}

impl Term {
    /// Dense weights on each token of an earlier layer.
    pub fn dense(input: LayerId, weights: Vec<i8>) -> Term {
        Term { source: Source::Plane(input), taps: Taps::TOKEN, weights: Weights::Dense(weights), shift: 0 }
    }

    /// A gain for each channel of an earlier layer.
    pub fn diagonal(input: LayerId, gains: Vec<i8>) -> Term {
        Term { weights: Weights::Diagonal(gains), ..Term::dense(input, Vec::new()) }
    }
}

/// What a layer computes: its drive for every output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "op")]
pub enum Operation {
    /// `bias[o]` and the sum of the terms, which all read the image or all read planes. The readout is one that has no neuron.
    Linear {
        /// The terms, 1 or more.
        terms: Vec<Term>,
        /// One a channel, added once a time step.
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
}

impl Operation {
    /// The earlier layers that are read, in the order of the operands; one may occur several times.
    pub fn reads(&self) -> Vec<LayerId> {
        match self {
            Operation::Linear { terms, .. } => {
                let plane = |term: &Term| if let Source::Plane(id) = term.source { Some(id) } else { None };
                terms.iter().filter_map(plane).collect()
            }
            Operation::Scores { query, key, .. } => vec![*query, *key],
            Operation::Context { scores, value, .. } => vec![*scores, *value],
        }
    }

    /// Whether the image is read.
    pub fn reads_image(&self) -> bool {
        matches!(self, Operation::Linear { terms, .. } if terms.iter().any(|term| term.source == Source::Image))
    }
}

/// What becomes of the membrane of a neuron that fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// The threshold is subtracted: soft reset.
    Subtract,
    /// It starts again from 0: hard reset. For [`Schedule::EachStep`] alone.
    Zero,
}

/// What a membrane loses in each time step: `v >> first`, and `v >> second` if there is one; `>>` rounds towards minus infinity. No
/// executor takes it yet: [`validate`](Network::validate) refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Leak {
    /// Shift of the first part.
    pub first: u32,
    /// Shift of the second part.
    pub second: Option<u32>,
}

/// The neurons of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Neuron {
    /// When they fire.
    pub schedule: Schedule,
    /// What leaks from the membrane; nothing for integrate-and-fire neurons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leak: Option<Leak>,
    /// What is left of a membrane that fires.
    pub reset: Reset,
}

impl Neuron {
    /// Integrates all drives, then fires: exactly QCFS.
    pub const TWO_PHASE: Neuron = Neuron { schedule: Schedule::AfterAll, leak: None, reset: Reset::Subtract };
    /// The paper's neuron: integrate and fire with soft reset.
    pub const IF: Neuron = Neuron { schedule: Schedule::EachStep, ..Neuron::TWO_PHASE };
    /// Fires whenever something drives it and keeps nothing: with a threshold of 1 and weights of 1 the OR of spikes, which is max pooling.
    pub const OR: Neuron = Neuron { reset: Reset::Zero, ..Neuron::IF };

    /// `two_phase`, `if`, or `if_hard_reset`.
    pub fn name(self) -> &'static str {
        match (self.schedule, self.reset) {
            (Schedule::AfterAll, _) => "two_phase",
            (Schedule::EachStep, Reset::Subtract) => "if",
            (Schedule::EachStep, Reset::Zero) => "if_hard_reset",
        }
    }
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

/// Random spike masking of a layer's output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mask {
    /// What masks of this kind are called in rules: `q`, `k`, `attn`, `fc1`, `conv`. A layer without a label is masked by its own name alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Ratio in 1/256: 0 transmits all spikes.
    #[serde(default)]
    pub ratio: u8,
    /// Whether the LFSR starts over at each token, so that all tokens drop alike.
    #[serde(default)]
    pub shared: bool,
    /// The layer whose draws it has, channel by channel, in the place of draws of its own. Where tokens share the masks of q and k, a coincidence then
    /// survives with the share that is kept, not with its square.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draws_of: Option<String>,
}

impl Mask {
    /// A mask that drops nothing until a rule says so.
    pub fn labelled(label: impl Into<String>) -> Mask {
        Mask { label: Some(label.into()), ..Mask::default() }
    }

    /// What is left of its activation on average, in a product with another layer's: all, if the other one has the same mask and the product counts
    /// what that one keeps.
    pub fn kept_of_products(&self) -> f64 {
        if self.shared && self.draws_of.is_some() { 1.0 } else { MaskRatio(self.ratio).kept() }
    }
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Name, as in the checkpoint: `stages.0.blocks.1.attn.q`.
    pub name: String,
    /// The drive.
    pub operation: Operation,
    /// Tokens of the output (for `Scores` and `Context`: of the grid whose windows attend; for the readout: those that are summed up).
    pub grid: Grid,
    /// Output channels (for `Scores`: tokens of a window).
    pub channels: usize,
    /// Order of evaluation.
    pub walk: Walk,
    /// The neurons; none for the readout.
    pub neuron: Option<Neuron>,
    /// Thresholds, 1 or more each: one a channel; for `Scores` one a head; empty for the readout.
    pub theta: Vec<i32>,
    /// Initial membranes, as many as thresholds. Default: `theta / 2`, rounded down.
    pub v0: Vec<i32>,
    /// Slots of the threshold steps (two_phase).
    pub order: SlotOrder,
    /// Slots by which each next token shifts its order, taken modulo T (two_phase).
    pub rotate: u32,
    /// Which spikes are dropped.
    pub mask: Mask,
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
            neuron: Some(Neuron::TWO_PHASE),
            v0: theta.iter().map(|theta| theta / 2).collect(),
            theta,
            order: SlotOrder::Identity,
            rotate: 1,
            mask: Mask::default(),
        }
    }

    /// A readout: the sum of `terms` and `bias` over the tokens of `grid` and all time steps.
    pub fn readout(name: impl Into<String>, terms: Vec<Term>, bias: Vec<i32>, grid: Grid) -> Layer {
        let channels = bias.len();
        Layer {
            channels,
            neuron: None,
            ..Layer::new(name, Operation::Linear { terms, bias }, grid, Vec::new())
        }
    }

    /// When its neurons fire; `None` for the readout.
    pub fn schedule(&self) -> Option<Schedule> {
        self.neuron.map(|neuron| neuron.schedule)
    }
}

/// An integer network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Name.
    pub name: String,
    /// Input.
    pub image: ImageShape,
    /// What a tap reads outside the image: a byte a channel; empty if it is 0 in all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub border: Vec<u8>,
    /// Number of logits.
    pub classes: usize,
    /// Layers in the order of evaluation; each reads earlier ones only. The last is the readout: it alone has no neuron.
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
    /// A network with a border of zeros, whose classes have no names and that comes from no checkpoint.
    pub fn new(
        name: impl Into<String>,
        image: ImageShape,
        classes: usize,
        layers: Vec<Layer>,
        seed: u32,
    ) -> Network {
        Network {
            name: name.into(),
            image,
            border: Vec::new(),
            classes,
            layers,
            seed,
            class_names: Vec::new(),
            checkpoint: None,
        }
    }

    /// Index of the layer whose draws the mask of layer `index` has: mostly its own.
    pub fn draws(&self, index: usize) -> usize {
        let of = self.layers[index].mask.draws_of.as_ref();
        of.and_then(|name| self.layers.iter().position(|layer| layer.name == *name)).unwrap_or(index)
    }

    /// The layer `id`.
    pub fn layer(&self, id: LayerId) -> &Layer {
        &self.layers[id.0]
    }
}
