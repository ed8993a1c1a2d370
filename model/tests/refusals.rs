//! Networks and runs that must be refused, and what the refusal says.

mod synthetic;

use isa::Neuron;
use model::network::{Operation, Origin, SlotOrder, Walk, Windows};
use model::{
    Checkpoint, ConvertOptions, Executor, Layer, LayerId, MaskRatio, ModelError, Network, RunOptions, convert,
};

fn network() -> Network {
    convert(&Checkpoint::from_bytes(&synthetic::checkpoint(5)).unwrap(), &ConvertOptions::new("synthetic"))
        .unwrap()
}

fn layer<'n>(network: &'n mut Network, name: &str) -> &'n mut Layer {
    network.layers.iter_mut().find(|layer| layer.name.ends_with(name)).unwrap()
}

fn dense(layer: &mut Layer) -> (&mut LayerId, &mut model::network::Weights) {
    match &mut layer.operation {
        Operation::Dense { input, weights, .. } | Operation::Readout { input, weights, .. } => {
            (input, weights)
        }
        other => panic!("{other:?}"),
    }
}

type Change = fn(&mut Network);

fn origin(path: &str, sha256: &str) -> Option<Origin> {
    Some(Origin { path: path.to_owned(), sha256: sha256.to_owned() })
}

#[test]
fn illegal_networks_are_named_with_layer_value_and_what_is_allowed() {
    let cases: [(&str, Change); 33] = [
        ("network: its name is ``, allowed: 1..=128 characters", |n| n.name.clear()),
        ("network: its name is `\\u{1b}[2J`, allowed: one line of printable", |n| {
            n.name = "\u{1b}[2J".into()
        }),
        ("layer 2: its name is `stages\\n`, allowed: one line", |n| n.layers[2].name = "stages\n".into()),
        ("layer 2: its name is `logits`, allowed: any but `logits`", |n| n.layers[2].name = "logits".into()),
        ("layer 0: its name is `__metadata__`, allowed: any but", |n| {
            n.layers[0].name = "__metadata__".into()
        }),
        ("layer 3: its name is `patch_embed`, allowed: each name once", |n| {
            n.layers[3].name = n.layers[0].name.clone()
        }),
        ("number of class names is 2, allowed: none, or one a class", |n| {
            n.class_names = vec!["a".into(), "b".into()];
        }),
        ("class 1: its name is `a`, allowed: each name once", |n| {
            n.class_names = vec!["a".into(); n.classes]
        }),
        ("class 0: its name is ` a`, allowed: no space at its ends", |n| n.class_names = vec![" a".into()]),
        ("SHA-256 of the checkpoint is 00, allowed: 64 hexadecimal", |n| {
            n.checkpoint = origin("c.safetensors", "00")
        }),
        ("path of the checkpoint is , allowed: a path", |n| n.checkpoint = origin("", "00")),
        ("image height is 0, allowed: 1..", |n| n.image.height = 0),
        ("number of layers is 0", |n| n.layers.clear()),
        ("number of classes is 4", |n| n.classes = 4),
        ("operation is not a readout, allowed: a readout as the last layer", |n| drop(n.layers.pop())),
        ("rows is 0", |n| n.layers[0].grid.rows = 0),
        ("`patch_embed`: columns is 5, allowed: 4", |n| n.layers[0].grid.columns = 5),
        ("norm1`: input is layer 40, allowed: an earlier layer, below 1", |n| {
            let Operation::Shortcut { inputs, .. } = &mut layer(n, "0.norm1").operation else { panic!() };
            inputs[0] = LayerId(40);
        }),
        ("attn.q`: input is layer 4, allowed: an earlier layer, below 4", |n| {
            *dense(layer(n, "attn.q")).0 = LayerId(4);
        }),
        ("attn.proj`: input is `stages.0.blocks.0.attn.scores`, allowed: no scores layer", |n| {
            *dense(layer(n, "attn.proj")).0 = LayerId(5);
        }),
        ("mlp.fc1`: weight columns is 7, allowed: 6", |n| dense(layer(n, "fc1")).1.inputs = 7),
        ("mlp.fc1`: number of weights is 71, allowed: 72", |n| dense(layer(n, "fc1")).1.data.truncate(71)),
        ("mlp.fc1`: number of thresholds is 11, allowed: 12", |n| layer(n, "fc1").theta.truncate(11)),
        ("mlp.fc1`: threshold of channel 3 is 0, allowed: 1 or more", |n| layer(n, "fc1").theta[3] = 0),
        ("reduction`: input `stages.0.merge.norm` is 4x4 tokens, allowed: 2x2", |n| {
            let Operation::Dense { gather, .. } = &mut layer(n, "reduction").operation else { panic!() };
            *gather = model::network::Gather::Token;
        }),
        ("attn.q`: window size is 3, allowed: a divisor of 4", |n| {
            layer(n, "attn.q").walk = Walk::Windows(Windows { size: 3, shift: 0 });
        }),
        ("attn.q`: window shift is 2, allowed: 0..=1", |n| {
            layer(n, "attn.q").walk = Walk::Windows(Windows { size: 2, shift: 2 });
        }),
        ("attn.scores`: walk is raster, allowed: windows", |n| layer(n, "attn.scores").walk = Walk::Raster),
        ("attn.scores`: heads is 4, allowed: a divisor of 6", |n| {
            let Operation::Scores { heads, .. } = &mut layer(n, "attn.scores").operation else { panic!() };
            *heads = 4;
        }),
        ("attn.scores`: fraction is 8, allowed: 0..=7", |n| {
            let Operation::Scores { fraction, .. } = &mut layer(n, "attn.scores").operation else { panic!() };
            *fraction = 8;
        }),
        ("attn.context`: scores is `stages.0.blocks.0.attn.v`, allowed: a scores layer", |n| {
            let Operation::Context { scores, .. } = &mut layer(n, "attn.context").operation else { panic!() };
            *scores = LayerId(3);
        }),
        ("attn.context`: heads is 3, allowed: 2", |n| {
            let Operation::Context { heads, .. } = &mut layer(n, "attn.context").operation else { panic!() };
            *heads = 3;
        }),
        ("`head`: mask ratio is 9, allowed: 0", |n| layer(n, "head").mask_ratio = 9),
    ];
    for (expected, change) in cases {
        let mut network = network();
        change(&mut network);
        let error = network.configure(&RunOptions::new(8)).unwrap_err().to_string();
        assert!(error.contains(expected), "expected `{expected}`, found `{error}`");
    }
}

#[test]
fn options_are_checked_and_applied() {
    let network = network();
    let refused = |options: RunOptions| network.configure(&options).unwrap_err().to_string();
    assert!(refused(RunOptions::new(0)).contains("option --time-steps is 0, allowed: 1 to 256"));
    assert!(refused(RunOptions::new(257)).contains("--time-steps is 257"));
    assert!(
        refused(RunOptions { membrane_bits: 33, ..RunOptions::new(8) }).contains("--membrane-bits is 33")
    );
    let options = RunOptions {
        neuron: Some(Neuron::If),
        mask: MaskRatio(128).into(),
        seed: Some(77),
        ..RunOptions::new(12)
    };
    let configured = network.configure(&options).unwrap();
    assert_eq!((configured.time_steps(), configured.seed), (12, 77));
    for layer in &configured.layers {
        let masked =
            ["attn.q", "attn.k", "attn.scores", "mlp.fc1"].iter().any(|part| layer.name.ends_with(part));
        assert_eq!(
            (layer.neuron, layer.mask_ratio),
            (Neuron::If, if masked { 128 } else { 0 }),
            "`{}`",
            layer.name
        );
    }
    let image = vec![0; network.image.bytes() + 1];
    let error = Executor::new(&configured).classify(&image).unwrap_err();
    assert!(matches!(error, ModelError::ImageSize { found: 129, expected: 128 }));
}

#[test]
fn explicit_orders_fit_one_number_of_time_steps() {
    let mut network = network();
    layer(&mut network, "attn.q").order = SlotOrder::Explicit(vec![2, 0, 1]);
    network.configure(&RunOptions::new(3)).unwrap();
    let error = network.configure(&RunOptions::new(4)).unwrap_err().to_string();
    assert!(
        error.contains("attn.q`: its explicit slot order of 3 entries is no permutation of 0..4"),
        "{error}"
    );
    layer(&mut network, "attn.q").order = SlotOrder::Explicit(vec![2, 0, 2]);
    assert!(network.configure(&RunOptions::new(3)).is_err());
    // `if` neurons fire where they are.
    network.configure(&RunOptions { neuron: Some(Neuron::If), ..RunOptions::new(3) }).unwrap();
}

/// A dense layer whose proof for 8 steps is exactly at the edge of 24 bits; one more unit is refused.
#[test]
fn the_overflow_proof_is_tight() {
    let mut network = network();
    let edge = (1 << 23) - 1;
    let fc1 = layer(&mut network, "fc1");
    let (theta, v0) = (fc1.theta[2], fc1.theta[2] % 8 + 7);
    let Operation::Dense { weights, bias, .. } = &mut fc1.operation else { panic!() };
    let positive: i32 = weights.data[12..18].iter().map(|&w| i32::from(w).max(0)).sum();
    bias[2] = (edge - v0) / 8 - positive;
    fc1.v0[2] = edge - 8 * (bias[2] + positive);
    network.configure(&RunOptions::new(8)).unwrap();
    layer(&mut network, "fc1").v0[2] += 1;
    let error = network.configure(&RunOptions::new(8)).unwrap_err();
    let ModelError::Overflow { layer: name, neuron, high, needed_bits, membrane_bits, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((name.as_str(), *neuron, *high), ("stages.0.blocks.0.mlp.fc1", 2, 1 << 23), "theta {theta}");
    assert_eq!((*needed_bits, *membrane_bits), (25, 24));
    assert!(error.to_string().contains("run fewer time steps (`--time-steps`)"), "{error}");
    network.configure(&RunOptions { membrane_bits: 25, ..RunOptions::new(8) }).unwrap();
    network.configure(&RunOptions::new(7)).unwrap();
}

#[test]
fn thresholds_logits_and_bias_rows_are_proven_too() {
    let refused = |change: Change, time_steps| {
        let mut network = network();
        change(&mut network);
        network.configure(&RunOptions::new(time_steps)).unwrap_err().to_string()
    };
    let error = refused(|n| layer(n, "fc1").theta[1] = 1 << 23, 8);
    assert!(error.contains("mlp.fc1`, neuron 1: the threshold can take 8388608"), "{error}");
    let bias: Change = |n| {
        let Operation::Readout { bias, .. } = &mut layer(n, "head").operation else { panic!() };
        bias[2] = -1_100_000;
    };
    assert!(refused(bias, 8).contains("`head`, neuron 2: the logit can take -88"), "{}", refused(bias, 8));
    let scores: Change = |n| {
        let scores = layer(n, "attn.scores");
        let Operation::Scores { bias, .. } = &mut scores.operation else { panic!() };
        bias[9 + 4] = -5000;
        scores.v0[1] = 0;
    };
    let error = refused(scores, 8);
    let expected = "attn.scores`, head 1, relative position 4: the accumulator starts from -40000, allowed: -32768..=32767";
    assert!(error.contains(expected), "{error}");
    let mut network = network();
    scores(&mut network);
    network.configure(&RunOptions::new(6)).unwrap();
    network.configure(&RunOptions { neuron: Some(Neuron::If), ..RunOptions::new(8) }).unwrap();
}
