//! Where an image and its logits lie, and a second such place, so that one image is computed while the next is written and the last one's
//! logits are read.

use super::{
    ImageSizeError, InputLayout, LayerPlan, LogitsLayout, Program, SecondPlaceError, Segment, record_bytes,
    rows,
};
use crate::{LARGEST_WINDOW, layout::LOGIT_BYTES};
use serde::{Deserialize, Serialize};

/// Alignment of the second place: that of descriptors and pass records, and of every bus width.
const ALIGNMENT: u64 = 64;

/// A place for an image and its logits, with the descriptors and pass records that use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Byte offset of the first descriptor.
    pub descriptor_base: u32,
    /// Where what layers read of the image is written, in the order of evaluation.
    pub inputs: Vec<InputLayout>,
    /// Where the logits are found.
    pub logits: LogitsLayout,
}

impl Program {
    /// The place that every program has.
    pub fn first(&self) -> Place {
        Place {
            descriptor_base: self.descriptor_base,
            inputs: self.layers.iter().flat_map(|layer| layer.inputs.clone()).collect(),
            logits: self.logits.clone(),
        }
    }

    /// Adds a second place behind everything else: descriptors, pass records, inputs and logits; parameters, weights and planes are shared. Nothing that was
    /// there before moves. A program that has one stays as it is.
    ///
    /// # Errors
    /// [`SecondPlaceError`] if it does not fit into `memory_size` bytes.
    pub fn add_second_place(&mut self, memory_size: u64) -> Result<(), SecondPlaceError> {
        if self.second.is_some() {
            return Ok(());
        }
        let mut end = self.total_bytes;
        let mut take = |bytes: u64| {
            let base = end.next_multiple_of(ALIGNMENT);
            end = base + bytes;
            // A base beyond 32 bits is caught below, before anything uses it.
            base as u32
        };
        let first = self.first();
        let place = Place {
            descriptor_base: take(record_bytes(&self.layers)),
            inputs: first
                .inputs
                .into_iter()
                .map(|input| InputLayout { base: take(input.bytes() as u64), ..input })
                .collect(),
            logits: LogitsLayout {
                base: take(u64::from(LOGIT_BYTES * first.logits.plane_bytes)),
                ..first.logits
            },
        };
        let available = memory_size.min(LARGEST_WINDOW);
        if end > available {
            return Err(SecondPlaceError { network: self.network.clone(), needed: end, available });
        }
        self.total_bytes = end;
        let bytes = vec![0; record_bytes(&self.layers) as usize];
        self.image.push(Segment { offset: place.descriptor_base.into(), bytes });
        self.second = Some(place);
        self.rewrite_records();
        Ok(())
    }

    /// The places: one or two.
    pub fn places(&self) -> Vec<Place> {
        std::iter::once(self.first()).chain(self.second.clone()).collect()
    }

    /// What an image puts into a place.
    ///
    /// # Errors
    /// [`ImageSizeError`] if the image has another size.
    pub fn inputs_at(&self, place: &Place, image: &[u8]) -> Result<Vec<Segment>, ImageSizeError> {
        self.takes(image)?;
        let segment = |input: &InputLayout| Segment {
            offset: input.base.into(),
            bytes: rows::rows((image, &self.border), self.image_shape, input),
        };
        Ok(place.inputs.iter().map(segment).collect())
    }

    /// The layers as the second place has them: those of the first, with the records, the inputs and the logits of the second.
    pub(super) fn second_layers(&self) -> Option<Vec<LayerPlan>> {
        let place = self.second.as_ref()?;
        let moved_by = place.descriptor_base.wrapping_sub(self.descriptor_base);
        let mut seconds = place.inputs.iter();
        let mut layers = self.layers.clone();
        for LayerPlan { strips, inputs, .. } in &mut layers {
            let moves: Vec<(InputLayout, u32)> =
                inputs.drain(..).zip(&mut seconds).map(|(first, second)| (first, second.base)).collect();
            for strip in strips {
                strip.descriptor.pass_base = strip.descriptor.pass_base.wrapping_add(moved_by);
                if strip.descriptor.sum == 1 {
                    let offset = strip.descriptor.output_base.wrapping_sub(self.logits.base);
                    strip.descriptor.output_base = place.logits.base.wrapping_add(offset);
                }
                for segment in strip.passes.iter_mut().flat_map(|pass| &mut pass.table) {
                    let holds = |first: &InputLayout| {
                        segment
                            .base
                            .checked_sub(first.base)
                            .is_some_and(|at| (at as usize) < first.bytes().max(1))
                    };
                    if let Some((first, base)) = moves.iter().find(|(first, _)| holds(first)) {
                        segment.base = segment.base - first.base + base;
                    }
                }
            }
            inputs.extend(moves.into_iter().map(|(first, base)| InputLayout { base, ..first }));
        }
        Some(layers)
    }
}
