//! The same network written in other forms gives the same network.

mod agreement;
mod forms;
mod synthetic;

use agreement::Agreement;
use forms::{file, header, network, read, said, stored, tensor};
use model::{Checkpoint, ConvertOptions, RunOptions, convert};
use proptest::prelude::*;
use safetensors::Dtype;
use serde_json::json;
use std::collections::HashMap;
use synthetic::Plan;

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Wrappers, element types that hold every value, sides of 1, kernels, lists of two and whole floats change nothing.
    #[test]
    fn forms_that_mean_the_same_give_the_same_network(
        seed in 0..1000u64,
        prefix in prop::sample::select(vec!["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model."]),
        dtype in prop::sample::select(vec![Dtype::F32, Dtype::F64, Dtype::F16, Dtype::BF16]),
    ) {
        let plan = Plan::random(seed);
        let mut tensors = plan.tensors(seed);
        // Values that every type holds: 8 significant bits, and none of float16's small exponents.
        for value in tensors.iter_mut().flat_map(|(.., values)| values) {
            let coarse = f32::from_bits(value.to_bits() & 0xffff_0000);
            *value = if coarse.abs() < 1e-3 { 0.0 } else { coarse };
        }
        let plain = network(&read(&plan, json!({}), &tensors).unwrap());
        let architecture = &plan.architecture;
        let patch = architecture.patch;
        tensor(&mut tensors, "patch_embed.weight").1 =
            vec![architecture.dims[0], architecture.image.channels, patch, patch];
        for (name, shape, _) in &mut tensors {
            if name.ends_with("threshold") {
                *shape = vec![];
            } else if name.ends_with("running_mean") {
                *shape = vec![1, shape[0], 1, 1];
            } else if name.ends_with("mlp.fc1.weight") {
                shape.extend([1, 1]);
            }
        }
        let mut written = stored(&tensors, dtype);
        written.push(("patch_embed.num_batches_tracked".to_owned(), Dtype::I64, vec![], vec![0; 8]));
        written.iter_mut().for_each(|(name, ..)| *name = format!("{prefix}{name}"));
        let entries = json!({"patch": [patch, patch], "window": [architecture.window, architecture.window], "mlp_ratio": architecture.mlp_ratio as f64});
        let other = Checkpoint::from_bytes(&file(&header(&plan, entries), &written)).unwrap();
        prop_assert_eq!(network(&other), plain);
    }

    /// `mean` and `std` in the header are what normalising the pixels is: (W / std) x + (b - sum W mean / std).
    #[test]
    fn normalisation_is_folded_into_the_first_layer(seed in 0..1000u64, one in any::<bool>()) {
        let plan = Plan::random(seed);
        let tensors = plan.tensors(seed);
        let channels = plan.architecture.image.channels;
        let mut random = synthetic::Random(seed);
        let mut draw = |low, high| random.between(low, high);
        let count = if one { 1 } else { channels };
        let mean: Vec<f32> = (0..count).map(|_| draw(0.0, 0.6)).collect();
        let std: Vec<f32> = (0..count).map(|_| draw(0.2, 0.9)).collect();
        let normalised = read(&plan, json!({"mean": &mean, "std": &std}), &tensors).unwrap();
        // By definition, in plain loops over the pixels of a patch: W (x - mean) / std, then batch norm.
        let image = synthetic::image_of(seed, plan.architecture.image.bytes());
        let patch = plan.architecture.patch;
        let linear = &normalised.patch_embed;
        let converted = network(&normalised);
        let layer = &converted.layers[0];
        let model::network::Operation::Linear { terms, bias } = &layer.operation else { panic!("patches come first") };
        let weights = terms[0].weights.data();
        for (o, &bias) in bias.iter().enumerate() {
            let (mut float, mut integer) = (0f64, f64::from(bias));
            for (i, &byte) in image.iter().enumerate().take(linear.weight.ncols()) {
                let channel = i / (patch * patch);
                let byte = f64::from(byte);
                let of = |values: &[f32]| f64::from(values[channel % values.len()]);
                float += f64::from(linear.weight[(o, i)]) * (byte / 255.0 - of(&mean)) / of(&std);
                let (tap, taps) = (i % (patch * patch), patch * patch);
                integer += f64::from(weights[(o * taps + tap) * channels + channel]) * byte;
            }
            let float = float * linear.norm.gain[o] + linear.norm.offset[o];
            let unit = f64::from(linear.thresholds[o]) / f64::from(layer.theta[o]);
            // Half a unit of rounding a weight, times 255, and of bias and threshold.
            let rounding = 0.5 * (255.0 * linear.weight.ncols() as f64 + 1.0 + (float / unit).abs() / f64::from(layer.theta[o])) + 1.0;
            prop_assert!((integer - float / unit).abs() <= rounding, "output {o}: {} and {}", integer, float / unit);
        }
        let configured = converted.configure(&RunOptions::new(plan.architecture.levels)).unwrap();
        let agreement = Agreement::of(&normalised, &configured, &image);
        prop_assert!(agreement.different * 10 <= agreement.cells + 100, "{agreement:?}");
    }

    /// Thresholds that differ from channel to channel (of `q` and `k`: from head to head) scale what reads their spikes; each
    /// integer neuron counts what its float activation says.
    #[test]
    fn thresholds_may_differ_from_channel_to_channel(seed in 0..1000u64) {
        let plan = Plan::random(seed);
        let mut tensors = plan.tensors(seed);
        let shapes: HashMap<String, usize> = tensors.iter().map(|(name, shape, _)| (name.clone(), shape[0])).collect();
        let mut random = synthetic::Random(seed);
        for (name, shape, values) in &mut tensors {
            let Some(site) = name.strip_suffix("threshold") else { continue };
            let heads = shapes.get(&name.replace("score_threshold", "bias_table")).filter(|_| name.ends_with("score_threshold"));
            let heads = heads.map(|_| plan.architecture.heads[name.split('.').nth(1).unwrap().parse::<usize>().unwrap()]);
            let channels = match heads {
                Some(heads) => heads,
                None if name.ends_with("context_threshold") => shapes[&name.replace("context_threshold", "v.weight")],
                None => shapes[&format!("{site}weight")],
            };
            let width = if site.ends_with("attn.q.") || site.ends_with("attn.k.") {
                channels / plan.architecture.heads[name.split('.').nth(1).unwrap().parse::<usize>().unwrap()]
            } else {
                1
            };
            let base = values[0];
            let factors: Vec<f32> = (0..channels / width).map(|_| random.between(0.6, 1.6)).collect();
            *values = (0..channels).map(|c| base * factors[c / width]).collect();
            *shape = vec![channels];
        }
        let checkpoint = read(&plan, json!({}), &tensors).unwrap();
        let configured = network(&checkpoint).configure(&RunOptions::new(plan.architecture.levels)).unwrap();
        let image = synthetic::image_of(seed, plan.architecture.image.bytes());
        let agreement = Agreement::of(&checkpoint, &configured, &image);
        prop_assert!(agreement.different * 10 <= agreement.cells + 100, "{agreement:?}");
    }
}

/// The float network with a threshold a channel equals the one whose next layer has the ratio in its columns.
#[test]
fn a_spike_of_a_channel_stands_for_its_own_threshold() {
    let plan = Plan::fixed();
    let mut tensors = plan.tensors(3);
    let plain = read(&plan, json!({}), &tensors).unwrap();
    // Twice the threshold, gain and offset of fc1's channel 4, and half of what fc2 makes of it: powers of 2 are exact.
    let name = |part: &str| format!("stages.0.blocks.0.mlp.{part}");
    let threshold = tensor(&mut tensors, &name("fc1.threshold"));
    threshold.2 = vec![threshold.2[0]; 12];
    threshold.2[4] *= 2.0;
    threshold.1 = vec![12];
    tensor(&mut tensors, &name("fc1.bn.weight")).2[4] *= 2.0;
    tensor(&mut tensors, &name("fc1.bn.bias")).2[4] *= 2.0;
    (0..6).for_each(|o| tensor(&mut tensors, &name("fc2.weight")).2[o * 12 + 4] *= 0.5);
    let scaled = read(&plan, json!({}), &tensors).unwrap();
    for seed in 0..10 {
        let image = synthetic::image(seed);
        assert_eq!(plain.logits(&image).unwrap(), scaled.logits(&image).unwrap());
    }
    assert_eq!(network(&plain), network(&scaled));
}

#[test]
fn channels_of_a_head_whose_coincidences_differ_are_refused() {
    let plan = Plan::fixed();
    let mut tensors = plan.tensors(3);
    let threshold = tensor(&mut tensors, "stages.0.blocks.1.attn.k.threshold");
    (threshold.1, threshold.2) = (vec![6], vec![1.0, 1.0, 1.0, 1.0, 1.0, 1.25]);
    let checkpoint = read(&plan, json!({}), &tensors).unwrap();
    let error = convert(&checkpoint, &ConvertOptions::new("heads")).unwrap_err().to_string();
    assert!(error.contains("`stages.0.blocks.1.attn`") && error.contains("channel 5 of head 1"), "{error}");
    assert!(error.contains("one threshold for all channels of a head"), "{error}");
}

/// Thresholds of `q` and `k` that undo each other differ from that by their own rounding alone.
#[test]
fn products_that_differ_by_rounding_are_the_same() {
    let plan = Plan::fixed();
    let mut tensors = plan.tensors(3);
    let factors = [1.0, 1.1, 0.7, 1.0, 1.3, 0.9f32];
    for (site, scaled) in [("q", factors.map(|f| 0.3 * f)), ("k", factors.map(|f| 0.6 / f))] {
        let threshold = tensor(&mut tensors, &format!("stages.0.blocks.1.attn.{site}.threshold"));
        (threshold.1, threshold.2) = (vec![6], scaled.to_vec());
    }
    network(&read(&plan, json!({}), &tensors).unwrap());
}

#[test]
fn a_head_that_loses_its_weights_is_refused_by_the_tensor() {
    let plan = Plan::fixed();
    for (name, value) in [("head.bias", 3e38), ("head.weight", 1e38), ("head.bias", -1e12)] {
        let mut tensors = plan.tensors(3);
        tensor(&mut tensors, name).2[1] = value;
        let checkpoint = read(&plan, json!({}), &tensors).unwrap();
        let error = convert(&checkpoint, &ConvertOptions::new("head")).unwrap_err().to_string();
        assert!(error.contains(&format!("tensor `{name}`, element 1: ")), "{error}");
        assert!(error.contains("logits share one scale"), "{error}");
    }
}

/// One window over all of 14 x 14 tokens: a plain vision transformer with relative positions.
#[test]
fn a_single_window_of_14_x_14_tokens_converts() {
    let mut plan = Plan::fixed();
    let architecture = &mut plan.architecture;
    (architecture.image.height, architecture.image.width, architecture.window) = (28, 28, 14);
    (architecture.dims, architecture.depths, architecture.heads) = (vec![6], vec![2], vec![2]);
    let network = network(&read(&plan, said(), &plan.tensors(1)).unwrap());
    network.configure(&RunOptions::new(8)).unwrap();
    assert_eq!(network.layers.iter().map(|layer| layer.channels).max(), Some(196));
}

#[test]
fn a_merging_convolution_is_its_matrix() {
    let plan = Plan::fixed();
    let mut tensors = plan.tensors(2);
    let plain = network(&read(&plan, json!({}), &tensors).unwrap());
    let (_, shape, values) = tensor(&mut tensors, "stages.0.merge.reduction.weight");
    *shape = vec![8, 6, 2, 2];
    *values = (0..8 * 24).map(|k| values[k / 24 * 24 + k % 4 * 6 + k % 24 / 4]).collect();
    assert_eq!(network(&read(&plan, json!({}), &tensors).unwrap()), plain);
}

#[test]
fn float64_elements_between_float32_ones_are_refused() {
    let plan = Plan::fixed();
    let mut written = stored(&plan.tensors(3), Dtype::F64);
    let (_, _, _, bytes) = written.iter_mut().find(|(name, ..)| name == "head.bias").unwrap();
    bytes[8..16].copy_from_slice(&0.1f64.to_le_bytes());
    let error = Checkpoint::from_bytes(&file(&header(&plan, json!({})), &written)).unwrap_err().to_string();
    assert!(error.contains("`head.bias`, element 1: 1e-1") && error.contains("`tensor.float()`"), "{error}");
    let (_, dtype, _, bytes) = written.iter_mut().find(|(name, ..)| name == "head.bias").unwrap();
    (*dtype, *bytes) = (Dtype::I64, vec![0; 24]);
    let error = Checkpoint::from_bytes(&file(&header(&plan, json!({})), &written)).unwrap_err().to_string();
    assert!(error.contains("`head.bias` is I64 [3], expected floats"), "{error}");
}

#[test]
fn two_tensors_of_one_name_are_refused() {
    let plan = Plan::fixed();
    let mut tensors = plan.tensors(3);
    tensors.push(("module.head.bias".to_owned(), vec![3], vec![0.0; 3]));
    let error = read(&plan, json!({}), &tensors).unwrap_err();
    assert!(error.contains("`head.bias` and `module.head.bias` both mean `head.bias`"), "{error}");
}

/// A threshold that rounds to nothing beside what its neuron adds up is refused by its own tensor, wherever it is.
#[test]
fn thresholds_below_what_integers_resolve_are_refused_by_name() {
    let plan = Plan::fixed();
    let names: Vec<String> = plan
        .tensors(3)
        .into_iter()
        .map(|(name, ..)| name)
        .filter(|name| name.ends_with("threshold"))
        .collect();
    assert_eq!(names.len(), 34);
    for name in names {
        let mut tensors = plan.tensors(3);
        tensor(&mut tensors, &name).2[0] = 1e-12;
        let checkpoint = read(&plan, json!({}), &tensors).unwrap();
        let error = convert(&checkpoint, &ConvertOptions::new("small")).unwrap_err().to_string();
        assert!(
            error.contains(&format!("tensor `{name}`, channel 0: the threshold 1e-12")),
            "{name}: {error}"
        );
    }
}

/// Small, but not too small to be rounded: scores start from more than bias rows hold, so the network could not run.
#[test]
fn a_network_that_cannot_run_is_refused_when_it_is_converted() {
    let plan = Plan::fixed();
    let mut tensors = plan.tensors(3);
    for name in ["attn.q", "attn.k"] {
        let name = format!("stages.0.blocks.0.{name}");
        // Threshold and drive alike, so that the site itself is as before.
        tensor(&mut tensors, &format!("{name}.threshold")).2[0] *= 1e-3;
        tensor(&mut tensors, &format!("{name}.bn.weight")).2.iter_mut().for_each(|w| *w *= 1e-3);
        tensor(&mut tensors, &format!("{name}.bn.bias")).2.iter_mut().for_each(|b| *b *= 1e-3);
    }
    let checkpoint = read(&plan, json!({}), &tensors).unwrap();
    let error = convert(&checkpoint, &ConvertOptions::new("small")).unwrap_err().to_string();
    assert!(error.contains("16 time steps") && error.contains("`--room-for`"), "{error}");
    assert!(error.contains("`stages.0.blocks.0.attn.scores`"), "{error}");
}
