//! What `--data` names: opened for a network, and read some images at a time.

use crate::axes::Array;
use crate::bounded::LIMIT;
use crate::error::ImageError;
use crate::find::{Format, Stored, find};
use crate::fit::{self, Kind};
use crate::names;
use crate::options::{Options, Part};
use crate::parts;
use crate::picture;
use model::Network;
use model::network::ImageShape;
use rayon::prelude::*;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Images for a network. Those of arrays are in memory, pictures are decoded when they are asked for.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    stored: Stored,
    /// Which of the stored images belong to the part.
    range: Range<usize>,
    part: Option<Part>,
    /// A class of the network for each stored image.
    labels: Option<Vec<u32>>,
    class_names: Vec<String>,
    network: ImageShape,
    options: Options,
    note: Option<&'static str>,
}

/// Some images of a source, as the network takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Shape of each image: the network's.
    pub shape: ImageShape,
    /// Their bytes, one image after the other, each channel by channel and row by row.
    pub pixels: Vec<u8>,
    /// A class of the network for each image; none if the source has no labels.
    pub labels: Option<Vec<u32>>,
    /// Names of the classes, one a class; empty if they have none.
    pub class_names: Vec<String>,
    /// What was done to these images that a reader of results should know.
    pub notes: Vec<String>,
}

impl Dataset {
    /// All images of a source, read with the options' defaults.
    ///
    /// # Errors
    /// As [`Source::open`] and [`Source::read`].
    pub fn load(path: &Path, network: &Network) -> Result<Dataset, ImageError> {
        let source = Source::open(path, network, &Options::default())?;
        let mut data = source.read(0..source.len())?;
        data.notes.extend(source.note().map(str::to_owned));
        Ok(data)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.pixels.len() / self.shape.bytes()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// The pixels of image `index`.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn image(&self, index: usize) -> &[u8] {
        &self.pixels[index * self.shape.bytes()..(index + 1) * self.shape.bytes()]
    }

    /// All images.
    pub fn images(&self) -> Vec<&[u8]> {
        self.pixels.chunks_exact(self.shape.bytes()).collect()
    }
}

impl Source {
    /// Opens a file or folder of images for a network, and checks all that can be checked without decoding pictures.
    ///
    /// # Errors
    /// If there are no images, or none that the network takes; if a label is none of its classes, or labels and images are not as many; if
    /// names of classes contradict the network's; if a file is truncated, corrupt or larger than [`LIMIT`]; if an option
    /// does not go with the source. Names the path, what was found and the option that helps.
    pub fn open(path: &Path, network: &Network, options: &Options) -> Result<Source, ImageError> {
        let found = find(path, network.image, options)?;
        check_options(path, found.format, options)?;
        let count = found.stored.len();
        if count == 0 || network.image.bytes() == 0 {
            return Err(ImageError::file(path, "no images"));
        }
        let named = class_names(network, options)?;
        let (labels, class_names) = match (&options.labels, found.labels) {
            (Some(file), _) => (Some((file.clone(), names::read_labels(file, count)?)), named),
            (None, Some((place, labels))) if found.folders.is_empty() => (Some((place, labels)), named),
            (None, Some((place, indices))) => {
                let (classes, all) = names::folder_classes(&place, &found.folders, &named, network)?;
                (Some((place, indices.iter().map(|&index| classes[index as usize]).collect())), all)
            }
            (None, None) => (None, named),
        };
        let labels = labels.map(|(place, labels)| names::check_labels(&place, &labels, network.classes));
        Ok(Source {
            note: is_dark(&found.stored, found.format, options).then_some(DARK),
            path: path.to_owned(),
            range: parts::range(path, count, found.part)?,
            stored: found.stored,
            part: found.part,
            labels: labels.transpose()?,
            class_names,
            network: network.image,
            options: options.clone(),
        })
    }

    /// Number of images, 1 or more.
    #[expect(clippy::len_without_is_empty, reason = "a source is never empty")]
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// The part of the data set that the images are; none if it has no parts.
    pub fn part(&self) -> Option<Part> {
        self.part
    }

    /// Names of the network's classes: those of `--class-names`, the network's own, or those of the folders; empty if there are none.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Class of image `index`, if the source has labels.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn label(&self, index: usize) -> Option<usize> {
        self.labels.as_ref().map(|labels| labels[self.range.clone()][index] as usize)
    }

    /// What a reader of results should know of all images.
    pub fn note(&self) -> Option<&'static str> {
        self.note
    }

    /// Whether this is a single picture.
    pub fn is_one_picture(&self) -> bool {
        matches!(&self.stored, Stored::Pictures(paths) if paths.len() == 1)
    }

    /// Reads images, decodes pictures, and makes them fit where options allow it.
    ///
    /// # Errors
    /// If they take more than [`LIMIT`] bytes; if a picture cannot be read, or does not fit.
    ///
    /// # Panics
    /// If there are no such images.
    pub fn read(&self, images: Range<usize>) -> Result<Dataset, ImageError> {
        assert!(images.start <= images.end && images.end <= self.len(), "{images:?} of {}", self.len());
        let size = self.network.bytes();
        let bytes = (images.len() as u64).saturating_mul(size as u64);
        if bytes > LIMIT {
            let path = self.path.clone();
            return Err(ImageError::Size {
                path,
                bytes,
                limit: LIMIT,
                remedy: "take fewer at a time, with --images or in shorter ranges",
            });
        }
        let mut pixels = vec![0; bytes as usize];
        let first = self.range.start + images.start;
        let places = pixels.par_chunks_exact_mut(size).enumerate();
        let peculiar: Vec<Peculiar> = places
            .map(|(index, place)| {
                let (image, peculiar) = self.image(first + index)?;
                place.copy_from_slice(&image);
                Ok(peculiar)
            })
            .collect::<Result<_, ImageError>>()?;
        let stored = first..first + images.len();
        Ok(Dataset {
            shape: self.network,
            pixels,
            labels: self.labels.as_ref().map(|labels| labels[stored].to_vec()),
            class_names: self.class_names.clone(),
            notes: notes(&peculiar),
        })
    }

    /// A stored image, as the network takes it.
    fn image(&self, index: usize) -> Result<(Vec<u8>, Peculiar), ImageError> {
        match &self.stored {
            Stored::Array(Array { shape, pixels, .. }) => {
                let pixels = pixels[index * shape.bytes()..(index + 1) * shape.bytes()].to_vec();
                let fitted = fit::fit(&self.path, pixels, *shape, self.network, Kind::Array, &self.options)?;
                Ok((fitted, Peculiar::default()))
            }
            Stored::Pictures(paths) => {
                let path = &paths[index];
                let picture = picture::read(path)?;
                let peculiar = Peculiar { transparent: picture.transparent, deep: picture.deep };
                let fitted = fit::fit(
                    path,
                    picture.pixels,
                    picture.shape,
                    self.network,
                    Kind::Picture,
                    &self.options,
                )?;
                Ok((fitted, peculiar))
            }
        }
    }
}

/// What to say of an array of 0 and 1 alone, which is as good as black.
const DARK: &str = "all values are 0 or 1 of 255; --scale 255 if they are shares";

fn is_dark(stored: &Stored, format: Format, options: &Options) -> bool {
    let Stored::Array(array) = stored else { return false };
    matches!(format, Format::Npy | Format::Npz)
        && options.scale.is_none_or(|scale| scale < 255.0)
        && array.pixels.iter().all(|&byte| byte <= 1)
}

/// The names of a network's classes: those of `--class-names`, or its own.
///
/// # Errors
/// If the file cannot be read, or does not name the network's classes.
pub fn class_names(network: &Network, options: &Options) -> Result<Vec<String>, ImageError> {
    match &options.class_names {
        Some(file) => names::read_class_names(file, network.classes),
        None => Ok(network.class_names.clone()),
    }
}

/// What was done to a picture.
#[derive(Clone, Copy, Default)]
struct Peculiar {
    transparent: bool,
    deep: bool,
}

fn notes(pictures: &[Peculiar]) -> Vec<String> {
    let count = |of: fn(&Peculiar) -> bool| pictures.iter().filter(|picture| of(picture)).count();
    let note = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(format!("1 picture {what}")),
        count => Some(format!("{count} pictures {what}")),
    };
    let transparent = note(count(|picture| picture.transparent), "with transparent pixels laid on black");
    let deep = note(count(|picture| picture.deep), "with 16 bits a channel rounded to 8");
    transparent.into_iter().chain(deep).collect()
}

/// Options that the source has no use for are refused, so that nobody believes that they did something.
fn check_options(path: &Path, format: Format, options: &Options) -> Result<(), ImageError> {
    let refuse = |option: &str, what: &str| {
        Err(ImageError::file(path, format!("{option} is for {what}, which this is not; leave it out")))
    };
    let (numpy, array) = match format {
        Format::Npy | Format::Npz => (true, true),
        Format::Idx(_) => (false, true),
        Format::Cifar(_) | Format::Picture => (false, false),
    };
    match options {
        Options { scale: Some(_), .. } if !numpy => refuse("--scale", "arrays of NumPy"),
        Options { axes: Some(_), .. } if !array => refuse("--axes", "arrays"),
        _ => Ok(()),
    }
}
