//! Random networks: every spike of the Verilated core equals the reference's.

use tests::cosim::Cosim;
use tests::random_network::Case;

fn run(preset: &str, seeds: std::ops::Range<u64>, size: u32, stalls: bool) {
    let cosim = Cosim::preset(preset);
    let mut failures = 0;
    for seed in seeds {
        let case = Case::random(seed, size);
        let stalls = stalls.then_some(seed);
        if let Err(error) = cosim.check(&case.configure(), &case.image, stalls) {
            eprintln!("{case:?} at {preset}, stalls {stalls:?}: {error}");
            failures += 1;
        }
    }
    assert_eq!(failures, 0);
}

#[test]
fn random_networks_agree() {
    run("tiny", 0..60, 6, false);
}

#[test]
fn stalls() {
    run("tiny", 100..140, 6, true);
}
