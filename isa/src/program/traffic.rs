//! What a run moves between the core and its memory: told by the records alone, whatever the spikes.

use super::{Program, Strip};
use crate::layout::{LOGIT_BYTES, PARAMETER_ROWS};
use crate::pass::START_BITS;
use crate::{CoreConfig, Descriptor, Op, Pass, descriptor};
use std::iter::Sum;

/// Bytes that move in a run of one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Read: descriptors and pass records.
    pub records: u64,
    /// Read: parameter blocks and bias rows.
    pub parameters: u64,
    /// Read: stored weights.
    pub weights: u64,
    /// Read: K and V.
    pub keys: u64,
    /// Read: rows of spikes, or of the image.
    pub inputs: u64,
    /// Written: spikes and logits.
    pub outputs: u64,
}

impl Traffic {
    /// Bytes read.
    pub fn read(&self) -> u64 {
        self.records + self.parameters + self.weights + self.keys + self.inputs
    }

    /// Bytes written.
    pub fn written(&self) -> u64 {
        self.outputs
    }
}

impl Sum for Traffic {
    fn sum<I: Iterator<Item = Traffic>>(parts: I) -> Traffic {
        parts.fold(Traffic::default(), |sum, part| Traffic {
            records: sum.records + part.records,
            parameters: sum.parameters + part.parameters,
            weights: sum.weights + part.weights,
            keys: sum.keys + part.keys,
            inputs: sum.inputs + part.inputs,
            outputs: sum.outputs + part.outputs,
        })
    }
}

impl Program {
    /// What a run of one image moves: the counters `COUNT_READ_BEATS` and `COUNT_WRITE_BEATS` times the bytes of the bus.
    pub fn traffic(&self) -> Traffic {
        self.strips().map(|strip| of_strip(strip, &self.core)).sum()
    }
}

/// What one descriptor moves: each job reads its pass record (of a layer of one pass the first alone), with a new tile (attention: each
/// job) a parameter block, for `scores` with a new tile the bias rows, its matrix, and every row of its tokens.
fn of_strip(Strip { descriptor: d, passes }: &Strip, core: &CoreConfig) -> Traffic {
    let lanes = u64::from(core.lanes);
    let (groups, tiles, chunks) = (u64::from(d.groups), u64::from(d.tiles), u64::from(d.chunks));
    let (blocks, inner) = (u64::from(d.blocks_y * d.blocks_x), u64::from(d.inner_y * d.inner_x));
    let scores = d.op == Op::Scores as u32;
    let attention = scores || d.op == Op::Context as u32;
    let record = 8 * u64::from(d.pass_words);
    let blocks_of_parameters = if attention { groups * tiles * blocks } else { groups * tiles };
    let mut traffic = Traffic {
        records: descriptor::BYTES as u64
            + if passes.len() == 1 { record } else { groups * tiles * passes.len() as u64 * record },
        parameters: blocks_of_parameters * u64::from(PARAMETER_ROWS) * 2 * lanes,
        ..Traffic::default()
    };
    if scores {
        traffic.parameters += groups * tiles * inner * 2 * lanes;
    }
    // What is left of `all` for a tile that takes `each`.
    let part = |all: u32, tile: u64, each: u64| u64::from(all).saturating_sub(tile * each).min(each);
    for tile in 0..tiles {
        let words = part(d.output_words, tile, lanes / 8);
        if attention {
            let (keys, key_words) = if scores {
                (part(d.keys, tile, lanes), u64::from(d.key_words))
            } else {
                (u64::from(d.keys), part(d.key_words, tile, lanes / 8))
            };
            traffic.keys += groups * blocks * chunks * keys * key_words * 8;
        } else {
            let rows: u64 = passes.iter().map(|pass| u64::from(pass.matrix_rows)).sum();
            traffic.weights += groups * rows * lanes;
        }
        for pass in passes {
            let segment_words = if pass.diagonal == 1 { words } else { u64::from(pass.segment_words) };
            traffic.inputs += groups * chunks * inside(d, pass) * segment_words * 8;
        }
        let rows = if d.sum == 1 {
            LOGIT_BYTES.into()
        } else {
            blocks * inner * u64::from(d.time_steps.div_ceil(8))
        };
        traffic.outputs += groups * rows * words * 8;
    }
    traffic
}

/// Pairs of token and segment whose position lies in the source.
fn inside(d: &Descriptor, pass: &Pass) -> u64 {
    let along = |start: u32, step: u32, tokens: u32, tap: u32, size: u32| {
        // Two's complement of `START_BITS` bits.
        let start = i64::from((start << (32 - START_BITS)) as i32 >> (32 - START_BITS));
        let position = |token: u32| start + i64::from(token) * i64::from(step) + i64::from(tap);
        (0..tokens).filter(|&token| (0..i64::from(size)).contains(&position(token))).count() as u64
    };
    let pairs = pass.table.iter().map(|segment| {
        along(pass.start_y, pass.step_y, d.blocks_y * d.inner_y, segment.dy, pass.rows)
            * along(pass.start_x, pass.step_x, d.blocks_x * d.inner_x, segment.dx, pass.columns)
    });
    pairs.sum()
}
