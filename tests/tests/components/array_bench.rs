//! `neuron_control`, `if_neuron_array` and `sum_buffer`, wired as in the engine.

use std::collections::VecDeque;
use std::rc::Rc;

use hdl::core::if_neuron_array::if_neuron_array;
use hdl::core::neuron_control::neuron_control;
use hdl::core::sum_buffer::sum_buffer;
use hdl::rtl::{Expr, Module, mux};
use isa::layout::{PARAMETER_ROWS, flag, parameter_row};
use isa::{CoreConfig, MAX_TIME_STEPS, Op, Schedule};
use tests::random::Random;

use crate::device::{Device, add_inputs, connections};

/// Inputs that the engine reads from a buffer, with the width of each.
fn buffers(config: &CoreConfig) -> [(&'static str, u32); 3] {
    [("matrix_row", 8 * config.lanes), ("own_spikes", 8 * config.lanes), ("parameter_row", 16 * config.lanes)]
}

/// Events in, rows of spike bytes out. What the engine reads from its buffers with an event (matrix row, segment, bias row) comes with the event;
/// seeds that are taken anew come from `next_seed_low` and `next_seed_high`, after which a bias row that they replaced is read again.
fn array_bench(config: &CoreConfig) -> Rc<Module> {
    let (control, array) = (neuron_control(config).unwrap(), if_neuron_array(config).unwrap());
    let sums = sum_buffer(config).unwrap();
    let bench = Module::build("array_bench", "Events in, rows of spike bytes out.", |m| {
        let ranks = m.input("ranks", 8 * MAX_TIME_STEPS);
        let loads = m.input("loads", PARAMETER_ROWS);
        let index = control.outputs().iter().find(|port| port.name == "rank_index").unwrap();
        let rank_index = m.wire("asked_rank_index", index.width);
        let rank_now = ranks.slice_at(&rank_index, 8);
        m.unused(&rank_now.bit(7));
        let read_row = m.wire("read_row", PARAMETER_ROWS);
        let mut inputs = vec![
            ("rank_now".to_owned(), rank_now.slice(0, 7)),
            ("read_row_onehot".to_owned(), read_row.clone()),
        ];
        add_inputs(m, &control, &mut inputs);
        let paced = m.instance("control", &control, &connections(&inputs));
        m.assign(&rank_index, &paced.output("rank_index"));

        m.comment("Parameter rows: of a load, of the seeds, of a query.");
        let reseed = paced.output("reseed");
        let seeds = hdl::rtl::lit(1, PARAMETER_ROWS).shl_by(&paced.output("reseed_row"));
        m.assign(&read_row, &mux(&reseed.any(), &seeds, &loads));
        let advance = paced.output("advance");
        let event_bias_row = inputs.iter().find(|(name, _)| name == "event_bias_row").unwrap().1.clone();
        let of_query = m.named("of_query", &(event_bias_row & &advance));
        let again = paced.output("reread_bias");
        let read = m.named("read", &(loads.any() | reseed.any() | &of_query | &again));
        let mut inputs: Vec<(String, Expr)> = Vec::new();
        for (name, width) in buffers(config) {
            let mut next = m.input(&format!("next_{name}"), width);
            let mut enable = &advance;
            if name == "parameter_row" {
                let [low, high] = ["low", "high"].map(|half| m.input(&format!("next_seed_{half}"), width));
                let last = m.reg("last_bias_row", width);
                m.set_if(&last, &of_query, &next);
                next = mux(&reseed.bit(0), &low, &mux(&reseed.bit(1), &high, &mux(&again, &last, &next)));
                enable = &read;
            }
            let register = m.reg(name, width);
            m.set_if(&register, enable, &next);
            inputs.push((name.to_owned(), register));
        }
        inputs.push(("event_steps".to_owned(), paced.output("event_steps_1")));
        let partial_sums = m.wire("sums_to_keep", config.membrane_bits * config.lanes);
        let of_sums = [
            ("write_enable", paced.output("sum_write")),
            ("write_row", paced.output("sum_write_row")),
            ("write_data", partial_sums.clone()),
            ("read_enable", advance.clone()),
            ("read_row", paced.output("sum_read_row")),
        ];
        let kept = m.instance("sums", &sums, &of_sums);
        inputs.push(("sum_row".to_owned(), kept.output("sum_row")));
        let same = array.inputs().iter().filter(|p| control.outputs().iter().any(|o| o.name == p.name));
        inputs.extend(same.map(|port| (port.name.clone(), paced.output(&port.name))));
        add_inputs(m, &array, &mut inputs);
        let lanes = m.instance("array", &array, &connections(&inputs));
        m.assign(&partial_sums, &lanes.output("partial_sums"));
        for port in
            ["advance", "idle", "token_step", "bytes_valid", "bytes_last", "bytes_offset", "sums_full"]
        {
            m.output(port, &paced.output(port));
        }
        for port in ["spikes", "emitted", "transmitted"] {
            m.output(port, &lanes.output(port));
        }
    });
    bench.unwrap()
}

/// The parameters of one lane.
#[derive(Clone, Debug)]
pub struct Lane {
    pub bias: i32,
    pub theta: i32,
    pub v0: i32,
    pub seed: u32,
    /// `isa::layout::flag`.
    pub flags: u16,
}

/// An event, with what it reads.
#[derive(Clone, Debug)]
pub struct Event {
    pub null: bool,
    pub plane: u32,
    pub shift: u32,
    pub steps: u8,
    /// A byte a lane.
    pub matrix: Vec<u8>,
    pub own: Vec<u8>,
}

/// A token: its sums, each of one or more events, and where its output goes.
#[derive(Clone, Debug)]
pub struct Token {
    /// The events of each sum, pass by pass: `sums[pass][sum]`.
    pub sums: Vec<Vec<Vec<Event>>>,
    /// What a scores token starts from instead of the bias, a half-word a lane.
    pub bias_row: Vec<i16>,
    pub offset: u32,
    pub last_of_block: bool,
    pub row_split: bool,
    pub column_split: bool,
    pub row_band: bool,
    pub column_band: bool,
}

/// What a layer computes, from what, and when it fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Spikes and weights.
    Linear(Schedule),
    /// Bytes, constant over time, and weights.
    Bytes(Schedule),
    Scores(Schedule),
    Context(Schedule),
    /// A sum without a neuron: logits.
    Sum,
}

impl Kind {
    pub fn op(self) -> Op {
        match self {
            Kind::Linear(_) | Kind::Bytes(_) | Kind::Sum => Op::Linear,
            Kind::Scores(_) => Op::Scores,
            Kind::Context(_) => Op::Context,
        }
    }

    pub fn schedule(self) -> Schedule {
        match self {
            Kind::Linear(schedule)
            | Kind::Bytes(schedule)
            | Kind::Scores(schedule)
            | Kind::Context(schedule) => schedule,
            Kind::Sum => Schedule::AfterAll,
        }
    }

    /// Sums that each token hands over.
    pub fn sums(self, time_steps: u32) -> usize {
        let steps = self.schedule() == Schedule::EachStep && !matches!(self, Kind::Bytes(_));
        if steps { time_steps as usize } else { 1 }
    }
}

/// What the events of a pass count for.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    pub diagonal: bool,
    pub shift: u32,
}

/// What runs on one set of parameters.
#[derive(Clone, Debug)]
pub struct Job {
    pub kind: Kind,
    pub hard_reset: bool,
    pub time_steps: u32,
    pub rotate: u32,
    pub rotate_by_block: bool,
    /// `order[k]` is the slot of the k-th threshold step.
    pub order: Vec<u8>,
    pub mask_ratio: u8,
    pub mask_shared: bool,
    pub fraction: u32,
    pub passes: Vec<Pass>,
    pub lanes: Vec<Lane>,
    pub tokens: Vec<Token>,
}

/// A row of bytes for the packer: one a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub bytes: Vec<u8>,
    pub offset: u32,
    pub last: bool,
}

/// What a job sent.
#[derive(Debug, Default)]
pub struct Outcome {
    pub rows: Vec<Row>,
    /// Cycle in which each row was taken, from the start of the job.
    pub cycles: Vec<u64>,
    /// Spikes that were transmitted.
    pub spikes: u32,
    /// Cycles in which an event waited, of each pass.
    pub waits: Vec<u64>,
    /// Partial sums that found no row.
    pub unkept: u64,
}

/// Percentages of cycles in which the neighbours are ready.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub events: u64,
    pub packer: u64,
}

/// Cycles from a row's being taken to its bytes.
const LAG: u64 = 3;
/// Most cycles without an output.
const PATIENCE: u64 = 2000;

/// An event with its token, and whether it is the last of its sum, the first of its token.
type Presented<'a> = (usize, &'a Event, bool, bool);

/// The events of a pass, in order.
fn events(job: &Job, pass: usize) -> VecDeque<Presented<'_>> {
    let mut queue = VecDeque::new();
    for (n, token) in job.tokens.iter().enumerate() {
        for (s, sum) in token.sums[pass].iter().enumerate() {
            let count = sum.len();
            let events = sum.iter().enumerate();
            queue.extend(events.map(|(e, event)| (n, event, e + 1 == count, s == 0 && e == 0)));
        }
    }
    queue
}

pub struct Bench {
    device: Device,
    lanes: usize,
    random: Random,
}

impl Bench {
    pub fn new(core: &CoreConfig, seed: u64) -> Bench {
        Bench { device: Device::new(&array_bench(core)), lanes: core.lanes as usize, random: Random(seed) }
    }

    /// Runs one job, pass by pass, and returns what it sent, in order.
    pub fn run(&mut self, job: &Job, pace: Pace) -> Outcome {
        self.load(job);
        let mut outcome = Outcome::default();
        for pass in 0..job.passes.len() {
            self.begin(job, pass);
            self.pass(job, pass, pace, &mut outcome);
            assert!(pass + 1 == job.passes.len() || outcome.rows.is_empty(), "pass {pass} sends a row");
        }
        outcome
    }

    /// Runs one pass until no token is left in the array.
    fn pass(&mut self, job: &Job, pass: usize, pace: Pace, outcome: &mut Outcome) {
        let mut queue = events(job, pass);
        let (mut presented, mut token) = (None, 0);
        // Rows that were taken and whose bytes are still to come, with the cycle in which they do.
        let mut due: VecDeque<(u64, u32, bool)> = VecDeque::new();
        outcome.waits.push(0);
        let start = self.device.cycles();
        let mut quiet = 0;
        loop {
            let random = &mut self.random;
            let packer_ready = random.chance(pace.packer, 100);
            self.device.set("packer_ready", packer_ready);
            let quiet_before = queue.is_empty() && presented.is_none();
            self.present(job, presented);
            self.walk(job, token);
            let device = &mut self.device;
            device.cycle();
            if device.is("token_step") {
                token += 1;
            }
            if device.is("emitted") {
                let spikes = &device.bytes("transmitted")[..self.lanes / 8];
                outcome.spikes += spikes.iter().map(|byte| byte.count_ones()).sum::<u32>();
            }
            outcome.unkept += u64::from(device.is("sums_full"));
            quiet += 1;
            let now = device.cycles() - start;
            if device.is("bytes_valid") && packer_ready {
                due.push_back((now + LAG, device.get("bytes_offset") as u32, device.is("bytes_last")));
                outcome.cycles.push(now);
                quiet = 0;
            }
            if let Some((_, offset, last)) = due.pop_front_if(|(cycle, ..)| *cycle == now) {
                let bytes = device.bytes("spikes")[..self.lanes].to_vec();
                outcome.rows.push(Row { bytes, offset, last });
            }
            if device.is("advance") {
                quiet = if presented.is_some() { 0 } else { quiet };
                presented = if self.random.chance(pace.events, 100) { queue.pop_front() } else { None };
            } else {
                outcome.waits[pass] += 1;
            }
            if quiet_before && due.is_empty() && device.is("idle") {
                return;
            }
            assert!(
                quiet < PATIENCE,
                "nothing moves for {quiet} cycles; {} events were not taken",
                queue.len()
            );
        }
    }

    /// Tells of the pass, and begins it as `job_control` does.
    fn begin(&mut self, job: &Job, pass: usize) {
        let device = &mut self.device;
        device.set("event_valid", false);
        device.set("event_bias_row", false);
        device.set("diagonal", job.passes[pass].diagonal);
        device.set("term_shift", job.passes[pass].shift);
        device.set("from_sums", pass > 0);
        device.set("to_sums", pass + 1 < job.passes.len());
        device.cycle();
        device.cycle();
        device.pulse("preset_job");
    }

    /// Configures the layer and loads the lanes as `job_control` does.
    fn load(&mut self, job: &Job) {
        let device = &mut self.device;
        device.set("op", job.kind.op() as u64);
        device.set("schedule", job.kind.schedule() as u64);
        device.set("sum", job.kind == Kind::Sum);
        device.set("bytes", matches!(job.kind, Kind::Bytes(_)));
        device.set("hard_reset", job.hard_reset);
        device.set("time_steps", job.time_steps);
        device.set("rotate", job.rotate);
        device.set("rotate_by_block", job.rotate_by_block);
        device.set("mask_ratio", job.mask_ratio);
        device.set("mask_shared", job.mask_shared);
        device.set("fraction", job.fraction);
        let mut ranks = vec![0xff; MAX_TIME_STEPS as usize];
        for (k, &slot) in job.order.iter().enumerate() {
            ranks[usize::from(slot)] = k as u8;
        }
        device.set_bytes("ranks", &ranks);
        device.pulse("walk_start");
        for row in 0..PARAMETER_ROWS {
            let halves = |lane: &Lane| {
                let word =
                    [lane.bias as u32, lane.theta as u32, lane.v0 as u32, lane.seed, lane.flags.into()]
                        [row as usize / 2];
                (word >> (16 * (row % 2))) as u16
            };
            let bytes: Vec<u8> = job.lanes.iter().flat_map(|lane| halves(lane).to_le_bytes()).collect();
            device.set_bytes("next_parameter_row", &bytes);
            match row {
                parameter_row::SEED_LOW => device.set_bytes("next_seed_low", &bytes),
                parameter_row::SEED_HIGH => device.set_bytes("next_seed_high", &bytes),
                _ => {}
            }
            device.set("loads", 1u64 << row);
            device.cycle();
        }
        device.set("loads", 0u64);
    }

    /// Drives the event at the array's input, and noise when there is none.
    fn present(&mut self, job: &Job, event: Option<Presented<'_>>) {
        let (device, random) = (&mut self.device, &mut self.random);
        device.set("event_valid", event.is_some());
        let Some((token, event, last, first)) = event else {
            for port in ["event_null", "event_last", "event_plane", "event_shift", "event_steps"] {
                device.set(port, random.bits());
            }
            device.set("event_bias_row", false);
            return;
        };
        device.set("event_null", event.null);
        device.set("event_last", last);
        device.set("event_plane", event.plane);
        device.set("event_shift", event.shift);
        device.set("event_steps", event.steps);
        device.set_bytes("next_matrix_row", &event.matrix);
        device.set_bytes("next_own_spikes", &event.own);
        let bias_row = job.kind.op() == Op::Scores && first;
        device.set("event_bias_row", bias_row);
        if bias_row {
            let bytes: Vec<u8> = job.tokens[token].bias_row.iter().flat_map(|b| b.to_le_bytes()).collect();
            device.set_bytes("next_parameter_row", &bytes);
        }
    }

    /// Drives what the output walk says of the token being emitted.
    fn walk(&mut self, job: &Job, token: usize) {
        let Some(token) = job.tokens.get(token) else { return };
        let device = &mut self.device;
        device.set("token_offset", token.offset);
        device.set("last_of_block", token.last_of_block);
        device.set("token_row_split", token.row_split);
        device.set("token_column_split", token.column_split);
        device.set("token_query_row_band", token.row_band);
        device.set("token_query_column_band", token.column_band);
    }
}

/// Whether a lane has a flag of `isa::layout::flag`.
pub fn has(lane: &Lane, bit: u16) -> bool {
    debug_assert!([flag::VALID, flag::ROW_BAND, flag::COLUMN_BAND].contains(&bit));
    lane.flags & bit != 0
}
