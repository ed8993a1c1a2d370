//! Labels and names of classes, from files of their own.

use crate::bounded::read_file;
use crate::error::ImageError;
use crate::idx::{self, unpacked};
use crate::numpy;
use isa::names::{NameFault, check_distinct, shown};
use model::Network;
use std::io::Read;
use std::path::Path;

/// Largest text file of labels.
const LABEL_BYTES: u64 = 1 << 26;
/// Largest file of class names.
const NAME_BYTES: u64 = 1 << 20;
/// How some editors begin a text: a byte order mark, which is no part of it.
const MARK: char = '\u{feff}';

/// A class for people: its index, and its name if it has one.
pub fn class_text(class_names: &[String], class: usize) -> String {
    match class_names.get(class) {
        Some(name) => format!("{class} {name}"),
        None => class.to_string(),
    }
}

/// Reads one name a line, from class 0 on. Empty lines at the end do not count.
///
/// # Errors
/// If the file cannot be read or is no text, if it has not as many names as there are classes, or if one is no name as [`isa::names`]
/// has it, or is there twice.
pub(crate) fn read_class_names(path: &Path, classes: usize) -> Result<Vec<String>, ImageError> {
    let text = read_text(path, NAME_BYTES, "no UTF-8 text; save it as UTF-8")?;
    let names: Vec<String> = text.trim_end().lines().map(|line| line.trim().to_owned()).collect();
    check_class_names(path, &names)?;
    if names.len() != classes {
        let reason = format!(
            "{} names, but the network has {}; write one on each line",
            names.len(),
            in_words(classes)
        );
        return Err(ImageError::file(path, reason));
    }
    Ok(names)
}

/// Reads a text, without the byte order mark that it may begin with.
///
/// # Errors
/// If the file cannot be read, is longer than `limit`, or is no UTF-8: `otherwise` says so.
fn read_text(path: &Path, limit: u64, otherwise: &str) -> Result<String, ImageError> {
    let text = String::from_utf8(read_file(path, limit)?).map_err(|_| ImageError::file(path, otherwise))?;
    Ok(text.strip_prefix(MARK).map(str::to_owned).unwrap_or(text))
}

/// Refuses names that cannot be told apart or printed: those that a checkpoint could not give its classes either.
pub(crate) fn check_class_names(path: &Path, names: &[String]) -> Result<(), ImageError> {
    check_distinct(names.iter().map(String::as_str)).map_err(|(class, fault)| {
        let name = &names[class];
        let first = names.iter().position(|earlier| earlier == name);
        let reason = match (fault, first) {
            (NameFault::Repeated, Some(first)) => {
                format!("classes {first} and {class} are both called `{}`; rename one", shown(name))
            }
            _ => format!("class {class} is called `{}`, allowed: {fault}; rename it", shown(name)),
        };
        ImageError::file(path, reason)
    })
}

/// Reads the labels of `count` images: idx, gzipped or not, `.npy`, or text with an integer on each line.
///
/// # Errors
/// If the file cannot be read or is none of these, or if there are not `count` labels.
pub(crate) fn read_labels(path: &Path, count: usize) -> Result<Vec<i64>, ImageError> {
    let mut start = Vec::new();
    let unpacked = unpacked(path)?.take(8).read_to_end(&mut start);
    unpacked.map_err(|error| crate::bounded::corrupt(path, &error))?;
    let labels = if start.starts_with(numpy::NPY) {
        return numpy::read_labels(path, count);
    } else if idx::sniff(&start).is_some() {
        let (sizes, labels) = idx::read(path)?;
        if sizes.len() != 1 {
            let reason = format!("an idx file of {} axes, allowed: 1, one label an image", sizes.len());
            return Err(ImageError::file(path, reason));
        }
        labels.into_iter().map(i64::from).collect()
    } else {
        lines(path)?
    };
    if labels.len() != count {
        return Err(ImageError::file(path, format!("{} labels, but {count} images", labels.len())));
    }
    Ok(labels)
}

fn lines(path: &Path) -> Result<Vec<i64>, ImageError> {
    let otherwise = "labels are an idx file, an .npy array of integers, or text";
    let text = read_text(path, LABEL_BYTES, otherwise)?;
    let lines = text.trim_end().lines().enumerate();
    lines
        .map(|(index, line)| {
            line.trim().parse().map_err(|_| {
                let shown: String = line.chars().take(40).collect();
                let reason = format!(
                    "line {} is {shown:?}, allowed: the number of a class, and nothing else",
                    index + 1
                );
                ImageError::file(path, reason)
            })
        })
        .collect()
}

/// Labels that are all classes of the network.
///
/// # Errors
/// If one is not: names the first.
pub(crate) fn check_labels(path: &Path, labels: &[i64], classes: usize) -> Result<Vec<u32>, ImageError> {
    let check = |(image, &label): (usize, &i64)| match u32::try_from(label) {
        Ok(class) if (class as usize) < classes => Ok(class),
        _ => Err(ImageError::Label { path: path.to_owned(), image, label, classes: in_words(classes) }),
    };
    labels.iter().enumerate().map(check).collect()
}

/// The classes of folders: by their names where the network's have names, else in the order of the folders.
///
/// Returns the class of each folder, and the names of all classes.
///
/// # Errors
/// If a folder's name is no class of the network; if there are more folders than classes; or,
/// where classes have no names, fewer.
pub(crate) fn folder_classes(
    path: &Path,
    folders: &[String],
    class_names: &[String],
    network: &Network,
) -> Result<(Vec<i64>, Vec<String>), ImageError> {
    check_class_names(path, folders)?;
    if folders.len() > network.classes {
        let reason = format!(
            "{} folders of classes, but the network has {}; take folders away, or use a network with {} classes",
            folders.len(),
            in_words(network.classes),
            folders.len()
        );
        return Err(ImageError::file(path, reason));
    }
    if class_names.is_empty() {
        if folders.len() != network.classes {
            let reason = format!(
                "{} folders of classes, but the network has {}, whose names are not known; name them with --class-names",
                folders.len(),
                in_words(network.classes)
            );
            return Err(ImageError::file(path, reason));
        }
        return Ok(((0..folders.len() as i64).collect(), folders.to_vec()));
    }
    let class = |folder: &String| {
        class_names.iter().position(|name| name == folder).map(|class| class as i64).ok_or_else(|| {
            let reason = format!(
                "the folder `{folder}` is no class of the network, which are: {}; rename it, or name the network's classes as the \
                 folders with --class-names",
                shortened(class_names)
            );
            ImageError::file(path, reason)
        })
    };
    Ok((folders.iter().map(class).collect::<Result<_, _>>()?, class_names.to_vec()))
}

fn in_words(classes: usize) -> String {
    match classes {
        1 => "1 class (0)".to_owned(),
        classes => format!("{classes} classes (0 to {})", classes.saturating_sub(1)),
    }
}

/// The first names, and how many more there are.
fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let first = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{first} and {} more", names.len() - SHOWN) } else { first }
}
