//! One point of a sweep: a network, how it runs, on which images, and its results.

use crate::error::GenError;
use crate::evaluation::{accuracy, evaluate, power};
use crate::inputs::{Images, neuron_name};
use crate::origin;
use indicatif::ProgressBar;
use isa::Schedule;
use model::{Configured, MaskRules, ModelError, Network, RunOptions};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a point's mask is called when the network keeps its own.
pub const AS_CONVERTED: &str = "as-converted";

/// A network and the file that it came from.
pub struct NetworkFile {
    /// The file.
    pub path: PathBuf,
    /// The first digits of its SHA-256.
    pub hash: String,
    /// The network.
    pub network: Network,
}

impl NetworkFile {
    /// Reads a network.
    pub fn load(path: &Path) -> Result<NetworkFile, GenError> {
        let network = Network::load(path)?;
        let hash = origin::first_digits(&origin::sha256(path)?);
        Ok(NetworkFile { path: path.to_owned(), hash, network })
    }
}

/// How a point runs. What is `None` stays as the network has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// T.
    pub time_steps: u32,
    /// When neurons fire.
    pub neuron: Option<Schedule>,
    /// Masks.
    pub mask: Option<MaskRules>,
    /// Seed of the masks.
    pub seed: Option<u32>,
}

/// Width of the membranes that sums are proven for, as in all presets of the core.
const MEMBRANE_BITS: u32 = 24;

impl Settings {
    /// The network with these settings.
    pub fn configure(&self, file: &NetworkFile) -> Result<Configured, GenError> {
        let options = RunOptions {
            time_steps: self.time_steps,
            schedule: self.neuron,
            mask: self.mask.clone().unwrap_or_default(),
            seed: self.seed,
            membrane_bits: MEMBRANE_BITS,
        };
        Ok(file.network.configure(&options)?)
    }
}

/// What a network gives that can run, or nothing if it cannot run for so many time steps with such neurons: a sum could leave the membrane, slots
/// have no such order, or an image would cost too much.
///
/// # Errors
/// All others.
pub fn if_it_runs<T>(outcome: Result<T, GenError>) -> Result<Option<T>, GenError> {
    match outcome {
        Ok(given) => Ok(Some(given)),
        Err(GenError::Model(
            ModelError::Overflow { .. }
            | ModelError::ScoresBias { .. }
            | ModelError::SlotOrder { .. }
            | ModelError::MaxPools
            | ModelError::Cost { .. },
        )) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A point with its results: sums over all images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Name of the network.
    pub network: String,
    /// First digits of the SHA-256 of its file.
    pub hash: String,
    /// T.
    pub time_steps: u32,
    /// `if`, `two_phase`, or another word for what all layers have.
    pub neuron: String,
    /// Mask rules, or `as-converted`.
    pub mask: String,
    /// Seed of the masks.
    pub seed: u32,
    /// First digits of a SHA-256 over the images and their labels.
    pub data: String,
    /// Part of the data set; `all` if it has no parts.
    pub part: String,
    /// Index of the first image.
    pub first: usize,
    /// Number of images.
    pub images: usize,
    /// Images whose class is their label; none without labels, and for a network of one class.
    pub correct: Option<usize>,
    /// `correct / images`.
    pub accuracy: Option<f64>,
    /// Spikes that were fired.
    pub fired: u64,
    /// Spikes that were transmitted.
    pub spikes: u64,
    /// Additions that they drove.
    pub synaptic_events: u64,
    /// Power of the transmitted spikes in α·W.
    pub power: f64,
}

impl Row {
    /// Whether the results agree with each other: a number that was cut off does not.
    pub fn agrees(&self) -> bool {
        self.accuracy == accuracy(self.correct, self.images)
            && self.power == power(self.spikes, self.images, self.time_steps)
    }

    /// The row without its results.
    pub fn without_results(&self) -> Row {
        Row {
            correct: None,
            accuracy: None,
            fired: 0,
            spikes: 0,
            synaptic_events: 0,
            power: 0.0,
            ..self.clone()
        }
    }

    /// Whether both are the same point: the same network, settings and images, whatever the results.
    pub fn same_point(&self, other: &Row) -> bool {
        self.without_results() == other.without_results()
    }
}

/// A point that can run.
pub struct Point<'a> {
    /// The network.
    pub file: &'a NetworkFile,
    /// How it runs.
    pub settings: Settings,
    /// Its row, still without results.
    pub row: Row,
    /// Seconds that it takes at most, about.
    pub seconds: f64,
}

impl<'a> Point<'a> {
    /// A point on some images. Fails if the network cannot run like that.
    pub fn new(file: &'a NetworkFile, settings: Settings, images: &Images) -> Result<Point<'a>, GenError> {
        let configured = settings.configure(file)?;
        let row = Row {
            network: configured.name.clone(),
            hash: file.hash.clone(),
            time_steps: settings.time_steps,
            neuron: neuron_name(&configured).to_owned(),
            mask: settings.mask.as_ref().map_or_else(|| AS_CONVERTED.to_owned(), MaskRules::to_string),
            seed: configured.seed,
            data: images.hash().to_owned(),
            part: images.part().to_owned(),
            first: images.index(0),
            images: images.count(),
            ..Row::default()
        };
        let seconds = configured.cost().seconds(images.count());
        Ok(Point { file, settings, row, seconds })
    }

    /// Runs it; `progress` moves by one an image.
    pub fn run(&self, images: &Images, progress: &ProgressBar) -> Result<Row, GenError> {
        let configured = self.settings.configure(self.file)?;
        let (evaluation, _) = evaluate(&configured, images, progress)?;
        Ok(Row {
            correct: evaluation.correct,
            accuracy: evaluation.accuracy,
            fired: evaluation.fired,
            spikes: evaluation.spikes,
            synaptic_events: evaluation.synaptic_events,
            power: evaluation.power,
            ..self.row.clone()
        })
    }
}
