//! `spike_scanner` with `spike_buffer`: rows in, every active entry out exactly once and in order.

use std::ops::Range;

use isa::{CoreConfig, MAX_SEGMENTS};
use tests::random::Random;

use crate::device::small_cores;
use crate::scanner_bench::{Bench, Event, Layer, Pace, Row, Walk};

impl Layer {
    /// A layer of any kind that fits `core`.
    fn random(random: &mut Random, core: &CoreConfig) -> Layer {
        let beat_words = core.bus_bits as usize / 64;
        let kind = random.size(0, 4);
        let attention = kind == 1;
        let walks: &[Walk] = match kind {
            0 => &[Walk::Steps, Walk::Counts, Walk::StepEvents],
            1 => &[Walk::Steps, Walk::WholeBytes, Walk::StepEvents],
            2 => &[Walk::Steps, Walk::Counts, Walk::StepEvents],
            3 => &[Walk::Analog],
            _ => &[Walk::Counts, Walk::StepEvents],
        };
        let most_words = if kind == 2 { core.lanes / 8 } else { core.max_fan_in / 8 } as usize;
        Layer {
            walk: random.pick(walks),
            wide: kind == 2,
            one_sum: kind == 4,
            attention,
            scores: attention && random.chance(1, 2),
            tail_steps: random.size(1, 8) as u32,
            segment_words: beat_words * random.size(1, most_words / beat_words),
        }
    }
}

impl Row {
    fn random(random: &mut Random, layer: &Layer, segments: usize, token_end: bool, job_end: bool) -> Row {
        let (part, whole) = random.pick(&[(0, 1), (1, 40), (1, 4), (1, 1)]);
        let steps = if token_end && layer.walk != Walk::Analog { layer.tail_steps } else { 8 };
        let byte = |random: &mut Random| if random.chance(part, whole) { random.bits() as u8 } else { 0 };
        let length = 8 * layer.segment_words * segments;
        let bytes = (0..length).map(|_| byte(random) & (0xff >> (8 - steps))).collect();
        Row { bytes, token_end, job_end }
    }
}

/// All events of a layer, from the text of `spike_scanner` and `spike_buffer`.
fn events(layer: &Layer, rows: &[Row]) -> Vec<Event> {
    let mut events = Vec::new();
    let (mut job, mut chunk, mut query) = (0, 0, 0);
    for row in rows {
        let base = if layer.attention { chunk * 8 * layer.segment_words } else { 0 };
        let stored = |byte: u8| if layer.walk == Walk::Counts { byte.count_ones() as u8 } else { byte };
        let bytes: Vec<u8> = row.bytes.iter().map(|&byte| stored(byte)).collect();
        let in_plane = |byte: u8, plane: u32| match layer.walk {
            Walk::WholeBytes => plane == 0 && byte != 0,
            _ => byte >> plane & 1 == 1,
        };
        let shift = |plane| if matches!(layer.walk, Walk::Steps | Walk::StepEvents) { 0 } else { plane };
        let active = |plane: u32| -> Vec<Option<(usize, u32, u32, u8)>> {
            if layer.wide {
                let segments = bytes.chunks(8 * layer.segment_words).enumerate();
                let active = segments.filter(|(_, segment)| segment.iter().any(|&b| in_plane(b, plane)));
                return active.map(|(k, _)| Some((base + k, plane, shift(plane), 1 << plane))).collect();
            }
            let active = bytes.iter().enumerate().filter(|(_, byte)| in_plane(**byte, plane));
            let steps = |byte: u8| if layer.walk == Walk::WholeBytes { byte } else { 1 << plane };
            active.map(|(i, &byte)| Some((base + i, plane, shift(plane), steps(byte)))).collect()
        };
        let every_step = if row.token_end { layer.tail_steps } else { 8 };
        let mut passes: Vec<Vec<_>> = match layer.walk {
            Walk::Steps => (0..every_step).map(active).collect(),
            _ => (0..8).map(active).filter(|pass| !pass.is_empty()).collect(),
        };
        if passes.is_empty() {
            passes.push(Vec::new());
        }
        let pass_count = passes.len();
        for (p, mut pass) in passes.into_iter().enumerate() {
            if pass.is_empty() {
                pass.push(None);
            }
            let entries = pass.len();
            for (e, entry) in pass.into_iter().enumerate() {
                let ends_pass = e + 1 == entries;
                let ends_token = ends_pass && p + 1 == pass_count && row.token_end;
                let ends_job = ends_token && row.job_end;
                let sum_complete = if layer.one_sum { ends_job } else { ends_token };
                let first_of_token = chunk == 0 && p == 0 && e == 0;
                let own = entry.filter(|_| layer.wide).map(|(segment, ..)| {
                    let start = 8 * layer.segment_words * (segment - base);
                    bytes[start..start + 8 * layer.segment_words].to_vec()
                });
                events.push(Event {
                    job,
                    entry,
                    last: sum_complete || (layer.walk == Walk::Steps && ends_pass),
                    job_scanned: ends_job,
                    bias_row: (layer.scores && first_of_token).then_some(query),
                    own: own.unwrap_or_default(),
                });
            }
        }
        chunk = if row.token_end { 0 } else { chunk + 1 };
        query = if row.token_end { query + 1 } else { query };
        if row.job_end {
            (job, query) = (job + 1, 0);
        }
    }
    events
}

const FULL_SPEED: Pace = Pace { advance: 100, arrive: 100 };

/// The rows of one to three jobs of a random layer.
fn random_rows(random: &mut Random, layer: &Layer, core: &CoreConfig) -> Vec<Row> {
    let row_words = core.max_fan_in as usize / 8;
    let segments = match (layer.attention, layer.wide) {
        (true, _) => 1,
        (_, true) => random.size(1, MAX_SEGMENTS as usize),
        _ => random.size(1, (row_words / layer.segment_words).min(MAX_SEGMENTS as usize)),
    };
    let matrix_rows = core.weight_rows as usize / 8;
    let most_chunks = if layer.attention { matrix_rows / layer.segment_words } else { 8 };
    let most_chunks = most_chunks.min(random.pick(&[3, 3, 8]));
    let chunks = if layer.walk == Walk::Analog { 1 } else { random.size(1, most_chunks) };
    let (jobs, tokens) = (random.size(1, 3), random.size(1, 5));
    let mut rows = Vec::new();
    for _ in 0..jobs {
        for token in 0..tokens {
            for chunk in 0..chunks {
                let token_end = chunk + 1 == chunks;
                let job_end = token_end && token + 1 == tokens;
                rows.push(Row::random(random, layer, segments, token_end, job_end));
            }
        }
    }
    rows
}

/// Random layers on `core`, each event against the text.
fn check_layers(core: &CoreConfig, seeds: Range<u64>) {
    let mut bench = Bench::new(core, 7);
    for seed in seeds {
        let mut random = Random(seed);
        let layer = Layer::random(&mut random, core);
        let rows = random_rows(&mut random, &layer, core);
        let percent = [100, 100, 60, 15];
        let pace = Pace { advance: random.pick(&percent), arrive: random.pick(&percent) };
        let found: Vec<Event> = bench.run(&layer, &rows, pace).into_iter().map(|(_, event)| event).collect();
        let expected = events(&layer, &rows);
        let differs = (0..found.len().max(expected.len())).find(|&i| found.get(i) != expected.get(i));
        if let Some(i) = differs {
            let (found, expected) = (found.get(i), expected.get(i));
            panic!(
                "seed {seed}, {layer:?}, {pace:?}: event {i} is {found:?}, expected {expected:?}; {core:?}"
            );
        }
    }
}

#[test]
fn every_active_entry_comes_once_in_order_and_none_is_invented() {
    let [narrow, wide] = small_cores();
    check_layers(&narrow, 0..300);
    check_layers(&wide, 1000..1300);
}

#[test]
fn the_smallest_rows_have_a_place_for_every_segment() {
    let core = CoreConfig { max_fan_in: 64, ..small_cores()[0].clone() };
    check_layers(&core, 2000..2200);
}

#[test]
fn the_words_of_a_row_need_not_be_a_power_of_two() {
    let core = CoreConfig { max_fan_in: 192, weight_rows: 256, ..small_cores()[0].clone() };
    check_layers(&core, 3000..3200);
}

/// A layer at full speed, in one job: the number of beats a row, of events each row, and the cycles of the events.
fn full_speed(bench: &mut Bench, core: &CoreConfig, random: &mut Random) -> (usize, Vec<usize>, Vec<u64>) {
    let layer = Layer::random(random, core);
    let mut rows = random_rows(random, &layer, core);
    let count = rows.len();
    rows.iter_mut().enumerate().for_each(|(i, row)| row.job_end = i + 1 == count);
    let start = bench.device.cycles();
    let taken = bench.run(&layer, &rows, FULL_SPEED);
    let of_row = |row: &Row| events(&layer, std::slice::from_ref(row)).len();
    let cycles = taken.iter().map(|(cycle, _)| cycle - start).collect();
    (rows[0].bytes.len() / bench.bus_bytes, rows.iter().map(of_row).collect(), cycles)
}

#[test]
fn rows_that_take_longer_to_scan_than_to_load_follow_without_a_bubble() {
    for (number, core) in small_cores().iter().enumerate() {
        let mut bench = Bench::new(core, 8);
        let mut random = Random(100 + number as u64);
        let mut measured = 0;
        for case in 0..600 {
            let (beats, events, cycles) = full_speed(&mut bench, core, &mut random);
            let took = cycles.last().unwrap() - cycles[0] + 1;
            // A beat is marked three cycles after it arrives, and what it makes of the row is known in a fourth.
            if events.iter().all(|&count| count >= beats + 4) {
                assert_eq!(took, cycles.len() as u64, "case {case}: {events:?} events, {beats} beats a row");
                measured += 1;
            }
        }
        assert!(measured > 30, "only {measured} cases had rows long enough");
    }
}

/// One cycle to take the first segment's entry, three to mark a beat, one to know the row, then one a stage: pass, look, walk, read, landing,
/// pick, bits, event.
const START_UP: u64 = 1 + 3 + 1 + 8;

#[test]
fn the_first_event_comes_one_cycle_a_stage_after_its_row() {
    for core in small_cores() {
        let mut bench = Bench::new(&core, 9);
        let mut random = Random(200);
        for case in 0..50 {
            let (beats, events, cycles) = full_speed(&mut bench, &core, &mut random);
            assert_eq!(
                cycles[0],
                beats as u64 + START_UP,
                "case {case}: {events:?} events, {beats} beats a row"
            );
        }
    }
}
