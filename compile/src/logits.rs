//! What logits a network can give.

use model::Configured;
use model::network::{Grid, Operation, Source, Term, Weights};
use std::ops::RangeInclusive;

/// A range of each class's logit that holds whatever spikes the readout reads: each channel spikes 0 to T times in each token, and the bias
/// is added once a time step.
pub(super) fn ranges(network: &Configured) -> Vec<RangeInclusive<i64>> {
    let Some(layer) = network.layers.last() else { return Vec::new() };
    let Operation::Linear { terms, bias } = &layer.operation else { return Vec::new() };
    let steps = i64::from(network.time_steps());
    let mut ranges: Vec<[i64; 2]> = bias.iter().map(|&bias| [steps * i64::from(bias); 2]).collect();
    for term in terms {
        let (grid, largest) = match term.source {
            Source::Image => (network.image.grid(), i64::from(u8::MAX)),
            Source::Plane(id) => (network.layer(id).grid, 1),
        };
        let tokens = tokens_of_taps(term, grid, layer.grid);
        for (class, range) in ranges.iter_mut().enumerate() {
            for (tap, weight) in weights(term, class, bias.len()) {
                let most = (steps * largest * tokens[tap]) << term.shift;
                range[0] += most * weight.min(0);
                range[1] += most * weight.max(0);
            }
        }
    }
    ranges.into_iter().map(|[low, high]| low..=high).collect()
}

/// How many tokens of `grid` read something through each tap.
fn tokens_of_taps(term: &Term, source: Grid, grid: Grid) -> Vec<i64> {
    let mut tokens = vec![0; term.taps.count()];
    for token in 0..grid.tokens() {
        for (count, position) in tokens.iter_mut().zip(term.taps.positions(source, grid, token)) {
            *count += i64::from(position.is_some());
        }
    }
    tokens
}

/// The weights that `class` has, each with its tap.
fn weights(term: &Term, class: usize, classes: usize) -> Vec<(usize, i64)> {
    match &term.weights {
        Weights::Dense(data) => {
            let row = data.len() / classes;
            let channels = (row / term.taps.count()).max(1);
            let row = data[class * row..(class + 1) * row].iter().enumerate();
            row.map(|(column, &weight)| (column / channels, i64::from(weight))).collect()
        }
        Weights::Diagonal(data) => {
            let gains = data.iter().skip(class).step_by(classes).enumerate();
            gains.map(|(tap, &gain)| (tap, i64::from(gain))).collect()
        }
    }
}
