//! Scores and context: products of spike trains.

use super::emit::Emitter;
use super::scales::{Deviations, integer, theta, theta_fits};
use super::slot_orders::Slots;
use crate::error::ModelError;
use crate::graph::{Attention, Node, unmappable};
use crate::network::{Grid, Layer, LayerId, Operation, Walk};

/// Largest fraction of scores and context.
const MAX_FRACTION: u32 = 7;

/// Share by which the product of two float32 thresholds may differ from what both were computed from: half a unit in the last
/// place each, of both products that are compared.
const PRODUCT_ROUNDING: f64 = 4.0 * (f32::EPSILON / 2.0) as f64;

/// The planes that attention reads.
pub(super) struct Planes {
    pub query: LayerId,
    pub key: LayerId,
    pub value: LayerId,
}

/// Adds the layers `NODE.scores` and `NODE.context`; the latter is returned.
pub(super) fn lower(
    emitter: &mut Emitter<'_>,
    node: &Node,
    attention: &Attention,
    grid: Grid,
    planes: &Planes,
) -> Result<LayerId, ModelError> {
    let scores = scores(emitter, node, attention, grid, planes)?;
    context(emitter, node, attention, grid, scores, planes.value)
}

/// `act(q k' / sqrt(d) + bias)`, divided by what one coincidence stands for.
fn scores(
    emitter: &mut Emitter<'_>,
    node: &Node,
    attention: &Attention,
    grid: Grid,
    planes: &Planes,
) -> Result<LayerId, ModelError> {
    let name = &format!("{}.scores", node.name);
    let units = coincidences(emitter, node, attention.heads, planes)?;
    let by_head = attention.bias_table.t();
    let thresholds = &attention.scores.thresholds;
    let steps = f64::from(emitter.options.time_steps);
    let fits = |fraction: u32| {
        by_head.rows().into_iter().zip(&units).zip(thresholds).all(|((biases, &unit), &threshold)| {
            let threshold = f64::from(threshold);
            let largest = biases.iter().fold(0f64, |largest, &b| largest.max(f64::from(b).abs()));
            // Bias rows are 16 bits wide and start two-phase accumulators from T * bias + v0.
            let start = (steps * (largest / unit + 0.5) + 0.5 * threshold / unit).abs();
            start * f64::from(1 << fraction) < 32_767.0 && theta_fits(threshold / unit, fraction)
        })
    };
    let fraction = (0..=MAX_FRACTION).rev().find(|&fraction| fits(fraction)).unwrap_or(0);
    let (mut thetas, mut bias, mut deviations) = (Vec::new(), Vec::new(), Deviations::default());
    let tensor = format!("{}.score_threshold", node.name);
    for (head, biases) in by_head.rows().into_iter().enumerate() {
        let scale = units[head] / f64::from(1 << fraction);
        thetas.push(theta(name, &tensor, head, thresholds[head], scale)?);
        for &b in biases {
            bias.push(integer(name, f64::from(b) / scale)?);
        }
        deviations.add(&[biases.iter().map(|&b| b.into()).collect()], &[scale]);
    }
    let Planes { query, key, .. } = *planes;
    let operation = Operation::Scores { query, key, heads: units.len(), bias, fraction };
    let Slots { order, rotate } = Slots::DECORRELATED;
    let layer = Layer {
        channels: attention.windows.tokens(),
        walk: Walk::Windows(attention.windows),
        order,
        rotate,
        ..Layer::new(name, operation, grid, thetas)
    };
    Ok(emitter.push_activation(layer, &attention.scores, Some(deviations.rounding())))
}

/// What a coincidence of a query's and a key's spike stands for, one a head. Hardware counts coincidences of all channels of
/// a head alike, so they must stand for the same.
fn coincidences(
    emitter: &Emitter<'_>,
    node: &Node,
    heads: usize,
    planes: &Planes,
) -> Result<Vec<f64>, ModelError> {
    let products = emitter.units(planes.query).iter().zip(emitter.units(planes.key)).map(|(q, k)| q * k);
    let products: Vec<f64> = products.collect();
    let head_size = products.len() / heads;
    let in_heads = products.chunks(head_size).enumerate();
    let unit = |(head, products): (usize, &[f64])| match products
        .iter()
        .position(|product| (*product - products[0]).abs() > PRODUCT_ROUNDING * products[0])
    {
        None => Ok(products[0] / (head_size as f64).sqrt()),
        Some(channel) => Err(unmappable(
            node,
            format!(
                "thresholds of `q` and `k` multiply to {:e} in channel {} and to {:e} in channel {} of head {head}, whose \
                 spikes are counted alike",
                products[0],
                head * head_size,
                products[channel],
                head * head_size + channel
            ),
            "train with one threshold for all channels of a head in `q`, and in `k`",
        )),
    };
    in_heads.map(unit).collect()
}

/// `act(attention * values)`, divided by what an attention spike that meets a value's stands for.
fn context(
    emitter: &mut Emitter<'_>,
    node: &Node,
    attention: &Attention,
    grid: Grid,
    scores: LayerId,
    value: LayerId,
) -> Result<LayerId, ModelError> {
    let name = &format!("{}.context", node.name);
    let (heads, thresholds) = (attention.heads, &attention.context.thresholds);
    let channels = thresholds.len();
    let unit = |c: usize| emitter.units(scores)[c * heads / channels] * emitter.units(value)[c];
    let ratio = |c: usize| f64::from(thresholds[c]) / unit(c);
    let fits = |fraction: u32| (0..channels).all(|c| theta_fits(ratio(c), fraction));
    let fraction = (0..=MAX_FRACTION).rev().find(|&fraction| fits(fraction)).unwrap_or(0);
    let tensor = format!("{}.context_threshold", node.name);
    let scaled = |c: usize| theta(name, &tensor, c, thresholds[c], unit(c) / f64::from(1 << fraction));
    let thetas = (0..channels).map(scaled).collect::<Result<_, _>>()?;
    let operation = Operation::Context { scores, value, heads, fraction };
    let layer = Layer { walk: Walk::Windows(attention.windows), ..Layer::new(name, operation, grid, thetas) };
    Ok(emitter.push_activation(layer, &attention.context, None))
}
