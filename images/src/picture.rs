//! PNG and JPEG pictures: grey, palette, RGB, with or without transparency, with up to 16 bits a channel.
//!
//! - 16 bits become 8: `round(v / 257)`. Fewer than 8, and palettes, are expanded.
//! - Where a picture is transparent it is laid on black: `round(v * alpha / 255)`.
//! - Pictures are turned upright as their EXIF orientation says.
//! - Colour profiles and gamma are left alone: the stored values count.
//!
//! PNG pixels are exact. Decoders of JPEG round differently: a value may differ by one or two from another program's.

use crate::bounded::read_file;
use crate::error::ImageError;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use model::network::ImageShape;
use std::io::Cursor;
use std::path::Path;

/// Largest file of a picture.
const FILE_BYTES: u64 = 1 << 26;
/// Longest side of a picture.
const SIDE: u32 = 1 << 15;
/// Most bytes that decoding one takes.
const DECODED_BYTES: u64 = 1 << 28;

/// A decoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its size; 1 channel or 3.
    pub shape: ImageShape,
    /// Its bytes, channel by channel and row by row.
    pub pixels: Vec<u8>,
    /// Whether it is transparent somewhere, and was laid on black.
    pub transparent: bool,
    /// Whether it had 16 bits a channel.
    pub deep: bool,
}

/// What these first bytes say a file is, if it is a picture that is read.
pub(crate) fn sniff(start: &[u8]) -> Option<ImageFormat> {
    if start.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some(ImageFormat::Png)
    } else if start.starts_with(&[0xff, 0xd8, 0xff]) {
        Some(ImageFormat::Jpeg)
    } else {
        None
    }
}

/// Reads a picture.
///
/// # Errors
/// If it cannot be read, is no PNG or JPEG picture, is truncated or corrupt, or has more than 2^26 bytes in the file, a side longer
/// than 32,768 pixels, or needs more than 2^28 bytes to be decoded.
pub fn read(path: &Path) -> Result<Picture, ImageError> {
    decode(&read_file(path, FILE_BYTES)?).map_err(|reason| ImageError::file(path, reason))
}

fn decode(bytes: &[u8]) -> Result<Picture, String> {
    let format = sniff(bytes).ok_or("no PNG or JPEG picture, or a truncated one")?;
    let wrong = |error: image::ImageError| match error {
        image::ImageError::Limits(_) => {
            format!(
                "too large a picture, allowed: sides up to {SIDE}, {DECODED_BYTES} bytes decoded; make it smaller"
            )
        }
        error => format!("not a picture that can be read: {error}"),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE);
    limits.max_image_height = Some(SIDE);
    limits.max_alloc = Some(DECODED_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(wrong)?;
    if decoder.total_bytes() > DECODED_BYTES {
        return Err(format!("{} bytes decoded, allowed: at most {DECODED_BYTES}", decoder.total_bytes()));
    }
    let orientation = decoder.orientation().map_err(wrong)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(wrong)?;
    picture.apply_orientation(orientation);
    planes(picture)
}

/// Splits a picture into its channels.
fn planes(picture: DynamicImage) -> Result<Picture, String> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (color, deep) =
        (picture.color(), picture.color().bytes_per_pixel() > picture.color().channel_count());
    let interleaved = match picture {
        DynamicImage::ImageLuma16(picture) => eight(&picture.into_raw()),
        DynamicImage::ImageLumaA16(picture) => eight(&picture.into_raw()),
        DynamicImage::ImageRgb16(picture) => eight(&picture.into_raw()),
        DynamicImage::ImageRgba16(picture) => eight(&picture.into_raw()),
        picture if !deep => picture.into_bytes(),
        _ => return Err(format!("pixels of {color:?}, allowed: integers")),
    };
    let stored = usize::from(color.channel_count());
    let channels = stored - usize::from(color.has_alpha());
    let shape = ImageShape { height, width, channels };
    let mut pixels = Vec::with_capacity(shape.bytes());
    let alpha = |pixel: &[u8]| if color.has_alpha() { pixel[channels] } else { u8::MAX };
    for channel in 0..channels {
        pixels.extend(interleaved.chunks_exact(stored).map(|pixel| on_black(pixel[channel], alpha(pixel))));
    }
    let transparent = interleaved.chunks_exact(stored).any(|pixel| alpha(pixel) != u8::MAX);
    Ok(Picture { shape, pixels, transparent, deep })
}

fn on_black(value: u8, alpha: u8) -> u8 {
    ((u32::from(value) * u32::from(alpha) + 127) / 255) as u8
}

fn eight(values: &[u16]) -> Vec<u8> {
    values.iter().map(|&value| ((u32::from(value) + 128) / 257) as u8).collect()
}
