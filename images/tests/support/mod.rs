//! Files of every kind, made byte by byte, and networks to read them for.

#![allow(dead_code, reason = "each test uses its own part")]

use images::{Dataset, ImageError, Options, Source};
use model::Network;
use model::network::ImageShape;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

/// A network of that input and that many classes; nothing else of it matters here.
pub fn network(height: usize, width: usize, channels: usize, classes: usize) -> Network {
    Network::new("test", ImageShape { height, width, channels }, classes, Vec::new(), 0)
}

/// A folder with files.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    /// Writes a file, and its subfolder, and returns its path.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Everything that a source holds.
pub fn load(path: &Path, network: &Network, options: &Options) -> Result<Dataset, ImageError> {
    let source = Source::open(path, network, options)?;
    let mut data = source.read(0..source.len())?;
    data.notes.extend(source.note().map(str::to_owned));
    Ok(data)
}

/// The error of a source that is refused, which must have all of `words`.
pub fn refused(path: &Path, network: &Network, options: &Options, words: &[&str]) {
    let error = load(path, network, options).expect_err("refused").to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    for word in words {
        assert!(error.contains(word), "no `{word}` in: {error}");
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An idx file of bytes.
pub fn idx(sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = sizes.iter().flat_map(|size| size.to_be_bytes()).collect();
    [&[0, 0, 8, (sizes.len() / 4) as u8], &sizes[..], data].concat()
}

/// An `.npy` file of version 1.
pub fn npy(descr: &str, fortran: bool, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let sizes: Vec<String> = shape.iter().map(|size| format!("{size},")).collect();
    let order = if fortran { "True" } else { "False" };
    let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({}), }}", sizes.join(" "));
    let padded = format!("{text:<width$}\n", width = (text.len() + 11).next_multiple_of(64) - 11);
    [b"\x93NUMPY\x01\x00", &(padded.len() as u16).to_le_bytes()[..], padded.as_bytes(), data].concat()
}

/// An `.npz` archive, compressed.
pub fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        archive.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A picture's file; `pixels` are interleaved.
pub fn encoded(
    format: image::ImageFormat,
    width: u32,
    height: u32,
    color: image::ExtendedColorType,
    pixels: &[u8],
) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::write_buffer_with_format(&mut bytes, pixels, width, height, color, format).unwrap();
    bytes.into_inner()
}

/// A PNG file.
pub fn png(width: u32, height: u32, color: image::ExtendedColorType, pixels: &[u8]) -> Vec<u8> {
    encoded(image::ImageFormat::Png, width, height, color, pixels)
}

/// The bytes of images in the order channel, row, column, from the order row, column, channel.
pub fn planes(interleaved: &[u8], channels: usize) -> Vec<u8> {
    (0..channels).flat_map(|channel| interleaved.iter().skip(channel).step_by(channels).copied()).collect()
}

/// No option.
pub const NONE: Options = Options {
    part: None,
    labels: None,
    class_names: None,
    resize: false,
    convert_color: false,
    axes: None,
    scale: None,
};

/// Bytes that all differ, nearly.
pub fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at * 37 + at / 256) as u8).collect()
}
