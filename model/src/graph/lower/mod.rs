//! From a float graph to an integer network.
//!
//! Nodes are read in their order. What stands between two activations is affine and is gathered as an `Expression` over the
//! planes of activations; each activation makes one layer of it. One file a pass:
//!
//! - `fold_batch_norm`, `fold_pooling`, `flatten`, `merge_terms` extend expressions, `compose` makes one map of two;
//! - `scales` finds integers, `slot_orders` the slots of spikes and the order of tokens;
//! - `max_pool`, `attention`, `readout` make the layers that are no plain activations of sums;
//! - `emit` writes layers.

mod attention;
mod compose;
mod emit;
mod expression;
mod flatten;
mod fold_batch_norm;
mod fold_pooling;
mod max_pool;
mod merge_terms;
mod readout;
#[cfg(test)]
mod samples;
mod scales;
mod slot_orders;

use super::{Graph, Node, NodeId, NodeOp, Shape, unmappable};
use crate::convert::Precision;
use crate::error::ModelError;
use crate::network::{Layer, LayerId, Network, Operation, Schedule, Source};
use crate::run::{Configured, RunOptions};
use emit::Emitter;
use expression::Expression;
use slot_orders::{Plan, Pooled};

/// How to lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowerOptions {
    /// When the neurons of all layers fire, but those of `if` nodes, which fire in each step, and those of max pools.
    pub schedule: Schedule,
    /// Number of time steps that scales leave room for, in a 24-bit membrane and the 16-bit bias rows of scores. More may
    /// still fit.
    pub time_steps: u32,
}

impl Default for LowerOptions {
    /// Two-phase neurons, room for 16 time steps.
    fn default() -> LowerOptions {
        LowerOptions { schedule: Schedule::AfterAll, time_steps: 16 }
    }
}

/// A lowered graph.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The network. A layer has the name of its activation, max pool or (readout) last node; attention has `NODE.scores` and `NODE.context`.
    pub network: Network,
    /// The network as it runs for the time steps that it has room for, with the bounds of its sums.
    pub configured: Configured,
    /// What became of the float values, one a layer.
    pub precision: Vec<Precision>,
}

/// Makes a graph an integer network.
///
/// # Errors
/// If the graph's [shapes](Graph::shapes) do not fit, a node has no counterpart in an integer network (names it, why, and what to do),
/// a value is too large or a threshold too small for integers, or the result does not [configure](Network::configure)
/// for the time steps that it is to have room for.
pub fn lower(graph: &Graph, options: &LowerOptions) -> Result<Lowered, ModelError> {
    let shapes = graph.shapes()?;
    let emitter = Emitter::new(options, &graph.input);
    let plans = slot_orders::plan(graph);
    let mut lowering = Lowering { graph, shapes, plans, values: Vec::new(), unread: Vec::new(), emitter };
    lowering.run()?;
    let Emitter { layers, precision, .. } = lowering.emitter;
    let mut network = Network::new(graph.name.clone(), graph.image, graph.classes, layers, 1);
    network.class_names.clone_from(&graph.class_names);
    let border = graph.input.border();
    if network.layers.iter().any(reads_beyond_the_image) && border.iter().any(|&byte| byte != 0) {
        network.border = border;
    }
    network.validate()?;
    let time_steps = options.time_steps;
    let no_room = |source| ModelError::Room { time_steps, source: Box::new(source) };
    let configured = network.configure(&RunOptions::new(time_steps)).map_err(no_room)?;
    Ok(Lowered { network, configured, precision })
}

/// Whether a layer has taps that lie outside the image.
fn reads_beyond_the_image(layer: &Layer) -> bool {
    let Operation::Linear { terms, .. } = &layer.operation else { return false };
    terms.iter().any(|term| term.source == Source::Image && term.taps.is_padded())
}

struct Lowering<'a> {
    graph: &'a Graph,
    shapes: Vec<Shape>,
    plans: Vec<Plan>,
    /// The value of each node so far; none where all readers have had it.
    values: Vec<Option<Expression>>,
    /// How often each node's value is still to be read.
    unread: Vec<usize>,
    emitter: Emitter<'a>,
}

impl Lowering<'_> {
    fn run(&mut self) -> Result<(), ModelError> {
        self.unread = vec![0; self.graph.nodes.len()];
        for input in self.graph.nodes.iter().flat_map(|node| &node.inputs) {
            self.unread[input.0] += 1;
        }
        let last = self.graph.nodes.len() - 1;
        for (index, node) in self.graph.nodes.iter().enumerate() {
            if self.unread[index] == 0 && index != last {
                return Err(unmappable(
                    node,
                    "nothing reads it",
                    "leave it out, or let the last node depend on it",
                ));
            }
            let value = self.value(index, node)?;
            self.values.push(Some(value));
            for input in &node.inputs {
                self.unread[input.0] -= 1;
                if self.unread[input.0] == 0 {
                    self.values[input.0] = None;
                }
            }
        }
        let (node, logits) = (&self.graph.nodes[last], self.values[last].take());
        readout::lower(&mut self.emitter, node, &logits.expect("the last node was evaluated"))
    }

    fn value(&mut self, index: usize, node: &Node) -> Result<Expression, ModelError> {
        let shape = self.shapes[index];
        let input = || self.input(node, 0);
        let id = match &node.op {
            NodeOp::Input => return Ok(Expression::image(&self.graph.input, shape)),
            NodeOp::Conv(conv) => return merge_terms::conv(node, input(), conv),
            NodeOp::Linear(linear) => return merge_terms::linear(node, input(), linear),
            NodeOp::BatchNorm(norm) => return Ok(fold_batch_norm::fold(input().clone(), norm)),
            NodeOp::Add => {
                let inputs = (0..node.inputs.len()).map(|number| self.input(node, number));
                return merge_terms::add(node, &inputs.collect::<Vec<_>>());
            }
            NodeOp::AvgPool(taps) => return fold_pooling::average(node, input(), *taps),
            NodeOp::Mean => return Ok(fold_pooling::mean(input().clone())),
            NodeOp::Flatten => return flatten::flatten(node, input()),
            NodeOp::Merge => return flatten::merge(node, input()),
            NodeOp::Activation(activation) => {
                let input = input().spread(node)?;
                self.emitter.linear(node, activation, &input, &self.plans[index])?
            }
            NodeOp::MaxPool(pool) => {
                let id = self.plane(node, 0)?;
                let layer = max_pool::layer(node, pool, shape, id, &mut self.emitter.layers[id.0])?;
                let threshold = self.emitter.units(id).iter().map(|&unit| unit as f32).collect::<Vec<_>>();
                self.emitter.push(layer, &threshold, None)
            }
            NodeOp::Attention(attention) => {
                let (query, key, value) = (self.plane(node, 0)?, self.plane(node, 1)?, self.plane(node, 2)?);
                if self.plans[index].pooled == Pooled::Yes {
                    return Err(unmappable(
                        node,
                        "a max pool reads it",
                        "pool the activation of the projection behind it, and train again",
                    ));
                }
                let planes = attention::Planes { query, key, value };
                attention::lower(&mut self.emitter, node, attention, shape.grid, &planes)?
            }
        };
        Ok(Expression::plane(id, shape))
    }

    fn input(&self, node: &Node, number: usize) -> &Expression {
        let NodeId(input) = node.inputs[number];
        self.values[input].as_ref().expect("kept until all readers have had it")
    }

    /// The layer that an input is.
    fn plane(&self, node: &Node, number: usize) -> Result<LayerId, ModelError> {
        self.input(node, number).as_plane().ok_or_else(|| {
            let input = self.graph.node(node.inputs[number]);
            let remedy = match node.op {
                NodeOp::MaxPool(_) => {
                    "put the activation before the pool: it is monotone, so with one threshold a channel that changes nothing"
                }
                _ => "put an activation before it, and train again",
            };
            unmappable(
                node,
                format!("it reads `{}` ({}), allowed: an activation, as spikes are what it works on", input.name, input.op.name()),
                remedy,
            )
        })
    }
}
