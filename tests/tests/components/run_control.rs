//! `run_control`: the first error wins and stays, and every run begins with a quiet bus.

use hdl::core::run_control::run_control;
use isa::ErrorCode;
use isa::registers::status;
use tests::random::Random;

/// The largest count that is no error.
const MAX_LAYERS: u64 = isa::MAX_LAYERS as u64;

use crate::device::Device;

/// Sources of an error in a run, in the order in which they win; which descriptor each names, and its fixed code.
const SOURCES: [(&str, Index, Option<ErrorCode>); 8] = [
    ("loader_error", Index::Loader, None),
    ("sums_full", Index::Layer, Some(ErrorCode::TooLarge)),
    ("weights_fault", Index::Loader, None),
    ("inputs_fault", Index::Layer, None),
    ("write_fault", Index::Completed, None),
    ("weights_response", Index::Loader, Some(ErrorCode::ReadError)),
    ("inputs_response", Index::Layer, Some(ErrorCode::ReadError)),
    ("write_response", Index::Completed, Some(ErrorCode::WriteError)),
];

#[derive(Clone, Copy, Debug)]
enum Index {
    Loader,
    Layer,
    Completed,
}

/// What is wrong with a descriptor is no address.
fn has_address(source: &str) -> bool {
    !matches!(source, "loader_error" | "sums_full")
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// Waits for the bus; `true`: to run then.
    Drain(bool),
    Run,
}

/// The first error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Error {
    code: u64,
    descriptor: u64,
    /// 0 for a bad descriptor.
    address: u64,
}

/// What the module's text says, a cycle at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Control {
    state: State,
    completed: u64,
    done: bool,
    error: Option<Error>,
    /// What went wrong in the cycle before.
    found: Option<Error>,
    /// All layers had completed in the cycle before.
    all_completed: bool,
    /// What the host wrote was no run in the cycle before: a start comes a cycle after the last of its registers, or later.
    bad_run: bool,
}

/// Inputs of one cycle.
#[derive(Clone, Debug, Default)]
struct Stimulus {
    start: bool,
    soft_reset: bool,
    clear_done: bool,
    bus_idle: bool,
    retired: bool,
    count: u64,
    base: u64,
    loader_index: u64,
    layer_index: u64,
    /// For each source: high, code, address.
    sources: [(bool, u64, u64); SOURCES.len()],
}

impl Stimulus {
    /// One event in `rare` cycles of each kind.
    fn random(random: &mut Random, rare: u64) -> Stimulus {
        let mut any = |whole: u64| random.chance(1, whole);
        let (start, soft_reset, clear_done) = (any(rare / 4), any(rare), any(rare));
        let (bus_idle, retired) = (any(3), any(4));
        let source = |random: &mut Random| {
            let code = random.size(1, 11) as u64;
            (random.chance(1, 4 * rare), code, u64::from(random.bits() as u32))
        };
        Stimulus {
            start,
            soft_reset,
            clear_done,
            bus_idle,
            retired,
            count: random.pick(&[1, 2, 3, 3, 3, MAX_LAYERS, 0, MAX_LAYERS + 1, 1 << 31]),
            base: random.pick(&[0, 64, 0xffff_ffc0, 256, 192, 32, 1]),
            loader_index: random.bits() & 0xfff,
            layer_index: random.bits() & 0xfff,
            sources: std::array::from_fn(|_| source(random)),
        }
    }
}

impl Control {
    /// What `status` and the error registers show.
    fn status(&self) -> u64 {
        let flags = [
            (status::BUSY, matches!(self.state, State::Run | State::Drain(true))),
            (status::DONE, self.done),
            (status::ERROR, self.error.is_some()),
            (status::RESETTING, self.state == State::Drain(false)),
        ];
        flags.into_iter().filter(|(_, set)| *set).map(|(flag, _)| u64::from(flag)).sum()
    }

    /// The error of this cycle, if there is one.
    fn error_now(&self, now: &Stimulus) -> Option<Error> {
        let busy = matches!(self.state, State::Run | State::Drain(true));
        if self.state == State::Run {
            for ((name, index, fixed), (high, code, address)) in SOURCES.into_iter().zip(now.sources) {
                let descriptor = match index {
                    Index::Loader => now.loader_index,
                    Index::Layer => now.layer_index,
                    Index::Completed => self.completed,
                };
                let address = if has_address(name) { address } else { 0 };
                let code = fixed.map_or(code, |code| code as u64);
                if high {
                    return Some(Error { code, descriptor, address });
                }
            }
        }
        let refused = |code| Some(Error { code: code as u64, descriptor: 0, address: 0 });
        match now.start {
            true if busy => refused(ErrorCode::StartWhileBusy),
            true if self.bad_run => refused(ErrorCode::BadRun),
            _ => None,
        }
    }

    /// The state after a cycle with these inputs.
    fn next(&self, now: &Stimulus) -> Control {
        let mut next = self.clone();
        next.bad_run = !(1..=MAX_LAYERS).contains(&now.count)
            || !now.base.is_multiple_of(isa::descriptor::ALIGNMENT as u64);
        let running = self.state == State::Run;
        let found = self.error_now(now).filter(|_| self.error.is_none());
        let busy = matches!(self.state, State::Run | State::Drain(true));
        let error = self.found.filter(|_| self.error.is_none());
        next.found = found;
        next.all_completed = self.completed == now.count & 0xfff;
        let complete = running && self.all_completed;
        let accepted = now.start && self.error.is_none() && !busy && !self.bad_run;
        match self.state {
            State::Drain(then_run) if now.bus_idle => {
                next.state = if then_run { State::Run } else { State::Idle };
            }
            State::Run if complete => next.state = State::Idle,
            _ => {}
        }
        if running && now.retired && self.found.is_none() {
            next.completed = (self.completed + 1) & 0xfff;
        }
        if complete && error.is_none() {
            next.done = true;
        }
        if now.clear_done {
            next.done = false;
        }
        if accepted {
            next = Control { state: State::Drain(true), completed: 0, done: false, ..next };
        }
        if error.is_some() {
            next.error = error;
            next.state = State::Drain(false);
            next.done = false;
        }
        if now.soft_reset {
            next = Control { state: State::Drain(false), done: false, error: None, found: None, ..next };
        }
        next
    }
}

struct Bench {
    device: Device,
    control: Control,
}

impl Bench {
    fn new() -> Bench {
        let control = Control {
            state: State::Idle,
            completed: 0,
            done: false,
            error: None,
            found: None,
            all_completed: true,
            bad_run: true,
        };
        let mut device = Device::new(&run_control().unwrap());
        device.cycle();
        Bench { device, control }
    }

    /// One cycle; compares the outputs with the state before it.
    fn cycle(&mut self, now: &Stimulus, case: &str) {
        let device = &mut self.device;
        for (port, value) in [
            ("start", now.start),
            ("soft_reset", now.soft_reset),
            ("clear_done", now.clear_done),
            ("bus_idle", now.bus_idle),
            ("layer_retired", now.retired),
        ] {
            device.set(port, value);
        }
        device.set("descriptor_count", now.count);
        device.set("descriptor_base", now.base);
        device.set("loader_index", now.loader_index);
        device.set("layer_index", now.layer_index);
        for ((name, _, fixed), (high, code, address)) in SOURCES.into_iter().zip(now.sources) {
            device.set(name, high);
            if fixed.is_none() {
                device.set(&format!("{name}_code"), code);
            }
            if has_address(name) {
                device.set(&format!("{name}_offset"), address);
            }
        }
        let enable = [0, 1, 2, 3][(now.loader_index & 3) as usize];
        device.set("interrupt_enable", enable as u64);
        device.cycle();
        let control = &self.control;
        let running = control.state == State::Run;
        let none = Error { code: 0, descriptor: 0, address: 0 };
        let error = control.error.unwrap_or(none);
        let done = control.done && enable & 1 != 0 || control.error.is_some() && enable & 2 != 0;
        for (port, expected) in [
            ("engine_reset", u64::from(!running)),
            ("running", running.into()),
            ("status", control.status()),
            ("layers_completed", control.completed),
            ("error", error.code),
            ("error_descriptor", error.descriptor),
            ("error_address", error.address),
            ("irq", done.into()),
        ] {
            assert_eq!(device.get(port), expected, "{case}: `{port}` of {control:?}");
        }
        self.control = control.next(now);
    }
}

#[test]
fn a_run_lives_and_dies_as_its_text_says() {
    let mut bench = Bench::new();
    let mut random = Random(1);
    let mut runs = 0;
    for case in 0..60_000 {
        let rare = random.pick(&[8, 40, 200]);
        let now = Stimulus::random(&mut random, rare);
        runs += u64::from(bench.control.state == State::Run);
        bench.cycle(&now, &format!("cycle {case}"));
    }
    assert!(runs > 1000, "{runs} cycles of running");
}

/// The rules that the state machine above must imply, stated on their own.
#[test]
fn an_error_stays_until_a_soft_reset_and_every_run_begins_with_a_quiet_bus() {
    let mut bench = Bench::new();
    let mut random = Random(2);
    let mut first_error = 0;
    let (mut was_running, mut bus_was_idle) = (false, false);
    for case in 0..30_000 {
        let now = Stimulus::random(&mut random, 20);
        bench.cycle(&now, &format!("cycle {case}"));
        let device = &bench.device;
        let (running, error) = (device.is("running"), device.get("error"));
        assert!(!running || was_running || bus_was_idle, "cycle {case}: a run begins while the bus is busy");
        assert!(!running || error == 0, "cycle {case}: the engine works after an error");
        assert!(first_error == 0 || error == first_error, "cycle {case}: error {first_error} became {error}");
        first_error = if now.soft_reset { 0 } else { error };
        (was_running, bus_was_idle) = (running, now.bus_idle);
    }
}
