//! `gen report`: one page that shows how accurate networks are, what their spikes cost, and where they come from.

mod chart;
mod details;
mod distributions;
mod grids;
mod headline;
mod maps;
mod page;
mod sections;

use crate::cli::ReportArgs;
use crate::core_work::core_work;
use crate::energy::{Constants, Energy};
use crate::error::GenError;
use crate::evaluation::{Evaluation, accuracy, evaluate, float_classes, matching};
use crate::files;
use crate::inputs::{self, Count, Images};
use crate::origin::{self, Absence};
use crate::screen::{Format, announce, bar, count, grouped, json_path, percent, print, print_json, spinner};
use crate::sweep::point::{NetworkFile, Settings};
use crate::sweep::store::Store;
use crate::sweep::{self, fill};
use grids::Subject;
pub use headline::SpeedArgs;
use headline::headline;
use model::{Configured, Graph};
use page::{Columns, DataTable, Page, Section, plain};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Why there is no accuracy.
const NO_ACCURACY: &str = "the images have no labels, or the network one class only";
/// Numbers of time steps that accuracy is shown for.
const REPORT_TIME_STEPS: [u32; 6] = [2, 4, 8, 16, 32, 64];

#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(serialize_with = "json_path")]
    out: &'a Path,
    bytes: usize,
    networks: usize,
    images: usize,
    measured: usize,
    sections: Vec<&'static str>,
}

/// A network file, its images, and the checkpoint that it was converted from.
struct Source {
    file: NetworkFile,
    /// The network as converted, with the report's T.
    configured: Configured,
    images: Images,
    checkpoint: Result<Graph, Absence>,
}

impl Source {
    /// `float` is the checkpoint that is asked for: one that is named, the one that is remembered, or what can be had.
    fn load(path: &Path, args: &ReportArgs, float: Option<&Option<PathBuf>>) -> Result<Source, GenError> {
        let mut file = NetworkFile::load(path)?;
        let settings = Settings { time_steps: args.time_steps, neuron: None, mask: None, seed: None };
        let configured = settings.configure(&file)?;
        let images = Images::load(&args.source, Count::of(args.images, 500), &file.network)?;
        file.network.class_names = images.class_names().to_vec();
        let configured = configured.with_class_names(images.class_names().to_vec());
        let checkpoint = match float {
            Some(named) => {
                let (path, checkpoint) = origin::float(named.as_deref(), path, &file.network)?;
                Ok((checkpoint, path))
            }
            None => match origin::remembered(path, &file.network)? {
                Ok(checkpoint) => Ok((origin::load(&checkpoint)?, checkpoint)),
                Err(absence) => Err(absence),
            },
        };
        if let Ok((_, path)) = &checkpoint {
            files::refuse_inputs("--out", &args.out, &[("the checkpoint", path)])?;
        }
        let checkpoint = checkpoint.map(|(checkpoint, _)| checkpoint);
        Ok(Source { file, configured, images, checkpoint })
    }

    /// Still without the accuracy of the float network.
    fn subject(&self, args: &ReportArgs) -> Subject<'_> {
        let float_accuracy = Err(NO_ACCURACY);
        Subject { file: &self.file, images: &self.images, time_steps: args.time_steps, float_accuracy }
    }

    fn float_accuracy(&self) -> Result<Result<f64, &'static str>, GenError> {
        let checkpoint = match &self.checkpoint {
            Ok(checkpoint) => checkpoint,
            Err(absence) => return Ok(Err(absence.words())),
        };
        let progress = bar("float network", self.images.count());
        let classes = float_classes(checkpoint, &self.images, &progress)?;
        progress.finish_and_clear();
        let correct = matching(self.images.labels().as_deref(), &classes, &self.configured);
        Ok(accuracy(correct, self.images.count()).ok_or(NO_ACCURACY))
    }

    /// Seconds that it takes at most beside its points: as converted, as floats, and some images once more for cycles and once for
    /// distributions.
    fn seconds(&self) -> f64 {
        let (cost, images) = (self.configured.cost(), self.images.count());
        let passes = if self.checkpoint.is_ok() { 2.0 } else { 1.0 };
        passes * cost.seconds(images) + 2.0 * cost.seconds_in_turn(images.min(distributions::IMAGES))
    }
}

/// Measures what is missing and writes the page.
pub fn report(args: &ReportArgs, format: Format) -> Result<(), GenError> {
    let speed = args.speed.speed()?;
    let constants = Constants::load(args.energy_constants.as_deref())?;
    let first = inputs::network_path(args.net.as_deref())?;
    refuse_inputs(args, &first)?;
    let paths = std::iter::once(&first).chain(&args.with);
    let sources = paths
        .enumerate()
        .map(|(index, path)| Source::load(path, args, args.float.as_ref().filter(|_| index == 0)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut subjects: Vec<Subject<'_>> = sources.iter().map(|source| source.subject(args)).collect();
    let networks: Vec<&NetworkFile> = sources.iter().map(|source| &source.file).collect();
    let mut points = Vec::new();
    for subject in &subjects {
        points.extend(subject.points()?.into_iter().map(|point| (point, subject.images)));
    }
    let mut store = match &args.sweep {
        Some(path) => Store::open(path, &networks)?,
        None => Store::in_memory(),
    };
    announce("report", sweep::seconds(&points, &store) + sources.iter().map(Source::seconds).sum::<f64>());
    let measured = fill(&points, &mut store)?;
    for (subject, source) in subjects.iter_mut().zip(&sources) {
        subject.float_accuracy = source.float_accuracy()?;
    }
    let evaluations = sources.iter().map(whole).collect::<Result<Vec<_>, _>>()?;

    let progress = spinner("maps and distributions");
    let work = sources.iter().map(|source| core_work(&source.configured, &source.images, &speed.core));
    let work = work.collect::<Result<Vec<_>, _>>()?;
    let each = subjects.iter().zip(&evaluations).zip(&work);
    let headlines = each.map(|((subject, evaluation), work)| headline(subject, evaluation, work, &speed));
    let each = sources.iter().zip(&evaluations).zip(&work);
    let energies: Vec<Energy> = each
        .map(|((source, evaluation), work)| Energy::new(&source.configured, evaluation, work, &constants))
        .collect();
    let page = Page {
        title: format!("Masked Spiking Transformer: {}", names(&subjects)),
        lead: format!("Measured with the bit-exact integer reference on {}.", subjects[0].images.text()),
        headlines: headlines.collect(),
        sections: vec![
            networks_section(&sources, &subjects),
            sections::time_steps(&subjects, &store)?,
            sections::masks(&subjects, &store)?,
            sections::blocks(&subjects, &store)?,
            sections::comparison(&subjects, &store)?,
            details::energy(&subjects, &energies, &constants),
            details::layers(&subjects, &evaluations),
            details::confusion(&subjects, &evaluations),
            details::activation_maps(&subjects[0])?,
            details::membranes_and_rates(&subjects)?,
        ],
    };
    progress.finish_and_clear();
    let html = page.html()?;
    files::write_one(&args.out, html.as_bytes())?;
    let outcome = Outcome {
        out: &args.out,
        bytes: html.len(),
        networks: sources.len(),
        images: subjects[0].images.count(),
        measured,
        sections: page.sections.iter().map(|section| section.id).collect(),
    };
    match format {
        Format::Json => print_json(&outcome),
        Format::Text => print(&format!(
            "{}: {} bytes, {} on {}; {} measured\n",
            args.out.display(),
            grouped(outcome.bytes as u64),
            count(outcome.networks, "network"),
            count(outcome.images, "image"),
            count(measured, "point"),
        )),
    }
}

/// Refuses to write the page, or points, over a file that the page is made from, `first` being its first network.
fn refuse_inputs(args: &ReportArgs, first: &Path) -> Result<(), GenError> {
    let mut inputs = vec![("the network", first)];
    inputs.extend(args.with.iter().map(|path| ("--with", path.as_path())));
    inputs.extend(args.energy_constants.iter().map(|path| ("--energy-constants", path.as_path())));
    inputs.extend(args.sweep.iter().map(|path| ("--sweep", path.as_path())));
    inputs.extend(args.float.iter().flatten().map(|path| ("--float", path.as_path())));
    files::refuse_inputs("--out", &args.out, &inputs)?;
    if let Some(points) = &args.sweep {
        let networks = std::iter::once(first).chain(args.with.iter().map(PathBuf::as_path));
        sweep::refuse_inputs("--sweep", points, networks, &args.source)?;
    }
    inputs::refuse_images("--out", &args.out, &args.source)
}

/// The network as converted, with all that a point does not keep.
fn whole(source: &Source) -> Result<Evaluation, GenError> {
    let progress = bar("layers", source.images.count());
    let (evaluation, _) = evaluate(&source.configured, &source.images, &progress)?;
    progress.finish_and_clear();
    Ok(evaluation)
}

fn names(subjects: &[Subject<'_>]) -> String {
    subjects.iter().map(Subject::name).collect::<Vec<_>>().join(", ")
}

/// What was measured.
fn networks_section(sources: &[Source], subjects: &[Subject<'_>]) -> Section {
    let row = |(source, subject): (&Source, &Subject<'_>)| {
        let file = source.file.path.file_name().map_or_else(String::new, |name| name.display().to_string());
        let float = subject.float_accuracy.map_or_else(str::to_owned, percent);
        vec![
            subject.name().to_owned(),
            file,
            source.file.hash.clone(),
            source.file.network.layers.len().to_string(),
            inputs::neuron_name(&source.file.network).to_owned(),
            inputs::mask(&source.file.network),
            source.file.network.seed.to_string(),
            float,
        ]
    };
    let head = ["network", "file", "SHA-256 starts", "layers", "neurons", "mask", "seed", "float accuracy"];
    Section {
        id: "networks",
        title: "Networks",
        text: Vec::new(),
        figures: Vec::new(),
        tables: vec![DataTable {
            caption: "What was measured, as converted".to_owned(),
            head: head.map(str::to_owned).to_vec(),
            rows: plain(sources.iter().zip(subjects).map(row).collect()),
            columns: Columns::Natural,
        }],
    }
}
