//! How membranes and firing rates are distributed, in both neuron modes.

use super::chart::{Axis, Chart, Marks, Series};
use super::page::Figure;
use crate::error::GenError;
use crate::inputs::Images;
use crate::screen::percent;
use crate::sweep::point::{NetworkFile, Settings, if_it_runs};
use isa::Schedule;
use model::network::Operation;
use model::reference::Observer;
use model::{Configured, Executor, LayerId};

/// Images that the distributions are taken from, at most.
pub const IMAGES: usize = 16;
/// Membranes are shown from minus to plus this many thresholds; of those beyond, only their share is told.
const REACH: f64 = 2.0;
/// Bins of a threshold's width.
const BINS: usize = 10;
/// Bins of the rates from 0 to 1.
const RATE_BINS: usize = 8;

/// Counts by bin, for layers of two kinds: attention matrices, which are the most neurons by far, and all others.
struct Histograms<'a> {
    network: &'a Configured,
    membranes: [Vec<u64>; 2],
    rates: [Vec<u64>; 2],
}

impl<'a> Histograms<'a> {
    fn new(network: &'a Configured) -> Histograms<'a> {
        // One bin more at each end, for what lies beyond.
        let bins = 2 * (REACH as usize) * BINS + 2;
        Histograms {
            network,
            membranes: [vec![0; bins], vec![0; bins]],
            rates: [vec![0; RATE_BINS + 1], vec![0; RATE_BINS + 1]],
        }
    }

    fn kind(&self, layer: LayerId) -> usize {
        usize::from(matches!(self.network.layer(layer).operation, Operation::Scores { .. }))
    }
}

impl Observer for Histograms<'_> {
    fn membrane(&mut self, layer: LayerId, membrane: i32, threshold: i32) {
        let place = (f64::from(membrane) / f64::from(threshold) + REACH) * BINS as f64 + 1.0;
        let kind = self.kind(layer);
        let bins = &mut self.membranes[kind];
        let last = bins.len() - 1;
        bins[(place.max(0.0) as usize).min(last)] += 1;
    }

    fn fired(&mut self, layer: LayerId, row: &[u8]) {
        let steps = self.network.time_steps();
        let kind = self.kind(layer);
        for cell in row.chunks_exact(steps.div_ceil(8) as usize) {
            let spikes: u32 = cell.iter().map(|byte| byte.count_ones()).sum();
            let bin = (f64::from(spikes) / f64::from(steps) * RATE_BINS as f64).round() as usize;
            self.rates[kind][bin] += 1;
        }
    }
}

/// Shares of each bin, as points at its `place`.
fn shares(bins: &[u64], place: impl Fn(usize) -> f64) -> Vec<(f64, f64)> {
    let all = bins.iter().sum::<u64>().max(1) as f64;
    bins.iter().enumerate().map(|(bin, &count)| (place(bin), count as f64 / all)).collect()
}

/// Membranes after the last step and firing rates, for the network's own T in both modes and for a long run of `if` neurons, as far as the
/// network can run so.
pub fn figures(
    file: &NetworkFile,
    images: &Images,
    time_steps: u32,
    long: u32,
) -> Result<Vec<Figure>, GenError> {
    let mut runs =
        vec![("two_phase", Schedule::AfterAll, time_steps), ("if", Schedule::EachStep, time_steps)];
    if long != time_steps {
        runs.push(("if", Schedule::EachStep, long));
    }
    let mut membranes: [Vec<Series>; 2] = Default::default();
    let mut rates: [Vec<Series>; 2] = Default::default();
    for (mode, neuron, time_steps) in runs {
        let settings = Settings { time_steps, neuron: Some(neuron), mask: None, seed: None };
        let Some(configured) = if_it_runs(settings.configure(file))? else { continue };
        let executor = Executor::new(&configured);
        let mut histograms = Histograms::new(&configured);
        for image in 0..images.count().min(IMAGES) {
            executor.observe(images.image(image), &mut histograms)?;
        }
        let name = format!("{mode}, T = {time_steps}");
        for kind in 0..2 {
            let center = |bin: usize| (bin as f64 - 0.5) / BINS as f64 - REACH;
            let mut points = shares(&histograms.membranes[kind], center);
            let above = points.pop().map_or(0.0, |(_, share)| share);
            let below = points.remove(0).1;
            let beyond = format!("{name}: {} below, {} above", percent(below), percent(above));
            membranes[kind].push(Series { name: beyond, points });
            let rate = |bin: usize| bin as f64 / RATE_BINS as f64;
            rates[kind].push(Series { name: name.clone(), points: shares(&histograms.rates[kind], rate) });
        }
    }
    let attends = file.network.layers.iter().any(|layer| matches!(layer.operation, Operation::Scores { .. }));
    let kinds: &[&str] =
        if attends { &["all layers but attention matrices", "attention matrices"] } else { &["all layers"] };
    let mut figures = Vec::new();
    for (kind, series) in kinds.iter().zip(&membranes).filter(|(_, series)| !series.is_empty()) {
        let x = Axis {
            title: "membrane / threshold",
            range: (-REACH, REACH),
            ticks: whole(-REACH as i32, REACH as i32),
        };
        let caption = format!(
            "membranes after the last time step, {kind}. The legend tells how many lie below and above."
        );
        figures.push(figure(x, series, Marks::None, caption)?);
    }
    for (kind, series) in kinds.iter().zip(&rates).filter(|(_, series)| !series.is_empty()) {
        let x = Axis::linear("spikes fired per time step", 0.0, 1.0);
        figures.push(figure(x, series, Marks::Shapes, format!("firing rates, {kind}."))?);
    }
    Ok(figures)
}

fn whole(low: i32, high: i32) -> Vec<(f64, String)> {
    (low..=high).map(|n| (f64::from(n), n.to_string())).collect()
}

fn figure(x: Axis, series: &[Series], marks: Marks, caption: String) -> Result<Figure, GenError> {
    let highest = series.iter().flat_map(|series| &series.points).map(|(_, y)| *y).fold(0.0, f64::max);
    let chart = Chart { x, y: Axis::linear("share of neurons", 0.0, highest), series, level: None, marks };
    chart.figure(caption)
}
