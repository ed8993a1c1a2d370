//! Networks and runs that must be refused, and what the refusal says.

mod synthetic;

use model::network::{
    Leak, Mask, Neuron, Operation, Origin, Reset, Schedule, SlotOrder, Source, Taps, Term, Walk, Weights,
    Windows,
};
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

fn terms(layer: &mut Layer) -> &mut Vec<Term> {
    match &mut layer.operation {
        Operation::Linear { terms, .. } => terms,
        other => panic!("{other:?}"),
    }
}

fn term<'n>(network: &'n mut Network, name: &str) -> &'n mut Term {
    &mut terms(layer(network, name))[0]
}

fn weights(term: &mut Term) -> &mut Vec<i8> {
    let (Weights::Dense(data) | Weights::Diagonal(data)) = &mut term.weights;
    data
}

type Change = fn(&mut Network);

fn origin(path: &str, sha256: &str) -> Option<Origin> {
    Some(Origin { path: path.to_owned(), sha256: sha256.to_owned() })
}

/// Other taps of the patch embedding.
fn set_taps(network: &mut Network, kernel: usize, stride: usize, padding: usize) {
    term(network, "patch_embed").taps = Taps::square(kernel, stride, padding);
}

#[test]
fn illegal_networks_are_named_with_layer_value_and_what_is_allowed() {
    let cases: [(&str, Change); 57] = [
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
        ("attn.k`: draws of the mask is of `q`, allowed: of a layer with neurons", |n| {
            layer(n, "attn.k").mask.draws_of = Some("q".into())
        }),
        (
            "attn.k`: draws of the mask is of `stages.0.blocks.0.attn.k`, allowed: of a layer with neurons",
            |n| layer(n, "attn.k").mask.draws_of = Some("stages.0.blocks.0.attn.k".into()),
        ),
        ("number of border bytes is 3, allowed: none, or one a channel", |n| n.border = vec![1, 2, 3]),
        ("image height is 0, allowed: 1..", |n| n.image.height = 0),
        ("number of layers is 0", |n| n.layers.clear()),
        ("number of classes is 4", |n| n.classes = 4),
        ("operation is not a readout, allowed: a readout as the last layer", |n| drop(n.layers.pop())),
        ("attn.q`: neuron is none, allowed: neurons in every layer but the last", |n| {
            layer(n, "attn.q").neuron = None;
        }),
        ("`head`: operation is not a readout", |n| layer(n, "head").neuron = Some(Neuron::IF)),
        ("rows is 0", |n| n.layers[0].grid.rows = 0),
        (
            "`patch_embed`: grid is 4x5 tokens, allowed: 4x4 tokens, as the taps of term 0 give over the 8x8 tokens",
            |n| {
                n.layers[0].grid.columns = 5;
            },
        ),
        ("norm1`: source of term 0 is layer 40, allowed: an earlier layer, below 1", |n| {
            term(n, "0.norm1").source = Source::Plane(LayerId(40));
        }),
        ("attn.q`: source of term 0 is layer 4, allowed: an earlier layer, below 4", |n| {
            term(n, "attn.q").source = Source::Plane(LayerId(4));
        }),
        ("attn.proj`: source of term 0 is `stages.0.blocks.0.attn.scores`, allowed: no scores layer", |n| {
            term(n, "attn.proj").source = Source::Plane(LayerId(5));
        }),
        ("mlp.fc1`: number of terms is 0, allowed: 1..=4095", |n| terms(layer(n, "fc1")).clear()),
        ("blocks.1.norm1`: source of term 1 is the image, allowed: a plane, as in the terms before", |n| {
            terms(layer(n, "blocks.1.norm1"))[1].source = Source::Image;
        }),
        ("`head`: source of term 0 is the image, allowed: earlier layers", |n| {
            term(n, "head").source = Source::Image
        }),
        ("`patch_embed`: kernel of term 0 is 0, allowed: 1..=256", |n| set_taps(n, 0, 2, 0)),
        ("`patch_embed`: kernel of term 0 is 257, allowed: 1..=256", |n| set_taps(n, 257, 2, 0)),
        ("`patch_embed`: kernel of term 0 is 9, allowed: at most the 8 positions of the source", |n| {
            set_taps(n, 9, 2, 0)
        }),
        ("`patch_embed`: stride of term 0 is 0, allowed: 1..=256", |n| set_taps(n, 2, 0, 0)),
        ("`patch_embed`: stride of term 0 is 257, allowed: 1..=256", |n| set_taps(n, 2, 257, 0)),
        ("`patch_embed`: padding of term 0 is 256, allowed: 0..=255", |n| set_taps(n, 2, 2, 256)),
        ("blocks.1.attn.q`: walk is shifted windows with the taps of term 0, allowed: raster", |n| {
            let q = term(n, "blocks.1.attn.q");
            q.taps = Taps::square(3, 1, 1);
            *weights(q) = vec![1; 6 * 9 * 6];
        }),
        ("mlp.fc1`: shift of term 0 is 8, allowed: 0..=7", |n| term(n, "fc1").shift = 8),
        ("mlp.fc1`: number of weights of term 0 is 71, allowed: 72", |n| {
            weights(term(n, "fc1")).truncate(71)
        }),
        ("mlp.fc1`: number of biases is 3, allowed: 12", |n| {
            let Operation::Linear { bias, .. } = &mut layer(n, "fc1").operation else { panic!() };
            bias.truncate(3);
        }),
        (
            "mlp.fc1`: channels of term 0 is 6 of `stages.0.blocks.0.norm2`, allowed: 12, as the outputs",
            |n| {
                term(n, "fc1").weights = Weights::Diagonal(vec![1; 12]);
            },
        ),
        ("norm2`: number of gains of term 0 is 5, allowed: 6", |n| weights(term(n, "0.norm2")).truncate(5)),
        ("patch_embed`: fan-in (taps times channels, over all terms) is 32896, allowed: 1..=32768", |n| {
            set_taps(n, 8, 2, 3);
            *weights(term(n, "patch_embed")) = vec![0; 6 * 8 * 8 * 2];
            let terms = terms(layer(n, "patch_embed"));
            *terms = vec![terms[0].clone(); 257];
        }),
        ("mlp.fc1`: number of thresholds is 11, allowed: 12", |n| layer(n, "fc1").theta.truncate(11)),
        ("mlp.fc1`: threshold of channel 3 is 0, allowed: 1 or more", |n| layer(n, "fc1").theta[3] = 0),
        (
            "reduction`: grid is 2x2 tokens, allowed: 4x4 tokens, as the taps of term 0 give over the 4x4 tokens of",
            |n| {
                term(n, "reduction").taps = Taps::TOKEN;
            },
        ),
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
        ("`head`: mask is ratio 9, allowed: none", |n| layer(n, "head").mask.ratio = 9),
        ("`head`: mask is ratio 0, label `q`, allowed: none", |n| {
            layer(n, "head").mask = Mask::labelled("q")
        }),
        ("attn.q`: label of the mask is `a=b`, allowed: no `,`", |n| {
            layer(n, "attn.q").mask = Mask::labelled("a=b")
        }),
        ("attn.q`: label of the mask is ``, allowed: 1..=128", |n| {
            layer(n, "attn.q").mask = Mask::labelled("")
        }),
        (
            "attn.q`: leak is v >> 3 and v >> 5, allowed: none, as no executor takes leaks yet: use integrate-and-fire",
            |n| {
                layer(n, "attn.q").neuron =
                    Some(Neuron { leak: Some(Leak { first: 3, second: Some(5) }), ..Neuron::IF });
            },
        ),
        ("attn.q`: reset is to zero after all drives, allowed: hard reset with neurons", |n| {
            layer(n, "attn.q").neuron = Some(Neuron { reset: Reset::Zero, ..Neuron::TWO_PHASE });
        }),
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
        schedule: Some(Schedule::EachStep),
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
            (layer.neuron, layer.mask.ratio),
            ((layer.name != "head").then_some(Neuron::IF), if masked { 128 } else { 0 }),
            "`{}`",
            layer.name
        );
    }
    let mut pooled = network.clone();
    layer(&mut pooled, "attn.q").neuron = Some(Neuron::OR);
    let schedule = Some(Schedule::AfterAll);
    let pooled = pooled.configure(&RunOptions { schedule, ..RunOptions::new(12) }).unwrap();
    assert!(pooled.layers.iter().any(|layer| layer.neuron == Some(Neuron::OR)), "hard reset stays as it is");
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
    network.configure(&RunOptions { schedule: Some(Schedule::EachStep), ..RunOptions::new(3) }).unwrap();
}

/// A dense layer whose proof for 8 steps is exactly at the edge of 24 bits; one more unit is refused.
#[test]
fn the_overflow_proof_is_tight() {
    let mut network = network();
    let edge = (1 << 23) - 1;
    let fc1 = layer(&mut network, "fc1");
    let (theta, v0) = (fc1.theta[2], fc1.theta[2] % 8 + 7);
    let Operation::Linear { terms, bias } = &mut fc1.operation else { panic!() };
    let positive: i32 = terms[0].weights.data()[12..18].iter().map(|&w| i32::from(w).max(0)).sum();
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
        let Operation::Linear { bias, .. } = &mut layer(n, "head").operation else { panic!() };
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
    network.configure(&RunOptions { schedule: Some(Schedule::EachStep), ..RunOptions::new(8) }).unwrap();
}
