//! A network of other modules and names than those in `train/network.py`, exported by `train/export_example.py`.

use model::{Checkpoint, ConvertOptions, Executor, RunOptions, convert};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/own_swin.safetensors")
}

/// The image that the exporter put into the file, and the logits that PyTorch computed for it.
fn example() -> (Vec<u8>, Vec<f32>) {
    let bytes = std::fs::read(sample()).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let header: Value = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["mst"]).unwrap();
    let numbers = |name: &str| header["example"][name].as_array().unwrap().clone();
    let pixels = numbers("pixels").iter().map(|pixel| pixel.as_u64().unwrap() as u8).collect();
    (pixels, numbers("logits").iter().map(|logit| logit.as_f64().unwrap() as f32).collect())
}

#[test]
fn logits_are_those_of_the_network_that_was_exported() {
    let (pixels, expected) = example();
    let logits = Checkpoint::load(&sample()).unwrap().logits(&pixels).unwrap();
    assert_eq!(logits.len(), expected.len());
    for (logit, expected) in logits.iter().zip(&expected) {
        assert!((logit - expected).abs() < 1e-4, "{logits:?}, PyTorch: {expected:?}");
    }
}

#[test]
fn the_integer_network_ranks_classes_like_the_exported_one() {
    let (pixels, expected) = example();
    let network = convert(&Checkpoint::load(&sample()).unwrap(), &ConvertOptions::new("own")).unwrap();
    let configured = network.configure(&RunOptions::new(8)).unwrap();
    let logits = Executor::new(&configured).trace(&pixels).unwrap().logits;
    let largest = |values: &[f64]| (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]));
    let integer: Vec<f64> = logits.iter().map(|&logit| f64::from(logit)).collect();
    let float: Vec<f64> = expected.iter().map(|&logit| f64::from(logit)).collect();
    assert_eq!(largest(&integer), largest(&float), "{integer:?}, float: {float:?}");
}
