//! Lowered graphs against the float graphs that they come from.

mod random_graph;

use model::graph::{Graph, LowerOptions, Lowered, lower};
use model::{Executor, RunOptions};
use ndarray::Array2;
use random_graph::Random;
use std::collections::HashMap;

fn lowered(graph: &Graph, time_steps: u32) -> Lowered {
    let options = LowerOptions { time_steps, ..LowerOptions::default() };
    lower(graph, &options).unwrap_or_else(|error| panic!("{error}\n{:#?}", outline(graph)))
}

/// Names and inputs of all nodes.
fn outline(graph: &Graph) -> Vec<String> {
    let shapes = graph.shapes().unwrap();
    let nodes = graph.nodes.iter().zip(shapes);
    nodes.map(|(node, shape)| format!("{} {:?} {shape}", node.name, node.inputs)).collect()
}

fn image(seed: u64, graph: &Graph) -> Vec<u8> {
    let mut random = Random(seed ^ 0x55aa);
    (0..graph.image.bytes()).map(|_| random.bits() as u8).collect()
}

/// The activations of all layers by name.
fn activations(graph: &Graph, image: &[u8]) -> (HashMap<String, Array2<f64>>, Vec<f32>) {
    let mut seen = HashMap::new();
    let logits = graph.observe(image, &mut |name, x| {
        seen.insert(name.to_owned(), x.to_owned());
    });
    (seen, logits.unwrap())
}

/// Where weights are integers of a scale to begin with, nothing is rounded: every neuron spikes exactly as often as its activation says.
/// Convolutions, batch norm on either side, residual sums, pools, flattened and averaged heads, depthwise kernels, merging.
#[test]
fn spike_counts_are_exactly_the_levels_of_the_graph() {
    let (mut cells, mut firing, mut layers) = (0usize, 0usize, 0usize);
    for seed in 0..400 {
        let (graph, levels) = random_graph::exact(seed);
        assert_eq!(graph.levels(), Some(levels));
        let lowered = lowered(&graph, levels);
        let configured = lowered.network.configure(&RunOptions::new(levels)).unwrap();
        let image = image(seed, &graph);
        let trace = Executor::new(&configured).trace(&image).unwrap();
        let (seen, logits) = activations(&graph, &image);
        for (layer, plane) in configured.layers.iter().zip(&trace.planes) {
            let thresholds = thresholds(&graph, &layer.name);
            let activation = &seen[&layer.name];
            assert_eq!(activation.dim(), (plane.tokens(), plane.channels()), "`{}`", layer.name);
            for ((token, channel), &value) in activation.indexed_iter() {
                let level = value / thresholds[channel] * f64::from(levels);
                let count = f64::from(plane.count(token, channel));
                assert!(
                    (level - count).abs() < 1e-6,
                    "seed {seed}, `{}`, token {token}, channel {channel}: {count} spikes, {level} levels; {:#?}",
                    layer.name,
                    outline(&graph)
                );
                cells += 1;
                firing += usize::from(count > 0.0 && count < f64::from(levels));
            }
            layers += 1;
        }
        // Logits are those of the graph, up to the one scale that they share.
        let exact: Vec<(f64, f64)> =
            trace.logits.iter().zip(&logits).map(|(&a, &b)| (f64::from(a), f64::from(b))).collect();
        let largest = *exact.iter().max_by(|a, b| a.0.abs().total_cmp(&b.0.abs())).unwrap();
        let scale = if largest.0 == 0.0 { 0.0 } else { largest.1 / largest.0 };
        assert!(scale >= 0.0);
        for (integer, float) in exact {
            let tolerance = 1e-5 * largest.1.abs() + 1e-6;
            assert!(
                (integer * scale - float).abs() < tolerance,
                "seed {seed}: {:?}, {logits:?}",
                trace.logits
            );
        }
    }
    assert!(layers > 1200, "{layers} layers");
    assert!(firing * 8 > cells, "{firing} of {cells} counts are neither none nor all");
}

/// Weights of any value are rounded, which moves some counts by one; those of later layers follow.
#[test]
fn rounding_moves_few_counts_by_little() {
    let (mut cells, mut different, mut moved) = (0usize, 0usize, 0f64);
    for seed in 0..200 {
        let (graph, levels) = random_graph::real(seed);
        let configured = lowered(&graph, 16).network.configure(&RunOptions::new(levels)).unwrap();
        let image = image(seed, &graph);
        let trace = Executor::new(&configured).trace(&image).unwrap();
        let (seen, _) = activations(&graph, &image);
        for (layer, plane) in configured.layers.iter().zip(&trace.planes) {
            let thresholds = thresholds(&graph, &layer.name);
            for ((token, channel), &value) in seen[&layer.name].indexed_iter() {
                let level = value / thresholds[channel] * f64::from(levels);
                let difference = (level - f64::from(plane.count(token, channel))).abs();
                cells += 1;
                different += usize::from(difference > 0.5);
                moved += difference;
            }
        }
    }
    assert!(different * 30 < cells, "{different} of {cells} counts differ");
    assert!(moved < 0.05 * cells as f64, "by {moved} of {cells} in all");
}

/// Thresholds of the layer `name`; a pool's spikes stand for what those of its source do.
fn thresholds(graph: &Graph, name: &str) -> Vec<f64> {
    use model::graph::NodeOp;
    let node = graph.nodes.iter().find(|node| node.name == name).unwrap();
    match &node.op {
        NodeOp::Activation(activation) => activation.thresholds.iter().copied().map(f64::from).collect(),
        NodeOp::MaxPool(_) => thresholds(graph, &graph.node(node.inputs[0]).name.clone()),
        other => panic!("{} is no layer", other.name()),
    }
}
