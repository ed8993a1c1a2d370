//! `mst infer`: images on the accelerator, beside the reference.

use crate::Cli;
use crate::error::MstError;
use crate::images::{Image, ImageArgs, NetworkArgs, TIME_STEPS};
use crate::link::{OpenLink, spinner};
use clap::Args;
use compile::ProgramOptions;
use driver::pcie::Traffic;
use driver::{Accelerator, Inference};
use images::class_text;
use indicatif::{ProgressBar, ProgressStyle};
use isa::program::{Planes, Program};
use model::{Configured, Executor};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// `mst infer`.
#[derive(Args, Debug)]
pub struct InferArgs {
    /// Images: numbers of the data set (7), ranges (5..10: the images 5 to 9), or PNG and JPEG files.
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// The network.
    #[command(flatten)]
    network: NetworkArgs,
    /// Where numbered images are.
    #[command(flatten)]
    source: ImageArgs,
}

/// `mst load`.
#[derive(Args, Debug)]
pub struct LoadArgs {
    /// Network file, or a program that `gen compile` made for this core [default: models/fashion-mnist/net.mst]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Time steps T of a network [default: 8]; a program has its own.
    #[arg(long, value_name = "T")]
    time_steps: Option<u32>,
}

/// Loads a network or a program and leaves it in the accelerator's memory.
pub fn load_only(cli: &Cli, args: &LoadArgs) -> Result<(), MstError> {
    let mut accelerator;
    let program = match args.program()? {
        Some(program) => {
            accelerator = cli.place.open()?;
            program
        }
        None => {
            let network_args = NetworkArgs::of(args.file.clone(), args.time_steps.unwrap_or(TIME_STEPS));
            let network = network_args.read()?;
            accelerator = cli.place.open()?;
            let network = network_args.configure(&network, accelerator.core().membrane_bits)?;
            program_for(&accelerator, &network)?
        }
    };
    let loading = Instant::now();
    let bytes = load_program(&mut accelerator, &program)?;
    let seconds = loading.elapsed().as_secs_f64();
    let network = &program.network;
    let report = serde_json::json!({ "network": network, "bytes": bytes, "seconds": seconds });
    cli.print(&report, || format!("network `{network}`, {bytes} bytes, loaded in {seconds:.3} s\n"))
}

impl LoadArgs {
    /// The program, if the file is one.
    fn program(&self) -> Result<Option<Program>, MstError> {
        let Some(path) = &self.file else { return Ok(None) };
        let refuse = |reason| MstError::ProgramFile { path: path.clone(), reason };
        let bytes = model::input::read(path).map_err(|error| refuse(error.to_string()))?;
        if !Program::is_file(&bytes) {
            return Ok(None);
        }
        if self.time_steps.is_some() {
            return Err(refuse("a program has its own time steps; leave `--time-steps` out".to_owned()));
        }
        Program::from_bytes(&bytes).map(Some).map_err(|error| refuse(error.to_string()))
    }
}

/// One image's answer.
#[derive(Serialize)]
pub struct Answer {
    image: String,
    label: Option<usize>,
    /// Name of its class, if classes have names.
    #[serde(skip_serializing_if = "Option::is_none")]
    class_name: Option<String>,
    /// Whether the logits are those of the reference.
    identical: bool,
    seconds: f64,
    #[serde(flatten)]
    inference: Inference,
}

#[derive(Serialize)]
struct Report<'a> {
    network: &'a str,
    /// Names of the classes.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    class_names: &'a [String],
    load_seconds: f64,
    images: usize,
    differ: usize,
    /// Images whose class is their label; none if no image has one, and for a network of one class.
    correct: Option<usize>,
    /// What DMA carried, on a PCIe card.
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic: Option<Traffic>,
    answers: &'a [Answer],
}

/// Loads the network, classifies, compares.
pub fn infer(cli: &Cli, args: &InferArgs) -> Result<(), MstError> {
    let mut network = args.network.read()?;
    // Before the accelerator is opened, so that a wrong path costs no time.
    let images = args.source.named(&args.images, &mut network)?;
    let mut accelerator = cli.place.open()?;
    let network = args.network.configure(&network, accelerator.core().membrane_bits)?;
    let loading = Instant::now();
    load(&mut accelerator, &network)?;
    let load_seconds = loading.elapsed().as_secs_f64();
    let answers = classify(&mut accelerator, &network, &images)?;
    let report = Report {
        network: &network.name,
        class_names: &network.class_names,
        load_seconds,
        images: answers.len(),
        differ: differ(&answers),
        correct: correct(&network, &answers),
        traffic: accelerator.link().traffic(),
        answers: &answers,
    };
    cli.print(&report, || text(&report))?;
    match report.differ {
        0 => Ok(()),
        differ => Err(MstError::Mismatch { differ, images: report.images }),
    }
}

/// Compiles the network for the accelerator and writes it there.
/// Returns how many bytes that were.
pub fn load(accelerator: &mut Accelerator<OpenLink>, network: &Configured) -> Result<usize, MstError> {
    load_program(accelerator, &program_for(accelerator, network)?)
}

fn program_for(accelerator: &Accelerator<OpenLink>, network: &Configured) -> Result<Program, MstError> {
    let options = ProgramOptions { memory_size: accelerator.window_size(), planes: Planes::Reuse };
    Ok(compile::compile(network, accelerator.core(), &options)?)
}

fn load_program(accelerator: &mut Accelerator<OpenLink>, program: &Program) -> Result<usize, MstError> {
    let bytes: usize = program.image.iter().map(|segment| segment.bytes.len()).sum();
    let spinner = spinner(format!("loading {}, {bytes} bytes", program.network));
    accelerator.load(program)?;
    spinner.finish_and_clear();
    Ok(bytes)
}

/// Classifies each image on the accelerator and on the reference.
pub fn classify(
    accelerator: &mut Accelerator<OpenLink>,
    network: &Configured,
    images: &[Image],
) -> Result<Vec<Answer>, MstError> {
    let style =
        ProgressStyle::with_template("{spinner} images {wide_bar} {pos}/{len}  {elapsed}, {eta} to go ");
    let bar = ProgressBar::new(images.len() as u64).with_style(style.expect("the template is well-formed"));
    bar.enable_steady_tick(Duration::from_millis(100));
    let executor = Executor::new(network);
    let answers = images.iter().map(|image| {
        let started = Instant::now();
        let inference = accelerator.infer(&image.pixels)?;
        let seconds = started.elapsed().as_secs_f64();
        let expected = executor.classify(&image.pixels)?;
        bar.inc(1);
        Ok(Answer {
            image: image.name.clone(),
            label: image.label,
            class_name: network.class_names.get(inference.class).cloned(),
            identical: expected.logits == inference.logits,
            seconds,
            inference,
        })
    });
    let answers = answers.collect();
    bar.finish_and_clear();
    answers
}

/// How many of the images with labels are in the class of their label.
fn correct(network: &Configured, answers: &[Answer]) -> Option<usize> {
    let labelled = || answers.iter().filter(|answer| answer.label.is_some());
    let right = || labelled().filter(|answer| answer.label == Some(answer.inference.class)).count();
    (network.classes > 1 && labelled().next().is_some()).then(right)
}

/// Answers that differ from the reference's.
pub fn differ(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| !answer.identical).count()
}

fn text(report: &Report<'_>) -> String {
    let mut text = format!("network `{}`, loaded in {:.2} s\n", report.network, report.load_seconds);
    for answer in report.answers {
        let name = |class| class_text(report.class_names, class);
        let label = answer.label.map_or(String::new(), |label| format!("label {}, ", name(label)));
        text += &format!(
            "image {}: {label}class {}, {} spikes, {} cycles, {:.3} s, {}\n",
            answer.image,
            name(answer.inference.class),
            answer.inference.counters.spikes,
            answer.inference.counters.busy_cycles,
            answer.seconds,
            if answer.identical { "identical to the reference" } else { "DIFFERS from the reference" },
        );
    }
    if let Some(traffic) = report.traffic {
        text += &format!(
            "DMA: {} bytes to the card, {} to the host, {} interrupts\n",
            traffic.to_card_bytes, traffic.to_host_bytes, traffic.interrupts
        );
    }
    text
}
