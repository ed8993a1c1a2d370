//! `spike_packer`: every row of bytes becomes the words of its tile, at the address of its chunk.

use std::collections::VecDeque;

use hdl::core::spike_packer::spike_packer;
use tests::random::Random;

use crate::device::{Device, small_cores};

/// One chunk of one token, a byte a lane.
#[derive(Clone, Debug)]
struct Row {
    bytes: Vec<u8>,
    offset: u32,
    last: bool,
}

/// A word at the output, and the burst that it completes: offset and words.
#[derive(Debug, PartialEq, Eq)]
struct Word {
    bytes: Vec<u8>,
    burst: Option<(u32, u64)>,
}

/// Random tokens of `chunks` chunks.
fn rows(random: &mut Random, lanes: usize, tokens: usize, chunks: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for _ in 0..tokens {
        let offset = random.bits() as u32;
        for chunk in 0..chunks {
            let bytes = (0..lanes).map(|_| random.bits() as u8).collect();
            rows.push(Row { bytes, offset, last: chunk + 1 == chunks });
        }
    }
    rows
}

/// The words of these rows: `tile_words` each, the chunks of a token `stride` apart.
fn words(rows: &[Row], stride: u32, tile_words: usize) -> VecDeque<Word> {
    let mut words = VecDeque::new();
    let mut chunk: u32 = 0;
    for row in rows {
        let address = row.offset.wrapping_add(chunk.wrapping_mul(stride));
        for (i, bytes) in row.bytes.chunks(8).take(tile_words).enumerate() {
            let burst = (i + 1 == tile_words).then_some((address, tile_words as u64));
            words.push_back(Word { bytes: bytes.to_vec(), burst });
        }
        chunk = if row.last { 0 } else { chunk + 1 };
    }
    words
}

/// Sends rows at these percentages, compares the words, returns the cycles from the first word to the last.
fn check(
    device: &mut Device,
    random: &mut Random,
    rows: &[Row],
    tile: (u32, usize),
    percent: (u64, u64),
) -> u64 {
    let (stride, tile_words) = tile;
    device.set("chunk_stride", stride);
    device.set("tile_words", tile_words as u64);
    let mut queue: VecDeque<&Row> = rows.iter().collect();
    let mut expected = words(rows, stride, tile_words);
    let mut sent = Vec::new();
    // The bytes of a row come three cycles after it is taken.
    let mut taken: [Option<&Row>; 3] = [None; 3];
    loop {
        let all_taken = queue.is_empty();
        let row = queue.front().filter(|_| random.chance(percent.0, 100));
        let ready = random.chance(percent.1, 100);
        device.set("in_valid", row.is_some());
        device.set("out_ready", ready);
        let noise: Vec<u8> = (0..64).map(|_| random.bits() as u8).collect();
        device.set_bytes("in_bytes", taken[2].map_or(&noise, |row| &row.bytes));
        device.set("in_offset", row.map_or(random.bits(), |row| row.offset.into()));
        device.set("in_last", row.map_or(random.bits(), |row| row.last.into()));
        device.cycle();
        let takes = row.is_some() && device.is("in_ready");
        taken = [if takes { queue.pop_front() } else { None }, taken[0], taken[1]];
        if ready && device.is("out_valid") {
            let burst = (device.get("burst_offset") as u32, device.get("burst_words"));
            let burst = device.is("burst_valid").then_some(burst);
            let found = Word { bytes: device.bytes("out_data"), burst };
            assert_eq!(Some(found), expected.pop_front(), "word {} of {tile:?}", sent.len());
            sent.push(device.cycles());
        }
        if all_taken && device.is("idle") {
            break;
        }
    }
    assert!(expected.is_empty(), "{} words are missing", expected.len());
    sent[sent.len() - 1] - sent[0] + 1
}

#[test]
fn bytes_become_words_at_the_address_of_their_chunk() {
    for core in small_cores() {
        let (mut device, mut random) = (Device::new(&spike_packer(&core).unwrap()), Random(1));
        for _ in 0..300 {
            let (tokens, chunks) = (random.size(1, 5), random.size(1, 8));
            let rows = rows(&mut random, core.lanes as usize, tokens, chunks);
            let tile = (random.bits() as u32, random.size(1, core.lanes as usize / 8));
            let percent = (random.pick(&[100, 50, 10]), random.pick(&[100, 50, 10]));
            check(&mut device, &mut random, &rows, tile, percent);
        }
    }
}

#[test]
fn words_follow_each_other_without_a_bubble() {
    for core in small_cores() {
        let (mut device, mut random) = (Device::new(&spike_packer(&core).unwrap()), Random(2));
        for tile_words in 1..=core.lanes as usize / 8 {
            let rows = rows(&mut random, core.lanes as usize, 10, 3);
            let cycles = check(&mut device, &mut random, &rows, (64, tile_words), (100, 100));
            // A row is taken every fifth cycle.
            let each = tile_words.max(5);
            assert_eq!(cycles, (29 * each + tile_words) as u64, "cycles for 30 rows of {tile_words} words");
        }
    }
}
