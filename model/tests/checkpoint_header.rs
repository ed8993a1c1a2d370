//! What a checkpoint's header says about the network is heeded, or refused by its name.

mod forms;
mod synthetic;

use forms::{header, network, read, said};
use model::checkpoint::Warning;
use model::{Checkpoint, ConvertOptions, convert};
use serde_json::{Value, json};
use synthetic::Plan;

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
        ("classNames", Some("class_names")),
        ("timeSteps", Some("levels")),
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

#[test]
fn entries_that_are_missing_are_named_with_what_they_mean() {
    let plan = Plan::fixed();
    let whole: Value = header(&plan, said());
    let refusal = |header: &Value| {
        let file = forms::file(header, &forms::stored(&plan.tensors(3), safetensors::Dtype::F32));
        Checkpoint::from_bytes(&file).unwrap_err().to_string()
    };
    for entry in
        ["image", "patch", "dims", "depths", "heads", "window", "mlp_ratio", "levels", "classes", "bn_eps"]
    {
        let mut header = whole.clone();
        header.as_object_mut().unwrap().remove(entry);
        let error = refusal(&header);
        assert!(error.contains(&format!("mst: {entry} is missing, allowed: ")), "{error}");
        assert!(error.contains("such as") && error.contains("docs/checkpoint.md"), "{error}");
        assert!(!error.contains("did you mean"), "{error}");
    }
    for (entry, written) in
        [("bn_eps", "bnEps"), ("mlp_ratio", "mlpRatio"), ("classes", "numClasses"), ("image", "imageShape")]
    {
        let mut header = whole.clone();
        let value = header.as_object_mut().unwrap().remove(entry).unwrap();
        header[written] = value;
        let error = refusal(&header);
        let expected = format!("`{written}` is there: did you mean `{entry}`?");
        assert!(error.contains(&expected), "{error}");
    }
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
    let wrapped =
        json!({"module.patch_embed": "qcfs", "_orig_mod.stages": "qcfs", "module.head.norm": "qcfs"});
    assert_eq!(warnings(json!({"activation": wrapped})), []);
    assert_eq!(warnings(json!({"activation": {"module": "qcfs"}})), []);
    let held = json!({"model.patch_embed": "qcfs", "model.stages": "qcfs", "model.head": "qcfs"});
    assert_eq!(warnings(json!({"activation": held})), []);
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
        (json!({"batchNorm": false}), "batchNorm is false"),
        (json!({"hardReset": true}), "hardReset is true"),
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
        (json!({"mean": 0.5, "std": [0.5, 2.5e-7]}), "mst: std[1] is 2.5e-7, allowed: 0.000001 or more"),
        (
            json!({"mean": 0.5, "std": 2.5e-7}),
            "mst: std (of all channels) is 2.5e-7, allowed: 0.000001 or more",
        ),
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
