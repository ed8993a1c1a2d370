//! `spike_scanner` with `spike_buffer`: rows in, every active entry out exactly once and in order.

use std::collections::VecDeque;

use isa::{CoreConfig, MAX_SEGMENTS};
use tests::random::Random;

use crate::device::{Device, small_cores};
use crate::scanner_bench::scanner_bench;

/// How a layer's rows are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    /// `if` neurons: every time step is handed over.
    Steps,
    /// Merged events: the bits of spike counts.
    Counts,
    /// `two_phase`, step by step: only steps with a spike.
    StepEvents,
    /// Multi-bit inputs: their bit planes.
    Analog,
    /// Merged attention: bytes that are not zero.
    WholeBytes,
}

/// A layer as the scanner sees it.
#[derive(Clone, Copy, Debug)]
struct Layer {
    walk: Walk,
    /// A shortcut: entries are segments, of which each lane reads its own byte.
    wide: bool,
    /// A readout: one sum a job.
    one_sum: bool,
    /// `scores` or `context`: one set of matrix rows a chunk.
    attention: bool,
    scores: bool,
    /// Time steps in the last chunk of a token.
    tail_steps: u32,
    /// 64-bit words of a segment.
    segment_words: usize,
}

impl Layer {
    /// A layer of any kind whose segments have at most `most_words` words in beats of `beat_words`.
    fn random(random: &mut Random, beat_words: usize, lanes: usize, most_words: usize) -> Layer {
        let kind = random.size(0, 4);
        let attention = kind == 1;
        let walks: &[Walk] = match kind {
            0 => &[Walk::Steps, Walk::Counts, Walk::StepEvents],
            1 => &[Walk::Steps, Walk::WholeBytes, Walk::StepEvents],
            2 => &[Walk::Steps, Walk::Counts, Walk::StepEvents],
            3 => &[Walk::Analog],
            _ => &[Walk::Counts, Walk::StepEvents],
        };
        let most_words = if kind == 2 { lanes / 8 } else { most_words };
        Layer {
            walk: random.pick(walks),
            wide: kind == 2,
            one_sum: kind == 4,
            attention,
            scores: attention && random.chance(1, 2),
            tail_steps: random.size(1, 8) as u32,
            segment_words: beat_words * random.size(1, most_words / beat_words),
        }
    }
}

/// What is loaded for one chunk of one token.
#[derive(Clone, Debug)]
struct Row {
    /// The bytes, segment after segment.
    bytes: Vec<u8>,
    token_end: bool,
    job_end: bool,
}

impl Row {
    fn random(random: &mut Random, layer: &Layer, segments: usize, token_end: bool, job_end: bool) -> Row {
        let (part, whole) = random.pick(&[(0, 1), (1, 40), (1, 4), (1, 1)]);
        let steps = if token_end && layer.walk != Walk::Analog { layer.tail_steps } else { 8 };
        let byte = |random: &mut Random| if random.chance(part, whole) { random.bits() as u8 } else { 0 };
        let length = 8 * layer.segment_words * segments;
        let bytes = (0..length).map(|_| byte(random) & (0xff >> (8 - steps))).collect();
        Row { bytes, token_end, job_end }
    }
}

/// An event, without what a null event leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    job: usize,
    /// Matrix row, bit plane, power of two, time steps of the entry; `None` for a null event.
    entry: Option<(usize, u32, u32, u8)>,
    last: bool,
    job_scanned: bool,
    /// The query whose bias row is loaded.
    bias_row: Option<u64>,
    /// A shortcut's bytes, one a lane of the segment.
    own: Vec<u8>,
}

/// All events of a layer, from the text of `spike_scanner` and `spike_buffer`.
fn events(layer: &Layer, rows: &[Row]) -> Vec<Event> {
    let mut events = Vec::new();
    let (mut job, mut chunk, mut query) = (0, 0, 0);
    for row in rows {
        let base = if layer.attention { chunk * 8 * layer.segment_words } else { 0 };
        let stored = |byte: u8| if layer.walk == Walk::Counts { byte.count_ones() as u8 } else { byte };
        let bytes: Vec<u8> = row.bytes.iter().map(|&byte| stored(byte)).collect();
        let in_plane = |byte: u8, plane: u32| match layer.walk {
            Walk::WholeBytes => plane == 0 && byte != 0,
            _ => byte >> plane & 1 == 1,
        };
        let shift = |plane| if matches!(layer.walk, Walk::Steps | Walk::StepEvents) { 0 } else { plane };
        let active = |plane: u32| -> Vec<Option<(usize, u32, u32, u8)>> {
            if layer.wide {
                let segments = bytes.chunks(8 * layer.segment_words).enumerate();
                let active = segments.filter(|(_, segment)| segment.iter().any(|&b| in_plane(b, plane)));
                return active.map(|(k, _)| Some((base + k, plane, shift(plane), 1 << plane))).collect();
            }
            let active = bytes.iter().enumerate().filter(|(_, byte)| in_plane(**byte, plane));
            let steps = |byte: u8| if layer.walk == Walk::WholeBytes { byte } else { 1 << plane };
            active.map(|(i, &byte)| Some((base + i, plane, shift(plane), steps(byte)))).collect()
        };
        let every_step = if row.token_end { layer.tail_steps } else { 8 };
        let mut passes: Vec<Vec<_>> = match layer.walk {
            Walk::Steps => (0..every_step).map(active).collect(),
            _ => (0..8).map(active).filter(|pass| !pass.is_empty()).collect(),
        };
        if passes.is_empty() {
            passes.push(Vec::new());
        }
        let pass_count = passes.len();
        for (p, mut pass) in passes.into_iter().enumerate() {
            if pass.is_empty() {
                pass.push(None);
            }
            let entries = pass.len();
            for (e, entry) in pass.into_iter().enumerate() {
                let ends_pass = e + 1 == entries;
                let ends_token = ends_pass && p + 1 == pass_count && row.token_end;
                let ends_job = ends_token && row.job_end;
                let sum_complete = if layer.one_sum { ends_job } else { ends_token };
                let first_of_token = chunk == 0 && p == 0 && e == 0;
                let own = entry.filter(|_| layer.wide).map(|(segment, ..)| {
                    let start = 8 * layer.segment_words * (segment - base);
                    bytes[start..start + 8 * layer.segment_words].to_vec()
                });
                events.push(Event {
                    job,
                    entry,
                    last: sum_complete || (layer.walk == Walk::Steps && ends_pass),
                    job_scanned: ends_job,
                    bias_row: (layer.scores && first_of_token).then_some(query),
                    own: own.unwrap_or_default(),
                });
            }
        }
        chunk = if row.token_end { 0 } else { chunk + 1 };
        query = if row.token_end { query + 1 } else { query };
        if row.job_end {
            (job, query) = (job + 1, 0);
        }
    }
    events
}

/// Percentages of cycles in which the neighbours move.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// The array takes an event.
    advance: u64,
    /// A segment, a beat, the next job is there.
    arrive: u64,
}

const FULL_SPEED: Pace = Pace { advance: 100, arrive: 100 };

/// Cycles for which nothing more may come after a layer's last event.
const SILENCE: u64 = 40;
/// Most cycles without an event.
const PATIENCE: u64 = 4000;

struct Bench {
    device: Device,
    bus_bytes: usize,
    random: Random,
}

impl Bench {
    fn new(core: &CoreConfig, seed: u64) -> Bench {
        let device = Device::new(&scanner_bench(core));
        Bench { device, bus_bytes: core.bus_bytes() as usize, random: Random(seed) }
    }

    fn configure(&mut self, layer: &Layer) {
        let device = &mut self.device;
        for (port, value) in [
            ("step_mode", layer.walk == Walk::Steps),
            ("step_events", matches!(layer.walk, Walk::Steps | Walk::StepEvents)),
            ("whole_bytes", layer.walk == Walk::WholeBytes),
            ("count_spikes", layer.walk == Walk::Counts),
            ("wide", layer.wide),
            ("one_sum", layer.one_sum),
            ("is_attention", layer.attention),
            ("is_scores", layer.scores),
        ] {
            device.set(port, value);
        }
        device.set("tail_steps", layer.tail_steps);
        device.set("segment_words", layer.segment_words as u64);
        device.set("load_words", layer.segment_words as u64);
    }

    /// Feeds `rows` and returns the events that come, each with the cycle in which it was taken.
    fn run(&mut self, layer: &Layer, rows: &[Row], pace: Pace) -> Vec<(u64, Event)> {
        self.configure(layer);
        let mut queue = segments(layer, rows, self.bus_bytes);
        let jobs = rows.iter().filter(|row| row.job_end).count();
        let (mut started, mut scanned) = (0, 0);
        let mut announced = false;
        let mut events: Vec<(u64, Event)> = Vec::new();
        let mut own_bytes_due = false;
        let mut quiet = 0;
        while quiet < if scanned == jobs { SILENCE } else { PATIENCE } {
            let (device, random) = (&mut self.device, &mut self.random);
            announced = !queue.is_empty() && (announced || random.chance(pace.arrive, 100));
            let beat_there = announced && random.chance(pace.arrive, 100);
            device.set("segment_valid", announced);
            device.set("in_valid", beat_there);
            let noise = [random.bits().to_le_bytes(), random.bits().to_le_bytes()].concat();
            device.set_bytes("in_data", &noise);
            if let Some(segment) = queue.front() {
                device.set("segment_row_end", segment.row_end);
                device.set("segment_token_end", segment.token_end);
                device.set("segment_job_end", segment.job_end);
                if beat_there {
                    device.set_bytes("in_data", &segment.beats[0]);
                }
            }
            let start = started < jobs && started == scanned && random.chance(pace.arrive, 100);
            started += usize::from(start);
            device.set("job_start", start);
            let advance = random.chance(pace.advance, 100);
            device.set("advance", advance);
            device.cycle();
            quiet += 1;
            if beat_there && device.is("in_ready") {
                queue[0].beats.pop_front();
                if device.is("segment_ready") {
                    queue.pop_front();
                    announced = false;
                }
            }
            if let (true, Some((_, event))) = (std::mem::take(&mut own_bytes_due), events.last_mut()) {
                event.own = device.bytes("segment_data")[..8 * layer.segment_words].to_vec();
            }
            if advance && device.is("event_valid") {
                let event = self.taken(layer, scanned, started);
                own_bytes_due = layer.wide && event.entry.is_some();
                scanned += usize::from(event.job_scanned);
                events.push((self.device.cycles() - 1, event));
                quiet = 0;
            }
        }
        assert!(queue.is_empty(), "{} segments were not loaded", queue.len());
        assert!(self.device.is("waiting"), "no event is near, but the scanner does not say so");
        events
    }

    /// The event at the output.
    fn taken(&self, layer: &Layer, job: usize, started: usize) -> Event {
        assert!(job < started, "an event of job {job}, which was not started");
        let number = |port| self.device.get(port) as u32;
        let null = self.device.is("event_null");
        let row = number("event_row");
        assert!(!layer.wide || null || row == number("event_segment"), "a shortcut has one matrix row a segment");
        let entry = (row as usize, number("event_plane"), number("event_shift"), number("event_steps") as u8);
        Event {
            job,
            entry: (!null).then_some(entry),
            last: self.device.is("event_last"),
            job_scanned: self.device.is("job_scanned"),
            bias_row: self.device.is("load_bias_row").then_some(self.device.get("query")),
            own: Vec::new(),
        }
    }
}

/// A segment on its way into the buffer.
struct Segment {
    beats: VecDeque<Vec<u8>>,
    row_end: bool,
    token_end: bool,
    job_end: bool,
}

fn segments(layer: &Layer, rows: &[Row], bus_bytes: usize) -> VecDeque<Segment> {
    let of_row = |row: &Row| -> Vec<Segment> {
        let parts = row.bytes.chunks(8 * layer.segment_words);
        let last = parts.len() - 1;
        let segment = |(i, bytes): (usize, &[u8])| Segment {
            beats: bytes.chunks(bus_bytes).map(<[u8]>::to_vec).collect(),
            row_end: i == last,
            token_end: row.token_end,
            job_end: row.job_end,
        };
        parts.enumerate().map(segment).collect()
    };
    rows.iter().flat_map(of_row).collect()
}

/// The rows of one to three jobs of a random layer.
fn random_rows(random: &mut Random, layer: &Layer, core: &CoreConfig) -> Vec<Row> {
    let row_words = core.max_fan_in as usize / 8;
    let segments = match (layer.attention, layer.wide) {
        (true, _) => 1,
        (_, true) => random.size(1, MAX_SEGMENTS as usize),
        _ => random.size(1, (row_words / layer.segment_words).min(MAX_SEGMENTS as usize)),
    };
    let matrix_rows = core.weight_rows as usize / 8;
    let most_chunks = if layer.attention { matrix_rows / layer.segment_words } else { 8 };
    let chunks = if layer.walk == Walk::Analog { 1 } else { random.size(1, most_chunks.min(3)) };
    let (jobs, tokens) = (random.size(1, 3), random.size(1, 5));
    let mut rows = Vec::new();
    for _ in 0..jobs {
        for token in 0..tokens {
            for chunk in 0..chunks {
                let token_end = chunk + 1 == chunks;
                let job_end = token_end && token + 1 == tokens;
                rows.push(Row::random(random, layer, segments, token_end, job_end));
            }
        }
    }
    rows
}

#[test]
fn every_active_entry_comes_once_in_order_and_none_is_invented() {
    for (number, core) in small_cores().iter().enumerate() {
        let mut bench = Bench::new(core, 7);
        for seed in 0..300 {
            let mut random = Random(seed << 1 | number as u64);
            let row_words = core.max_fan_in as usize / 8;
            let beat_words = core.bus_bits as usize / 64;
            let layer = Layer::random(&mut random, beat_words, core.lanes as usize, row_words);
            let rows = random_rows(&mut random, &layer, core);
            let percent = [100, 100, 60, 15];
            let pace = Pace { advance: random.pick(&percent), arrive: random.pick(&percent) };
            let found: Vec<Event> = bench.run(&layer, &rows, pace).into_iter().map(|(_, e)| e).collect();
            let expected = events(&layer, &rows);
            let differs = (0..found.len().max(expected.len())).find(|&i| found.get(i) != expected.get(i));
            if let Some(i) = differs {
                panic!(
                    "seed {seed}, {} lanes, {layer:?}, {pace:?}: event {i} is {:?}, expected {:?}",
                    core.lanes,
                    found.get(i),
                    expected.get(i)
                );
            }
        }
    }
}

/// A layer at full speed, in one job: the number of beats a row, of events each row, and the cycles of the events.
fn full_speed(bench: &mut Bench, core: &CoreConfig, random: &mut Random) -> (usize, Vec<usize>, Vec<u64>) {
    let (beat_words, row_words) = (core.bus_bits as usize / 64, core.max_fan_in as usize / 8);
    let layer = Layer::random(random, beat_words, core.lanes as usize, row_words);
    let mut rows = random_rows(random, &layer, core);
    let count = rows.len();
    rows.iter_mut().enumerate().for_each(|(i, row)| row.job_end = i + 1 == count);
    let start = bench.device.cycles();
    let taken = bench.run(&layer, &rows, FULL_SPEED);
    let of_row = |row: &Row| events(&layer, std::slice::from_ref(row)).len();
    let cycles = taken.iter().map(|(cycle, _)| cycle - start).collect();
    (rows[0].bytes.len() / bench.bus_bytes, rows.iter().map(of_row).collect(), cycles)
}

#[test]
fn rows_that_take_longer_to_scan_than_to_load_follow_without_a_bubble() {
    for (number, core) in small_cores().iter().enumerate() {
        let mut bench = Bench::new(core, 8);
        let mut random = Random(100 + number as u64);
        let mut measured = 0;
        for case in 0..400 {
            let (beats, events, cycles) = full_speed(&mut bench, core, &mut random);
            let took = cycles.last().unwrap() - cycles[0] + 1;
            // A beat is marked two cycles after it arrives.
            if events.iter().all(|&count| count >= beats + 2) {
                assert_eq!(took, cycles.len() as u64, "case {case}: {events:?} events, {beats} beats a row");
                measured += 1;
            }
        }
        assert!(measured > 30, "only {measured} cases had rows long enough");
    }
}

/// Two cycles to mark a beat, then one a stage: pass, walk, read, bits, event.
const START_UP: u64 = 2 + 5;

#[test]
fn the_first_event_comes_one_cycle_a_stage_after_its_row() {
    for core in small_cores() {
        let mut bench = Bench::new(&core, 9);
        let mut random = Random(200);
        for case in 0..50 {
            let (beats, events, cycles) = full_speed(&mut bench, &core, &mut random);
            assert_eq!(cycles[0], beats as u64 + START_UP, "case {case}: {events:?} events, {beats} beats a row");
        }
    }
}
