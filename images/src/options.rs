//! How images are read: the options that all commands share.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Training images that training keeps for its choices, as `train/dataset.py` has it.
pub const HELD_OUT: usize = 5000;

/// How images are read.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Which images of a data set that has parts: its files, or the arrays of an .npz file, are named `test` or `t10k`, and `train`
    /// [default: test; all images of a source without parts]
    #[arg(long, value_enum)]
    pub part: Option<Part>,
    /// Labels of the images, instead of those that the source has: an idx file, an .npy array of integers, or a text file with a
    /// number on each line.
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Names of the classes, one on each line, from class 0 on; they replace the network's own.
    #[arg(long, value_name = "FILE")]
    pub class_names: Option<PathBuf>,
    /// Scale images of another size until they cover the network's, so that the shorter side fits, and cut out the centre; without
    /// it, another size is refused.
    #[arg(long)]
    pub resize: bool,
    /// Turn colour images grey for a network of grey images (luma of ITU-R BT.601), and repeat the values of grey arrays for a
    /// network of colour images; without it, both are refused.
    #[arg(long)]
    pub convert_color: bool,
    /// Order of the axes of an array with four: images, channels, height, width, or images, height, width, channels; needed only
    /// where the network takes both.
    #[arg(long, value_enum)]
    pub axes: Option<Axes>,
    /// Factor that turns the numbers of an .npy or .npz array into bytes: 255 where they are 0 to 1, 1 where they are 0 to 255;
    /// needed for floating point.
    #[arg(long, value_name = "FACTOR", value_parser = scale)]
    pub scale: Option<f64>,
}

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The test images.
    Test,
    /// The training images that training sees: all but the last 5,000.
    Train,
    /// The last 5,000 training images, on which training makes its choices.
    HeldOut,
    /// All training images, those held out with them; all images of a source without parts.
    All,
}

impl Part {
    /// As the option is written.
    pub fn name(self) -> &'static str {
        match self {
            Part::Test => "test",
            Part::Train => "train",
            Part::HeldOut => "held-out",
            Part::All => "all",
        }
    }
}

/// Order of an array's four axes, from the slowest index to the fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Axes {
    /// Images, channels, height, width, as PyTorch has it.
    Nchw,
    /// Images, height, width, channels, as TensorFlow has it.
    Nhwc,
}

impl Axes {
    /// As the option is written.
    pub fn name(self) -> &'static str {
        match self {
            Axes::Nchw => "nchw",
            Axes::Nhwc => "nhwc",
        }
    }
}

/// A factor that is of use.
fn scale(text: &str) -> Result<f64, String> {
    let scale: f64 = text.parse().map_err(|_| "allowed: a number such as 255".to_owned())?;
    if scale.is_finite() && scale > 0.0 { Ok(scale) } else { Err("allowed: a number above 0".to_owned()) }
}
