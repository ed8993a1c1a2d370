//! Converted networks against the float networks they come from.

mod synthetic;

use model::network::{Gather, Operation, SlotOrder, Walk};
use model::{
    Checkpoint, Configured, ConvertOptions, Dataset, Executor, Layer, RunOptions, SpikePlane, convert,
};
use ndarray::{Array2, ArrayView2};
use std::collections::HashMap;
use std::path::Path;

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

/// The float drive of a layer, computed from the spike counts that its integer twin received: tokens x channels.
fn drive(
    checkpoint: &Checkpoint,
    layer: &Layer,
    inputs: &[(ArrayView2<'_, f64>, f64)],
) -> Option<Array2<f64>> {
    let part = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let site = |name: &str| {
        let numbers: Vec<usize> = name.split('.').filter_map(|part| part.parse().ok()).collect();
        let stage = checkpoint.stages.get(*numbers.first()?)?;
        numbers.get(1).and_then(|&block| stage.blocks.get(block))
    };
    let block = site(&layer.name);
    let merge = || checkpoint.stages[0].merge.as_ref().unwrap();
    let (linear, norm) = match (part(&layer.name).as_str(), block) {
        ("patch_embed", _) => (Some(&checkpoint.patch_embed), None),
        ("norm1", Some(block)) => (None, Some(&block.norm1)),
        ("norm2", Some(block)) => (None, Some(&block.norm2)),
        ("q", Some(block)) => (Some(&block.attention.q), None),
        ("k", Some(block)) => (Some(&block.attention.k), None),
        ("v", Some(block)) => (Some(&block.attention.v), None),
        ("proj", Some(block)) => (Some(&block.attention.proj), None),
        ("fc1", Some(block)) => (Some(&block.fc1), None),
        ("fc2", Some(block)) => (Some(&block.fc2), None),
        ("reduction", None) => (Some(&merge().reduction), None),
        ("norm", None) if layer.name.starts_with("head") => (None, Some(&checkpoint.head.norm)),
        ("norm", None) => (None, Some(&merge().norm)),
        _ => return None,
    };
    let sum = inputs.iter().map(|(x, unit)| x.mapv(|x| x * unit)).reduce(|a, b| a + b)?;
    let (mut y, norm) = match (linear, norm) {
        (Some(linear), _) => (sum.dot(&linear.weight.mapv(f64::from).t()), &linear.norm),
        (None, Some(norm)) => (sum, &norm.norm),
        (None, None) => return None,
    };
    y.rows_mut().into_iter().for_each(|mut row| {
        row.iter_mut().enumerate().for_each(|(c, y)| *y = *y * norm.gain[c] + norm.offset[c]);
    });
    Some(y)
}

fn rates(plane: &SpikePlane) -> Array2<f64> {
    let rate = |(n, c)| f64::from(plane.count(n, c)) / f64::from(LEVELS);
    Array2::from_shape_fn((plane.tokens(), plane.channels()), rate)
}

/// Layer by layer, from the same inputs: an integer neuron spikes as often as QCFS says, but where rounding to int8 moved a
/// value across a level. Covers negative gains, folded biases, shortcuts of several planes and merging.
#[test]
fn spike_counts_are_qcfs_levels() {
    let (mut cells, mut wrong, mut layers) = (0, 0, 0);
    for seed in 0..12 {
        let (checkpoint, configured) = converted(seed);
        let unit = thresholds(seed);
        let image = synthetic::image(seed);
        let trace = Executor::new(&configured).trace(&image).unwrap();
        for (layer, plane) in configured.layers.iter().zip(&trace.planes) {
            let input = |id: model::LayerId| (rates(&trace.planes[id.0]), unit[&configured.layer(id).name]);
            let inputs = match &layer.operation {
                Operation::Analog { patch, .. } => {
                    let pixel = |(n, i): (usize, usize)| {
                        let (y, x) = (n / 4 * patch.stride + i % 4 / 2, n % 4 * patch.stride + i % 2);
                        f64::from(image[i / 4 * 64 + y * 8 + x])
                    };
                    vec![(Array2::from_shape_fn((16, 8), pixel), 1.0 / 255.0)]
                }
                Operation::Dense { input: id, gather: Gather::Token, .. } => vec![input(*id)],
                Operation::Dense { input: id, .. } => {
                    let (x, unit) = input(*id);
                    let merged = |(n, i): (usize, usize)| {
                        let (row, column) = (n / 2 * 2 + i / 6 / 2, n % 2 * 2 + i / 6 % 2);
                        x[(row * 4 + column, i % 6)]
                    };
                    vec![(Array2::from_shape_fn((4, 24), merged), unit)]
                }
                Operation::Shortcut { inputs, .. } => inputs.iter().map(|&id| input(id)).collect(),
                _ => continue,
            };
            let views: Vec<_> = inputs.iter().map(|(x, unit)| (x.view(), *unit)).collect();
            let expected = drive(&checkpoint, layer, &views).unwrap();
            layers += 1;
            for ((n, c), &x) in expected.indexed_iter() {
                let levels = f64::from(LEVELS);
                let exact = x * levels / unit[&layer.name];
                let difference = f64::from(plane.count(n, c)) - (exact + 0.5).floor().clamp(0.0, levels);
                let to_level = (exact + 0.5 - (exact + 0.5).round()).abs();
                assert!(
                    difference.abs() <= 1.0,
                    "`{}`, token {n}, channel {c}: off by {difference}",
                    layer.name
                );
                assert!(difference == 0.0 || to_level < 0.1, "`{}`: {exact} is no close call", layer.name);
                cells += 1;
                wrong += usize::from(difference != 0.0);
            }
        }
    }
    assert_eq!(layers, 12 * 28);
    assert!(wrong * 50 < cells, "{wrong} of {cells} counts differ from QCFS");
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

/// The default slots and mask sites of the layers, and their order.
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
    assert_eq!(network.layers.iter().filter(|layer| layer.mask_site.is_some()).count(), 3 * 4);
}

/// The shipped checkpoint: what conversion and spikes cost in accuracy.
#[test]
fn shipped_network_keeps_its_accuracy() {
    let checkpoint = Checkpoint::load(&folder("fashion-mnist/checkpoint.safetensors")).unwrap();
    let data = Dataset::load(&folder("data/fashion-mnist")).unwrap();
    let images = data.images(200);
    let network = convert(&checkpoint, &ConvertOptions::new("fashion-mnist")).unwrap();
    let configured = network.configure(&RunOptions::new(8)).unwrap();
    let spiking = Executor::new(&configured).classify_batch(&images, |_| ()).unwrap();
    let float = checkpoint.logits_batch(&images).unwrap();
    let labels = || data.labels().iter().map(|&label| usize::from(label));
    let class = |logits: &Vec<f32>| (0..10).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
    let spiking_right =
        spiking.iter().zip(labels()).filter(|(result, label)| result.class() == *label).count();
    let float_right = float.iter().zip(labels()).filter(|(logits, label)| class(logits) == *label).count();
    assert!(float_right >= 160, "float: {float_right} of 200");
    assert!(spiking_right + 6 >= float_right, "spiking: {spiking_right} of 200, float: {float_right}");
}
