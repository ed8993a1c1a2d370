//! The Verilated core on random networks: every spike and every logit, as the reference executor has them.

mod network;

use driver::{Accelerator, Planes, Program, ProgramOptions};
use isa::CoreConfig;
use model::reference::Executor;
use model::{LayerId, RunOptions};
use sim::axi::Stalls;
use sim::{SimLink, SimOptions};
use std::time::Duration;

fn compare(seed: u64, time_steps: u32, options: &SimOptions) {
    let core = CoreConfig::preset("tiny").unwrap();
    let (network, image) = network::random(seed);
    let configured = network.configure(&RunOptions::new(time_steps)).unwrap();
    let memory_size = options.memory_bytes as u64;
    let program =
        Program::compile(&configured, &core, &ProgramOptions { memory_size, planes: Planes::Keep }).unwrap();
    let expected = Executor::new(&configured).trace(&image).unwrap();

    let module = hdl::core::mst_core(&core).unwrap();
    let link = SimLink::new(&module, &core, options).unwrap();
    let mut accelerator = Accelerator::open_expecting(link, &core).unwrap();
    accelerator.set_deadline(Duration::from_millis(20));
    accelerator.load(&program).unwrap();
    let t0 = std::time::Instant::now();
    eprintln!("seed {seed} T {time_steps} {:?}", network.layers.iter().map(|l| (l.name.as_str(), l.grid.rows, l.grid.columns, l.channels, l.neuron)).collect::<Vec<_>>());
    let found = accelerator.infer(&image).unwrap();
    eprintln!("{:?} {:?}", t0.elapsed(), found.counters);
    for (index, plane) in expected.planes.iter().enumerate() {
        let read = accelerator.read_plane(LayerId(index)).unwrap();
        let name = &network.layers[index].name;
        assert_eq!(read.first_difference(plane), None, "seed {seed}, T {time_steps}, layer {index} `{name}`");
    }
    assert_eq!(found.logits, expected.logits);
}

#[test]
fn random_networks_agree() {
    for seed in 0..4 {
        compare(seed, [8, 3, 12, 1][seed as usize % 4], &SimOptions::default());
    }
}

#[test]
fn random_networks_agree_under_random_stalls() {
    for seed in 0..4 {
        let stalls = Some(Stalls { seed, percent: 40 });
        let options = SimOptions { stalls, latency: 1..=60, ..SimOptions::default() };
        compare(seed, 8, &options);
    }
}
