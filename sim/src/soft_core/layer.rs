//! One layer: its jobs, walks and sums.

use super::neuron::{Drives, Lane};
use super::{Counters, Memory, Stop};
use isa::layout::{LOGIT_BYTES, flag};
use isa::{Descriptor, Neuron, Op};

/// Runs a layer whose descriptor was accepted.
pub fn run(
    d: &Descriptor,
    op: Op,
    lanes: usize,
    memory: &mut Memory,
    counters: &mut Counters,
) -> Result<(), Stop> {
    let blocks = d.blocks_y * d.blocks_x;
    let block_bytes = Lane::block_bytes(lanes);
    let job_bytes = block_bytes + if op.is_attention() { 0 } else { d.matrix_rows as usize * lanes };
    let mut parameters = u64::from(d.parameter_base);
    let mut layer = Layer { d, op, lanes, memory, counters };
    for group in 0..d.groups {
        for tile in 0..d.tiles {
            let jobs = if op.is_attention() { blocks } else { 1 };
            for job in 0..jobs {
                let bytes = layer.memory.read(parameters, job_bytes)?;
                let lane = Lane::block(bytes, lanes);
                let stored = bytes[block_bytes..].to_vec();
                let matrix = if op.is_attention() { layer.spike_matrix(group, tile, job)? } else { stored };
                let walked = if op.is_attention() { job..job + 1 } else { 0..blocks };
                layer.job(Job { group, tile, lane, matrix }, walked)?;
                parameters += job_bytes as u64;
            }
        }
    }
    Ok(())
}

struct Layer<'a> {
    d: &'a Descriptor,
    op: Op,
    lanes: usize,
    memory: &'a mut Memory,
    counters: &'a mut Counters,
}

/// What runs on one set of parameters and one matrix.
struct Job {
    group: u32,
    tile: u32,
    lane: Vec<Lane>,
    /// Row by row, one byte a lane: weights; for attention the rows of chunk 0, then of chunk 1 and so on.
    matrix: Vec<u8>,
}

/// A token of the walk.
#[derive(Clone, Copy)]
struct Token {
    block_y: u32,
    block_x: u32,
    y: u32,
    x: u32,
    row_band: bool,
    column_band: bool,
}

impl Layer<'_> {
    /// Rows of the spike matrix in one chunk: what the entries of an input row are.
    fn entries(&self) -> usize {
        self.d.segment_words as usize * 8
    }

    /// K or V of one block: row `i` of a chunk belongs to entry `i` of the input row.
    fn spike_matrix(&self, group: u32, tile: u32, block: u32) -> Result<Vec<u8>, Stop> {
        let d = self.d;
        let mut matrix = Vec::new();
        for chunk in 0..d.chunks {
            let base = u64::from(d.matrix_base)
                + u64::from(group) * u64::from(d.matrix_group_stride)
                + u64::from(block) * u64::from(d.matrix_block_stride)
                + u64::from(chunk) * u64::from(d.matrix_chunk_stride);
            let rows: Vec<&[u8]> = (0..d.matrix_rows)
                .map(|token| base + u64::from(token) * u64::from(d.matrix_token_stride))
                .map(|address| self.memory.read(address, d.matrix_words as usize * 8))
                .collect::<Result<_, _>>()?;
            for entry in 0..self.entries() {
                for lane in 0..self.lanes {
                    let across = tile as usize * self.lanes + lane;
                    let (token, byte) = if self.op == Op::Scores { (across, entry) } else { (entry, across) };
                    matrix.push(rows.get(token).and_then(|row| row.get(byte)).copied().unwrap_or(0));
                }
            }
        }
        Ok(matrix)
    }

    fn job(&mut self, mut job: Job, blocks: std::ops::Range<u32>) -> Result<(), Stop> {
        let d = self.d;
        let mut index = 0;
        let mut logits: Vec<i64> = job.lane.iter().map(|lane| lane.bias).collect();
        for block in blocks {
            if d.rotate_by_block == 1 {
                index = 0;
            }
            for inner in 0..d.inner_y * d.inner_x {
                let token = self.token(block, inner);
                let drives = self.drives(&job, token)?;
                if self.op == Op::Readout {
                    for (logit, drive) in logits.iter_mut().zip(&drives) {
                        *logit += drive.iter().sum::<i64>();
                    }
                } else {
                    let starts = self.starts(&job, inner)?;
                    let spikes: Vec<u64> = (0..self.lanes)
                        .map(|l| {
                            let lane = &mut job.lane[l];
                            let connected = self.op != Op::Scores || connected(token, lane.flags, d);
                            let drives = match self.op {
                                Op::Analog => Drives::Constant(drives[l][0]),
                                _ => Drives::Each(&drives[l]),
                            };
                            lane.spikes(d, starts[l], &drives, index, connected)
                        })
                        .collect();
                    self.counters.spikes += spikes.iter().map(|s| u64::from(s.count_ones())).sum::<u64>();
                    let base = self.output_address(&job, token);
                    for chunk in 0..d.time_steps.div_ceil(8) {
                        let row = spikes.iter().map(|s| (s >> (8 * chunk)) as u8);
                        self.store(&job, base + u64::from(chunk) * u64::from(d.output_chunk_stride), row)?;
                    }
                }
                index += 1;
            }
        }
        if self.op == Op::Readout {
            let base = u64::from(d.output_base) + u64::from(job.group) * u64::from(d.output_group_stride);
            for plane in 0..LOGIT_BYTES {
                let row = logits.iter().map(|logit| (logit >> (8 * plane)) as u8);
                self.store(&job, base + u64::from(plane) * u64::from(d.output_chunk_stride), row)?;
            }
        }
        Ok(())
    }

    /// Writes the tile's part of an output row that starts at `base`.
    fn store(&mut self, job: &Job, base: u64, row: impl Iterator<Item = u8>) -> Result<(), Stop> {
        let start = job.tile as usize * self.lanes;
        let length = (self.d.output_words as usize * 8).saturating_sub(start).min(self.lanes);
        let bytes: Vec<u8> = row.take(length).collect();
        self.memory.write(base + start as u64, &bytes)
    }

    fn token(&self, block: u32, inner: u32) -> Token {
        let d = self.d;
        let (block_y, block_x) = (block / d.blocks_x, block % d.blocks_x);
        let (y, x) = (inner / d.inner_x, inner % d.inner_x);
        let row_band = d.shift > 0 && block_y == d.blocks_y - 1 && y >= d.inner_y - d.shift;
        let column_band = d.shift > 0 && block_x == d.blocks_x - 1 && x >= d.inner_x - d.shift;
        Token { block_y, block_x, y, x, row_band, column_band }
    }

    fn input_address(&self, base: u32, group: u32, t: Token) -> u64 {
        let d = self.d;
        let sum = u64::from(base)
            + u64::from(group) * u64::from(d.input_group_stride)
            + u64::from(t.block_y) * u64::from(d.input_block_y_stride)
            + u64::from(t.block_x) * u64::from(d.input_block_x_stride)
            + u64::from(t.y) * u64::from(d.input_y_stride)
            + u64::from(t.x) * u64::from(d.input_x_stride);
        // Addresses are 32 bits wide and wrap around.
        let wrap_y = if t.row_band { u64::from(d.input_wrap_y) } else { 0 };
        let wrap_x = if t.column_band { u64::from(d.input_wrap_x) } else { 0 };
        sum.wrapping_sub(wrap_y).wrapping_sub(wrap_x) & 0xffff_ffff
    }

    fn output_address(&self, job: &Job, t: Token) -> u64 {
        let d = self.d;
        let sum = u64::from(d.output_base)
            + u64::from(job.group) * u64::from(d.output_group_stride)
            + u64::from(t.block_y) * u64::from(d.output_block_y_stride)
            + u64::from(t.block_x) * u64::from(d.output_block_x_stride)
            + u64::from(t.y) * u64::from(d.output_y_stride)
            + u64::from(t.x) * u64::from(d.output_x_stride);
        let wrap_y = if t.row_band { u64::from(d.output_wrap_y) } else { 0 };
        let wrap_x = if t.column_band { u64::from(d.output_wrap_x) } else { 0 };
        sum.wrapping_sub(wrap_y).wrapping_sub(wrap_x) & 0xffff_ffff
    }

    /// What each lane's accumulator starts from for token `inner` of a block.
    fn starts(&self, job: &Job, inner: u32) -> Result<Vec<i64>, Stop> {
        if self.op != Op::Scores {
            return Ok(job.lane.iter().map(|lane| lane.bias).collect());
        }
        let queries = u64::from(self.d.inner_y * self.d.inner_x);
        let block = u64::from(job.group) * u64::from(self.d.tiles) + u64::from(job.tile);
        let row_bytes = 2 * self.lanes;
        let row = u64::from(self.d.bias_base) + (block * queries + u64::from(inner)) * row_bytes as u64;
        let bytes = self.memory.read(row, row_bytes)?;
        Ok(bytes.chunks_exact(2).map(|b| i64::from(i16::from_le_bytes([b[0], b[1]]))).collect())
    }

    /// What the inputs of one token add to each lane in each time step (for `analog`: in the first, which stands for all).
    fn drives(&mut self, job: &Job, token: Token) -> Result<Vec<Vec<i64>>, Stop> {
        let d = self.d;
        let mut drives = vec![vec![0i64; d.time_steps as usize]; self.lanes];
        for chunk in 0..d.chunks {
            let mut entry = 0;
            for segment in 0..d.segments as usize {
                let address = self.input_address(d.segment_bases[segment], job.group, token)
                    + u64::from(chunk) * u64::from(d.input_chunk_stride);
                let row = self.memory.read(address, d.segment_words as usize * 8)?;
                if self.op == Op::Shortcut {
                    let own = row.get(job.tile as usize * self.lanes..).unwrap_or_default();
                    let weights = &job.matrix[segment * self.lanes..];
                    for (lane, &byte) in own.iter().take(self.lanes).enumerate() {
                        add_spikes(&mut drives[lane], chunk, byte, i64::from(weights[lane] as i8));
                    }
                    let union = own.iter().take(self.lanes).fold(0, |a, b| a | self.effort(*b));
                    self.counters.events += u64::from(union.count_ones());
                    continue;
                }
                let row = row.to_vec();
                for byte in row {
                    self.counters.events += match self.op {
                        Op::Analog => u64::from(byte.count_ones()),
                        _ => u64::from(self.effort(byte).count_ones()),
                    };
                    if byte != 0 {
                        self.add_entry(job, &mut drives, chunk, entry, byte);
                    }
                    entry += 1;
                }
            }
        }
        Ok(drives)
    }

    /// The bits of an input byte that take a cycle each: spikes for `if`, bits of the spike count for merged events, one for a
    /// byte of merged attention.
    fn effort(&self, byte: u8) -> u8 {
        match () {
            () if self.op != Op::Readout && self.d.neuron == Neuron::If as u32 => byte,
            () if self.op.is_attention() => u8::from(byte != 0),
            () => byte.count_ones() as u8,
        }
    }

    /// Adds entry `entry` of a chunk's input row to all lanes.
    fn add_entry(&self, job: &Job, drives: &mut [Vec<i64>], chunk: u32, entry: usize, byte: u8) {
        let row = if self.op.is_attention() { chunk as usize * self.entries() + entry } else { entry };
        let Some(weights) = job.matrix.get(row * self.lanes..(row + 1) * self.lanes) else { return };
        for (drive, &weight) in drives.iter_mut().zip(weights) {
            match self.op {
                Op::Analog => drive[0] += i64::from(byte) * i64::from(weight as i8),
                Op::Scores | Op::Context => add_spikes(drive, chunk, byte & weight, 1 << self.d.fraction),
                _ => add_spikes(drive, chunk, byte, i64::from(weight as i8)),
            }
        }
    }
}

/// Adds `weight` in every time step of `chunk` whose spike is in `byte`. Bits beyond the last time step count for nothing.
fn add_spikes(drive: &mut [i64], chunk: u32, byte: u8, weight: i64) {
    for (t, drive) in drive.iter_mut().skip(8 * chunk as usize).take(8).enumerate() {
        if byte >> t & 1 == 1 {
            *drive += weight;
        }
    }
}

/// Whether a query's token and a lane's key lie in the same regions of a shifted window.
fn connected(query: Token, key: u16, d: &Descriptor) -> bool {
    let last_row = query.block_y == d.blocks_y - 1;
    let last_column = query.block_x == d.blocks_x - 1;
    let same_row = !last_row || query.row_band == (key & flag::ROW_BAND != 0);
    let same_column = !last_column || query.column_band == (key & flag::COLUMN_BAND != 0);
    same_row && same_column
}
