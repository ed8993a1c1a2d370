//! The networks that ship are files of version 1: what they are read as spikes as it did before there was a version 2.

mod support;

use model::Network;
use sha2::{Digest, Sha256};
use support::{succeeds, text, workspace};

/// The network of a folder, and the first digits of the hashes of two runs: on four images as converted, and on two images of `if` neurons, 12 time
/// steps and masks.
const RUNS: [(&str, [&str; 2]); 5] = [
    ("fashion-mnist", ["ca2aff291e75b53f", "7465f9d18f516a51"]),
    ("fashion-mnist-fc1", ["a6c42a10a2088ef9", "55da89c10f2848e9"]),
    ("fashion-mnist-mask50", ["3e93181a6c02045d", "63ca271de75d039c"]),
    ("fashion-mnist-mask75", ["9c54d06a4a876749", "a11ed197dac3b30f"]),
    ("fashion-mnist-perlayer", ["1205b485699f3dbd", "be3110ee8125cfd1"]),
];

/// A hash over the name and the bytes of every plane, and of the logits, in the order of their names.
fn spikes(network: &str, options: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (net, out) =
        (workspace().join("models").join(network).join("net.mst"), folder.path().join("spikes.safetensors"));
    succeeds(&[&["spikes", text(&net), "--out", text(&out)], options].concat());
    let bytes = std::fs::read(&out).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors = file.tensors();
    assert_eq!(tensors.len(), 45);
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut hash = Sha256::new();
    for (name, tensor) in tensors {
        hash.update(name.as_bytes());
        hash.update(tensor.data());
    }
    hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn shipped_networks_spike_as_before() {
    const MASKED: [&str; 12] = [
        "--images",
        "2",
        "--first",
        "7",
        "--neuron",
        "if",
        "--time-steps",
        "12",
        "--mask",
        "0.25,q=0.5",
        "--seed",
        "9",
    ];
    for (network, expected) in RUNS {
        let found = [spikes(network, &["--images", "4"]), spikes(network, &MASKED)];
        assert_eq!(found, expected, "{network}");
    }
}

#[test]
fn shipped_networks_are_their_converted_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    for (name, _) in RUNS {
        let (shipped, out) = (workspace().join("models").join(name), folder.path().join("net.mst"));
        succeeds(&["convert", text(&shipped.join("checkpoint.safetensors")), "--out", text(&out)]);
        let of = |path: &std::path::Path| {
            let network = Network::load(path).unwrap();
            // The path in it is seen from its file.
            let hash = network.checkpoint.as_ref().map(|origin| origin.sha256.clone());
            (hash, Network { checkpoint: None, ..network })
        };
        assert!(of(&out) == of(&shipped.join("net.mst")), "{name}: convert it again");
    }
}
