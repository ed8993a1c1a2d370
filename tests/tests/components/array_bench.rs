//! `neuron_control` and `if_neuron_array`, wired as in the engine.

use std::collections::VecDeque;
use std::rc::Rc;

use hdl::core::if_neuron_array::if_neuron_array;
use hdl::core::neuron_control::neuron_control;
use hdl::rtl::{Expr, Module};
use isa::layout::{PARAMETER_ROWS, flag};
use isa::{CoreConfig, MAX_TIME_STEPS, Neuron, Op};
use tests::random::Random;

use crate::device::{Device, add_inputs, connections};

/// Events in, rows of spike bytes out. What the engine reads from its buffers with an event (matrix row, segment, bias row) comes with the event.
fn array_bench(config: &CoreConfig) -> Rc<Module> {
    let (control, array) = (neuron_control().unwrap(), if_neuron_array(config).unwrap());
    let bench = Module::build("array_bench", "Events in, rows of spike bytes out.", |m| {
        let ranks = m.input("ranks", 8 * MAX_TIME_STEPS);
        let index = control.outputs().iter().find(|port| port.name == "rank_index").unwrap();
        let rank_index = m.wire("asked_rank_index", index.width);
        let rank_now = ranks.slice_at(&rank_index, 8);
        m.unused(&rank_now.bit(7));
        let mut inputs = vec![("rank_now".to_owned(), rank_now.slice(0, 7))];
        add_inputs(m, &control, &mut inputs);
        let paced = m.instance("control", &control, &connections(&inputs));
        m.assign(&rank_index, &paced.output("rank_index"));

        let advance = paced.output("advance");
        let event_bias_row = inputs.iter().find(|(name, _)| name == "event_bias_row").unwrap().1.clone();
        let onehot = inputs.iter().find(|(name, _)| name == "read_row_onehot").unwrap().1.clone();
        let read = m.named("read", &(onehot.any() | (event_bias_row & &advance)));
        let buffers = [
            ("matrix_row", 8 * config.lanes, &advance),
            ("own_spikes", 8 * config.lanes, &advance),
            ("parameter_row", 16 * config.lanes, &read),
        ];
        let mut inputs: Vec<(String, Expr)> = buffers
            .into_iter()
            .map(|(name, width, enable)| {
                let next = m.input(&format!("next_{name}"), width);
                let register = m.reg(name, width);
                m.set_if(&register, enable, &next);
                (name.to_owned(), register)
            })
            .collect();
        inputs.push(("event_steps".to_owned(), paced.output("event_steps_1")));
        let same = array.inputs().iter().filter(|p| control.outputs().iter().any(|o| o.name == p.name));
        inputs.extend(same.map(|port| (port.name.clone(), paced.output(&port.name))));
        add_inputs(m, &array, &mut inputs);
        let lanes = m.instance("array", &array, &connections(&inputs));
        for port in ["advance", "idle", "token_step", "bytes_valid", "bytes_last", "bytes_offset"] {
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
    pub sums: Vec<Vec<Event>>,
    /// What a scores token starts from instead of the bias, a half-word a lane.
    pub bias_row: Vec<i16>,
    pub offset: u32,
    pub last_of_block: bool,
    pub row_split: bool,
    pub column_split: bool,
    pub row_band: bool,
    pub column_band: bool,
}

/// What runs on one set of parameters.
#[derive(Clone, Debug)]
pub struct Job {
    pub op: Op,
    pub neuron: Neuron,
    pub time_steps: u32,
    pub rotate: u32,
    pub rotate_by_block: bool,
    /// `order[k]` is the slot of the k-th threshold step.
    pub order: Vec<u8>,
    pub mask_ratio: u8,
    pub fraction: u32,
    pub lanes: Vec<Lane>,
    pub tokens: Vec<Token>,
}

impl Job {
    /// Sums that each token hands over.
    pub fn sums(op: Op, neuron: Neuron, time_steps: u32) -> usize {
        let steps = neuron == Neuron::If && !matches!(op, Op::Analog | Op::Readout);
        if steps { time_steps as usize } else { 1 }
    }
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
    /// Cycles in which an event waited.
    pub waits: u64,
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

pub struct Bench {
    device: Device,
    lanes: usize,
    random: Random,
}

impl Bench {
    pub fn new(core: &CoreConfig, seed: u64) -> Bench {
        Bench { device: Device::new(&array_bench(core)), lanes: core.lanes as usize, random: Random(seed) }
    }

    /// Runs one job and returns what it sent, in order.
    pub fn run(&mut self, job: &Job, pace: Pace) -> Outcome {
        self.load(job);
        let mut queue: VecDeque<(usize, &Event, bool, bool)> = VecDeque::new();
        for (n, token) in job.tokens.iter().enumerate() {
            for (s, sum) in token.sums.iter().enumerate() {
                let count = sum.len();
                let events = sum.iter().enumerate();
                queue.extend(events.map(|(e, event)| (n, event, e + 1 == count, s == 0 && e == 0)));
            }
        }
        let (mut presented, mut token) = (None, 0);
        // Rows that were taken and whose bytes are still to come, with the cycle in which they do.
        let mut due: VecDeque<(u64, u32, bool)> = VecDeque::new();
        let mut outcome = Outcome::default();
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
                presented = if self.random.chance(pace.events, 100) { queue.pop_front() } else { None };
            } else {
                outcome.waits += 1;
            }
            if quiet_before && due.is_empty() && device.is("idle") {
                return outcome;
            }
            assert!(quiet < PATIENCE, "no output for {quiet} cycles; {} events were not taken", queue.len());
        }
    }

    /// Configures the layer and loads the lanes as `job_control` does.
    fn load(&mut self, job: &Job) {
        let device = &mut self.device;
        device.set("op", job.op as u64);
        device.set("neuron", job.neuron as u64);
        device.set("time_steps", job.time_steps);
        device.set("rotate", job.rotate);
        device.set("rotate_by_block", job.rotate_by_block);
        device.set("mask_ratio", job.mask_ratio);
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
            device.set("read_row_onehot", 1u64 << row);
            device.cycle();
        }
        device.set("read_row_onehot", 0u64);
        device.cycle();
        device.pulse("preset_job");
    }

    /// Drives the event at the array's input, and noise when there is none.
    fn present(&mut self, job: &Job, event: Option<(usize, &Event, bool, bool)>) {
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
        let bias_row = job.op == Op::Scores && first;
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
