//! `descriptor_check` against the ranges of `isa::descriptor`.

use hdl::core::descriptor_check::descriptor_check;
use isa::{CoreConfig, Descriptor, ErrorCode, Op, Schedule, descriptor};
use tests::random::Random;

use crate::device::{Device, small_cores};

/// The first thing that is wrong with a descriptor.
fn verdict(d: &Descriptor, core: &CoreConfig) -> Option<ErrorCode> {
    let attention = d.op == Op::Scores as u32 || d.op == Op::Context as u32;
    let chunks = d.time_steps.div_ceil(8);
    let times = (1..=64).contains(&d.time_steps)
        && d.chunks == if d.bytes == 1 { 1 } else { chunks }
        && d.tail_steps == d.time_steps - 8 * (chunks - 1)
        && d.rotate < d.time_steps;
    let record = (8..=24).contains(&d.pass_words) && d.pass_words.is_multiple_of(core.bus_bits / 64);
    let counts = [d.tiles, d.groups, d.blocks_y, d.blocks_x, d.inner_y, d.inner_x, d.passes, d.output_words];
    let shape = counts.iter().all(|&count| count > 0)
        && (d.shift == 0 || d.shift < d.inner_y.min(d.inner_x))
        && (!attention || d.keys > 0 && d.key_words > 0 && d.passes == 1 && d.sum + d.bytes == 0)
        && d.sum + d.bytes < 2
        && (d.hard_reset == 0 || d.schedule == Schedule::EachStep as u32);
    [
        (d.op <= Op::Context as u32, ErrorCode::BadOp),
        (times, ErrorCode::BadTimeSteps),
        (record, ErrorCode::BadSegments),
        (shape, ErrorCode::BadShape),
        (!attention || d.keys <= core.bias_rows, ErrorCode::TooLarge),
    ]
    .into_iter()
    .find_map(|(good, code)| (!good).then_some(code))
}

/// A descriptor that is fine.
fn good(random: &mut Random, core: &CoreConfig) -> Descriptor {
    let op = random.pick(&Op::ALL);
    let linear = op == Op::Linear;
    let time_steps = random.size(1, 64) as u32;
    let bytes = u32::from(linear && random.chance(1, 4));
    let schedule = random.size(0, 1) as u32;
    let mut count = |most: usize| random.size(1, most) as u32;
    let (inner_y, inner_x) = (count(9), count(9));
    Descriptor {
        op: op as u32,
        schedule,
        bytes,
        time_steps,
        tail_steps: (time_steps - 1) % 8 + 1,
        chunks: if bytes == 1 { 1 } else { time_steps.div_ceil(8) },
        tiles: count(4095),
        groups: count(255),
        blocks_y: count(4095),
        blocks_x: count(4095),
        inner_y,
        inner_x,
        shift: random.size(0, inner_y.min(inner_x) as usize - 1) as u32,
        passes: if linear { random.size(1, 4095) as u32 } else { 1 },
        output_words: random.size(1, 4095) as u32,
        keys: random.size(1, core.bias_rows as usize) as u32,
        key_words: random.size(1, 4095) as u32,
        pass_words: 2 * random.size(4, 12) as u32,
        rotate: random.size(0, time_steps as usize - 1) as u32,
        sum: u32::from(linear && bytes == 0 && random.chance(1, 3)),
        hard_reset: u32::from(schedule == 0 && random.chance(1, 2)),
        ..Descriptor::default()
    }
}

/// Gives one field a value at an edge.
fn spoil(random: &mut Random, d: &mut Descriptor, core: &CoreConfig) {
    let edge = random.pick(&[0, 1, 2, 7, 8, 9, 23, 24, 25, 64, 65, core.bias_rows + 1, 4095]);
    let fields = [
        &mut d.op,
        &mut d.schedule,
        &mut d.hard_reset,
        &mut d.sum,
        &mut d.bytes,
        &mut d.time_steps,
        &mut d.tail_steps,
        &mut d.chunks,
        &mut d.pass_words,
        &mut d.rotate,
        &mut d.shift,
        &mut d.tiles,
        &mut d.groups,
        &mut d.blocks_y,
        &mut d.blocks_x,
        &mut d.inner_y,
        &mut d.inner_x,
        &mut d.passes,
        &mut d.output_words,
        &mut d.keys,
        &mut d.key_words,
    ];
    let number = random.size(0, fields.len() - 1);
    *fields.into_iter().nth(number).expect("one of the fields") = edge;
}

#[test]
fn the_first_thing_that_is_wrong_is_named() {
    for core in small_cores() {
        let mut device = Device::new(&descriptor_check(&core).unwrap());
        let mut random = Random(31);
        let mut found = std::collections::BTreeMap::new();
        for case in 0..6000 {
            let mut descriptor = good(&mut random, &core);
            for _ in 0..random.size(0, 2) {
                spoil(&mut random, &mut descriptor, &core);
            }
            // As the core reads it: bits beyond a field's width are none of it.
            let words = descriptor.to_words();
            let descriptor = Descriptor::from_words(&words);
            device.set_fields("", descriptor::FIELDS, &words);
            device.set("active", true);
            device.cycle();
            assert!(!device.is("done"), "case {case}: in the first cycle");
            for _ in 0..random.size(1, 3) {
                device.cycle();
                assert!(device.is("done"), "case {case}");
                let code = device.is("bad").then(|| device.get("code") as u32);
                let expected = verdict(&descriptor, &core);
                assert_eq!(
                    code,
                    expected.map(|code| code as u32),
                    "case {case}: {expected:?}, {descriptor:?}"
                );
                *found.entry(code).or_insert(0) += 1;
            }
            device.set("active", false);
            device.cycle();
        }
        assert!(found.len() == 6 && found.values().all(|&count| count > 40), "{found:?}");
    }
}
