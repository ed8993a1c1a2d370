//! bring-up
use tests::cosim::campaign::{Worlds};
use tests::cosim::Cosim;
use tests::random_network::Case;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (preset, first, last) = (&args[1], args[2].parse::<u64>().unwrap(), args[3].parse::<u64>().unwrap());
    let size: Option<u32> = args.get(4).map(|s| s.parse().unwrap());
    let cosim = Cosim::preset(preset);
    let (mut good, mut bad) = (0, 0);
    for seed in first..last {
        let size = size.unwrap_or(1 + (seed / 2 % 8) as u32);
        let case = Case::of_width(seed, size, cosim.core.membrane_bits);
        let network = case.configure();
        let world = Worlds::Mixed.of(seed);
        let result = cosim.session(&network, &world).and_then(|mut s| s.compare(&case.image));
        match result { Ok(c) => { good += 1; println!("{seed} ok {} cycles {} events", c.busy_cycles, c.events) } Err(e) => { bad += 1; println!("{seed}/{size}: {e}; {case:?}") } }
    }
    println!("{good} good, {bad} bad");
}
