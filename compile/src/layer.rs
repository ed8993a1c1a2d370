//! A layer on its way into a program: what it reads, and how it is cut.

use crate::cut::{Cut, Kind, PassCut, Reading, SegmentCut, passes};
use crate::limits;
use crate::plane::padded;
use crate::walk::{Blocks, Strides};
use crate::{ProgramError, cut};
use isa::layout::PARAMETER_ROWS;
use isa::program::{InputLayout, LogitsLayout, PlaneLayout, TokenOrder};
use isa::{CoreConfig, Op, Schedule, Taps};
use model::network::{Layer, LayerId, Operation, Source, Term, Walk, Weights};

/// A layer on its way into a program.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// Index of the layer.
    pub index: usize,
    /// Index of the layer whose draws its mask has.
    pub draws: usize,
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
    /// The rows cut from the image, one a term; empty if the layer reads planes.
    pub inputs: &'a [InputLayout],
    /// Channels of the image.
    pub image_channels: usize,
    /// Where the logits go.
    pub logits: &'a LogitsLayout,
    /// Names of all layers.
    pub names: &'a [String],
}

impl<'a> Site<'a> {
    /// The layer's operation.
    pub fn op(&self) -> Op {
        match self.layer.operation {
            Operation::Linear { .. } => Op::Linear,
            Operation::Scores { .. } => Op::Scores,
            Operation::Context { .. } => Op::Context,
        }
    }

    /// Whether the layer reads the image.
    pub fn reads_bytes(&self) -> bool {
        !self.inputs.is_empty()
    }

    /// The terms of a linear layer.
    pub fn terms(&self) -> &'a [Term] {
        match &self.layer.operation {
            Operation::Linear { terms, .. } => terms,
            Operation::Scores { .. } | Operation::Context { .. } => &[],
        }
    }

    /// When the neurons fire; the readout, which has none, sums up as `two_phase` does.
    pub fn schedule(&self) -> Schedule {
        self.layer.schedule().unwrap_or(Schedule::AfterAll)
    }

    /// What an accumulator starts from; see "What the accumulator starts from" in [`isa::layout`].
    pub fn accumulator_start(&self, bias: i32, v0: i32) -> i64 {
        let whole_run = i64::from(bias) * i64::from(self.time_steps);
        match self.layer.schedule() {
            None => whole_run,
            Some(Schedule::AfterAll) if !self.reads_bytes() => whole_run + i64::from(v0),
            Some(_) => i64::from(bias),
        }
    }

    /// Planes that the layer reads: the inputs, and for attention the matrix.
    pub fn reads(&self) -> (Vec<LayerId>, Option<LayerId>) {
        match &self.layer.operation {
            Operation::Linear { .. } => (self.layer.operation.reads(), None),
            Operation::Scores { query, key, .. } => (vec![*query], Some(*key)),
            Operation::Context { scores, value, .. } => (vec![*scores], Some(*value)),
        }
    }

    /// The counts of the whole walk.
    pub fn blocks(&self) -> Blocks {
        Blocks::new(self.layer.walk, self.layer.grid)
    }

    /// The plane of an earlier layer.
    pub fn plane(&self, id: LayerId) -> Result<&'a PlaneLayout, ProgramError> {
        let plane = self.planes.get(id.0).and_then(Option::as_ref);
        plane.ok_or_else(|| self.misfit(id, "the readout has no plane to read".to_owned()))
    }

    pub fn misfit(&self, plane: LayerId, reason: String) -> ProgramError {
        ProgramError::Layout {
            index: self.index,
            layer: self.layer.name.clone(),
            plane: self.names.get(plane.0).cloned().unwrap_or_default(),
            reason,
        }
    }

    /// How the layer's output row lies: a row of its plane, or of the logits.
    pub fn row(&self) -> Result<PlaneLayout, ProgramError> {
        if self.layer.neuron.is_some() {
            return self.plane(LayerId(self.index)).cloned();
        }
        Ok(PlaneLayout {
            base: 0,
            grid: self.layer.grid,
            order: TokenOrder::Raster,
            groups: 1,
            group_channels: self.layer.channels,
            group_bytes: padded(self.layer.channels, self.core),
            chunks: 1,
        })
    }

    /// Tiles of the output row of a group.
    pub fn tiles(&self) -> Result<u32, ProgramError> {
        let row = self.row()?;
        let channels = match self.layer.operation {
            Operation::Linear { .. } => row.row_bytes(),
            Operation::Scores { .. } => self.blocks().tokens(),
            Operation::Context { .. } => row.group_channels as u32,
        };
        Ok(channels.div_ceil(self.core.lanes))
    }

    /// Attention heads; 1 for a linear layer.
    pub fn heads(&self) -> usize {
        match self.layer.operation {
            Operation::Linear { .. } => 1,
            Operation::Scores { heads, .. } | Operation::Context { heads, .. } => heads,
        }
    }

    /// The layer in passes and strips.
    ///
    /// # Errors
    /// [`ProgramError::Layout`] if a plane does not lie as a term reads it, [`ProgramError::Limit`] if not even the partial sums of one token
    /// fit the core.
    pub fn cut(&self) -> Result<Cut, ProgramError> {
        let passes = match &self.layer.operation {
            Operation::Linear { terms, .. } => {
                let readings = terms.iter().enumerate().map(|(index, term)| self.reading(index, term));
                passes(&readings.collect::<Result<Vec<_>, _>>()?, self.core)
            }
            Operation::Scores { query, .. } => {
                let plane = self.plane(*query)?;
                vec![attention_pass(plane, plane.group_bytes)]
            }
            Operation::Context { scores, .. } => {
                let plane = self.plane(*scores)?;
                vec![attention_pass(plane, plane.row_bytes())]
            }
        };
        let token = if self.schedule() == Schedule::EachStep { self.time_steps } else { 1 };
        let kept = passes.len() > 1 && self.layer.neuron.is_some();
        let most = if kept { self.core.sum_rows / token } else { u32::MAX };
        let strips = self.blocks().strips(most);
        Ok(Cut { passes, strips: strips.ok_or_else(|| limits::too_few_sums(self))? })
    }

    fn reading(&self, index: usize, term: &Term) -> Result<Reading, ProgramError> {
        match term.source {
            // All terms of the layer read the image, and the host has gathered all taps of each in one row. Its bytes lie channel behind channel, not on the bytes of the output's channels, so
            // that gains become rows of weights.
            Source::Image => {
                let source = (&self.inputs[index]).into();
                Ok(Reading { source, taps: Taps::TOKEN, shift: term.shift, kind: Kind::Dense })
            }
            Source::Plane(id) => {
                let plane = self.plane(id)?;
                let kind = match term.weights {
                    Weights::Dense(_) => Kind::Dense,
                    Weights::Diagonal(_) => Kind::Diagonal,
                };
                if kind == Kind::Diagonal {
                    self.check_diagonal(id, plane)?;
                }
                Ok(Reading { source: plane.into(), taps: term.taps, shift: term.shift, kind })
            }
        }
    }

    /// A diagonal term reads and writes the same byte of a row.
    fn check_diagonal(&self, id: LayerId, plane: &PlaneLayout) -> Result<(), ProgramError> {
        let own = self.row()?;
        if plane.same_channels(&own) {
            return Ok(());
        }
        let row = |row: &PlaneLayout| {
            format!("{} groups of {} channels in {} bytes", row.groups, row.group_channels, row.group_bytes)
        };
        let reason = format!(
            "a diagonal term reads and writes the same byte of a row, but the plane has {} and the layer's own {}; choose a head size \
             that is a multiple of {}, or make the term dense",
            row(plane),
            row(&own),
            self.core.bus_bytes()
        );
        Err(self.misfit(id, reason))
    }

    /// What a term's segments are read from, for messages and bases; term 0 of attention reads queries or scores.
    pub fn source(&self, term: usize) -> Source {
        match &self.layer.operation {
            Operation::Linear { terms, .. } => terms[term].source,
            Operation::Scores { query: plane, .. } | Operation::Context { scores: plane, .. } => {
                Source::Plane(*plane)
            }
        }
    }

    /// The strides with which this layer's walk visits a source.
    ///
    /// # Errors
    /// [`ProgramError::Layout`] if it cannot.
    pub fn strides(&self, source: Source, lies: &cut::Source, taps: Taps) -> Result<Strides, ProgramError> {
        // Rows cut from the image lie token by token.
        let id = if let Source::Plane(id) = source { id } else { LayerId(self.index) };
        let grid = self.layer.grid;
        if taps.grid(lies.grid) != Some(grid) {
            let sides = |axis: isa::Axis| (axis.kernel, axis.stride, axis.padding);
            return Err(self.misfit(
                id,
                format!(
                    "the plane has {} x {} tokens, the layer {} x {} with (kernel, stride, padding) {:?} down and {:?} across; make them agree",
                    lies.grid.rows,
                    lies.grid.columns,
                    grid.rows,
                    grid.columns,
                    sides(taps.rows),
                    sides(taps.columns)
                ),
            ));
        }
        let token = lies.token_bytes();
        let row = (lies.grid.columns as u32).wrapping_mul(token);
        let blocks = self.blocks();
        match (lies.order, self.layer.walk) {
            (TokenOrder::Raster, _) => Ok(Strides::raster(
                blocks,
                row.wrapping_mul(taps.rows.stride as u32),
                token.wrapping_mul(taps.columns.stride as u32),
            )),
            (TokenOrder::Windows { size, shift }, Walk::Windows(windows))
                if (size, shift) == (windows.size, windows.shift) && taps == Taps::TOKEN =>
            {
                Ok(Strides::linear(blocks, token))
            }
            (TokenOrder::Scores { .. }, Walk::Windows(_)) => Ok(Strides::linear(blocks, token)),
            (order, walk) => {
                let taps = if taps == Taps::TOKEN { "" } else { " with taps on neighbours" };
                Err(self.misfit(
                    id,
                    format!(
                        "its tokens lie {}, which a layer that goes {}{taps} cannot visit; \
                         layers that write or read what attention reads must walk its windows",
                        order_words(order),
                        walk_words(walk)
                    ),
                ))
            }
        }
    }

    /// Bytes of the layer's parameter blocks, of its stored weights, and of its bias rows.
    ///
    /// # Errors
    /// [`ProgramError::Layout`] if the layer reads a plane that is none.
    pub fn stored_bytes(&self, cut: &Cut) -> Result<[u64; 3], ProgramError> {
        let lanes = u64::from(self.core.lanes);
        let block = u64::from(PARAMETER_ROWS) * 2 * lanes;
        let tiles = self.heads() as u64 * u64::from(self.tiles()?);
        let blocks = self.blocks();
        Ok(match self.layer.operation {
            Operation::Linear { .. } => {
                let copies = if self.own_parameters() { cut.strips.len() as u64 } else { 1 };
                [copies * tiles * block, tiles * cut.matrix_rows() * lanes, 0]
            }
            Operation::Scores { .. } => {
                let rows = tiles * u64::from(blocks.tokens());
                [tiles * u64::from(blocks.count()) * block, 0, rows * 2 * lanes]
            }
            Operation::Context { .. } => [tiles * u64::from(blocks.count()) * block, 0, 0],
        })
    }

    /// Bytes of the parameter blocks of one strip of a linear layer.
    pub fn parameter_bytes(&self) -> Result<u64, ProgramError> {
        Ok(u64::from(PARAMETER_ROWS * 2 * self.core.lanes) * u64::from(self.tiles()?))
    }

    /// Whether each strip has parameter blocks of its own: their masks go on where those of the strip before end.
    pub fn own_parameters(&self) -> bool {
        self.layer.mask.ratio > 0 && !self.layer.mask.shared
    }
}

/// The one pass of an attention layer: `bytes` of each token's rows.
fn attention_pass(plane: &PlaneLayout, bytes: u32) -> PassCut {
    let reading = Reading { source: plane.into(), taps: Taps::TOKEN, shift: 0, kind: Kind::Dense };
    PassCut { reading, offset: 0, bytes, segments: vec![SegmentCut { term: 0, tap: 0 }] }
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
