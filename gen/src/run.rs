//! `gen run`: images on the bit-exact reference.

use crate::cli::RunArgs;
use crate::error::GenError;
use crate::files;
use crate::inputs::{self, Images, Loaded, neuron_name};
use crate::screen::{Format, bar, count, grouped, percent, print, print_json, ratio, spinner};
use model::{Checkpoint, Classification, Configured, Executor};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

#[derive(Serialize)]
struct Report {
    network: String,
    time_steps: u32,
    neuron: &'static str,
    mask: f64,
    seed: u32,
    first: usize,
    images: usize,
    correct: usize,
    accuracy: f64,
    spikes: u64,
    seconds: f64,
    images_per_second: f64,
    layers: Vec<LayerSpikes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    float: Option<FloatReport>,
}

/// How much a layer spikes, over all images.
#[derive(Serialize)]
struct LayerSpikes {
    layer: String,
    spikes: u64,
    /// Spikes per neuron and time step.
    rate: f64,
}

#[derive(Serialize)]
struct FloatReport {
    checkpoint: PathBuf,
    correct: usize,
    accuracy: f64,
    /// Images that both networks put into the same class.
    same_class: usize,
}

/// Runs the reference and reports.
pub fn run(args: &RunArgs, format: Format) -> Result<(), GenError> {
    let Loaded { path, configured } = inputs::network(&args.network, 24)?;
    let images = Images::load(&args.source, args.images, &configured)?;
    let checkpoint = args.float.as_ref().map(|named| {
        let beside = || path.with_file_name(files::CHECKPOINT);
        named.clone().unwrap_or_else(beside)
    });
    // Before the long part, so that a wrong path costs no time.
    let float = checkpoint.map(|path| Checkpoint::load(&path).map(|loaded| (path, loaded))).transpose()?;

    let started = Instant::now();
    let progress = bar("reference", images.count());
    let executor = Executor::new(&configured);
    let classified = executor.classify_batch(&images.all(), |_| progress.inc(1))?;
    progress.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();

    let classes: Vec<usize> = classified.iter().map(Classification::class).collect();
    let correct = correct(&images, &classes);
    let report = Report {
        network: configured.name.clone(),
        time_steps: configured.time_steps(),
        neuron: neuron_name(&configured),
        mask: inputs::mask(&configured),
        seed: configured.seed,
        first: images.index(0),
        images: images.count(),
        correct,
        accuracy: ratio(correct as u64, images.count() as u64),
        spikes: classified.iter().flat_map(|image| &image.spikes).sum(),
        seconds,
        images_per_second: images.count() as f64 / seconds,
        layers: layer_spikes(&configured, &classified),
        float: float.map(|(path, loaded)| float_report(path, &loaded, &images, &classes)).transpose()?,
    };
    match format {
        Format::Json => print_json(&report),
        Format::Text => print(&text(&report)),
    }
}

fn correct(images: &Images, classes: &[usize]) -> usize {
    classes.iter().enumerate().filter(|&(i, &class)| class == images.label(i)).count()
}

fn layer_spikes(network: &Configured, classified: &[Classification]) -> Vec<LayerSpikes> {
    let spiking = network.layers.iter().enumerate().filter(|(_, layer)| !layer.theta.is_empty());
    spiking
        .map(|(index, layer)| {
            let spikes: u64 = classified.iter().map(|image| image.spikes[index]).sum();
            let heads = match layer.operation {
                model::network::Operation::Scores { heads, .. } => heads,
                _ => 1,
            };
            let cells = heads * layer.grid.tokens() * layer.channels * network.time_steps() as usize;
            let rate = ratio(spikes, (cells * classified.len()) as u64);
            LayerSpikes { layer: layer.name.clone(), spikes, rate }
        })
        .collect()
}

fn float_report(
    checkpoint: PathBuf,
    loaded: &Checkpoint,
    images: &Images,
    classes: &[usize],
) -> Result<FloatReport, GenError> {
    let progress = spinner("float network");
    let logits = loaded.logits_batch(&images.all())?;
    progress.finish_and_clear();
    let largest = |logits: &Vec<f32>| {
        (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0)
    };
    let float: Vec<usize> = logits.iter().map(largest).collect();
    let correct = correct(images, &float);
    Ok(FloatReport {
        checkpoint,
        correct,
        accuracy: ratio(correct as u64, images.count() as u64),
        same_class: float.iter().zip(classes).filter(|(a, b)| a == b).count(),
    })
}

fn text(report: &Report) -> String {
    let images = report.images;
    let mut text = format!(
        "network `{}`, T = {}, neurons {}, mask {}\n\
         {} from {} on: {} correct, {}\n\
         {} spikes an image; {:.1} images/s\n",
        report.network,
        report.time_steps,
        report.neuron,
        report.mask,
        count(images, "image"),
        report.first,
        grouped(report.correct as u64),
        percent(report.accuracy),
        grouped(report.spikes / images as u64),
        report.images_per_second,
    );
    if let Some(float) = &report.float {
        text += &format!(
            "float network {}: {} correct, {}; same class for {}\n",
            float.checkpoint.display(),
            grouped(float.correct as u64),
            percent(float.accuracy),
            count(float.same_class, "image"),
        );
    }
    text
}
