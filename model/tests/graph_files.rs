//! Graph files: what is written comes back, and what is wrong is named.

mod random_graph;

use model::Graph;
use model::checkpoint::Example;
use model::graph::{Activation, ActivationKind, Attention, LowerOptions, Node, NodeId, NodeOp, lower};
use model::network::{Mask, Windows};
use ndarray::Array2;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use std::collections::HashMap;

type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

fn file(header: &Value, tensors: &Tensors) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    let metadata = HashMap::from([("mst-graph".to_owned(), header.to_string())]);
    safetensors::serialize(views, Some(metadata)).unwrap()
}

/// A residual network by hand, as an exporter writes it.
fn sample() -> (Value, Tensors) {
    let header = json!({
        "version": 2, "name": "sample", "image": {"height": 8, "width": 8, "channels": 1}, "classes": 2,
        "input": {"mean": 0, "std": 0.5}, "training": {"epochs": 1},
        "nodes": [
            {"name": "image", "op": "input", "inputs": []},
            {"name": "conv1", "op": "conv", "inputs": ["image"], "padding": 1},
            {"name": "bn1", "op": "batch_norm", "inputs": ["conv1"], "eps": 1e-3},
            {"name": "act1", "op": "qcfs", "inputs": ["bn1"], "levels": 4, "mask": {"label": "conv", "ratio": 0.25}},
            {"name": "dw", "op": "conv", "inputs": ["act1"], "padding": 1, "groups": 3},
            {"name": "sum", "op": "add", "inputs": ["act1", "dw"]},
            {"name": "act2", "op": "relu_clip", "inputs": ["sum"]},
            {"name": "pool", "op": "max_pool", "inputs": ["act2"], "kernel": 2},
            {"name": "flat", "op": "flatten", "inputs": ["pool"]},
            {"name": "fc", "op": "linear", "inputs": ["flat"]},
        ],
    });
    let mut random = random_graph::Random(9);
    let mut tensor = |name: &str, shape: &[usize], low: f64| {
        let values = (0..shape.iter().product()).map(|_| random.real(low, 1.0) as f32).collect();
        (name.to_owned(), shape.to_vec(), values)
    };
    let tensors = vec![
        tensor("conv1.weight", &[3, 1, 3, 3], -1.0),
        tensor("bn1.weight", &[3], 0.5),
        tensor("bn1.bias", &[3], -1.0),
        tensor("bn1.running_mean", &[3], -1.0),
        tensor("bn1.running_var", &[3], 0.5),
        tensor("act1.threshold", &[], 0.5),
        tensor("dw.weight", &[3, 1, 3, 3], -1.0),
        tensor("dw.bias", &[3], -1.0),
        tensor("act2.threshold", &[3], 0.5),
        tensor("fc.weight", &[2, 48], -1.0),
    ];
    (header, tensors)
}

#[test]
fn graphs_come_back_from_their_files() {
    for seed in 0..40 {
        let (graph, _) = random_graph::exact(seed);
        let bytes = graph.to_bytes().unwrap();
        let read = Graph::from_bytes(&bytes).unwrap();
        assert_eq!(read.input, graph.input, "seed {seed}");
        for (node, expected) in read.nodes.iter().zip(&graph.nodes) {
            assert_eq!(node, expected, "seed {seed}");
        }
        assert!(read == graph, "seed {seed}");
        assert_eq!(graph.to_bytes().unwrap(), bytes, "the same graph is the same file");
    }
}

/// Attention, names, an example and masks of all parts.
#[test]
fn everything_that_a_file_holds_comes_back() {
    let (header, tensors) = sample();
    let mut graph = Graph::from_bytes(&file(&header, &tensors)).unwrap();
    let activation =
        |n: usize, mask: Mask| Activation { kind: ActivationKind::If, thresholds: vec![0.5; n], mask };
    let masked =
        Mask { ratio: 64, shared: true, draws_of: Some("other".to_owned()), ..Mask::labelled("attn") };
    let attention = Attention {
        windows: Windows { size: 2, shift: 1 },
        heads: 3,
        bias_table: Array2::from_elem((9, 3), 0.25),
        scores: activation(3, masked.clone()),
        context: activation(3, Mask { label: None, ..masked }),
    };
    let pool = graph.nodes.iter().position(|node| node.name == "pool").unwrap();
    let at = NodeId(pool - 1);
    let node = Node { name: "attn".to_owned(), inputs: vec![at; 3], op: NodeOp::Attention(attention) };
    graph.nodes.insert(pool, node);
    for node in &mut graph.nodes[pool + 1..] {
        node.inputs.iter_mut().for_each(|input| input.0 += usize::from(input.0 >= pool));
    }
    graph.class_names = vec!["cat".to_owned(), "dog".to_owned()];
    graph.example = Some(Example { pixels: vec![vec![7; 64]; 2], logits: vec![vec![0.1, -3.5]; 2] });
    graph.shapes().unwrap();
    assert_eq!(Graph::from_bytes(&graph.to_bytes().unwrap()).unwrap(), graph);
}

#[test]
fn the_sample_lowers_and_its_example_is_checked() {
    let (mut header, tensors) = sample();
    let graph = Graph::from_bytes(&file(&header, &tensors)).unwrap();
    let network = lower(&graph, &LowerOptions::default()).unwrap().network;
    let names: Vec<&str> = network.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["act1", "act2", "pool", "fc"]);
    assert_eq!((network.layers[0].mask.label.as_deref(), network.layers[0].mask.ratio), (Some("conv"), 64));
    let pixels: Vec<u8> = (0..64).map(|n| n * 3).collect();
    let logits = graph.logits(&pixels).unwrap();
    header["example"] = json!({"pixels": pixels, "logits": logits});
    let graph = Graph::from_bytes(&file(&header, &tensors)).unwrap();
    assert_eq!(graph.check_example().unwrap().unwrap().images, 1);
    header["example"]["logits"][1] = json!(logits[1] + 1.0);
    let graph = Graph::from_bytes(&file(&header, &tensors)).unwrap();
    let said = graph.check_example().unwrap_err().to_string();
    assert!(said.starts_with("example, image 0, class 1"), "{said}");
}

/// Half-precision elements are widened; checkpoints are graphs, too.
#[test]
fn other_forms_are_read() {
    let checkpoint = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/own_swin.safetensors");
    let graph = Graph::load(checkpoint.as_ref()).unwrap();
    assert_eq!(graph.nodes.last().unwrap().name, "head");
    let (header, tensors) = sample();
    let bytes = file(&header, &tensors);
    let parsed = SafeTensors::deserialize(&bytes).unwrap();
    let halves: Vec<(String, Vec<usize>, Vec<u8>)> = parsed
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            // The upper halves of float32 are bfloat16.
            let halves = view.data().chunks(4).flat_map(|bytes| [bytes[2], bytes[3]]).collect();
            (name, view.shape().to_vec(), halves)
        })
        .collect();
    let views = halves.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::BF16, shape.clone(), bytes).unwrap())
    });
    let metadata = HashMap::from([("mst-graph".to_owned(), header.to_string())]);
    let bytes = safetensors::serialize(views, Some(metadata)).unwrap();
    Graph::from_bytes(&bytes).unwrap();
}

fn node<'h>(header: &'h mut Value, name: &str) -> &'h mut Value {
    header["nodes"].as_array_mut().unwrap().iter_mut().find(|node| node["name"] == name).unwrap()
}

type Change = fn(&mut Value, &mut Tensors);

/// What each wrong file is told.
const WRONG: [(&str, Change); 38] = [
    ("mst-graph: version is 1, allowed: 2", |h, _| h["version"] = json!(1)),
    ("mst-graph: an entry `clases` is 2, allowed: `classes`, which it may mean", |h, _| {
        h["clases"] = json!(2)
    }),
    ("mst-graph: classes is \"two\", allowed: a whole number", |h, _| h["classes"] = json!("two")),
    ("mst-graph: image is {", |h, _| h["image"]["height"] = json!(0)),
    ("mst-graph: input is {", |h, _| h["input"] = json!({"mean": 0})),
    ("mst-graph: input.std is 0, allowed", |h, _| h["input"]["std"] = json!(0)),
    ("mst-graph: class_names is [\"a\"], allowed: a list of 2 texts", |h, _| h["class_names"] = json!(["a"])),
    ("mst-graph: nodes is [], allowed", |h, _| h["nodes"] = json!([])),
    ("mst-graph: node 1: op is missing, allowed: a text", |h, _| node(h, "conv1")["op"] = Value::Null),
    ("node `conv1`: op is \"convv\", allowed: `conv`, which it may mean", |h, _| {
        node(h, "conv1")["op"] = json!("convv")
    }),
    ("node `conv1`: attribute `strides` of `conv` is 2, allowed: `stride`, which it may mean", |h, _| {
        node(h, "conv1")["strides"] = json!(2);
    }),
    ("node `conv1`: stride is 0, allowed: a whole number, 1 to 4096", |h, _| {
        node(h, "conv1")["stride"] = json!(0)
    }),
    ("node `act1`: levels is missing, allowed: a whole number, 1 to 256", |h, _| {
        node(h, "act1")["levels"] = Value::Null;
    }),
    ("node `act1`: mask is {", |h, _| node(h, "act1")["mask"]["ratio"] = json!(1.5)),
    ("node `act1`: mask is {", |h, _| node(h, "act1")["mask"]["label"] = json!("a=b")),
    ("node `sum`: an input is \"nothing\", allowed: names of nodes before it", |h, _| {
        node(h, "sum")["inputs"][0] = json!("nothing");
    }),
    ("node `sum`: an input is \"act2\", allowed: nodes before it in the list", |h, _| {
        node(h, "sum")["inputs"][0] = json!("act2");
    }),
    ("node `sum`: an input is 2x2 positions", |h, _| {
        node(h, "dw")["padding"] = json!(0);
        node(h, "dw")["stride"] = json!(3);
    }),
    ("nodes: a name is \"dw\", allowed: each name once", |h, _| {
        let again = node(h, "dw").clone();
        h["nodes"].as_array_mut().unwrap().insert(5, again);
    }),
    ("node `fc`: inputs of its weight is 48, allowed: 192", |h, _| node(h, "pool")["kernel"] = json!(1)),
    ("node `fc`: shape of the logits is 1x1 positions of 2 channels, allowed: 1x1 positions of 3", |h, _| {
        h["classes"] = json!(3);
    }),
    ("module `dw`: operation `conv`: dilation is 2; export a larger kernel", |h, _| {
        node(h, "dw")["dilation"] = json!(2)
    }),
    ("module `dw`: operation `conv`: groups is 2, for 3 inputs", |h, _| node(h, "dw")["groups"] = json!(2)),
    ("module `dw`: operation `conv`: padding_mode is \"reflect\"", |h, _| {
        node(h, "dw")["padding_mode"] = json!("reflect");
    }),
    ("module `pool`: operation `max_pool`: ceil_mode is true", |h, _| {
        node(h, "pool")["ceil_mode"] = json!(true)
    }),
    (
        "module `act1`: operation `LayerNorm`: it has no counterpart in a spiking network here; replace it by batch norm",
        |h, _| {
            node(h, "act1")["op"] = json!("LayerNorm");
        },
    ),
    (
        "module `act2`: operation `relu`: it has no counterpart in a spiking network here; export it as `relu_clip`",
        |h, _| {
            node(h, "act2")["op"] = json!("relu");
        },
    ),
    (
        "module `act2`: operation `GELU`: it has no counterpart in a spiking network here; replace it by `qcfs`",
        |h, _| node(h, "act2")["op"] = json!("GELU"),
    ),
    (
        "module `conv1`: operation `ConvTranspose2d`: it has no counterpart in a spiking network here; train with a convolution",
        |h, _| node(h, "conv1")["op"] = json!("ConvTranspose2d"),
    ),
    ("module `act2`: operation `nn.Softmax`", |h, _| node(h, "act2")["op"] = json!("nn.Softmax")),
    ("module `bn1`: operation `batch_norm`: its running statistics", |_, t| {
        t.retain(|(name, ..)| !name.contains("running"))
    }),
    ("tensor `fc.weight` is missing", |_, t| t.retain(|(name, ..)| name != "fc.weight")),
    ("tensor `stray` is not part of the architecture: leave it out, or name it NODE.weight", |_, t| {
        t.push(("stray".to_owned(), vec![1], vec![0.0]));
    }),
    ("tensor `conv1.weight` is [27], expected [outputs, inputs, kernel rows, kernel columns]", |_, t| {
        t[0].1 = vec![27]
    }),
    ("tensor `act2.threshold`, element 1: 0 is not positive", |_, t| t[8].2[1] = 0.0),
    ("tensor `fc.weight`, element 5: NaN is not finite", |_, t| t[9].2[5] = f32::NAN),
    ("tensor `bn1.running_var`, element 0: -2 is not 0 or more", |_, t| t[4].2[0] = -2.0),
    ("tensor `dw.bias` is [4], expected [3]", |_, t| (t[7].1, t[7].2) = (vec![4], vec![0.0; 4])),
];

#[test]
fn wrong_files_are_told_what_is_wrong() {
    for (expected, change) in WRONG {
        let (mut header, mut tensors) = sample();
        change(&mut header, &mut tensors);
        let said = match Graph::from_bytes(&file(&header, &tensors)) {
            Ok(_) => panic!("was read, expected: {expected}"),
            Err(error) => error.to_string(),
        };
        assert!(said.contains(expected), "{said}\nexpected: {expected}");
    }
}

#[test]
fn other_files_are_told_from_graphs() {
    let metadata = |key: &str| {
        let metadata = HashMap::from([(key.to_owned(), "{}".to_owned())]);
        safetensors::serialize(Vec::<(&str, TensorView<'_>)>::new(), Some(metadata)).unwrap()
    };
    for (bytes, expected) in [
        (metadata("mst-network"), "a converted network"),
        (metadata("other"), "not a graph of this project"),
        (metadata("mst-graph"), "mst-graph: version is missing, allowed: 2"),
        (b"PK\x03\x04".to_vec(), "zip"),
    ] {
        let said = Graph::from_bytes(&bytes).unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    }
    let (header, _) = sample();
    let twice = header.to_string().replace("\"classes\":2", "\"classes\":2,\"classes\":3");
    let metadata = HashMap::from([("mst-graph".to_owned(), twice)]);
    let bytes = safetensors::serialize(Vec::<(&str, TensorView<'_>)>::new(), Some(metadata)).unwrap();
    let said = Graph::from_bytes(&bytes).unwrap_err().to_string();
    assert!(said.contains("`classes` is there twice"), "{said}");
}
