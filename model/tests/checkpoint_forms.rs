//! The same network written in other forms gives the same network, and what a header says about it is heeded.

mod agreement;
mod synthetic;

use agreement::Agreement;
use half::{bf16, f16};
use model::checkpoint::Warning;
use model::{Checkpoint, ConvertOptions, Network, RunOptions, convert};
use proptest::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use std::collections::HashMap;
use synthetic::{Plan, Tensors};

/// A tensor as it is stored: name, element type, shape, bytes.
type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

fn stored(tensors: &Tensors, dtype: Dtype) -> Vec<Stored> {
    let element = |value: f32| match dtype {
        Dtype::F64 => f64::from(value).to_le_bytes().to_vec(),
        Dtype::F16 => f16::from_f32(value).to_le_bytes().to_vec(),
        Dtype::BF16 => bf16::from_f32(value).to_le_bytes().to_vec(),
        _ => value.to_le_bytes().to_vec(),
    };
    let store = |(name, shape, values): &(String, Vec<usize>, Vec<f32>)| {
        (name.clone(), dtype, shape.clone(), values.iter().flat_map(|&value| element(value)).collect())
    };
    tensors.iter().map(store).collect()
}

fn file(header: &Value, tensors: &[Stored]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize(views, Some(HashMap::from([("mst".to_owned(), header.to_string())]))).unwrap()
}

fn header(plan: &Plan, entries: Value) -> Value {
    let mut header: Value = serde_json::from_str(&plan.header()).unwrap();
    for (entry, value) in entries.as_object().unwrap() {
        header[entry] = value.clone();
    }
    header
}

fn read(plan: &Plan, entries: Value, tensors: &Tensors) -> Result<Checkpoint, String> {
    Checkpoint::from_bytes(&file(&header(plan, entries), &stored(tensors, Dtype::F32)))
        .map_err(|error| error.to_string())
}

fn network(checkpoint: &Checkpoint) -> Network {
    convert(checkpoint, &ConvertOptions::new("form")).unwrap()
}

fn tensor<'t>(tensors: &'t mut Tensors, name: &str) -> &'t mut (String, Vec<usize>, Vec<f32>) {
    tensors.iter_mut().find(|(found, ..)| found == name).unwrap()
}

const SAID: &str = r#"{"activation": "qcfs", "attention": "qcfs", "norm": "batch_norm", "residual": "add"}"#;

fn said() -> Value {
    serde_json::from_str(SAID).unwrap()
}

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

fn warnings(entries: Value) -> Vec<Warning> {
    let plan = Plan::fixed();
    let mut all = said();
    all.as_object_mut().unwrap().extend(entries.as_object().unwrap().clone());
    read(&plan, all, &plan.tensors(3)).unwrap().warnings
}

#[test]
fn unknown_entries_name_the_nearest_known_one() {
    assert_eq!(
        warnings(json!({"training": {"seed": 1}, "thresholds": {}, "softmax": false, "beta": 1.0})),
        []
    );
    for (entry, nearest) in [
        ("maskes", Some("masks")),
        ("activaton", Some("activation")),
        ("Class-Names", Some("class_names")),
        ("meta", None),
        ("wibble_wobble", None),
    ] {
        let found = warnings(json!({entry: 1}));
        assert_eq!(found, [Warning::Unknown { entry: entry.to_owned(), nearest }]);
        assert!(found[0].to_string().contains(&format!("`{entry}` is unknown and was ignored")));
    }
    let plan = Plan::fixed();
    let assumed =
        read(&plan, json!({"activation": "qcfs", "norm": "batch_norm"}), &plan.tensors(3)).unwrap().warnings;
    let entries = assumed.iter().map(|warning| match warning {
        Warning::Assumed { entry, .. } => *entry,
        _ => panic!("{warning}"),
    });
    assert_eq!(entries.collect::<Vec<_>>(), ["attention", "residual"]);
}

/// The error of the fixed network with these entries in its header.
fn refusal(entries: &Value) -> String {
    let plan = Plan::fixed();
    let mut all = said();
    all.as_object_mut().unwrap().extend(entries.as_object().unwrap().clone());
    read(&plan, all, &plan.tensors(3)).err().unwrap_or_else(|| panic!("{entries} is accepted"))
}

#[test]
fn entries_of_a_wrong_type_are_named() {
    for (entries, expected) in [
        (json!({"patch": "2"}), "mst: patch is \"2\", allowed: a whole number, 1 to 64"),
        (json!({"mlp_ratio": 2.5}), "mst: mlp_ratio is 2.5, allowed: a whole number, 1 to 64"),
        (json!({"classes": "5"}), "mst: classes is \"5\", allowed: a whole number, 1 to 65536"),
        (json!({"depths": ["2", 1]}), "mst: depths is [\"2\",1], allowed: a list of whole numbers"),
        (json!({"heads": null}), "mst: heads is null, allowed: a list of whole numbers, one a stage"),
        (json!({"levels": -8}), "mst: levels is -8, allowed: a whole number, 1 to 256"),
        (json!({"dims": 8}), "mst: dims is 8, allowed: a list of whole numbers"),
        (json!({"image": [8, 8]}), "mst: image is [8,8], allowed: an object of `height`"),
        (json!({"bn_eps": null}), "mst: bn_eps is null, allowed: a number, 0 to 1"),
    ] {
        let error = refusal(&entries);
        assert!(error.contains(expected), "{entries}: {error}");
    }
    let plan = Plan::fixed();
    for word in ["NaN", "Infinity", "-Infinity"] {
        let header = plan.header().replacen('{', &format!("{{\"mean\": {word}, "), 1);
        let error = Checkpoint::from_bytes(&synthetic::file(Some(&header), &plan.tensors(3))).unwrap_err();
        let expected = format!("{} is no number in JSON", word.trim_start_matches('-'));
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

#[test]
fn maps_from_modules_to_kinds_name_modules() {
    for (entries, expected) in [
        (json!({"activation": {}}), "activation is {}, allowed: \"qcfs\", or a map from modules to it"),
        (
            json!({"activation": {"nowhere": "qcfs"}}),
            "activation.nowhere is \"qcfs\", allowed: names of modules",
        ),
        (json!({"activation": ["qcfs"]}), "activation is [\"qcfs\"], allowed: \"qcfs\", or a map"),
        (json!({"norm": null}), "norm is null, allowed: \"batch_norm\", or a map"),
        (json!({"activation": {"patch_embed": 1}}), "activation.patch_embed is 1, allowed: \"qcfs\""),
    ] {
        let error = refusal(&entries);
        assert!(error.contains(expected), "{entries}: {error}");
        assert!(!error.contains("train again"), "{error}");
    }
    for norm in ["BatchNorm2d", "BatchNorm1d", "bn", "nn.BatchNorm1d"] {
        assert_eq!(warnings(json!({"norm": norm})), []);
    }
    let all = json!({"patch_embed": "qcfs", "stages": "qcfs", "head.norm": "qcfs"});
    assert_eq!(warnings(json!({"activation": all})), []);
    let some = warnings(json!({"activation": {"patch_embed": "qcfs"}}));
    assert!(matches!(some[..], [Warning::Unnamed { entry: "activation", .. }]), "{some:?}");
}

#[test]
fn what_is_neutral_depends_on_the_entry() {
    for entries in [
        json!({"pre_norm": false}),
        json!({"norm_first": false}),
        json!({"shift": false}),
        json!({"reset_mechanism": "none"}),
        json!({"reset": "none"}),
        json!({"reset": null}),
        json!({"global_pool": false}),
        json!({"pooling": "none"}),
        json!({"relative_position_bias": false}),
    ] {
        let error = refusal(&entries);
        assert!(error.contains("changes what the network computes"), "{entries}: {error}");
    }
    for entries in [
        json!({"pre_norm": true, "norm_first": true, "shift": true, "detach_reset": true}),
        json!({"reset_mechanism": "subtract", "v_reset": null, "global_pool": "avg", "tau": false}),
        json!({"softmax": false, "act_layer": "QCFS", "norm_layer": "BatchNorm2d", "neuron": {"type": "IF"}}),
    ] {
        assert_eq!(warnings(entries), []);
    }
}

#[test]
fn entries_of_other_formats_are_refused_by_the_words_of_their_names() {
    for (entries, named) in [
        (json!({"neuron": "lif"}), "neuron is"),
        (json!({"neuron": {"tau": 2}}), "neuron.tau is 2"),
        (json!({"neuron": {"type": "lif"}}), "neuron.type is"),
        (json!({"config": {"beta": 0.9}}), "config.beta is 0.9"),
        (json!({"reset_mode": "zero"}), "reset_mode"),
        (json!({"leak_rate": 0.1}), "leak_rate"),
        (json!({"mem_decay": 0.9}), "mem_decay"),
        (json!({"v_th": 1.0}), "v_th"),
        (json!({"use_abs_pos": true}), "use_abs_pos"),
        (json!({"positional_encoding": "sin"}), "positional_encoding"),
        (json!({"layer_scale_init_value": 1e-6}), "layer_scale_init_value"),
        (json!({"act_layer": "gelu"}), "act_layer"),
        (json!({"norm_layer": "LayerNorm"}), "norm_layer"),
        (json!({"attention_type": "softmax"}), "attention_type"),
        (json!({"preprocessing": "imagenet"}), "preprocessing"),
        (json!({"transform": {"mean": [0.5]}}), "transform.mean"),
        (json!({"mean_std": [0.5, 0.5]}), "mean_std"),
        (json!({"leaky": true}), "leaky"),
        // Nearer to an entry that is refused than to one that is read.
        (json!({"betta": 0.9}), "betta is 0.9, which changes what the network computes"),
    ] {
        let error = refusal(&entries);
        assert!(error.contains(named) && error.contains("changes what the network computes"), "{error}");
        assert!(!error.contains("did you mean"), "{error}");
    }
    let image = json!({"height": 8, "width": 8, "channels": 2, "mean": 0.5});
    let error = refusal(&json!({"image": image}));
    assert!(error.contains("image.mean is 0.5") && error.contains("`mean` and `std`"), "{error}");
    // Notes on the training change nothing.
    let notes = json!({"weight_decay": 0.05, "grad_norm": 1.0, "drop_path": 0.1, "norm_momentum": 0.1});
    assert_eq!(warnings(notes).len(), 4);
    assert_eq!(warnings(json!({"training": {"tau": 2, "norm": "layer"}, "thresholds": {"tau": 1}})), []);
}

#[test]
fn sizes_under_other_names_are_compared_with_the_architecture() {
    assert_eq!(
        warnings(json!({
            "in_chans": 2, "img_size": [8, 8], "num_classes": 3, "embed_dim": 6, "patch_size": [2, 2],
            "window_size": 2, "config": {"num_heads": [2, 1]}, "stride": 2, "shift_size": 1,
        })),
        []
    );
    for (entry, value) in [
        ("in_chans", 3),
        ("img_size", 224),
        ("num_classes", 1000),
        ("embed_dim", 96),
        ("patch_size", 4),
        ("window_size", 7),
        ("num_heads", 3),
        ("stride", 1),
    ] {
        let error = refusal(&json!({entry: value}));
        assert!(error.contains(&format!("{entry} is {value}, allowed: what `")), "{error}");
        assert!(refusal(&json!({"config": {entry: value}})).contains(&format!("config.{entry} is")));
    }
    let image = json!({"height": 8, "width": 8, "channels": 2, "stride": 1});
    assert!(refusal(&json!({"image": image})).contains("image.stride is 1, allowed: what `patch` says (2)"));
}

#[test]
fn entries_that_change_the_meaning_are_refused() {
    let plan = Plan::fixed();
    let refused = |entries: Value| {
        read(&plan, entries.clone(), &plan.tensors(3)).err().unwrap_or_else(|| panic!("{entries}"))
    };
    for (entries, expected) in [
        (json!({"residual": "replace"}), "add to the residual stream itself"),
        (json!({"beta": 0.9}), "mst: beta is 0.9, which changes what the network computes"),
        (json!({"tau": 2.0}), "train without"),
        (json!({"leak": "exp"}), "train without"),
        (json!({"position_embedding": "sinusoid"}), "`attn.bias_table`"),
        (json!({"v_reset": 0.0}), "soft reset"),
        (json!({"reset": "zero"}), "soft reset"),
        (json!({"qk_norm": true}), "fold scales"),
        (json!({"image_mean": [0.5]}), "`mean` and `std`"),
        (json!({"mean": 0.5}), "mst: std is null, allowed: as many as channels (2), or 1 for none"),
        (
            json!({"mean": 123.675, "std": 58.4}),
            "mst: mean is 123.675, allowed: a number or 2, one a channel, each within 0 to 1",
        ),
        (json!({"mean": 0.5, "std": 0.0}), "mst: std is 0.0, allowed"),
        (json!({"mean": [0.5, 0.5, 0.5], "std": 0.5}), "mst: mean is [0.5,0.5,0.5]"),
        (json!({"mean": 0.5, "std": 0.25, "normalize": {"mean": 0.5, "std": 0.5}}), "say something else"),
        (json!({"normalize": {"mean": 0.5, "std": 0.5}}), "say it with `mean` and `std`"),
        (json!({"patch": [2, 4]}), "mst: patch is [2,4], allowed: a number, or two equal ones"),
        (json!({"class_names": ["a", "b"]}), "class_names is \"2 entries\", allowed: a list of 3 names"),
        (json!({"class_names": ["a", "b", 3]}), "class_names[2] is 3, allowed: a list of 3 names"),
        (
            json!({"example": {"pixels": [1, 2], "logits": [0, 0, 0]}}),
            "example.pixels is \"a list of 2 numbers\"",
        ),
        (json!({"example": {"pixels": vec![0; 128], "logits": [0, 0]}}), "a list of 3 logits an image"),
        (
            json!({"example": {"pixels": vec![0.5; 128], "logits": [0, 0, 0]}}),
            "0.5, allowed: whole numbers 0 to 255",
        ),
        (
            json!({"example": {"pixels": vec![0; 128], "logits": vec![0; 6]}}),
            "as many as images in example.pixels, 1",
        ),
    ] {
        let error = refused(entries.clone());
        assert!(error.contains(expected), "{entries}: {error}");
    }
    let twice = plan.header().replace("\"patch\"", "\"levels\": 4, \"patch\"");
    let error =
        Checkpoint::from_bytes(&synthetic::file(Some(&twice), &plan.tensors(3))).unwrap_err().to_string();
    assert!(error.contains("`levels` is there twice"), "{error}");
    let agreeing = json!({"mean": 0.5, "std": 0.25, "normalize": {"mean": [0.5, 0.5], "std": 0.25}});
    assert_eq!(read(&plan, agreeing, &plan.tensors(3)).unwrap().input.mean, [0.5, 0.5]);
}

#[test]
fn class_names_come_with_the_network() {
    let plan = Plan::fixed();
    let checkpoint =
        read(&plan, json!({"class_names": ["T-shirt/top", "Hose", "Mütze"]}), &plan.tensors(3)).unwrap();
    assert_eq!(network(&checkpoint).class_names, ["T-shirt/top", "Hose", "Mütze"]);
    for names in [["a", "b", "a"], ["a", "", "c"], ["a", "two\nlines", "c"]] {
        let checkpoint = read(&plan, json!({"class_names": names}), &plan.tensors(3)).unwrap();
        let error = convert(&checkpoint, &ConvertOptions::new("names")).unwrap_err().to_string();
        assert!(error.starts_with("class ") && error.contains("its name is"), "{error}");
    }
}

/// An example is heeded: nested or flat, one image or several; a wrong one names image and class.
#[test]
fn examples_are_compared_with_the_float_network() {
    let plan = Plan::fixed();
    let tensors = plan.tensors(3);
    let plain = read(&plan, json!({}), &tensors).unwrap();
    assert_eq!(plain.check_example().unwrap(), None);
    let images: Vec<Vec<u8>> = (0..3).map(synthetic::image).collect();
    let mut logits: Vec<Vec<f32>> = images.iter().map(|image| plain.logits(image).unwrap()).collect();
    let nested: Vec<Vec<&[u8]>> = images.iter().map(|image| image.chunks(8).collect()).collect();
    let checked = |logits: &Value| {
        let example = json!({"pixels": &nested, "logits": logits});
        read(&plan, json!({"example": example}), &tensors).unwrap().check_example()
    };
    let agreement = checked(&json!(&logits)).unwrap().unwrap();
    assert_eq!((agreement.images, agreement.difference), (3, 0.0));
    logits[2][1] += 0.05;
    let error = checked(&json!(logits.concat())).unwrap_err().to_string();
    assert!(error.contains("example, image 2, class 1") && error.contains("differs by 0.0"), "{error}");
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
