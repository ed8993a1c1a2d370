//! Checkpoints as users bring them (`tests/cases`), through `gen convert`: each converts to the right network or is refused for what is
//! wrong with it.

mod support;

use images::Dataset;
use model::{Checkpoint, Network};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use support::{gen_command, refuses, succeeds, text, workspace};

fn case(name: &str) -> PathBuf {
    workspace().join("tests/cases").join(name)
}

/// What `gen convert --json` says, the network, and what it says on stderr; or the error.
fn converted(checkpoint: &std::path::Path, options: &[&str]) -> Result<(Value, Network, String), String> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("net.mst");
    let arguments =
        [&["convert", text(checkpoint), "--out", text(&out), "--name", "case", "--json"], options].concat();
    let output = gen_command(&arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    if output.status.success() {
        let report = serde_json::from_slice(&output.stdout).unwrap();
        let mut network = Network::load(&out).unwrap();
        assert!(
            network.checkpoint.take().is_some(),
            "{}: a network knows where it comes from",
            checkpoint.display()
        );
        return Ok((report, network, errors));
    }
    assert_eq!(output.status.code(), Some(2), "{}: {errors}", checkpoint.display());
    assert!(output.stdout.is_empty() && !out.exists(), "{}: a refusal writes nothing", checkpoint.display());
    Err(errors.lines().last().unwrap_or_default().to_owned())
}

#[test]
fn unambiguous_files_convert() {
    let plain = converted(&case("example-agrees.safetensors"), &[]).unwrap().1;
    // The same network under other names; the others have other values or shapes.
    for (name, same) in [
        ("orig-mod-prefix.safetensors", true),
        ("threshold-scalar.safetensors", false),
        ("bf16.safetensors", false),
        ("fp16.safetensors", false),
        ("bn-without-affine.safetensors", false),
        ("four-classes-28x28.safetensors", false),
        ("image-14x56x1.safetensors", false),
        ("image-14x14x4.safetensors", false),
    ] {
        let (report, network, errors) =
            converted(&case(name), &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(network.layers == plain.layers, same, "{name}");
        assert!(report["example"].is_null(), "{name}");
        // What the header does not say is assumed aloud, and nothing else.
        let warnings = report["warnings"].as_array().unwrap();
        for (entry, warning) in ["activation", "attention", "norm", "residual"].iter().zip(warnings) {
            assert!(
                warning.as_str().unwrap().contains(&format!("has no `{entry}`: assumed that")),
                "{warning}"
            );
        }
        assert_eq!((warnings.len(), errors.matches("warning: ").count()), (4, 4), "{name}: {errors}");
    }
}

#[test]
fn files_that_contradict_or_lack_something_are_refused() {
    let cases: [(&str, &[&str]); 5] = [
        (
            "bn-without-statistics.safetensors",
            &["running statistics", "are missing", "track_running_stats=True", "model.train()"],
        ),
        (
            "threshold-1e-12.safetensors",
            &["`stages.0.blocks.0.attn.q.threshold`", "1e-12", "allowed: 6.0", "train again"],
        ),
        ("state-dict.pth", &["a PyTorch file", "not a checkpoint", "train/export_example.py"]),
        (
            "state-dict.safetensors",
            &["no entry `mst`", "do not say the architecture", "train/export_example.py"],
        ),
        (
            "example-disagrees.safetensors",
            &["image 0, class 2", "-0.44486633", "0.0283", "rounding explains"],
        ),
    ];
    for (name, words) in cases {
        let error = converted(&case(name), &[]).expect_err(name);
        for word in [name].iter().chain(words) {
            assert!(error.contains(word), "{name} does not say `{word}`: {error}");
        }
        assert!(!error.contains("layer norm"), "{error}");
    }
    let error = converted(&case("newline-in-name.mst"), &[]).unwrap_err();
    assert!(error.contains("a converted network") && error.contains("gen run NET"), "{error}");
}

#[test]
fn an_example_that_agrees_is_told() {
    let (report, ..) = converted(&case("example-agrees.safetensors"), &[]).unwrap();
    let example = &report["example"];
    assert_eq!((&example["images"], &example["image"]), (&1.into(), &0.into()));
    let number = |name: &str| example[name].as_f64().unwrap();
    assert!(number("difference") <= number("tolerance") && number("tolerance") < 1e-4, "{example}");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("net.mst");
    let said = |name: &str| succeeds(&["convert", text(&case(name)), "--out", text(&out)]);
    assert!(
        said("example-agrees.safetensors").contains("example: the logits of 1 image are the framework's")
    );
    assert!(said("threshold-scalar.safetensors").contains("example: none in the checkpoint"));
}

/// A float network is compared with its example wherever it is run.
#[test]
fn float_networks_that_contradict_their_example_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| text(&folder.path().join(name)).to_owned();
    let (agrees, disagrees) = (case("example-agrees.safetensors"), case("example-disagrees.safetensors"));
    let (net, data, out) = (at("net.mst"), case("pixels-8x8"), at("page.html"));
    succeeds(&["convert", text(&agrees), "--out", &net, "--name", "case"]);
    for command in [&["run", &net][..], &["report", &net, "--out", &out]] {
        let arguments = ["--data", text(&data), "--images", "1", "--float", text(&disagrees)];
        refuses(&[command, &arguments].concat(), &[text(&disagrees), "example, image 0, class 2"]);
    }
    assert!(!std::path::Path::new(&out).exists());
}

/// `mean` and `std` give the network that folding them by hand gives, and the logits of the framework.
#[test]
fn normalised_pixels_are_folded() {
    let (_, folded, _) = converted(&case("normalised.safetensors"), &[]).unwrap();
    let (_, by_hand, _) = converted(&case("normalised-folded-by-hand.safetensors"), &[]).unwrap();
    assert_eq!(folded, by_hand);
    let expected: Value =
        serde_json::from_slice(&std::fs::read(case("normalised-logits.json")).unwrap()).unwrap();
    let checkpoint = Checkpoint::load(&case("normalised.safetensors")).unwrap();
    let pixels = Dataset::load(&case("pixels-8x8"), &folded).unwrap();
    let rows = expected["logits"].as_array().unwrap();
    assert_eq!(rows.len(), pixels.len());
    for (index, row) in rows.iter().enumerate() {
        let logits = checkpoint.logits(pixels.image(index)).unwrap();
        for (logit, expected) in logits.iter().zip(row.as_array().unwrap()) {
            let expected = expected.as_f64().unwrap();
            assert!(
                (f64::from(*logit) - expected).abs() < 1e-5,
                "image {index}: {logits:?}, framework: {row}"
            );
        }
    }
}

/// Thresholds so small that scores start from more than 16-bit bias rows hold: refused before anything is written, not when it is run.
#[test]
fn a_network_that_cannot_run_for_the_time_steps_asked_is_not_written() {
    let bytes = std::fs::read(case("example-agrees.safetensors")).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let mut header: Value = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["mst"]).unwrap();
    header["example"] = Value::Null;
    let file = SafeTensors::deserialize(&bytes).unwrap();
    // Thresholds and drives of `q` and `k` alike, so that the sites themselves are as before.
    let scaled = |name: &str| {
        ["q.threshold", "q.bn.weight", "q.bn.bias", "k.threshold", "k.bn.weight", "k.bn.bias"]
            .iter()
            .any(|part| name == format!("stages.0.blocks.0.attn.{part}"))
    };
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let factor = if scaled(&name) { 1e-3 } else { 1.0 };
            let floats = view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes) * factor);
            (name, view.shape().to_vec(), floats.flat_map(f32::to_le_bytes).collect())
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, data)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data).unwrap())
    });
    let metadata = HashMap::from([("mst".to_owned(), header.to_string())]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    std::fs::write(&path, safetensors::serialize(views, Some(metadata)).unwrap()).unwrap();
    let error = converted(&path, &[]).unwrap_err();
    for word in ["16 time steps", "`--room-for`", "`stages.0.blocks.0.attn.scores`"] {
        assert!(error.contains(word), "{error}");
    }
}
