//! The float graph: the form that every front end brings a trained network into, and that is lowered to the integer network.
//!
//! A [`Graph`] is a list of nodes in the order of evaluation. Each node reads earlier nodes and yields a tensor of *positions x channels*, where
//! positions lie on a [`Grid`](isa::Grid); the last node yields the logits, on one position. [`file`](mod@file) stores graphs (`mst-graph` version 2),
//! [`Graph::logits`] runs them in float64, [`lower`](mod@lower) makes the integer [`Network`](crate::Network).
//!
//! # What nodes compute
//! | node | value at output position `n`, channel `o` |
//! |---|---|
//! | `Input` | `(byte / 255 - mean[o]) / std[o]` |
//! | `Conv` | `bias[o] + sum_tap sum_i weight[o, i, tap] * x[at(n, tap), i]`, zeros outside the grid |
//! | `Linear` | `bias[o] + sum_i weight[o, i] * x[n, i]` |
//! | `BatchNorm` | `gain[o] * x[n, o] + offset[o]` |
//! | `Activation` | see [`ActivationKind`]; times the share of spikes that its mask keeps |
//! | `Add` | the sum of its inputs |
//! | `AvgPool` | `sum_tap x[at(n, tap), o] / taps`, zeros outside the grid |
//! | `MaxPool` | the largest `x[at(n, tap), o]` of those inside the grid |
//! | `Flatten` | one position, channel `c * positions + p` is `x[p, c]` (PyTorch's order) |
//! | `Mean` | one position, the mean over all positions |
//! | `Merge` | channel `q * channels + c` is `x[(2y + q / 2, 2x + q mod 2), c]` for `q` in 0..4 |
//! | `Attention` | `act(act(q k' / sqrt(head size) + bias) v)` in windows |

mod example;
mod execute;
pub mod file;
mod from_checkpoint;
pub mod lower;
mod shapes;

pub use execute::Observer;
pub use lower::{LowerOptions, Lowered, lower};
pub use shapes::Shape;

use crate::checkpoint::{BatchNorm, Example, Normalisation};
use crate::error::ModelError;
use crate::network::{ImageShape, Mask, Taps, Windows};
use ndarray::{Array2, Array4};

/// Index of a node in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// A float network.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Name; the integer network's, too.
    pub name: String,
    /// Input.
    pub image: ImageShape,
    /// What is done to pixels by the `Input` node.
    pub input: Normalisation,
    /// Nodes in the order of evaluation; the last one yields the logits.
    pub nodes: Vec<Node>,
    /// Number of logits.
    pub classes: usize,
    /// Names of the classes, one a class; empty if they have none.
    pub class_names: Vec<String>,
    /// Images with the logits that the framework computed for them, if there are some.
    pub example: Option<Example>,
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Name, unique in its graph. Activations, max pools and the last node give theirs to the layers that they become.
    pub name: String,
    /// What it reads: nodes before it.
    pub inputs: Vec<NodeId>,
    /// What it computes.
    pub op: NodeOp,
}

/// What a node computes from its inputs.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeOp {
    /// The image. No inputs.
    Input,
    /// A convolution.
    Conv(Conv),
    /// A linear layer of every position.
    Linear(Linear),
    /// Batch norm with running statistics, or any other gain and offset a channel.
    BatchNorm(BatchNorm),
    /// What becomes the neurons of a layer.
    Activation(Activation),
    /// The sum of two or more tensors of one shape.
    Add,
    /// Mean over taps; a position outside the grid counts as 0.
    AvgPool(Taps),
    /// Maximum over taps; positions outside the grid do not count.
    MaxPool(MaxPool),
    /// All positions and channels as the channels of one position.
    Flatten,
    /// Mean over all positions.
    Mean,
    /// 2 x 2 neighbours as the channels of one position.
    Merge,
    /// Window attention of three activations: queries, keys and values.
    Attention(Attention),
}

impl NodeOp {
    /// What the operation is called in files.
    pub fn name(&self) -> &'static str {
        match self {
            NodeOp::Input => "input",
            NodeOp::Conv(_) => "conv",
            NodeOp::Linear(_) => "linear",
            NodeOp::BatchNorm(_) => "batch_norm",
            NodeOp::Activation(activation) => activation.kind.name(),
            NodeOp::Add => "add",
            NodeOp::AvgPool(_) => "avg_pool",
            NodeOp::MaxPool(_) => "max_pool",
            NodeOp::Flatten => "flatten",
            NodeOp::Mean => "mean",
            NodeOp::Merge => "merge",
            NodeOp::Attention(_) => "attention",
        }
    }
}

/// A convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Outputs x inputs (depthwise: 1) x kernel rows x kernel columns.
    pub weight: Array4<f32>,
    /// One an output.
    pub bias: Option<Vec<f32>>,
    /// Positions that it reads; the kernel is that of `weight`.
    pub taps: Taps,
    /// Which inputs an output reads.
    pub groups: Groups,
}

/// Which channels an output of a convolution reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Groups {
    /// All of them.
    One,
    /// Its own alone: as many outputs as inputs.
    Depthwise,
}

/// A linear layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// Outputs x inputs.
    pub weight: Array2<f32>,
    /// One an output.
    pub bias: Option<Vec<f32>>,
}

/// An activation with one threshold for each channel (scores: head).
#[derive(Clone, Debug, PartialEq)]
pub struct Activation {
    /// Its curve.
    pub kind: ActivationKind,
    /// Positive thresholds `l`, one a channel.
    pub thresholds: Vec<f32>,
    /// Which of its spikes are dropped.
    pub mask: Mask,
}

/// The curve of an activation with threshold `l`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivationKind {
    /// `l * clip(floor(x * levels / l + 1/2) / levels, 0, 1)`: exactly the spike count of a two-phase neuron in `levels` time steps.
    Qcfs {
        /// L: 1 to 256.
        levels: u32,
    },
    /// `clip(x, 0, l)`: what spike counts approach with many time steps.
    ReluClip,
    /// An integrate-and-fire neuron with soft reset, whatever the schedule of the others; as a float function `clip(x, 0, l)`.
    If,
}

impl ActivationKind {
    /// What it is called in files.
    pub fn name(self) -> &'static str {
        match self {
            ActivationKind::Qcfs { .. } => "qcfs",
            ActivationKind::ReluClip => "relu_clip",
            ActivationKind::If => "if",
        }
    }
}

/// A max pool of an activation.
#[derive(Clone, Debug, PartialEq)]
pub struct MaxPool {
    /// Positions that it reads.
    pub taps: Taps,
    /// Which of the spikes behind the pool are dropped.
    pub mask: Mask,
}

/// Window attention; its inputs are queries, keys and values, all of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Where tokens attend to each other.
    pub windows: Windows,
    /// Head `h` owns channels `h * head_size .. (h + 1) * head_size`.
    pub heads: usize,
    /// Relative positions (as [`Windows::relative`] counts them) x heads.
    pub bias_table: Array2<f32>,
    /// Activation of the attention matrix, one threshold a head.
    pub scores: Activation,
    /// Activation of attention times values, one threshold a channel.
    pub context: Activation,
}

impl Graph {
    /// The node `id`.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// Every activation, those of attention included.
    pub fn activations(&self) -> impl Iterator<Item = &Activation> {
        self.nodes.iter().flat_map(|node| match &node.op {
            NodeOp::Activation(activation) => vec![activation],
            NodeOp::Attention(attention) => vec![&attention.scores, &attention.context],
            _ => Vec::new(),
        })
    }

    /// The number of time steps in which two-phase neurons are exactly the activations: the levels of all QCFS, if they are the same.
    pub fn levels(&self) -> Option<u32> {
        let mut levels = self.activations().map(|activation| match activation.kind {
            ActivationKind::Qcfs { levels } => Some(levels),
            _ => None,
        });
        let first = levels.next()??;
        levels.all(|other| other == Some(first)).then_some(first)
    }
}

/// Refuses what has no counterpart in the integer network.
fn unmappable(node: &Node, found: impl Into<String>, remedy: impl Into<String>) -> ModelError {
    ModelError::Unmappable { module: node.name.clone(), found: found.into(), remedy: remedy.into() }
}
