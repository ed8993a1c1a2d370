//! What logits a network can give.

use model::Configured;
use model::network::Operation;
use std::ops::RangeInclusive;

/// The range of each class's logit whatever spikes the readout reads: each channel spikes 0 to T times in each token, and the bias
/// is added once a time step.
pub(super) fn ranges(network: &Configured) -> Vec<RangeInclusive<i64>> {
    let Some(layer) = network.layers.last() else { return Vec::new() };
    let Operation::Readout { weights, bias, .. } = &layer.operation else { return Vec::new() };
    let steps = i64::from(network.time_steps());
    let spikes = steps * layer.grid.tokens() as i64;
    let rows = weights.data.chunks_exact(weights.inputs.max(1));
    let range = |(row, &bias): (&[i8], &i32)| {
        let sum = |keep: fn(i64) -> i64| row.iter().map(|&weight| keep(weight.into())).sum::<i64>();
        let bias = steps * i64::from(bias);
        bias + spikes * sum(|weight| weight.min(0))..=bias + spikes * sum(|weight| weight.max(0))
    };
    rows.zip(bias).map(range).collect()
}
