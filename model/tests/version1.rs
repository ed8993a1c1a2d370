//! Network files of version 1 are read, mean what they meant, and are written as version 2.

mod synthetic;

use model::network::{Operation, Schedule, Source, Taps};
use model::{Checkpoint, Configured, ConvertOptions, Executor, Network, RunOptions, convert};
use std::path::{Path, PathBuf};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name)
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/version1.mst")
}

fn configure(network: &Network, schedule: Schedule, time_steps: u32) -> Configured {
    network.configure(&RunOptions { schedule: Some(schedule), ..RunOptions::new(time_steps) }).unwrap()
}

/// The logits of a run and the FNV hash of all its spikes and logits.
fn run(network: &Configured, image: &[u8]) -> (Vec<i32>, u64) {
    let trace = Executor::new(network).trace(image).unwrap();
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    for plane in &trace.planes {
        (0..plane.tokens()).for_each(|token| plane.row(token).iter().copied().for_each(&mut add));
    }
    trace.logits.iter().flat_map(|logit| logit.to_le_bytes()).for_each(add);
    (trace.logits, hash)
}

/// Two stages with merging, two image channels, masks, shifted windows: logits and spikes of the executor that wrote the file.
#[test]
fn a_network_of_version_1_runs_as_it_did() {
    let network = Network::load(&sample()).unwrap();
    for (schedule, time_steps, logits, hash) in [
        (Schedule::AfterAll, 5, [3992, 5468, -2019], 0x244b_eca3_6b08_a828),
        (Schedule::AfterAll, 8, [5334, 9274, -2286], 0x0340_b547_df7b_0c14),
        (Schedule::AfterAll, 13, [9304, 15400, -4199], 0x5fff_1808_d22d_24c6),
        (Schedule::AfterAll, 64, [43259, 74554, -19015], 0xf085_3b21_6916_ba70),
        (Schedule::EachStep, 5, [3788, 4678, -2023], 0x7d8d_31ca_0d04_5ac5),
        (Schedule::EachStep, 8, [5487, 8579, -2566], 0xd87c_8079_4dcd_fa73),
        (Schedule::EachStep, 13, [8997, 14717, -4107], 0x4b7a_fc45_303c_5ed1),
        (Schedule::EachStep, 64, [44717, 72454, -20357], 0x145b_5763_9e53_fb7b),
    ] {
        let found = run(&configure(&network, schedule, time_steps), &synthetic::image(9));
        assert_eq!(found, (logits.to_vec(), hash), "{schedule:?}, T {time_steps}");
    }
}

#[test]
fn shipped_networks_run_as_they_did() {
    for (name, schedule, logits, hash) in [
        (
            "fashion-mnist",
            Schedule::AfterAll,
            [-22654, -67377, 3194, -55303, -18944, -88313, 5942, -113135, -35845, -110289],
            0x7d13_6fae_dd15_cad6,
        ),
        (
            "fashion-mnist",
            Schedule::EachStep,
            [-15578, -65807, -6566, -50644, -26043, -87187, 7295, -116578, -31773, -108842],
            0x0e2e_ac8c_bae6_6e19,
        ),
        (
            "fashion-mnist-fc1",
            Schedule::AfterAll,
            [-22250, -77784, 2474, -58087, -20735, -95371, 3461, -115749, -34787, -111715],
            0x6aab_d776_0d33_2c60,
        ),
        (
            "fashion-mnist-mask50",
            Schedule::EachStep,
            [-43726, -85538, -6332, -84554, -20025, -83225, 1237, -133011, -27184, -116093],
            0xfd83_aa2b_e5d9_cd03,
        ),
        (
            "fashion-mnist-mask75",
            Schedule::AfterAll,
            [-37584, -15369, -23374, -54952, -58583, -84825, -14264, -115623, -26644, -92938],
            0x660c_5d8d_dbd1_d033,
        ),
        (
            "fashion-mnist-perlayer",
            Schedule::AfterAll,
            [-27516, -83026, 887, -55945, -24995, -88129, 5188, -125353, -31135, -116032],
            0xfe2b_2192_bc61_6fcf,
        ),
    ] {
        let network = Network::load(&shipped(name).join("net.mst")).unwrap();
        let image = synthetic::image_of(3, network.image.bytes());
        let found = run(&configure(&network, schedule, 8), &image);
        assert_eq!(found, (logits.to_vec(), hash), "{name}, {schedule:?}");
        // What is written is version 2, and the same network.
        assert_eq!(Network::from_bytes(&network.to_bytes().unwrap()).unwrap(), network);
        let checkpoint = Checkpoint::load(&shipped(name).join("checkpoint.safetensors")).unwrap();
        let converted = convert(&checkpoint, &ConvertOptions::new(network.name.as_str())).unwrap();
        assert_eq!(converted.layers, network.layers, "{name}: what conversion gives today");
    }
}

#[test]
fn layers_are_upgraded_one_by_one() {
    let network = Network::load(&sample()).unwrap();
    let read = |index: usize| match &network.layers[index].operation {
        Operation::Linear { terms, .. } => terms.iter().map(|term| (term.source, term.taps)).collect(),
        _ => Vec::new(),
    };
    assert_eq!(read(0), [(Source::Image, Taps::square(2, 2, 0))]);
    let merging = network.layers.iter().position(|layer| layer.name.ends_with("reduction")).unwrap();
    assert_eq!(read(merging)[0].1, Taps::square(2, 2, 0));
    let masks: Vec<_> =
        network.layers.iter().map(|layer| (layer.mask.label.as_deref(), layer.mask.ratio)).collect();
    for (label, ratio) in [("q", 0), ("k", 26), ("attn", 64), ("fc1", 0)] {
        assert_eq!(masks.iter().filter(|mask| **mask == (Some(label), ratio)).count(), 3, "{label}");
    }
    assert_eq!(network.layers.last().unwrap().neuron, None);
    assert!(network.layers.iter().rev().skip(1).all(|layer| layer.neuron.is_some()));
    let labels: Vec<&str> = network.class_names.iter().map(String::as_str).collect();
    assert_eq!(labels, ["a", "b", "c"]);
}

/// The header of the file with `from` replaced, its length put right.
fn changed(from: &str, to: &str) -> String {
    let bytes = std::fs::read(sample()).unwrap();
    let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let header = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap();
    let from = from.replace('"', "\\\"");
    assert!(header.contains(&from), "{header}");
    let header = header.replacen(&from, &to.replace('"', "\\\""), 1);
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[8 + length..]].concat();
    Network::from_bytes(&file).unwrap_err().to_string()
}

#[test]
fn shapes_of_version_1_are_checked() {
    for (from, to, expected) in [
        (r#""version":1"#, r#""version":3"#, "version 3, expected 1 or 2"),
        (r#""kernel":2"#, r#""kernel":0"#, "layer 0 `patch_embed`: weight columns is 8, allowed: 0"),
        (r#""kernel":2"#, r#""kernel":99999999999"#, "weight columns is 8, allowed: 18446744073709551615"),
        (r#""outputs":6,"inputs":8"#, r#""outputs":8,"inputs":6"#, "weight rows is 8, allowed: 6"),
        (r#""outputs":6,"inputs":8"#, r#""outputs":6,"inputs":7"#, "number of weights is 48, allowed: 42"),
        (r#""inputs":[0]"#, r#""inputs":[0,0]"#, "number of gains is 6, allowed: 12"),
        (r#""gather":"token""#, r#""gather":"merge""#, "grid is 4x4 tokens"),
        (r#""op":"dense""#, r#""op":"conv""#, "unknown variant `conv`"),
    ] {
        let said = changed(from, to);
        assert!(said.contains(expected), "{to}: {said}");
    }
}
