//! Masks and what they save: rules over a network, fired and transmitted spikes, synaptic events against plain loops.

mod synthetic;

use model::mask::MaskBits;
use model::network::{Mask, Operation, Source, Walk, Weights};
use model::reference::Observer;
use model::{
    Checkpoint, Configured, ConvertOptions, Executor, LayerId, MaskRules, Network, RunOptions, SpikePlane,
    Trace, convert, synapses,
};
use proptest::prelude::*;
use std::sync::LazyLock;

static NETWORK: LazyLock<Network> = LazyLock::new(|| {
    let checkpoint = Checkpoint::from_bytes(&synthetic::checkpoint(5)).unwrap();
    convert(&checkpoint, &ConvertOptions { time_steps: 80, ..ConvertOptions::new("synthetic") }).unwrap()
});

fn configure(rules: &str, time_steps: u32) -> Configured {
    let mask = rules.parse().unwrap();
    NETWORK.configure(&RunOptions { mask, ..RunOptions::new(time_steps) }).unwrap()
}

fn ratio(network: &Network, layer: &str) -> u8 {
    network.layers.iter().find(|found| found.name == layer).unwrap().mask.ratio
}

fn refused(rules: &str) -> String {
    let mask = rules.parse().unwrap();
    NETWORK.configure(&RunOptions { mask, ..RunOptions::new(8) }).unwrap_err().to_string()
}

#[test]
fn later_rules_override_earlier_ones() {
    let network = configure("0.75,k=0.25,stages.0.blocks.1:0.5,stages.0.blocks.1:attn=0", 8);
    for (layer, expected) in [
        ("stages.0.blocks.0.attn.q", 192),
        ("stages.0.blocks.0.attn.k", 64),
        ("stages.0.blocks.1.attn.k", 128),
        ("stages.0.blocks.1.attn.scores", 0),
        ("stages.0.blocks.1.mlp.fc1", 128),
        ("stages.1.blocks.0.attn.scores", 192),
        ("stages.1.blocks.0.attn.v", 0),
        ("head", 0),
    ] {
        assert_eq!(ratio(&network, layer), expected, "`{layer}`");
    }
    assert_eq!(ratio(&configure("stages.0.blocks.1:0.5,0.25", 8), "stages.0.blocks.1.attn.q"), 64);
}

#[test]
fn matrices_that_no_rule_names_keep_what_the_network_carries() {
    let mut carried = NETWORK.clone();
    let masked = carried.layers.iter_mut().filter(|layer| layer.mask.label.is_some());
    masked.for_each(|layer| layer.mask.ratio = 77);
    let with = |rules: &str| {
        let mask = if rules.is_empty() { MaskRules::default() } else { rules.parse().unwrap() };
        carried.configure(&RunOptions { mask, ..RunOptions::new(8) }).unwrap()
    };
    let of = |network: &Network| {
        ["q", "scores"].map(|part| ratio(network, &format!("stages.0.blocks.0.attn.{part}")))
    };
    assert_eq!(of(&with("")), [77, 77]);
    assert_eq!(of(&with("q=0.5")), [128, 77]);
    assert_eq!(of(&with("0")), [0, 0]);
}

#[test]
fn rules_that_name_nothing_list_what_there_is() {
    let said = refused("0.5,stages.0.blocks.7:q=0.5");
    for words in [
        "mask rule `stages.0.blocks.7:q=0.5`",
        "layer `stages.0.blocks.7`",
        "stages.0.blocks.0, stages.0.blocks.1, stages.1.blocks.0",
    ] {
        assert!(said.contains(words), "{said}");
    }
    // A name is not the start of another one in the middle of a part.
    assert!(refused("stages.0.block:0.5").contains("layer `stages.0.block`"));
    let said = refused("stages.0.blocks.0.mlp.fc1:q=0.5");
    assert!(said.contains("label `q`") && said.contains("allowed: fc1"), "{said}");
}

#[test]
fn labels_are_those_of_the_network() {
    let said = refused("conv=0.5");
    assert!(said.contains("label `conv`") && said.contains("allowed: k, q, attn, fc1"), "{said}");
    assert_eq!(model::mask_rules::labels(&NETWORK), ["k", "q", "attn", "fc1"]);
    let mut labelled = NETWORK.clone();
    labelled.layers[0].mask = Mask::labelled("conv");
    let options = RunOptions { mask: "conv=0.5".parse().unwrap(), ..RunOptions::new(8) };
    let configured = labelled.configure(&options).unwrap();
    assert!(
        configured
            .layers
            .iter()
            .all(|layer| layer.mask.ratio == if layer.name == "patch_embed" { 128 } else { 0 })
    );
    let mut bare = NETWORK.clone();
    bare.layers.iter_mut().for_each(|layer| layer.mask = Mask::default());
    let said = bare.configure(&options).unwrap_err().to_string();
    assert!(
        said.contains("label `conv`") && said.contains("allowed: no label, as the network has none"),
        "{said}"
    );
    bare.configure(&RunOptions { mask: "0.5".parse().unwrap(), ..RunOptions::new(8) }).unwrap();
}

#[test]
fn a_layer_that_a_rule_names_in_full_needs_no_label() {
    let masked = configure("0.25,stages.0.blocks.0.attn.v:0.5,stages.0.blocks.0.attn:0.75", 8);
    assert_eq!(
        ratio(&masked, "stages.0.blocks.0.attn.v"),
        128,
        "the start of a name covers labelled layers alone"
    );
    assert_eq!(ratio(&masked, "stages.0.blocks.0.attn.q"), 192);
    assert_eq!(ratio(&masked, "stages.0.blocks.0.attn.proj"), 0);
    let said = refused("stages.0.blocks.0.attn.v:q=0.5");
    assert!(said.contains("layer `stages.0.blocks.0.attn.v`") && said.contains("name of a layer"), "{said}");
    assert!(refused("head:0.5").contains("layer `head`"), "a readout has no spikes");
}

/// One addition for every transmitted spike and every neuron that reads it, neuron by neuron.
fn naive_events(network: &Configured, planes: &[SpikePlane]) -> Vec<u64> {
    let steps = network.time_steps() as usize;
    let spikes =
        |plane: &SpikePlane, token, channel| (0..steps).filter(|&t| plane.get(token, channel, t)).count();
    let layers = network.layers.iter().map(|layer| {
        let mut events = 0;
        for token in 0..layer.grid.tokens() {
            for channel in 0..layer.channels {
                events += match &layer.operation {
                    Operation::Linear { terms, .. } => {
                        let mut seen = 0;
                        for term in terms {
                            let Source::Plane(id) = term.source else { continue };
                            let source = network.layer(id).grid;
                            for at in term.taps.positions(source, layer.grid, token).flatten() {
                                seen += match term.weights {
                                    Weights::Dense(_) => (0..planes[id.0].channels())
                                        .map(|c| spikes(&planes[id.0], at, c))
                                        .sum(),
                                    Weights::Diagonal(_) => spikes(&planes[id.0], at, channel),
                                };
                            }
                        }
                        seen
                    }
                    // Here `channel` is a key of the token's window, and the token a query.
                    Operation::Scores { query, .. } => {
                        let plane = &planes[query.0];
                        (0..plane.channels()).map(|c| spikes(plane, token, c)).sum()
                    }
                    Operation::Context { scores, heads, .. } => {
                        let Walk::Windows(windows) = layer.walk else { panic!("attention walks windows") };
                        let (tokens, count) = (windows.tokens(), windows.count(layer.grid));
                        let at = (0..count * tokens)
                            .find(|&n| windows.token(layer.grid, n / tokens, n % tokens) == token)
                            .unwrap();
                        let head = channel / (layer.channels / heads);
                        (0..tokens)
                            .map(|key| spikes(&planes[scores.0], head * count * tokens + at, key))
                            .sum()
                    }
                } as u64;
            }
        }
        events
    });
    layers.collect()
}

/// Fired spikes and membranes, as an observer sees them.
struct Seen {
    fired: Vec<u64>,
    membranes: Vec<usize>,
}

impl Observer for Seen {
    fn membrane(&mut self, layer: LayerId, _: i32, _: i32) {
        self.membranes[layer.0] += 1;
    }

    fn fired(&mut self, layer: LayerId, row: &[u8]) {
        self.fired[layer.0] += row.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
    }
}

fn observed(network: &Configured, image: &[u8]) -> (Trace, Seen) {
    let layers = network.layers.len();
    let mut seen = Seen { fired: vec![0; layers], membranes: vec![0; layers] };
    let trace = Executor::new(network).observe(image, &mut seen).unwrap();
    (trace, seen)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn synaptic_events_equal_plain_loops(
        seed: u64,
        time_steps in 1u32..70,
        rules in proptest::sample::select(vec!["0", "0.5", "q=0.75,attn=0.75", "fc1=0.9"]),
    ) {
        let network = configure(rules, time_steps);
        let image = synthetic::image(seed);
        let executor = Executor::new(&network);
        let classified = executor.classify(&image).unwrap();
        let planes = executor.trace(&image).unwrap().planes;
        prop_assert_eq!(&classified.synaptic_events, &synapses::events(&network, &planes));
        prop_assert_eq!(classified.synaptic_events, naive_events(&network, &planes));
    }

    #[test]
    fn masks_drop_fired_spikes_and_nothing_else(seed: u64, ratio in 0u8..=255, time_steps in 1u32..20) {
        let rules = format!("q={}", f64::from(ratio) / 256.0);
        let network = configure(&rules, time_steps);
        let image = synthetic::image(seed);
        let classified = Executor::new(&network).classify(&image).unwrap();
        let (trace, seen) = observed(&network, &image);
        for (index, layer) in network.layers.iter().take(trace.planes.len()).enumerate() {
            let (fired, sent) = (classified.fired[index], classified.spikes[index]);
            prop_assert_eq!((fired, sent), (seen.fired[index], trace.planes[index].spikes()), "`{}`", layer.name);
            prop_assert!(sent == fired || layer.mask.ratio > 0 && sent < fired, "`{}`: {} of {}", layer.name, sent, fired);
            let plane = &trace.planes[index];
            prop_assert_eq!(seen.membranes[index], plane.tokens() * plane.channels(), "`{}`", layer.name);
        }
    }
}

/// Draws that are always the same.
struct Always<const DRAW: u8>;

impl<const DRAW: u8> MaskBits for Always<DRAW> {
    fn new(_: u32, _: usize, _: usize) -> Self {
        Always
    }

    fn draw(&mut self) -> u8 {
        DRAW
    }
}

#[test]
fn a_spike_is_transmitted_when_its_draw_is_at_least_the_ratio() {
    let (network, image) = (configure("0.5", 8), synthetic::image(3));
    let kept = Executor::<Always<128>>::with_mask_bits(&network).classify(&image).unwrap();
    assert_eq!(kept.spikes, Executor::new(&configure("0", 8)).classify(&image).unwrap().spikes);
    let dropped = Executor::<Always<127>>::with_mask_bits(&network).classify(&image).unwrap();
    for (layer, spikes) in network.layers.iter().zip(&dropped.spikes) {
        assert!(layer.mask.ratio == 0 || *spikes == 0, "`{}` transmits {spikes} spikes", layer.name);
    }
}
