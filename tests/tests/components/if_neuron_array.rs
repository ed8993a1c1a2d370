//! `if_neuron_array` (with `if_neuron`, `sparse_attention` and `lfsr_mask_gate`) under `neuron_control`, against the neuron's equation.

use std::ops::RangeInclusive;

use isa::layout::flag;
use isa::mask::{DRAW_BITS, TAPS};
use isa::{CHUNK_STEPS, CoreConfig, Neuron, Op};
use tests::random::Random;

use crate::array_bench::{Bench, Event, Job, Lane, Outcome, Pace, Row, Token, has};
use crate::device::small_cores;

/// The addend of an event in one lane.
fn addend(job: &Job, event: &Event, lane: usize) -> i64 {
    if event.null {
        return 0;
    }
    let weight = i64::from(event.matrix[lane] as i8) << event.shift;
    match job.op {
        Op::Scores | Op::Context => {
            i64::from((event.matrix[lane] & event.steps).count_ones()) << job.fraction
        }
        Op::Shortcut => weight * i64::from(event.own[lane] >> event.plane & 1),
        Op::Dense | Op::Analog | Op::Readout => weight,
    }
}

/// What one lane accumulates over the sums of a token.
fn drives(job: &Job, token: &Token, lane: usize) -> Vec<i64> {
    let bias = match job.op {
        Op::Scores => i64::from(token.bias_row[lane]),
        _ => i64::from(job.lanes[lane].bias),
    };
    let sum = |events: &Vec<Event>| bias + events.iter().map(|e| addend(job, e, lane)).sum::<i64>();
    token.sums.iter().map(sum).collect()
}

/// The neuron: `u = v + drive(t); s = (u >= theta); v = u - s * theta`. `index` is the token's in its block or job.
fn fire(job: &Job, lane: &Lane, drives: &[i64], index: usize) -> Vec<bool> {
    let steps = job.time_steps as usize;
    let theta = i64::from(lane.theta);
    let mut spikes = vec![false; steps];
    match (job.neuron, job.op) {
        (Neuron::If, op) => {
            let mut v = i64::from(lane.v0);
            for (t, spike) in spikes.iter_mut().enumerate() {
                v += if op == Op::Analog { drives[0] } else { drives[t] };
                *spike = v >= theta;
                v -= if *spike { theta } else { 0 };
            }
        }
        (Neuron::TwoPhase, op) => {
            let integrated = i64::from(lane.v0) + steps as i64 * drives[0];
            let mut v = if op == Op::Analog { integrated } else { drives[0] };
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
        for (number, lane) in job.lanes.iter().enumerate() {
            let drives = drives(job, token, number);
            if job.op == Op::Readout {
                trains.push((drives[0] as u32).to_le_bytes().to_vec());
                continue;
            }
            let apart = token.row_split && token.row_band != has(lane, flag::ROW_BAND)
                || token.column_split && token.column_band != has(lane, flag::COLUMN_BAND);
            let silent = !has(lane, flag::VALID) || job.op == Op::Scores && apart;
            let mut train = vec![0u8; job.time_steps.div_ceil(CHUNK_STEPS) as usize];
            for (slot, spike) in fire(job, lane, &drives, index).into_iter().enumerate() {
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
        let restarts = job.rotate_by_block || job.op.is_attention();
        index = if restarts && token.last_of_block { 0 } else { index + 1 };
    }
    (rows, count)
}

fn random_event(random: &mut Random, lanes: usize) -> Event {
    let bytes = |random: &mut Random| (0..lanes).map(|_| random.bits() as u8).collect::<Vec<u8>>();
    Event {
        null: random.chance(1, 8),
        plane: random.size(0, 7) as u32,
        shift: random.size(0, 7) as u32,
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

/// A layer's operation, its neuron and its time steps.
type Kind = (Op, Neuron, u32);

/// A job whose sums have this many events, with values that the membrane can hold.
fn random_job(random: &mut Random, core: &CoreConfig, kind: Kind, events: RangeInclusive<usize>) -> Job {
    let ((op, neuron, time_steps), lanes) = (kind, core.lanes as usize);
    let tokens = if op == Op::Readout { 1 } else { random.size(1, 6) };
    let sums = Job::sums(op, neuron, time_steps);
    let block = random.size(1, tokens);
    // The largest sum of 64 steps stays below the largest membrane.
    let bits = core.membrane_bits - 8;
    let signed = |random: &mut Random| random.between(-(1 << bits), 1 << bits) as i32;
    let theta_bits = random.size(1, bits as usize + 2);
    let token = |random: &mut Random, n: usize| Token {
        sums: (0..sums)
            .map(|_| {
                (0..random.size(*events.start(), *events.end()))
                    .map(|_| random_event(random, lanes))
                    .collect()
            })
            .collect(),
        bias_row: (0..lanes).map(|_| random.bits() as i16).collect(),
        offset: random.bits() as u32,
        last_of_block: (n + 1).is_multiple_of(block) || n + 1 == tokens,
        row_split: random.chance(1, 2),
        column_split: random.chance(1, 2),
        row_band: random.chance(1, 2),
        column_band: random.chance(1, 2),
    };
    let lane = |random: &mut Random| Lane {
        bias: signed(random),
        theta: 1 + random.size(0, 1 << theta_bits) as i32,
        v0: signed(random),
        seed: 1 + random.bits() as u32 % (u32::MAX - 1),
        flags: random.bits() as u16 & 6 | u16::from(random.chance(7, 8)),
    };
    Job {
        op,
        neuron,
        time_steps,
        rotate: random.size(0, time_steps as usize - 1) as u32,
        rotate_by_block: random.chance(1, 2),
        order: random_order(random, time_steps),
        mask_ratio: random.pick(&[0, 0, 64, 128, 200, 255]),
        fraction: random.size(0, 7) as u32,
        lanes: (0..lanes).map(|_| lane(random)).collect(),
        tokens: (0..tokens).map(|n| token(random, n)).collect(),
    }
}

fn check(bench: &mut Bench, job: &Job, pace: Pace, case: &str) -> Outcome {
    let found = bench.run(job, pace);
    let (rows, spikes) = expected(job);
    let head = format!("{case}: {:?}, {:?}, T = {}, {pace:?}", job.op, job.neuron, job.time_steps);
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(found.rows.get(i), Some(row), "{head}: row {i} of {}", rows.len());
    }
    assert_eq!(found.rows.len(), rows.len(), "{head}: rows");
    let counted = if job.op == Op::Readout { 0 } else { spikes };
    assert_eq!(found.spikes, counted, "{head}: transmitted spikes");
    found
}

const KINDS: [(Op, Neuron); 11] = [
    (Op::Dense, Neuron::If),
    (Op::Dense, Neuron::TwoPhase),
    (Op::Analog, Neuron::If),
    (Op::Analog, Neuron::TwoPhase),
    (Op::Shortcut, Neuron::If),
    (Op::Shortcut, Neuron::TwoPhase),
    (Op::Scores, Neuron::If),
    (Op::Scores, Neuron::TwoPhase),
    (Op::Context, Neuron::If),
    (Op::Context, Neuron::TwoPhase),
    (Op::Readout, Neuron::TwoPhase),
];

const FULL_SPEED: Pace = Pace { events: 100, packer: 100 };

#[test]
fn every_lane_follows_the_neuron_equation() {
    for (number, core) in small_cores().iter().enumerate() {
        let mut bench = Bench::new(core, 3);
        let mut random = Random(number as u64);
        for time_steps in (1..=20).chain([33, 64]) {
            for (op, neuron) in KINDS {
                let job = random_job(&mut random, core, (op, neuron, time_steps), 1..=6);
                let percent = [100, 100, 70, 20];
                let pace = Pace { events: random.pick(&percent), packer: random.pick(&percent) };
                check(&mut bench, &job, pace, &format!("{} lanes", core.lanes));
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
        for (op, neuron) in KINDS.into_iter().filter(|(op, _)| *op != Op::Readout) {
            let mut job = random_job(&mut random, core, (op, neuron, time_steps), 1..=1);
            job.tokens = vec![job.tokens[0].clone(); 6];
            let found = check(&mut bench, &job, FULL_SPEED, "few events");
            let done = found.rows.iter().zip(found.cycles).filter(|(row, _)| row.last);
            let done: Vec<u64> = done.map(|(_, cycle)| cycle).collect();
            let cycles = match (neuron, op) {
                (Neuron::TwoPhase, Op::Analog) | (Neuron::If, _) => 2 * time_steps,
                (Neuron::TwoPhase, _) => time_steps,
            };
            let each: Vec<u64> = done.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert_eq!(each, vec![u64::from(cycles); 5], "{op:?}, {neuron:?}, T = {time_steps}");
        }
    }
}

#[test]
fn events_never_wait_when_a_sum_has_as_many_as_its_threshold_steps() {
    let core = &small_cores()[0];
    let mut bench = Bench::new(core, 5);
    let mut random = Random(11);
    for time_steps in 1..=20 {
        for (op, neuron) in KINDS.into_iter().filter(|(op, _)| !matches!(op, Op::Analog | Op::Readout)) {
            // A sum takes two cycles at least.
            let fires = if neuron == Neuron::If { 2 } else { time_steps.max(2) as usize };
            let job = random_job(&mut random, core, (op, neuron, time_steps), fires..=fires + 3);
            let found = check(&mut bench, &job, FULL_SPEED, "many events");
            assert_eq!(
                found.waits, 0,
                "{op:?}, {neuron:?}, T = {time_steps}: cycles in which an event waited"
            );
        }
    }
}

/// The narrowest membrane takes parameters of one half-word; thresholds and membranes go to its limits.
#[test]
fn membranes_and_thresholds_reach_their_limits() {
    let core = CoreConfig { membrane_bits: 16, ..small_cores()[0].clone() };
    let mut bench = Bench::new(&core, 6);
    let mut random = Random(12);
    let (low, high) = (i64::from(i16::MIN), i64::from(i16::MAX));
    for case in 0..200 {
        let mut job = random_job(&mut random, &core, (Op::Dense, Neuron::TwoPhase, 4), 1..=1);
        job.tokens.iter_mut().for_each(|token| token.sums[0][0].null = true);
        for lane in &mut job.lanes {
            let near = random.between(0, 2);
            lane.bias = random.pick(&[low + near, high - near, near, -near]) as i32;
            lane.theta = random.pick(&[high - near, 1 + near, high / 2 + near, high / 4 + near]) as i32;
        }
        check(&mut bench, &job, FULL_SPEED, &format!("case {case}"));
    }
}
