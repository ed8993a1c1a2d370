//! Checkpoints and float graphs, their conversion, the integer network and its bit-exact reference executor.
//!
//! - [`network`] defines the integer network and what each layer computes: the contract that hardware and reference share.
//! - [`checkpoint`] imports a trained float network, [`float`](mod@float) runs it, [`convert`](mod@convert) makes it integer,
//!   [`file`](mod@file) stores the result.
//! - [`graph`] is the form that all front ends bring networks into, with passes that lower it to the integer network.
//! - [`run`] makes a network ready for a number of time steps: [`Configured`] is what everything that runs networks takes.
//!   [`mask_rules`] say what it masks. [`proof`] shows that none of its sums can overflow.
//! - [`reference`](mod@reference) runs it, bit for bit; [`synapses`] and [`work`] tell what the run costs: in additions, and
//!   on the core.
//! - [`cost`] bounds what a run may take of the host. [`isa::names`] say what a name may be; [`input`] reads
//!   files and [`output`] writes them.

pub mod checkpoint;
mod container;
pub mod convert;
pub mod cost;
pub mod error;
pub mod file;
pub mod float;
pub mod graph;
pub mod input;
pub mod mask;
pub mod mask_rules;
pub mod network;
pub mod output;
pub mod proof;
pub mod reference;
pub mod run;
pub mod spikes;
pub mod synapses;
mod tap_order;
mod validate;
pub mod walk;
pub mod work;

pub use checkpoint::Checkpoint;
pub use convert::{ConvertOptions, convert};
pub use error::ModelError;
pub use graph::Graph;
pub use mask_rules::{MaskRatio, MaskRules};
pub use network::{Layer, LayerId, Network};
pub use reference::Executor;
pub use run::{Configured, RunOptions};
pub use spikes::{Classification, SpikePlane, Trace};
