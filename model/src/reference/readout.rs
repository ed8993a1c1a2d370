//! The readout: a linear sum over all tokens and time steps.

use crate::network::{Operation, Source, Taps, Term, Weights};
use crate::run::Configured;
use crate::spikes::SpikePlane;

/// `T * bias[o] + sum_terms 2^shift * sum_taps sum_i w[o,tap,i] * (spikes that the tap sees in channel i, over all tokens and time steps)`.
pub(super) fn logits(configured: &Configured, planes: &[SpikePlane]) -> Vec<i32> {
    let layer = &configured.layers[planes.len()];
    let Operation::Linear { terms, bias } = &layer.operation else {
        unreachable!("validated: the readout is linear")
    };
    let steps = i64::from(configured.time_steps());
    let mut logits: Vec<i64> = bias.iter().map(|&bias| steps * i64::from(bias)).collect();
    for term in terms {
        let totals = totals(configured, term, planes);
        match &term.weights {
            Weights::Dense(data) => {
                for (logit, row) in logits.iter_mut().zip(data.chunks_exact(totals.len())) {
                    let sum: i64 = row.iter().zip(&totals).map(|(&w, n)| i64::from(w) * n).sum();
                    *logit += sum << term.shift;
                }
            }
            Weights::Diagonal(gains) => {
                for (gains, totals) in gains.chunks_exact(bias.len()).zip(totals.chunks_exact(bias.len())) {
                    for (logit, (&gain, total)) in logits.iter_mut().zip(gains.iter().zip(totals)) {
                        *logit += (i64::from(gain) * total) << term.shift;
                    }
                }
            }
        }
    }
    let fit = |logit| i32::try_from(logit).expect("proven: logits fit the membrane");
    logits.into_iter().map(fit).collect()
}

/// The spikes that each tap sees, channel by channel.
fn totals(configured: &Configured, term: &Term, planes: &[SpikePlane]) -> Vec<i64> {
    let Source::Plane(id) = term.source else { unreachable!("validated: a readout reads spikes") };
    let (plane, source, grid) =
        (&planes[id.0], configured.layer(id).grid, configured.layers[planes.len()].grid);
    let channels = plane.channels();
    let mut totals = vec![0; term.taps.count() * channels];
    let mut add = |tap: usize, at: usize| {
        for (channel, total) in totals[tap * channels..][..channels].iter_mut().enumerate() {
            *total += i64::from(plane.count(at, channel));
        }
    };
    for token in 0..grid.tokens() {
        if term.taps == Taps::TOKEN {
            add(0, token);
            continue;
        }
        for (tap, at) in term.taps.positions(source, grid, token).enumerate() {
            at.into_iter().for_each(|at| add(tap, at));
        }
    }
    totals
}
