//! Converted networks against the float networks they come from.

mod agreement;
mod synthetic;

use agreement::Agreement;
use images::{Options, Source};
use model::network::{Mask, SlotOrder, Walk};
use model::{Checkpoint, Configured, ConvertOptions, Executor, Layer, RunOptions, convert};
use ndarray::ArrayView2;
use std::collections::HashMap;
use std::path::Path;
use synthetic::{Ending, Plan};

const LEVELS: u32 = 8;

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name)
}

fn converted(seed: u64) -> (Checkpoint, Configured) {
    let checkpoint = Checkpoint::from_bytes(&synthetic::checkpoint(seed)).unwrap();
    let network = convert(&checkpoint, &ConvertOptions::new("synthetic")).unwrap();
    (checkpoint, network.configure(&RunOptions::new(LEVELS)).unwrap())
}

/// Thresholds of all sites, by the name of the layer they belong to.
fn thresholds(seed: u64) -> HashMap<String, f64> {
    let rename = |name: &str| match name.strip_suffix("_threshold") {
        Some(site) => site.replace("attn.score", "attn.scores"),
        None => name.trim_end_matches(".threshold").to_owned(),
    };
    let sites = synthetic::tensors(seed).into_iter().filter(|(name, ..)| name.ends_with("threshold"));
    sites.map(|(name, _, values)| (rename(&name), f64::from(values[0]))).collect()
}

/// Layer by layer, from the same inputs: an integer neuron spikes as often as QCFS says, but where rounding to int8 moved a
/// value across a level. Covers negative gains, shortcuts of several planes and merging.
#[test]
fn spike_counts_are_qcfs_levels() {
    let mut all = Agreement::default();
    for seed in 0..12 {
        let (checkpoint, configured) = converted(seed);
        all.add(&Agreement::of(&checkpoint, &configured, &synthetic::image(seed)));
    }
    assert_eq!(all.layers, 12 * 34);
    assert!(all.different * 50 < all.cells, "{} of {} counts differ from QCFS", all.different, all.cells);
}

/// Any depths, widths, heads, windows, patches, MLP ratios, levels; with batch norm, bias, both or neither after linear layers.
#[test]
fn every_architecture_converts_and_agrees() {
    let mut all = Agreement::default();
    for seed in 0..150 {
        let plan = Plan::random(seed);
        let checkpoint =
            Checkpoint::from_bytes(&plan.bytes(seed)).unwrap_or_else(|e| panic!("{plan:?}: {e}"));
        let network = convert(&checkpoint, &ConvertOptions::new("random")).unwrap();
        let configured = network.configure(&RunOptions::new(plan.architecture.levels)).unwrap();
        let image = synthetic::image_of(seed, plan.architecture.image.bytes());
        all.add(&Agreement::of(&checkpoint, &configured, &image));
    }
    assert!(all.layers > 2000, "{} layers", all.layers);
    assert!(all.different * 40 < all.cells, "{} of {} counts differ from QCFS", all.different, all.cells);
}

/// What a bias of a linear layer does follows from its definition: it is added before batch norm, or to the sum.
#[test]
fn a_bias_without_batch_norm_is_an_identity_batch_norm() {
    let plan = Plan { endings: [Ending::Bias; 3], ..Plan::fixed() };
    let mut tensors = plan.tensors(4);
    let with_bias = Checkpoint::from_bytes(&synthetic::file(Some(&plan.header()), &tensors)).unwrap();
    let biased = tensors.iter().position(|(name, ..)| name == "stages.0.blocks.1.mlp.fc1.bias").unwrap();
    let (_, shape, values) = tensors.remove(biased);
    let bn = |part: &str| format!("stages.0.blocks.1.mlp.fc1.bn.{part}");
    tensors.push((bn("bias"), shape.clone(), values));
    tensors.push((bn("weight"), shape.clone(), vec![1.0; shape[0]]));
    tensors.push((bn("running_mean"), shape.clone(), vec![0.0; shape[0]]));
    tensors.push((bn("running_var"), shape.clone(), vec![1.0 - 1e-5; shape[0]]));
    let with_norm = Checkpoint::from_bytes(&synthetic::file(Some(&plan.header()), &tensors)).unwrap();
    let integer = |checkpoint| convert(checkpoint, &ConvertOptions::new("plain")).unwrap();
    assert_eq!(integer(&with_bias), integer(&with_norm));
}

/// A product of activations that share a mask is thinned once, so one of them counts whole.
#[test]
fn masks_that_q_and_k_share_are_converted() {
    let of = |layer: &str| format!("stages.0.blocks.1.attn.{layer}");
    let masks = format!(
        r#""masks": {{"{}": {{"ratio": 0.75, "shared": true}}, "{}": {{"ratio": 0.75, "shared": true, "draws_of": "{}"}}}}, "levels""#,
        of("q"),
        of("k"),
        of("q")
    );
    let header = synthetic::HEADER.replace("\"levels\"", &masks);
    let masked = Checkpoint::from_bytes(&synthetic::file(Some(&header), &synthetic::tensors(2))).unwrap();
    let network = convert(&masked, &ConvertOptions::new("synthetic")).unwrap();
    let at = |layer: &str| network.layers.iter().position(|other| other.name == of(layer)).unwrap();
    assert!(network.layers[at("q")].mask.shared && network.layers[at("k")].mask.shared);
    assert_eq!([at("q"), at("k")].map(|layer| network.draws(layer)), [at("q"); 2]);
    let (plain, _) = converted(2);
    let sum = |checkpoint: &Checkpoint, site: &str| {
        let mut sum = 0.0;
        let mut observe = |name: &str, values: ArrayView2<'_, f32>| {
            sum += if name == of(site) { f64::from(values.sum()) } else { 0.0 };
        };
        checkpoint.observe(&synthetic::image(1), &mut observe).unwrap();
        sum
    };
    assert!((sum(&masked, "q") - 0.25 * sum(&plain, "q")).abs() < 1e-3);
    assert!((sum(&masked, "k") - sum(&plain, "k")).abs() < 1e-3);
}

/// Masks of the checkpoint are masks of the network, and of its expected activations.
#[test]
fn masks_are_converted() {
    let masks = r#""masks": {"stages.0.blocks.1.attn.k": 0.75, "stages.1.blocks.0.mlp.fc1": 0.4999, "stages.0.blocks.0.attn.scores": 0},
        "levels""#;
    let header = synthetic::HEADER.replace("\"levels\"", masks);
    let masked = Checkpoint::from_bytes(&synthetic::file(Some(&header), &synthetic::tensors(2))).unwrap();
    let (plain, _) = converted(2);
    let network = convert(&masked, &ConvertOptions::new("synthetic")).unwrap();
    for (layer, unmasked) in
        network.layers.iter().zip(convert(&plain, &ConvertOptions::new("synthetic")).unwrap().layers)
    {
        let expected = match layer.name.as_str() {
            "stages.0.blocks.1.attn.k" => 192,
            "stages.1.blocks.0.mlp.fc1" => 128,
            _ => 0,
        };
        let mask = Mask { ratio: expected, ..unmasked.mask.clone() };
        assert_eq!(*layer, Layer { mask, ..unmasked });
    }
    let sums = |checkpoint: &Checkpoint, site: &str| {
        let mut sum = 0.0;
        let mut observe = |name: &str, values: ArrayView2<'_, f32>| {
            sum += if name == site { f64::from(values.sum()) } else { 0.0 };
        };
        checkpoint.observe(&synthetic::image(1), &mut observe).unwrap();
        sum
    };
    let site = "stages.0.blocks.1.attn.k";
    assert!((sums(&masked, site) - 0.25 * sums(&plain, site)).abs() < 1e-3);
}

/// With many time steps the products of spike trains approach the products of rates, so whole networks agree.
#[test]
fn scores_and_contexts_approach_the_float_network() {
    for seed in 0..4 {
        let checkpoint = Checkpoint::from_bytes(&synthetic::checkpoint(seed)).unwrap();
        let mut options = ConvertOptions::new("synthetic");
        options.time_steps = 64;
        let mut network = convert(&checkpoint, &options).unwrap();
        // Random slots: nothing but the number of coincidences on average is left.
        let mut random = synthetic::Random(seed);
        for layer in &mut network.layers {
            let mut order: Vec<u32> = (0..64).collect();
            (1..64).rev().for_each(|i| order.swap(i, random.bits() as usize % (i + 1)));
            layer.order = SlotOrder::Explicit(order);
            layer.rotate = random.bits() as u32 % 64;
        }
        let configured = network.configure(&RunOptions::new(64)).unwrap();
        let (executor, unit) = (Executor::new(&configured), thresholds(seed));
        let (mut error, mut cells) = (HashMap::<String, f64>::new(), HashMap::<String, f64>::new());
        for image in 0..6 {
            let image = synthetic::image(image);
            let trace = executor.trace(&image).unwrap();
            let mut observe = |name: &str, values: ArrayView2<'_, f32>| {
                let index = configured.layers.iter().position(|layer| layer.name == name).unwrap();
                let plane = &trace.planes[index];
                assert_eq!(values.dim(), (plane.tokens(), plane.channels()), "`{name}`");
                for ((n, c), &value) in values.indexed_iter() {
                    let rate = f64::from(plane.count(n, c)) / 64.0;
                    *error.entry(name.to_owned()).or_default() +=
                        (rate - f64::from(value) / unit[name]).abs();
                    *cells.entry(name.to_owned()).or_default() += 1.0;
                }
            };
            checkpoint.observe(&image, &mut observe).unwrap();
        }
        assert_eq!(error.len(), configured.layers.len() - 1);
        for (name, error) in error {
            let mean = error / cells[&name];
            assert!(mean < 0.12, "seed {seed}, `{name}`: rates differ by {mean} on average");
        }
    }
}

/// The default slots and labels of the layers, and their order.
#[test]
fn layers_come_in_the_order_that_hardware_prefetches() {
    let (_, network) = converted(1);
    let names: Vec<&str> = network.layers.iter().map(|layer| layer.name.as_str()).collect();
    let parts = [
        "norm1",
        "attn.k",
        "attn.v",
        "attn.q",
        "attn.scores",
        "attn.context",
        "attn.proj",
        "norm2",
        "mlp.fc1",
        "mlp.fc2",
    ];
    let expected: Vec<String> = parts.iter().map(|part| format!("stages.0.blocks.1.{part}")).collect();
    assert_eq!(names[11..21], expected);
    assert_eq!(names.last(), Some(&"head"));
    for layer in &network.layers {
        let spread = layer.name.ends_with("attn.q") || layer.name.ends_with("attn.scores");
        let (order, rotate) = if spread { (SlotOrder::Spread, 3) } else { (SlotOrder::Identity, 1) };
        assert_eq!((&layer.order, layer.rotate), (&order, rotate), "`{}`", layer.name);
        let shifted = matches!(layer.walk, Walk::Windows(windows) if windows.shift == 1);
        let inside = ["k", "v", "q", "scores", "context"]
            .iter()
            .any(|part| layer.name.ends_with(&format!("attn.{part}")));
        assert_eq!(shifted, inside && layer.name.contains("blocks.1"), "`{}`", layer.name);
    }
    for layer in &network.layers {
        let sites = [("attn.q", "q"), ("attn.k", "k"), ("attn.scores", "attn"), ("mlp.fc1", "fc1")];
        let label = sites.iter().find(|(site, _)| layer.name.ends_with(site)).map(|(_, label)| *label);
        assert_eq!(layer.mask.label.as_deref(), label, "`{}`", layer.name);
    }
}

/// The shipped checkpoint: what conversion and spikes cost in accuracy.
#[test]
fn shipped_network_keeps_its_accuracy() {
    let checkpoint = Checkpoint::load(&folder("fashion-mnist/checkpoint.safetensors")).unwrap();
    let network = convert(&checkpoint, &ConvertOptions::new("fashion-mnist")).unwrap();
    let source = Source::open(&folder("data/fashion-mnist"), &network, &Options::default()).unwrap();
    let data = source.read(0..200).unwrap();
    let images = data.images();
    let configured = network.configure(&RunOptions::new(8)).unwrap();
    let spiking = Executor::new(&configured).classify_batch(&images, |_| ()).unwrap();
    let float = checkpoint.logits_batch(&images).unwrap();
    let labels = || data.labels.iter().flatten().map(|&label| label as usize);
    let class = |logits: &Vec<f32>| (0..10).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
    let spiking_right =
        spiking.iter().zip(labels()).filter(|(result, label)| result.class() == *label).count();
    let float_right = float.iter().zip(labels()).filter(|(logits, label)| class(logits) == *label).count();
    assert!(float_right >= 160, "float: {float_right} of 200");
    assert!(spiking_right + 6 >= float_right, "spiking: {spiking_right} of 200, float: {float_right}");
}
