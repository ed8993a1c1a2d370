//! The records of one strip of a layer: its descriptor and its passes. See [`isa::descriptor`] and [`isa::pass`].

use crate::ProgramError;
use crate::cut::{Cut, Kind, PassCut, Reading};
use crate::layer::Site;
use crate::walk::{Strides, Strip};
use isa::pass::{START_BITS, Segment};
use isa::{CHUNK_STEPS, Descriptor, Pass, Schedule, Taps};
use model::network::{LayerId, Operation, Reset, Source, Walk};

/// Where what a layer has stored lies.
#[derive(Clone, Copy)]
pub struct Bases {
    /// Byte offset of the strip's parameter blocks.
    pub parameters: u32,
    /// Byte offset of the weights.
    pub weights: u32,
    /// Byte offset of the bias rows.
    pub biases: u32,
    /// Byte offset of the strip's first pass record.
    pub passes: u32,
}

impl Site<'_> {
    /// The descriptor of a strip, without what must have completed before.
    ///
    /// # Errors
    /// [`ProgramError::Layout`] if a plane cannot be visited as the layer's walk asks.
    pub fn descriptor(&self, cut: &Cut, strip: &Strip, bases: Bases) -> Result<Descriptor, ProgramError> {
        let steps = self.time_steps;
        let chunks = steps.div_ceil(CHUNK_STEPS);
        let windows = matches!(self.layer.walk, Walk::Windows(_));
        let flag = |set: bool| u32::from(set);
        let hard = self.layer.neuron.is_some_and(|neuron| neuron.reset == Reset::Zero);
        let mut d = Descriptor {
            op: self.op() as u32,
            schedule: self.schedule() as u32,
            hard_reset: flag(hard && self.schedule() == Schedule::EachStep),
            sum: flag(self.layer.neuron.is_none()),
            bytes: flag(self.reads_bytes()),
            mask_ratio: u32::from(self.layer.mask.ratio),
            mask_shared: flag(self.layer.mask.shared),
            time_steps: steps,
            tail_steps: steps - CHUNK_STEPS * (chunks - 1),
            chunks: if self.reads_bytes() { 1 } else { chunks },
            pass_words: cut.pass_words(self.core),
            rotate: self.layer.rotate % steps,
            rotate_by_block: flag(windows),
            shift: strip.blocks.shift,
            tiles: self.tiles()?,
            groups: self.heads() as u32,
            blocks_y: strip.blocks.blocks_y,
            blocks_x: strip.blocks.blocks_x,
            inner_y: strip.blocks.inner_y,
            inner_x: strip.blocks.inner_x,
            passes: cut.passes.len() as u32,
            parameter_base: bases.parameters,
            pass_base: bases.passes,
            // The index that `rotate` multiplies goes on from strip to strip, but starts over in each window.
            rank: self
                .rank(strip.tokens_before % if windows { self.blocks().tokens().into() } else { u64::MAX }),
            ..Descriptor::default()
        };
        match &self.layer.operation {
            Operation::Linear { .. } => {
                d.matrix_base = bases.weights;
                self.write_row(&mut d, strip)?;
            }
            Operation::Scores { key, fraction, .. } => {
                d.fraction = *fraction;
                d.bias_base = bases.biases;
                let token = self.write_row(&mut d, strip)?;
                d.output_group_stride = self.blocks().count() * self.blocks().tokens() * token;
                self.read_matrix(&mut d, *key)?;
            }
            Operation::Context { value, fraction, .. } => {
                d.fraction = *fraction;
                self.write_row(&mut d, strip)?;
                let group = self.row()?.group_bytes;
                d.output_words = group / 8;
                d.output_group_stride = group;
                self.read_matrix(&mut d, *value)?;
            }
        }
        Ok(d)
    }

    /// The output: whole rows of the layer's plane, or the logits. Returns the bytes of a token.
    fn write_row(&self, d: &mut Descriptor, strip: &Strip) -> Result<u32, ProgramError> {
        let row = self.row()?;
        d.output_words = row.row_bytes() / 8;
        d.output_chunk_stride = row.row_bytes();
        if self.layer.neuron.is_none() {
            d.output_base = self.logits.base;
            return Ok(row.token_bytes());
        }
        let own = Source::Plane(LayerId(self.index));
        let Strides { start, block_y, block_x, y, x, wrap_y, wrap_x } =
            self.strides(own, &(&row).into(), Taps::TOKEN)?.of_strip(strip);
        d.output_base = row.base.wrapping_add(start);
        d.output_block_y_stride = block_y;
        d.output_block_x_stride = block_x;
        d.output_y_stride = y;
        d.output_x_stride = x;
        d.output_wrap_y = wrap_y;
        d.output_wrap_x = wrap_x;
        Ok(row.token_bytes())
    }

    /// K or V: the rows of a window's tokens, which must follow each other in memory.
    fn read_matrix(&self, d: &mut Descriptor, id: LayerId) -> Result<(), ProgramError> {
        let plane = self.plane(id)?;
        self.strides(Source::Plane(id), &plane.into(), Taps::TOKEN)?;
        let tokens = self.blocks().tokens();
        d.keys = tokens;
        d.key_words = plane.group_bytes / 8;
        d.matrix_base = plane.base;
        d.matrix_group_stride = plane.group_bytes;
        d.matrix_block_stride = tokens * plane.token_bytes();
        d.matrix_token_stride = plane.token_bytes();
        d.matrix_chunk_stride = plane.row_bytes();
        Ok(())
    }

    /// `rank[slot] = k` with `order[k] = slot`, for a strip that `before` tokens come before.
    fn rank(&self, before: u64) -> Vec<u8> {
        let steps = self.time_steps;
        let turn = (u64::from(self.layer.rotate % steps) * before % u64::from(steps)) as u32;
        let mut rank: Vec<u8> = (0..steps as u8).collect();
        if self.schedule() == Schedule::EachStep {
            return rank;
        }
        for (k, &slot) in self.order.iter().enumerate() {
            if let Some(place) = rank.get_mut(((slot + turn) % steps) as usize) {
                *place = k as u8;
            }
        }
        rank
    }

    /// The passes of a strip.
    ///
    /// # Errors
    /// [`ProgramError::Layout`] if a plane cannot be visited as the layer's walk asks.
    pub fn passes(&self, cut: &Cut, strip: &Strip) -> Result<Vec<Pass>, ProgramError> {
        cut.passes.iter().map(|pass| self.pass(pass, strip)).collect()
    }

    fn pass(&self, cut: &PassCut, strip: &Strip) -> Result<Pass, ProgramError> {
        let Reading { source, taps, shift, kind } = cut.reading;
        let term = cut.segments.first().map_or(0, |segment| segment.term);
        let strides = self.strides(self.source(term), &source, taps)?.of_strip(strip);
        let positions = Positions::of(&cut.reading, strip, self.blocks());
        let token = source.token_bytes();
        let row = (source.grid.columns as u32).wrapping_mul(token);
        let table = cut.segments.iter().map(|segment| {
            let (dy, dx) = (segment.tap / taps.columns.kernel, segment.tap % taps.columns.kernel);
            let rows = (dy as u32).wrapping_sub(taps.rows.padding as u32).wrapping_mul(row);
            let columns = (dx as u32).wrapping_sub(taps.columns.padding as u32).wrapping_mul(token);
            let parts = [strides.start, cut.offset, rows, columns];
            let base = parts.into_iter().fold(self.base(segment.term), u32::wrapping_add);
            Segment { base, dy: dy as u32, dx: dx as u32 }
        });
        let (chunk_stride, group_stride) = self.chunk_and_group_strides(cut);
        Ok(Pass {
            diagonal: u32::from(kind == Kind::Diagonal),
            shift,
            segments: cut.segments.len() as u32,
            segment_words: cut.bytes / 8,
            matrix_rows: if self.op().is_attention() { 0 } else { cut.matrix_rows() },
            start_y: positions.start_y,
            start_x: positions.start_x,
            rows: positions.rows,
            columns: positions.columns,
            step_y: positions.step_y,
            step_x: positions.step_x,
            block_y_stride: strides.block_y,
            block_x_stride: strides.block_x,
            y_stride: strides.y,
            x_stride: strides.x,
            wrap_y: strides.wrap_y,
            wrap_x: strides.wrap_x,
            chunk_stride,
            group_stride,
            table: table.collect(),
        })
    }

    /// Where the source of a term begins.
    fn base(&self, term: usize) -> u32 {
        match self.source(term) {
            Source::Image => self.inputs.get(term).map_or(0, |input| input.base),
            Source::Plane(id) => self.planes.get(id.0).and_then(Option::as_ref).map_or(0, |plane| plane.base),
        }
    }

    fn chunk_and_group_strides(&self, cut: &PassCut) -> (u32, u32) {
        let row = cut.reading.source.row_bytes;
        match self.layer.operation {
            Operation::Linear { .. } if self.reads_bytes() => (0, 0),
            Operation::Linear { .. } => (row, 0),
            Operation::Scores { .. } => (row, cut.bytes),
            Operation::Context { .. } => {
                let blocks = self.blocks();
                (row, blocks.count() * blocks.tokens() * cut.reading.source.token_bytes())
            }
        }
    }
}

/// Where in its source a strip's first token reads, and how far the next ones. See "Positions" in [`isa::pass`].
struct Positions {
    start_y: u32,
    start_x: u32,
    rows: u32,
    columns: u32,
    step_y: u32,
    step_x: u32,
}

impl Positions {
    fn of(reading: &Reading, strip: &Strip, whole: crate::walk::Blocks) -> Positions {
        let Reading { taps, source, .. } = *reading;
        // Each token reads its own position, which is inside whatever the walk's shift.
        if taps == Taps::TOKEN {
            return Positions { start_y: 0, start_x: 0, rows: 1, columns: 1, step_y: 0, step_x: 0 };
        }
        let [block_y, block_x, y, x] = strip.first;
        let start = |token: u32, axis: isa::Axis| {
            let position = token.wrapping_mul(axis.stride as u32).wrapping_sub(axis.padding as u32);
            position & ((1 << START_BITS) - 1)
        };
        Positions {
            start_y: start(block_y * whole.inner_y + y, taps.rows),
            start_x: start(block_x * whole.inner_x + x, taps.columns),
            rows: source.grid.rows as u32,
            columns: source.grid.columns as u32,
            step_y: taps.rows.stride as u32,
            step_x: taps.columns.stride as u32,
        }
    }
}
