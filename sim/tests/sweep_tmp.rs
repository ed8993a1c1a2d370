mod network;
use driver::{Accelerator, Planes, Program, ProgramOptions};
use isa::CoreConfig;
use model::reference::Executor;
use model::{LayerId, RunOptions};
use sim::axi::Stalls;
use sim::{SimLink, SimOptions, Verilated, Tracing};
use std::time::Duration;

#[test]
fn sweep() {
    let core = CoreConfig { lanes: std::env::var("L").map_or(8, |v| v.parse().unwrap()), bus_bits: std::env::var("B").map_or(64, |v| v.parse().unwrap()), max_fan_in: 1024, weight_rows: 1024, ..CoreConfig::preset("tiny").unwrap() };
    let t0 = std::time::Instant::now();
    let module = hdl::core::mst_core(&core).unwrap();
    eprintln!("rtl {:?}", t0.elapsed());
    let v = Verilated::build(&module, Tracing::None).unwrap();
    eprintln!("build {:?}", t0.elapsed());
    let from: u64 = std::env::var("F").map_or(0, |v| v.parse().unwrap());
    let n: u64 = std::env::var("N").map_or(30, |v| v.parse().unwrap());
    let mut cycles = 0; let mut time = 0.0;
    for seed in from..from+n {
        let time_steps = [8, 3, 12, 1, 16, 24, 5][seed as usize % 7];
        let (network, image) = network::random(seed);
        let Ok(configured) = network.configure(&RunOptions::new(time_steps)) else { eprintln!("{seed}: overflow"); continue };
        let planes = if seed % 3 == 2 { Planes::Reuse } else { Planes::Keep };
        let program = match Program::compile(&configured, &core, &ProgramOptions { memory_size: 4 << 20, planes }) { Ok(p) => p, Err(e) => { eprintln!("{seed}: {e}"); continue } };
        let expected = Executor::new(&configured).trace(&image).unwrap();
        let stalls = (seed % 2 == 1).then_some(Stalls { seed, percent: 30 });
        let options = SimOptions { stalls, latency: if stalls.is_some() { 1..=60 } else { 20..=20 }, ..SimOptions::default() };
        let link = SimLink::with_model(&v, &core, &options).unwrap();
        let mut a = Accelerator::open_expecting(link, &core).unwrap();
        a.set_deadline(Duration::from_millis(20));
        a.load(&program).unwrap();
        let t = std::time::Instant::now();
        let c0 = a.link().cycles();
        match a.infer(&image) {
            Ok(found) => {
                cycles += a.link().cycles() - c0; time += t.elapsed().as_secs_f64();
                if planes == Planes::Keep {
                for (i, p) in expected.planes.iter().enumerate() {
                    match a.read_plane(LayerId(i)) { Ok(r) => if let Some(d) = r.first_difference(p) { eprintln!("{seed} T{time_steps}: layer {i} {} {:?} differs at {d:?} spikes {} {}", network.layers[i].name, network.layers[i].neuron, r.spikes(), p.spikes()); break; }, Err(e) => eprintln!("{seed}: {e}") }
                }}
                if found.logits != expected.logits { eprintln!("{seed} T{time_steps}: LOGITS differ"); }
            }
            Err(e) => eprintln!("{seed} T{time_steps} stalls {}: {e}", stalls.is_some()),
        }
    }
    eprintln!("{cycles} cycles, {} cycles/s", cycles as f64 / time);
}
