//! A network compiled for a core: what the compiler makes, a file carries, and the driver loads.
//!
//! The memory of a program, from the start of the window:
//! ```text
//! records                      descriptors, one a strip of a layer, then their pass records
//! parameters, weights, biases  layer by layer
//! inputs                       the rows cut from one image, written before each run
//! logits                       four byte planes
//! spike planes                 shared by planes that are not needed at the same time, unless they are kept
//! ```

mod error;
mod file;
mod places;
mod plane;
mod records;
mod rows;
mod traffic;
mod validate;

pub use error::{ImageSizeError, ProgramFileError, SecondPlaceError};
pub use places::Place;
pub use plane::{Plane, PlaneLayout, TokenOrder};
pub use records::{bytes_of_passes, descriptor_bytes, pass_bytes, record_bytes, write_records};
pub use traffic::Traffic;

use crate::{CoreConfig, Descriptor, Grid, ImageShape, Pass, Taps, layout::LOGIT_BYTES};
use serde::{Deserialize, Serialize};
use std::ops::{Range, RangeInclusive};

/// What happens to the memory of a spike plane after its last reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Planes {
    /// It stays until the next run, so that every plane can be read back.
    Keep,
    /// Later planes take its place.
    Reuse,
}

/// Bytes that are written to memory once, before the first run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Byte offset in the memory window.
    pub offset: u64,
    /// The bytes; in a file they lie apart.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

/// Where what a layer reads of the image is written: one row a token of the layer, in raster order, in each row tap by tap, and in each tap channel
/// by channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputLayout {
    /// Byte offset in the memory window.
    pub base: u32,
    /// Bytes between tokens.
    pub row_bytes: u32,
    /// Rows and columns of tokens.
    pub grid: Grid,
    /// Which pixels a token reads.
    pub taps: Taps,
}

impl InputLayout {
    /// Bytes of all rows.
    pub fn bytes(&self) -> usize {
        self.grid.tokens() * self.row_bytes as usize
    }
}

/// Where the logits of a run are found: byte `p` of class `c` at `base + p * plane_bytes + c`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogitsLayout {
    /// Byte offset in the memory window.
    pub base: u32,
    /// Bytes between the four byte planes.
    pub plane_bytes: u32,
    /// Number of logits.
    pub classes: usize,
}

impl LogitsLayout {
    /// Byte offsets of the plane with the highest byte of each logit.
    pub fn highest_bytes(&self) -> Range<u32> {
        let start = self.base + (LOGIT_BYTES - 1) * self.plane_bytes;
        start..start + self.plane_bytes
    }
}

/// One layer of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerPlan {
    /// Name, as in the network.
    pub name: String,
    /// Its strips in the order of evaluation, one descriptor each: all tokens in one, unless the layer takes several passes and has more
    /// tokens than the core has sums for.
    pub strips: Vec<Strip>,
    /// Where the layer's spikes lie after it ran; none for the readout.
    pub plane: Option<PlaneLayout>,
    /// Where what it reads of the image is written before it runs, one a term; empty if it reads planes.
    pub inputs: Vec<InputLayout>,
}

/// What one descriptor runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strip {
    /// The descriptor.
    pub descriptor: Descriptor,
    /// Its passes; they lie at the descriptor's `pass_base`.
    pub passes: Vec<Pass>,
}

/// A network compiled for a core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Name of the network.
    pub network: String,
    /// The core that it was compiled for.
    pub core: CoreConfig,
    /// The image that it takes.
    pub image_shape: ImageShape,
    /// What taps read outside it: a byte a channel; empty if it is 0 in all.
    pub border: Vec<u8>,
    /// Time steps T.
    pub time_steps: u32,
    /// Layers in the order of evaluation.
    pub layers: Vec<LayerPlan>,
    /// What is written to memory once.
    pub image: Vec<Segment>,
    /// Byte offset of the first descriptor.
    pub descriptor_base: u32,
    /// Where the logits are found.
    pub logits: LogitsLayout,
    /// The logits that spikes can add up to, one range a class; an accelerator that answers another is broken.
    pub logit_ranges: Vec<RangeInclusive<i64>>,
    /// Bytes of memory that the program uses.
    pub total_bytes: u64,
    /// Whether every plane can be read back after a run.
    pub planes: Planes,
    /// A second place for an image and its logits; see [`add_second_place`](Program::add_second_place).
    pub second: Option<Place>,
}

impl Program {
    /// What an image puts into memory before a run: `height * width * channels` bytes, channel by channel and row by row, cut into
    /// the rows of each layer that reads it.
    ///
    /// # Errors
    /// [`ImageSizeError`] if the image has another size.
    pub fn inputs(&self, image: &[u8]) -> Result<Vec<Segment>, ImageSizeError> {
        self.inputs_at(&self.first(), image)
    }

    /// Refuses an image of another size than the network takes.
    ///
    /// # Errors
    /// [`ImageSizeError`].
    pub fn takes(&self, image: &[u8]) -> Result<(), ImageSizeError> {
        let shape = self.image_shape;
        if image.len() != shape.bytes() {
            return Err(ImageSizeError {
                network: self.network.clone(),
                found: image.len(),
                expected: shape.bytes(),
                shape: format!("{} x {} x {}", shape.channels, shape.height, shape.width),
            });
        }
        Ok(())
    }

    /// Every descriptor with its passes, in the order of evaluation.
    pub fn strips(&self) -> impl Iterator<Item = &Strip> {
        self.layers.iter().flat_map(|layer| &layer.strips)
    }

    /// Number of descriptors.
    pub fn descriptors(&self) -> usize {
        self.layers.iter().map(|layer| layer.strips.len()).sum()
    }

    /// Index of the layer that a descriptor belongs to, or `None` if there is no such descriptor.
    pub fn layer_of(&self, descriptor: usize) -> Option<usize> {
        let layers = self.layers.iter().enumerate();
        layers.flat_map(|(index, layer)| layer.strips.iter().map(move |_| index)).nth(descriptor)
    }

    /// Makes every layer walk its input spikes step by step instead of merged: the same spikes in more cycles, to see what merging
    /// saves.
    pub fn walk_step_by_step(&mut self) {
        for strip in self.layers.iter_mut().flat_map(|layer| &mut layer.strips) {
            strip.descriptor.step_events = 1;
        }
        self.rewrite_records();
    }
}
