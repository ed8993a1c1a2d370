//! `dma_write` against a memory with stalls: every word at its place before its layer is reported complete.

use std::collections::VecDeque;

use hdl::core::dma_write::dma_write;
use isa::{CoreConfig, ErrorCode};
use sim::axi::{
    Address, AxiMemory, Fault, FaultTarget, ManagerSignals, MemoryOptions, Response, Stalls, WriteData,
};
use tests::random::Random;

use crate::device::{Device, small_cores};

/// Bytes of the memory, and of the window inside it that the core may use.
const MEMORY: usize = 1 << 16;
const WINDOW: u64 = MEMORY as u64 - 4096;
const BASE: u64 = 0x4000_0000;
/// Most words of a packer's burst.
const LONGEST: i64 = 8;
/// Most cycles that one step of a test may take.
const PATIENCE: u64 = 20_000;

/// What the engine hands over next.
#[derive(Clone, Debug)]
enum Item {
    /// A word; with a burst's last word, its offset and length.
    Word(u64, Option<(u64, u64)>),
    LayerEnd,
}

struct Bench {
    device: Device,
    memory: AxiMemory,
    bus_bytes: u64,
    random: Random,
    queue: VecDeque<Item>,
    /// What the memory holds when everything is written, by layer.
    layers: VecDeque<Vec<u8>>,
    /// What the bus saw: addresses, beats with a strobe.
    addresses: u64,
    strobed: u64,
    retired: u64,
    faults: Vec<(u64, u64)>,
    errors: u64,
}

fn options(core: &CoreConfig, seed: u64, stalls: Option<u8>) -> MemoryOptions {
    MemoryOptions {
        base: BASE,
        bytes: MEMORY,
        beat_bytes: core.bus_bytes() as usize,
        latency: if stalls.is_some() { 0..=30 } else { 20..=20 },
        outstanding: 16,
        stalls: stalls.map(|percent| Stalls { seed, percent }),
        faults: Vec::new(),
    }
}

impl Bench {
    fn new(core: &CoreConfig, options: MemoryOptions) -> Bench {
        let mut device = Device::new(&dma_write(core).unwrap());
        device.set("memory_base", BASE);
        device.set("memory_size", WINDOW);
        Bench {
            device,
            memory: AxiMemory::new(options),
            bus_bytes: core.bus_bytes().into(),
            random: Random(1),
            queue: VecDeque::new(),
            layers: VecDeque::new(),
            addresses: 0,
            strobed: 0,
            retired: 0,
            faults: Vec::new(),
            errors: 0,
        }
    }

    /// Adds a burst of random words at `offset`, and to `image` what it writes.
    fn burst(&mut self, offset: u64, words: u64, image: &mut [u8]) {
        for i in 0..words {
            let word = self.random.bits();
            self.queue.push_back(Item::Word(word, (i + 1 == words).then_some((offset, words))));
            let at = (offset + 8 * i) as usize;
            if let Some(place) = image.get_mut(at..at + 8) {
                place.copy_from_slice(&word.to_le_bytes());
            }
        }
    }

    /// Adds a layer of `bursts` random bursts, many near 4 KiB borders, and its end.
    fn layer(&mut self, bursts: usize) {
        let mut image = self.layers.back().map_or_else(|| self.memory.bytes().to_vec(), Vec::clone);
        for _ in 0..bursts {
            let (random, bus) = (&mut self.random, self.bus_bytes);
            let words = bus / 8 * random.between(1, LONGEST * 8 / bus as i64) as u64;
            let border = 4096 * random.between(1, WINDOW as i64 / 4096) as u64;
            let any = random.bits() % (WINDOW / bus) * bus;
            let near = border - bus * random.between(0, 8) as u64;
            let offset = if random.chance(1, 2) { near } else { any };
            self.burst(offset.min(WINDOW - 8 * words), words, &mut image);
        }
        self.queue.push_back(Item::LayerEnd);
        self.layers.push_back(image);
    }

    /// One cycle; the engine offers what it has in `offer` percent of the cycles.
    fn cycle(&mut self, offer: u64) {
        let (device, random) = (&mut self.device, &mut self.random);
        let item = self.queue.front().filter(|_| random.chance(offer, 100));
        let (word, burst) = match item {
            Some(Item::Word(word, burst)) => (Some(*word), *burst),
            _ => (None, None),
        };
        let layer_end = matches!(item, Some(Item::LayerEnd));
        device.set("word_valid", word.is_some());
        device.set("word_data", word.unwrap_or(random.bits()));
        device.set("burst_valid", burst.is_some());
        let (offset, words) = burst.unwrap_or((random.bits(), random.bits()));
        device.set("burst_offset", offset);
        device.set("burst_words", words);
        device.set("layer_end", layer_end);
        let signals = self.memory.signals();
        device.set("awready", signals.write_address_ready);
        device.set("wready", signals.write_data_ready);
        device.set("bvalid", signals.write_response.is_some());
        device.set("bid", signals.write_response.map_or(random.bits(), |b| b.id.into()));
        device.set("bresp", signals.write_response.map_or(random.bits(), |b| b.response as u64));
        device.cycle();
        let taken =
            (word.is_some() && device.is("word_ready")) || (layer_end && device.is("layer_end_ready"));
        if taken {
            self.queue.pop_front();
        }
        if device.is("fault") {
            self.faults.push((device.get("fault_code"), device.get("fault_offset")));
        }
        self.errors += u64::from(device.is("response_error"));
        if device.is("layer_retired") {
            let image = self.layers.pop_front().expect("a layer more than there were is retired");
            let place = self.memory.bytes().iter().zip(&image).position(|(found, wanted)| found != wanted);
            assert_eq!(place, None, "layer {}: a byte is not in memory when it is retired", self.retired);
            self.retired += 1;
        }
        self.answer();
    }

    /// Gives the memory what the master drove; the memory checks the rules of AXI.
    fn answer(&mut self) {
        let device = &self.device;
        let address = device.is("awvalid").then(|| Address {
            id: 0,
            address: device.get("awaddr"),
            len: device.get("awlen") as u8,
            size: self.bus_bytes.trailing_zeros() as u8,
            burst: 1,
        });
        let beat = device.is("wvalid").then(|| {
            let mut data = [0; 16];
            data[..self.bus_bytes as usize]
                .copy_from_slice(&device.bytes("wdata")[..self.bus_bytes as usize]);
            WriteData { data, strobe: device.get("wstrb") as u16, last: device.is("wlast") }
        });
        let signals = self.memory.signals();
        if let (Some(address), true) = (address, signals.write_address_ready) {
            self.addresses += 1;
            assert!(address.address + address.beats() * self.bus_bytes <= BASE + WINDOW, "beyond the window");
        }
        if let (Some(beat), true) = (beat, signals.write_data_ready) {
            let full = (1 << self.bus_bytes) - 1;
            assert!([0, full].contains(&u32::from(beat.strobe)), "strobes {:x}", beat.strobe);
            self.strobed += u64::from(beat.strobe != 0);
            assert!(device.is("beat"), "a beat is not counted");
        }
        let driven = ManagerSignals {
            write_address: address,
            write_data: beat,
            response_ready: device.is("bready"),
            ..ManagerSignals::default()
        };
        self.memory.cycle(&driven).unwrap_or_else(|violation| panic!("{violation}"));
    }

    /// Runs until every layer is retired; returns the cycles.
    fn run(&mut self, offer: u64) -> u64 {
        let start = self.device.cycles();
        while !self.layers.is_empty() {
            self.cycle(offer);
            let waited = self.device.cycles() - start;
            assert!(waited < PATIENCE, "{} items and {} layers left", self.queue.len(), self.layers.len());
        }
        self.device.cycles() - start
    }

    /// Flushes as `run_control` does: from one cycle to the next, until nothing is on the bus.
    fn flush(&mut self, offer: u64) {
        self.device.set("flush", true);
        self.layers.clear();
        self.cycle(offer);
        self.queue.clear();
        let (start, addresses, strobed) = (self.device.cycles(), self.addresses, self.strobed);
        while !self.device.is("idle") {
            self.cycle(offer);
            assert!(self.device.cycles() - start < PATIENCE, "the flush does not end");
        }
        assert!(self.addresses - addresses <= 1, "only the address on the bus may still go out");
        assert!(self.strobed - strobed <= 1, "only the beat on the bus may still be written");
        assert_eq!(self.memory.in_flight(), 0, "idle while the memory still answers");
        self.device.set("flush", false);
    }
}

fn benches(stalls: Option<u8>) -> impl Iterator<Item = Bench> {
    small_cores().into_iter().map(move |core| Bench::new(&core, options(&core, 1, stalls)))
}

#[test]
fn a_layer_is_retired_when_all_of_it_is_in_memory() {
    for mut bench in benches(Some(30)) {
        for round in 0..60 {
            let layers = bench.random.size(1, 4);
            for _ in 0..layers {
                let bursts = bench.random.pick(&[0, 1, 5, 30]);
                bench.layer(bursts);
            }
            let offer = bench.random.pick(&[100, 60, 10]);
            bench.run(offer);
            assert!(bench.faults.is_empty() && bench.errors == 0, "round {round}");
        }
    }
}

#[test]
fn words_come_as_fast_as_the_bus_takes_them() {
    for mut bench in benches(None) {
        let mut image = bench.memory.bytes().to_vec();
        for i in 0..100 {
            bench.burst(64 * i, 8, &mut image);
        }
        bench.queue.push_back(Item::LayerEnd);
        bench.layers.push_back(image);
        let cycles = bench.run(100);
        assert!(cycles <= 100 * 8 * 5 / 4 + 40, "{cycles} cycles for 800 words");
    }
}

#[test]
fn a_burst_outside_the_window_or_off_the_bus_width_is_refused_before_the_bus() {
    for mut bench in benches(Some(20)) {
        let bus = bench.bus_bytes;
        let (outside, unaligned) = (ErrorCode::OutOfRange as u64, ErrorCode::Unaligned as u64);
        let mut refused = vec![
            (WINDOW, bus / 8, outside),
            (WINDOW - bus, bus / 4, outside),
            ((1 << 32) - bus, 8, outside),
            (4, bus / 8, unaligned),
            (WINDOW + 1, bus / 8, unaligned),
        ];
        if bus == 16 {
            refused.extend([(8, 2, unaligned), (0, 3, unaligned)]);
        }
        for (offset, words, code) in refused {
            bench.layer(3);
            bench.run(100);
            let before = bench.addresses;
            bench.burst(offset, words, &mut []);
            bench.queue.push_back(Item::LayerEnd);
            while bench.faults.is_empty() {
                bench.cycle(100);
            }
            bench.flush(100);
            assert_eq!(bench.faults, [(code, offset)], "{words} words");
            assert_eq!(bench.addresses, before, "{words} words at {offset} reached the bus");
            bench.faults.clear();
        }
    }
}

#[test]
fn a_flush_at_any_time_finishes_the_burst_on_the_bus_and_drops_the_rest() {
    for mut bench in benches(Some(30)) {
        for _ in 0..300 {
            let bursts = bench.random.size(1, 20);
            bench.layer(bursts);
            bench.layer(1);
            let offer = bench.random.pick(&[100, 60, 10]);
            for _ in 0..bench.random.size(0, 100) {
                bench.cycle(offer);
            }
            bench.flush(offer);
            if bench.random.chance(1, 3) {
                bench.layer(3);
                bench.run(100);
            }
        }
    }
}

#[test]
fn error_responses_are_reported() {
    for mut bench in benches(Some(20)) {
        for response in [Response::SlaveError, Response::DecodeError] {
            *bench.memory.faults_mut() =
                vec![Fault { target: FaultTarget::WriteRange(4096..4160), response }];
            let before = bench.errors;
            let mut image = bench.memory.bytes().to_vec();
            bench.burst(4096 - 32, 4, &mut image);
            bench.burst(4096, 4, &mut []);
            bench.burst(4096 + 64, 4, &mut image);
            bench.queue.push_back(Item::LayerEnd);
            bench.layers.push_back(image);
            bench.run(100);
            assert_eq!(bench.errors - before, 1, "{response:?}");
        }
    }
}

/// The memory may accept any number of bursts before it answers the first.
#[test]
fn a_slow_memory_does_not_retire_a_layer_early() {
    for core in small_cores() {
        let slow = MemoryOptions { latency: 3000..=3000, outstanding: 1000, ..options(&core, 1, None) };
        let mut bench = Bench::new(&core, slow);
        bench.layer(600);
        bench.run(100);
    }
}
