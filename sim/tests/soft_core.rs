//! Programs on the core in software against the reference executor: every spike and every logit.

mod network;

use compile::{ProgramError, ProgramOptions};
use driver::Accelerator;
use isa::program::{LayerPlan, Planes, Program};
use isa::{CoreConfig, Op};
use model::reference::Executor;
use model::{Network, RunOptions, SpikePlane};
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
    let program = compared(network::random(seed), core, time_steps, planes, seed);
    program.unwrap_or_else(|refused| panic!("seed {seed}: {refused}"));
}

/// Runs a program of a network and compares what it leaves behind with the reference. Returns the program, or why it was refused.
fn compared(
    (network, image): (Network, Vec<u8>),
    core: &CoreConfig,
    time_steps: u32,
    planes: Planes,
    seed: u64,
) -> Result<Program, ProgramError> {
    let run = RunOptions { membrane_bits: core.membrane_bits, ..RunOptions::new(time_steps) };
    let configured = network.configure(&run).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let options = ProgramOptions { memory_size: MEMORY as u64, planes };
    let program = compile::compile(&configured, core, &options)?;
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
    Ok(program)
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

/// The transformers that ship need no second pass on any preset: a layer is one descriptor with one pass.
#[test]
fn shipped_networks_agree_on_every_preset() {
    let models = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../models")).unwrap();
    let files: Vec<_> =
        models.map(|entry| entry.unwrap().path().join("net.mst")).filter(|path| path.exists()).collect();
    assert!(!files.is_empty());
    for (index, path) in files.iter().enumerate() {
        let network = Network::from_bytes(&std::fs::read(path).unwrap()).unwrap();
        let core = CoreConfig::preset(CoreConfig::PRESETS[index % 3]).unwrap();
        let image = network::Random(index as u64).bytes(network.image.bytes());
        let program = compared((network, image), &core, 8, Planes::Keep, index as u64).unwrap();
        let attends = program.layers.iter().any(|layer| layer.strips[0].descriptor.op == Op::Scores as u32);
        if !attends {
            continue;
        }
        for layer in &program.layers {
            let shape = (layer.strips.len(), layer.strips[0].passes.len());
            assert_eq!(shape, (1, 1), "{}: `{}`", path.display(), layer.name);
        }
    }
}

/// What convolutional networks on small cores have, to see that the tests below are about something.
#[derive(Debug, Default)]
struct Seen {
    programs: u32,
    refused: u32,
    several_passes: u32,
    several_strips: u32,
    pieces_of_rows: u32,
    masks_that_go_on: u32,
    turned_orders: u32,
    windows_in_strips: u32,
    shifted_windows_in_strips: u32,
    each_step_in_strips: u32,
    summed_in_passes: u32,
    slices: u32,
    image_in_passes: u32,
}

impl Seen {
    fn count(&mut self, layer: &LayerPlan) {
        let (first, last) = (&layer.strips[0], &layer.strips[layer.strips.len() - 1]);
        let d = &first.descriptor;
        let strips = layer.strips.len() > 1;
        let passes = d.passes > 1;
        let windows = d.rotate_by_block == 1;
        let mut see = |count: fn(&mut Seen) -> &mut u32, seen: bool| *count(self) += u32::from(seen);
        see(|seen| &mut seen.several_passes, passes);
        see(|seen| &mut seen.several_strips, strips);
        see(
            |seen| &mut seen.pieces_of_rows,
            strips && !windows && d.inner_y == 1 && last.descriptor.inner_x < d.inner_x,
        );
        see(|seen| &mut seen.masks_that_go_on, strips && last.descriptor.parameter_base != d.parameter_base);
        see(|seen| &mut seen.turned_orders, strips && last.descriptor.rank != d.rank);
        see(|seen| &mut seen.windows_in_strips, strips && windows && d.inner_y > 1);
        see(|seen| &mut seen.shifted_windows_in_strips, strips && d.shift > 0);
        see(|seen| &mut seen.each_step_in_strips, strips && d.schedule == 0);
        see(|seen| &mut seen.summed_in_passes, passes && d.sum == 1);
        let words = |row: u32| {
            first.passes.iter().any(|pass| pass.diagonal == 0 && pass.chunk_stride > row * pass.segment_words)
        };
        see(|seen| &mut seen.slices, words(8));
        see(|seen| &mut seen.image_in_passes, passes && d.bytes == 1);
    }
}

#[test]
fn every_spike_of_random_convolutions_agrees_on_small_cores() {
    let mut seen = Seen::default();
    for seed in 0..300 {
        let pick = |of: &[u32], turn: u64| of[(seed / turn) as usize % of.len()];
        let (lanes, bus_bits) = [(8, 64), (16, 128), (32, 64), (16, 64), (64, 128)][seed as usize % 5];
        let core = CoreConfig {
            max_fan_in: pick(&[64, 64, 128, 512], 3),
            weight_rows: 512,
            sum_rows: pick(&[16, 16, 23, 64], 7),
            membrane_bits: 32,
            ..core(lanes, bus_bits)
        };
        let time_steps = [8, 1, 3, 9, 16, 4, 20][seed as usize % 7];
        match compared(network::conv::random(seed), &core, time_steps, Planes::Keep, seed) {
            Ok(program) => program.layers.iter().for_each(|layer| seen.count(layer)),
            Err(error) => {
                let message = error.to_string();
                assert!(message.contains("--sum-rows"), "seed {seed}: {message}");
                seen.refused += 1;
                continue;
            }
        }
        seen.programs += 1;
    }
    let counts = format!("{seen:?}");
    println!("{counts}");
    assert!(
        !counts.contains(": 0,") && !counts.contains(": 0 ") && seen.programs > 5 * seen.refused,
        "{counts}"
    );
}

#[test]
fn logits_of_convolutions_agree_when_planes_share_memory() {
    for seed in 1000..1060 {
        let core = CoreConfig { max_fan_in: 128, sum_rows: 256, membrane_bits: 32, ..core(16, 128) };
        let program = compared(network::conv::random(seed), &core, 8, Planes::Reuse, seed);
        program.unwrap_or_else(|refused| panic!("seed {seed}: {refused}"));
    }
}
