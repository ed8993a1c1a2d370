//! What the comparison found, as text and as JSON.

use super::compare::ImageReport;
use super::layers::{self, LayerCost};
use crate::screen::{count, grouped, percent, ratio};
use driver::Counters;
use images::class_text;
use isa::CoreConfig;
use serde::Serialize;
use std::time::Duration;

/// What was run on what.
#[derive(Debug, Serialize)]
pub struct Heading {
    /// Name of the network.
    pub network: String,
    /// T.
    pub time_steps: u32,
    /// Neuron mode.
    pub neuron: &'static str,
    /// Mask ratios, in words.
    pub mask: String,
    /// Seed of the masks.
    pub seed: u32,
    /// Configuration that the core's sizes started from.
    pub preset: &'static str,
    /// Sizes of the core.
    pub core: CoreConfig,
    /// How spikes become events: `merged` or `step by step`.
    #[serde(rename = "walk")]
    pub events: &'static str,
    /// The layers that run, on planes of the reference; absent if all do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers_run: Option<Vec<String>>,
    /// Seed of the stalls.
    pub stalls: Option<u64>,
    /// Names of the classes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// Simulations at the same time.
    pub jobs: usize,
    /// Seconds it took to compile the core, or to find it compiled.
    pub build_seconds: f64,
}

impl Heading {
    /// The lines above the images.
    pub fn text(&self) -> String {
        let stalls = match self.stalls {
            Some(seed) => format!("random stalls from seed {seed}"),
            None => "no stalls".to_owned(),
        };
        let layers = match self.layers_run.as_deref() {
            Some([only]) => format!("layer `{only}` alone, on the reference's planes\n"),
            Some([first, .., last]) => {
                format!("layers `{first}` to `{last}` alone, on the reference's planes\n")
            }
            _ => String::new(),
        };
        format!(
            "network `{}`, T = {}, neurons {}, mask {}, events {}\n\
             core {}: {} lanes, {}-bit bus, {}-bit membranes; {stalls}; ready after {:.1} s\n\
             {layers}\n\
             image  {:>width$}  {:>width$}      spikes      cycles   useful\n",
            self.network,
            self.time_steps,
            self.neuron,
            self.mask,
            self.events,
            self.preset,
            self.core.lanes,
            self.core.bus_bits,
            self.core.membrane_bits,
            self.build_seconds,
            "label",
            "class",
            width = self.class_width(),
        )
    }

    /// Columns of a label or a class in the table.
    fn class_width(&self) -> usize {
        let names = 0..self.class_names.len();
        let widths = names.map(|class| class_text(&self.class_names, class).chars().count());
        widths.chain([5]).max().unwrap_or_default()
    }
}

impl ImageReport {
    /// The image's line, under the heading's columns.
    pub fn text(&self, heading: &Heading) -> String {
        let verdict = match &self.mismatch {
            None => "identical".to_owned(),
            Some(mismatch) => format!("DIFFERS: {mismatch}"),
        };
        format!(
            "{:>5}  {:>width$}  {:>width$}  {:>10}  {:>10}  {:>7}  {verdict}\n",
            self.image,
            self.label.map_or_else(|| "–".to_owned(), |label| class_text(&heading.class_names, label)),
            self.class.map_or_else(|| "–".to_owned(), |class| class_text(&heading.class_names, class)),
            grouped(self.counters.spikes),
            grouped(self.counters.busy_cycles),
            percent(self.useful),
            width = heading.class_width(),
        )
    }
}

/// Everything that was found. Cycles, events and stalls are sums over the images.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was run on what.
    #[serde(flatten)]
    pub heading: Heading,
    images: usize,
    mismatches: usize,
    /// Images whose class is their label; none without labels, and for a network of one class.
    correct: Option<usize>,
    /// Clock cycles from the first register access of an image to the last.
    cycles: u64,
    needed_cycles: u64,
    step_events: u64,
    useful: f64,
    #[serde(flatten)]
    counters: Counters,
    seconds: f64,
    cycles_per_second: f64,
    results: Vec<ImageReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layers: Vec<LayerCost>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    operations: Vec<LayerCost>,
}

impl Report {
    /// A report on no images yet. `correct` counts from 0 where images can be right or wrong.
    pub fn new(heading: Heading, correct: Option<usize>) -> Report {
        Report {
            heading,
            images: 0,
            mismatches: 0,
            correct,
            cycles: 0,
            needed_cycles: 0,
            step_events: 0,
            useful: 0.0,
            counters: Counters::default(),
            seconds: 0.0,
            cycles_per_second: 0.0,
            results: Vec::new(),
            layers: Vec::new(),
            operations: Vec::new(),
        }
    }

    /// Adds an image.
    pub fn add(&mut self, image: ImageReport) {
        self.images += 1;
        self.mismatches += usize::from(!image.identical);
        let right = usize::from(image.label.is_some() && image.label == image.class);
        self.correct = self.correct.map(|correct| correct + right);
        self.cycles += image.cycles;
        self.needed_cycles += image.needed_cycles;
        self.step_events += image.step_events;
        self.counters += image.counters;
        if self.layers.is_empty() {
            self.layers.clone_from(&image.layers);
        } else {
            self.layers.iter_mut().zip(&image.layers).for_each(|(sum, layer)| sum.add(layer));
        }
        self.results.push(image);
    }

    /// Ends the report: the images took `elapsed`.
    pub fn close(&mut self, elapsed: Duration) {
        let alone: u64 = self.layers.iter().map(|layer| layer.counters.busy_cycles).sum();
        self.seconds = elapsed.as_secs_f64();
        self.cycles_per_second = (self.cycles + alone) as f64 / self.seconds;
        self.useful = ratio(self.needed_cycles, self.counters.busy_cycles);
        self.operations = layers::totals(&self.layers);
    }

    /// Images compared.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Images that differ.
    pub fn mismatches(&self) -> usize {
        self.mismatches
    }

    /// Images whose every layer was run alone.
    fn profiled(&self) -> usize {
        self.results.iter().filter(|image| !image.layers.is_empty()).count()
    }

    /// The lines below the images.
    pub fn text(&self) -> String {
        let busy = self.counters.busy_cycles;
        let mut text = String::new();
        if self.profiled() > 0 {
            text += &layers::text(&self.layers, self.profiled());
        }
        text += &format!(
            "\n{}: {} identical in every spike and logit{}\n\
             {} busy cycles: {}\n\
             {} needed by the spikes: {} useful; {} beside events waiting for the output path\n\
             {} events ({} step by step); simulated at {} cycles/s\n",
            count(self.images, "image"),
            self.images - self.mismatches,
            self.correct.map_or(String::new(), |correct| format!(", {correct} correct")),
            grouped(busy),
            shares(&self.counters),
            grouped(self.needed_cycles),
            percent(self.useful),
            percent(ratio(self.counters.stall_output, busy)),
            grouped(self.counters.events),
            grouped(self.step_events),
            grouped(self.cycles_per_second as u64),
        );
        text
    }
}

/// Each part's share of the busy cycles in percent, rounded so that what is printed sums to 100 (or is 0 everywhere).
fn shares(counters: &Counters) -> String {
    let parts = layers::spent(counters);
    let tenths = apportion(&parts.map(|(_, cycles)| cycles), 1000);
    let shares: Vec<String> = parts
        .iter()
        .zip(tenths)
        .map(|((name, _), tenths)| format!("{name} {}.{} %", tenths / 10, tenths % 10))
        .collect();
    let waits = 2..shares.len() - 1;
    format!("{}; waits: {}; {}", shares[..2].join(", "), shares[waits].join(", "), shares[shares.len() - 1])
}

/// `total` divided in proportion to `parts`, in whole numbers that sum to it: rounded down, then the largest remainders get one more.
fn apportion(parts: &[u64], total: u64) -> Vec<u64> {
    let sum: u128 = parts.iter().map(|&part| u128::from(part)).sum();
    if sum == 0 {
        return vec![0; parts.len()];
    }
    let product = |part: u64| u128::from(part) * u128::from(total);
    let mut shares: Vec<u64> = parts.iter().map(|&part| (product(part) / sum) as u64).collect();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(product(parts[i]) % sum));
    let missing = total - shares.iter().sum::<u64>();
    order.iter().take(missing as usize).for_each(|&i| shares[i] += 1);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn shares_sum_to_the_whole_and_are_near_their_parts(parts in proptest::collection::vec(0u64..1 << 50, 1..9)) {
            let shares = apportion(&parts, 1000);
            let sum: u64 = parts.iter().sum();
            prop_assert_eq!(shares.iter().sum::<u64>(), if sum == 0 { 0 } else { 1000 });
            for (&part, &share) in parts.iter().zip(&shares) {
                prop_assert!((part as f64 * 1000.0 / sum.max(1) as f64 - share as f64).abs() < 1.0);
            }
        }
    }

    #[test]
    fn every_busy_cycle_is_told_once() {
        let counters = Counters {
            busy_cycles: 1000,
            events: 900,
            null_events: 20,
            stall_fire: 30,
            stall_output: 500,
            stall_switch: 40,
            ..Counters::default()
        };
        let text = "events 90.0 %, null events 2.0 %; waits: weights 0.0 %, inputs 0.0 %, fire 3.0 %, order 0.0 %, \
                    switch 4.0 %; other 1.0 %";
        assert_eq!(shares(&counters), text);
    }
}
