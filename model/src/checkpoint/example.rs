//! Images in a checkpoint's file, with the logits that the framework computed for them: what shows that names, orders and
//! entries of the file mean what its author thinks.

use super::header::{Header, wrong};
use super::{Architecture, Checkpoint};
use crate::error::ModelError;
use crate::float::Jitter;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;

/// Largest number of images.
const MAX_IMAGES: usize = 64;
/// Forward passes with jitter that measure what rounding does to the logits of an image.
const PASSES: u64 = 8;
/// Rounding of a logit, in terms of the sum of the magnitudes that it adds up: a float32 sum of `n` terms is off by about
/// `sqrt(n)` times 2^-24 of that, and the mean over tokens and the channels of the head are 2^16 terms at most.
const SUM_ROUNDING: f32 = 1.0 / (1 << 16) as f32;

/// Images and the logits that the framework computed for them.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Bytes of each image: channel by channel, row by row.
    pub pixels: Vec<Vec<u8>>,
    /// Logits of each image.
    pub logits: Vec<Vec<f32>>,
}

/// How well a checkpoint's network computes its example.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Number of images.
    pub images: usize,
    /// Largest difference of a logit from the framework's, in the image where it comes nearest to what rounding explains.
    pub difference: f32,
    /// That image.
    pub image: usize,
    /// The class that has it.
    pub class: usize,
    /// What rounding explains in that image.
    pub tolerance: f32,
}

impl Example {
    /// Reads `example`: `pixels` and `logits`, nested or flat, of one image or several.
    pub(super) fn read(header: &Header, architecture: &Architecture) -> Result<Option<Example>, ModelError> {
        let Some(entry) = header.entry("example") else { return Ok(None) };
        Example::parse(entry, architecture.image.bytes(), architecture.classes, wrong).map(Some)
    }

    /// Reads the entry of a file whose images have so many `bytes` and logits of so many `classes`; `wrong` makes errors of an entry, the value found
    /// and what is allowed.
    pub(crate) fn parse(
        entry: &Value,
        bytes: usize,
        classes: usize,
        wrong: Refusal,
    ) -> Result<Example, ModelError> {
        let part = |name: &str, length: usize, what: &str| {
            let value = entry.get(name).unwrap_or(&Value::Null);
            let mut numbers = Vec::new();
            let images = numbers_in(value, &mut numbers).map_or(0, |()| numbers.len() / length);
            if images == 0 || images > MAX_IMAGES || numbers.len() != images * length {
                let found = match value {
                    Value::Array(_) => Value::from(format!("a list of {} numbers", numbers.len())),
                    _ => value.clone(),
                };
                let allowed = format!("a list of {length} {what} an image, for 1 to {MAX_IMAGES} images");
                return Err(wrong(&format!("example.{name}"), &found, &allowed));
            }
            Ok(numbers)
        };
        let (pixels, logits) = (part("pixels", bytes, "bytes")?, part("logits", classes, "logits")?);
        let (images, answered) = (pixels.len() / bytes, logits.len() / classes);
        if images != answered {
            let found = Value::from(format!("logits of {answered}"));
            return Err(wrong(
                "example.logits",
                &found,
                &format!("as many as images in example.pixels, {images}"),
            ));
        }
        let byte = |&pixel: &f64| {
            let whole = (0.0..=255.0).contains(&pixel) && pixel.fract() == 0.0;
            whole.then_some(pixel as u8).ok_or_else(|| {
                wrong(
                    "a pixel of example.pixels",
                    &Value::from(pixel),
                    "whole numbers 0 to 255: bytes, before `mean` and `std`",
                )
            })
        };
        let pixels: Vec<u8> = pixels.iter().map(byte).collect::<Result<_, _>>()?;
        let logits: Vec<f32> = logits.iter().map(|&logit| logit as f32).collect();
        Ok(Example {
            pixels: pixels.chunks(bytes).map(<[u8]>::to_vec).collect(),
            logits: logits.chunks(classes).map(<[f32]>::to_vec).collect(),
        })
    }

    /// Runs the example and compares the logits with the framework's, as [`Checkpoint::check_example`] says. `run` yields the logits of an image whose
    /// activations are moved by the jitter, and the largest sum of magnitudes that a logit adds up.
    pub(crate) fn check(&self, run: &Run<'_>) -> Result<Agreement, ModelError> {
        let images: Vec<(&Vec<u8>, &Vec<f32>)> = self.pixels.iter().zip(&self.logits).collect();
        let compared = images.par_iter().map(|(pixels, expected)| compare(run, pixels, expected));
        let compared: Vec<Compared> = compared.collect::<Result<_, _>>()?;
        let worst = compared.iter().enumerate().max_by(|(_, a), (_, b)| a.excess().total_cmp(&b.excess()));
        let (image, &Compared { class, difference, tolerance }) = worst.expect("an example has images");
        if difference <= tolerance {
            return Ok(Agreement { images: images.len(), difference, image, class, tolerance });
        }
        let expected = self.logits[image][class];
        Err(ModelError::Example { image, class, expected, difference, tolerance })
    }
}

/// Makes an error of an entry, the value found and what is allowed.
type Refusal = fn(&str, &Value, &str) -> ModelError;

/// A forward pass with jitter.
type Run<'r> = dyn Fn(&[u8], Jitter) -> Result<(Vec<f32>, f32), ModelError> + Sync + 'r;

/// Appends all numbers of nested lists, or finds something else in them.
fn numbers_in(value: &Value, numbers: &mut Vec<f64>) -> Option<()> {
    match value {
        Value::Array(values) => values.iter().try_for_each(|value| numbers_in(value, numbers).ok_or(())).ok(),
        _ => {
            numbers.push(value.as_f64()?);
            Some(())
        }
    }
}

impl Checkpoint {
    /// Runs the example of the file, if there is one, and compares the logits with the framework's.
    ///
    /// Two right implementations add in different orders, so their logits differ by rounding, and by more where rounding moves an
    /// activation across a level of its QCFS. How much that is depends on the network and the image, so it is measured: in further
    /// passes every activation is moved by a little more than rounding moves it, and the logits may differ by the most that this
    /// does to one of them, and by the rounding of the last sum.
    ///
    /// # Errors
    /// If a logit differs by more: names the image and the class that differ most.
    pub fn check_example(&self) -> Result<Option<Agreement>, ModelError> {
        let Some(example) = &self.example else { return Ok(None) };
        example.check(&|pixels, jitter| self.logits_with(pixels, jitter)).map(Some)
    }
}

fn compare(run: &Run<'_>, pixels: &[u8], expected: &[f32]) -> Result<Compared, ModelError> {
    let (logits, magnitude) = run(pixels, Jitter::none())?;
    let mut tolerance = SUM_ROUNDING * magnitude;
    let mut moved = 0f32;
    for seed in 0..PASSES {
        let (jittered, _) = run(pixels, Jitter::new(seed))?;
        moved = jittered.iter().zip(&logits).fold(moved, |moved, (a, b)| moved.max((a - b).abs()));
    }
    tolerance += moved;
    let differences = logits.iter().zip(expected).map(|(a, b)| (a - b).abs());
    let (class, difference) =
        differences.enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)).expect("a network has classes");
    Ok(Compared { class, difference, tolerance })
}

/// The largest difference of one image.
struct Compared {
    class: usize,
    difference: f32,
    tolerance: f32,
}

impl Compared {
    fn excess(&self) -> f32 {
        self.difference / self.tolerance
    }
}
