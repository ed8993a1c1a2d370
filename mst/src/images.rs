//! Networks and images as they are named on the command line.

use crate::error::MstError;
use clap::Args;
use images::{Options, Source, class_names};
use model::{Configured, Network, RunOptions};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The network that is used when none is named.
const NETWORK: &str = "models/fashion-mnist/net.mst";
/// The images that are used when none are named.
const DATA: &str = "models/data/fashion-mnist";

/// Time steps that are run if none are named.
pub const TIME_STEPS: u32 = 8;

/// The network.
#[derive(Args, Debug)]
pub struct NetworkArgs {
    /// Network file [default: models/fashion-mnist/net.mst]
    #[arg(long, value_name = "NET")]
    network: Option<PathBuf>,
    /// Time steps T.
    #[arg(long, value_name = "T", default_value_t = TIME_STEPS)]
    time_steps: u32,
}

impl NetworkArgs {
    /// A network that is named otherwise than by the options.
    pub fn of(network: Option<PathBuf>, time_steps: u32) -> NetworkArgs {
        NetworkArgs { network, time_steps }
    }

    /// Reads the network.
    pub fn read(&self) -> Result<Network, MstError> {
        let path = found(self.network.as_deref(), NETWORK, "the default network", "--network")?;
        Ok(Network::load(&path)?)
    }

    /// Makes a network ready for a core with membranes of `membrane_bits`.
    pub fn configure(&self, network: &Network, membrane_bits: u32) -> Result<Configured, MstError> {
        let options = RunOptions { membrane_bits, ..RunOptions::new(self.time_steps) };
        Ok(network.configure(&options)?)
    }
}

/// Where images are.
#[derive(Args, Debug)]
#[command(next_help_heading = "Images")]
pub struct ImageArgs {
    /// File or folder of images: idx (gzipped or not), .npy, .npz, CIFAR batches, PNG and JPEG, a folder of these pictures or one of
    /// folders, a class each; docs/images.md has all sources [default: models/data/fashion-mnist]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// How they are read.
    #[command(flatten)]
    options: Options,
}

impl ImageArgs {
    fn source(&self, network: &Network) -> Result<Source, MstError> {
        let path = found(self.data.as_deref(), DATA, "the default data set", "--data")?;
        let source = Source::open(&path, network, &self.options)?;
        notes(source.note());
        Ok(source)
    }

    /// The first `count` images.
    pub fn first(&self, count: usize, network: &mut Network) -> Result<Vec<Image>, MstError> {
        let source = self.source(network)?;
        network.class_names = source.class_names().to_vec();
        if count == 0 || count > source.len() {
            return Err(MstError::Count { found: count, there: source.len() });
        }
        numbered(&source, 0..count)
    }

    /// The images that were named: numbers, ranges (`5..10`) and pictures. Names the network's classes.
    pub fn named(&self, names: &[String], network: &mut Network) -> Result<Vec<Image>, MstError> {
        self.check_used(names)?;
        network.class_names = class_names(network, &self.options)?;
        let mut source: Option<Source> = None;
        let mut images = Vec::new();
        for name in names {
            let Some(range) = range(name)? else {
                images.push(self.picture(name, network)?);
                continue;
            };
            let source = match &mut source {
                Some(source) => source,
                None => source.insert(self.source(network)?),
            };
            if range.end > source.len() {
                let last = source.len() - 1;
                let reason =
                    format!("there are images 0 to {last}; name others, or other images with --data");
                return Err(MstError::Image { path: name.into(), reason });
            }
            images.extend(numbered(source, range)?);
        }
        if let Some(source) = source {
            network.class_names = source.class_names().to_vec();
        }
        Ok(images)
    }

    /// Refuses options of the data set where pictures alone are named, so that nobody believes that they did something.
    fn check_used(&self, names: &[String]) -> Result<(), MstError> {
        let Some(picture) = names.first() else { return Ok(()) };
        for name in names {
            if range(name)?.is_some() {
                return Ok(());
            }
        }
        let shown = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let Options { part, labels, axes, scale, .. } = &self.options;
        let options = [
            ("--data", shown(&self.data)),
            ("--labels", shown(labels)),
            ("--part", part.map(|part| part.name().to_owned())),
            ("--axes", axes.map(|axes| axes.name().to_owned())),
            ("--scale", scale.map(|scale| scale.to_string())),
        ];
        let Some((option, value)) = options.into_iter().find_map(|(option, value)| Some((option, value?)))
        else {
            return Ok(());
        };
        let reason = format!(
            "{option} is {value}, but is for images that are named by number, and pictures alone are named; leave it out, or name \
             images by number"
        );
        Err(MstError::Image { path: picture.into(), reason })
    }

    /// A picture file.
    fn picture(&self, name: &str, network: &Network) -> Result<Image, MstError> {
        let path = Path::new(name);
        let refuse = |reason: &str| MstError::Image { path: path.to_owned(), reason: reason.to_owned() };
        if !path.exists() {
            return Err(refuse(
                "no such file, and no number or range of images (7, 5..10: the images 5 to 9)",
            ));
        }
        let Options { resize, convert_color, .. } = self.options;
        let options = Options { resize, convert_color, ..Options::default() };
        let source = Source::open(path, network, &options)?;
        if !source.is_one_picture() || path.is_dir() {
            return Err(refuse("not a picture; name it with --data, and its images by number"));
        }
        let data = source.read(0..1)?;
        notes(data.notes.iter().map(String::as_str));
        Ok(Image { name: name.to_owned(), label: None, pixels: data.pixels })
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
    /// Its class, if the data set says it.
    pub label: Option<usize>,
    /// Its bytes, channel by channel and row by row.
    pub pixels: Vec<u8>,
}

/// Images of a data set by their numbers.
fn numbered(source: &Source, range: Range<usize>) -> Result<Vec<Image>, MstError> {
    let data = source.read(range.clone())?;
    notes(data.notes.iter().map(String::as_str));
    let image = |(index, pixels): (usize, &[u8])| Image {
        name: index.to_string(),
        label: source.label(index),
        pixels: pixels.to_vec(),
    };
    Ok(range.zip(data.images()).map(image).collect())
}

fn notes<'n>(notes: impl IntoIterator<Item = &'n str>) {
    notes.into_iter().for_each(|note| eprintln!("note: {note}"));
}

/// `7` or `5..10`; anything else is a file.
fn range(name: &str) -> Result<Option<Range<usize>>, MstError> {
    let range = match name.split_once("..") {
        Some((first, end)) => first.parse().ok().zip(end.parse().ok()).map(|(first, end)| first..end),
        None => name.parse().ok().and_then(|index: usize| Some(index..index.checked_add(1)?)),
    };
    match range {
        Some(Range { start, end }) if start > end => {
            let reason = format!(
                "a range that runs backwards, so it holds no images; write {end}..{} for the images {end} to {start}",
                start.saturating_add(1)
            );
            Err(MstError::Image { path: name.into(), reason })
        }
        Some(Range { start, end }) if start == end => {
            let reason = format!(
                "an empty range, for its end does not belong to it; write {start}, or {start}..{} for one image",
                start.saturating_add(1)
            );
            Err(MstError::Image { path: name.into(), reason })
        }
        range => Ok(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_are_images_of_the_data_set_and_all_else_is_a_file() {
        assert_eq!(range("7").unwrap(), Some(7..8));
        assert_eq!(range("5..10").unwrap(), Some(5..10));
        for file in ["shoe.png", "..", "7..", "../7", "-1", "99999999999999999999"] {
            assert_eq!(range(file).unwrap(), None, "{file}");
        }
        for (empty, remedy) in [("3..1", "write 1..4"), ("3..3", "write 3, or 3..4")] {
            let error = range(empty).unwrap_err().to_string();
            assert!(error.contains(remedy) && error.contains(empty), "{error}");
        }
    }
}
