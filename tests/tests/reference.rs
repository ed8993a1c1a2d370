//! The reference executor against plain loops, on random networks.

use model::Executor;
use proptest::prelude::*;
use tests::naive;
use tests::random_network::{Case, MAX_SIZE, cases};

/// The naive planes, packed like the reference's; both must have the same shape.
fn assert_same(case: &Case) {
    let configured = case.configure();
    let trace = Executor::new(&configured).trace(&case.image).unwrap();
    let (planes, logits) = naive::run(&configured, &case.image);
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
}

/// The stimuli are worth something only if all kinds of layers come up and neurons spike at all rates.
#[test]
fn random_networks_cover_operations_and_rates() {
    let mut operations = std::collections::BTreeMap::<String, usize>::new();
    let mut rates = [0usize; 5];
    for seed in 0..300 {
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
    for kind in ["analog", "dense", "shortcut", "scores", "context"] {
        assert!(operations.get(kind).is_some_and(|&n| n >= 50), "{operations:?}");
    }
    assert!(rates.iter().all(|&n| n >= 50), "layers by rate: {rates:?}");
}
