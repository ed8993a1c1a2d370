//! `dma_read` against a memory with stalls: two streams, each with its data in order, and not an access more.

use std::collections::VecDeque;

use hdl::core::dma_read::dma_read;
use isa::{CoreConfig, ErrorCode};
use sim::axi::{Address, AxiMemory, Fault, FaultTarget, ManagerSignals, MemoryOptions, Response, Stalls};
use tests::random::Random;

use crate::device::{Device, small_cores};

/// Bytes of the memory, and of the window inside it that the core may use.
const MEMORY: usize = 1 << 16;
const WINDOW: u64 = MEMORY as u64 - 4096;
const BASE: u64 = 0x4000_0000;
/// Beats of the longest burst.
const LONGEST: u64 = 16;
/// Most cycles that one step of a test may take.
const PATIENCE: u64 = 20_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    offset: u64,
    words: u64,
}

/// Requests of one stream on their way, and what they must bring.
#[derive(Debug, Default)]
struct Stream {
    requests: VecDeque<Request>,
    expected: VecDeque<u8>,
}

/// Percentages of cycles in which the engine offers a request and takes a beat.
#[derive(Clone, Copy, Debug)]
struct Pace {
    request: u64,
    take: [u64; 2],
}

const FULL_SPEED: Pace = Pace { request: 100, take: [100; 2] };

struct Bench {
    device: Device,
    memory: AxiMemory,
    bus_bytes: u64,
    window: u64,
    random: Random,
    streams: [Stream; 2],
    /// Refusals: stream, code, offset.
    faults: Vec<(usize, u64, u64)>,
    /// Streams of beats with an error response.
    errors: Vec<u64>,
    addresses: u64,
    flush: bool,
}

const NAMES: [&str; 2] = ["weights", "inputs"];

impl Bench {
    fn new(core: &CoreConfig, seed: u64, stalls: Option<u8>) -> Bench {
        Bench::with_memory(core, seed, stalls, MEMORY)
    }

    /// The same with so many bytes of memory, of which the core may use all but a page.
    fn with_memory(core: &CoreConfig, seed: u64, stalls: Option<u8>, bytes: usize) -> Bench {
        let mut memory = AxiMemory::new(MemoryOptions {
            base: BASE,
            bytes,
            beat_bytes: core.bus_bytes() as usize,
            latency: if stalls.is_some() { 0..=30 } else { 20..=20 },
            outstanding: 16,
            stalls: stalls.map(|percent| Stalls { seed, percent }),
            faults: Vec::new(),
        });
        let mut random = Random(seed);
        memory.bytes_mut().iter_mut().for_each(|byte| *byte = random.bits() as u8);
        let mut device = Device::new(&dma_read(core).unwrap());
        device.set("memory_base", BASE);
        let window = bytes as u64 - 4096;
        device.set("memory_size", window);
        Bench {
            window,
            device,
            memory,
            bus_bytes: core.bus_bytes().into(),
            random,
            streams: Default::default(),
            faults: Vec::new(),
            errors: Vec::new(),
            addresses: 0,
            flush: false,
        }
    }

    /// A request inside the window, often near a 4 KiB border.
    fn random_request(&mut self) -> Request {
        let (random, bus) = (&mut self.random, self.bus_bytes);
        let most = random.pick(&[1, 8, 40, 400]);
        let bytes = bus * random.between(1, most) as u64;
        let start = if random.chance(1, 2) {
            4096 * random.between(1, WINDOW as i64 / 4096) as u64 - bus * random.between(0, 20) as u64
        } else {
            random.bits() % WINDOW / bus * bus
        };
        Request { offset: start.min(WINDOW - bytes), words: bytes / 8 }
    }

    fn random_pace(&mut self) -> Pace {
        let mut percent = || self.random.pick(&[100, 50, 10]);
        Pace { request: percent(), take: [percent(), percent()] }
    }

    fn request(&mut self, stream: usize, request: Request) {
        self.streams[stream].requests.push_back(request);
        let bytes = request.offset as usize..(request.offset + 8 * request.words) as usize;
        self.streams[stream].expected.extend(&self.memory.bytes()[bytes]);
    }

    fn cycle(&mut self, pace: Pace) {
        let (device, random) = (&mut self.device, &mut self.random);
        let mut offered = [false; 2];
        let mut ready = [false; 2];
        for (stream, name) in NAMES.into_iter().enumerate() {
            let request = self.streams[stream].requests.front().copied();
            offered[stream] = request.is_some() && random.chance(pace.request, 100);
            ready[stream] = random.chance(pace.take[stream], 100);
            let shown = request.filter(|_| offered[stream]);
            let shown = shown.unwrap_or(Request { offset: random.bits(), words: random.bits() });
            device.set(&format!("{name}_request_valid"), offered[stream]);
            device.set(&format!("{name}_request_offset"), shown.offset);
            device.set(&format!("{name}_request_words"), shown.words);
            device.set(&format!("{name}_ready"), ready[stream]);
        }
        self.drive_memory();
        self.device.cycle();
        let device = &self.device;
        for (stream, name) in NAMES.into_iter().enumerate() {
            let mine = &mut self.streams[stream];
            if offered[stream] && device.is(&format!("{name}_request_ready")) {
                mine.requests.pop_front();
            }
            if ready[stream] && device.is(&format!("{name}_valid")) && !self.flush {
                for byte in &device.bytes(&format!("{name}_data"))[..self.bus_bytes as usize] {
                    assert_eq!(Some(*byte), mine.expected.pop_front(), "a byte of stream {name}");
                }
            }
            if device.is(&format!("{name}_fault")) {
                let value = |what: &str| device.get(&format!("{name}_fault_{what}"));
                self.faults.push((stream, value("code"), value("offset")));
            }
        }
        if device.is("response_error") {
            self.errors.push(device.get("response_stream"));
        }
        self.answer();
    }

    /// Drives R and ARREADY, with noise where the memory has nothing to say.
    fn drive_memory(&mut self) {
        let (device, random, signals) = (&mut self.device, &mut self.random, self.memory.signals());
        device.set("arready", signals.read_address_ready);
        device.set("rvalid", signals.read_data.is_some());
        device.set("rid", signals.read_data.map_or(random.bits(), |r| r.id.into()));
        device.set("rresp", signals.read_data.map_or(random.bits(), |r| r.response as u64));
        device.set("rlast", signals.read_data.map_or(random.bits(), |r| r.last.into()));
        let noise = [random.bits().to_le_bytes(), random.bits().to_le_bytes()].concat();
        device.set_bytes("rdata", &signals.read_data.map_or(noise, |r| r.data.to_vec()));
    }

    /// Gives the memory what the master drove; the memory checks the rules of AXI.
    fn answer(&mut self) {
        let device = &self.device;
        let address = device.is("arvalid").then(|| Address {
            id: device.get("arid") as u8,
            address: device.get("araddr"),
            len: device.get("arlen") as u8,
            size: self.bus_bytes.trailing_zeros() as u8,
            burst: 1,
        });
        if let (Some(address), true) = (address, self.memory.signals().read_address_ready) {
            self.addresses += 1;
            assert!(address.beats() <= LONGEST, "a burst of {} beats", address.beats());
            assert!(
                address.address + address.beats() * self.bus_bytes <= BASE + self.window,
                "beyond the window"
            );
        }
        let read_ready = device.is("rready");
        let signals = ManagerSignals { read_address: address, read_ready, ..ManagerSignals::default() };
        self.memory.cycle(&signals).unwrap_or_else(|violation| panic!("{violation}"));
    }

    fn run(&mut self, pace: Pace) -> u64 {
        let start = self.device.cycles();
        while self.streams.iter().any(|s| !s.requests.is_empty() || !s.expected.is_empty()) {
            self.cycle(pace);
            assert!(self.device.cycles() - start < PATIENCE, "still waited for: {:?}", self.streams);
        }
        self.device.cycles() - start
    }

    /// Flushes as `run_control` does: from one cycle to the next, until nothing is under way.
    fn flush(&mut self, pace: Pace) {
        self.flush = true;
        self.device.set("flush", true);
        self.cycle(pace);
        // Requests may be offered, and taken, in this cycle alone: the engine's reset takes effect with it.
        self.streams = Default::default();
        let (start, offered) = (self.device.cycles(), self.addresses);
        while !self.device.is("idle") {
            self.cycle(pace);
            assert!(self.device.cycles() - start < PATIENCE, "the flush does not end");
        }
        assert!(self.addresses - offered <= 1, "only the address on the bus may still go out");
        assert_eq!(self.memory.in_flight(), 0, "idle while the memory still answers");
        self.device.set("flush", false);
        self.flush = false;
    }
}

fn benches(stalls: Option<u8>) -> impl Iterator<Item = Bench> {
    small_cores().into_iter().map(move |core| Bench::new(&core, 1, stalls))
}

#[test]
fn each_stream_gets_its_data_in_order() {
    for mut bench in benches(Some(30)) {
        for _ in 0..60 {
            for _ in 0..4 {
                let (stream, request) = (bench.random.size(0, 1), bench.random_request());
                bench.request(stream, request);
            }
            let pace = bench.random_pace();
            bench.run(pace);
        }
        assert_eq!((bench.faults.len(), bench.errors.len()), (0, 0));
    }
}

#[test]
fn a_matrix_of_more_words_than_any_allowed_core_has_is_read_whole() {
    let wide = small_cores()[1].clone();
    let core = CoreConfig { lanes: 64, max_fan_in: 3072, weight_rows: 4096, ..wide };
    let words = u64::from(core.max_fan_in * core.lanes / 8);
    let mut bench = Bench::with_memory(&core, 1, None, 8 * words as usize + 8192);
    bench.request(0, Request { offset: 4096 - bench.bus_bytes, words });
    bench.run(FULL_SPEED);
    assert_eq!((bench.faults.len(), bench.errors.len()), (0, 0));
}

#[test]
fn a_stream_that_is_not_taken_does_not_stop_the_other() {
    for mut bench in benches(None) {
        // As many as a request of these cores may have.
        let words = WINDOW / 16;
        bench.streams[0].requests.push_back(Request { offset: 0, words });
        bench.request(1, Request { offset: 0, words });
        let cycles = bench.run(Pace { request: 100, take: [0, 100] });
        // The other stream fills its FIFO, then is silent.
        let beats = 8 * words / bench.bus_bytes;
        assert!(cycles <= beats + 128 + 40, "{cycles} cycles for {beats} beats");
    }
}

#[test]
fn a_long_request_keeps_the_data_channel_busy() {
    for mut bench in benches(None) {
        let words = WINDOW / 8 / 2;
        bench.request(0, Request { offset: 0, words });
        bench.request(1, Request { offset: 8 * words, words });
        let beats = WINDOW / bench.bus_bytes;
        let cycles = bench.run(FULL_SPEED);
        // Latency of the memory, and the way through check and FIFO.
        assert!(cycles <= beats + 20 + 10, "{cycles} cycles for {beats} beats");
    }
}

#[test]
fn a_request_that_is_empty_outside_the_window_or_off_the_bus_width_is_refused_before_the_bus() {
    for mut bench in benches(Some(20)) {
        let bus = bench.bus_bytes;
        let (outside, unaligned) = (ErrorCode::OutOfRange as u64, ErrorCode::Unaligned as u64);
        let empty = ErrorCode::BadShape as u64;
        let mut refused = vec![
            (Request { offset: 0, words: 0 }, empty),
            (Request { offset: WINDOW, words: 0 }, empty),
            (Request { offset: WINDOW, words: bus / 8 }, outside),
            (Request { offset: WINDOW - bus, words: bus / 4 }, outside),
            (Request { offset: (1 << 32) - bus, words: bus / 8 }, outside),
            (Request { offset: (1 << 32) - bus, words: (1 << 14) - bus / 8 }, outside),
            (Request { offset: 4, words: bus / 8 }, unaligned),
            (Request { offset: WINDOW + 1, words: bus / 8 }, unaligned),
        ];
        if bus == 16 {
            refused.push((Request { offset: 8, words: 2 }, unaligned));
            refused.push((Request { offset: 0, words: 3 }, unaligned));
        }
        for (number, (request, code)) in refused.into_iter().enumerate() {
            let stream = number % 2;
            let before = bench.addresses;
            bench.streams[stream].requests.push_back(request);
            (0..20).for_each(|_| bench.cycle(FULL_SPEED));
            assert_eq!(bench.faults, [(stream, code, request.offset)], "{request:?}");
            assert_eq!(bench.addresses, before, "{request:?} reached the bus");
            bench.faults.clear();
            bench.request(stream, Request { offset: WINDOW - bus, words: bus / 8 });
            bench.run(FULL_SPEED);
        }
    }
}

#[test]
fn a_flush_at_any_time_drops_everything_and_leaves_nothing_behind() {
    for mut bench in benches(Some(30)) {
        for round in 0..200 {
            for _ in 0..3 {
                let (stream, request) = (bench.random.size(0, 1), bench.random_request());
                bench.request(stream, request);
            }
            let pace = bench.random_pace();
            for _ in 0..bench.random.size(0, 120) {
                bench.cycle(pace);
            }
            bench.flush(pace);
            if round % 4 == 0 {
                let request = bench.random_request();
                bench.request(round / 4 % 2, request);
                bench.run(pace);
            }
        }
    }
}

#[test]
fn error_responses_are_reported_with_their_stream() {
    for mut bench in benches(Some(20)) {
        let bad = 8192..12288;
        bench.memory.bytes_mut()[bad.clone()].fill(0);
        for response in [Response::SlaveError, Response::DecodeError] {
            let target = FaultTarget::ReadRange(bad.start as u64..bad.end as u64);
            *bench.memory.faults_mut() = vec![Fault { target, response }];
            for stream in 0..2 {
                bench.errors.clear();
                bench.request(stream, Request { offset: bad.start as u64 - 64, words: 16 });
                bench.run(FULL_SPEED);
                assert_eq!(bench.errors, vec![stream as u64; 64 / bench.bus_bytes as usize], "{response:?}");
            }
        }
    }
}
