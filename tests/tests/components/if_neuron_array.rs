//! `if_neuron_array` (with `if_neuron`, `sparse_attention` and `lfsr_mask_gate`) under `neuron_control`, with `sum_buffer`, against the
//! neuron's equation.

use std::ops::RangeInclusive;

use isa::layout::flag;
use isa::mask::{DRAW_BITS, TAPS};
use isa::{CHUNK_STEPS, CoreConfig, Op, Schedule};
use tests::random::Random;
use tests::random_network::furthest;

use crate::array_bench::{Bench, Event, Job, Kind, Lane, Outcome, Pace, Pass, Row, Token, has};
use crate::device::small_cores;

/// The addend of an event in one lane.
fn addend(job: &Job, pass: Pass, event: &Event, lane: usize) -> i64 {
    if event.null {
        return 0;
    }
    if job.kind.op().is_attention() {
        return i64::from((event.matrix[lane] & event.steps).count_ones()) << job.fraction;
    }
    let weight = i64::from(event.matrix[lane] as i8) << (event.shift + pass.shift);
    if pass.diagonal { weight * i64::from(event.own[lane] >> event.plane & 1) } else { weight }
}

/// What one lane accumulates over the sums of a token, through all passes; `seen` is called with every value of the accumulator.
fn drives(job: &Job, token: &Token, lane: usize, mut seen: impl FnMut(i64)) -> Vec<i64> {
    let bias = match job.kind {
        Kind::Scores(_) => i64::from(token.bias_row[lane]),
        _ => i64::from(job.lanes[lane].bias),
    };
    let mut of_sum = |number: usize| {
        let passes = job.passes.iter().zip(&token.sums);
        let events = passes.flat_map(|(pass, sums)| sums[number].iter().map(|event| (*pass, event)));
        events.fold(bias, |sum, (pass, event)| {
            let sum = sum + addend(job, pass, event, lane);
            seen(sum);
            sum
        })
    };
    (0..token.sums[0].len()).map(&mut of_sum).collect()
}

/// The least and the greatest value of anything that a lane holds or adds up in a job.
fn reached(job: &Job, number: usize) -> (i64, i64) {
    let lane = &job.lanes[number];
    let parameters = [lane.bias, lane.theta, lane.v0].map(i64::from);
    let (mut least, mut greatest) = (parameters[0], parameters[0]);
    let mut seen = |value: i64| (least, greatest) = (least.min(value), greatest.max(value));
    parameters.into_iter().for_each(&mut seen);
    for token in &job.tokens {
        let drives = drives(job, token, number, &mut seen);
        if job.kind != Kind::Sum {
            fire(job, lane, &drives, 0, &mut seen);
        }
    }
    (least, greatest)
}

/// The neuron: `u = v + drive(t); s = (u >= theta); v = u - s * theta`, or 0 where a hard reset fires. `index` is the token's in its block or
/// job; `seen` is called with every value of the membrane.
fn fire(job: &Job, lane: &Lane, drives: &[i64], index: usize, mut seen: impl FnMut(i64)) -> Vec<bool> {
    let steps = job.time_steps as usize;
    let theta = i64::from(lane.theta);
    let bytes = matches!(job.kind, Kind::Bytes(_));
    let mut spikes = vec![false; steps];
    match job.kind.schedule() {
        Schedule::EachStep => {
            let mut v = i64::from(lane.v0);
            for (t, spike) in spikes.iter_mut().enumerate() {
                v += if bytes { drives[0] } else { drives[t] };
                seen(v);
                *spike = v >= theta;
                v = match *spike {
                    true if job.hard_reset => 0,
                    true => v - theta,
                    false => v,
                };
                seen(v);
            }
        }
        Schedule::AfterAll => {
            let integrated = i64::from(lane.v0) + steps as i64 * drives[0];
            let mut v = if bytes { integrated } else { drives[0] };
            seen(v);
            for &slot in &job.order {
                let spike = v >= theta;
                v -= if spike { theta } else { 0 };
                spikes[(usize::from(slot) + job.rotate as usize * index) % steps] = spike;
            }
        }
    }
    spikes
}

/// One draw of a lane's LFSR: its low byte after eight steps.
fn draw(state: &mut u32) -> u8 {
    for _ in 0..DRAW_BITS {
        let bit = TAPS.iter().fold(0, |sum, tap| sum ^ *state >> (tap - 1));
        *state = *state << 1 | bit & 1;
    }
    *state as u8
}

/// All rows that a job sends, and its transmitted spikes.
fn expected(job: &Job) -> (Vec<Row>, u32) {
    let mut states: Vec<u32> = job.lanes.iter().map(|lane| lane.seed).collect();
    let (mut rows, mut count, mut index) = (Vec::new(), 0, 0);
    for token in &job.tokens {
        let mut trains = Vec::new();
        if job.mask_shared {
            states = job.lanes.iter().map(|lane| lane.seed).collect();
        }
        for (number, lane) in job.lanes.iter().enumerate() {
            let drives = drives(job, token, number, |_| ());
            if job.kind == Kind::Sum {
                trains.push((drives[0] as u32).to_le_bytes().to_vec());
                continue;
            }
            let apart = token.row_split && token.row_band != has(lane, flag::ROW_BAND)
                || token.column_split && token.column_band != has(lane, flag::COLUMN_BAND);
            let silent = !has(lane, flag::VALID) || job.kind.op() == Op::Scores && apart;
            let mut train = vec![0u8; job.time_steps.div_ceil(CHUNK_STEPS) as usize];
            for (slot, spike) in fire(job, lane, &drives, index, |_| ()).into_iter().enumerate() {
                let kept = draw(&mut states[number]) >= job.mask_ratio;
                let sent = spike && kept && !silent;
                train[slot / 8] |= u8::from(sent) << (slot % 8);
                count += u32::from(sent);
            }
            trains.push(train);
        }
        for chunk in 0..trains[0].len() {
            let bytes = trains.iter().map(|train| train[chunk]).collect();
            rows.push(Row { bytes, offset: token.offset, last: chunk + 1 == trains[0].len() });
        }
        let restarts = job.rotate_by_block || job.kind.op().is_attention();
        index = if restarts && token.last_of_block { 0 } else { index + 1 };
    }
    (rows, count)
}

fn random_event(random: &mut Random, lanes: usize, most_shift: usize) -> Event {
    let bytes = |random: &mut Random| (0..lanes).map(|_| random.bits() as u8).collect::<Vec<u8>>();
    Event {
        null: random.chance(1, 8),
        plane: random.size(0, 7) as u32,
        shift: random.size(0, most_shift) as u32,
        steps: random.bits() as u8,
        matrix: bytes(random),
        own: bytes(random),
    }
}

fn random_order(random: &mut Random, steps: u32) -> Vec<u8> {
    let mut order: Vec<u8> = (0..steps as u8).collect();
    for i in 0..order.len() {
        order.swap(i, random.size(i, steps as usize - 1));
    }
    order
}

/// Gives a lane a threshold, an initial membrane and a bias with which its sums go to an end of the membrane's range, or as far towards it
/// as this job's events allow.
fn to_an_end(random: &mut Random, job: &mut Job, number: usize, membrane_bits: u32) {
    let half = 1i64 << (membrane_bits - 1);
    let fits = |job: &Job| {
        let (least, greatest) = reached(job, number);
        -half <= least && greatest < half
    };
    let old = job.lanes[number].clone();
    for _ in 0..8 {
        let near = random.between(0, 2);
        let any = 1 << random.between(0, i64::from(membrane_bits) - 2);
        let theta = [half - 1 - near, half / 2 + near, half / 2 - near, any, 1 + near, half / (1 + any)];
        let v0 = [half - 1 - near, near - half, half / 2 + near, -half / 2 - near, 0, any, -any];
        let (theta, v0) = (random.pick(&theta).clamp(1, half - 1), random.pick(&v0).clamp(-half, half - 1));
        let summed = job.kind.schedule() == Schedule::EachStep || matches!(job.kind, Kind::Bytes(_));
        let steps = if summed { job.time_steps } else { 1 };
        let mut fits_with = |bias: i64| {
            job.lanes[number] = Lane { theta: theta as i32, v0: v0 as i32, bias: bias as i32, ..old.clone() };
            fits(job)
        };
        let starts = [0, -v0 / i64::from(steps), i64::from(old.bias)];
        if let Some(from) = starts.into_iter().find(|&bias| fits_with(bias)) {
            let bias = furthest(from, random.pick(&[half - 1, -half]), &mut fits_with);
            assert!(fits_with(bias), "found by trying");
            return;
        }
    }
    job.lanes[number] = old;
}

/// Powers of two of a job's events and of its passes, for which no sum of `events` events a pass over `time_steps` leaves the membrane.
fn largest_shifts(random: &mut Random, core: &CoreConfig, [events, passes, steps]: [usize; 3]) -> [usize; 2] {
    let bits = |count: usize| count.next_power_of_two().ilog2() as usize;
    let power = (core.membrane_bits as usize).saturating_sub(2 + 7 + bits(events * passes) + bits(steps));
    let of_event = random.size(0, power.min(7));
    [of_event, (power - of_event).min(7)]
}

/// A job whose sums have this many events a pass, with values that the membrane can hold; those of two lanes in three go to its ends.
fn random_job(
    random: &mut Random,
    core: &CoreConfig,
    (kind, time_steps): (Kind, u32),
    events: RangeInclusive<usize>,
) -> Job {
    let lanes = core.lanes as usize;
    let tokens = if kind == Kind::Sum { 1 } else { random.size(1, 6) };
    let sums = kind.sums(time_steps);
    let kept = !kind.op().is_attention() && tokens * sums <= core.sum_rows as usize;
    let passes = if kept { random.pick(&[1, 1, 2, 3]) } else { 1 };
    let block = random.size(1, tokens);
    let [event_shift, pass_shift] =
        largest_shifts(random, core, [*events.end(), passes, time_steps as usize]);
    // The largest sum of 64 steps stays below the largest membrane.
    let bits = core.membrane_bits - 8;
    let bias_row_shift = if core.membrane_bits < 24 { 5 } else { 0 };
    let signed = |random: &mut Random| random.between(-(1 << bits), 1 << bits) as i32;
    let theta_bits = random.size(1, bits as usize + 2);
    let token = |random: &mut Random, n: usize| {
        let sum = |random: &mut Random| {
            let count = random.size(*events.start(), *events.end());
            (0..count).map(|_| random_event(random, lanes, event_shift)).collect::<Vec<Event>>()
        };
        let of_pass = |random: &mut Random| (0..sums).map(|_| sum(random)).collect();
        Token {
            sums: (0..passes).map(|_| of_pass(random)).collect(),
            bias_row: (0..lanes).map(|_| random.bits() as i16 >> bias_row_shift).collect(),
            offset: random.bits() as u32,
            last_of_block: (n + 1).is_multiple_of(block) || n + 1 == tokens,
            row_split: random.chance(1, 2),
            column_split: random.chance(1, 2),
            row_band: random.chance(1, 2),
            column_band: random.chance(1, 2),
        }
    };
    let lane = |random: &mut Random| Lane {
        bias: signed(random),
        theta: 1 + random.size(0, 1 << theta_bits) as i32,
        v0: signed(random),
        seed: 1 + random.bits() as u32 % (u32::MAX - 1),
        flags: random.bits() as u16 & 6 | u16::from(random.chance(7, 8)),
    };
    let pass = |random: &mut Random| Pass {
        diagonal: !kind.op().is_attention() && random.chance(1, 3),
        shift: random.size(0, pass_shift) as u32,
    };
    let mut job = Job {
        kind,
        hard_reset: kind.schedule() == Schedule::EachStep && random.chance(1, 2),
        time_steps,
        rotate: random.size(0, time_steps as usize - 1) as u32,
        rotate_by_block: random.chance(1, 2),
        order: random_order(random, time_steps),
        mask_ratio: random.pick(&[0, 0, 64, 128, 200, 255]),
        mask_shared: random.chance(1, 2),
        fraction: random.size(0, 7) as u32,
        passes: (0..passes).map(|_| pass(random)).collect(),
        lanes: (0..lanes).map(|_| lane(random)).collect(),
        tokens: (0..tokens).map(|n| token(random, n)).collect(),
    };
    for number in 0..lanes {
        if random.chance(2, 3) {
            to_an_end(random, &mut job, number, core.membrane_bits);
        }
        let (least, greatest) = reached(&job, number);
        let half = 1 << (core.membrane_bits - 1);
        assert!(-half <= least && greatest < half, "lane {number}: {least}..={greatest}");
    }
    job
}

fn check(bench: &mut Bench, job: &Job, pace: Pace, case: &str) -> Outcome {
    let found = bench.run(job, pace);
    let (rows, spikes) = expected(job);
    let Job { kind, time_steps, passes, mask_shared, .. } = job;
    let head = format!("{case}: {kind:?}, T = {time_steps}, {passes:?}, shared {mask_shared}, {pace:?}");
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(found.rows.get(i), Some(row), "{head}: row {i} of {}", rows.len());
    }
    assert_eq!(found.rows.len(), rows.len(), "{head}: rows");
    let counted = if job.kind == Kind::Sum { 0 } else { spikes };
    assert_eq!(found.spikes, counted, "{head}: transmitted spikes");
    assert_eq!(found.unkept, 0, "{head}: partial sums without a row");
    found
}

const KINDS: [Kind; 9] = [
    Kind::Linear(Schedule::EachStep),
    Kind::Linear(Schedule::AfterAll),
    Kind::Bytes(Schedule::EachStep),
    Kind::Bytes(Schedule::AfterAll),
    Kind::Scores(Schedule::EachStep),
    Kind::Scores(Schedule::AfterAll),
    Kind::Context(Schedule::EachStep),
    Kind::Context(Schedule::AfterAll),
    Kind::Sum,
];

const FULL_SPEED: Pace = Pace { events: 100, packer: 100 };

#[test]
fn every_lane_follows_the_neuron_equation() {
    for (number, core) in small_cores().iter().enumerate() {
        let mut bench = Bench::new(core, 3);
        let mut random = Random(number as u64);
        for time_steps in (1..=20).chain([33, 64]) {
            for kind in KINDS {
                let job = random_job(&mut random, core, (kind, time_steps), 1..=6);
                let percent = [100, 100, 70, 20];
                let pace = Pace { events: random.pick(&percent), packer: random.pick(&percent) };
                check(&mut bench, &job, pace, &format!("{} lanes", core.lanes));
            }
        }
    }
}

/// Short tokens in a row: seeds are taken anew while the next query's bias row, or the next partial sum, is on its way.
#[test]
fn a_shared_mask_starts_over_at_each_token_whatever_is_on_its_way() {
    for (number, core) in small_cores().iter().enumerate() {
        let mut bench = Bench::new(core, 7);
        let mut random = Random(20 + number as u64);
        for case in 0..40 {
            for kind in KINDS {
                let time_steps = random.size(1, 5) as u32;
                let mut job = random_job(&mut random, core, (kind, time_steps), 1..=4);
                job.mask_shared = true;
                job.mask_ratio = random.pick(&[64, 128, 200]);
                let pace = Pace { events: random.pick(&[100, 80]), packer: random.pick(&[100, 60]) };
                check(&mut bench, &job, pace, &format!("case {case}"));
            }
        }
    }
}

#[test]
fn a_token_takes_the_cycles_of_its_neuron_when_its_events_are_few() {
    let core = &small_cores()[0];
    let mut bench = Bench::new(core, 4);
    let mut random = Random(10);
    for time_steps in 2..=20 {
        for kind in KINDS.into_iter().filter(|kind| *kind != Kind::Sum) {
            let mut job = random_job(&mut random, core, (kind, time_steps), 1..=1);
            job.mask_shared = false;
            job.passes.truncate(1);
            job.tokens.iter_mut().for_each(|token| token.sums.truncate(1));
            job.lanes.iter_mut().for_each(|lane| (lane.bias, lane.v0) = (700, -200));
            job.tokens = vec![job.tokens[0].clone(); 6];
            let found = check(&mut bench, &job, FULL_SPEED, "few events");
            let done = found.rows.iter().zip(found.cycles).filter(|(row, _)| row.last);
            let done: Vec<u64> = done.map(|(_, cycle)| cycle).collect();
            let twice = kind.schedule() == Schedule::EachStep || matches!(kind, Kind::Bytes(_));
            let cycles = if twice { 2 * time_steps } else { time_steps };
            let each: Vec<u64> = done.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert_eq!(each, vec![u64::from(cycles); 5], "{kind:?}, T = {time_steps}");
        }
    }
}

#[test]
fn events_never_wait_when_a_sum_has_as_many_as_its_threshold_steps() {
    let core = &small_cores()[0];
    let mut bench = Bench::new(core, 5);
    let mut random = Random(11);
    for time_steps in 1..=20 {
        for kind in KINDS.into_iter().filter(|kind| !matches!(kind, Kind::Bytes(_) | Kind::Sum)) {
            // A sum takes two cycles at least.
            let fires = if kind.schedule() == Schedule::EachStep { 2 } else { time_steps.max(2) as usize };
            let mut job = random_job(&mut random, core, (kind, time_steps), fires..=fires + 3);
            job.mask_shared = false;
            let found = check(&mut bench, &job, FULL_SPEED, "many events");
            let waits: u64 = found.waits.iter().sum();
            assert_eq!(waits, 0, "{kind:?}, T = {time_steps}: cycles in which an event waited");
        }
    }
}

/// No neuron fires before the last pass, so that even sums of one event follow each other in every cycle.
#[test]
fn partial_sums_never_wait() {
    let core = &small_cores()[0];
    let mut bench = Bench::new(core, 8);
    let mut random = Random(13);
    let mut measured = 0;
    for case in 0..200 {
        let kind = random.pick(&KINDS);
        let job = random_job(&mut random, core, (kind, 1 + case % 8), 1..=2);
        let found = check(&mut bench, &job, FULL_SPEED, &format!("case {case}"));
        let before_last = &found.waits[..found.waits.len() - 1];
        measured += before_last.len();
        assert!(before_last.iter().all(|&waits| waits == 0), "case {case}: {:?}", found.waits);
    }
    assert!(measured > 50, "{measured} passes before the last");
}

/// A layer with more sums than rows is not what the compiler writes; it is told, sum by sum, and none is written over another.
#[test]
fn a_partial_sum_without_a_row_is_told() {
    let core = CoreConfig { sum_rows: 16, ..small_cores()[0].clone() };
    let mut bench = Bench::new(&core, 9);
    let mut random = Random(14);
    for sums in 14..24 {
        let kind = Kind::Linear(Schedule::AfterAll);
        let mut job = random_job(&mut random, &core, (kind, 4), 1..=2);
        job.passes = vec![Pass { diagonal: false, shift: 0 }; 2];
        job.lanes.iter_mut().for_each(|lane| (lane.bias, lane.v0) = (700, -200));
        let token = Token { sums: vec![job.tokens[0].sums[0].clone(); 2], ..job.tokens[0].clone() };
        job.tokens = vec![token; sums];
        let found = bench.run(&job, FULL_SPEED);
        assert_eq!(found.unkept, sums.saturating_sub(16) as u64, "{sums} sums");
        let (rows, _) = expected(&job);
        let kept = sums.min(16);
        assert_eq!(found.rows[..kept], rows[..kept], "{sums} sums: tokens that had a row");
    }
}

/// Accumulators and membranes of any width go to both ends of their range, and come back.
#[test]
fn sums_reach_both_ends_of_the_membrane() {
    for membrane_bits in [16, 17, 24, 32] {
        let core = CoreConfig { membrane_bits, ..small_cores()[0].clone() };
        let half = 1i64 << (membrane_bits - 1);
        let mut bench = Bench::new(&core, 6);
        let mut random = Random(12);
        for kind in KINDS {
            let mut ends = [0; 2];
            for case in 0..30 {
                let time_steps = random.pick(&[1, 2, 4, 7]);
                let job = random_job(&mut random, &core, (kind, time_steps), 1..=3);
                for number in 0..job.lanes.len() {
                    let (least, greatest) = reached(&job, number);
                    ends[0] += usize::from(least == -half);
                    ends[1] += usize::from(greatest == half - 1);
                }
                check(&mut bench, &job, FULL_SPEED, &format!("{membrane_bits} bits, case {case}"));
            }
            // What a query starts from is given by its row, and leaves the highest sum to chance.
            let most = if kind.op() == Op::Scores { 1 } else { 10 };
            let enough = ends[0] >= most && ends[1] >= most;
            assert!(enough, "{membrane_bits} bits, {kind:?}: lanes at either end: {ends:?}");
        }
    }
}
