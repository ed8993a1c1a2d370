//! A network compiled for a core: what the compiler makes, a file carries, and the driver loads.
//!
//! The memory of a program, from the start of the window:
//! ```text
//! descriptors                  one a layer, 256 bytes each
//! parameters, weights, biases  layer by layer
//! inputs                       the patches of one image, written before each run
//! logits                       four byte planes
//! spike planes                 shared by planes that are not needed at the same time, unless they are kept
//! ```

mod error;
mod file;
mod patches;
mod places;
mod plane;
mod validate;

pub use error::{ImageSizeError, ProgramFileError, SecondPlaceError};
pub use places::Place;
pub use plane::{Plane, PlaneLayout, TokenOrder};

use crate::{CoreConfig, Descriptor, Grid, ImageShape, Op, Patch, descriptor, layout::LOGIT_BYTES};
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

/// Where the patches of an image are written for an analog layer: one row a token, in raster order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputLayout {
    /// Byte offset in the memory window.
    pub base: u32,
    /// Bytes between tokens.
    pub row_bytes: u32,
    /// Rows and columns of patches.
    pub grid: Grid,
    /// How patches are cut.
    pub patch: Patch,
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
    /// Operation.
    pub op: Op,
    /// The descriptor.
    pub descriptor: Descriptor,
    /// Where the layer's spikes lie after it ran; none for the readout.
    pub plane: Option<PlaneLayout>,
    /// Where the layer's patches are written before it runs; only for analog layers.
    pub input: Option<InputLayout>,
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
    /// the patches of each analog layer.
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

    /// Makes every layer walk its input spikes step by step instead of merged: the same spikes in more cycles, to see what merging
    /// saves.
    pub fn walk_step_by_step(&mut self) {
        for layer in &mut self.layers {
            layer.descriptor.step_events = 1;
        }
        for segment in
            self.image.iter_mut().filter(|segment| segment.offset == u64::from(self.descriptor_base))
        {
            write_descriptors(&mut segment.bytes, &self.layers);
        }
        self.rewrite_second_place();
    }
}

/// Writes the descriptors of `layers` into the bytes that they take in memory, from the first on.
pub fn write_descriptors(bytes: &mut [u8], layers: &[LayerPlan]) {
    for (place, layer) in bytes.chunks_exact_mut(descriptor::BYTES).zip(layers) {
        for (place, word) in place.chunks_exact_mut(8).zip(layer.descriptor.to_words()) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }
}
