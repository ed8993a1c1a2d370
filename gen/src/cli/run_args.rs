//! Network, neuron mode and images, as options.

use crate::error::GenError;
use clap::builder::{Resettable, Str};
use clap::{Args, ValueEnum};
use images::Options;
use isa::{MAX_TIME_STEPS, Schedule};
use model::RunOptions;
use std::path::PathBuf;

/// Neuron modes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum NeuronArg {
    /// Integrate and fire in the same time step.
    If,
    /// Integrate all time steps, then fire.
    #[value(name = "two_phase", alias = "two-phase")]
    TwoPhase,
}

impl From<NeuronArg> for Schedule {
    fn from(neuron: NeuronArg) -> Schedule {
        match neuron {
            NeuronArg::If => Schedule::EachStep,
            NeuronArg::TwoPhase => Schedule::AfterAll,
        }
    }
}

/// Which network, and how it runs.
#[derive(Args, Debug)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// Network file, from `gen convert` [default: models/fashion-mnist/net.mst]
    #[arg(help_heading = Resettable::<Str>::Reset)]
    pub net: Option<PathBuf>,
    /// Time steps T: 1 to 256 (the core stops at 64).
    #[arg(long, value_name = "T", default_value_t = 8)]
    time_steps: u32,
    /// Neuron mode of all layers but those with hard reset, which stay [default: as converted]
    #[arg(long, value_enum)]
    neuron: Option<NeuronArg>,
    /// Share of spikes dropped, by label: rules `[LAYER:][LABEL=]RATIO`, with commas between [default: as converted]
    ///
    /// RATIO is 0 to 0.996. LABEL is one that layers of the network have, as `gen info` shows them: in a transformer q (queries), k (keys),
    /// attn (attention) or fc1 (first MLP layer); without it, all layers that have one. LAYER is a layer, block or stage, as `gen info` names
    /// it; without it, the whole network. A layer without a label is masked if a rule names it in full. A later rule overrides an
    /// earlier one, and what no rule names keeps the mask it was trained with: `--mask 0` switches off the masks of all labels.
    ///
    /// Examples: `--mask 0.5`, `--mask q=0.75,k=0.75,attn=0.75`, `--mask 0,stages.0.blocks.1:attn=0.5`
    #[arg(long, value_name = "RULES", allow_hyphen_values = true)]
    mask: Option<String>,
    /// Seed of the masks [default: as converted]
    #[arg(long, value_name = "N")]
    seed: Option<u32>,
}

impl NetworkArgs {
    /// Refuses more time steps than a core runs.
    pub fn check_core_steps(&self) -> Result<(), GenError> {
        if (1..=MAX_TIME_STEPS).contains(&self.time_steps) {
            return Ok(());
        }
        let allowed = format!("1..={MAX_TIME_STEPS}, which is what a core runs");
        Err(GenError::Option { option: "--time-steps", found: self.time_steps.to_string(), allowed })
    }

    /// The options of a run in a membrane of `membrane_bits`.
    pub fn run_options(&self, membrane_bits: u32) -> Result<RunOptions, GenError> {
        Ok(RunOptions {
            time_steps: self.time_steps,
            schedule: self.neuron.map(Schedule::from),
            mask: self.mask.as_deref().map(str::parse).transpose()?.unwrap_or_default(),
            seed: self.seed,
            membrane_bits,
        })
    }
}

/// Which images.
#[derive(Args, Debug)]
#[command(next_help_heading = "Images")]
pub struct ImageArgs {
    /// Index of the first image.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub first: usize,
    /// File or folder of images: idx (gzipped or not), .npy, .npz, CIFAR batches, PNG and JPEG, a folder of these pictures or one
    /// of folders, a class each [default: models/data/fashion-mnist for test images, where Debian's package
    /// dataset-fashion-mnist puts them for the others]
    ///
    /// What it is is told by its content. Labels come with it (a second idx file, an array in the .npz, the records of CIFAR, the
    /// names of folders) or from `--labels`; without any, classes are shown, but no accuracy. docs/images.md has all sources.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// How they are read.
    #[command(flatten)]
    pub options: Options,
}
