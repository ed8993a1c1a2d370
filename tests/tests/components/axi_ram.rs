//! `axi_ram` against an array of bytes, with bursts and words of the host at once.

use hdl::shell::axi_ram::axi_ram;
use isa::{CoreConfig, SocConfig};
use std::collections::VecDeque;
use tests::random::Random;

use crate::device::Device;

const BASE: u64 = isa::soc::MEMORY_BASE as u64;

/// A burst of the manager.
#[derive(Clone, Debug)]
struct Burst {
    address: u64,
    beats: usize,
    id: u8,
}

/// What a manager and a host want, and what the memory should hold.
struct Bench {
    device: Device,
    random: Random,
    beat_bytes: usize,
    bytes: Vec<u8>,
    /// Reads whose data has not all come, oldest first, with the beats that came.
    reads: VecDeque<(Burst, usize)>,
    host: Option<(bool, u64, u32)>,
}

impl Bench {
    fn new(config: &SocConfig, seed: u64) -> Bench {
        let mut bench = Bench {
            device: Device::new(&axi_ram(&config.into()).unwrap()),
            random: Random(seed),
            beat_bytes: config.core.bus_bytes() as usize,
            bytes: vec![0; config.memory_bytes as usize],
            reads: VecDeque::new(),
            host: None,
        };
        // The host fills it: block RAM starts from noise.
        for word in 0..bench.bytes.len() / 4 {
            let value = bench.random.bits() as u32;
            bench.host_word(true, word as u64, value);
        }
        bench
    }

    /// One access of the host with nothing else going on.
    fn host_word(&mut self, write: bool, word: u64, value: u32) {
        self.host = Some((write, word, value));
        for _ in 0..20 {
            if self.host.is_some() {
                self.cycle(None, None, 0);
            }
        }
        assert_eq!(self.host, None, "the host's access did not end");
    }

    fn burst(&mut self) -> Burst {
        let beats = self.random.size(1, 16);
        let room = self.bytes.len() / self.beat_bytes - beats;
        let first = self.random.size(0, room);
        let outside = self.random.chance(1, 12);
        let base = if outside { BASE + (1 << 24) } else { BASE };
        Burst { address: base + (first * self.beat_bytes) as u64, beats, id: (self.random.bits() & 1) as u8 }
    }

    fn inside(&self, burst: &Burst) -> Option<usize> {
        let offset = burst.address.checked_sub(BASE)? as usize;
        (offset < self.bytes.len()).then_some(offset)
    }

    /// One cycle: `read` is offered as an address, `write` as a beat of data, with `ready` saying what the manager takes (bit 0: R,
    /// bit 1: B). Returns whether the read's address and the beat were taken.
    fn cycle(&mut self, read: Option<&Burst>, write: Option<&WriteStep>, ready: u64) -> [bool; 3] {
        let device = &mut self.device;
        device.set("arvalid", read.is_some());
        if let Some(burst) = read {
            device.set("araddr", burst.address);
            device.set("arlen", burst.beats as u64 - 1);
            device.set("arid", burst.id);
        }
        let address = write.and_then(|step| step.address.as_ref());
        device.set("awvalid", address.is_some());
        if let Some(burst) = address {
            device.set("awaddr", burst.address);
            device.set("awlen", burst.beats as u64 - 1);
            device.set("awid", burst.id);
        }
        let beat = write.and_then(|step| step.beat.as_ref());
        device.set("wvalid", beat.is_some());
        if let Some((data, strobe, last)) = beat {
            device.set_bytes("wdata", data);
            device.set("wstrb", *strobe);
            device.set("wlast", *last);
        }
        device.set("rready", ready & 1 == 1);
        device.set("bready", ready & 2 == 2);
        device.set("host_valid", self.host.is_some());
        if let Some((write, word, value)) = self.host {
            device.set("host_write", write);
            device.set("host_address", word);
            device.set("host_wdata", value);
        }
        device.cycle();
        if let Some((write, word, value)) = self.host
            && device.is("host_done")
        {
            let place = &mut self.bytes[4 * word as usize..4 * word as usize + 4];
            if write {
                place.copy_from_slice(&value.to_le_bytes());
            } else {
                assert_eq!(
                    device.get("host_rdata") as u32,
                    u32::from_le_bytes(place.try_into().unwrap()),
                    "word {word}"
                );
            }
            self.host = None;
        }
        let taken = [
            read.is_some() && device.is("arready"),
            address.is_some() && device.is("awready"),
            beat.is_some() && device.is("wready"),
        ];
        if ready & 1 == 1 && device.is("rvalid") {
            self.read_beat();
        }
        if taken[0] {
            self.reads.extend(read.map(|burst| (burst.clone(), 0)));
        }
        taken
    }

    fn read_beat(&mut self) {
        let (burst, beat) = self.reads.pop_front().expect("data that nobody asked for");
        let last = beat + 1 == burst.beats;
        assert_eq!((self.device.get("rid") as u8, self.device.is("rlast")), (burst.id, last));
        match self.inside(&burst) {
            Some(offset) => {
                assert_eq!(self.device.get("rresp"), 0);
                let at = offset + beat * self.beat_bytes;
                assert_eq!(
                    self.device.bytes("rdata")[..self.beat_bytes],
                    self.bytes[at..at + self.beat_bytes]
                );
            }
            None => assert_eq!(self.device.get("rresp"), 3, "DECERR outside"),
        }
        if !last {
            self.reads.push_front((burst, beat + 1));
        }
    }

    /// Writes a burst, beat by beat with pauses, and checks its answer.
    fn write(&mut self) {
        let burst = self.burst();
        let mut step = WriteStep { address: Some(burst.clone()), beat: None };
        let stalls = self.random.pick(&[0, 30, 70]);
        let mut beat = 0;
        let mut data: Option<(Vec<u8>, u64, bool)> = None;
        while beat < burst.beats {
            if data.is_none() && !self.random.chance(stalls, 100) {
                let bytes: Vec<u8> = (0..self.beat_bytes).map(|_| self.random.bits() as u8).collect();
                let words = self.beat_bytes as u64 / 4;
                let lanes = if self.random.chance(1, 4) {
                    self.random.bits() & ((1 << words) - 1)
                } else {
                    (1 << words) - 1
                };
                let strobe =
                    (0..words).filter(|lane| lanes >> lane & 1 == 1).fold(0, |s, lane| s | 0xf << (4 * lane));
                data = Some((bytes, strobe, beat + 1 == burst.beats));
            }
            step.beat.clone_from(&data);
            let [_, address, taken] = self.cycle(None, Some(&step), 1);
            if address {
                step.address = None;
            }
            if taken && let Some((bytes, strobe, _)) = data.take() {
                if let Some(offset) = self.inside(&burst) {
                    let at = offset + beat * self.beat_bytes;
                    for (i, byte) in bytes.into_iter().enumerate().filter(|(i, _)| strobe >> i & 1 == 1) {
                        self.bytes[at + i] = byte;
                    }
                }
                beat += 1;
            }
        }
        let expected = (u64::from(burst.id), if self.inside(&burst).is_some() { 0 } else { 3 });
        for wait in 0.. {
            assert!(wait < 100, "no answer to a write");
            let ready = if self.random.chance(1, 2) { 3 } else { 1 };
            self.cycle(None, None, ready);
            if ready & 2 == 2 && self.device.is("bvalid") {
                assert_eq!((self.device.get("bid"), self.device.get("bresp")), expected);
                break;
            }
        }
    }

    /// Reads bursts back to back while the host reads words.
    fn read(&mut self, bursts: usize) {
        let stalls = self.random.pick(&[0, 30, 70]);
        let mut waiting: VecDeque<Burst> = (0..bursts).map(|_| self.burst()).collect();
        while !waiting.is_empty() || !self.reads.is_empty() || self.host.is_some() {
            if self.host.is_none() && !waiting.is_empty() && self.random.chance(1, 10) {
                let word = self.random.size(0, self.bytes.len() / 4 - 1) as u64;
                self.host = Some((false, word, 0));
            }
            let ready = u64::from(!self.random.chance(stalls, 100));
            let next = waiting.front().cloned();
            if self.cycle(next.as_ref(), None, ready)[0] {
                waiting.pop_front();
            }
        }
    }
}

struct WriteStep {
    address: Option<Burst>,
    beat: Option<(Vec<u8>, u64, bool)>,
}

fn config(preset: &str, memory_bytes: u32) -> SocConfig {
    let core = CoreConfig::preset(preset).unwrap();
    SocConfig { core, memory_bytes, clock_hz: 1_000_000, baud: 250_000 }
}

#[test]
fn bursts_and_words_read_what_was_written_last() {
    // One bank, and three of different sizes.
    for (preset, memory_bytes) in [("tiny", 4096), ("ecp5", 28 << 10)] {
        let mut bench = Bench::new(&config(preset, memory_bytes), memory_bytes.into());
        for _ in 0..60 {
            for _ in 0..bench.random.size(1, 4) {
                bench.write();
            }
            let bursts = bench.random.size(1, 6);
            bench.read(bursts);
            for _ in 0..10 {
                let write = bench.random.chance(1, 2);
                let (word, value) = (bench.random.size(0, bench.bytes.len() / 4 - 1), bench.random.bits());
                bench.host_word(write, word as u64, value as u32);
                // At once: a write must not be overtaken.
                bench.host_word(false, word as u64, 0);
            }
        }
    }
}

#[test]
fn a_burst_streams_a_beat_a_cycle() {
    let mut bench = Bench::new(&config("ecp5", 4096), 1);
    let burst = Burst { address: BASE, beats: 16, id: 0 };
    assert!(bench.cycle(Some(&burst), None, 1)[0]);
    let before = bench.device.cycles();
    while !bench.reads.is_empty() {
        bench.cycle(None, None, 1);
    }
    assert_eq!(bench.device.cycles() - before, 2 + 16);
}
