//! Files in which something was changed: whatever it is, they are refused or run, within the limits.

use compile::ProgramOptions;
use isa::program::Planes;
use isa::{CoreConfig, LARGEST_WINDOW, PcieConfig, SocConfig};
use model::{Executor, Network, RunOptions};
use proptest::prelude::*;
use std::path::Path;
use std::sync::LazyLock;

/// Additions of the largest image that is run.
const MOST_ADDITIONS: u64 = 1 << 20;
/// Bytes of the largest program that is made.
const MOST_BYTES: u64 = 1 << 22;

fn read(place: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(place)).expect(place)
}

static NETWORKS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let cases = ["scores-4095x4095", "many-layers-512x512", "duplicate-layer-names", "newline-in-name"];
    let cases = cases.map(|name| read(&format!("tests/cases/{name}.mst")));
    cases.into_iter().chain([read("models/fashion-mnist/net.mst")]).collect()
});

/// Bytes with some of them changed; most changes are digits, for those make other numbers.
fn changed(bytes: &[u8], changes: &[(prop::sample::Index, u8, bool)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let head = bytes.len().min(1 << 14);
    let digits: Vec<usize> = (8.min(head)..head).filter(|&at| bytes[at].is_ascii_digit()).collect();
    for (at, byte, digit) in changes {
        if *digit && !digits.is_empty() {
            bytes[digits[at.index(digits.len())]] = b'0' + byte % 10;
        } else {
            let place = at.index(bytes.len());
            bytes[place] = *byte;
        }
    }
    bytes
}

fn survive_network(bytes: &[u8], time_steps: u32) {
    let Ok(network) = Network::from_bytes(bytes) else { return };
    let Ok(configured) = network.configure(&RunOptions::new(time_steps)) else { return };
    for preset in CoreConfig::PRESETS {
        let core = CoreConfig::preset(preset).unwrap();
        let options = ProgramOptions { memory_size: LARGEST_WINDOW, planes: Planes::Reuse };
        let Ok(needed) = compile::memory_bytes(&configured, &core, &options) else { continue };
        if needed <= MOST_BYTES {
            assert_eq!(compile::compile(&configured, &core, &options).unwrap().total_bytes, needed);
        }
    }
    if configured.cost().additions <= MOST_ADDITIONS && network.image.bytes() <= MOST_BYTES as usize {
        let trace = Executor::new(&configured).trace(&vec![200; network.image.bytes()]).unwrap();
        let bytes: u64 =
            trace.planes.iter().map(|p| (p.tokens() * p.channels() * p.cell_bytes()) as u64).sum();
        assert_eq!(bytes, configured.cost().spike_bytes, "the cost is what the spikes take");
    }
}

fn survive_sizes(bytes: &[u8]) {
    if let Ok(core) = serde_json::from_slice::<CoreConfig>(bytes) {
        let _ = core.validate();
    }
    if let Ok(soc) = serde_json::from_slice::<SocConfig>(bytes) {
        let _ = soc.validate();
    }
    if let Ok(card) = serde_json::from_slice::<PcieConfig>(bytes) {
        let _ = card.validate();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_networks_are_refused_or_run(
        which in any::<prop::sample::Index>(),
        time_steps in prop::sample::select(vec![1, 3, 8, 64, 256]),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), prop::bool::weighted(0.8)), 1..5),
    ) {
        let network: &Vec<u8> = which.get(NETWORKS.as_slice());
        survive_network(&changed(network, &changes), time_steps);
    }

    #[test]
    fn changed_sizes_are_refused_or_valid(
        which in any::<bool>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), prop::bool::weighted(0.8)), 0..5),
    ) {
        let place = if which { "constraints/ulx3s/mst_soc.json" } else { "constraints/acorn/mst_pcie.json" };
        survive_sizes(&changed(&read(place), &changes));
    }
}
