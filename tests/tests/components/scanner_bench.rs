//! `spike_buffer` and `spike_scanner`, wired as in the engine.

use std::collections::VecDeque;
use std::rc::Rc;

use hdl::core::spike_buffer::spike_buffer;
use hdl::core::spike_scanner::spike_scanner;
use hdl::rtl::{Expr, Module};
use isa::CoreConfig;
use tests::random::Random;

use crate::device::{Device, add_inputs, connections};

/// What the bench shows of the scanner.
const SHOWN: [&str; 12] = [
    "event_valid",
    "event_null",
    "event_last",
    "event_row",
    "event_plane",
    "event_shift",
    "event_steps",
    "event_segment",
    "load_bias_row",
    "query",
    "job_scanned",
    "waiting",
];

/// Inputs are rows of segments and `advance`, outputs events; `load_words` is the length of the segment being loaded.
fn scanner_bench(config: &CoreConfig) -> Rc<Module> {
    let (buffer, scanner) = (spike_buffer(config).unwrap(), spike_scanner(config).unwrap());
    let doc = "Input rows in, events out.";
    let bench = Module::build("scanner_bench", doc, |m| {
        let advance = m.input("advance", 1);
        let modes = [("whole_bytes".to_owned(), m.input("whole_bytes", 1))];
        // What the scanner asks of the buffer: all but one are called the same on both sides.
        let asked = scanner.outputs().iter().filter_map(|port| {
            let same = buffer.inputs().iter().any(|input| input.name == port.name);
            let input = if port.name == "event_segment" { "whole_index" } else { &port.name };
            (same || input != port.name).then(|| (port, input.to_owned()))
        });
        let asked: Vec<_> = asked
            .map(|(port, input)| {
                (port.name.as_str(), input, m.wire(&format!("asked_{}", port.name), port.width))
            })
            .collect();

        let mut inputs: Vec<(String, Expr)> = modes.to_vec();
        inputs.extend(asked.iter().map(|(_, input, wire)| (input.clone(), wire.clone())));
        inputs.push(("read_segment".to_owned(), advance.clone()));
        let words = buffer.inputs().iter().find(|port| port.name == "segment_words").unwrap();
        inputs.push(("segment_words".to_owned(), m.input("load_words", words.width)));
        add_inputs(m, &buffer, &mut inputs);
        let rows = m.instance("buffer", &buffer, &connections(&inputs));

        let mut inputs: Vec<(String, Expr)> = modes.to_vec();
        inputs.push(("advance".to_owned(), advance));
        let answers = scanner.inputs().iter().filter(|p| buffer.outputs().iter().any(|o| o.name == p.name));
        inputs.extend(answers.map(|port| (port.name.clone(), rows.output(&port.name))));
        add_inputs(m, &scanner, &mut inputs);
        let scan = m.instance("scanner", &scanner, &connections(&inputs));
        for (port, _, wire) in &asked {
            m.assign(wire, &scan.output(port));
        }
        for port in SHOWN {
            m.output(port, &scan.output(port));
        }
        for port in ["in_ready", "segment_ready", "segment_data"] {
            m.output(port, &rows.output(port));
        }
    });
    bench.unwrap()
}

/// How a layer's rows are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// `if` neurons: every time step is handed over.
    Steps,
    /// Merged events: the bits of spike counts.
    Counts,
    /// `two_phase`, step by step: only steps with a spike.
    StepEvents,
    /// Input bytes: their bit planes.
    Bytes,
    /// Merged attention: bytes that are not zero.
    WholeBytes,
}

/// A layer as the scanner sees it.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    pub walk: Walk,
    /// A readout: one sum a job.
    pub one_sum: bool,
    /// `scores` or `context`: one set of matrix rows a chunk.
    pub attention: bool,
    pub scores: bool,
    /// Time steps in the last chunk of a token.
    pub tail_steps: u32,
    /// 64-bit words of a segment (attention).
    pub segment_words: usize,
}

/// What is loaded for one chunk of one token in one pass.
#[derive(Clone, Debug)]
pub struct Row {
    /// The bytes of each segment; `None`: it lies outside its source and is not requested.
    pub segments: Vec<Option<Vec<u8>>>,
    /// 64-bit words of a segment.
    pub segment_words: usize,
    /// The pass is diagonal: entries are segments, of which each lane reads its own byte. All rows of a job are alike.
    pub diagonal: bool,
    pub token_end: bool,
    pub job_end: bool,
}

impl Row {
    /// Its bytes, with nothing where a segment is absent.
    pub fn bytes(&self) -> Vec<u8> {
        let nothing = vec![0; 8 * self.segment_words];
        self.segments.iter().flat_map(|segment| segment.as_ref().unwrap_or(&nothing)).copied().collect()
    }

    /// Cycles that it takes to load.
    pub fn cycles(&self, bus_bytes: usize) -> usize {
        let of_segment =
            |segment: &Option<Vec<u8>>| segment.as_ref().map_or(1, |bytes| bytes.len() / bus_bytes);
        self.segments.iter().map(of_segment).sum()
    }
}

/// An event, without what a null event leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub job: usize,
    /// Matrix row, bit plane, power of two, time steps of the entry; `None` for a null event.
    pub entry: Option<(usize, u32, u32, u8)>,
    pub last: bool,
    pub job_scanned: bool,
    /// The query whose bias row is loaded.
    pub bias_row: Option<u64>,
    /// A diagonal entry's bytes, one a lane of the segment.
    pub own: Vec<u8>,
}

/// Percentages of cycles in which the neighbours move.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The array takes an event.
    pub advance: u64,
    /// A segment, a beat, the next job is there.
    pub arrive: u64,
}

/// Cycles for which nothing more may come after a layer's last event.
const SILENCE: u64 = 40;
/// Most cycles without an event.
const PATIENCE: u64 = 4000;

pub struct Bench {
    pub device: Device,
    pub bus_bytes: usize,
    random: Random,
}

impl Bench {
    pub fn new(core: &CoreConfig, seed: u64) -> Bench {
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
            ("one_sum", layer.one_sum),
            ("is_attention", layer.attention),
            ("is_scores", layer.scores),
        ] {
            device.set(port, value);
        }
        device.set("tail_steps", layer.tail_steps);
        device.set("segment_words", layer.segment_words as u64);
    }

    /// Feeds `rows` and returns the events that come, each with the cycle in which it was taken.
    pub fn run(&mut self, layer: &Layer, rows: &[Row], pace: Pace) -> Vec<(u64, Event)> {
        self.configure(layer);
        let (mut queue, mut beats) = segments(rows, self.bus_bytes);
        let of_jobs: Vec<&Row> = rows.iter().filter(|row| row.job_end).collect();
        let jobs = of_jobs.len();
        let most_events: usize = rows.iter().map(|row| 8 * row.bytes().len() + 8).sum();
        let (mut started, mut scanned) = (0, 0);
        let mut announced = false;
        let mut events: Vec<(u64, Event)> = Vec::new();
        let mut own_bytes_due = false;
        let mut quiet = 0;
        while quiet < if scanned == jobs { SILENCE } else { PATIENCE } {
            let (device, random) = (&mut self.device, &mut self.random);
            announced = !queue.is_empty() && (announced || random.chance(pace.arrive, 100));
            let beat_there = !beats.is_empty() && random.chance(pace.arrive, 100);
            device.set("segment_valid", announced);
            device.set("in_valid", beat_there);
            let noise = [random.bits().to_le_bytes(), random.bits().to_le_bytes()].concat();
            device.set_bytes("in_data", &noise);
            if let (true, Some(beat)) = (beat_there, beats.front()) {
                device.set_bytes("in_data", beat);
            }
            if let Some(segment) = queue.front() {
                device.set("load_words", segment.words as u64);
                device.set("segment_diagonal", segment.diagonal);
                device.set("segment_absent", segment.absent);
                device.set("segment_row_end", segment.row_end);
                device.set("segment_token_end", segment.token_end);
                device.set("segment_job_end", segment.job_end);
            }
            let start = started < jobs && started == scanned && random.chance(pace.arrive, 100);
            if start {
                // The next job's rows may be in the buffer already, and of the other kind.
                device.set("wide", of_jobs[started].diagonal);
            }
            started += usize::from(start);
            device.set("job_start", start);
            let advance = random.chance(pace.advance, 100);
            device.set("advance", advance);
            device.cycle();
            quiet += 1;
            if beat_there && device.is("in_ready") {
                beats.pop_front();
            }
            if announced && device.is("segment_ready") {
                queue.pop_front();
                announced = false;
            }
            if let (true, Some((_, event))) = (std::mem::take(&mut own_bytes_due), events.last_mut()) {
                event.own = device.bytes("segment_data")[..8 * of_jobs[event.job].segment_words].to_vec();
            }
            if advance && device.is("event_valid") {
                let diagonal = of_jobs[scanned].diagonal;
                let event = self.taken(diagonal, scanned, started);
                own_bytes_due = diagonal && event.entry.is_some();
                scanned += usize::from(event.job_scanned);
                events.push((self.device.cycles() - 1, event));
                assert!(events.len() <= most_events, "events without end");
                quiet = 0;
            }
        }
        assert!(
            beats.is_empty() && queue.is_empty(),
            "{} beats, {} segments were not loaded",
            beats.len(),
            queue.len()
        );
        assert!(self.device.is("waiting"), "no event is near, but the scanner does not say so");
        events
    }

    /// The event at the output.
    fn taken(&self, diagonal: bool, job: usize, started: usize) -> Event {
        assert!(job < started, "an event of job {job}, which was not started");
        let number = |port| self.device.get(port) as u32;
        let null = self.device.is("event_null");
        let row = number("event_row");
        assert!(
            !diagonal || null || row == number("event_segment"),
            "a diagonal pass has one matrix row a segment"
        );
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

/// A segment that is announced to the buffer; its beats come on their own.
struct Segment {
    words: usize,
    diagonal: bool,
    absent: bool,
    row_end: bool,
    token_end: bool,
    job_end: bool,
}

/// The segments of these rows, and their beats.
fn segments(rows: &[Row], bus_bytes: usize) -> (VecDeque<Segment>, VecDeque<Vec<u8>>) {
    let of_row = |row: &Row| -> Vec<Segment> {
        let count = row.segments.len();
        let segment = |i: usize| Segment {
            words: row.segment_words,
            diagonal: row.diagonal,
            absent: row.segments[i].is_none(),
            row_end: i + 1 == count,
            token_end: row.token_end,
            job_end: row.job_end,
        };
        (0..count).map(segment).collect()
    };
    let present = rows.iter().flat_map(|row| row.segments.iter().flatten());
    let beats = present.flat_map(|bytes| bytes.chunks(bus_bytes)).map(<[u8]>::to_vec);
    (rows.iter().flat_map(of_row).collect(), beats.collect())
}
