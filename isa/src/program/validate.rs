//! What must hold of a program that was read from a file, whoever wrote it: then nothing that uses it can leave the window, overflow
//! or panic.

use super::{
    InputLayout, LayerPlan, LogitsLayout, Place, PlaneLayout, Program, ProgramFileError, TokenOrder,
};
use crate::layout::LOGIT_BYTES;
use crate::{CHUNK_STEPS, Grid, LARGEST_WINDOW, MAX_LAYERS, MAX_TIME_STEPS, Op, descriptor, names};
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
        if self.total_bytes > LARGEST_WINDOW {
            return refuse("memory".to_owned(), self.total_bytes, format!("at most {LARGEST_WINDOW} bytes"));
        }
        let shape = self.image_shape;
        for (what, side) in
            [("image height", shape.height), ("image width", shape.width), ("image channels", shape.channels)]
        {
            within(what.to_owned(), side, 1..=4096)?;
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
        self.check_descriptors()
    }

    fn check_layer(&self, layer: &LayerPlan) -> Checked {
        let named = |what: &str| format!("layer `{}`: {what}", layer.name);
        if layer.op as u32 != layer.descriptor.op {
            return refuse(named("operation of the descriptor"), layer.descriptor.op, layer.op as u32);
        }
        if (layer.op == Op::Analog) != layer.input.is_some() {
            return refuse(named("patches"), layer.input.is_some(), layer.op == Op::Analog);
        }
        match &layer.plane {
            None if layer.op == Op::Readout => Ok(()),
            None => refuse(named("plane"), "absent", "one, unless it is the readout"),
            Some(plane) => self.check_plane(&named, plane),
        }
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
        let analog = self.layers.iter().filter_map(|layer| layer.input.as_ref());
        if analog.clone().count() != place.inputs.len() {
            return refuse("places of patches".to_owned(), place.inputs.len(), analog.count());
        }
        for (input, first) in place.inputs.iter().zip(analog) {
            if (InputLayout { base: first.base, ..input.clone() }) != *first {
                return refuse(
                    "patches of the second place".to_owned(),
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
        let (patch, shape) = (input.patch, self.image_shape);
        within("kernel of the patches".to_owned(), patch.kernel, 1..=COUNT_MAX)?;
        within("stride of the patches".to_owned(), patch.stride, 1..=COUNT_MAX)?;
        within("padding of the patches".to_owned(), patch.padding, 0..=patch.kernel - 1)?;
        let grid = patch.along(shape.height).zip(patch.along(shape.width));
        if grid != Some((input.grid.rows, input.grid.columns)) {
            let found = format!("{} x {}", input.grid.rows, input.grid.columns);
            let allowed =
                grid.map_or("an image larger than a patch".to_owned(), |(y, x)| format!("{y} x {x}"));
            return refuse("grid of the patches".to_owned(), found, allowed);
        }
        // With the bounds above none of these products leaves 64 bits.
        let pixels = (shape.channels * patch.kernel * patch.kernel) as u64;
        if u64::from(input.row_bytes) < pixels {
            return refuse("bytes of a patch".to_owned(), input.row_bytes, format!("{pixels} or more"));
        }
        let bytes = input.grid.tokens() as u64 * u64::from(input.row_bytes);
        inside("patches".to_owned(), input.base.into(), bytes, self.total_bytes)
    }

    /// The descriptors that are written must be those that the layers name.
    fn check_descriptors(&self) -> Checked {
        let length = self.layers.len() * descriptor::BYTES;
        for (place, layers) in self.places().iter().zip([Some(self.layers.clone()), self.second_layers()]) {
            let base = u64::from(place.descriptor_base);
            let mut expected = vec![0; length];
            super::write_descriptors(&mut expected, layers.as_deref().unwrap_or_default());
            let written = self.image.iter().find_map(|segment| {
                let start = usize::try_from(base.checked_sub(segment.offset)?).ok()?;
                segment.bytes.get(start..start.checked_add(length)?)
            });
            if written != Some(&expected) {
                let found = if written.is_some() { "others" } else { "not in one segment" };
                return refuse(format!("descriptors at byte {base}"), found, "those of the layers");
            }
        }
        Ok(())
    }
}
