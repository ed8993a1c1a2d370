//! bring-up
use isa::CoreConfig;
use tests::cosim::Cosim;
use tests::cosim::campaign::Worlds;
use tests::random_network::Case;
fn core(name: &str) -> CoreConfig {
    let tiny = CoreConfig::preset("tiny").unwrap();
    match name {
        "small" => CoreConfig { max_fan_in: 64, weight_rows: 512, sum_rows: 16, bias_rows: 64, ..tiny },
        "small16" => CoreConfig {
            lanes: 16,
            bus_bits: 128,
            max_fan_in: 64,
            weight_rows: 512,
            sum_rows: 16,
            bias_rows: 64,
            ..tiny
        },
        "large" => CoreConfig {
            lanes: 16,
            bus_bits: 64,
            address_bits: 40,
            membrane_bits: 32,
            max_fan_in: 1024,
            weight_rows: 1024,
            bias_rows: 300,
            sum_rows: 100,
        },
        _ => CoreConfig::preset(name).unwrap(),
    }
}
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (preset, first, last) = (&args[1], args[2].parse::<u64>().unwrap(), args[3].parse::<u64>().unwrap());
    let size: Option<u32> = args.get(4).map(|s| s.parse().unwrap());
    let core = core(preset);
    let cosim = (std::env::var("DRY").is_err()).then(|| Cosim::new(core.clone()));
    let mut coverage = tests::coverage::Coverage::default();
    let (mut good, mut bad, mut refused) = (0, 0, 0);
    let mut cycles = 0;
    for seed in first..last {
        let size = size.unwrap_or(1 + (seed / 2 % 8) as u32);
        let case = Case::of_width(seed, size, core.membrane_bits);
        let network = case.configure();
        let world = Worlds::Mixed.of(seed);
        let memory = 1 << 22;
        let program = match compile::compile(
            &network,
            &core,
            &compile::ProgramOptions { memory_size: memory, planes: isa::program::Planes::Keep },
        ) {
            Ok(p) => p,
            Err(e) => {
                println!("{seed}/{size} refused: {e}");
                refused += 1;
                continue;
            }
        };
        coverage.add(&network, &program);
        if std::env::var("NAIVE").is_ok() {
            let trace = model::Executor::new(&network).trace(&case.image).unwrap();
            let naive = tests::naive::run(&network, &case.image);
            for (i, (a, b)) in naive.planes.iter().zip(&trace.planes).enumerate() {
                'l: for (token, chans) in a.iter().enumerate() {
                    for (c, s) in chans.iter().enumerate() {
                        for (t, &s) in s.iter().enumerate() {
                            if b.get(token, c, t as u32 as _) != s {
                                println!(
                                    "{seed}/{size}: NAIVE differs layer {i} {} token {token} channel {c} t {t}; {case:?}",
                                    network.layers[i].name
                                );
                                break 'l;
                            }
                        }
                    }
                }
            }
            if naive.logits != trace.logits.iter().map(|&l| i64::from(l)).collect::<Vec<_>>() {
                println!("{seed}/{size}: NAIVE logits");
            }
        }
        let Some(cosim) = &cosim else { continue };
        let result = cosim.session(&network, &world).and_then(|mut s| s.compare(&case.image));
        match result {
            Ok(c) => {
                good += 1;
                cycles += c.busy_cycles;
                println!("{seed} ok {} cycles {} events", c.busy_cycles, c.events)
            }
            Err(e) => {
                bad += 1;
                println!("{seed}/{size}: {e}; {case:?}")
            }
        }
    }
    println!("{coverage}");
    println!("{good} good, {bad} bad, {refused} refused, {cycles} cycles");
}
