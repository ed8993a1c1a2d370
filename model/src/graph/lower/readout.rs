//! The readout: logits as sums over tokens and time steps.

use super::emit::Emitter;
use super::expression::{Expression, Map};
use super::scales::{Deviations, ROOM, integer, largest, one_sided};
use crate::error::ModelError;
use crate::graph::{Node, unmappable};
use crate::network::{Layer, Source};

/// Adds the last layer.
///
/// All classes share one scale, so that their logits compare. A logit times `T * tokens * scale / unit` is the
/// integer, with the largest unit of a channel's spikes; the bias is added once a time step, a mean over tokens is left as a sum.
pub(super) fn lower(emitter: &mut Emitter<'_>, node: &Node, logits: &Expression) -> Result<(), ModelError> {
    if logits.terms.is_empty() || logits.terms.iter().any(|term| term.source == Source::Image) {
        return Err(unmappable(
            node,
            "the logits come from the image itself, with no activation between, and a readout sums spikes",
            "put an activation before the last layer, and train again",
        ));
    }
    let tokens = logits.grid.tokens() as f64;
    let units: Vec<&[f64]> = logits.terms.iter().map(|term| emitter.units_of(term.source)).collect();
    let unit = units.iter().map(|units| largest(units)).fold(0.0, f64::max);
    let row = |class: usize| -> Vec<Vec<f64>> {
        let terms = logits.terms.iter().zip(&units);
        terms
            .map(|(term, units)| {
                let entries = term.map.row(class, term.taps.count(), term.inputs);
                entries.iter().map(|entry| entry.gain * (units[entry.channel] / unit)).collect()
            })
            .collect()
    };
    let rows: Vec<Vec<Vec<f64>>> = (0..logits.channels).map(row).collect();
    let per_step = |bias: f64| bias * tokens / unit;
    let steps = f64::from(emitter.options.time_steps);
    let scale = rows.iter().zip(&logits.offset).fold(f64::MIN_POSITIVE, |scale, (row, &bias)| {
        let row = row.concat();
        let reach = steps * (tokens * one_sided(&row) + per_step(bias).abs());
        scale.max(largest(&row) / 127.0).max(reach / ROOM)
    });
    check_head(node, logits, &rows, scale)?;
    let name = &node.name;
    let bias =
        logits.offset.iter().map(|&bias| integer(name, per_step(bias) / scale)).collect::<Result<_, _>>()?;
    let mut deviations = Deviations::default();
    for row in &rows {
        deviations.add(row, &vec![scale; row.len()]);
    }
    let shifts = vec![0; logits.terms.len()];
    let integers = rows.iter().map(|row| {
        let round = |term: &Vec<f64>| term.iter().map(|value| (value / scale).round() as i8).collect();
        row.iter().map(round).collect()
    });
    let terms = super::emit::terms(node, logits, &integers.collect::<Vec<_>>(), &shifts)?;
    emitter.push(Layer::readout(name, terms, bias, logits.grid), &[], Some(deviations.rounding()));
    Ok(())
}

/// Refuses a head of which one number is so large that all weights of a class become 0 beside it.
fn check_head(
    node: &Node,
    logits: &Expression,
    rows: &[Vec<Vec<f64>>],
    scale: f64,
) -> Result<(), ModelError> {
    let vanishes = |row: &Vec<Vec<f64>>| {
        let top = largest(&row.concat());
        top > 0.0 && top < 0.5 * scale
    };
    if !rows.iter().any(vanishes) {
        return Ok(());
    }
    let top = |values: &mut dyn Iterator<Item = f64>| {
        values.enumerate().max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs())).unwrap_or_default()
    };
    let dense = logits
        .terms
        .iter()
        .filter_map(|term| if let Map::Dense(data) = &term.map { Some(data) } else { None });
    let weight = top(&mut dense.flatten().copied());
    let bias = top(&mut logits.offset.iter().copied());
    let (part, (index, value)) =
        if bias.1.abs() > weight.1.abs() { ("bias", bias) } else { ("weight", weight) };
    let expected =
        "small enough: logits share one scale, and the weights of a class would all become 0 beside it";
    Err(ModelError::TensorValue {
        name: format!("{}.{part}", node.name),
        index,
        value: value as f32,
        expected,
    })
}
