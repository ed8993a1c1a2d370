//! A graph file from PyTorch (`train/export_resnet.py`), through every command that reads a trained network.

mod support;

use model::graph::file::GraphFile;
use model::{Checkpoint, Graph, Network};
use std::path::{Path, PathBuf};
use support::{gen_command, json, refuses, succeeds, text, workspace};
use tempfile::TempDir;

fn sample() -> PathBuf {
    workspace().join("model/tests/golden/own_resnet.safetensors")
}

/// The images of the sample's example, as an array of a file.
fn images(folder: &Path) -> PathBuf {
    let pixels = Graph::load(&sample()).unwrap().example.unwrap().pixels;
    let shape = format!("({}, 3, 32, 32)", pixels.len());
    let mut header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
    header += &" ".repeat(63 - (10 + header.len()) % 64);
    header.push('\n');
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    let path = folder.join("images.npy");
    std::fs::write(&path, [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &pixels.concat()].concat())
        .unwrap();
    path
}

#[test]
fn a_graph_converts_runs_and_is_remembered() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("net.mst");
    let report = json(&["convert", text(&sample()), "--out", text(&out), "--report"]);
    assert_eq!(report["name"], "own_resnet", "the name is the file's");
    assert_eq!(report["example"]["images"], 4);
    assert_eq!(report["remembers_checkpoint"], true);
    // Each of 8 blocks is two layers; the stem, the readout.
    assert_eq!(report["layers"], 18);
    let network = Network::load(&out).unwrap();
    assert_eq!(network.layers[0].name, "act");

    let data = images(folder.path());
    let run = json(&["run", text(&out), "--data", text(&data), "--float"]);
    // Weights are random, and the classes close to each other: not all are the float network's.
    let example = Graph::load(&sample()).unwrap().example.unwrap();
    let largest =
        |logits: &Vec<f32>| (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
    let classes = run["classes"].as_array().unwrap().iter();
    let same = classes.zip(&example.logits).filter(|(class, logits)| **class == largest(logits)).count();
    assert!(same > 0);
    assert_eq!(run["float"]["same_class"], same);
    let page = folder.path().join("report.html");
    succeeds(&["report", text(&out), "--data", text(&data), "--out", text(&page)]);
    assert!(page.exists());
}

#[test]
fn a_graph_whose_example_differs_is_refused() {
    let folder = TempDir::new().unwrap();
    let (path, out) = (folder.path().join("other.safetensors"), folder.path().join("net.mst"));
    let mut graph = Graph::load(&sample()).unwrap();
    graph.example.as_mut().unwrap().logits[2][7] += 0.5;
    graph.save(&path).unwrap();
    refuses(
        &["convert", text(&path), "--out", text(&out)],
        &["other.safetensors", "example, image 2, class 7"],
    );
    assert!(!out.exists());
    let right = folder.path().join("right.mst");
    succeeds(&["convert", text(&sample()), "--out", text(&right)]);
    let data = images(folder.path());
    refuses(
        &["run", text(&right), "--data", text(&data), "--float", text(&path)],
        &["example, image 2, class 7"],
    );
    let swin = workspace().join("model/tests/golden/own_swin.safetensors");
    refuses(
        &["run", text(&right), "--data", text(&data), "--float", text(&swin)],
        &["--float", "layers of neurons"],
    );
}

#[test]
fn names_are_those_asked_for_or_the_files() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("net.mst");
    let named = json(&["convert", text(&sample()), "--out", text(&out), "--name", "mine"]);
    assert_eq!(named["name"], "mine");
    let nothing = gen_command(&["convert", text(&sample()), "--out", text(&out), "--name", "a\nb"]);
    assert_eq!(nothing.status.code(), Some(2));
}

/// What is no graph file is read, and refused, as a checkpoint is.
#[test]
fn one_reader_takes_both_formats() {
    let swin = workspace().join("model/tests/golden/own_swin.safetensors");
    let read = GraphFile::load(&swin).unwrap();
    assert_eq!(read.name, None);
    assert_eq!(read.graph, Graph::from(&Checkpoint::load(&swin).unwrap()));
    let said = GraphFile::from_bytes(b"PK\x03\x04").unwrap_err().to_string();
    assert_eq!(said, Checkpoint::from_bytes(b"PK\x03\x04").unwrap_err().to_string());
}
