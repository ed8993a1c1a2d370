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
        let kind = random.size(0, 3);
        let attention = kind == 1;
        let walks: &[Walk] = match kind {
            0 => &[Walk::Steps, Walk::Counts, Walk::StepEvents],
            1 => &[Walk::Steps, Walk::WholeBytes, Walk::StepEvents],
            2 => &[Walk::Bytes],
            _ => &[Walk::Counts, Walk::StepEvents],
        };
        Layer {
            walk: random.pick(walks),
            one_sum: kind == 3,
            attention,
            scores: attention && random.chance(1, 2),
            tail_steps: random.size(1, 8) as u32,
            segment_words: beat_words * random.size(1, core.max_fan_in as usize / 8 / beat_words),
        }
    }
}

/// What the rows of a pass have in common.
struct Pass {
    diagonal: bool,
    segments: usize,
    words: usize,
}

impl Pass {
    fn random(random: &mut Random, layer: &Layer, core: &CoreConfig) -> Pass {
        if layer.attention {
            return Pass { diagonal: false, segments: 1, words: layer.segment_words };
        }
        let beat_words = core.bus_bits as usize / 64;
        let (row_words, most) = (core.max_fan_in as usize / 8, MAX_SEGMENTS as usize);
        let diagonal = random.chance(1, 3);
        let most_words = if diagonal { core.lanes as usize / 8 } else { row_words };
        let words = beat_words * random.size(1, most_words / beat_words);
        let segments = random.size(1, if diagonal { most } else { (row_words / words).min(most) });
        Pass { diagonal, segments, words }
    }
}

impl Row {
    fn random(random: &mut Random, layer: &Layer, pass: &Pass, token_end: bool, job_end: bool) -> Row {
        let (part, whole) = random.pick(&[(0, 1), (1, 40), (1, 4), (1, 1)]);
        let steps = if token_end && layer.walk != Walk::Bytes { layer.tail_steps } else { 8 };
        let absent = if layer.attention { 0 } else { random.pick(&[0, 0, 20, 60, 100]) };
        let mut segment = || {
            let byte = |random: &mut Random| if random.chance(part, whole) { random.bits() as u8 } else { 0 };
            let bytes = (0..8 * pass.words).map(|_| byte(random) & (0xff >> (8 - steps))).collect();
            (!random.chance(absent, 100)).then_some(bytes)
        };
        let segments = (0..pass.segments).map(|_| segment()).collect();
        Row { segments, segment_words: pass.words, diagonal: pass.diagonal, token_end, job_end }
    }
}

/// All events of a layer, from the text of `spike_scanner` and `spike_buffer`.
fn events(layer: &Layer, rows: &[Row]) -> Vec<Event> {
    let mut events = Vec::new();
    let (mut job, mut chunk, mut query) = (0, 0, 0);
    for row in rows {
        let base = if layer.attention { chunk * 8 * layer.segment_words } else { 0 };
        let stored = |byte: u8| if layer.walk == Walk::Counts { byte.count_ones() as u8 } else { byte };
        let bytes: Vec<u8> = row.bytes().into_iter().map(stored).collect();
        let in_plane = |byte: u8, plane: u32| match layer.walk {
            Walk::WholeBytes => plane == 0 && byte != 0,
            _ => byte >> plane & 1 == 1,
        };
        let shift = |plane| if matches!(layer.walk, Walk::Steps | Walk::StepEvents) { 0 } else { plane };
        let active = |plane: u32| -> Vec<Option<(usize, u32, u32, u8)>> {
            if row.diagonal {
                let segments = bytes.chunks(8 * row.segment_words).enumerate();
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
                let own = entry.filter(|_| row.diagonal).map(|(segment, ..)| {
                    let start = 8 * row.segment_words * (segment - base);
                    bytes[start..start + 8 * row.segment_words].to_vec()
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

/// The rows of one to three jobs of a random layer, each a pass of its own kind.
fn random_rows(random: &mut Random, layer: &Layer, core: &CoreConfig) -> Vec<Row> {
    let matrix_rows = core.weight_rows as usize / 8;
    let most_chunks = if layer.attention { matrix_rows / layer.segment_words } else { 8 };
    let most_chunks = most_chunks.min(random.pick(&[3, 3, 8]));
    let chunks = if layer.walk == Walk::Bytes { 1 } else { random.size(1, most_chunks) };
    let (jobs, tokens) = (random.size(1, 3), random.size(1, 5));
    let mut rows = Vec::new();
    for _ in 0..jobs {
        let pass = Pass::random(random, layer, core);
        for token in 0..tokens {
            for chunk in 0..chunks {
                let token_end = chunk + 1 == chunks;
                let job_end = token_end && token + 1 == tokens;
                rows.push(Row::random(random, layer, &pass, token_end, job_end));
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

/// A layer at full speed, in one job: the cycles that each row takes to load, events of each row, and the cycles of the events.
fn full_speed(
    bench: &mut Bench,
    core: &CoreConfig,
    random: &mut Random,
) -> (Vec<usize>, Vec<usize>, Vec<u64>) {
    let layer = Layer::random(random, core);
    let mut rows = random_rows(random, &layer, core);
    let first = rows.iter().position(|row| row.job_end).expect("a job ends");
    rows.truncate(first + 1);
    let start = bench.device.cycles();
    let taken = bench.run(&layer, &rows, FULL_SPEED);
    let of_row = |row: &Row| events(&layer, std::slice::from_ref(row)).len();
    let cycles = taken.iter().map(|(cycle, _)| cycle - start).collect();
    let loads = rows.iter().map(|row| row.cycles(bench.bus_bytes)).collect();
    (loads, rows.iter().map(of_row).collect(), cycles)
}

#[test]
fn rows_that_take_longer_to_scan_than_to_load_follow_without_a_bubble() {
    for (number, core) in small_cores().iter().enumerate() {
        let mut bench = Bench::new(core, 8);
        let mut random = Random(100 + number as u64);
        let mut measured = 0;
        for case in 0..600 {
            let (loads, events, cycles) = full_speed(&mut bench, core, &mut random);
            let longest = loads.iter().max().unwrap();
            let took = cycles.last().unwrap() - cycles[0] + 1;
            // A beat is marked three cycles after it arrives, and what it makes of the row is known in a fourth.
            if events.iter().all(|&count| count >= longest + 4) {
                assert_eq!(
                    took,
                    cycles.len() as u64,
                    "case {case}: {events:?} events, {loads:?} cycles to load"
                );
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
            let (loads, events, cycles) = full_speed(&mut bench, &core, &mut random);
            let expected = loads[0] as u64 + START_UP;
            assert_eq!(cycles[0], expected, "case {case}: {events:?} events, {loads:?} cycles to load");
        }
    }
}
