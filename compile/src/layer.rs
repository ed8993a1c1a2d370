//! The descriptor of one layer: its operation, operands and walk. See [`isa::descriptor`].

use crate::ProgramError;
use crate::parameters;
use crate::plane::padded;
use crate::walk::{Blocks, Strides};
use isa::layout::PARAMETER_ROWS;
use isa::program::{InputLayout, LogitsLayout, PlaneLayout, TokenOrder};
use isa::{CHUNK_STEPS, CoreConfig, Descriptor, Neuron, Op};
use model::network::{Gather, Layer, LayerId, Operation, Walk};

/// A layer on its way into a program.
pub struct Site<'a> {
    /// Index of the layer.
    pub index: usize,
    /// The layer, with final thresholds and initial membranes.
    pub layer: &'a Layer,
    /// Time steps T.
    pub time_steps: u32,
    /// Slots of the threshold steps.
    pub order: &'a [u32],
    /// Seed of all masks.
    pub seed: u32,
    /// The core's sizes.
    pub core: &'a CoreConfig,
    /// Layouts of all planes.
    pub planes: &'a [Option<PlaneLayout>],
    /// Names of all layers.
    pub names: &'a [String],
}

/// How an input row is gathered: the segments' offsets in the plane and the strides of the walk over them.
struct Reading {
    segment_bases: Vec<u32>,
    segment_words: u32,
    strides: Strides,
    chunk_stride: u32,
    group_stride: u32,
}

impl<'a> Site<'a> {
    /// What an accumulator starts from; see "What the accumulator starts from" in [`isa::layout`].
    pub fn accumulator_start(&self, bias: i32, v0: i32) -> i64 {
        let whole_run = i64::from(bias) * i64::from(self.time_steps);
        match (&self.layer.operation, self.layer.neuron) {
            (Operation::Readout { .. }, _) => whole_run,
            (Operation::Analog { .. }, _) | (_, Neuron::If) => i64::from(bias),
            (_, Neuron::TwoPhase) => whole_run + i64::from(v0),
        }
    }

    /// Planes that the layer reads: the inputs, and for attention the matrix.
    pub fn reads(&self) -> (Vec<LayerId>, Option<LayerId>) {
        match &self.layer.operation {
            Operation::Analog { .. } => (vec![], None),
            Operation::Dense { input, .. } | Operation::Readout { input, .. } => (vec![*input], None),
            Operation::Shortcut { inputs, .. } => (inputs.clone(), None),
            Operation::Scores { query, key, .. } => (vec![*query], Some(*key)),
            Operation::Context { scores, value, .. } => (vec![*scores], Some(*value)),
        }
    }

    /// The plane of an earlier layer.
    fn plane(&self, id: LayerId) -> Result<&'a PlaneLayout, ProgramError> {
        let plane = self.planes.get(id.0).and_then(Option::as_ref);
        plane.ok_or_else(|| self.misfit(id, "the readout has no plane to read".to_owned()))
    }

    fn misfit(&self, plane: LayerId, reason: String) -> ProgramError {
        ProgramError::Layout {
            index: self.index,
            layer: self.layer.name.clone(),
            plane: self.names.get(plane.0).cloned().unwrap_or_default(),
            reason,
        }
    }

    /// The strides with which this layer's walk visits a plane.
    fn strides(&self, id: LayerId, plane: &PlaneLayout, step: u32) -> Result<Strides, ProgramError> {
        let grid = self.layer.grid;
        if plane.grid.rows != grid.rows * step as usize || plane.grid.columns != grid.columns * step as usize
        {
            return Err(self.misfit(id, format!(
                "the plane has {} x {} tokens, the layer {} x {} with {step} plane rows and columns a token",
                plane.grid.rows, plane.grid.columns, grid.rows, grid.columns
            )));
        }
        Strides::of_plane(self.layer.walk, grid, plane, step).ok_or_else(|| {
            self.misfit(
                id,
                format!(
                    "its tokens lie {}, which a layer that goes {} cannot visit; \
                     layers that write or read what attention reads must walk its windows",
                    order_words(plane.order),
                    walk_words(self.layer.walk)
                ),
            )
        })
    }

    /// Which column of the weights each byte of the gathered row belongs to.
    pub fn gathered(&self, input: Option<&InputLayout>) -> Result<Vec<Option<usize>>, ProgramError> {
        match &self.layer.operation {
            Operation::Analog { weights, .. } => {
                let bytes = input.map_or(0, |input| input.row_bytes) as usize;
                Ok((0..bytes).map(|i| (i < weights.inputs).then_some(i)).collect())
            }
            Operation::Dense { input, .. } | Operation::Readout { input, .. } => {
                let plane = self.plane(*input)?;
                let segments = if self.merges() { 4 } else { 1 };
                let byte = |segment: usize, position: usize| {
                    plane.channel_at(position).map(|channel| segment * plane.channels() + channel)
                };
                let row = plane.row_bytes() as usize;
                Ok((0..segments).flat_map(|s| (0..row).map(move |p| byte(s, p))).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    fn merges(&self) -> bool {
        matches!(self.layer.operation, Operation::Dense { gather: Gather::Merge, .. })
    }

    fn reading(&self, input: Option<&InputLayout>) -> Result<Reading, ProgramError> {
        match &self.layer.operation {
            Operation::Analog { .. } => {
                let (base, row_bytes) = input.map_or((0, 0), |i| (i.base, i.row_bytes));
                let blocks = Blocks::new(self.layer.walk, self.layer.grid);
                let strides = Strides::raster(blocks, self.layer.grid.columns as u32 * row_bytes, row_bytes);
                Ok(Reading {
                    segment_bases: vec![base],
                    segment_words: row_bytes / 8,
                    strides,
                    chunk_stride: 0,
                    group_stride: 0,
                })
            }
            Operation::Dense { input, .. } | Operation::Readout { input, .. } => {
                let plane = self.plane(*input)?;
                let token = plane.token_bytes();
                let row = plane.grid.columns as u32 * token;
                let (step, segment_bases) =
                    if self.merges() { (2, vec![0, token, row, row + token]) } else { (1, vec![0]) };
                Ok(Reading {
                    segment_bases: segment_bases.into_iter().map(|offset| plane.base + offset).collect(),
                    segment_words: plane.row_bytes() / 8,
                    strides: self.strides(*input, plane, step)?,
                    chunk_stride: plane.row_bytes(),
                    group_stride: 0,
                })
            }
            Operation::Shortcut { inputs, .. } => self.reading_of_shortcut(inputs),
            Operation::Scores { query, .. } => {
                let plane = self.plane(*query)?;
                Ok(Reading {
                    segment_bases: vec![plane.base],
                    segment_words: plane.group_bytes / 8,
                    strides: self.strides(*query, plane, 1)?,
                    chunk_stride: plane.row_bytes(),
                    group_stride: plane.group_bytes,
                })
            }
            Operation::Context { scores, .. } => {
                let plane = self.plane(*scores)?;
                let blocks = Blocks::new(self.layer.walk, self.layer.grid);
                Ok(Reading {
                    segment_bases: vec![plane.base],
                    segment_words: plane.row_bytes() / 8,
                    strides: Strides::linear(blocks, plane.token_bytes()),
                    chunk_stride: plane.row_bytes(),
                    group_stride: blocks.count() * blocks.tokens() * plane.token_bytes(),
                })
            }
        }
    }

    /// All planes of a shortcut must lie alike: one set of strides serves them all, and each lane reads its own byte.
    fn reading_of_shortcut(&self, inputs: &[LayerId]) -> Result<Reading, ProgramError> {
        let own = self.plane(LayerId(self.index))?;
        let mut reading = None;
        let mut segment_bases = Vec::with_capacity(inputs.len());
        for &id in inputs {
            let plane = self.plane(id)?;
            if !plane.same_channels(own) {
                return Err(self.misfit(
                    id,
                    format!(
                        "a shortcut reads and writes the same byte of a row, but the plane has {} groups of {} channels in \
                         {} bytes and the layer's own {} of {} in {}; choose a head size that is a multiple of {}",
                        plane.groups,
                        plane.group_channels,
                        plane.group_bytes,
                        own.groups,
                        own.group_channels,
                        own.group_bytes,
                        self.core.bus_bytes()
                    ),
                ));
            }
            let strides = self.strides(id, plane, 1)?;
            if *reading.get_or_insert(strides) != strides {
                return Err(
                    self.misfit(id, "the planes of a shortcut must all have the same token order".to_owned())
                );
            }
            segment_bases.push(plane.base);
        }
        Ok(Reading {
            segment_bases,
            segment_words: own.row_bytes() / 8,
            strides: reading.unwrap_or_default(),
            chunk_stride: own.row_bytes(),
            group_stride: 0,
        })
    }

    /// The descriptor without the parameter and bias bases and without what must have completed before.
    ///
    /// # Errors
    /// [`ProgramError::Layout`] if a plane cannot be visited as the layer's walk asks.
    pub fn descriptor(
        &self,
        input: Option<&InputLayout>,
        logits: &LogitsLayout,
    ) -> Result<Descriptor, ProgramError> {
        let blocks = Blocks::new(self.layer.walk, self.layer.grid);
        let steps = self.time_steps;
        let chunks = steps.div_ceil(CHUNK_STEPS);
        let reading = self.reading(input)?;
        let op = self.op();
        let mut d = Descriptor {
            op: op as u32,
            neuron: if op == Op::Readout { Neuron::TwoPhase } else { self.layer.neuron } as u32,
            mask_ratio: u32::from(self.layer.mask_ratio),
            time_steps: steps,
            tail_steps: steps - CHUNK_STEPS * (chunks - 1),
            chunks: if op == Op::Analog { 1 } else { chunks },
            segments: reading.segment_bases.len() as u32,
            rotate: self.layer.rotate % steps,
            shift: blocks.shift,
            rotate_by_block: u32::from(matches!(self.layer.walk, model::network::Walk::Windows(_))),
            tiles: 1,
            groups: 1,
            blocks_y: blocks.blocks_y,
            blocks_x: blocks.blocks_x,
            inner_y: blocks.inner_y,
            inner_x: blocks.inner_x,
            segment_words: reading.segment_words,
            input_block_y_stride: reading.strides.block_y,
            input_block_x_stride: reading.strides.block_x,
            input_y_stride: reading.strides.y,
            input_x_stride: reading.strides.x,
            input_wrap_y: reading.strides.wrap_y,
            input_wrap_x: reading.strides.wrap_x,
            input_chunk_stride: reading.chunk_stride,
            input_group_stride: reading.group_stride,
            rank: rank(self.order, steps),
            ..Descriptor::default()
        };
        for (base, offset) in d.segment_bases.iter_mut().zip(&reading.segment_bases) {
            *base = offset + reading.strides.start;
        }
        match &self.layer.operation {
            Operation::Readout { .. } => self.write_logits(&mut d, logits),
            Operation::Scores { key, heads, fraction, .. } => {
                d.fraction = *fraction;
                self.write_scores(&mut d, blocks, *heads)?;
                self.read_matrix(&mut d, blocks, *key)?;
            }
            Operation::Context { value, heads, fraction, .. } => {
                d.fraction = *fraction;
                let group = self.write_plane(&mut d)?.group_bytes;
                d.groups = *heads as u32;
                d.tiles = ((self.layer.channels / heads) as u32).div_ceil(self.core.lanes);
                d.output_words = group / 8;
                d.output_group_stride = group;
                self.read_matrix(&mut d, blocks, *value)?;
            }
            Operation::Shortcut { inputs, .. } => {
                self.write_plane(&mut d)?;
                d.matrix_rows = inputs.len() as u32;
            }
            Operation::Analog { .. } | Operation::Dense { .. } => {
                self.write_plane(&mut d)?;
            }
        }
        if matches!(op, Op::Analog | Op::Dense | Op::Readout) {
            d.matrix_rows = d.segments * d.segment_words * 8;
        }
        Ok(d)
    }

    /// The layer's operation.
    pub fn op(&self) -> Op {
        match self.layer.operation {
            Operation::Analog { .. } => Op::Analog,
            Operation::Dense { .. } => Op::Dense,
            Operation::Shortcut { .. } => Op::Shortcut,
            Operation::Scores { .. } => Op::Scores,
            Operation::Context { .. } => Op::Context,
            Operation::Readout { .. } => Op::Readout,
        }
    }

    /// The output as whole rows of the layer's own plane.
    fn write_plane(&self, d: &mut Descriptor) -> Result<&'a PlaneLayout, ProgramError> {
        let own = self.plane(LayerId(self.index))?;
        let strides = self.strides(LayerId(self.index), own, 1)?;
        d.tiles = own.row_bytes().div_ceil(self.core.lanes);
        d.output_words = own.row_bytes() / 8;
        d.output_base = own.base;
        self.write_strides(d, strides);
        d.output_chunk_stride = own.row_bytes();
        Ok(own)
    }

    fn write_strides(&self, d: &mut Descriptor, strides: Strides) {
        d.output_base += strides.start;
        d.output_block_y_stride = strides.block_y;
        d.output_block_x_stride = strides.block_x;
        d.output_y_stride = strides.y;
        d.output_x_stride = strides.x;
        d.output_wrap_y = strides.wrap_y;
        d.output_wrap_x = strides.wrap_x;
    }

    /// Scores lie head by head, window by window, query by query.
    fn write_scores(&self, d: &mut Descriptor, blocks: Blocks, heads: usize) -> Result<(), ProgramError> {
        let own = self.plane(LayerId(self.index))?;
        d.groups = heads as u32;
        d.tiles = blocks.tokens().div_ceil(self.core.lanes);
        d.output_words = own.row_bytes() / 8;
        d.output_base = own.base;
        self.write_strides(d, Strides::linear(blocks, own.token_bytes()));
        d.output_chunk_stride = own.row_bytes();
        d.output_group_stride = blocks.count() * blocks.tokens() * own.token_bytes();
        Ok(())
    }

    /// K or V: the rows of a window's tokens, which must follow each other in memory.
    fn read_matrix(&self, d: &mut Descriptor, blocks: Blocks, id: LayerId) -> Result<(), ProgramError> {
        let plane = self.plane(id)?;
        self.strides(id, plane, 1)?;
        d.matrix_rows = blocks.tokens();
        d.matrix_words = plane.group_bytes / 8;
        d.matrix_base = plane.base;
        d.matrix_group_stride = plane.group_bytes;
        d.matrix_block_stride = blocks.tokens() * plane.token_bytes();
        d.matrix_token_stride = plane.token_bytes();
        d.matrix_chunk_stride = plane.row_bytes();
        Ok(())
    }

    fn write_logits(&self, d: &mut Descriptor, logits: &LogitsLayout) {
        d.tiles = logits.plane_bytes.div_ceil(self.core.lanes);
        d.output_words = logits.plane_bytes / 8;
        d.output_base = logits.base;
        d.output_chunk_stride = logits.plane_bytes;
    }

    /// Bytes of the layer's parameter blocks and stored matrices, and of its bias rows.
    ///
    /// # Errors
    /// [`ProgramError::Layout`] if the layer reads a plane that is none.
    pub fn stored_bytes(&self, input: Option<&InputLayout>) -> Result<[u64; 2], ProgramError> {
        let lanes = u64::from(self.core.lanes);
        let block = u64::from(PARAMETER_ROWS) * 2 * lanes;
        let blocks = Blocks::new(self.layer.walk, self.layer.grid);
        let windows = u64::from(blocks.count());
        // Tiles of an output row, each with a block and `rows` rows of weights.
        let stored =
            |row_bytes: u32, rows: u64| u64::from(row_bytes).div_ceil(lanes) * (block + rows * lanes);
        let own_row = || Ok::<_, ProgramError>(self.plane(LayerId(self.index))?.row_bytes());
        match &self.layer.operation {
            Operation::Analog { .. } => {
                Ok([stored(own_row()?, input.map_or(0, |input| input.row_bytes).into()), 0])
            }
            Operation::Dense { input, .. } => {
                let segments = if self.merges() { 4 } else { 1 };
                Ok([stored(own_row()?, segments * u64::from(self.plane(*input)?.row_bytes())), 0])
            }
            Operation::Readout { input, .. } => {
                let row = padded(self.layer.channels, self.core);
                Ok([stored(row, self.plane(*input)?.row_bytes().into()), 0])
            }
            Operation::Shortcut { inputs, .. } => Ok([stored(own_row()?, inputs.len() as u64), 0]),
            Operation::Scores { heads, .. } => {
                let keys = u64::from(blocks.tokens());
                let tiles = *heads as u64 * keys.div_ceil(lanes);
                Ok([tiles * windows * block, tiles * keys * 2 * lanes])
            }
            Operation::Context { heads, .. } => {
                let tiles = *heads as u64 * ((self.layer.channels / heads) as u64).div_ceil(lanes);
                Ok([tiles * windows * block, 0])
            }
        }
    }

    /// Appends the layer's parameter blocks and stored matrices.
    ///
    /// # Errors
    /// [`ProgramError::Limit`] if a parameter does not fit.
    pub fn push_parameters(
        &self,
        bytes: &mut Vec<u8>,
        input: Option<&InputLayout>,
    ) -> Result<(), ProgramError> {
        match &self.layer.operation {
            Operation::Scores { heads, .. } => parameters::push_scores(bytes, self, *heads),
            Operation::Context { heads, .. } => parameters::push_context(bytes, self, *heads),
            Operation::Readout { .. } => {
                let row = PlaneLayout {
                    base: 0,
                    grid: self.layer.grid,
                    order: TokenOrder::Raster,
                    groups: 1,
                    group_channels: self.layer.channels,
                    group_bytes: padded(self.layer.channels, self.core),
                    chunks: 1,
                };
                parameters::push_stored(bytes, self, &row, &self.gathered(input)?)
            }
            _ => {
                parameters::push_stored(bytes, self, self.plane(LayerId(self.index))?, &self.gathered(input)?)
            }
        }
    }
}

/// `rank[slot] = k` with `order[k] = slot`.
fn rank(order: &[u32], steps: u32) -> Vec<u8> {
    let mut rank: Vec<u8> = (0..steps as u8).collect();
    for (k, &slot) in order.iter().enumerate() {
        if let Some(place) = rank.get_mut(slot as usize) {
            *place = k as u8;
        }
    }
    rank
}

/// The order of tokens in a plane, in words.
fn order_words(order: TokenOrder) -> String {
    match order {
        TokenOrder::Raster => "row by row".to_owned(),
        TokenOrder::Windows { size, shift } => windows_words(size, shift),
        TokenOrder::Scores { heads, .. } => format!("as the scores of {heads} attention heads"),
    }
}

/// The order in which a layer visits tokens, in words.
fn walk_words(walk: Walk) -> String {
    match walk {
        Walk::Raster => "row by row".to_owned(),
        Walk::Windows(windows) => windows_words(windows.size, windows.shift),
    }
}

fn windows_words(size: usize, shift: usize) -> String {
    format!("in windows of {size} x {size} tokens shifted by {shift}")
}
