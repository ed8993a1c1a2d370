//! One layer: its tiles, passes, jobs and sums.

use super::neuron::Lane;
use super::walk::Token;
use super::{Counters, Memory, Stop};
use isa::descriptor::Schedule;
use isa::layout::{LOGIT_BYTES, flag};
use isa::{Descriptor, Op, Pass};

/// Runs a layer whose descriptor and passes were accepted.
pub fn run(
    d: &Descriptor,
    op: Op,
    passes: &[Pass],
    lanes: usize,
    memory: &mut Memory,
    counters: &mut Counters,
) -> Result<(), Stop> {
    let block_bytes = Lane::block_bytes(lanes);
    let mut parameters = u64::from(d.parameter_base);
    let mut weights = u64::from(d.matrix_base);
    let mut layer = Layer { d, op, passes, lanes, memory, counters };
    for group in 0..d.groups {
        for tile in 0..d.tiles {
            let jobs = if op.is_attention() { d.blocks_y * d.blocks_x } else { 1 };
            for block in 0..jobs {
                let lane = Lane::block(layer.memory.read(parameters, block_bytes)?, lanes);
                parameters += block_bytes as u64;
                let tile = Tile { group, tile, lane };
                if op.is_attention() {
                    layer.attend(tile, block)?;
                } else {
                    weights = layer.add_up(tile, weights)?;
                }
            }
        }
    }
    Ok(())
}

struct Layer<'a> {
    d: &'a Descriptor,
    op: Op,
    passes: &'a [Pass],
    lanes: usize,
    memory: &'a mut Memory,
    counters: &'a mut Counters,
}

/// What runs on one set of parameters.
struct Tile {
    group: u32,
    tile: u32,
    lane: Vec<Lane>,
}

/// One token's accumulators, lane by lane: one each, or (each step) one a time step.
type Sums = Vec<Vec<i64>>;

impl Layer<'_> {
    fn each_step(&self) -> bool {
        self.d.sum == 0 && self.d.schedule == Schedule::EachStep as u32
    }

    /// Accumulators that start from `bias`, one a lane.
    fn starts(&self, bias: impl Iterator<Item = i64>) -> Sums {
        let steps = if self.each_step() { self.d.time_steps as usize } else { 1 };
        bias.map(|bias| vec![bias; steps]).collect()
    }

    /// The tokens of all blocks in the order of evaluation, each with the index that `rotate` multiplies.
    fn tokens(&self) -> impl Iterator<Item = (Token, u32)> + use<> {
        let d = self.d.clone();
        let inner = d.inner_y * d.inner_x;
        (0..d.blocks_y * d.blocks_x * inner).map(move |n| {
            let index = if d.rotate_by_block == 1 { n % inner } else { n };
            (Token::of(&d, n / inner, n % inner), index)
        })
    }

    /// A tile of a linear layer: all its passes over all its tokens. Takes the place of the tile's weights, returns that of the next one's.
    fn add_up(&mut self, mut tile: Tile, mut weights: u64) -> Result<u64, Stop> {
        let mut kept: Vec<Sums> = Vec::new();
        let mut logits = self.starts(tile.lane.iter().map(|lane| lane.bias));
        for (number, pass) in self.passes.iter().enumerate() {
            let bytes = pass.matrix_rows as usize * self.lanes;
            let matrix = self.memory.read(weights, bytes)?.to_vec();
            weights += bytes as u64;
            for (n, (token, index)) in self.tokens().enumerate() {
                if self.d.sum == 1 {
                    self.gather(&mut logits, pass, &matrix, &tile, token)?;
                    continue;
                }
                let start = || self.starts(tile.lane.iter().map(|lane| lane.bias));
                let mut sums = kept.get_mut(n).map_or_else(start, std::mem::take);
                self.gather(&mut sums, pass, &matrix, &tile, token)?;
                if number + 1 == self.passes.len() {
                    self.fire(&mut tile, &sums, token, index)?;
                } else if number == 0 {
                    kept.push(sums);
                } else {
                    kept[n] = sums;
                }
            }
        }
        if self.d.sum == 1 {
            self.store_logits(&tile, &logits)?;
        }
        Ok(weights)
    }

    /// A job of an attention layer: the queries of one block against its keys or values.
    fn attend(&mut self, mut tile: Tile, block: u32) -> Result<(), Stop> {
        let (pass, inner) = (&self.passes[0], self.d.inner_y * self.d.inner_x);
        let matrix = self.spike_matrix(&tile, block)?;
        for n in 0..inner {
            let token = Token::of(self.d, block, n);
            let bias = self.query_bias(&tile, n)?;
            let mut sums = self.starts(bias.into_iter());
            self.gather(&mut sums, pass, &matrix, &tile, token)?;
            let index = if self.d.rotate_by_block == 1 { n } else { block * inner + n };
            self.fire(&mut tile, &sums, token, index)?;
        }
        Ok(())
    }

    /// What each lane's accumulator starts from for query `query` of a block.
    fn query_bias(&self, tile: &Tile, query: u32) -> Result<Vec<i64>, Stop> {
        if self.op == Op::Context {
            return Ok(tile.lane.iter().map(|lane| lane.bias).collect());
        }
        let queries = u64::from(self.d.inner_y * self.d.inner_x);
        let block = u64::from(tile.group) * u64::from(self.d.tiles) + u64::from(tile.tile);
        let row_bytes = 2 * self.lanes;
        let row = u64::from(self.d.bias_base) + (block * queries + u64::from(query)) * row_bytes as u64;
        let bytes = self.memory.read(row, row_bytes)?;
        Ok(bytes.chunks_exact(2).map(|b| i64::from(i16::from_le_bytes([b[0], b[1]]))).collect())
    }

    /// Rows of the spike matrix in one chunk: what the entries of an input row are.
    fn entries(&self) -> usize {
        self.passes[0].segment_words as usize * 8
    }

    /// K or V of one block, one byte a lane: the rows of chunk 0, then of chunk 1 and so on; row `i` of a chunk belongs to entry `i` of the
    /// input row.
    fn spike_matrix(&self, tile: &Tile, block: u32) -> Result<Vec<u8>, Stop> {
        let d = self.d;
        let mut matrix = Vec::new();
        for chunk in 0..d.chunks {
            let base = u64::from(d.matrix_base)
                + u64::from(tile.group) * u64::from(d.matrix_group_stride)
                + u64::from(block) * u64::from(d.matrix_block_stride)
                + u64::from(chunk) * u64::from(d.matrix_chunk_stride);
            let rows: Vec<&[u8]> = (0..d.keys)
                .map(|token| base + u64::from(token) * u64::from(d.matrix_token_stride))
                .map(|address| self.memory.read(address, d.key_words as usize * 8))
                .collect::<Result<_, _>>()?;
            for entry in 0..self.entries() {
                for lane in 0..self.lanes {
                    let across = tile.tile as usize * self.lanes + lane;
                    let (token, byte) = if self.op == Op::Scores { (across, entry) } else { (entry, across) };
                    matrix.push(rows.get(token).and_then(|row| row.get(byte)).copied().unwrap_or(0));
                }
            }
        }
        Ok(matrix)
    }

    /// Adds what one token reads in one pass to its accumulators. `matrix` has one byte a lane in each row: weights or spikes.
    fn gather(
        &mut self,
        sums: &mut Sums,
        pass: &Pass,
        matrix: &[u8],
        tile: &Tile,
        token: Token,
    ) -> Result<(), Stop> {
        for chunk in 0..self.d.chunks {
            for segment in 0..pass.segments as usize {
                let Some(address) = token.input(self.d, pass, segment, tile.group, chunk) else { continue };
                if pass.diagonal == 1 {
                    let weights = &matrix[segment * self.lanes..][..self.lanes];
                    self.gather_own(sums, pass, weights, tile, chunk, address)?;
                    continue;
                }
                let bytes = pass.segment_words as usize * 8;
                let row = self.memory.read(address.into(), bytes)?.to_vec();
                for (entry, byte) in row.into_iter().enumerate().map(|(i, byte)| (segment * bytes + i, byte))
                {
                    self.counters.events += u64::from(self.effort(byte).count_ones());
                    let entry =
                        if self.op.is_attention() { chunk as usize * self.entries() + entry } else { entry };
                    let weights = matrix.get(entry * self.lanes..(entry + 1) * self.lanes);
                    for (sum, &weight) in sums.iter_mut().zip(weights.unwrap_or_default()) {
                        self.add(sum, pass, chunk, byte, weight);
                    }
                }
            }
        }
        Ok(())
    }

    /// A segment of a diagonal pass: each lane reads its own byte.
    fn gather_own(
        &mut self,
        sums: &mut Sums,
        pass: &Pass,
        weights: &[u8],
        tile: &Tile,
        chunk: u32,
        address: u32,
    ) -> Result<(), Stop> {
        let first = tile.tile as usize * self.lanes;
        let length = (pass.segment_words as usize * 8).saturating_sub(first).min(self.lanes);
        let own = self.memory.read(address.wrapping_add(first as u32).into(), length)?.to_vec();
        let union = own.iter().fold(0, |union, &byte| union | self.effort(byte));
        self.counters.events += u64::from(union.count_ones());
        for ((sum, &byte), &weight) in sums.iter_mut().zip(&own).zip(weights) {
            self.add(sum, pass, chunk, byte, weight);
        }
        Ok(())
    }

    /// The bits of an input byte that take a cycle each: of bytes their bits, of spikes the spikes step by step, the bits of the spike count
    /// where they are merged, and one for a byte of merged attention.
    fn effort(&self, byte: u8) -> u8 {
        match () {
            () if self.d.bytes == 1 || self.each_step() || self.d.step_events == 1 => byte,
            () if self.op.is_attention() => u8::from(byte != 0),
            () => byte.count_ones() as u8,
        }
    }

    /// Adds one input byte of a chunk to one lane's accumulators. Spikes beyond the last time step count for nothing.
    fn add(&self, sums: &mut [i64], pass: &Pass, chunk: u32, byte: u8, weight: u8) {
        let product = i64::from(weight as i8) << pass.shift;
        if self.d.bytes == 1 {
            sums.iter_mut().for_each(|sum| *sum += product * i64::from(byte));
            return;
        }
        let (spikes, product) = match self.op {
            Op::Linear => (byte, product),
            Op::Scores | Op::Context => (byte & weight, 1 << self.d.fraction),
        };
        let first = 8 * chunk;
        for t in (first..self.d.time_steps.min(first + 8)).filter(|t| spikes >> (t - first) & 1 == 1) {
            sums[if self.each_step() { t as usize } else { 0 }] += product;
        }
    }

    /// The neurons of one token.
    fn fire(&mut self, tile: &mut Tile, sums: &Sums, token: Token, index: u32) -> Result<(), Stop> {
        let d = self.d;
        let scores = self.op == Op::Scores;
        let lanes = tile.lane.iter_mut().zip(sums);
        let spikes: Vec<u64> = lanes
            .map(|(lane, sums)| {
                let connected = !scores || connected(token, lane.flags, d);
                lane.spikes(d, sums, index, connected)
            })
            .collect();
        self.counters.spikes += spikes.iter().map(|s| u64::from(s.count_ones())).sum::<u64>();
        for chunk in 0..d.time_steps.div_ceil(8) {
            let row = spikes.iter().map(|s| (s >> (8 * chunk)) as u8);
            self.store(tile, token.output(d, tile.group, chunk), row)?;
        }
        Ok(())
    }

    fn store_logits(&mut self, tile: &Tile, logits: &Sums) -> Result<(), Stop> {
        for plane in 0..LOGIT_BYTES {
            let row = logits.iter().map(|logit| (logit[0] >> (8 * plane)) as u8);
            let parts = [
                tile.group.wrapping_mul(self.d.output_group_stride),
                plane.wrapping_mul(self.d.output_chunk_stride),
            ];
            let base = parts.into_iter().fold(self.d.output_base, u32::wrapping_add);
            self.store(tile, base, row)?;
        }
        Ok(())
    }

    /// Writes the tile's part of an output row that starts at `base`.
    fn store(&mut self, tile: &Tile, base: u32, row: impl Iterator<Item = u8>) -> Result<(), Stop> {
        let start = tile.tile as usize * self.lanes;
        let length = (self.d.output_words as usize * 8).saturating_sub(start).min(self.lanes);
        let bytes: Vec<u8> = row.take(length).collect();
        self.memory.write(u64::from(base) + start as u64, &bytes)
    }
}

/// Whether a query's token and a lane's key lie in the same regions of a shifted window.
fn connected(query: Token, key: u16, d: &Descriptor) -> bool {
    let last_row = query.block.0 == d.blocks_y - 1;
    let last_column = query.block.1 == d.blocks_x - 1;
    let same_row = !last_row || query.row_band == (key & flag::ROW_BAND != 0);
    let same_column = !last_column || query.column_band == (key & flag::COLUMN_BAND != 0);
    same_row && same_column
}
