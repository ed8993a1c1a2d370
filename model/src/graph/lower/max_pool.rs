//! Max pooling: OR of spikes.
//!
//! A neuron with hard reset, a threshold of 1 and gains of 1 fires whenever one of its taps does. If trains are thermometer codes (`k` spikes are those of slots
//! 0..k), OR is the train of the largest count, so the pool is exact. That takes a two-phase source in identity order without rotation, and without masks; what is
//! masked is masked behind the pool.

use super::slot_orders::Slots;
use crate::error::ModelError;
use crate::graph::{MaxPool, Node, Shape, unmappable};
use crate::network::{Layer, LayerId, Neuron, Operation, Schedule, SlotOrder, Source, Term, Weights};

/// The layer of a pool over the layer `source`, whose mask's label moves behind the pool.
///
/// # Errors
/// If OR of the source's spikes would not be their maximum.
pub(super) fn layer(
    node: &Node,
    pool: &MaxPool,
    shape: Shape,
    id: LayerId,
    source: &mut Layer,
) -> Result<Layer, ModelError> {
    let exact = |neuron: Neuron| {
        // A pool of a pool: OR of thermometer codes is one.
        neuron == Neuron::OR
            || neuron.schedule == Schedule::AfterAll
                && source.order == SlotOrder::Identity
                && source.rotate == 0
    };
    if !source.neuron.is_some_and(exact) {
        return Err(unmappable(
            node,
            format!(
                "it pools `{}`, whose neurons fire while they integrate, so the maximum is not the OR of spikes",
                source.name
            ),
            "convert with two-phase neurons and use `qcfs` or `relu_clip` before it, or train with average pooling",
        ));
    }
    if source.mask.ratio != 0 {
        return Err(unmappable(
            node,
            format!(
                "it pools `{}`, of whose spikes a mask drops {}/256, so OR is not the maximum",
                source.name, source.mask.ratio
            ),
            "put the mask on this node, behind the pool, and train again",
        ));
    }
    let mut mask = pool.mask.clone();
    if let Some(label) = source.mask.label.take() {
        mask.label.get_or_insert(label);
    }
    let gains = Weights::Diagonal(vec![1; pool.taps.count() * shape.channels]);
    let term = Term { source: Source::Plane(id), taps: pool.taps, weights: gains, shift: 0 };
    let operation = Operation::Linear { terms: vec![term], bias: vec![0; shape.channels] };
    let Slots { order, rotate } = Slots::THERMOMETER;
    Ok(Layer {
        neuron: Some(Neuron::OR),
        v0: vec![0; shape.channels],
        order,
        rotate,
        mask,
        ..Layer::new(&node.name, operation, shape.grid, vec![1; shape.channels])
    })
}
