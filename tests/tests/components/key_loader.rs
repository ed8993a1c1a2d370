//! `key_loader` (with `key_transposer`): what it requests, and where in the weight buffer K and V go.

use std::collections::BTreeMap;

use hdl::core::key_loader::key_loader;
use isa::{CoreConfig, Op};
use tests::random::Random;

use crate::device::{Device, small_cores};

/// Most cycles without a beat or a write.
const PATIENCE: u64 = 3000;

/// A job's K or V.
#[derive(Debug)]
struct Job {
    op: Op,
    /// `rows[chunk][key]`: the bytes of a row.
    rows: Vec<Vec<Vec<u8>>>,
    /// 64-bit words of the queries' row.
    segment_words: usize,
    base: u32,
    token_stride: u32,
    chunk_stride: u32,
}

impl Job {
    fn random(random: &mut Random, core: &CoreConfig) -> Job {
        let op = random.pick(&[Op::Scores, Op::Context]);
        let (lanes, beat_words) = (core.lanes as usize, core.bus_bits as usize / 64);
        let most_rows = core.weight_rows as usize / 8;
        let chunks = random.size(1, 4);
        let most = most_rows / chunks / beat_words;
        // K has as many words as Q, and a tile's keys; V the tile's words, and as many rows as A has channels.
        let segment_words = beat_words * random.size(1, most.min(6));
        let (keys, words) = match op {
            Op::Scores => (random.size(1, lanes), segment_words),
            _ => {
                let keys = random.size(1, (8 * segment_words).min(core.bias_rows as usize));
                (keys, beat_words * random.size(1, lanes / 8 / beat_words))
            }
        };
        let row = |random: &mut Random| (0..8 * words).map(|_| random.bits() as u8).collect::<Vec<u8>>();
        let chunk = |random: &mut Random| (0..keys).map(|_| row(random)).collect::<Vec<_>>();
        Job {
            op,
            rows: (0..chunks).map(|_| chunk(random)).collect(),
            segment_words,
            base: random.bits() as u32,
            token_stride: random.bits() as u32,
            chunk_stride: random.bits() as u32,
        }
    }

    /// What the array reads: byte by byte, by matrix row and lane.
    fn matrix(&self) -> BTreeMap<(usize, usize), u8> {
        let mut matrix = BTreeMap::new();
        for (chunk, keys) in self.rows.iter().enumerate() {
            let first = chunk * 8 * self.segment_words;
            for (key, bytes) in keys.iter().enumerate() {
                for (channel, &byte) in bytes.iter().enumerate() {
                    let place = match self.op {
                        Op::Scores => (first + channel, key),
                        _ => (first + key, channel),
                    };
                    matrix.insert(place, byte);
                }
            }
        }
        matrix
    }

    fn offsets(&self) -> Vec<u32> {
        let offset = |chunk: usize, key: usize| {
            self.base
                .wrapping_add((chunk as u32).wrapping_mul(self.chunk_stride))
                .wrapping_add((key as u32).wrapping_mul(self.token_stride))
        };
        (0..self.rows.len()).flat_map(|c| (0..self.rows[c].len()).map(move |k| offset(c, k))).collect()
    }
}

struct Bench {
    device: Device,
    bus_bytes: usize,
    random: Random,
}

impl Bench {
    fn new(core: &CoreConfig, seed: u64) -> Bench {
        let device = Device::new(&key_loader(core).unwrap());
        Bench { device, bus_bytes: core.bus_bytes() as usize, random: Random(seed) }
    }

    /// Loads a job; beats arrive in `arrive` percent of the cycles. Compares requests and matrix.
    fn check(&mut self, job: &Job, arrive: u64, case: &str) {
        let (device, random) = (&mut self.device, &mut self.random);
        for (port, value) in [
            ("op", job.op as u64),
            ("chunks", job.rows.len() as u64),
            ("rows", job.rows[0].len() as u64),
            ("words", job.rows[0][0].len() as u64 / 8),
            ("segment_words", job.segment_words as u64),
            ("job_base", job.base.into()),
            ("matrix_token_stride", job.token_stride.into()),
            ("matrix_chunk_stride", job.chunk_stride.into()),
        ] {
            device.set(port, value);
        }
        (0..3).for_each(|_| device.cycle());
        device.set("job_base", random.bits());
        device.set("active", true);
        let beats: Vec<&[u8]> =
            job.rows.iter().flatten().flat_map(|row| row.chunks(self.bus_bytes)).collect();
        let beats_a_row = job.rows[0][0].len() / self.bus_bytes;
        let (mut requested, mut matrix) = (Vec::new(), BTreeMap::new());
        let (mut taken, mut quiet, mut there) = (0, 0, false);
        loop {
            // Data follows its request; a beat that is there stays until it is taken.
            there = there || taken < beats_a_row * requested.len() && random.chance(arrive, 100);
            device.set("in_valid", there);
            device.set_bytes("in_data", if there { beats[taken] } else { &[0x5a; 16] });
            let ready = random.chance(70, 100);
            device.set("request_ready", ready);
            device.cycle();
            quiet += 1;
            if device.is("request_valid") && ready {
                requested.push(device.get("request_offset") as u32);
            }
            let row = device.get("row") as usize;
            let mut write = |first: usize, bytes: &[u8]| {
                quiet = 0;
                bytes.iter().enumerate().for_each(|(i, &byte)| {
                    matrix.insert((row, first + i), byte);
                });
            };
            if device.is("key_valid") {
                write(8 * device.get("key_word") as usize, &device.bytes("key_data")[..8]);
            }
            if device.is("value_valid") {
                write(self.bus_bytes * device.get("value_beat") as usize, beats[taken]);
            }
            if there && device.is("in_ready") {
                (taken, there) = (taken + 1, false);
            }
            if device.is("done") {
                break;
            }
            assert!(quiet < PATIENCE, "{case}: {job:?}: {taken} of {} beats taken", beats.len());
        }
        device.set("active", false);
        device.set("in_valid", false);
        device.cycle();
        assert!(
            !device.is("key_valid") && !device.is("request_valid"),
            "{case}: still at work when it is done"
        );
        assert_eq!(requested, job.offsets(), "{case}: requests of {job:?}");
        assert_eq!(taken, beats.len(), "{case}: beats of {job:?}");
        for (place, byte) in job.matrix() {
            assert_eq!(matrix.get(&place), Some(&byte), "{case}: row and lane {place:?} of {job:?}");
        }
    }
}

#[test]
fn keys_and_values_go_where_the_array_reads_them() {
    for core in small_cores() {
        let mut bench = Bench::new(&core, 40);
        for case in 0..120 {
            let job = Job::random(&mut bench.random, &core);
            let arrive = bench.random.pick(&[100, 100, 60, 20]);
            bench.check(&job, arrive, &format!("case {case}"));
        }
    }
}
