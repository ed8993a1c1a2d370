//! What `--data` names, told by its content.

use crate::axes::{Array, Images, Layout};
use crate::bounded::{self, LIMIT};
use crate::cifar::{self, Cifar};
use crate::error::ImageError;
use crate::fit::{self, Kind};
use crate::folder::{self, Listing};
use crate::idx::{self, unpacked};
use crate::names;
use crate::numpy;
use crate::options::{Options, Part};
use crate::parts::{self, Choice};
use crate::picture;
use model::Network;
use model::network::ImageShape;
use rayon::prelude::*;
use std::io::Read;
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
    format: Format,
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
    /// What was done to images that a reader of results should know.
    pub notes: Vec<String>,
}

impl Dataset {
    /// All images of a source, read with the options' defaults.
    ///
    /// # Errors
    /// As [`Source::open`] and [`Source::read`].
    pub fn load(path: &Path, network: &Network) -> Result<Dataset, ImageError> {
        let source = Source::open(path, network, &Options::default())?;
        source.read(0..source.len())
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

/// Where images are.
#[derive(Debug)]
enum Stored {
    Array(Array),
    Pictures(Vec<PathBuf>),
}

impl Stored {
    fn len(&self) -> usize {
        match self {
            Stored::Array(array) => array.count,
            Stored::Pictures(paths) => paths.len(),
        }
    }
}

/// What was found at a path, before it was compared with the network's classes.
struct Found {
    stored: Stored,
    /// Where labels are, and what they are.
    labels: Option<(PathBuf, Vec<i64>)>,
    /// Names of the classes' folders, of which labels are indices.
    folders: Vec<String>,
    part: Option<Part>,
    format: Format,
}

impl Found {
    fn unlabelled(stored: Stored, format: Format) -> Found {
        Found { stored, labels: None, folders: Vec::new(), part: None, format }
    }
}

/// What the content of a file says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// With that many axes.
    Idx(usize),
    Npy,
    Npz,
    Cifar(Cifar),
    Picture,
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
            path: path.to_owned(),
            range: parts::range(path, count, found.part)?,
            stored: found.stored,
            part: found.part,
            labels: labels.transpose()?,
            class_names,
            network: network.image,
            options: options.clone(),
            format: found.format,
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
            notes: self.dark().into_iter().chain(notes(&peculiar)).collect(),
        })
    }

    /// What to say of an array of 0 and 1 alone, which is as good as black.
    fn dark(&self) -> Option<String> {
        let Stored::Array(array) = &self.stored else { return None };
        let scalable = matches!(self.format, Format::Npy | Format::Npz)
            && self.options.scale.is_none_or(|scale| scale < 255.0);
        let is_dark = scalable && array.pixels.iter().all(|&byte| byte <= 1);
        is_dark.then(|| "all values are 0 or 1 of 255; --scale 255 if they are shares".to_owned())
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

fn find(path: &Path, network: ImageShape, options: &Options) -> Result<Found, ImageError> {
    if path.metadata().map_err(ImageError::io(path))?.is_dir() {
        return find_in_folder(path, network, options);
    }
    // What is neither is refused here, whatever length it announces.
    bounded::open(path)?;
    let format = sniff(path)?.ok_or_else(|| ImageError::file(path, unknown(path)))?;
    let found = match format {
        Format::Npz => {
            let numpy::Archive { images, labels, part } = numpy::read_archive(path, network, options)?;
            let labels = labels.map(|labels| (path.to_owned(), labels));
            return Ok(Found { labels, part, ..Found::unlabelled(Stored::Array(images), format) });
        }
        Format::Idx(_) => Found::unlabelled(Stored::Array(read_idx(path, network, options)?), format),
        Format::Npy => Found::unlabelled(Stored::Array(numpy::read_images(path, network, options)?), format),
        Format::Cifar(kind) => batches(&[path.to_owned()], kind, None, network, options)?,
        Format::Picture => Found::unlabelled(Stored::Pictures(vec![path.to_owned()]), format),
    };
    match options.part {
        None | Some(Part::All) => Ok(found),
        Some(part) => Err(without_parts(path, part)),
    }
}

fn without_parts(path: &Path, part: Part) -> ImageError {
    let reason = format!("--part is {}, but these images have no parts; leave it out", part.name());
    ImageError::file(path, reason)
}

/// Looks at the first bytes of a file, unpacked if it is gzipped.
fn sniff(path: &Path) -> Result<Option<Format>, ImageError> {
    let length = path.metadata().map_err(ImageError::io(path))?.len();
    // The system's own files have no length, and some of them keep their reader waiting.
    if length == 0 {
        return Ok(None);
    }
    let mut start = Vec::new();
    let read = unpacked(path)?.take(512).read_to_end(&mut start);
    if read.is_err() && start.is_empty() {
        return Ok(None);
    }
    let cifar = Cifar::sniff(&start, length);
    let format = match idx::sniff(&start) {
        _ if start.starts_with(numpy::NPY) => Some(Format::Npy),
        _ if start.starts_with(numpy::ZIP) => Some(Format::Npz),
        _ if picture::sniff(&start).is_some() => Some(Format::Picture),
        // Black pixels after label 0 look like an idx file; its length tells.
        Some((axes, _)) if cifar.is_none() || is_whole_idx(&start, axes, length) => Some(Format::Idx(axes)),
        _ => cifar.map(Format::Cifar),
    };
    Ok(format)
}

/// Whether an idx header announces exactly the file's length.
fn is_whole_idx(start: &[u8], axes: usize, length: u64) -> bool {
    start.get(..idx::header_bytes(axes)).is_some_and(|header| {
        let elements =
            idx::sizes(header).iter().fold(1u64, |product, &size| product.saturating_mul(size as u64));
        elements.saturating_add(header.len() as u64) == length
    })
}

/// Why a file is no source, with what it may be.
fn unknown(path: &Path) -> String {
    if path.metadata().is_ok_and(|what| what.len() == 0) {
        return "an empty file, so not a file of images; name another with --data".to_owned();
    }
    let start = first_bytes(path);
    if is_pickle(&start) {
        return PICKLE.to_owned();
    }
    let archive = start.get(257..262) == Some(b"ustar");
    let what = if archive { "a tar archive: unpack it, and name the folder" } else { "not a file of images" };
    format!(
        "{what}; allowed: idx (gzipped or not), .npy, .npz, binary batches of CIFAR-10 or CIFAR-100, PNG, JPEG, or a folder of them \
         (docs/images.md)"
    )
}

/// What to do about batches of CIFAR for Python.
const PICKLE: &str = "a pickle of Python, as CIFAR's version for Python has them; take the binary version of the data set, or save \
                      the images with `numpy.save`";

/// Whether a file begins like a pickle of protocol 2 or above.
fn is_pickle(start: &[u8]) -> bool {
    matches!(start, [0x80, 2..=5, ..])
}

/// The first bytes of a file, unpacked; as many as can be read.
fn first_bytes(path: &Path) -> Vec<u8> {
    let mut start = Vec::new();
    if let Ok(file) = unpacked(path) {
        // What was read before an error counts.
        let _ = file.take(512).read_to_end(&mut start);
    }
    start
}

fn read_idx(path: &Path, network: ImageShape, options: &Options) -> Result<Array, ImageError> {
    let (sizes, bytes) = idx::read(path)?;
    if sizes.len() == 1 {
        let reason =
            "an idx file with one axis: labels; name the images with --data, and these with --labels";
        return Err(ImageError::file(path, reason));
    }
    Ok(Images::find(path, &Layout::row_major(sizes), network, options)?.gather(bytes))
}

fn batches(
    paths: &[PathBuf],
    kind: Cifar,
    part: Option<Part>,
    network: ImageShape,
    options: &Options,
) -> Result<Found, ImageError> {
    let (array, labels) = cifar::read(paths, kind)?;
    if let Some(remedy) = fit::remedy(array.shape, network, Kind::Array, options) {
        let (found, expected) = (fit::text(array.shape), fit::text(network));
        return Err(ImageError::Shape { path: paths[0].clone(), found, expected, remedy });
    }
    let labels = Some((paths[0].clone(), labels.into_iter().map(i64::from).collect()));
    Ok(Found { labels, part, ..Found::unlabelled(Stored::Array(array), Format::Cifar(kind)) })
}

/// The files of a folder by what they are.
struct Sorted {
    idx_images: Vec<PathBuf>,
    idx_labels: Vec<PathBuf>,
    cifar: Vec<(PathBuf, Cifar)>,
    arrays: Vec<PathBuf>,
    pictures: Vec<PathBuf>,
    /// The first pickle of Python, of which nothing is read.
    pickle: Option<PathBuf>,
}

fn sort(files: Vec<PathBuf>) -> Result<Sorted, ImageError> {
    let mut sorted = Sorted {
        idx_images: Vec::new(),
        idx_labels: Vec::new(),
        cifar: Vec::new(),
        arrays: Vec::new(),
        pictures: Vec::new(),
        pickle: None,
    };
    for path in files {
        match sniff(&path)? {
            Some(Format::Idx(1)) => sorted.idx_labels.push(path),
            Some(Format::Idx(_)) => sorted.idx_images.push(path),
            Some(Format::Cifar(kind)) => sorted.cifar.push((path, kind)),
            Some(Format::Npy | Format::Npz) => sorted.arrays.push(path),
            Some(Format::Picture) => sorted.pictures.push(path),
            None if folder::is_called_picture(&path) => {
                return Err(ImageError::file(
                    &path,
                    "called a picture, but no PNG or JPEG; convert it, or take it away",
                ));
            }
            None if path.metadata().is_ok_and(|what| what.len() > 0) && is_pickle(&first_bytes(&path)) => {
                sorted.pickle.get_or_insert(path);
            }
            None => {}
        }
    }
    Ok(sorted)
}

fn find_in_folder(path: &Path, network: ImageShape, options: &Options) -> Result<Found, ImageError> {
    let Listing { files, folders } = folder::list(path)?;
    let sorted = sort(files)?;
    let pictures = !sorted.pictures.is_empty();
    let only_pickles = folders.is_empty()
        && [&sorted.idx_images, &sorted.arrays, &sorted.pictures].iter().all(|paths| paths.is_empty())
        && sorted.cifar.is_empty();
    if let (Some(pickle), true) = (&sorted.pickle, only_pickles) {
        return Err(ImageError::file(pickle, PICKLE));
    }
    match (!sorted.idx_images.is_empty(), !sorted.cifar.is_empty(), pictures) {
        (true, false, false) => idx_folder(path, sorted, network, options),
        (false, true, false) => cifar_folder(path, sorted.cifar, network, options),
        (false, false, _) if !sorted.arrays.is_empty() => {
            let names: Vec<&str> = sorted.arrays.iter().map(|path| folder::name(path)).collect();
            let reason =
                format!("arrays of NumPy ({}); name the one of images with --data", names.join(", "));
            Err(ImageError::file(path, reason))
        }
        (false, false, _) => {
            let found = picture_folder(path, sorted.pictures, folders)?;
            match options.part {
                None | Some(Part::All) => Ok(found),
                Some(part) => Err(without_parts(path, part)),
            }
        }
        _ => {
            let reason = "files of several formats (idx, CIFAR, pictures); name the file with --data, or move them apart";
            Err(ImageError::file(path, reason))
        }
    }
}

fn idx_folder(
    path: &Path,
    sorted: Sorted,
    network: ImageShape,
    options: &Options,
) -> Result<Found, ImageError> {
    let names =
        |paths: &[PathBuf]| paths.iter().map(|path| folder::name(path).to_owned()).collect::<Vec<_>>();
    let Choice { indices, part } = parts::choose(path, &names(&sorted.idx_images), options.part)?;
    let [chosen] = indices[..] else {
        let several = names(&sorted.idx_images).join(", ");
        return Err(ImageError::file(
            path,
            format!("several files of images ({several}); name one with --data"),
        ));
    };
    let images = &sorted.idx_images[chosen];
    let array = read_idx(images, network, options)?;
    let mut found = Found { part, ..Found::unlabelled(Stored::Array(array), Format::Idx(3)) };
    if options.labels.is_some() {
        return Ok(found);
    }
    let belongs = |label: &&PathBuf| parts::side(folder::name(label)) == parts::side(folder::name(images));
    match sorted.idx_labels.iter().filter(belongs).collect::<Vec<_>>()[..] {
        [] if sorted.idx_labels.is_empty() => {}
        [labels] => {
            let read = names::read_labels(labels, found.stored.len())?;
            found.labels = Some((labels.clone(), read));
        }
        _ => {
            let there = names(&sorted.idx_labels).join(", ");
            let reason = format!(
                "which file has the labels of {}, of {there}? name it with --labels",
                images.display()
            );
            return Err(ImageError::file(path, reason));
        }
    }
    Ok(found)
}

fn cifar_folder(
    path: &Path,
    files: Vec<(PathBuf, Cifar)>,
    network: ImageShape,
    options: &Options,
) -> Result<Found, ImageError> {
    let kind = files[0].1;
    if files.iter().any(|(_, other)| *other != kind) {
        return Err(ImageError::file(
            path,
            "batches of CIFAR-10 and of CIFAR-100; name one file with --data",
        ));
    }
    let names: Vec<String> = files.iter().map(|(path, _)| folder::name(path).to_owned()).collect();
    let Choice { indices, part } = parts::choose(path, &names, options.part)?;
    let paths: Vec<PathBuf> = indices.into_iter().map(|index| files[index].0.clone()).collect();
    batches(&paths, kind, part, network, options)
}

fn picture_folder(path: &Path, pictures: Vec<PathBuf>, folders: Vec<PathBuf>) -> Result<Found, ImageError> {
    let refuse = |reason: String| Err(ImageError::file(path, reason));
    let (mut all, mut labels, mut classes, mut empty) = (Vec::new(), Vec::new(), Vec::new(), None);
    for folder in folders {
        let inside = sort(folder::list(&folder)?.files)?.pictures;
        if inside.is_empty() {
            empty = empty.or(Some(folder));
            continue;
        }
        labels.extend(std::iter::repeat_n(classes.len() as i64, inside.len()));
        classes.push(folder::name(&folder).to_owned());
        all.extend(inside);
    }
    match (pictures.is_empty(), classes.is_empty(), empty) {
        (false, true, _) => Ok(Found::unlabelled(Stored::Pictures(pictures), Format::Picture)),
        (false, false, _) => refuse(format!(
            "pictures beside folders with pictures ({}); move them into the folders of their classes, or away",
            classes.join(", ")
        )),
        (true, false, None) => {
            let found = Found::unlabelled(Stored::Pictures(all), Format::Picture);
            Ok(Found { labels: Some((path.to_owned(), labels)), folders: classes, ..found })
        }
        // Whether it counts as a class would decide the labels of all that follow.
        (true, false, Some(empty)) => {
            refuse(format!("the folder `{}` has no pictures; fill it, or take it away", folder::name(&empty)))
        }
        (true, true, Some(inner)) => refuse(format!(
            "no images in it or in its folders; name the folder whose subfolders are the classes, such as {}",
            inner.display()
        )),
        (true, true, None) => refuse(
            "no images in it; allowed: idx files, batches of CIFAR-10 or CIFAR-100, PNG and JPEG pictures, folders of these pictures \
             (docs/images.md)"
                .to_owned(),
        ),
    }
}
