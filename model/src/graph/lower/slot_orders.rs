//! In which order layers evaluate tokens, and into which slots their neurons fire.
//!
//! - An activation that feeds a max pool fires its spikes into the first slots of every token: identity order, no rotation. Then its trains are
//!   thermometer codes, of which OR is the maximum.
//! - Queries and scores fire in another order than the keys and values that they are multiplied with, so that coincidences are neither the rule
//!   nor the exception.
//! - Queries, keys and values are evaluated window by window, as attention reads them.

use crate::graph::{Graph, NodeOp};
use crate::network::{SlotOrder, Walk, Windows};

/// Order and rotation of a layer's slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slots {
    pub order: SlotOrder,
    pub rotate: u32,
}

impl Slots {
    /// What layers have that nothing else is asked of.
    pub const DEFAULT: Slots = Slots { order: SlotOrder::Identity, rotate: 1 };
    /// Decorrelated from the default.
    pub const DECORRELATED: Slots = Slots { order: SlotOrder::Spread, rotate: 3 };
    /// Thermometer code.
    pub const THERMOMETER: Slots = Slots { order: SlotOrder::Identity, rotate: 0 };
}

/// How the readers of a node's plane want it made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub slots: Slots,
    /// The windows of the attention that reads it first.
    pub windows: Option<Windows>,
    /// Whether a max pool reads it.
    pub pooled: Pooled,
}

/// Whether a max pool reads a plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooled {
    No,
    Yes,
}

impl Plan {
    /// The order of evaluation, if a layer of this kind of taps may have any.
    pub fn walk(&self, own_token_alone: impl FnOnce() -> bool) -> Walk {
        match self.windows {
            // Taps read neighbours on the grid, which a cyclic shift tears apart.
            Some(windows) if windows.shift == 0 || own_token_alone() => Walk::Windows(windows),
            _ => Walk::Raster,
        }
    }
}

/// One plan a node.
pub(super) fn plan(graph: &Graph) -> Vec<Plan> {
    let plan = Plan { slots: Slots::DEFAULT, windows: None, pooled: Pooled::No };
    let mut plans = vec![plan; graph.nodes.len()];
    for node in &graph.nodes {
        let NodeOp::Attention(attention) = &node.op else { continue };
        for (part, input) in node.inputs.iter().enumerate() {
            let plan = &mut plans[input.0];
            plan.windows.get_or_insert(attention.windows);
            if part == 0 {
                plan.slots = Slots::DECORRELATED;
            }
        }
    }
    for node in &graph.nodes {
        let NodeOp::MaxPool(_) = &node.op else { continue };
        for input in &node.inputs {
            plans[input.0].slots = Slots::THERMOMETER;
            plans[input.0].pooled = Pooled::Yes;
        }
    }
    plans
}
