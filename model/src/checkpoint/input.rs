//! What is done to pixels before the network sees them.

use super::header::{Header, refused, wrong};
use crate::error::ModelError;
use serde_json::Value;

/// Other names of a map with `mean` and `std` in it.
pub(super) const NAMES: [&str; 4] = ["normalize", "normalise", "normalization", "normalisation"];

/// Smallest `std`: less than one pixel of ten million that differs from the others by one step gives.
const SMALLEST_STD: f64 = 1e-6;

/// A pixel byte `p` of channel `c` enters the network as `(p / 255 - mean[c]) / std[c]`.
///
/// `W x + b` of normalised pixels is `(W / std) x + (b - sum W mean / std)` of plain ones, where a tap that lies beside the image reads
/// the byte that normalises to 0, or the nearest one.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalisation {
    /// One a channel, 0 to 1; 0 if the file says nothing.
    pub mean: Vec<f64>,
    /// One a channel, above 0; 1 if the file says nothing.
    pub std: Vec<f64>,
}

impl Normalisation {
    /// Reads `mean` and `std`: both or none, each a number or one a channel.
    pub(super) fn read(header: &Header, channels: usize) -> Result<Normalisation, ModelError> {
        let normalisation = match (header.entry("mean"), header.entry("std")) {
            (None, None) => Normalisation::none(channels),
            (Some(mean), Some(std)) => Normalisation::of("", mean, std, channels, wrong)?,
            (mean, _) => {
                let (missing, value) = if mean.is_none() { ("mean", "0") } else { ("std", "1") };
                let allowed = format!(
                    "as many as channels ({channels}), or {value} for none: `mean` and `std` go together"
                );
                return Err(wrong(missing, &Value::Null, &allowed));
            }
        };
        for name in NAMES {
            let Some(value) = header.entry(name) else { continue };
            let same = match (value.get("mean"), value.get("std")) {
                (Some(mean), Some(std)) => {
                    Normalisation::of(name, mean, std, channels, wrong)? == normalisation
                }
                // A flag says nothing that can be compared.
                _ => *value == Value::Bool(false),
            };
            if !same && header.entry("mean").is_some() {
                let remedy = "`mean` and `std` of the header say something else: correct the wrong ones, or leave one of both out";
                return Err(refused(name, value, remedy));
            }
            if !same {
                return Err(refused(name, value, "say it with `mean` and `std`, for pixels scaled to 0..1"));
            }
        }
        Ok(normalisation)
    }

    /// Refuses a deviation that no data set has, by its channel: all weights of the first layer would be lost beside what it makes of them.
    fn check_std(
        name: &str,
        value: &Value,
        wrong: fn(&str, &Value, &str) -> ModelError,
    ) -> Result<(), ModelError> {
        let allowed = format!(
            "{SMALLEST_STD} or more, for pixels scaled to 0..1; a channel that is the same everywhere needs none, 1 will do"
        );
        let small = |value: &Value| value.as_f64().is_some_and(|std| std > 0.0 && std < SMALLEST_STD);
        match value {
            Value::Array(values) => match values.iter().position(small) {
                Some(channel) => Err(wrong(&format!("{name}[{channel}]"), &values[channel], &allowed)),
                None => Ok(()),
            },
            value if small(value) => Err(wrong(&format!("{name} (of all channels)"), value, &allowed)),
            _ => Ok(()),
        }
    }

    /// Reads two entries; `wrong` makes errors of an entry, the value found and what is allowed.
    pub(crate) fn of(
        inside: &str,
        mean: &Value,
        std: &Value,
        channels: usize,
        wrong: fn(&str, &Value, &str) -> ModelError,
    ) -> Result<Normalisation, ModelError> {
        let each = |name: &str, value: &Value, allowed: &str, ok: fn(f64) -> bool| {
            let values = match value {
                Value::Array(values) => values.iter().map(Value::as_f64).collect::<Option<Vec<_>>>(),
                _ => value.as_f64().map(|value| vec![value]),
            };
            let expanded = match values {
                Some(values) if values.len() == 1 => Some(vec![values[0]; channels]),
                values => values.filter(|values| values.len() == channels),
            };
            expanded.filter(|values| values.iter().all(|&value| ok(value))).ok_or_else(|| {
                let name = if inside.is_empty() { name.to_owned() } else { format!("{inside}.{name}") };
                wrong(&name, value, &format!("a number or {channels}, one a channel, each {allowed}"))
            })
        };
        let scaled = "for pixels scaled to 0..1 (divide those for bytes by 255)";
        let mean =
            each("mean", mean, &format!("within 0 to 1, {scaled}"), |mean| (0.0..=1.0).contains(&mean))?;
        let std_name = if inside.is_empty() { "std".to_owned() } else { format!("{inside}.std") };
        Normalisation::check_std(&std_name, std, wrong)?;
        let std = each("std", std, &format!("above 0 and finite, {scaled}"), |std| {
            (SMALLEST_STD..f64::from(f32::MAX)).contains(&std)
        })?;
        Ok(Normalisation { mean, std })
    }

    /// Pixels scaled to 0..1, and no more.
    pub fn none(channels: usize) -> Normalisation {
        Normalisation { mean: vec![0.0; channels], std: vec![1.0; channels] }
    }

    /// What a pixel byte of a channel enters the network as.
    pub(crate) fn pixel(&self, channel: usize, byte: u8) -> f32 {
        (f32::from(byte) / 255.0 - self.mean[channel] as f32) / self.std[channel] as f32
    }

    /// What a step of one in a pixel byte of a channel stands for.
    pub(crate) fn step(&self, channel: usize) -> f64 {
        1.0 / (255.0 * self.std[channel])
    }

    /// What a pixel byte of 0 stands for.
    pub(crate) fn black(&self, channel: usize) -> f64 {
        -self.mean[channel] / self.std[channel]
    }

    /// The pixel byte of each channel that is nearest to 0 after normalisation: what padding with zeros is before it.
    pub(crate) fn border(&self) -> Vec<u8> {
        self.mean.iter().map(|mean| (255.0 * mean).round() as u8).collect()
    }
}
