//! Programs on the core in software against the reference executor: every spike and every logit.

mod network;

use compile::ProgramOptions;
use driver::Accelerator;
use isa::CoreConfig;
use isa::program::Planes;
use model::reference::Executor;
use model::{RunOptions, SpikePlane};
use sim::SoftCore;

const MEMORY: usize = 1 << 22;

fn core(lanes: u32, bus_bits: u32) -> CoreConfig {
    CoreConfig {
        lanes,
        bus_bits,
        max_fan_in: 1024,
        weight_rows: 1024,
        membrane_bits: 28,
        ..CoreConfig::preset("tiny").unwrap()
    }
}

fn compare(seed: u64, core: &CoreConfig, time_steps: u32, planes: Planes) {
    let (network, image) = network::random(seed);
    let run = RunOptions { membrane_bits: core.membrane_bits, ..RunOptions::new(time_steps) };
    let configured = network.configure(&run).unwrap();
    let options = ProgramOptions { memory_size: MEMORY as u64, planes };
    let program = compile::compile(&configured, core, &options).unwrap();
    let expected = Executor::new(&configured).trace(&image).unwrap();

    let mut accelerator = Accelerator::open(SoftCore::new(core, MEMORY).unwrap()).unwrap();
    accelerator.load(&program).unwrap();
    let found = accelerator.infer(&image).unwrap();
    if planes == Planes::Keep {
        for (index, plane) in expected.planes.iter().enumerate() {
            let read = SpikePlane::from(&accelerator.read_plane(index).unwrap());
            let name = &network.layers[index].name;
            assert_eq!(
                read.first_difference(plane),
                None,
                "seed {seed}, T {time_steps}, layer {index} `{name}`"
            );
        }
        let spikes: u64 = expected.planes.iter().map(|plane| plane.spikes()).sum();
        assert_eq!(found.counters.spikes, spikes);
    }
    assert_eq!(found.logits, expected.logits, "seed {seed}, T {time_steps}");
    assert_eq!(found.class, expected.class());
}

#[test]
fn every_spike_of_random_networks_agrees() {
    let cores = [core(8, 64), core(16, 64), core(16, 128), core(32, 128), core(64, 64)];
    for seed in 0..120 {
        let time_steps = [8, 1, 3, 9, 16, 20, 64][seed as usize % 7];
        compare(seed, &cores[seed as usize % cores.len()], time_steps, Planes::Keep);
    }
}

#[test]
fn logits_agree_when_planes_share_memory() {
    for seed in 200..230 {
        compare(seed, &core(16, 128), [4, 8, 12][seed as usize % 3], Planes::Reuse);
    }
}
