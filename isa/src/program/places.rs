//! Where an image and its logits lie, and a second such place, so that one image is computed while the next is written and the last one's
//! logits are read.

use super::{
    ImageSizeError, InputLayout, LayerPlan, LogitsLayout, Program, SecondPlaceError, Segment, patches,
    write_descriptors,
};
use crate::{LARGEST_WINDOW, Op, descriptor, layout::LOGIT_BYTES};
use serde::{Deserialize, Serialize};

/// Alignment of the second place: descriptors begin at multiples of their size, and of every bus width.
const ALIGNMENT: u64 = descriptor::BYTES as u64;

/// A place for an image and its logits, with the descriptors that use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Byte offset of the first descriptor.
    pub descriptor_base: u32,
    /// Where the patches are written, for each analog layer in the order of evaluation.
    pub inputs: Vec<InputLayout>,
    /// Where the logits are found.
    pub logits: LogitsLayout,
}

impl Program {
    /// The place that every program has.
    pub fn first(&self) -> Place {
        Place {
            descriptor_base: self.descriptor_base,
            inputs: self.layers.iter().filter_map(|layer| layer.input.clone()).collect(),
            logits: self.logits.clone(),
        }
    }

    /// Adds a second place behind everything else: descriptors, inputs and logits; parameters and planes are shared. Nothing that was
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
            descriptor_base: take((self.layers.len() * descriptor::BYTES) as u64),
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
        let bytes = vec![0; self.layers.len() * descriptor::BYTES];
        self.image.push(Segment { offset: place.descriptor_base.into(), bytes });
        self.second = Some(place);
        self.rewrite_second_place();
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
            bytes: patches::rows(image, self.image_shape, input),
        };
        Ok(place.inputs.iter().map(segment).collect())
    }

    /// The layers as the second place has them: those of the first, with the input and the logits of the second.
    pub(super) fn second_layers(&self) -> Option<Vec<LayerPlan>> {
        let place = self.second.as_ref()?;
        let mut inputs = place.inputs.iter();
        let mut moved = self.layers.clone();
        for LayerPlan { op, descriptor, input, .. } in &mut moved {
            if let Some(first) = input {
                let base = inputs.next().map_or(first.base, |second| second.base);
                for segment in descriptor.segment_bases.iter_mut().take(descriptor.segments as usize) {
                    *segment = segment.wrapping_sub(first.base).wrapping_add(base);
                }
            }
            if *op == Op::Readout {
                let offset = descriptor.output_base.wrapping_sub(self.logits.base);
                descriptor.output_base = place.logits.base.wrapping_add(offset);
            }
        }
        Some(moved)
    }

    /// Writes the second place's descriptors.
    pub(super) fn rewrite_second_place(&mut self) {
        let (Some(place), Some(layers)) = (&self.second, self.second_layers()) else { return };
        let at = u64::from(place.descriptor_base);
        for segment in self.image.iter_mut().filter(|segment| segment.offset == at) {
            write_descriptors(&mut segment.bytes, &layers);
        }
    }
}
