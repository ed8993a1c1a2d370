//! `gen convert --report`: what became of each layer's float values.

use crate::operation;
use crate::screen::{Align, Table};
use model::convert::Converted;
use model::{Configured, LayerId};
use serde::Serialize;

/// What conversion did, layer by layer.
#[derive(Serialize)]
pub struct PrecisionReport {
    /// Time steps that sums were bounded for.
    proved_for: u32,
    /// Width of the membranes that they were proven to fit.
    membrane_bits: u32,
    layers: Vec<LayerPrecision>,
}

#[derive(Serialize)]
struct LayerPrecision {
    name: String,
    op: &'static str,
    /// The terms of a linear layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    terms: Option<String>,
    #[serde(skip)]
    words: String,
    /// Root mean square and largest error of rounded values; absent for context, which has none.
    #[serde(flatten)]
    rounding: Option<model::convert::Rounding>,
    /// Smallest and largest in the checkpoint; absent for the readout.
    threshold: Option<[f32; 2]>,
    /// Smallest and largest of the layer's neurons.
    integer_threshold: Option<[i32; 2]>,
    mask: f64,
    #[serde(flatten)]
    range: Range,
}

/// Range that every sum of the layer was proven to keep.
#[derive(Serialize)]
struct Range {
    sum_low: i64,
    sum_high: i64,
    sum_bits: u32,
}

/// What conversion measured, beside the proven bounds of the sums.
pub fn report(converted: &Converted) -> PrecisionReport {
    let configured = &converted.configured;
    let layers = configured.layers.iter().zip(&converted.precision).enumerate();
    let layers = layers.map(|(index, (layer, precision))| LayerPrecision {
        name: layer.name.clone(),
        op: operation::kind(layer),
        terms: operation::terms(layer),
        words: operation::words(layer),
        rounding: precision.rounding,
        threshold: precision.threshold,
        integer_threshold: layer.theta.iter().min().zip(layer.theta.iter().max()).map(|(&a, &b)| [a, b]),
        mask: f64::from(layer.mask.ratio) / 256.0,
        range: range(configured, LayerId(index)),
    });
    PrecisionReport {
        proved_for: configured.time_steps(),
        membrane_bits: configured.membrane_bits(),
        layers: layers.collect(),
    }
}

fn range(configured: &Configured, id: LayerId) -> Range {
    let bounds = configured.bounds(id);
    Range { sum_low: bounds.low, sum_high: bounds.high, sum_bits: bounds.signed_bits() }
}

impl PrecisionReport {
    /// A table with what its columns mean.
    pub fn text(&self) -> String {
        let (left, right) = (Align::Left, Align::Right);
        let mut table = Table::new(&[
            ("layer", left),
            ("op", left),
            ("rms error", right),
            ("largest", right),
            ("threshold", right),
            ("as integer", right),
            ("mask", right),
            ("sums from", right),
            ("to", right),
            ("bits", right),
        ]);
        let none = || "-".to_owned();
        for layer in &self.layers {
            let share = |value: f64| format!("{:.2} %", 100.0 * value);
            table.row(vec![
                layer.name.clone(),
                layer.words.clone(),
                layer.rounding.map_or_else(none, |rounding| share(rounding.relative_rms)),
                layer.rounding.map_or_else(none, |rounding| share(rounding.largest)),
                layer.threshold.map_or_else(none, |ends| ends_of(ends.map(|end| format!("{end:.4}")))),
                layer.integer_threshold.map_or_else(none, |ends| ends_of(ends.map(|end| end.to_string()))),
                layer.mask.to_string(),
                layer.range.sum_low.to_string(),
                layer.range.sum_high.to_string(),
                layer.range.sum_bits.to_string(),
            ]);
        }
        let proof = format!(
            "No sum can leave the range in its row: proven from the weights for T = {} and membranes of {} bits.",
            self.proved_for, self.membrane_bits
        );
        format!(
            "\n{}\nErrors are those of weights, gains or position biases as 8-bit or 16-bit integers: their root mean square as a share \
             of the values', and the largest as a share of the neuron's largest value.\n{proof}\n",
            table.text()
        )
    }
}

/// One value, or the smallest and the largest.
fn ends_of([low, high]: [String; 2]) -> String {
    if low == high { low } else { format!("{low}..{high}") }
}
