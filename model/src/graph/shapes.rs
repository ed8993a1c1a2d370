//! Shapes of all tensors of a graph, and the check that its nodes fit each other.

use super::{Activation, Attention, Conv, Graph, Groups, Linear, Node, NodeId, NodeOp};
use crate::error::ModelError;
use crate::network::{Grid, Taps};
use crate::validate::MAX_PADDING;
use isa::names;
use std::collections::HashMap;
use std::fmt::Display;

/// Largest number of positions or channels of a tensor along one side, and of its elements.
const MAX_SIDE: usize = 1 << 16;
const MAX_CELLS: usize = 1 << 26;

/// The one position of a vector.
pub(super) const POINT: Grid = Grid { rows: 1, columns: 1 };

/// Shape of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Positions.
    pub grid: Grid,
    /// Channels.
    pub channels: usize,
}

impl Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{} positions of {} channels", self.grid.rows, self.grid.columns, self.channels)
    }
}

impl Graph {
    /// The shape of every node's tensor.
    ///
    /// # Errors
    /// If a name occurs twice, a node reads one that does not come before it, or sizes do not fit: names the node, what was found and what is
    /// allowed.
    pub fn shapes(&self) -> Result<Vec<Shape>, ModelError> {
        let mut names = HashMap::new();
        let mut shapes: Vec<Shape> = Vec::with_capacity(self.nodes.len());
        for (index, node) in self.nodes.iter().enumerate() {
            names::check(&node.name).map_err(|fault| ModelError::Name {
                what: format!("node {index}"),
                found: names::shown(&node.name),
                fault,
            })?;
            if let Some(first) = names.insert(node.name.as_str(), index) {
                return Err(error(node, "name", format!("also that of node {first}"), "one name a node"));
            }
            let inputs = node.inputs.iter().map(|&NodeId(input)| {
                shapes.get(input).copied().ok_or_else(|| {
                    let found = self.nodes.get(input).map_or_else(
                        || format!("node {input} of {}", self.nodes.len()),
                        |later| format!("`{}`, which comes no earlier", later.name),
                    );
                    error(
                        node,
                        "an input",
                        found,
                        "nodes before it, as nodes stand in the order of evaluation",
                    )
                })
            });
            let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
            shapes.push(shape(self, node, &inputs)?);
        }
        let (Some(last), Some(&shape)) = (self.nodes.last(), shapes.last()) else {
            let allowed = "1 or more, of which the last yields the logits".to_owned();
            return Err(ModelError::Network { what: "number of nodes", found: "0".to_owned(), allowed });
        };
        let logits = Shape { grid: POINT, channels: self.classes };
        if shape != logits {
            return Err(error(last, "shape of the logits", shape, format!("{logits}, one a class")));
        }
        let named = self.class_names.len();
        if named != 0 && named != self.classes {
            let allowed = format!("none, or one a class ({})", self.classes);
            return Err(ModelError::Network {
                what: "number of class names",
                found: named.to_string(),
                allowed,
            });
        }
        Ok(shapes)
    }
}

/// The shape of a node's tensor over inputs of these shapes.
pub(super) fn shape(graph: &Graph, node: &Node, inputs: &[Shape]) -> Result<Shape, ModelError> {
    let shape = Check { graph, node, inputs }.shape()?;
    let Shape { grid: Grid { rows, columns }, channels } = shape;
    let sides = [rows, columns, channels].iter().all(|side| (1..=MAX_SIDE).contains(side));
    if sides && rows * columns <= MAX_CELLS / channels {
        return Ok(shape);
    }
    let allowed = format!("1..={MAX_SIDE} rows, columns and channels, and 2^26 values");
    Err(error(node, "shape", shape, allowed))
}

fn error(node: &Node, what: &str, found: impl Display, allowed: impl Display) -> ModelError {
    ModelError::Node {
        node: node.name.clone(),
        what: what.to_owned(),
        found: found.to_string(),
        allowed: allowed.to_string(),
    }
}

/// The check of one node.
struct Check<'a> {
    graph: &'a Graph,
    node: &'a Node,
    inputs: &'a [Shape],
}

impl Check<'_> {
    fn equal(&self, what: &str, found: usize, expected: usize) -> Result<(), ModelError> {
        if found == expected { Ok(()) } else { Err(error(self.node, what, found, expected)) }
    }

    fn one(&self) -> Result<Shape, ModelError> {
        self.equal("number of inputs", self.inputs.len(), 1)?;
        Ok(self.inputs[0])
    }

    fn shape(&self) -> Result<Shape, ModelError> {
        match &self.node.op {
            NodeOp::Input => self.image(),
            NodeOp::Conv(conv) => self.conv(conv),
            NodeOp::Linear(linear) => self.linear(linear),
            NodeOp::BatchNorm(norm) => {
                let input = self.one()?;
                self.equal("number of gains", norm.gain.len(), input.channels)?;
                self.equal("number of offsets", norm.offset.len(), input.channels)?;
                Ok(input)
            }
            NodeOp::Activation(activation) => {
                let input = self.one()?;
                self.thresholds("number of thresholds", activation, input.channels)?;
                Ok(input)
            }
            NodeOp::Add => self.add(),
            NodeOp::AvgPool(taps) => Ok(Shape { grid: self.grid(*taps)?, ..self.one()? }),
            NodeOp::MaxPool(pool) => {
                let (grid, input) = (self.grid(pool.taps)?, self.one()?);
                for axis in [pool.taps.rows, pool.taps.columns] {
                    if 2 * axis.padding > axis.kernel {
                        let allowed = format!("at most half of its kernel, {}", axis.kernel / 2);
                        return Err(error(self.node, "padding", axis.padding, allowed));
                    }
                }
                Ok(Shape { grid, ..input })
            }
            NodeOp::Flatten => {
                let input = self.one()?;
                Ok(Shape { grid: POINT, channels: input.grid.tokens() * input.channels })
            }
            NodeOp::Mean => Ok(Shape { grid: POINT, ..self.one()? }),
            NodeOp::Merge => {
                let Shape { grid: Grid { rows, columns }, channels } = self.one()?;
                if rows % 2 != 0 || columns % 2 != 0 {
                    return Err(error(
                        self.node,
                        "grid",
                        format!("{rows}x{columns}"),
                        "even rows and columns",
                    ));
                }
                Ok(Shape { grid: Grid { rows: rows / 2, columns: columns / 2 }, channels: 4 * channels })
            }
            NodeOp::Attention(attention) => self.attention(attention),
        }
    }

    fn image(&self) -> Result<Shape, ModelError> {
        self.equal("number of inputs", self.inputs.len(), 0)?;
        let image = self.graph.image;
        self.equal("number of means", self.graph.input.mean.len(), image.channels)?;
        self.equal("number of standard deviations", self.graph.input.std.len(), image.channels)?;
        Ok(Shape { grid: image.grid(), channels: image.channels })
    }

    fn conv(&self, conv: &Conv) -> Result<Shape, ModelError> {
        let input = self.one()?;
        let (outputs, inputs, rows, columns) = conv.weight.dim();
        self.equal("kernel rows", rows, conv.taps.rows.kernel)?;
        self.equal("kernel columns", columns, conv.taps.columns.kernel)?;
        match conv.groups {
            Groups::One => self.equal("inputs of its weight", inputs, input.channels)?,
            Groups::Depthwise => {
                self.equal("outputs of its depthwise weight", outputs, input.channels)?;
                self.equal("inputs of its depthwise weight", inputs, 1)?;
            }
        }
        self.bias(conv.bias.as_ref(), outputs)?;
        Ok(Shape { grid: self.grid(conv.taps)?, channels: outputs })
    }

    fn linear(&self, linear: &Linear) -> Result<Shape, ModelError> {
        let input = self.one()?;
        let (outputs, inputs) = linear.weight.dim();
        self.equal("inputs of its weight", inputs, input.channels)?;
        self.bias(linear.bias.as_ref(), outputs)?;
        Ok(Shape { channels: outputs, ..input })
    }

    fn bias(&self, bias: Option<&Vec<f32>>, outputs: usize) -> Result<(), ModelError> {
        bias.map_or(Ok(()), |bias| self.equal("number of biases", bias.len(), outputs))
    }

    fn add(&self) -> Result<Shape, ModelError> {
        let [first, others @ ..] = self.inputs else {
            return Err(error(self.node, "number of inputs", 0, "2 or more"));
        };
        if others.is_empty() {
            return Err(error(self.node, "number of inputs", 1, "2 or more"));
        }
        match others.iter().find(|other| *other != first) {
            Some(other) => Err(error(self.node, "an input", other, format!("{first}, like its first input"))),
            None => Ok(*first),
        }
    }

    /// The grid of a node's positions over its input's.
    fn grid(&self, taps: Taps) -> Result<Grid, ModelError> {
        let source = self.one()?.grid;
        for (what, axis, size) in
            [("rows", taps.rows, source.rows), ("columns", taps.columns, source.columns)]
        {
            // A pool over the whole grid may be larger than any other kernel.
            let most = size.max(256);
            for (part, found, low, high) in [
                ("kernel", axis.kernel, 1, most),
                ("stride", axis.stride, 1, most),
                ("padding", axis.padding, 0, MAX_PADDING),
            ] {
                if !(low..=high).contains(&found) {
                    return Err(error(
                        self.node,
                        &format!("{part} of {what}"),
                        found,
                        format!("{low}..={high}"),
                    ));
                }
            }
        }
        taps.grid(source).ok_or_else(|| {
            let found = format!("{}x{}", taps.rows.kernel, taps.columns.kernel);
            let (rows, columns) =
                (source.rows + 2 * taps.rows.padding, source.columns + 2 * taps.columns.padding);
            error(self.node, "kernel", found, format!("at most {rows}x{columns}, its input with padding"))
        })
    }

    fn thresholds(&self, what: &str, activation: &Activation, expected: usize) -> Result<(), ModelError> {
        self.equal(what, activation.thresholds.len(), expected)?;
        let positive = |threshold: f32| threshold > 0.0 && threshold.is_finite();
        match activation.thresholds.iter().position(|&threshold| !positive(threshold)) {
            None => Ok(()),
            Some(at) => {
                let what = format!("threshold {at}");
                Err(error(self.node, &what, activation.thresholds[at], "positive and finite"))
            }
        }
    }

    fn attention(&self, attention: &Attention) -> Result<Shape, ModelError> {
        let [query, key, value] = self.inputs else {
            return Err(error(
                self.node,
                "number of inputs",
                self.inputs.len(),
                "3: queries, keys and values",
            ));
        };
        for (what, found) in [("keys", key), ("values", value)] {
            if found != query {
                return Err(error(self.node, what, found, format!("{query}, like the queries")));
            }
        }
        let (heads, windows) = (attention.heads, attention.windows);
        if heads == 0 || !query.channels.is_multiple_of(heads) {
            let allowed = format!("a divisor of {} channels", query.channels);
            return Err(error(self.node, "heads", heads, allowed));
        }
        let Grid { rows, columns } = query.grid;
        if windows.size == 0 || !rows.is_multiple_of(windows.size) || !columns.is_multiple_of(windows.size) {
            let allowed = format!("a divisor of {rows} rows and {columns} columns");
            return Err(error(self.node, "window", windows.size, allowed));
        }
        if windows.shift >= windows.size {
            return Err(error(self.node, "shift", windows.shift, format!("0..={}", windows.size - 1)));
        }
        if attention.context.kind != attention.scores.kind {
            let (found, allowed) = (attention.context.kind, attention.scores.kind);
            return Err(error(
                self.node,
                "activation of its context",
                format!("{found:?}"),
                format!("{allowed:?}, like its scores"),
            ));
        }
        self.equal("rows of the bias table", attention.bias_table.nrows(), windows.positions())?;
        self.equal("columns of the bias table", attention.bias_table.ncols(), heads)?;
        self.thresholds("number of score thresholds", &attention.scores, heads)?;
        self.thresholds("number of context thresholds", &attention.context, query.channels)?;
        Ok(*query)
    }
}
