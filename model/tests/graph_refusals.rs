//! What a graph may not be made of, and the graphs next to it that lower.

use model::ModelError;
use model::checkpoint::{BatchNorm, Normalisation};
use model::graph::{
    Activation, ActivationKind, Attention, Conv, Graph, Groups, Linear, LowerOptions, MaxPool, Node, NodeId,
    NodeOp, lower,
};
use model::network::{
    Grid, ImageShape, Mask, Neuron, Operation, Schedule, SlotOrder, Taps, Walk, Weights, Windows,
};
use ndarray::{Array2, Array4};

/// Graphs of 8 x 8 grey images, node by node; each node reads the one before it.
struct Chain(Graph);

impl Chain {
    fn new() -> Chain {
        let image = ImageShape { height: 8, width: 8, channels: 1 };
        let input = Normalisation::none(1);
        let nodes = vec![Node { name: "image".to_owned(), inputs: Vec::new(), op: NodeOp::Input }];
        let (classes, class_names) = (2, Vec::new());
        Chain(Graph { name: "chain".to_owned(), image, input, nodes, classes, class_names, example: None })
    }

    fn then(mut self, name: &str, op: NodeOp) -> Chain {
        let inputs = vec![NodeId(self.0.nodes.len() - 1)];
        self.0.nodes.push(Node { name: name.to_owned(), inputs, op });
        self
    }

    /// A convolution to 4 channels with an activation behind it.
    fn spiking() -> Chain {
        Chain::new().then("conv1", conv(4, 1, 3, 1)).then("act1", act(4))
    }

    fn head(self, channels: usize) -> Graph {
        self.then("mean", NodeOp::Mean).then("head", linear(2, channels)).0
    }
}

fn conv(outputs: usize, inputs: usize, kernel: usize, padding: usize) -> NodeOp {
    let weight = Array4::from_shape_fn((outputs, inputs, kernel, kernel), |(o, i, y, x)| {
        ((o * 7 + i * 5 + y * 3 + x) % 11) as f32 / 11.0 - 0.4
    });
    NodeOp::Conv(Conv { weight, bias: None, taps: Taps::square(kernel, 1, padding), groups: Groups::One })
}

fn linear(outputs: usize, inputs: usize) -> NodeOp {
    let weight = Array2::from_shape_fn((outputs, inputs), |(o, i)| ((o * 5 + i * 3) % 7) as f32 / 7.0 - 0.3);
    NodeOp::Linear(Linear { weight, bias: Some(vec![0.25; outputs]) })
}

fn activation(kind: ActivationKind, channels: usize, mask: Mask) -> NodeOp {
    NodeOp::Activation(Activation { kind, thresholds: vec![1.0; channels], mask })
}

fn act(channels: usize) -> NodeOp {
    activation(ActivationKind::Qcfs { levels: 4 }, channels, Mask::default())
}

fn norm(offset: f64) -> NodeOp {
    NodeOp::BatchNorm(BatchNorm { gain: vec![1.5; 4], offset: vec![offset; 4] })
}

fn max_pool() -> NodeOp {
    NodeOp::MaxPool(MaxPool { taps: Taps::square(2, 2, 0), mask: Mask::default() })
}

fn refusal(graph: &Graph) -> String {
    refusal_of(graph, &LowerOptions::default())
}

fn refusal_of(graph: &Graph, options: &LowerOptions) -> String {
    match lower(graph, options) {
        Err(
            error @ (ModelError::Unmappable { .. }
            | ModelError::Threshold { .. }
            | ModelError::TensorValue { .. }),
        ) => error.to_string(),
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("it was lowered"),
    }
}

#[test]
fn what_cannot_be_lowered_is_named_with_a_remedy() {
    let masked = Mask { ratio: 64, ..Mask::default() };
    let before_pool =
        |op| Chain::new().then("conv1", conv(4, 1, 3, 1)).then("act1", op).then("pool", max_pool());
    let cases: [(Graph, &str, &str); 8] = [
        (
            Chain::new()
                .then("conv1", conv(4, 1, 3, 1))
                .then("conv2", conv(4, 4, 3, 1))
                .then("act", act(4))
                .head(4),
            "module `conv2`: a linear layer or convolution comes before it",
            "put an activation between both",
        ),
        (
            Chain::spiking()
                .then("bn", norm(0.5))
                .then("conv2", conv(4, 4, 3, 1))
                .then("act2", act(4))
                .head(4),
            "module `conv2`: a constant of 0.5000 in channel 0 comes before its padding",
            "put the batch norm behind this node",
        ),
        (
            Chain::new()
                .then("conv1", conv(4, 1, 3, 1))
                .then("pool", max_pool())
                .then("act1", act(4))
                .head(4),
            "module `pool`: it reads `conv1` (conv), allowed: an activation",
            "put the activation before the pool",
        ),
        (
            before_pool(activation(ActivationKind::If, 4, Mask::default())).head(4),
            "module `pool`: it pools `act1`, whose neurons fire while they integrate",
            "average pooling",
        ),
        (
            before_pool(activation(ActivationKind::ReluClip, 4, masked)).head(4),
            "module `pool`: it pools `act1`, of whose spikes a mask drops 64/256",
            "put the mask on this node",
        ),
        (
            Chain::new().head(1),
            "module `head`: the logits come from the image itself",
            "put an activation before the last layer",
        ),
        (
            Chain::new()
                .then("conv1", conv(4, 1, 8, 0))
                .then("flat", NodeOp::Flatten)
                .then("fc", linear(2, 4))
                .0,
            "module `fc`: a linear layer or convolution comes before it",
            "put an activation between both",
        ),
        (
            Chain::new()
                .then("conv1", conv(4, 1, 3, 1))
                .then("flat", NodeOp::Flatten)
                .then("fc", linear(2, 256))
                .0,
            "module `flat`: it moves channels of a linear layer or convolution",
            "put the activation before it",
        ),
    ];
    for (graph, reason, remedy) in cases {
        let said = refusal(&graph);
        assert!(said.starts_with(reason) && said.contains(remedy), "{said}\nexpected: {reason} ... {remedy}");
    }
}

#[test]
fn a_node_that_nothing_reads_is_refused() {
    let mut graph = Chain::spiking().head(4);
    graph.nodes.insert(3, Node { name: "stray".to_owned(), inputs: vec![NodeId(2)], op: act(4) });
    graph.nodes[5].inputs = vec![NodeId(4)];
    assert!(refusal(&graph).contains("module `stray`: nothing reads it"));
}

#[test]
fn thresholds_and_heads_beyond_integers_are_named() {
    let mut graph = Chain::spiking().head(4);
    let NodeOp::Activation(activation) = &mut graph.nodes[2].op else { panic!() };
    activation.thresholds[2] = 1e-12;
    assert!(refusal(&graph).contains("tensor `act1.threshold`, channel 2: the threshold 1e-12 is too small"));
    let mut graph = Chain::spiking().head(4);
    let NodeOp::Linear(head) = &mut graph.nodes[4].op else { panic!() };
    head.weight[(1, 2)] = 1e9;
    assert!(refusal(&graph).contains("tensor `head.weight`, element 6: 1000000000 is not small enough"));
}

/// Pools are OR of thermometer codes, the label of a mask moves behind them, and a schedule that is not two-phase is refused.
#[test]
fn max_pools_are_or_of_first_slots() {
    let label = activation(ActivationKind::ReluClip, 4, Mask::labelled("conv"));
    let chain = || Chain::new().then("conv1", conv(4, 1, 3, 1)).then("act1", label.clone());
    let graph = chain().then("pool", max_pool()).then("again", max_pool()).head(4);
    let network = lower(&graph, &LowerOptions::default()).unwrap().network;
    let [act1, pool, again, _] = &network.layers[..] else { panic!() };
    assert_eq!((&act1.order, act1.rotate, &act1.mask), (&SlotOrder::Identity, 0, &Mask::default()));
    for layer in [pool, again] {
        assert_eq!((layer.neuron, &layer.theta, &layer.v0), (Some(Neuron::OR), &vec![1; 4], &vec![0; 4]));
    }
    // Behind the last of both.
    assert_eq!((pool.mask.label.as_deref(), again.mask.label.as_deref()), (None, Some("conv")));
    let options = LowerOptions { schedule: Schedule::EachStep, ..LowerOptions::default() };
    assert!(refusal_of(&graph, &options).contains("module `pool`"));
}

/// Layers of attention and what feeds it: windows, slots and names.
#[test]
fn attention_becomes_scores_and_context() {
    let kind = ActivationKind::Qcfs { levels: 4 };
    let part = |n| Activation { kind, thresholds: vec![1.0; n], mask: Mask::default() };
    let windows = Windows { size: 4, shift: 2 };
    let mut graph = Chain::spiking().0;
    let at = |graph: &mut Graph, name: &str, inputs: &[usize], op: NodeOp| {
        let inputs = inputs.iter().map(|&input| NodeId(input)).collect();
        graph.nodes.push(Node { name: name.to_owned(), inputs, op });
        graph.nodes.len() - 1
    };
    let mut planes = Vec::new();
    for name in ["k", "v", "q"] {
        let sum = at(&mut graph, &format!("{name}.linear"), &[2], linear(4, 4));
        planes.push(at(&mut graph, name, &[sum], act(4)));
    }
    let attention = Attention {
        windows,
        heads: 2,
        bias_table: Array2::from_elem((49, 2), 0.1),
        scores: part(2),
        context: part(4),
    };
    let context = at(&mut graph, "attn", &[planes[2], planes[0], planes[1]], NodeOp::Attention(attention));
    let mean = at(&mut graph, "mean", &[context], NodeOp::Mean);
    at(&mut graph, "head", &[mean], linear(2, 4));
    let network = lower(&graph, &LowerOptions::default()).unwrap().network;
    let names: Vec<&str> = network.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["act1", "k", "v", "q", "attn.scores", "attn.context", "head"]);
    assert!(network.layers[1..6].iter().all(|layer| layer.walk == Walk::Windows(windows)));
    let slots = |at: usize| (&network.layers[at].order, network.layers[at].rotate);
    assert_eq!(
        (slots(1), slots(3), slots(4)),
        ((&SlotOrder::Identity, 1), (&SlotOrder::Spread, 3), (&SlotOrder::Spread, 3))
    );
    assert!(matches!(&network.layers[6].operation, Operation::Linear { .. }));
    assert_eq!(network.layers[6].grid, Grid { rows: 8, columns: 8 }, "a readout sums over tokens");
}

/// A block of ResNet is one layer: a convolution and a shortcut that is larger by a power of two.
#[test]
fn a_shortcut_keeps_its_precision_beside_a_convolution() {
    let mut graph = Chain::spiking().then("conv2", conv(4, 4, 3, 1)).0;
    let NodeOp::Conv(conv2) = &mut graph.nodes[3].op else { panic!() };
    conv2.weight.mapv_inplace(|weight| weight / 50.0);
    let inputs = vec![NodeId(3), NodeId(2)];
    graph.nodes.push(Node { name: "add".to_owned(), inputs, op: NodeOp::Add });
    let network =
        lower(&Chain(graph).then("act2", act(4)).head(4), &LowerOptions::default()).unwrap().network;
    let Operation::Linear { terms, .. } = &network.layers[1].operation else { panic!() };
    assert!(
        matches!(&terms[0].weights, Weights::Dense(_)) && matches!(&terms[1].weights, Weights::Diagonal(_))
    );
    assert_eq!((terms[0].shift, terms[0].taps), (0, Taps::square(3, 1, 1)));
    assert!(terms[1].shift >= 4, "shift {}", terms[1].shift);
    assert!(terms[0].weights.data().iter().any(|weight| weight.abs() > 60));
}
