//! `pass_check` against the ranges of `isa::pass`.

use hdl::core::pass_check::pass_check;
use isa::{CoreConfig, Descriptor, ErrorCode, Op, Pass, descriptor, pass};
use tests::random::Random;

use crate::device::{Device, small_cores};

/// Cycles with `active` high until `done`.
const CYCLES: usize = 18;

/// The first thing that is wrong with a record.
fn verdict(layer: &Descriptor, pass: &Pass, core: &CoreConfig) -> Option<ErrorCode> {
    let attention = layer.op != Op::Linear as u32;
    let row_words = pass.segments * pass.segment_words;
    let segments = (1..=16).contains(&pass.segments)
        && pass.segments + pass::SEGMENT_WORD as u32 <= layer.pass_words
        && (!attention || pass.segments == 1);
    let rows = if pass.diagonal == 1 { pass.segments } else { 8 * row_words };
    let shape = pass.segment_words > 0
        && pass.rows > 0
        && pass.columns > 0
        && if attention { pass.diagonal == 0 } else { pass.matrix_rows == rows }
        && (pass.diagonal == 0 || pass.segment_words == layer.output_words);
    let fits = (pass.diagonal == 1 || row_words <= core.max_fan_in / 8)
        && (!attention || layer.chunks * pass.segment_words <= core.weight_rows / 8);
    [(segments, ErrorCode::BadSegments), (shape, ErrorCode::BadShape), (fits, ErrorCode::TooLarge)]
        .into_iter()
        .find_map(|(good, code)| (!good).then_some(code))
}

/// A record that is fine, or nearly.
fn random_record(random: &mut Random, core: &CoreConfig) -> (Descriptor, Pass) {
    let op = random.pick(&[Op::Linear, Op::Linear, Op::Scores, Op::Context]);
    let attention = op.is_attention();
    let segments = if attention { 1 } else { random.size(1, 16) as u32 };
    let diagonal = u32::from(!attention && random.chance(1, 2));
    let chunks = random.size(1, 8) as u32;
    let most = if attention { core.weight_rows / 8 / chunks } else { core.max_fan_in / 8 / segments };
    let segment_words = random.size(1, most.max(1) as usize) as u32;
    let layer = Descriptor {
        op: op as u32,
        chunks,
        output_words: segment_words,
        pass_words: segments.max(1) + 7 + random.size(0, 2) as u32,
        ..Descriptor::default()
    };
    let pass = Pass {
        diagonal,
        segments,
        segment_words,
        matrix_rows: if diagonal == 1 { segments } else { 8 * segments * segment_words },
        rows: random.size(1, 16383) as u32,
        columns: random.size(1, 16383) as u32,
        ..Pass::default()
    };
    (layer, pass)
}

/// Gives one field a value at an edge or a step from where it was.
fn spoil(random: &mut Random, layer: &mut Descriptor, pass: &mut Pass) {
    let fields = [
        &mut layer.op,
        &mut layer.chunks,
        &mut layer.output_words,
        &mut layer.pass_words,
        &mut pass.diagonal,
        &mut pass.segments,
        &mut pass.segment_words,
        &mut pass.matrix_rows,
        &mut pass.rows,
        &mut pass.columns,
    ];
    let number = random.size(0, fields.len() - 1);
    let field = fields.into_iter().nth(number).expect("one of the fields");
    *field = random.pick(&[0, 1, 2, field.saturating_sub(1), *field + 1, 2 * *field, 16, 17, 4095]);
}

#[test]
fn the_first_thing_that_is_wrong_is_named() {
    for core in small_cores() {
        let mut device = Device::new(&pass_check(&core).unwrap());
        let mut random = Random(32);
        let mut found = std::collections::BTreeMap::new();
        for case in 0..4000 {
            let (mut layer, mut pass) = random_record(&mut random, &core);
            for _ in 0..random.size(0, 2) {
                spoil(&mut random, &mut layer, &mut pass);
            }
            layer.op = layer.op.min(Op::Context as u32);
            layer.chunks = layer.chunks.clamp(1, 8);
            let (layer_words, pass_words) = (layer.to_words(), pass.to_words());
            // As the core reads them: bits beyond a field's width are none of it.
            let layer = Descriptor::from_words(&layer_words);
            let pass = Pass::from_words(&pass_words);
            device.set_fields("", descriptor::FIELDS, &layer_words);
            device.set_fields("", pass::FIELDS, &pass_words);
            device.set("active", true);
            for cycle in 1..CYCLES {
                device.cycle();
                assert!(!device.is("done"), "case {case}: in cycle {cycle}");
            }
            device.cycle();
            assert!(device.is("done"), "case {case}: not in cycle {CYCLES}");
            let code = device.is("bad").then(|| device.get("code") as u32);
            let expected = verdict(&layer, &pass, &core);
            assert_eq!(
                code,
                expected.map(|code| code as u32),
                "case {case}: {expected:?}, {layer:?}, {pass:?}"
            );
            *found.entry(code).or_insert(0) += 1;
            device.set("active", false);
            device.cycle();
        }
        assert!(found.len() == 4 && found.values().all(|&count| count > 40), "{found:?}");
    }
}
