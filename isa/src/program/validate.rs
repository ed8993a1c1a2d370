//! What must hold of a program that was read from a file, whoever wrote it: then nothing that uses it can leave the window, overflow
//! or panic.

use super::{
    InputLayout, LayerPlan, LogitsLayout, Place, PlaneLayout, Program, ProgramFileError, Strip, TokenOrder,
    descriptor_bytes, record_bytes,
};
use crate::layout::LOGIT_BYTES;
use crate::{CHUNK_STEPS, Grid, LARGEST_WINDOW, MAX_LAYERS, MAX_SEGMENTS, MAX_TIME_STEPS, Op, names, pass};
use std::ops::RangeInclusive;

/// Largest number of rows, columns, channels and bytes of a row: more than what the descriptor's fields count.
const COUNT_MAX: usize = 1 << 16;

type Checked = Result<(), ProgramFileError>;

fn refuse(what: String, found: impl ToString, allowed: impl ToString) -> Checked {
    Err(ProgramFileError::Value { what, found: found.to_string(), allowed: allowed.to_string() })
}

fn within(what: String, found: usize, allowed: RangeInclusive<usize>) -> Checked {
    if allowed.contains(&found) { Ok(()) } else { refuse(what, found, format!("{allowed:?}")) }
}

/// Checks that something begins and ends inside the program's memory.
fn inside(what: String, base: u64, bytes: u64, total: u64) -> Checked {
    match base.checked_add(bytes) {
        Some(end) if end <= total => Ok(()),
        _ => refuse(what, format!("{bytes} bytes at byte {base}"), format!("inside {total} bytes")),
    }
}

impl Program {
    /// Checks that no part of the program contradicts another.
    ///
    /// # Errors
    /// Names the first that does.
    pub(super) fn validate(&self) -> Checked {
        self.core.validate()?;
        if let Err(fault) = names::check(&self.network) {
            return refuse("name of the network".to_owned(), names::shown(&self.network), fault);
        }
        if let Err((index, fault)) = names::check_layers(self.layers.iter().map(|layer| layer.name.as_str()))
        {
            return refuse(format!("name of layer {index}"), names::shown(&self.layers[index].name), fault);
        }
        within("time steps".to_owned(), self.time_steps as usize, 1..=MAX_TIME_STEPS as usize)?;
        within("number of layers".to_owned(), self.layers.len(), 1..=MAX_LAYERS as usize)?;
        within("number of descriptors".to_owned(), self.descriptors(), 1..=MAX_LAYERS as usize)?;
        if self.total_bytes > LARGEST_WINDOW {
            return refuse("memory".to_owned(), self.total_bytes, format!("at most {LARGEST_WINDOW} bytes"));
        }
        let shape = self.image_shape;
        for (what, side) in
            [("image height", shape.height), ("image width", shape.width), ("image channels", shape.channels)]
        {
            within(what.to_owned(), side, 1..=4096)?;
        }
        if ![0, shape.channels].contains(&self.border.len()) {
            let allowed = format!("0, or {} for the image's channels", shape.channels);
            return refuse("border bytes".to_owned(), self.border.len(), allowed);
        }
        for (index, segment) in self.image.iter().enumerate() {
            inside(format!("segment {index}"), segment.offset, segment.bytes.len() as u64, self.total_bytes)?;
        }
        for layer in &self.layers {
            self.check_layer(layer)?;
        }
        if self.logit_ranges.len() != self.logits.classes {
            return refuse("logit ranges".to_owned(), self.logit_ranges.len(), self.logits.classes);
        }
        let places = self.places();
        places.iter().try_for_each(|place| self.check_place(place))?;
        self.check_records()
    }

    fn check_layer(&self, layer: &LayerPlan) -> Checked {
        let named = |what: &str| format!("layer `{}`: {what}", layer.name);
        within(named("number of strips"), layer.strips.len(), 1..=MAX_LAYERS as usize)?;
        layer.strips.iter().try_for_each(|strip| self.check_strip(&named, layer, strip))?;
        let sum = layer.strips.iter().all(|strip| strip.descriptor.sum == 1);
        match &layer.plane {
            None if sum => Ok(()),
            None => refuse(named("plane"), "absent", "one, unless it is the readout"),
            Some(plane) => self.check_plane(&named, plane),
        }
    }

    fn check_strip(&self, named: &dyn Fn(&str) -> String, layer: &LayerPlan, strip: &Strip) -> Checked {
        let Strip { descriptor: d, passes } = strip;
        within(named("operation of the descriptor"), d.op as usize, 0..=Op::ALL.len() - 1)?;
        if (d.bytes == 1) == layer.inputs.is_empty() {
            return refuse(
                named("rows cut from the image"),
                layer.inputs.len(),
                "some if it reads bytes, else none",
            );
        }
        within(named("number of passes"), passes.len(), d.passes as usize..=d.passes as usize)?;
        within(named("words of a pass"), d.pass_words as usize, 8..=pass::WORDS + 1)?;
        for pass in passes {
            within(named("segments of a pass"), pass.table.len(), 1..=MAX_SEGMENTS as usize)?;
            within(named("segments of a pass"), pass.segments as usize, pass.table.len()..=pass.table.len())?;
            within(
                named("words of a pass"),
                pass::SEGMENT_WORD + pass.table.len(),
                1..=d.pass_words as usize,
            )?;
        }
        Ok(())
    }

    fn check_plane(&self, named: &dyn Fn(&str) -> String, plane: &PlaneLayout) -> Checked {
        let Grid { rows, columns } = plane.grid;
        within(named("token rows"), rows, 1..=COUNT_MAX)?;
        within(named("token columns"), columns, 1..=COUNT_MAX)?;
        within(named("groups of channels"), plane.groups, 1..=COUNT_MAX)?;
        within(named("bytes of a group"), plane.group_bytes as usize, 1..=COUNT_MAX)?;
        within(named("channels of a group"), plane.group_channels, 1..=plane.group_bytes as usize)?;
        within(named("bytes of a row"), plane.groups * plane.group_bytes as usize, 1..=COUNT_MAX)?;
        let chunks = self.time_steps.div_ceil(CHUNK_STEPS) as usize;
        within(named("chunks"), plane.chunks as usize, chunks..=chunks)?;
        match plane.order {
            TokenOrder::Raster => {}
            TokenOrder::Scores { heads } => within(named("heads"), heads, 1..=COUNT_MAX)?,
            TokenOrder::Windows { size, shift } => {
                within(named("window"), size, 1..=rows.min(columns))?;
                within(named("shift of the windows"), shift, 0..=size - 1)?;
                if !rows.is_multiple_of(size) || !columns.is_multiple_of(size) {
                    return refuse(named("window"), size, format!("a divisor of {rows} and {columns}"));
                }
            }
        }
        inside(named("plane"), plane.base.into(), plane.bytes(), self.total_bytes)
    }

    fn check_place(&self, place: &Place) -> Checked {
        let firsts = self.layers.iter().flat_map(|layer| &layer.inputs);
        if firsts.clone().count() != place.inputs.len() {
            return refuse("places of the image's rows".to_owned(), place.inputs.len(), firsts.count());
        }
        for (input, first) in place.inputs.iter().zip(firsts) {
            if (InputLayout { base: first.base, ..input.clone() }) != *first {
                return refuse(
                    "rows of the second place".to_owned(),
                    "cut otherwise",
                    "cut as those of the first",
                );
            }
            self.check_input(input)?;
        }
        let LogitsLayout { base, plane_bytes, classes } = place.logits;
        within("classes".to_owned(), classes, 1..=plane_bytes as usize)?;
        if classes != self.logits.classes {
            return refuse("classes of the second place".to_owned(), classes, self.logits.classes);
        }
        let bytes = u64::from(LOGIT_BYTES) * u64::from(plane_bytes);
        inside("logits".to_owned(), base.into(), bytes, self.total_bytes)
    }

    fn check_input(&self, input: &InputLayout) -> Checked {
        let (taps, shape) = (input.taps, self.image_shape);
        for axis in [taps.rows, taps.columns] {
            within("kernel of the image's rows".to_owned(), axis.kernel, 1..=COUNT_MAX)?;
            within("stride of the image's rows".to_owned(), axis.stride, 1..=COUNT_MAX)?;
            within("padding of the image's rows".to_owned(), axis.padding, 0..=axis.kernel - 1)?;
        }
        let grid = taps.grid(shape.grid());
        if grid != Some(input.grid) {
            let size = |grid: Grid| format!("{} x {}", grid.rows, grid.columns);
            let allowed = grid.map_or("an image larger than the kernel".to_owned(), size);
            return refuse("grid of the image's rows".to_owned(), size(input.grid), allowed);
        }
        // With the bounds above none of these products leaves 64 bits.
        let pixels = shape.channels as u64 * taps.rows.kernel as u64 * taps.columns.kernel as u64;
        if u64::from(input.row_bytes) < pixels {
            return refuse(
                "bytes of a row of the image".to_owned(),
                input.row_bytes,
                format!("{pixels} or more"),
            );
        }
        let bytes = input.grid.tokens() as u64 * u64::from(input.row_bytes);
        inside("rows of the image".to_owned(), input.base.into(), bytes, self.total_bytes)
    }

    /// The records that are written must be those that the layers name.
    fn check_records(&self) -> Checked {
        let length = record_bytes(&self.layers) as usize;
        let first_record = descriptor_bytes(self.descriptors());
        for (place, layers) in self.places().iter().zip([Some(self.layers.clone()), self.second_layers()]) {
            let (base, layers) = (place.descriptor_base, layers.unwrap_or_default());
            let mut at = u64::from(base) + first_record;
            for strip in layers.iter().flat_map(|layer| &layer.strips) {
                let found = strip.descriptor.pass_base;
                if u64::from(found) != at {
                    return refuse(format!("place of passes in the records at byte {base}"), found, at);
                }
                at += super::pass_bytes(strip);
            }
            let mut expected = vec![0; length];
            super::write_records(&mut expected, base, &layers);
            let written = self.image.iter().find_map(|segment| {
                let start = usize::try_from(u64::from(base).checked_sub(segment.offset)?).ok()?;
                segment.bytes.get(start..start.checked_add(length)?)
            });
            if written != Some(&expected) {
                let found = if written.is_some() { "others" } else { "not in one segment" };
                return refuse(format!("records at byte {base}"), found, "those of the layers");
            }
        }
        Ok(())
    }
}
