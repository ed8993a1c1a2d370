//! `gen run`: images on the bit-exact reference.

use crate::cli::RunArgs;
use crate::error::GenError;
use crate::evaluation::{Evaluation, evaluate, float_classes, matching};
use crate::inputs::{self, Images, Loaded, neuron_name};
use crate::origin;
use crate::screen::{Format, bar, count, grouped, json_path, percent, print, print_json, ratio, spinner};
use model::Checkpoint;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

#[derive(Serialize)]
struct Report {
    network: String,
    time_steps: u32,
    neuron: &'static str,
    mask: String,
    seed: u32,
    part: &'static str,
    first: usize,
    seconds: f64,
    images_per_second: f64,
    #[serde(flatten)]
    evaluation: Evaluation,
    #[serde(skip_serializing_if = "Option::is_none")]
    float: Option<FloatReport>,
}

#[derive(Serialize)]
struct FloatReport {
    #[serde(serialize_with = "json_path")]
    checkpoint: PathBuf,
    correct: usize,
    accuracy: f64,
    /// Images that both networks put into the same class.
    same_class: usize,
}

/// Runs the reference and reports.
pub fn run(args: &RunArgs, format: Format) -> Result<(), GenError> {
    let Loaded { path, configured } = inputs::network(&args.network, args.membrane_bits)?;
    let images = Images::load(&args.source, args.images, &configured)?;
    // Before the long part, so that a wrong path costs no time.
    let float =
        args.float.as_ref().map(|named| origin::float(named.as_deref(), &path, &configured)).transpose()?;

    let started = Instant::now();
    let progress = bar("reference", images.count());
    let (evaluation, classes) = evaluate(&configured, &images, &progress)?;
    progress.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();

    let report = Report {
        network: configured.name.clone(),
        time_steps: configured.time_steps(),
        neuron: neuron_name(&configured),
        mask: inputs::mask(&configured),
        seed: configured.seed,
        part: args.source.part.name(),
        first: images.index(0),
        seconds,
        images_per_second: images.count() as f64 / seconds,
        evaluation,
        float: float.map(|(path, loaded)| float_report(path, &loaded, &images, &classes)).transpose()?,
    };
    match format {
        Format::Json => print_json(&report),
        Format::Text => print(&text(&report)),
    }
}

fn float_report(
    checkpoint: PathBuf,
    loaded: &Checkpoint,
    images: &Images,
    classes: &[usize],
) -> Result<FloatReport, GenError> {
    let progress = spinner("float network");
    let float = float_classes(loaded, images)?;
    progress.finish_and_clear();
    let correct = matching(images, &float);
    Ok(FloatReport {
        checkpoint,
        correct,
        accuracy: ratio(correct as u64, images.count() as u64),
        same_class: float.iter().zip(classes).filter(|(a, b)| a == b).count(),
    })
}

fn text(report: &Report) -> String {
    let evaluation = &report.evaluation;
    let images = evaluation.images;
    let each = |sum: u64| grouped(sum / images as u64);
    let mut text = format!(
        "network `{}`, T = {}, neurons {}, mask {}\n\
         {} of part {} from {} on: {} correct, {}\n\
         an image: {} spikes transmitted of {} fired, {} synaptic events; P = {} α·W\n\
         {:.1} images/s\n",
        report.network,
        report.time_steps,
        report.neuron,
        report.mask,
        count(images, "image"),
        report.part,
        report.first,
        grouped(evaluation.correct as u64),
        percent(evaluation.accuracy),
        each(evaluation.spikes),
        each(evaluation.fired),
        each(evaluation.synaptic_events),
        grouped(evaluation.power as u64),
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
