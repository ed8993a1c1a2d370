//! The reference executor against plain loops, on random networks.

use isa::Schedule;
use model::{Executor, LayerId};
use proptest::prelude::*;
use std::collections::BTreeMap;
use tests::naive::{self, Outcome};
use tests::random_network::{Case, MAX_SIZE, cases, cases_at_the_limits};

/// The naive planes, packed like the reference's; both must have the same shape.
fn assert_same(case: &Case) {
    let configured = case.configure();
    let trace = Executor::new(&configured).trace(&case.image).unwrap();
    let Outcome { planes, logits, .. } = naive::run(&configured, &case.image);
    assert_eq!(planes.len(), trace.planes.len());
    for (layer, (naive, plane)) in configured.layers.iter().zip(planes.iter().zip(&trace.planes)) {
        assert_eq!((naive.len(), naive[0].len()), (plane.tokens(), plane.channels()), "`{}`", layer.name);
        for (token, channels) in naive.iter().enumerate() {
            for (channel, spikes) in channels.iter().enumerate() {
                let found: Vec<bool> = (0..spikes.len()).map(|t| plane.get(token, channel, t)).collect();
                assert_eq!(&found, spikes, "`{}`, token {token}, channel {channel}", layer.name);
            }
        }
    }
    assert_eq!(trace.logits.iter().map(|&l| i64::from(l)).collect::<Vec<_>>(), logits);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reference_equals_plain_loops(case in cases()) {
        assert_same(&case);
    }

    #[test]
    fn reference_equals_plain_loops_at_the_limits_of_any_membrane(case in cases_at_the_limits(16..=32)) {
        assert_same(&case);
    }
}

/// Membranes of every operation and neuron reach both ends of their range, and none leaves it.
#[test]
fn networks_at_the_limits_reach_them() {
    let mut all = Vec::new();
    for bits in [16, 17, 24, 32] {
        let half = 1i64 << (bits - 1);
        let (mut met, mut layers) = (0, 0);
        let mut ends = BTreeMap::<String, [usize; 2]>::new();
        for seed in 0..100 {
            let case = Case::at_the_limits(seed, 1 + seed as u32 % 4, bits);
            let configured = case.configure();
            let Outcome { reached, .. } = naive::run(&configured, &case.image);
            for (index, (layer, (least, greatest))) in configured.layers.iter().zip(reached).enumerate() {
                let bounds = configured.bounds(LayerId(index));
                layers += 1;
                met += usize::from(bounds.low == -half || bounds.high == half - 1);
                let kind = format!(
                    "{} {:?}",
                    layer.name.trim_end_matches(|c: char| c.is_ascii_digit()),
                    layer.schedule()
                );
                let counts = ends.entry(kind).or_default();
                counts[0] += usize::from(least == -half);
                counts[1] += usize::from(greatest == half - 1);
            }
        }
        assert!(2 * met >= layers, "{bits} bits: {met} of {layers} layers meet the proof exactly");
        for kind in ["image", "dense", "shortcut"] {
            for schedule in [Schedule::EachStep, Schedule::AfterAll] {
                let [low, high] = ends[&format!("{kind} {:?}", Some(schedule))];
                assert!(low >= 2 && high >= 2, "{bits} bits: layers at either end: {ends:?}");
            }
        }
        all.extend(ends);
    }
    // These have fewer ways to get there.
    for kind in ["scores", "context", "readout"] {
        let at_an_end = all
            .iter()
            .filter(|(name, ends): &&(String, [usize; 2])| name.starts_with(kind) && *ends != [0, 0]);
        assert!(at_an_end.count() > 0, "no {kind} at an end: {all:?}");
    }
}

/// The stimuli are worth something only if all kinds of layers come up and neurons spike at all rates.
#[test]
fn random_networks_cover_operations_and_rates() {
    let mut operations = BTreeMap::<String, usize>::new();
    let mut rates = [0usize; 5];
    for seed in 0..400 {
        let case = Case::random(seed, 1 + seed as u32 % MAX_SIZE);
        let configured = case.configure();
        let trace = Executor::new(&configured).trace(&case.image).unwrap();
        for (layer, plane) in configured.layers.iter().zip(&trace.planes) {
            let kind = layer.name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
            *operations.entry(kind).or_default() += 1;
            let cells = plane.tokens() * plane.channels() * plane.time_steps() as usize;
            let rate = plane.spikes() as f64 / cells as f64;
            rates[(rate * 4.99) as usize] += 1;
        }
    }
    for kind in ["image", "dense", "shortcut", "scores", "context"] {
        assert!(operations.get(kind).is_some_and(|&n| n >= 50), "{operations:?}");
    }
    assert!(rates.iter().all(|&n| n >= 50), "layers by rate: {rates:?}");
}
