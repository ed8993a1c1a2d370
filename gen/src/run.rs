//! `gen run`: images on the bit-exact reference.

use crate::cli::RunArgs;
use crate::compile_command::Target;
use crate::core_work::core_work;
use crate::energy::{Constants, Energy};
use crate::error::GenError;
use crate::evaluation::{Evaluation, accuracy, evaluate, float_classes, matching};
use crate::inputs::{self, Images, Loaded, neuron_name};
use crate::origin;
use crate::screen::{
    Align, Format, Table, announce, bar, count, grouped, json_path, percent, print, print_json,
};
use isa::CoreConfig;
use model::{Graph, Network};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Serialize)]
struct Report {
    network: String,
    time_steps: u32,
    neuron: &'static str,
    mask: String,
    seed: u32,
    /// Part of the data set; `all` if it has no parts.
    part: &'static str,
    first: usize,
    /// Names of the classes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    class_names: Vec<String>,
    /// The class of each image.
    classes: Vec<usize>,
    seconds: f64,
    images_per_second: f64,
    /// `confusion[label][class]`: how many images of a label fell into a class. Null without labels, and for too many classes.
    confusion: Option<Vec<Vec<usize>>>,
    #[serde(flatten)]
    evaluation: Evaluation,
    #[serde(skip_serializing_if = "Option::is_none")]
    float: Option<FloatReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    energy: Option<Energy>,
}

#[derive(Serialize)]
struct FloatReport {
    #[serde(serialize_with = "json_path")]
    checkpoint: PathBuf,
    correct: Option<usize>,
    accuracy: Option<f64>,
    /// Images that both networks put into the same class.
    same_class: usize,
}

/// Runs the reference and reports.
pub fn run(args: &RunArgs, format: Format) -> Result<(), GenError> {
    let (Loaded { path, configured }, images) = inputs::network_and_images(
        &args.network,
        args.membrane_bits,
        &args.source,
        inputs::Count::of(args.images, 100),
    )?;
    // Before the long part, so that a wrong path costs no time.
    let constants = Constants::load(args.energy_constants.as_deref())?;
    let core = args.energy.as_deref().map(energy_core).transpose()?;
    let float =
        args.float.as_ref().map(|named| origin::float(named.as_deref(), &path, &configured)).transpose()?;

    let cost = configured.cost();
    announce("reference", cost.seconds(images.count()) * if float.is_some() { 2.0 } else { 1.0 });
    let started = Instant::now();
    let progress = bar("reference", images.count());
    let (evaluation, classes) = evaluate(&configured, &images, &progress)?;
    progress.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    let work = core.map(|core| core_work(&configured, &images, &core)).transpose()?;
    let energy = work.map(|work| Energy::new(&configured, &evaluation, &work, &constants));

    let report = Report {
        network: configured.name.clone(),
        time_steps: configured.time_steps(),
        neuron: neuron_name(&configured),
        mask: inputs::mask(&configured),
        seed: configured.seed,
        part: images.part(),
        first: images.index(0),
        class_names: configured.class_names.clone(),
        seconds,
        images_per_second: images.count() as f64 / seconds,
        confusion: evaluation.confusion(),
        evaluation,
        float: float
            .map(|(path, loaded)| float_report(path, &loaded, &images, &configured, &classes))
            .transpose()?,
        energy,
        classes,
    };
    match format {
        Format::Json => print_json(&report),
        Format::Text => print(&text(&report, &images)),
    }
}

/// The core whose traffic is told: a preset, or that of a file.
fn energy_core(named: &str) -> Result<CoreConfig, GenError> {
    match CoreConfig::preset(named) {
        Some(core) => Ok(core),
        None if Path::new(named).exists() => Ok(Target::read(Path::new(named))?.core),
        None => {
            let presets = CoreConfig::PRESETS.join(", ");
            let allowed = format!("{presets}, or an `mst_core.json` that `gen verilog` writes");
            Err(GenError::Option { option: "--energy", found: named.to_owned(), allowed })
        }
    }
}

fn float_report(
    checkpoint: PathBuf,
    loaded: &Graph,
    images: &Images,
    network: &Network,
    classes: &[usize],
) -> Result<FloatReport, GenError> {
    let progress = bar("float network", images.count());
    let float = float_classes(loaded, images, &progress)?;
    progress.finish_and_clear();
    let correct = matching(images.labels().as_deref(), &float, network);
    Ok(FloatReport {
        checkpoint,
        correct,
        accuracy: accuracy(correct, images.count()),
        same_class: float.iter().zip(classes).filter(|(a, b)| a == b).count(),
    })
}

/// Images whose classes are shown one by one.
const SHOWN_IMAGES: usize = 10;
/// Classes that are shown one by one.
const SHOWN_CLASSES: usize = 20;

fn text(report: &Report, images: &Images) -> String {
    let evaluation = &report.evaluation;
    let each = |sum: u64| grouped(sum / evaluation.images as u64);
    let mut text = format!(
        "network `{}`, T = {}, neurons {}, mask {}\n\
         {}: {}\n\
         an image: {} spikes transmitted of {} fired, {} synaptic events; P = {} α·W\n\
         {:.1} images/s\n",
        report.network,
        report.time_steps,
        report.neuron,
        report.mask,
        images.text(),
        rightness(evaluation.correct, evaluation.accuracy, images),
        each(evaluation.spikes),
        each(evaluation.fired),
        each(evaluation.synaptic_events),
        grouped(evaluation.power as u64),
        report.images_per_second,
    );
    if let Some(float) = &report.float {
        text += &format!(
            "float network {}: {}; same class for {}\n",
            float.checkpoint.display(),
            rightness(float.correct, float.accuracy, images),
            count(float.same_class, "image"),
        );
    }
    text += &report.energy.as_ref().map_or_else(String::new, Energy::text);
    text + &classes_text(report, images)
}

/// How many images are right, or why that cannot be said.
fn rightness(correct: Option<usize>, accuracy: Option<f64>, images: &Images) -> String {
    match (correct, accuracy) {
        (Some(correct), Some(accuracy)) => {
            format!("{} correct, {}", grouped(correct as u64), percent(accuracy))
        }
        _ if images.labels().is_none() => "accuracy –, for want of labels".to_owned(),
        _ => "accuracy –, for there is one class only".to_owned(),
    }
}

/// What images were taken for, where labels do not say it already, and classes by name, where they have names.
fn classes_text(report: &Report, images: &Images) -> String {
    let name = |class: usize| images.class_text(class);
    match (images.labels(), &report.confusion) {
        (None, _) if images.count() <= SHOWN_IMAGES => {
            let line =
                |(i, &class): (usize, &usize)| format!("image {}: class {}\n", images.index(i), name(class));
            report.classes.iter().enumerate().map(line).collect()
        }
        (None, _) => {
            let classes = report.classes.iter().max().map_or(0, |largest| largest + 1);
            let mut counts = vec![0usize; classes];
            report.classes.iter().for_each(|&class| counts[class] += 1);
            let found = counts.iter().enumerate().filter(|(_, count)| **count > 0).take(SHOWN_CLASSES);
            found
                .map(|(class, &number)| format!("class {}: {}\n", name(class), count(number, "image")))
                .collect()
        }
        (Some(_), Some(confusion)) if !report.class_names.is_empty() && confusion.len() <= SHOWN_CLASSES => {
            let (left, right) = (Align::Left, Align::Right);
            let mut table = Table::new(&[
                ("label", left),
                ("images", right),
                ("correct", right),
                ("most often taken for", left),
            ]);
            for (label, row) in confusion.iter().enumerate() {
                let others = (0..row.len()).filter(|&class| class != label && row[class] > 0);
                let most = others.max_by_key(|&class| (row[class], std::cmp::Reverse(class)));
                table.row(vec![
                    name(label),
                    grouped(row.iter().sum::<usize>() as u64),
                    grouped(row[label] as u64),
                    most.map_or_else(String::new, |class| format!("{} ({})", name(class), row[class])),
                ]);
            }
            table.text()
        }
        (Some(_), _) => String::new(),
    }
}
