//! `input_fetcher` with `layer_tables`, against the loops of `isa::descriptor` and `isa::pass`.

use std::collections::VecDeque;
use std::rc::Rc;

use hdl::core::input_fetcher::input_fetcher;
use hdl::core::layer_tables::layer_tables;
use hdl::rtl::Module;
use isa::pass::Segment;
use isa::{CoreConfig, Descriptor, Field, Grid, MAX_SEGMENTS, Op, Pass, Taps, descriptor, pass};
use tests::random::Random;

use crate::device::{Device, add_inputs, connections, small_cores};

/// Records and completed layers in, requests and entries of the segment queue out.
fn fetcher_bench(config: &CoreConfig) -> Rc<Module> {
    let (fetcher, tables) = (input_fetcher(config).unwrap(), layer_tables(config).unwrap());
    let bench = Module::build("fetcher_bench", "Pass records in, requests out.", |m| {
        let bank = ("pass_bank".to_owned(), m.input("pass_bank", 1));
        let asked = ["segment_bank", "segment_index"].map(|name| {
            let port = tables.inputs().iter().find(|port| port.name == name).unwrap();
            (name.to_owned(), m.wire(&format!("asked_{name}"), port.width))
        });
        let mut inputs = vec![bank.clone()];
        inputs.extend(asked.iter().cloned());
        add_inputs(m, &tables, &mut inputs);
        let looked_up = m.instance("tables", &tables, &connections(&inputs));
        let mut inputs = vec![bank];
        let answers = fetcher.inputs().iter().filter(|p| tables.outputs().iter().any(|o| o.name == p.name));
        inputs.extend(answers.map(|port| (port.name.clone(), looked_up.output(&port.name))));
        add_inputs(m, &fetcher, &mut inputs);
        let fetches = m.instance("fetcher", &fetcher, &connections(&inputs));
        for (name, wire) in &asked {
            m.assign(wire, &fetches.output(name));
        }
        m.output("rank", &looked_up.output("rank"));
        for port in fetcher.outputs().iter().filter(|port| asked.iter().all(|(name, _)| *name != port.name)) {
            m.output(&port.name, &fetches.output(&port.name));
        }
    });
    bench.unwrap()
}

/// What enters the queue for a segment, and what is requested for it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fetched {
    words: u32,
    diagonal: bool,
    row_end: bool,
    token_end: bool,
    job_end: bool,
    /// Byte offset; `None`: it lies outside its source.
    offset: Option<u32>,
}

/// All segments of a layer, in order.
fn fetched(layer: &Descriptor, passes: &[Pass], lanes: u32) -> Vec<Fetched> {
    let mut all = Vec::new();
    let tiles = (0..layer.groups).flat_map(|group| (0..layer.tiles).map(move |tile| (group, tile)));
    for (group, tile) in tiles {
        for pass in passes {
            for (token, at) in tokens(layer).into_iter().enumerate() {
                for chunk in 0..layer.chunks {
                    for (s, segment) in pass.table.iter().enumerate() {
                        let row_end = s + 1 == pass.table.len();
                        let token_end = chunk + 1 == layer.chunks;
                        let last = token + 1 == tokens(layer).len();
                        let first = if pass.diagonal == 1 { tile * lanes } else { 0 };
                        let offset = [
                            offset(layer, pass, group, at),
                            segment.base,
                            chunk.wrapping_mul(pass.chunk_stride),
                            first,
                        ];
                        let offset = offset.into_iter().fold(0, u32::wrapping_add);
                        all.push(Fetched {
                            words: if pass.diagonal == 1 {
                                (layer.output_words - tile * lanes / 8).min(lanes / 8)
                            } else {
                                pass.segment_words
                            },
                            diagonal: pass.diagonal == 1,
                            row_end,
                            token_end,
                            job_end: token_end && (last || layer.op != Op::Linear as u32 && at.ends_block),
                            offset: is_inside(layer, pass, segment, at).then_some(offset),
                        });
                    }
                }
            }
        }
    }
    all
}

/// A token's place.
#[derive(Clone, Copy)]
struct Place {
    block: [u32; 2],
    inner: [u32; 2],
    ends_block: bool,
}

fn tokens(layer: &Descriptor) -> Vec<Place> {
    let mut tokens = Vec::new();
    for block_y in 0..layer.blocks_y {
        for block_x in 0..layer.blocks_x {
            for y in 0..layer.inner_y {
                for x in 0..layer.inner_x {
                    let ends_block = y + 1 == layer.inner_y && x + 1 == layer.inner_x;
                    tokens.push(Place { block: [block_y, block_x], inner: [y, x], ends_block });
                }
            }
        }
    }
    tokens
}

/// "Addresses" in `isa::descriptor`, without base and chunk.
fn offset(layer: &Descriptor, pass: &Pass, group: u32, at: Place) -> u32 {
    let strides = [pass.block_y_stride, pass.block_x_stride, pass.y_stride, pass.x_stride, pass.group_stride];
    let counts = [at.block[0], at.block[1], at.inner[0], at.inner[1], group];
    let offset =
        counts.into_iter().zip(strides).fold(0u32, |sum, (n, s)| sum.wrapping_add(n.wrapping_mul(s)));
    let band = |axis: usize, blocks: u32, inner: u32, wrap: u32| {
        let last = at.block[axis] + 1 == blocks && layer.shift > 0;
        if last && at.inner[axis] >= inner - layer.shift { wrap } else { 0 }
    };
    offset.wrapping_sub(band(0, layer.blocks_y, layer.inner_y, pass.wrap_y)).wrapping_sub(band(
        1,
        layer.blocks_x,
        layer.inner_x,
        pass.wrap_x,
    ))
}

/// "Positions" in `isa::pass`.
fn is_inside(layer: &Descriptor, pass: &Pass, segment: &Segment, at: Place) -> bool {
    let signed = |start: u32| i64::from((start << (32 - pass::START_BITS)) as i32 >> (32 - pass::START_BITS));
    let y = at.block[0] * layer.inner_y + at.inner[0];
    let x = at.block[1] * layer.inner_x + at.inner[1];
    let row = signed(pass.start_y) + i64::from(y * pass.step_y + segment.dy);
    let column = signed(pass.start_x) + i64::from(x * pass.step_x + segment.dx);
    (0..i64::from(pass.rows)).contains(&row) && (0..i64::from(pass.columns)).contains(&column)
}

/// Percentages of cycles in which the neighbours move.
#[derive(Clone, Copy, Debug)]
struct Pace {
    bus: u64,
    queue: u64,
    records: u64,
}

const FULL_SPEED: Pace = Pace { bus: 100, queue: 100, records: 100 };
/// Cycles for which nothing more may come after a layer's last segment.
const SILENCE: u64 = 30;
/// Most cycles without a segment.
const PATIENCE: u64 = 3000;

struct Bench {
    device: Device,
    core: CoreConfig,
    random: Random,
    bank: bool,
}

/// A record on its way to the fetcher: written beat by beat, then offered.
enum Record {
    Written(usize),
    Offered,
}

impl Bench {
    fn new(core: &CoreConfig, seed: u64) -> Bench {
        let device = Device::new(&fetcher_bench(core));
        Bench { device, core: core.clone(), random: Random(seed), bank: false }
    }

    /// Runs a layer and returns its segments, each with the cycle in which it entered the queue.
    fn run(&mut self, layer: &Descriptor, passes: &[Pass], pace: Pace) -> Vec<(u64, Fetched)> {
        self.device.set_fields("", descriptor::FIELDS, &layer.to_words());
        let mut records = records(layer, passes);
        let mut record = Record::Written(0);
        let mut completed = 0;
        let mut found = Vec::new();
        let mut quiet = 0;
        let mut start = true;
        let expected = fetched(layer, passes, self.core.lanes).len();
        while quiet < if found.len() == expected { SILENCE } else { PATIENCE } {
            self.offer(&records, &mut record, pace);
            let (device, random) = (&mut self.device, &mut self.random);
            device.set("layer_start", std::mem::take(&mut start));
            let may_read = completed >= layer.inputs_ready;
            device.set("layers_completed", completed);
            completed += u32::from(!may_read && random.chance(1, 4));
            let (bus, queue) = (random.chance(pace.bus, 100), random.chance(pace.queue, 100));
            device.set("request_ready", bus);
            device.set("segment_queue_ready", queue);
            device.cycle();
            quiet += 1;
            if device.is("pass_taken") {
                assert!(matches!(record, Record::Offered), "a record is taken that is not there");
                records.pop_front();
                record = Record::Written(0);
                self.bank = !self.bank;
            }
            let requested = device.is("request_valid") && bus;
            let enters = device.is("entry_valid") && queue;
            let segment = enters.then(|| self.entered(requested));
            assert!(segment.is_some() || !requested, "a request without an entry");
            assert!(segment.is_none() || may_read, "a segment is fetched before its layer has completed");
            if let Some(segment) = segment {
                found.push((self.device.cycles(), segment));
                quiet = 0;
            }
        }
        assert!(records.is_empty(), "{} records were not taken", records.len());
        found
    }

    /// The next record: its beats into the tables, then its fields to the fetcher.
    fn offer(&mut self, records: &VecDeque<&Pass>, record: &mut Record, pace: Pace) {
        let (device, random) = (&mut self.device, &mut self.random);
        device.set("pass_bank", self.bank);
        device.set("pass_received", false);
        let offered = matches!(record, Record::Offered) && !records.is_empty();
        device.set("pass_valid", offered);
        if offered {
            return;
        }
        // What is on its way looks like anything.
        let noise: [u64; pass::WORDS + 1] = std::array::from_fn(|_| random.bits());
        set_pass(device, &noise);
        let (Some(next), Record::Written(beat)) = (records.front(), &mut *record) else { return };
        if !random.chance(pace.records, 100) {
            return;
        }
        let words = next.to_words();
        let beat_words = self.core.bus_bits as usize / 64;
        let beats = Pass::words_for(next.segments, self.core.bus_bytes()) as usize / beat_words;
        if *beat < beats {
            let of_beat = &words[*beat * beat_words..][..beat_words];
            let bytes: Vec<u8> = of_beat.iter().flat_map(|word| word.to_le_bytes()).collect();
            device.set_bytes("data", &bytes);
            device.set("position", *beat as u64);
            device.set("pass_received", true);
            *beat += 1;
            return;
        }
        set_pass(device, &words);
        device.set("pass_valid", true);
        *record = Record::Offered;
    }

    /// The segment at the outputs.
    fn entered(&self, requested: bool) -> Fetched {
        let entry = self.device.get("entry");
        // As many bits of words as the longest segment needs.
        let words = u32::BITS - (self.core.max_fan_in / 8).max(self.core.lanes / 8).leading_zeros();
        let flag = |bit: u32| entry >> (words + bit) & 1 == 1;
        let fetched = Fetched {
            words: entry as u32 & ((1 << words) - 1),
            diagonal: flag(0),
            row_end: flag(2),
            token_end: flag(3),
            job_end: flag(4),
            offset: requested.then(|| self.device.get("request_offset") as u32),
        };
        assert_eq!(flag(1), !requested, "the entry says whether the segment was requested");
        if requested {
            assert_eq!(self.device.get("request_words") as u32, fetched.words, "the request's words");
        }
        fetched
    }

    fn check(&mut self, layer: &Descriptor, passes: &[Pass], pace: Pace, case: &str) -> Vec<(u64, Fetched)> {
        let found = self.run(layer, passes, pace);
        let expected = fetched(layer, passes, self.core.lanes);
        for (i, expected) in expected.iter().enumerate() {
            let found = found.get(i).map(|(_, segment)| segment);
            assert_eq!(found, Some(expected), "{case}: segment {i}, {layer:?}, {passes:?}, {pace:?}");
        }
        assert_eq!(found.len(), expected.len(), "{case}: segments, {layer:?}, {passes:?}");
        found
    }
}

/// Drives the fields of a record. The port `shift` is the layer's.
fn set_pass(device: &mut Device, words: &[u64]) {
    let fields: Vec<Field> = pass::FIELDS.iter().filter(|field| field.name != "shift").copied().collect();
    device.set_fields("", &fields, words);
}

/// The records in the order in which the loader hands them over: a layer of one pass has one.
fn records<'a>(layer: &Descriptor, passes: &'a [Pass]) -> VecDeque<&'a Pass> {
    let rounds = if passes.len() == 1 { 1 } else { layer.groups * layer.tiles };
    (0..rounds).flat_map(|_| passes).collect()
}

/// A layer of few tokens, with any strides.
fn random_layer(random: &mut Random, core: &CoreConfig) -> (Descriptor, Vec<Pass>) {
    let most = random.pick(&[1, 2, 3]);
    let mut count = |most: usize| random.size(1, most) as u32;
    let (blocks_y, blocks_x, inner_y, inner_x) = (count(most), count(most), count(3), count(3));
    let (tiles, groups, chunks) = (count(3), count(2), count(3));
    let op = random.pick(&[Op::Linear, Op::Linear, Op::Linear, Op::Scores, Op::Context]);
    let most_passes = if op == Op::Linear { 3 } else { 1 };
    let passes = random.size(1, most_passes);
    let lane_words = core.lanes / 8;
    let beat_words = core.bus_bits / 64;
    let layer = Descriptor {
        op: op as u32,
        tiles,
        groups,
        chunks,
        blocks_y,
        blocks_x,
        inner_y,
        inner_x,
        shift: random.size(0, inner_y.min(inner_x) as usize - 1) as u32,
        passes: passes as u32,
        output_words: lane_words * (tiles - 1)
            + beat_words * random.size(1, (lane_words / beat_words) as usize) as u32,
        inputs_ready: random.size(0, 3) as u32,
        ..Descriptor::default()
    };
    // All passes of a layer advance alike from group to group.
    let group_stride = random.bits() as u32;
    let passes = (0..passes).map(|_| Pass { group_stride, ..random_pass(random, op) }).collect();
    (layer, passes)
}

/// A pass of a small source, with any strides and with taps that may lie anywhere round it.
fn random_pass(random: &mut Random, op: Op) -> Pass {
    let most = random.pick(&[1, 3, MAX_SEGMENTS as usize]);
    let segments = random.size(1, most);
    let around = |random: &mut Random| random.between(-4, 3) as u32 & ((1 << pass::START_BITS) - 1);
    let tap = random.pick(&[0, 3, 6]);
    let segment = |random: &mut Random| Segment {
        base: random.bits() as u32,
        dy: random.size(0, tap) as u32,
        dx: random.size(0, tap) as u32,
    };
    let mut any = || random.bits() as u32;
    let strides = [any(), any(), any(), any(), any(), any(), any()];
    Pass {
        diagonal: u32::from(op == Op::Linear && random.chance(1, 3)),
        segments: segments as u32,
        segment_words: random.size(1, 16) as u32,
        start_y: around(random),
        start_x: around(random),
        rows: random.size(1, 9) as u32,
        columns: random.size(1, 9) as u32,
        step_y: random.size(0, 3) as u32,
        step_x: random.size(0, 3) as u32,
        block_y_stride: strides[0],
        block_x_stride: strides[1],
        y_stride: strides[2],
        x_stride: strides[3],
        wrap_y: strides[4],
        wrap_x: strides[5],
        chunk_stride: strides[6],
        table: (0..segments).map(|_| segment(random)).collect(),
        ..Pass::default()
    }
}

#[test]
fn every_segment_is_fetched_where_the_records_say() {
    for (number, core) in small_cores().iter().enumerate() {
        let mut bench = Bench::new(core, 20);
        let mut random = Random(number as u64);
        for case in 0..150 {
            let (layer, passes) = random_layer(&mut random, core);
            let percent = [100, 100, 60, 15];
            let [bus, queue, records] = [(); 3].map(|()| random.pick(&percent));
            bench.check(&layer, &passes, Pace { bus, queue, records }, &format!("case {case}"));
        }
    }
}

/// A convolution's taps read exactly the positions that [`Taps`] names: none outside, whatever the padding.
#[test]
fn a_convolution_reads_its_taps_and_nothing_outside() {
    let core = &small_cores()[0];
    let mut bench = Bench::new(core, 21);
    let mut random = Random(2);
    let mut absent = 0;
    for case in 0..120 {
        let kernel = random.size(1, 4);
        let taps = Taps::square(kernel, random.size(1, 3), random.size(0, kernel - 1));
        let source = Grid { rows: random.size(1, 6), columns: random.size(1, 6) };
        let Some(grid) = taps.grid(source) else { continue };
        let (layer, pass) = convolution(taps, source, grid);
        let found = bench.run(&layer, &[pass], FULL_SPEED);
        let offsets: Vec<Option<usize>> =
            found.into_iter().map(|(_, segment)| segment.offset.map(|o| (o - BASE) as usize / 8)).collect();
        let expected: Vec<Option<usize>> =
            (0..grid.tokens()).flat_map(|token| taps.positions(source, grid, token)).collect();
        absent += expected.iter().filter(|position| position.is_none()).count();
        assert_eq!(offsets, expected, "case {case}: {taps:?} on {source:?}");
    }
    assert!(absent > 500, "{absent} taps outside");
}

/// Where the plane of [`convolution`] begins.
const BASE: u32 = 1 << 16;

/// One dense pass over a plane of a word a position.
fn convolution(taps: Taps, source: Grid, grid: Grid) -> (Descriptor, Pass) {
    let start = |padding: usize| (padding as u32).wrapping_neg() & ((1 << pass::START_BITS) - 1);
    let offset = |y: usize, x: usize| (8 * (y * source.columns + x)) as u32;
    let from = BASE.wrapping_sub(offset(taps.rows.padding, taps.columns.padding));
    let taps_of = (0..taps.rows.kernel).flat_map(|dy| (0..taps.columns.kernel).map(move |dx| (dy, dx)));
    let segment =
        |(dy, dx)| Segment { base: from.wrapping_add(offset(dy, dx)), dy: dy as u32, dx: dx as u32 };
    let layer = Descriptor {
        tiles: 1,
        groups: 1,
        chunks: 1,
        blocks_y: 1,
        blocks_x: 1,
        inner_y: grid.rows as u32,
        inner_x: grid.columns as u32,
        passes: 1,
        output_words: 1,
        ..Descriptor::default()
    };
    let pass = Pass {
        segments: taps.count() as u32,
        segment_words: 1,
        start_y: start(taps.rows.padding),
        start_x: start(taps.columns.padding),
        rows: source.rows as u32,
        columns: source.columns as u32,
        step_y: taps.rows.stride as u32,
        step_x: taps.columns.stride as u32,
        y_stride: offset(taps.rows.stride, 0),
        x_stride: offset(0, taps.columns.stride),
        table: taps_of.map(segment).collect(),
        ..Pass::default()
    };
    (layer, pass)
}

#[test]
fn a_segment_takes_two_cycles_within_a_job_whether_it_is_requested_or_not() {
    let core = &small_cores()[1];
    let mut bench = Bench::new(core, 22);
    let mut random = Random(3);
    for case in 0..40 {
        let (layer, passes) = random_layer(&mut random, core);
        let found = bench.check(&layer, &passes, FULL_SPEED, &format!("case {case}"));
        for pair in found.windows(2).filter(|pair| !pair[0].1.job_end) {
            assert_eq!(pair[1].0 - pair[0].0, 2, "case {case}: {pair:?}");
        }
    }
}
