//! `gen convert --report`: what became of each layer's float values.

use crate::info::op_name;
use crate::screen::{Align, Table};
use model::convert::Precision;
use model::{Configured, LayerId, Network, RunOptions};
use serde::Serialize;

/// Width of the membranes that the proof is made for; the presets' own.
const MEMBRANE_BITS: u32 = 24;

/// What conversion did, layer by layer.
#[derive(Serialize)]
pub struct PrecisionReport {
    /// Time steps that sums were bounded for.
    proved_for: u32,
    /// Why not every sum can be bounded for that many; ranges are absent then.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    layers: Vec<LayerPrecision>,
}

#[derive(Serialize)]
struct LayerPrecision {
    name: String,
    op: &'static str,
    /// Root mean square and largest error of rounded values; absent for context, which has none.
    #[serde(flatten)]
    rounding: Option<model::convert::Rounding>,
    /// In the checkpoint; absent for the readout.
    threshold: Option<f32>,
    /// Smallest and largest of the layer's neurons.
    integer_threshold: Option<[i32; 2]>,
    mask: f64,
    #[serde(flatten)]
    range: Option<Range>,
}

/// Range that every sum of the layer was proven to keep.
#[derive(Serialize)]
struct Range {
    sum_low: i64,
    sum_high: i64,
    sum_bits: u32,
}

/// Bounds the sums for `time_steps` and puts them beside what conversion measured.
pub fn report(network: &Network, precision: &[Precision], time_steps: u32) -> PrecisionReport {
    let options = RunOptions { membrane_bits: MEMBRANE_BITS, ..RunOptions::new(time_steps) };
    let configured = network.configure(&options);
    let layers =
        network.layers.iter().zip(precision).enumerate().map(|(index, (layer, precision))| LayerPrecision {
            name: layer.name.clone(),
            op: op_name(&layer.operation),
            rounding: precision.rounding,
            threshold: precision.threshold,
            integer_threshold: layer.theta.iter().min().zip(layer.theta.iter().max()).map(|(&a, &b)| [a, b]),
            mask: f64::from(layer.mask_ratio) / 256.0,
            range: configured.as_ref().ok().map(|configured| range(configured, LayerId(index))),
        });
    PrecisionReport {
        proved_for: time_steps,
        layers: layers.collect(),
        refused: configured.as_ref().err().map(ToString::to_string),
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
                layer.op.to_owned(),
                layer.rounding.map_or_else(none, |rounding| share(rounding.relative_rms)),
                layer.rounding.map_or_else(none, |rounding| share(rounding.largest)),
                layer.threshold.map_or_else(none, |threshold| format!("{threshold:.4}")),
                match layer.integer_threshold {
                    Some([low, high]) if low == high => low.to_string(),
                    Some([low, high]) => format!("{low}..{high}"),
                    None => none(),
                },
                layer.mask.to_string(),
                layer.range.as_ref().map_or_else(none, |range| range.sum_low.to_string()),
                layer.range.as_ref().map_or_else(none, |range| range.sum_high.to_string()),
                layer.range.as_ref().map_or_else(none, |range| range.sum_bits.to_string()),
            ]);
        }
        let proof = match &self.refused {
            None => format!(
                "No sum can leave the range in its row: proven from the weights for T = {} and membranes of {MEMBRANE_BITS} bits.",
                self.proved_for
            ),
            Some(reason) => format!("Sums are not bounded for T = {}: {reason}", self.proved_for),
        };
        format!(
            "\n{}\nErrors are those of weights, gains or position biases as 8-bit or 16-bit integers: their root mean square as a share \
             of the values', and the largest as a share of the neuron's largest value.\n{proof}\n",
            table.text()
        )
    }
}
