//! Networks and images as they are named on the command line.

use crate::error::MstError;
use clap::Args;
use model::network::ImageShape;
use model::{Configured, Dataset, Network, RunOptions};
use std::path::{Path, PathBuf};

/// The network that is used when none is named.
const NETWORK: &str = "models/fashion-mnist/net.mst";
/// The images that are used when none are named.
const DATA: &str = "models/data/fashion-mnist";

/// The network.
#[derive(Args, Debug)]
pub struct NetworkArgs {
    /// Network file [default: models/fashion-mnist/net.mst]
    #[arg(long, value_name = "NET")]
    network: Option<PathBuf>,
    /// Folder of the data set's test images [default: models/data/fashion-mnist]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Time steps T.
    #[arg(long, value_name = "T", default_value_t = 8)]
    time_steps: u32,
}

impl NetworkArgs {
    /// A network that is named otherwise than by the options.
    pub fn of(network: Option<PathBuf>, time_steps: u32) -> NetworkArgs {
        NetworkArgs { network, data: None, time_steps }
    }

    /// Reads the network for a core with membranes of `membrane_bits`.
    pub fn load(&self, membrane_bits: u32) -> Result<Configured, MstError> {
        let path = found(self.network.as_deref(), NETWORK, "the default network", "--network")?;
        let options = RunOptions { membrane_bits, ..RunOptions::new(self.time_steps) };
        Ok(Network::load(&path)?.configure(&options)?)
    }

    /// The data set.
    pub fn dataset(&self) -> Result<Dataset, MstError> {
        Ok(Dataset::load(&found(self.data.as_deref(), DATA, "the default data set", "--data")?)?)
    }
}

/// `named`, or `place` below the current folder or one of its parents.
fn found(
    named: Option<&Path>,
    place: &'static str,
    what: &'static str,
    option: &'static str,
) -> Result<PathBuf, MstError> {
    let here = std::env::current_dir().unwrap_or_default();
    let default = || here.ancestors().map(|folder| folder.join(place)).find(|path| path.exists());
    named.map(Path::to_owned).or_else(default).ok_or(MstError::NotFound { what, place, option })
}

/// An image to classify.
pub struct Image {
    /// What it is called: its number in the data set, or its file.
    pub name: String,
    /// Its class, if it is of the data set.
    pub label: Option<usize>,
    /// Its bytes, channel by channel and row by row.
    pub pixels: Vec<u8>,
}

/// Reads the images that were named: numbers, ranges (`5..10`) and PNG files.
pub fn images(names: &[String], network: &NetworkArgs, shape: ImageShape) -> Result<Vec<Image>, MstError> {
    let mut data: Option<Dataset> = None;
    let mut images = Vec::new();
    for name in names {
        let Some(range) = range(name) else {
            images.push(Image { name: name.clone(), label: None, pixels: read_png(Path::new(name), shape)? });
            continue;
        };
        let data = match &mut data {
            Some(data) => data,
            None => data.insert(network.dataset()?),
        };
        if range.is_empty() || range.end > data.len() {
            let reason = format!("the data set has images 0..{}", data.len());
            return Err(MstError::Image { path: name.into(), reason });
        }
        images.extend(range.map(|index| Image {
            name: index.to_string(),
            label: Some(data.labels()[index].into()),
            pixels: data.image(index).to_vec(),
        }));
    }
    Ok(images)
}

/// `7` or `5..10`; anything else is a file.
fn range(name: &str) -> Option<std::ops::Range<usize>> {
    match name.split_once("..") {
        Some((first, end)) => Some(first.parse().ok()?..end.parse().ok()?),
        None => {
            let index: usize = name.parse().ok()?;
            Some(index..index.checked_add(1)?)
        }
    }
}

fn read_png(path: &Path, shape: ImageShape) -> Result<Vec<u8>, MstError> {
    let refuse = |reason: String| MstError::Image { path: path.to_owned(), reason };
    let file = std::fs::File::open(path).map_err(|error| refuse(error.to_string()))?;
    let mut reader = png::Decoder::new(std::io::BufReader::new(file))
        .read_info()
        .map_err(|error| refuse(error.to_string()))?;
    let (color, depth) = reader.output_color_type();
    let channels = match (color, depth) {
        (png::ColorType::Grayscale, png::BitDepth::Eight) => 1,
        (png::ColorType::Rgb, png::BitDepth::Eight) => 3,
        _ => {
            return Err(refuse(format!(
                "{color:?} with {depth:?} bits; allowed: grey or RGB, eight bits, no alpha"
            )));
        }
    };
    let info = reader.info();
    let found = [info.height as usize, info.width as usize, channels];
    if found != [shape.height, shape.width, shape.channels] {
        let [height, width, channels] = found;
        return Err(refuse(format!(
            "{height} x {width} x {channels}; the network takes {} x {} x {}",
            shape.height, shape.width, shape.channels
        )));
    }
    let mut interleaved = vec![0; shape.bytes()];
    reader.next_frame(&mut interleaved).map_err(|error| refuse(error.to_string()))?;
    let pixels = shape.height * shape.width;
    Ok((0..shape.bytes()).map(|at| interleaved[at % pixels * channels + at / pixels]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_are_images_of_the_data_set_and_all_else_is_a_file() {
        assert_eq!(range("7"), Some(7..8));
        assert_eq!(range("5..10"), Some(5..10));
        for file in ["shoe.png", "..", "7..", "../7", "-1"] {
            assert_eq!(range(file), None, "{file}");
        }
    }
}
