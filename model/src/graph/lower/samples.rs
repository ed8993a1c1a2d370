//! Nodes and expressions for the tests of the passes.

use super::expression::Expression;
use crate::graph::{Node, NodeOp, Shape};
use crate::network::{Grid, LayerId};

/// A node to be named in errors.
pub fn node() -> Node {
    Node { name: "here".to_owned(), inputs: Vec::new(), op: NodeOp::Add }
}

/// The plane of layer 0.
pub fn plane(rows: usize, columns: usize, channels: usize) -> Expression {
    plane_of(LayerId(0), rows, columns, channels)
}

/// The plane of a layer.
pub fn plane_of(id: LayerId, rows: usize, columns: usize, channels: usize) -> Expression {
    Expression::plane(id, Shape { grid: Grid { rows, columns }, channels })
}
