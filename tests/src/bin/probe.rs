use isa::CoreConfig;
use tests::cosim::Cosim;
use tests::cosim::campaign::Worlds;
use tests::random_network::Case;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (seed, size) = (args[1].parse::<u64>().unwrap(), args[2].parse::<u32>().unwrap());
    let tiny = CoreConfig::preset("tiny").unwrap();
    let core = CoreConfig { max_fan_in: 64, weight_rows: 512, sum_rows: 16, bias_rows: 64, ..tiny };
    let case = Case::of_width(seed, size, 24);
    let network = case.configure();
    for l in &network.layers {
        let op = match &l.operation {
            model::network::Operation::Linear { terms, .. } => terms
                .iter()
                .map(|t| format!("{:?} {:?} {} n{}", t.source, t.taps, t.shift, t.weights.data().len()))
                .collect::<Vec<_>>()
                .join("; "),
            o => format!("{o:?}").chars().take(100).collect(),
        };
        println!(
            "{} {:?} ch {} {:?} {:?} mask {:?} rotate {} :: {op}",
            l.name, l.grid, l.channels, l.walk, l.neuron, l.mask, l.rotate
        );
    }
    let cosim = Cosim::new(core);
    for w in 0..12u64 {
        let world = if w == 0 {
            Worlds::Quiet.of(seed)
        } else if w == 1 {
            Worlds::Mixed.of(seed)
        } else {
            tests::cosim::rough_world(w)
        };
        let r = cosim.session(&network, &world).and_then(|mut s| s.compare(&case.image));
        println!("{w}: {:?}", r.map(|c| c.busy_cycles));
    }
}
