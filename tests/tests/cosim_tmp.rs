use tests::cosim::Cosim;
use tests::random_network::Case;
use std::collections::BTreeMap;
#[test]
fn sweep() {
    let preset = std::env::var("P").unwrap_or("tiny".into());
    let from: u64 = std::env::var("F").map_or(0, |v| v.parse().unwrap());
    let n: u64 = std::env::var("N").map_or(100, |v| v.parse().unwrap());
    let cosim = Cosim::preset(&preset);
    let mut ops: BTreeMap<String, u32> = BTreeMap::new();
    let (mut failures, mut cycles, mut spikes, mut events) = (0, 0u64, 0u64, 0u64);
    for seed in from..from + n {
        let case = Case::random(seed, 1 + (seed % 8) as u32);
        for l in &case.network.layers { *ops.entry(l.name.trim_end_matches(|c: char| c.is_ascii_digit()).to_string()).or_default() += 1; }
        let stalls = (seed % 2 == 1).then_some(seed);
        match cosim.check(&case.configure(), &case.image, stalls) {
            Err(error) => { eprintln!("{case:?} at {preset}, stalls {stalls:?}: {error}"); failures += 1; }
            Ok(c) => { cycles += c.busy_cycles as u64; spikes += c.spikes as u64; events += c.events as u64; }
        }
    }
    eprintln!("{ops:?} failures {failures} cycles {cycles} spikes {spikes} events {events}");
}
