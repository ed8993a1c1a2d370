//! Arrays of NumPy: `.npy` files, and `.npz` archives of them.
//!
//! Numbers are bytes, other integers of 0 to 255, or anything (floating point above all) with a factor that turns it into 0 to
//! 255. C order and Fortran order, little and big endian. The header is compared with the limits before `npyz` reads it: a shape
//! whose product overflows, or brackets by the thousand, never reach its parser.

use crate::axes::{Array, Images, Layout};
use crate::bounded::{self, corrupt, read_exactly};
use crate::error::ImageError;
use crate::idx::unpacked;
use crate::options::{Options, Part};
use crate::parts::{self, Choice};
use model::network::ImageShape;
use npyz::{DType, Deserialize, NpyFile, NpyHeader, Order, TypeChar};
use std::io::{BufReader, Cursor, Read};
use std::path::Path;
use zip::ZipArchive;

/// How an `.npy` file begins.
pub(crate) const NPY: &[u8] = b"\x93NUMPY";
/// How an `.npz` file begins: a zip archive.
pub(crate) const ZIP: &[u8] = b"PK\x03\x04";

/// Longest header, as in NumPy itself.
const HEADER_BYTES: usize = 10_000;
/// Deepest nesting of a header; plain arrays need two.
const NESTING: usize = 8;
/// What the numbers in a header, shape and size of an element, may multiply to.
const LARGEST_PRODUCT: u64 = 1 << 48;

/// The images of an `.npy` file.
///
/// # Errors
/// If it cannot be read, is no array of numbers, is truncated or longer than its header says, has more than
/// [`LIMIT`](crate::LIMIT) elements, an element that is no byte, or a shape that the network does not take.
pub(crate) fn read_images(path: &Path, network: ImageShape, options: &Options) -> Result<Array, ImageError> {
    images(path, &mut *unpacked(path)?, network, options)
}

/// The integers of an `.npy` file with one axis, or with further ones of length 1.
///
/// # Errors
/// As [`read_images`]; and if there are other axes or other numbers, or not `count` of them.
pub(crate) fn read_labels(path: &Path, count: usize) -> Result<Vec<i64>, ImageError> {
    labels(path, &mut *unpacked(path)?, count)
}

/// What an `.npz` file holds.
pub(crate) struct Archive {
    pub images: Array,
    /// One an image, if the file has any and none are named otherwise.
    pub labels: Option<Vec<i64>>,
    /// The part of a data set that its names speak of.
    pub part: Option<Part>,
}

/// Reads an `.npz` file.
///
/// Images are the array with three or four axes, labels the one of integers with one axis; where there are several, the one whose
/// name belongs to the part.
///
/// # Errors
/// As [`read_images`]; and if there is no array of images in the part, or more than one.
pub(crate) fn read_archive(
    path: &Path,
    network: ImageShape,
    options: &Options,
) -> Result<Archive, ImageError> {
    let file = BufReader::new(bounded::open(path)?);
    let wrong =
        |error| ImageError::file(path, format!("not an .npz file, or a truncated or corrupt one: {error}"));
    let mut archive = ZipArchive::new(file).map_err(wrong)?;
    let (mut image_arrays, mut label_arrays) = (Vec::new(), Vec::new());
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(wrong)?;
        let name = entry.name().map_err(wrong)?.into_owned();
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else { continue };
        let header = open(path, &mut entry)?.header().clone();
        match header.shape() {
            [_, _, _] | [_, _, _, _] => image_arrays.push((index, name)),
            [_, rest @ ..] if rest.iter().all(|&size| size == 1) && is_integer(&header) => {
                label_arrays.push((index, name));
            }
            _ => {}
        }
    }
    let names = |arrays: &[(usize, String)]| arrays.iter().map(|(_, name)| name.clone()).collect::<Vec<_>>();
    if image_arrays.is_empty() {
        return Err(ImageError::file(
            path,
            "no array with three or four axes in it, so no images; one image `x` of two axes is `x[None]`",
        ));
    }
    let Choice { indices, part } = parts::choose(path, &names(&image_arrays), options.part)?;
    let [chosen] = indices[..] else {
        let several = names(&image_arrays).join(", ");
        let reason =
            format!("several arrays of images ({several}); save the one that is meant with `numpy.save`");
        return Err(ImageError::file(path, reason));
    };
    let (index, name) = &image_arrays[chosen];
    let array = {
        let mut entry = BufReader::new(archive.by_index(*index).map_err(wrong)?);
        images(path, &mut entry, network, options)?
    };
    if options.labels.is_some() {
        return Ok(Archive { images: array, labels: None, part });
    }
    let belongs = |(_, label): &&(usize, String)| parts::side(label) == parts::side(name);
    let found = match label_arrays.iter().filter(belongs).collect::<Vec<_>>()[..] {
        [] if label_arrays.is_empty() => None,
        [(index, _)] => {
            let mut entry = BufReader::new(archive.by_index(*index).map_err(wrong)?);
            Some(labels(path, &mut entry, array.count)?)
        }
        _ => {
            let there = names(&label_arrays).join(", ");
            let reason = format!(
                "which array has the labels of `{name}`, of {there}? name a file of them with --labels"
            );
            return Err(ImageError::file(path, reason));
        }
    };
    Ok(Archive { images: array, labels: found, part })
}

fn images(
    path: &Path,
    reader: &mut dyn Read,
    network: ImageShape,
    options: &Options,
) -> Result<Array, ImageError> {
    let file = open(path, reader)?;
    let header = file.header().clone();
    let sizes: Vec<usize> = header.shape().iter().map(|&size| size as usize).collect();
    check_type(path, &header)?;
    let count = bounded::elements(path, &sizes)?;
    check_several(path, &sizes, network, options)?;
    let layout = match header.order() {
        Order::C => Layout::row_major(sizes),
        Order::Fortran => Layout::column_major(sizes),
    };
    let images = Images::find(path, &layout, network, options)?;
    let bytes = match (scalar(path, &header)?, options.scale) {
        ((TypeChar::Uint, 1), None) => read_exactly(path, &mut file.into_inner(), count)?,
        (_, scale) => converted(path, file, scale)?,
    };
    Ok(images.gather(bytes))
}

/// Refuses an array that is one image: its channels, or its rows, would be taken for images.
fn check_several(
    path: &Path,
    sizes: &[usize],
    network: ImageShape,
    options: &Options,
) -> Result<(), ImageError> {
    let fits = |height, width| (height, width) == (network.height, network.width) || options.resize;
    let colors = |channels| channels > 1 && channels == network.channels;
    let (is_one, otherwise) = match *sizes {
        [height, width] => (fits(height, width), String::new()),
        [channels, height, width] if colors(channels) && fits(height, width) => {
            (true, format!("; if it is {channels} grey images, `x[:, None]`"))
        }
        [height, width, channels] => (colors(channels) && fits(height, width), String::new()),
        _ => (false, String::new()),
    };
    if is_one {
        let reason = format!(
            "an array of shape {sizes:?} is one image; images need an axis of their own in front: save `x[None]`{otherwise}"
        );
        return Err(ImageError::file(path, reason));
    }
    Ok(())
}

/// Elements times the factor, as bytes.
fn converted(path: &Path, file: NpyFile<&mut dyn Read>, scale: Option<f64>) -> Result<Vec<u8>, ImageError> {
    let header = file.header().clone();
    let (kind, _) = scalar(path, &header)?;
    if kind == TypeChar::Float && scale.is_none() {
        let reason = "floating point: say with --scale what makes bytes of the numbers, 255 where they are 0 to 1, 1 where they \
                      are 0 to 255";
        return Err(ImageError::file(path, reason));
    }
    if kind == TypeChar::Bool && scale.is_none() {
        let reason = "bool: say with --scale what makes bytes of the values, 255 for black and white, 1 for 0 and 1 of 255";
        return Err(ImageError::file(path, reason));
    }
    let mut bytes = Vec::new();
    numbers(path, file, &mut |value| {
        let scaled = (value * scale.unwrap_or(1.0)).round();
        if !(0.0..=255.0).contains(&scaled) {
            let times = scale.map_or(String::new(), |scale| format!(" times --scale {scale}"));
            let reason = format!(
                "element {} is {value}, which{times} is no byte of 0 to 255; undo any normalisation, or choose another --scale",
                bytes.len()
            );
            return Err(ImageError::file(path, reason));
        }
        bytes.push(scaled as u8);
        Ok(())
    })?;
    Ok(bytes)
}

fn labels(path: &Path, reader: &mut dyn Read, count: usize) -> Result<Vec<i64>, ImageError> {
    let file = open(path, reader)?;
    let header = file.header().clone();
    let one_each = header.shape().iter().skip(1).all(|&size| size == 1) && !header.shape().is_empty();
    if !one_each || !is_integer(&header) {
        let reason = format!(
            "{} of shape {:?} are no labels, allowed: one integer an image",
            header.dtype().descr(),
            header.shape()
        );
        return Err(ImageError::file(path, reason));
    }
    if header.len() != count as u64 {
        return Err(ImageError::file(path, format!("{} labels, but {count} images", header.len())));
    }
    let mut labels = Vec::new();
    numbers(path, file, &mut |value| {
        // Beyond, floating point rounds and no integer is a class.
        if value.abs() > (1u64 << 53) as f64 {
            let reason = format!(
                "image {} has label {}, which is no class; use the labels of these images",
                labels.len(),
                value as i128
            );
            return Err(ImageError::file(path, reason));
        }
        labels.push(value as i64);
        Ok(())
    })?;
    Ok(labels)
}

/// Reads a header, after a look at it, so that it cannot cost more than it is worth.
fn open<'r>(path: &Path, reader: &'r mut dyn Read) -> Result<NpyFile<&'r mut dyn Read>, ImageError> {
    let cut = |error: std::io::Error| corrupt(path, &error);
    let mut bytes = vec![0; NPY.len() + 2];
    reader.read_exact(&mut bytes).map_err(cut)?;
    let (magic, version) = bytes.split_at(NPY.len());
    if magic != NPY {
        return Err(ImageError::file(path, "not an array of NumPy: it does not start with \\x93NUMPY"));
    }
    let mut length = vec![0; if version[0] == 1 { 2 } else { 4 }];
    reader.read_exact(&mut length).map_err(cut)?;
    let text_bytes = length.iter().rev().fold(0usize, |sum, &byte| sum << 8 | usize::from(byte));
    bytes.extend(length);
    if text_bytes > HEADER_BYTES {
        let reason = format!("a header of {text_bytes} bytes, allowed: at most {HEADER_BYTES}");
        return Err(ImageError::file(path, reason));
    }
    let start = bytes.len();
    bytes.resize(start + text_bytes, 0);
    reader.read_exact(&mut bytes[start..]).map_err(cut)?;
    check_header(&bytes[start..]).map_err(|reason| ImageError::file(path, reason))?;
    let wrong = |error| ImageError::file(path, format!("not an array of NumPy: {error}"));
    let header = NpyHeader::from_reader(Cursor::new(bytes)).map_err(wrong)?;
    Ok(NpyFile::with_header(header, reader))
}

/// Refuses what would overflow in the parser, or its stack.
fn check_header(text: &[u8]) -> Result<(), String> {
    let nesting = text.iter().filter(|byte| b"([{".contains(byte)).count();
    if nesting > NESTING {
        return Err(format!(
            "a header with {nesting} brackets, allowed: at most {NESTING}; save a plain array of numbers"
        ));
    }
    let numbers = text.split(|byte| !byte.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let product = numbers.fold(1u64, |product, digits| {
        let number = digits
            .iter()
            .fold(0u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
        product.saturating_mul(number.max(1))
    });
    if product > LARGEST_PRODUCT {
        return Err(format!(
            "an array of {product} bytes or more by its header, allowed: at most {}",
            bounded::LIMIT
        ));
    }
    Ok(())
}

/// Type and size of the elements.
fn scalar(path: &Path, header: &NpyHeader) -> Result<(TypeChar, u64), ImageError> {
    match header.dtype() {
        DType::Plain(plain) => Ok((plain.type_char(), plain.size_field())),
        other => Err(ImageError::file(path, format!("elements of type {}, allowed: numbers", other.descr()))),
    }
}

fn is_integer(header: &NpyHeader) -> bool {
    matches!(header.dtype(), DType::Plain(plain) if matches!(plain.type_char(), TypeChar::Int | TypeChar::Uint))
}

/// Hands over every element, of whatever type of number.
fn numbers(
    path: &Path,
    file: NpyFile<&mut dyn Read>,
    each: &mut dyn FnMut(f64) -> Result<(), ImageError>,
) -> Result<(), ImageError> {
    match scalar(path, file.header())? {
        (TypeChar::Bool, 1) => stream(path, file, |value: bool| f64::from(u8::from(value)), each),
        (TypeChar::Uint, 1) => stream(path, file, |value: u8| f64::from(value), each),
        (TypeChar::Uint, 2) => stream(path, file, |value: u16| f64::from(value), each),
        (TypeChar::Uint, 4) => stream(path, file, |value: u32| f64::from(value), each),
        (TypeChar::Uint, 8) => stream(path, file, |value: u64| value as f64, each),
        (TypeChar::Int, 1) => stream(path, file, |value: i8| f64::from(value), each),
        (TypeChar::Int, 2) => stream(path, file, |value: i16| f64::from(value), each),
        (TypeChar::Int, 4) => stream(path, file, |value: i32| f64::from(value), each),
        (TypeChar::Int, 8) => stream(path, file, |value: i64| value as f64, each),
        (TypeChar::Float, 4) => stream(path, file, |value: f32| f64::from(value), each),
        (TypeChar::Float, 8) => stream(path, file, |value: f64| value, each),
        _ => Err(other_type(path, file.header())),
    }
}

/// Refuses elements that [`numbers`] does not read.
fn check_type(path: &Path, header: &NpyHeader) -> Result<(), ImageError> {
    match scalar(path, header)? {
        (TypeChar::Bool, 1) | (TypeChar::Int | TypeChar::Uint, 1 | 2 | 4 | 8) | (TypeChar::Float, 4 | 8) => {
            Ok(())
        }
        _ => Err(other_type(path, header)),
    }
}

fn other_type(path: &Path, header: &NpyHeader) -> ImageError {
    let reason = format!(
        "elements of type {}, allowed: bool, integers, float32, float64; convert them with `numpy.astype`",
        header.dtype().descr()
    );
    ImageError::file(path, reason)
}

fn stream<T: Deserialize>(
    path: &Path,
    file: NpyFile<&mut dyn Read>,
    number: impl Fn(T) -> f64,
    each: &mut dyn FnMut(f64) -> Result<(), ImageError>,
) -> Result<(), ImageError> {
    let header = file.header().clone();
    let reader = file.into_inner();
    let wrong = |error| ImageError::file(path, format!("{error}"));
    for value in NpyFile::with_header(header, &mut *reader).data::<T>().map_err(wrong)? {
        each(number(value.map_err(|error| corrupt(path, &error))?))?;
    }
    read_exactly(path, reader, 0).map(|_| ())
}
