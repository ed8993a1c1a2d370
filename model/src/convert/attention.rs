//! Scores and context: products of spike trains.

use super::quantise::{Deviations, Site, integer, theta_fits};
use super::{Converter, Place};
use crate::checkpoint::Attention;
use crate::error::ModelError;
use crate::network::{LayerId, Operation};

/// Largest fraction of scores and context.
const MAX_FRACTION: u32 = 7;

/// Share by which the product of two float32 thresholds may differ from what both were computed from: half a unit in the last
/// place each, of both products that are compared.
const PRODUCT_ROUNDING: f64 = 4.0 * (f32::EPSILON / 2.0) as f64;

impl Converter<'_> {
    /// Eq. 7: `QCFS(q k' / sqrt(d) + bias)`, divided by what one coincidence stands for.
    pub(super) fn scores(
        &mut self,
        name: &str,
        attention: &Attention,
        place: Place,
        query: LayerId,
        key: LayerId,
    ) -> Result<LayerId, ModelError> {
        let units = self.coincidences(attention, query, key)?;
        let by_head = attention.bias_table.t();
        let thresholds = &attention.score_thresholds;
        let fits = |fraction: u32| {
            by_head.rows().into_iter().zip(&units).zip(thresholds).all(|((biases, &unit), &threshold)| {
                let threshold = f64::from(threshold);
                let largest = biases.iter().fold(0f64, |largest, &b| largest.max(f64::from(b).abs()));
                // Bias rows are 16 bits wide and start two-phase accumulators from T * bias + v0.
                let start = (f64::from(self.options.time_steps) * (largest / unit + 0.5)
                    + 0.5 * threshold / unit)
                    .abs();
                start * f64::from(1 << fraction) < 32_767.0 && theta_fits(threshold / unit, fraction)
            })
        };
        let fraction = (0..=MAX_FRACTION).rev().find(|&fraction| fits(fraction)).unwrap_or(0);
        let (mut theta, mut bias, mut deviations) = (Vec::new(), Vec::new(), Deviations::default());
        let tensor = name.replace("attn.scores", "attn.score_threshold");
        for (head, biases) in by_head.rows().into_iter().enumerate() {
            let scale = units[head] / f64::from(1 << fraction);
            theta.push(Site::theta(name, &tensor, head, thresholds[head], scale)?);
            for &b in biases {
                bias.push(integer(name, f64::from(b) / scale)?);
            }
            deviations.add(&biases.iter().map(|&b| b.into()).collect::<Vec<_>>(), scale);
        }
        let operation = Operation::Scores { query, key, heads: units.len(), bias, fraction };
        let id = self.push(name, operation, place, theta, thresholds);
        self.measured(id, &deviations);
        self.layers[id.0].mask.label = Some("attn".to_owned());
        self.decorrelate(id);
        Ok(id)
    }

    /// What a coincidence of a query's and a key's spike stands for, one a head. Hardware counts coincidences of all channels of
    /// a head alike, so they must stand for the same.
    fn coincidences(
        &self,
        attention: &Attention,
        query: LayerId,
        key: LayerId,
    ) -> Result<Vec<f64>, ModelError> {
        let heads = attention.bias_table.ncols();
        let head_size = attention.q.weight.nrows() / heads;
        let products = self.units[query.0].iter().zip(&self.units[key.0]).map(|(q, k)| q * k);
        let products: Vec<f64> = products.collect();
        let in_heads = products.chunks(head_size).enumerate();
        let unit = |(head, products): (usize, &[f64])| match products
            .iter()
            .position(|product| (*product - products[0]).abs() > PRODUCT_ROUNDING * products[0])
        {
            None => Ok(products[0] / (head_size as f64).sqrt()),
            Some(channel) => Err(ModelError::Unmappable {
                module: self.layers[query.0].name.trim_end_matches(".q").to_owned(),
                found: format!(
                    "thresholds of `q` and `k` multiply to {:e} in channel {} and to {:e} in channel {} of head {head}, whose \
                         spikes are counted alike",
                    products[0],
                    head * head_size,
                    products[channel],
                    head * head_size + channel
                ),
                remedy: "train with one threshold for all channels of a head in `q`, and in `k`".to_owned(),
            }),
        };
        in_heads.map(unit).collect()
    }

    /// `QCFS(attention * values)`, divided by what an attention spike that meets a value's stands for.
    pub(super) fn context(
        &mut self,
        name: &str,
        attention: &Attention,
        place: Place,
        scores: LayerId,
        value: LayerId,
    ) -> Result<LayerId, ModelError> {
        let (heads, channels) = (attention.bias_table.ncols(), attention.v.weight.nrows());
        let thresholds = &attention.context_thresholds;
        let unit = |c: usize| self.units[scores.0][c * heads / channels] * self.units[value.0][c];
        let ratio = |c: usize| f64::from(thresholds[c]) / unit(c);
        let fits = |fraction: u32| (0..channels).all(|c| theta_fits(ratio(c), fraction));
        let fraction = (0..=MAX_FRACTION).rev().find(|&fraction| fits(fraction)).unwrap_or(0);
        let tensor = name.replace("attn.context", "attn.context_threshold");
        let scaled = |c: usize| {
            let scale = unit(c) / f64::from(1 << fraction);
            Site::theta(name, &tensor, c, thresholds[c], scale)
        };
        let theta = (0..channels).map(scaled).collect::<Result<_, _>>()?;
        let operation = Operation::Context { scores, value, heads, fraction };
        Ok(self.push(name, operation, place, theta, thresholds))
    }
}
