//! What is at a path, told by the content of its files.

use crate::axes::{Array, Images, Layout};
use crate::bounded;
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
use model::network::ImageShape;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where images are.
#[derive(Debug)]
pub(crate) enum Stored {
    Array(Array),
    Pictures(Vec<PathBuf>),
}

impl Stored {
    pub fn len(&self) -> usize {
        match self {
            Stored::Array(array) => array.count,
            Stored::Pictures(paths) => paths.len(),
        }
    }
}

/// What was found at a path, before it was compared with the network's classes.
pub(crate) struct Found {
    pub stored: Stored,
    /// Where labels are, and what they are.
    pub labels: Option<(PathBuf, Vec<i64>)>,
    /// Names of the classes' folders, of which labels are indices.
    pub folders: Vec<String>,
    pub part: Option<Part>,
    pub format: Format,
}

impl Found {
    fn unlabelled(stored: Stored, format: Format) -> Found {
        Found { stored, labels: None, folders: Vec::new(), part: None, format }
    }
}

/// What the content of a file says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// With that many axes.
    Idx(usize),
    Npy,
    Npz,
    Cifar(Cifar),
    Picture,
}

/// Finds the images of a file or folder.
///
/// # Errors
/// If there are none, or none that the network and the options go with.
pub(crate) fn find(path: &Path, network: ImageShape, options: &Options) -> Result<Found, ImageError> {
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

/// Whether a file is images or labels by its content, as a folder's files are told: what is none lies in a folder of images unread.
pub fn is_data(path: &Path) -> bool {
    path.is_file() && matches!(sniff(path), Ok(Some(_)))
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
