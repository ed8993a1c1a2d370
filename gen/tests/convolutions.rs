//! A network of convolutions, with a pool, a residual and more inputs than a pass takes, through every command that takes a network.

mod support;

use driver::{Accelerator, Link};
use isa::registers::{self, control, status};
use model::network::{
    Axis, Grid, ImageShape, Mask, Neuron, Operation, SlotOrder, Source, Taps, Term, Weights,
};
use model::{Layer, LayerId, Network};
use serde_json::Value;
use sim::SoftCore;
use std::path::PathBuf;
use std::time::Duration;
use support::{json, refuses, succeeds, text};
use tempfile::TempDir;

/// Rows and columns of the images.
const SIDE: usize = 12;

/// The same numbers in every run, of -8..8.
struct Numbers(u32);

impl Numbers {
    fn weights(&mut self, count: usize) -> Vec<i8> {
        let next = |_| {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 24) as i8 >> 4
        };
        (0..count).map(next).collect()
    }

    fn dense(&mut self, source: Source, inputs: usize, outputs: usize, taps: Taps) -> Term {
        let weights = Weights::Dense(self.weights(outputs * inputs * taps.count()));
        Term { source, taps, weights, shift: 0 }
    }
}

fn plane(index: usize) -> Source {
    Source::Plane(LayerId(index))
}

fn network() -> Network {
    let mut numbers = Numbers(1);
    let (near, strided) = (Taps::square(3, 1, 1), Taps::square(3, 2, 1));
    let halved = Axis { kernel: 2, stride: 2, padding: 0 };
    let conv = |name: &str, terms, side: usize, channels: usize, theta| Layer {
        order: SlotOrder::Identity,
        rotate: 0,
        mask: Mask::labelled("conv"),
        ..Layer::new(
            name,
            Operation::Linear { terms, bias: vec![5; channels] },
            Grid { rows: side, columns: side },
            vec![theta; channels],
        )
    };
    let pool = Term {
        source: plane(1),
        taps: Taps { rows: halved, columns: halved },
        weights: Weights::Diagonal(vec![1; 4 * 16]),
        shift: 0,
    };
    let pool = Layer {
        neuron: Some(Neuron::OR),
        v0: vec![0; 16],
        mask: Mask::default(),
        ..conv("pool", vec![pool], SIDE / 2, 16, 1)
    };
    let pool = Layer { operation: bias(pool.operation, 0), ..pool };
    let residual = vec![
        numbers.dense(plane(3), 16, 16, Taps::TOKEN),
        Term { shift: 3, ..Term::diagonal(LayerId(3), vec![4; 16]) },
    ];
    let layers = vec![
        conv("conv1", vec![numbers.dense(Source::Image, 1, 64, near)], SIDE, 64, 1200),
        conv("conv2", vec![numbers.dense(plane(0), 64, 16, near)], SIDE, 16, 60),
        pool,
        conv("conv3", vec![numbers.dense(plane(2), 16, 16, strided)], SIDE / 4, 16, 30),
        conv("residual", residual, SIDE / 4, 16, 40),
        Layer::readout(
            "head",
            vec![numbers.dense(plane(4), 16, 4, Taps::TOKEN)],
            vec![0; 4],
            Grid { rows: SIDE / 4, columns: SIDE / 4 },
        ),
    ];
    let image = ImageShape { height: SIDE, width: SIDE, channels: 1 };
    Network::new("convolutions", image, 4, layers, 1)
}

fn bias(operation: Operation, value: i32) -> Operation {
    match operation {
        Operation::Linear { terms, bias } => Operation::Linear { terms, bias: vec![value; bias.len()] },
        other => other,
    }
}

/// A folder with the network and three images.
fn saved() -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (net, data) = (folder.path().join("net.mst"), folder.path().join("images.npy"));
    network().save(&net).unwrap();
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': (3, {SIDE}, {SIDE}), }}");
    let mut bytes = [&b"\x93NUMPY\x01\x00"[..], &118u16.to_le_bytes()].concat();
    bytes.extend(format!("{header:117}\n").into_bytes());
    bytes.extend((0..3 * SIDE * SIDE).map(|i| (i * i % 251) as u8));
    std::fs::write(&data, bytes).unwrap();
    (folder, net, data)
}

#[test]
fn info_tells_terms_passes_and_strips() {
    let (_folder, net, _) = saved();
    let said = json(&["info", text(&net)]);
    let field = |name: &str| -> Vec<Value> {
        said["layers"].as_array().unwrap().iter().map(|layer| layer[name].clone()).collect()
    };
    assert_eq!(field("op"), ["image", "linear", "linear", "linear", "linear", "readout"]);
    let terms = ["3x3 image", "3x3 conv", "2x2/2 pool", "3x3/2 conv", "dense + identity", "dense"];
    assert_eq!(field("terms"), terms);
    assert_eq!(field("fan_in"), [9, 576, 4, 144, 17, 16]);
    assert_eq!(field("label")[..2], ["conv", "conv"]);
    assert_eq!((&said["neuron"], &said["mask"]), (&"two_phase".into(), &"0".into()));
    let tiny = &said["cores"][0];
    // 8 of 9 taps of 64 channels in 512 bytes; 5 of 12 rows of tokens in 64 sums. A residual has a dense and a diagonal pass.
    assert_eq!(tiny["passes"], serde_json::json!([1, 2, 1, 1, 2, 1]));
    assert_eq!(tiny["strips"], serde_json::json!([1, 3, 1, 1, 1, 1]));
    let shown = succeeds(&["info", text(&net)]);
    for words in ["dense + identity", "readout: dense", "core tiny: runs it in", "8 descriptors", "2 x 3"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

#[test]
fn masks_go_by_label() {
    let (_folder, net, data) = saved();
    let run = |more: &[&str]| {
        let said = json(&[&["run", text(&net), "--data", text(&data)], more].concat());
        let layers = said["layers"].as_array().unwrap().clone();
        let sent = |layer: &Value| (layer["fired"].as_u64().unwrap(), layer["spikes"].as_u64().unwrap());
        (said["mask"].as_str().unwrap().to_owned(), layers.iter().map(sent).collect::<Vec<_>>())
    };
    let (mask, layers) = run(&[]);
    assert_eq!(mask, "0");
    assert!(layers[..5].iter().all(|&(fired, sent)| fired == sent && fired > 0), "{layers:?}");
    let (mask, layers) = run(&["--mask", "conv=0.5,pool:0.25,conv3:0"]);
    assert_eq!(mask, "conv 0..0.5, pool 0.25");
    let masked = layers.iter().map(|&(fired, sent)| sent < fired);
    assert_eq!(masked.collect::<Vec<_>>(), [true, true, true, false, true, false]);
    refuses(&["run", text(&net), "--mask", "q=0.5"], &["`q=0.5`", "label `q`", "allowed: conv"]);
}

#[test]
fn points_and_a_report_are_made_of_it() {
    let (folder, net, data) = saved();
    let (points, page) = (folder.path().join("points.csv"), folder.path().join("page.html"));
    let data = ["--data", text(&data)];
    let sweep = ["sweep", text(&net), "--time-steps", "4,8", "--mask", "conv=0.25", "--out", text(&points)];
    let rows = json(&[&sweep[..], &data].concat());
    let of =
        |name: &str| -> Vec<Value> { rows.as_array().unwrap().iter().map(|row| row[name].clone()).collect() };
    assert_eq!(of("time_steps"), [4, 8]);
    assert_ne!(of("spikes")[0], of("spikes")[1]);
    let report = ["report", text(&net), "--out", text(&page), "--preset", "tiny"];
    json(&[&report[..], &data].concat());
    let html = std::fs::read_to_string(&page).unwrap();
    for words in ["spikes of conv2, brighter is more", ">conv<", "all labels at 0", "all layers."] {
        assert!(html.contains(words), "{words}");
    }
    assert!(!html.contains("attention matrices") && !html.contains("q, k and attention"));
}

/// The memory that `gen vectors` promises, and the spikes of `gen spikes`, are what the core in software leaves.
#[test]
fn vectors_and_spikes_are_what_a_core_computes() {
    let (folder, net, data) = saved();
    let (out, spikes) = (folder.path().join("vectors"), folder.path().join("spikes.safetensors"));
    let vectors = ["vectors", text(&net), "--data", text(&data), "--preset", "tiny", "--out", text(&out)];
    let run = json(&[&vectors[..], &["--layers", "4", "--sum-rows", "16"]].concat());
    // A row of 12 tokens in 16 sums.
    assert_eq!(run["descriptor_count"], 1 + 12 + 1 + 1);
    assert_eq!(run["core"]["sum_rows"], 16);
    let core: isa::CoreConfig = serde_json::from_value(run["core"].clone()).unwrap();
    let read = |name: &str| std::fs::read(out.join(name)).unwrap();
    let before = read("before.bin");
    let mut accelerator = Accelerator::open(SoftCore::new(&core, before.len()).unwrap()).unwrap();
    let link = accelerator.link();
    link.write_memory(0, &before).unwrap();
    link.write_register(registers::DESCRIPTOR_BASE, 0).unwrap();
    link.write_register(registers::DESCRIPTOR_COUNT, 15).unwrap();
    link.write_register(registers::CONTROL, control::START).unwrap();
    assert!(link.wait_interrupt(Duration::from_secs(1)).unwrap());
    assert_eq!(link.read_register(registers::STATUS).unwrap() & status::DONE, status::DONE);
    let mut after = vec![0; before.len()];
    link.read_memory(0, &mut after).unwrap();
    assert!(after == read("after.bin"));

    succeeds(&["spikes", text(&net), "--data", text(&data), "--out", text(&spikes)]);
    let bytes = std::fs::read(&spikes).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("conv2").unwrap().shape(), [3, SIDE * SIDE, 16, 1]);
    assert_eq!(file.tensor("pool").unwrap().shape(), [3, SIDE * SIDE / 4, 16, 1]);
}

#[test]
fn slow_cosim_runs_all_layers_or_some() {
    let (_folder, net, data) = saved();
    let cosim = ["cosim", text(&net), "--data", text(&data), "--preset", "tiny", "--images", "2"];
    let whole = json(&[&cosim[..], &["--per-layer"]].concat());
    assert_eq!(whole["mismatches"], 0, "{whole}");
    let layers = whole["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 6, "a line a layer, whatever its strips");
    let part = json(&[&cosim[..], &["--per-layer", "--layers", "conv2..=conv3", "--stalls", "3"]].concat());
    assert_eq!(part["mismatches"], 0, "{part}");
    assert_eq!(part["layers_run"], serde_json::json!(["conv2", "pool", "conv3"]));
    assert!(part["results"][0]["class"].is_null() && part["correct"].is_null());
    for (part, whole) in part["layers"].as_array().unwrap().iter().zip(&layers[1..]) {
        for field in ["layer", "op", "events", "needed_cycles", "spikes"] {
            assert_eq!(part[field], whole[field], "{field}");
        }
    }
    let last = json(&[&cosim[..], &["--layers", "4..", "--mask", "0.5"]].concat());
    assert_eq!(last["mismatches"], 0, "{last}");
    assert!(last["results"][0]["class"].is_u64());
    let shown = succeeds(&[&cosim[..], &["--layers", "pool"]].concat());
    assert!(shown.contains("layer `pool` alone, on the reference's planes"), "{shown}");
}
