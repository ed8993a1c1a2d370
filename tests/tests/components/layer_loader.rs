//! `layer_loader` (with its tables, checks and `key_loader`): what it requests, and what is in the buffers when it says so.

use std::collections::{BTreeMap, VecDeque};

use hdl::core::layer_loader::layer_loader;
use isa::layout::PARAMETER_ROWS;
use isa::pass::Segment;
use isa::{CoreConfig, Descriptor, ErrorCode, MAX_SEGMENTS, Op, Pass, Schedule, descriptor, pass};
use tests::random::Random;

use crate::device::{Device, small_cores};

/// Descriptor fields that the loader hands on in these tests.
const LAYER_FIELDS: [&str; 4] = ["op", "rotate", "output_base", "output_wrap_x"];
/// First of the bias rows in the parameter buffer.
const BIAS_START: usize = 64;
/// Most cycles in which nothing moves.
const PATIENCE: u64 = 4000;

/// A layer with its records.
#[derive(Debug)]
struct Layer {
    descriptor: Descriptor,
    passes: Vec<Pass>,
}

impl Layer {
    fn random(random: &mut Random, core: &CoreConfig) -> Layer {
        let op = random.pick(&[Op::Linear, Op::Linear, Op::Scores, Op::Context]);
        let time_steps = random.size(1, 16) as u32;
        let (lane_words, beat_words) = (core.lanes / 8, core.bus_bits / 64);
        let chunks = time_steps.div_ceil(8);
        let beats =
            |random: &mut Random, most: u32| beat_words * random.size(1, (most / beat_words) as usize) as u32;
        let keys = random.size(1, core.bias_rows as usize) as u32;
        let most_words = core.weight_rows / 8 / chunks;
        let (tiles, output_words, key_words, passes) = match op {
            Op::Linear => {
                let tiles = random.size(1, 3) as u32;
                let count = random.pick(&[1, 2, 3]);
                let words = lane_words * (tiles - 1) + beats(random, lane_words);
                let passes: Vec<Pass> = (0..count).map(|_| dense_or_diagonal(random, core, words)).collect();
                (tiles, words, 0, passes)
            }
            Op::Scores => {
                let words = beats(random, most_words.min(6));
                let output_words = keys.div_ceil(8).next_multiple_of(beat_words);
                (keys.div_ceil(core.lanes), output_words, words, vec![attention_pass(words)])
            }
            Op::Context => {
                let row = keys.div_ceil(8).next_multiple_of(beat_words).min(most_words);
                let words = beats(random, 3 * lane_words);
                (words.div_ceil(lane_words), words, words, vec![attention_pass(row)])
            }
        };
        let words_for = |pass: &Pass| Pass::words_for(pass.segments, core.bus_bytes());
        let mut place = || random.bits() as u32 & !7;
        let places = [place(), place(), place(), place(), place(), place(), place(), place()];
        let descriptor = Descriptor {
            op: op as u32,
            schedule: Schedule::AfterAll as u32,
            time_steps,
            tail_steps: (time_steps - 1) % 8 + 1,
            chunks,
            pass_words: passes.iter().map(words_for).max().unwrap_or(8),
            rotate: random.size(0, time_steps as usize - 1) as u32,
            rank: (0..time_steps).map(|_| random.size(0, 127) as u8).collect(),
            tiles,
            groups: random.size(1, 2) as u32,
            blocks_y: random.size(1, 2) as u32,
            blocks_x: random.size(1, 2) as u32,
            inner_y: random.size(1, 3) as u32,
            inner_x: random.size(1, 3) as u32,
            passes: passes.len() as u32,
            output_words,
            keys,
            key_words,
            parameter_base: places[0],
            pass_base: places[1],
            matrix_base: places[2],
            bias_base: places[3],
            matrix_group_stride: places[4],
            matrix_block_stride: places[5],
            matrix_token_stride: places[6],
            matrix_chunk_stride: places[7],
            output_base: random.bits() as u32,
            output_wrap_x: random.bits() as u32,
            weights_ready: random.size(0, 2) as u32,
            ..Descriptor::default()
        };
        Layer { descriptor, passes }
    }
}

/// A pass of any record, with all that the loader only hands on.
fn any_pass(random: &mut Random, segments: u32, segment_words: u32, diagonal: bool) -> Pass {
    let words: [u64; pass::WORDS] = std::array::from_fn(|_| random.bits());
    let segment = |random: &mut Random| Segment {
        base: random.bits() as u32,
        dy: random.size(0, 4095) as u32,
        dx: random.size(0, 4095) as u32,
    };
    Pass {
        diagonal: u32::from(diagonal),
        segments,
        segment_words,
        matrix_rows: if diagonal { segments } else { 8 * segments * segment_words },
        rows: random.size(1, 16383) as u32,
        columns: random.size(1, 16383) as u32,
        table: (0..segments).map(|_| segment(random)).collect(),
        ..Pass::from_words(&words)
    }
}

fn dense_or_diagonal(random: &mut Random, core: &CoreConfig, output_words: u32) -> Pass {
    let segments = random.size(1, MAX_SEGMENTS as usize) as u32;
    if random.chance(1, 3) {
        return any_pass(random, segments, output_words, true);
    }
    let row_words = core.max_fan_in / 8;
    let segments = segments.min(row_words);
    let words = random.size(1, (row_words / segments) as usize) as u32;
    any_pass(random, segments, words, false)
}

fn attention_pass(segment_words: u32) -> Pass {
    let segment = Segment { base: 0x1234_5678, dy: 0, dx: 0 };
    Pass { segments: 1, segment_words, rows: 1, columns: 1, table: vec![segment], ..Pass::default() }
}

/// A job in the order of evaluation, and where what it works with lies.
#[derive(Clone, Debug)]
struct Job {
    pass: usize,
    /// Its record is loaded with it; its parameters.
    record: Option<u32>,
    parameters: Option<u32>,
    /// `scores`: its tile's bias rows are loaded with it.
    bias: Option<u32>,
    matrix: u32,
    /// Attention: rows of K or V, and words of a row.
    keys: u32,
    words: u32,
}

/// The jobs of a layer.
fn jobs(layer: &Layer, core: &CoreConfig) -> Vec<Job> {
    let d = &layer.descriptor;
    let attention = d.op != Op::Linear as u32;
    let scores = d.op == Op::Scores as u32;
    let (mut jobs, mut blocks, mut matrix_bytes, mut bias_blocks) = (Vec::new(), 0, 0u32, 0);
    for group in 0..d.groups {
        for tile in 0..d.tiles {
            for pass in 0..d.passes as usize {
                let of_blocks = if attention { d.blocks_y * d.blocks_x } else { 1 };
                for block in 0..of_blocks {
                    let first_of_layer = jobs.is_empty();
                    let stored = d.matrix_base.wrapping_add(matrix_bytes);
                    let of_tile = if scores {
                        (tile * core.lanes).wrapping_mul(d.matrix_token_stride)
                    } else {
                        tile * core.lanes
                    };
                    let plane = [
                        group.wrapping_mul(d.matrix_group_stride),
                        of_tile,
                        block.wrapping_mul(d.matrix_block_stride),
                    ]
                    .into_iter()
                    .fold(d.matrix_base, u32::wrapping_add);
                    let new_parameters = attention || pass == 0;
                    let new_bias = scores && block == 0;
                    jobs.push(Job {
                        pass,
                        record: (d.passes > 1 || first_of_layer)
                            .then(|| d.pass_base.wrapping_add(8 * d.pass_words * pass as u32)),
                        parameters: new_parameters
                            .then(|| d.parameter_base.wrapping_add(2 * PARAMETER_ROWS * core.lanes * blocks)),
                        bias: new_bias
                            .then(|| d.bias_base.wrapping_add(2 * core.lanes * d.keys * bias_blocks)),
                        matrix: if attention { plane } else { stored },
                        keys: if scores { (d.keys - tile * core.lanes).min(core.lanes) } else { d.keys },
                        words: if scores {
                            d.key_words
                        } else {
                            d.key_words.saturating_sub(tile * core.lanes / 8).min(core.lanes / 8)
                        },
                    });
                    blocks += u32::from(new_parameters);
                    bias_blocks += u32::from(new_bias);
                    matrix_bytes = matrix_bytes.wrapping_add(layer.passes[pass].matrix_rows * core.lanes);
                }
            }
        }
    }
    jobs
}

/// What lies in memory: descriptors and records where they are, and elsewhere a number of each word's own.
struct Memory(BTreeMap<u32, u64>);

impl Memory {
    fn new(layers: &[Layer], descriptor_base: u32) -> Memory {
        let mut words = BTreeMap::new();
        let mut put = |at: u32, data: &[u64]| {
            (0u32..).zip(data).for_each(|(i, &word)| {
                words.insert(at.wrapping_add(8 * i), word);
            });
        };
        for (i, layer) in (0u32..).zip(layers) {
            put(descriptor_base + descriptor::BYTES as u32 * i, &layer.descriptor.to_words());
            for (p, pass) in (0u32..).zip(&layer.passes) {
                let at = layer.descriptor.pass_base.wrapping_add(8 * layer.descriptor.pass_words * p);
                put(at, &pass.to_words()[..layer.descriptor.pass_words as usize]);
            }
        }
        Memory(words)
    }

    fn word(&self, at: u32) -> u64 {
        self.0.get(&at).copied().unwrap_or_else(|| Random(u64::from(at)).bits())
    }

    fn byte(&self, at: u32) -> u8 {
        (self.word(at & !7) >> (8 * (at & 7))) as u8
    }
}

/// The requests of a run, each with its words.
fn requests(layers: &[Layer], descriptor_base: u32, core: &CoreConfig) -> VecDeque<(u32, u32)> {
    let mut all = VecDeque::new();
    for (i, layer) in (0u32..).zip(layers) {
        let d = &layer.descriptor;
        all.push_back((descriptor_base + descriptor::BYTES as u32 * i, descriptor::WORDS as u32));
        for job in jobs(layer, core) {
            all.extend(job.record.map(|at| (at, d.pass_words)));
            all.extend(job.parameters.map(|at| (at, PARAMETER_ROWS * core.lanes / 4)));
            all.extend(job.bias.map(|at| (at, d.keys * core.lanes / 4)));
            if d.op == Op::Linear as u32 {
                all.push_back((job.matrix, layer.passes[job.pass].matrix_rows * core.lanes / 8));
                continue;
            }
            for chunk in 0..d.chunks {
                for key in 0..job.keys {
                    let at =
                        [chunk.wrapping_mul(d.matrix_chunk_stride), key.wrapping_mul(d.matrix_token_stride)];
                    all.push_back((at.into_iter().fold(job.matrix, u32::wrapping_add), job.words));
                }
            }
        }
    }
    all
}

/// Where the array, and the fetcher, stand in the run.
#[derive(Default)]
struct Place {
    /// Layers and jobs that the array has worked off, and whether it has taken the next layer.
    layer: usize,
    jobs_done: usize,
    taken: bool,
    /// Jobs and parameter blocks of the whole run before, which say the banks.
    jobs: usize,
    blocks: usize,
    /// Records that the fetcher has taken of the layer, and the bank of the last.
    records: usize,
    bank: u64,
    /// The segment that was asked for in the cycle before, of the same record.
    asked: Option<usize>,
    /// A record was taken in the cycle before.
    just_taken: bool,
    loaded: usize,
}

struct Bench<'a> {
    device: Device,
    core: CoreConfig,
    random: Random,
    layers: &'a [Layer],
    memory: Memory,
    /// Bytes of the weight buffer by bank, row and lane; beats of the parameter buffer by row and beat.
    weights: BTreeMap<(u64, u64, usize), u8>,
    parameters: BTreeMap<(u64, usize), u8>,
    place: Place,
}

const DESCRIPTOR_BASE: u32 = 0x40;

impl<'a> Bench<'a> {
    fn new(core: &CoreConfig, layers: &'a [Layer], seed: u64) -> Bench<'a> {
        let device = Device::new(&layer_loader(core, &LAYER_FIELDS).unwrap());
        Bench {
            device,
            core: core.clone(),
            random: Random(seed),
            layers,
            memory: Memory::new(layers, DESCRIPTOR_BASE),
            weights: BTreeMap::new(),
            parameters: BTreeMap::new(),
            place: Place::default(),
        }
    }

    /// Works off a run; neighbours move in `percent` of the cycles.
    fn run(&mut self, percent: u64, case: &str) {
        let mut expected = requests(self.layers, DESCRIPTOR_BASE, &self.core);
        let mut beats: VecDeque<Vec<u8>> = VecDeque::new();
        let (mut there, mut quiet, mut completed) = (false, 0, 0u32);
        self.device.set("descriptor_base", DESCRIPTOR_BASE);
        self.device.set("descriptor_count", self.layers.len() as u64);
        while self.place.layer < self.layers.len() {
            let ready = self.random.chance(percent, 100);
            there = !beats.is_empty() && (there || self.random.chance(percent, 100));
            self.device.set("request_ready", ready);
            self.device.set("in_valid", there);
            self.device.set_bytes("in_data", if there { &beats[0] } else { &[0xa5; 16] });
            completed = (completed + u32::from(self.random.chance(1, 50))).min(2);
            self.device.set("layers_completed", completed);
            self.array(percent, case);
            quiet += 1;
            assert!(!self.device.is("error"), "{case}: refused with code {}", self.device.get("error_code"));
            if there && self.device.is("in_ready") {
                beats.pop_front();
                (there, quiet) = (false, 0);
            }
            if ready && self.device.is("request_valid") {
                let found =
                    (self.device.get("request_offset") as u32, self.device.get("request_words") as u32);
                assert_eq!(Some(found), expected.pop_front(), "{case}: a request of {:?}", self.layers);
                let bytes: Vec<u8> = (0..found.1)
                    .flat_map(|i| self.memory.word(found.0.wrapping_add(8 * i)).to_le_bytes())
                    .collect();
                beats.extend(bytes.chunks(self.core.bus_bytes() as usize).map(<[u8]>::to_vec));
                quiet = 0;
            }
            assert!(
                quiet < PATIENCE,
                "{case}: nothing moves; next request {:?} of {:?}",
                expected.front(),
                self.layers
            );
        }
        assert!(expected.is_empty(), "{case}: {} requests were not made", expected.len());
    }

    /// One cycle of the array and the fetcher beside the loader.
    fn array(&mut self, percent: u64, case: &str) {
        let Place { layer, taken, jobs_done, loaded, .. } = self.place;
        let random = &mut self.random;
        let now = &self.layers[layer];
        let records = jobs(now, &self.core).into_iter().filter(|job| job.record.is_some()).count();
        let takes_layer = !taken && self.device.is("layer_valid") && random.chance(percent, 100);
        let offered = self.device.is("pass_valid") && !self.place.just_taken;
        let takes_pass = taken && self.place.records < records && offered && random.chance(percent, 200);
        self.place.just_taken = takes_pass;
        let releases = taken && loaded > jobs_done && random.chance(percent, 400);
        // Ranks are answered in the same cycle, segments in the next.
        let index = random.size(0, 15);
        let slot = random.size(0, now.descriptor.time_steps as usize - 1);
        let device = &mut self.device;
        device.set("layer_taken", takes_layer);
        device.set("pass_taken", takes_pass);
        device.set("job_release", releases);
        device.set("layer_bank", layer as u64 & 1);
        device.set("segment_bank", self.place.bank);
        device.set("segment_index", index as u64);
        device.set("rank_index", slot as u64);
        self.device.cycle();
        self.write();
        if releases {
            self.check_job(case);
        }
        if takes_layer {
            self.check_layer(case);
            self.place.taken = true;
        }
        if taken {
            self.check_tables(index, slot, case);
        }
        if takes_pass {
            self.place.asked = None;
            self.check_record(case);
        }
        self.place.loaded += usize::from(self.device.is("job_loaded"));
        if releases {
            let all = jobs(&self.layers[layer], &self.core);
            let next = all.get(self.place.jobs_done + 1);
            self.place.jobs += 1;
            self.place.jobs_done += 1;
            self.place.blocks += usize::from(next.is_none_or(|job| job.parameters.is_some()));
            if next.is_none() {
                // Jobs of the next layer may be loaded already.
                self.place.loaded -= all.len();
                (self.place.layer, self.place.jobs_done, self.place.records, self.place.taken) =
                    (layer + 1, 0, 0, false);
            }
        }
    }

    /// Keeps what is written into the buffers.
    fn write(&mut self) {
        let data = self.device.bytes("matrix_data");
        let bus = self.core.bus_bytes() as usize;
        let words = self.device.get("matrix_words");
        let (bank, row) = (self.device.get("matrix_bank"), self.device.get("matrix_row"));
        for lane in (0..self.core.lanes as usize).filter(|lane| words >> (lane / 8) & 1 == 1) {
            self.weights.insert((bank, row, lane), data[lane % bus]);
        }
        if self.device.is("parameter_valid") {
            let (row, beat) = (self.device.get("parameter_row"), self.device.get("parameter_beat") as usize);
            (0..bus).for_each(|i| {
                self.parameters.insert((row, bus * beat + i), data[i]);
            });
        }
    }

    fn check_layer(&self, case: &str) {
        let words = self.layers[self.place.layer].descriptor.to_words();
        assert_eq!(self.device.get("index"), self.place.layer as u64, "{case}");
        for name in LAYER_FIELDS {
            let field = descriptor::field(name);
            let expected = words[field.word] >> field.lsb & field.largest();
            assert_eq!(self.device.get(&format!("layer_{name}")), expected, "{case}: `{name}`");
        }
    }

    /// The record that the fetcher takes.
    fn check_record(&mut self, case: &str) {
        let layer = &self.layers[self.place.layer];
        let words = layer.passes[self.place.records % layer.passes.len()].to_words();
        for field in pass::FIELDS {
            let expected = words[field.word] >> field.lsb & field.largest();
            assert_eq!(
                self.device.get(&format!("pass_{}", field.name)),
                expected,
                "{case}: `{}`",
                field.name
            );
        }
        self.place.records += 1;
        self.place.bank = self.device.get("pass_bank");
    }

    /// The segments of the last record that was taken, and the ranks of the layer in the array, while others arrive.
    fn check_tables(&mut self, index: usize, slot: usize, case: &str) {
        let asked = self.place.asked.replace(index);
        let layer = &self.layers[self.place.layer];
        assert_eq!(self.device.get("rank"), u64::from(layer.descriptor.rank[slot]), "{case}: rank {slot}");
        let (Some(index), Some(record)) = (asked, self.place.records.checked_sub(1)) else { return };
        let Some(segment) = layer.passes[record % layer.passes.len()].table.get(index) else { return };
        let found = ["base", "dy", "dx"].map(|name| self.device.get(&format!("segment_{name}")) as u32);
        assert_eq!(found, [segment.base, segment.dy, segment.dx], "{case}: segment {index}");
    }

    /// The buffers of the job that is done next: they must be complete, and stay.
    fn check_job(&self, case: &str) {
        let Place { layer, jobs_done, jobs: before, blocks, .. } = self.place;
        let (layer, lanes) = (&self.layers[layer], self.core.lanes as usize);
        let all = jobs(layer, &self.core);
        let job = &all[jobs_done];
        let bank = before as u64 & 1;
        let pass = &layer.passes[job.pass];
        let d = &layer.descriptor;
        for (name, expected) in [
            ("diagonal", pass.diagonal),
            ("shift", pass.shift),
            ("first_pass", u32::from(job.pass == 0)),
            ("last_pass", u32::from(job.pass + 1 == layer.passes.len())),
        ] {
            let found = self.device.get(&format!("job_{name}_{bank}"));
            assert_eq!(found, u64::from(expected), "{case}: `{name}` of {job:?}");
        }
        let weight = |row: u32, lane: usize| self.weights.get(&(bank, row.into(), lane)).copied();
        let parameter = |row: usize, byte: usize| self.parameters.get(&(row as u64, byte)).copied();
        let memory = |at: u32, i: usize| Some(self.memory.byte(at.wrapping_add(i as u32)));
        let parameters = all[..=jobs_done].iter().rev().find_map(|job| job.parameters).unwrap();
        for i in 0..PARAMETER_ROWS as usize * 2 * lanes {
            let found = parameter(16 * (blocks & 1) + i / (2 * lanes), i % (2 * lanes));
            assert_eq!(found, memory(parameters, i), "{case}: byte {i} of the parameters of {job:?}");
        }
        if d.op == Op::Linear as u32 {
            for i in 0..pass.matrix_rows as usize * lanes {
                let found = weight((i / lanes) as u32, i % lanes);
                assert_eq!(found, memory(job.matrix, i), "{case}: byte {i} of the weights of {job:?}");
            }
            return;
        }
        let scores = d.op == Op::Scores as u32;
        for (chunk, key, byte) in (0..d.chunks)
            .flat_map(|chunk| (0..job.keys).map(move |key| (chunk, key)))
            .flat_map(|(chunk, key)| (0..8 * job.words).map(move |byte| (chunk, key, byte)))
        {
            let first = chunk * 8 * pass.segment_words;
            let found =
                if scores { weight(first + byte, key as usize) } else { weight(first + key, byte as usize) };
            let at = job
                .matrix
                .wrapping_add(chunk.wrapping_mul(d.matrix_chunk_stride))
                .wrapping_add(key.wrapping_mul(d.matrix_token_stride));
            assert_eq!(
                found,
                memory(at, byte as usize),
                "{case}: chunk {chunk}, key {key}, byte {byte} of {job:?}"
            );
        }
        if let (true, Some(bias)) = (scores, all[..=jobs_done].iter().rev().find_map(|job| job.bias)) {
            let second = self.device.is(&format!("bias_bank_{bank}"));
            let first = BIAS_START + if second { self.core.bias_rows as usize } else { 0 };
            for i in 0..d.keys as usize * 2 * lanes {
                let found = parameter(first + i / (2 * lanes), i % (2 * lanes));
                assert_eq!(found, memory(bias, i), "{case}: byte {i} of the bias rows of {job:?}");
            }
        }
    }
}

#[test]
fn each_job_finds_its_record_parameters_and_matrix() {
    for (number, core) in small_cores().iter().enumerate() {
        for case in 0..25 {
            let mut random = Random(100 * number as u64 + case);
            let count = random.size(1, 3);
            let layers: Vec<Layer> = (0..count).map(|_| Layer::random(&mut random, core)).collect();
            let percent = random.pick(&[100, 100, 60, 20]);
            Bench::new(core, &layers, case).run(percent, &format!("{} lanes, case {case}", core.lanes));
        }
    }
}

/// A descriptor or a record that is refused stops the loader: no request follows.
#[test]
fn what_is_refused_stops_the_loader() {
    let core = &small_cores()[0];
    type Spoil = fn(&mut Layer);
    let spoils: [(Spoil, ErrorCode); 5] = [
        (|layer| layer.descriptor.op = 3, ErrorCode::BadOp),
        (|layer| layer.descriptor.rotate = layer.descriptor.time_steps, ErrorCode::BadTimeSteps),
        (|layer| layer.passes[0].rows = 0, ErrorCode::BadShape),
        (|layer| layer.passes[0].segments = 17, ErrorCode::BadSegments),
        (|layer| layer.descriptor.tiles = 100, ErrorCode::BadShape),
    ];
    for (number, (spoil, code)) in spoils.into_iter().enumerate() {
        let mut layer = Layer::random(&mut Random(number as u64), core);
        spoil(&mut layer);
        let layers = [layer];
        let mut bench = Bench::new(core, &layers, 5);
        bench.device.set("descriptor_base", DESCRIPTOR_BASE);
        bench.device.set("descriptor_count", 1u64);
        bench.device.set("layers_completed", 2u64);
        bench.device.set("request_ready", true);
        let mut beats: VecDeque<u64> = VecDeque::new();
        let (mut refused, mut after) = (None, 0);
        for _ in 0..60_000 {
            bench.device.set("in_valid", !beats.is_empty());
            bench.device.set_bytes("in_data", &beats.front().unwrap_or(&0).to_le_bytes());
            let takes = bench.device.is("pass_valid");
            bench.device.set("pass_taken", takes);
            let loaded = bench.device.is("job_loaded");
            bench.device.set("job_release", loaded);
            bench.device.cycle();
            if !beats.is_empty() && bench.device.is("in_ready") {
                beats.pop_front();
            }
            if bench.device.is("request_valid") {
                assert!(refused.is_none(), "{code:?}: a request follows");
                let (at, words) = (bench.device.get("request_offset"), bench.device.get("request_words"));
                beats.extend((0..words as u32).map(|i| bench.memory.word((at as u32).wrapping_add(8 * i))));
            }
            if bench.device.is("error") {
                refused = refused.or(Some(bench.device.get("error_code")));
            }
            after += u32::from(refused.is_some());
            if after == 200 {
                break;
            }
        }
        assert_eq!(refused, Some(code as u64), "{code:?}, {layers:?}");
    }
}
