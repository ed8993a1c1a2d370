//! `serial_bridge` against uartbone as [`isa::soc`] has it.

use hdl::shell::serial_bridge::serial_bridge;
use std::collections::HashMap;
use tests::random::Random;

use crate::device::Device;

const SILENCE: u32 = 300;

/// The bridge with a memory behind it that answers whenever it likes.
struct Bench {
    device: Device,
    random: Random,
    memory: HashMap<u32, u32>,
    /// Whether an access waits for its answer.
    open: bool,
    crc: crc32fast::Hasher,
    sent: Vec<u8>,
}

impl Bench {
    fn new(seed: u64) -> Bench {
        let device = Device::new(&serial_bridge(SILENCE).unwrap());
        Bench {
            device,
            random: Random(seed),
            memory: HashMap::new(),
            open: false,
            crc: crc32fast::Hasher::new(),
            sent: Vec::new(),
        }
    }

    /// One cycle with `byte` offered; whether it was taken.
    fn cycle(&mut self, byte: Option<u8>) -> bool {
        let noise = self.random.bits();
        let room = self.random.chance(1, 2);
        self.device.set("rx_valid", byte.is_some());
        self.device.set("rx_data", byte.unwrap_or(noise as u8));
        self.device.set("tx_ready", room);
        // An access that was offered in the last cycle and not answered is still there.
        let answers = self.open && self.random.chance(1, 3);
        let address = self.device.get("bus_address") as u32;
        let value = self.memory.get(&address).copied().unwrap_or(!address);
        self.device.set("bus_done", answers);
        self.device.set("bus_rdata", if answers { value } else { noise as u32 });
        if answers && self.device.is("bus_write") {
            self.memory.insert(address, self.device.get("bus_wdata") as u32);
        }
        self.device.cycle();
        self.open = self.device.is("bus_valid") && !answers;
        let taken = byte.filter(|_| self.device.is("rx_ready"));
        let sent = (room && self.device.is("tx_valid")).then(|| self.device.get("tx_data") as u8);
        for byte in taken.into_iter().chain(sent) {
            self.crc.update(&[byte]);
        }
        self.sent.extend(sent);
        taken.is_some()
    }

    /// Sends bytes with gaps, and lets the answer come.
    fn command(&mut self, bytes: &[u8], answer: usize) -> Vec<u8> {
        self.sent.clear();
        for &byte in bytes {
            for _ in 0..self.random.size(0, 4) {
                self.cycle(None);
            }
            while !self.cycle(Some(byte)) {}
        }
        // A byte waits for its word, and for room on the line.
        for _ in 0..SILENCE as usize + 32 * answer {
            if self.sent.len() < answer {
                self.cycle(None);
            }
        }
        // The last access of a write.
        self.rest(30);
        std::mem::take(&mut self.sent)
    }

    fn rest(&mut self, cycles: u32) {
        for _ in 0..cycles {
            self.cycle(None);
        }
    }

    fn check_crc(&self) {
        let expected = self.crc.clone().finalize();
        assert_eq!(self.device.get("crc") as u32, expected, "checksum of the bytes so far");
    }
}

fn header(command: u8, words: u8, address: u32) -> Vec<u8> {
    [&[command, words][..], &address.to_be_bytes()].concat()
}

/// The bits of a word's address that the bus has: those of the byte's, less two. The others are dropped.
const WORD_ADDRESS: u32 = u32::MAX >> 2;

#[test]
fn bursts_write_and_read_and_the_checksum_covers_every_byte() {
    let mut bench = Bench::new(1);
    let mut model: HashMap<u32, u32> = HashMap::new();
    for case in 0..120 {
        let counts_up = bench.random.chance(3, 4);
        let region = bench.random.pick(&[0, 0, WORD_ADDRESS / 2 - 23, WORD_ADDRESS - 23, u32::MAX - 23]);
        let address = u32::wrapping_add(region, bench.random.size(0, 40) as u32);
        let words = if case % 30 == 29 { u8::MAX } else { bench.random.size(1, 9) as u8 };
        let of = |word: u32| address.wrapping_add(if counts_up { word } else { 0 }) & WORD_ADDRESS;
        if bench.random.chance(1, 2) {
            let mut bytes = header(if counts_up { 1 } else { 3 }, words, address);
            for word in 0..u32::from(words) {
                let value = bench.random.bits() as u32;
                model.insert(of(word), value);
                bytes.extend(value.to_be_bytes());
            }
            assert_eq!(bench.command(&bytes, 0), [0u8; 0]);
        } else {
            let answer =
                bench.command(&header(if counts_up { 2 } else { 4 }, words, address), 4 * usize::from(words));
            let value = |word| model.get(&of(word)).copied().unwrap_or(!of(word));
            let expected: Vec<u8> =
                (0..u32::from(words)).flat_map(|word| value(word).to_be_bytes()).collect();
            assert_eq!(answer, expected);
        }
        assert_eq!(bench.memory, model);
        bench.check_crc();
    }
}

#[test]
fn a_length_of_0_means_256_words() {
    let mut bench = Bench::new(2);
    let words: Vec<u8> = (0..1024).map(|i| (i * 7) as u8).collect();
    bench.command(&[header(1, 0, 0x100), words.clone()].concat(), 0);
    assert_eq!(bench.memory.len(), 256);
    // 256 words take longer than the silence that `command` waits for.
    let mut answer = bench.command(&header(2, 0, 0x100), 1024);
    while answer.len() < 1024 {
        bench.cycle(None);
        answer.append(&mut bench.sent);
    }
    assert_eq!(answer, words);
}

#[test]
fn garbage_is_dropped_and_silence_ends_an_incomplete_command() {
    let mut bench = Bench::new(3);
    for cut in 1..10 {
        let write = [header(1, 1, 5), vec![1, 2, 3, 4]].concat();
        let noise: Vec<u8> = (0..cut).map(|i| 0x50 + i as u8).collect();
        bench.command(&noise, 0);
        bench.command(&write[..cut], 0);
        bench.rest(SILENCE + 2);
        assert_eq!(bench.memory.len(), 0, "cut after {cut} bytes");
        assert_eq!(
            bench.command(&header(2, 1, 9), 4),
            (!9u32).to_be_bytes(),
            "after a command of {cut} bytes"
        );
    }
}

#[test]
fn the_checksum_starts_anew_when_it_is_cleared() {
    let mut bench = Bench::new(4);
    bench.command(&header(2, 1, 9), 4);
    bench.device.set("crc_clear", true);
    bench.cycle(None);
    bench.device.set("crc_clear", false);
    bench.crc = crc32fast::Hasher::new();
    bench.rest(1);
    bench.check_crc();
    bench.command(&header(2, 3, 9), 12);
    bench.check_crc();
}
