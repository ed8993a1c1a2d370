//! `key_transposer` against a transpose.

use std::collections::VecDeque;

use hdl::core::key_transposer::key_transposer;
use isa::CoreConfig;
use tests::random::Random;

use crate::device::{Device, small_cores};

/// Keys of a slab: one a lane of a word.
const SLAB: usize = 8;
/// Most cycles without a word.
const PATIENCE: u64 = 4000;

/// One chunk of K: `keys[key][channel]`.
#[derive(Clone, Debug)]
struct Chunk {
    keys: Vec<Vec<u8>>,
}

impl Chunk {
    fn random(random: &mut Random, keys: usize, words: usize) -> Chunk {
        let key = |random: &mut Random| (0..8 * words).map(|_| random.bits() as u8).collect();
        Chunk { keys: (0..keys).map(|_| key(random)).collect() }
    }

    /// The words as they arrive: key by key.
    fn arriving(&self) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        for (k, key) in self.keys.iter().enumerate() {
            let words = key.len() / 8;
            for (w, bytes) in key.chunks(8).enumerate() {
                let key_end = w + 1 == words;
                let rows_end = key_end && k + 1 == self.keys.len();
                let slab_end = rows_end || key_end && k % SLAB == SLAB - 1;
                arrivals.push(Arrival { bytes: bytes.to_vec(), key_end, slab_end, rows_end });
            }
        }
        arrivals
    }

    /// The words as they must leave: slab by slab, channel by channel. A short slab leaves the bytes of missing keys open.
    fn leaving(&self) -> Vec<Departure> {
        let channels = self.keys[0].len();
        let slabs = self.keys.chunks(SLAB);
        let last_slab = slabs.len() - 1;
        let of_slab = |(s, slab): (usize, &[Vec<u8>])| -> Vec<Departure> {
            let departure = |channel: usize| Departure {
                channel,
                bytes: slab.iter().map(|key| key[channel]).collect(),
                slab_done: channel + 1 == channels,
                chunk_done: channel + 1 == channels && s == last_slab,
            };
            (0..channels).map(departure).collect()
        };
        slabs.enumerate().flat_map(of_slab).collect()
    }
}

struct Arrival {
    bytes: Vec<u8>,
    key_end: bool,
    slab_end: bool,
    rows_end: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Departure {
    channel: usize,
    bytes: Vec<u8>,
    slab_done: bool,
    chunk_done: bool,
}

struct Bench {
    device: Device,
    random: Random,
    words: usize,
}

impl Bench {
    fn new(core: &CoreConfig, seed: u64) -> Bench {
        let words = core.weight_rows as usize / 8;
        Bench { device: Device::new(&key_transposer(core).unwrap()), random: Random(seed), words }
    }

    /// Sends chunks with words in `arrive` percent of the cycles and compares what leaves; returns the cycles that it took.
    fn check(&mut self, chunks: &[Chunk], arrive: u64, case: &str) -> u64 {
        let mut arriving: VecDeque<Arrival> = chunks.iter().flat_map(Chunk::arriving).collect();
        let mut leaving: VecDeque<Departure> = chunks.iter().flat_map(Chunk::leaving).collect();
        let start = self.device.cycles();
        let (mut left, mut quiet) = (0, 0);
        while !leaving.is_empty() || quiet < 30 {
            let (device, random) = (&mut self.device, &mut self.random);
            let arrival = arriving.front().filter(|_| random.chance(arrive, 100));
            device.set("in_valid", arrival.is_some());
            device.set("in_data", random.bits());
            for (port, flag) in [
                ("key_end", arrival.map(|a| a.key_end)),
                ("slab_end", arrival.map(|a| a.slab_end)),
                ("rows_end", arrival.map(|a| a.rows_end)),
            ] {
                device.set(port, flag.unwrap_or(random.chance(1, 2)));
            }
            if let Some(arrival) = arrival {
                device.set_bytes("in_data", &arrival.bytes);
            }
            device.cycle();
            quiet += 1;
            if arrival.is_some() && device.is("in_ready") {
                arriving.pop_front();
            }
            if !device.is("out_valid") {
                assert!(!device.is("slab_done") && !device.is("chunk_done"), "{case}: done without a word");
                assert!(quiet < PATIENCE, "{case}: no word leaves; {} are missing", leaving.len());
                continue;
            }
            let expected = leaving.pop_front();
            let bytes = expected.as_ref().map_or(0, |word| word.bytes.len());
            let found = Departure {
                channel: device.get("out_channel") as usize,
                bytes: device.bytes("out_data")[..bytes].to_vec(),
                slab_done: device.is("slab_done"),
                chunk_done: device.is("chunk_done"),
            };
            assert_eq!(Some(found), expected, "{case}: word {left}");
            (left, quiet) = (left + 1, 0);
        }
        self.device.cycles() - start - quiet
    }
}

#[test]
fn keys_become_channels() {
    for core in small_cores() {
        let mut bench = Bench::new(&core, 1);
        for case in 0..150 {
            let words = bench.random.size(1, bench.words);
            let keys = if case % 16 == 15 { 192 } else { bench.random.size(1, 40) };
            let count = bench.random.size(1, 4);
            let chunks: Vec<Chunk> =
                (0..count).map(|_| Chunk::random(&mut bench.random, keys, words)).collect();
            let arrive = bench.random.pick(&[100, 100, 60, 20]);
            bench.check(&chunks, arrive, &format!("case {case}: {keys} keys of {words} words, {arrive} %"));
        }
    }
}

#[test]
fn full_slabs_take_a_word_a_cycle() {
    let mut bench = Bench::new(&small_cores()[0], 2);
    for words in 1..=bench.words {
        let chunk = Chunk::random(&mut bench.random, 12 * SLAB, words);
        let total = chunk.arriving().len() as u64;
        let cycles = bench.check(&[chunk], 100, &format!("{words} words"));
        // The last slab leaves after the one before it has left.
        let slab = (SLAB * words) as u64;
        assert!(cycles <= total + slab + 20, "{cycles} cycles for {total} words in slabs of {slab}");
    }
}
