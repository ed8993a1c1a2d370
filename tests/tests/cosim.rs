//! Random networks: every spike of the Verilated core equals the reference's.

use tests::cosim::Cosim;
use tests::random_network::Case;

fn run(preset: &str, seeds: std::ops::Range<u64>, size: u32, stalls: bool) {
    let cosim = Cosim::preset(preset);
    for seed in seeds {
        let case = Case::random(seed, size);
        eprintln!("{case:?}");
        let stalls = stalls.then_some(seed);
        if let Err(error) = cosim.check(&case.configure(), &case.image, stalls) {
            panic!("{case:?} at {preset}, stalls {stalls:?}: {error}");
        }
    }
}

#[test]
fn random_networks_agree() {
    run("tiny", 0..20, 2, false);
}
