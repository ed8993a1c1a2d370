//! The trained networks that ship, on real images: every spike plane and every logit of the Verilated core equals the reference's.

use images::Dataset;
use isa::Schedule;
use model::convert::convert_and_measure;
use model::graph::file::GraphFile;
use model::network::Origin;
use model::{ConvertOptions, MaskRatio, MaskRules, Network, RunOptions};
use sha2::{Digest, Sha256};
use sim::SimOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tests::cosim::campaign::in_parallel;
use tests::cosim::{Cosim, rough_world, text};

/// Simulated time after which a run counts as hung: forty million cycles.
const DEADLINE: Duration = Duration::from_millis(400);

/// One run.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Folder of the network.
    network: &'static str,
    preset: &'static str,
    schedule: Schedule,
    time_steps: u32,
    /// Masked share of spikes of all labels, in 1/256; without it the masks that the network was trained with.
    mask: Option<u8>,
    /// Seed of random stalls.
    stalls: Option<u64>,
    image: usize,
}

/// What `README` runs: two_phase, 8 steps, no masks, image 0.
const DEFAULT: Run = Run {
    network: "fashion-mnist",
    preset: "ecp5",
    schedule: Schedule::AfterAll,
    time_steps: 8,
    mask: None,
    stalls: None,
    image: 0,
};

fn models(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(path)
}

fn network(folder: &str) -> Network {
    Network::load(&models(folder).join("net.mst")).unwrap()
}

fn agree(runs: &[Run]) {
    let data = Dataset::load(&models("data/fashion-mnist"), &network("fashion-mnist")).unwrap();
    let presets = ["tiny", "ecp5", "pcie"].into_iter().filter(|name| runs.iter().any(|r| r.preset == *name));
    let cores: Vec<(&str, Cosim)> = presets.map(|name| (name, Cosim::preset(name))).collect();
    let outcome = in_parallel(runs, |run| {
        let options = RunOptions {
            schedule: Some(run.schedule),
            mask: run.mask.map_or_else(MaskRules::default, |ratio| MaskRatio(ratio).into()),
            ..RunOptions::new(run.time_steps)
        };
        let configured = network(run.network).configure(&options).map_err(text)?;
        let (_, cosim) = cores.iter().find(|(name, _)| *name == run.preset).expect("compiled above");
        let world = run.stalls.map_or_else(SimOptions::default, rough_world);
        let mut session = cosim.session(&configured, &world)?;
        session.accelerator.set_deadline(DEADLINE);
        let counters = session.compare(data.image(run.image)).map_err(|error| format!("{run:?}: {error}"))?;
        eprintln!(
            "{} {:5} {:8} T {:2}  mask {:?}/256  image {}  {:6}: {:8} cycles, {:8} events, {:7} spikes",
            run.network,
            run.preset,
            format!("{:?}", run.schedule),
            run.time_steps,
            run.mask,
            run.image,
            if run.stalls.is_some() { "stalls" } else { "" },
            counters.busy_cycles,
            counters.events,
            counters.spikes
        );
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_first_image_agrees() {
    agree(&[DEFAULT, Run { stalls: Some(1), ..DEFAULT }]);
}

#[test]
fn the_first_image_agrees_with_64_lanes() {
    agree(&[Run { preset: "pcie", ..DEFAULT }]);
}

/// The networks that were trained with masks, on the masks that they were trained with.
const MASKED: [&str; 4] =
    ["fashion-mnist-mask50", "fashion-mnist-mask75", "fashion-mnist-perlayer", "fashion-mnist-fc1"];

#[test]
fn networks_trained_with_masks_agree() {
    agree(&MASKED.map(|network| Run { network, ..DEFAULT }));
}

/// Networks of convolutions.
const CONVOLUTIONAL: [&str; 3] =
    ["fashion-mnist-resnet18", "fashion-mnist-resnet18-mask50", "fashion-mnist-vgg16"];
/// Time steps that their scales leave room for (`--room-for`).
const CONVOLUTIONAL_STEPS: u32 = 32;

#[test]
fn networks_of_convolutions_agree() {
    agree(&CONVOLUTIONAL.map(|network| Run { network, ..DEFAULT }));
}

#[test]
fn every_network_is_its_converted_checkpoint() {
    let options = |name: &'static str| ConvertOptions::new(name);
    let others = MASKED.into_iter().chain([DEFAULT.network]).map(options);
    let steps = |name| ConvertOptions { time_steps: CONVOLUTIONAL_STEPS, ..options(name) };
    for options in others.chain(CONVOLUTIONAL.map(steps)) {
        let name = options.name.as_str();
        let (path, file) = ("checkpoint.safetensors".to_owned(), models(name).join("checkpoint.safetensors"));
        let graph = GraphFile::load(&file).unwrap().graph;
        let mut converted = convert_and_measure(graph, &options).unwrap().network;
        let sha256 = Sha256::digest(std::fs::read(&file).unwrap());
        let sha256 = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        converted.checkpoint = Some(Origin { path, sha256 });
        assert!(converted == network(name), "{name}: convert it again");
    }
}

#[test]
fn slow_every_mode_mask_and_core_agrees() {
    let mut runs = Vec::new();
    // The longest first, so that no processor is left alone with one at the end.
    for (preset, schedule, time_steps) in [
        ("tiny", Schedule::EachStep, 32),
        ("tiny", Schedule::EachStep, 8),
        ("ecp5", Schedule::EachStep, 32),
        ("tiny", Schedule::AfterAll, 8),
        ("tiny", Schedule::AfterAll, 4),
        ("ecp5", Schedule::EachStep, 8),
        ("ecp5", Schedule::AfterAll, 8),
        ("ecp5", Schedule::AfterAll, 4),
    ] {
        for image in 0..3 {
            for mask in [Some(0), Some(128)] {
                for stalls in [None, Some(image as u64 + 1)] {
                    runs.push(Run { preset, schedule, time_steps, mask, stalls, image, ..DEFAULT });
                }
            }
        }
    }
    agree(&runs);
}
