//! Images of users through every command that takes them. The sources themselves are tested in the crate `images`.

mod support;

use image::ExtendedColorType::{L8, Rgb8};
use model::Network;
use model::network::{Operation, Weights};
use serde_json::Value;
use std::path::{Path, PathBuf};
use support::{json, refuses, succeeds, text, workspace};
use tempfile::TempDir;

fn case(name: &str) -> PathBuf {
    workspace().join("tests/cases").join(name)
}

/// A network from a checkpoint.
fn network(folder: &TempDir, checkpoint: &Path) -> PathBuf {
    let net = folder.path().join("net.mst");
    succeeds(&["convert", text(checkpoint), "--out", text(&net)]);
    net
}

/// A network of 28 x 28 grey images and four classes.
fn four_classes() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let net = network(&folder, &case("four-classes-28x28.safetensors"));
    (folder, net)
}

/// A network of 16 x 16 colour images.
fn colour() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let net = network(&folder, &workspace().join("model/tests/golden/own_swin.safetensors"));
    (folder, net)
}

/// Interleaved pixels of a colour picture.
fn picture(seed: usize) -> Vec<u8> {
    (0..16 * 16 * 3).map(|at| (at * (seed + 3) * 7 + at / 48 * 31) as u8).collect()
}

/// Colour pictures in a folder for each class, and the same ones as an array of NumPy.
fn colour_images(folder: &Path, classes: usize) -> (PathBuf, PathBuf) {
    let (photos, array) = (folder.join("photos"), folder.join("photos.npy"));
    let mut bytes = Vec::new();
    for class in 0..classes {
        let path = photos.join(format!("class {class}"));
        std::fs::create_dir_all(&path).unwrap();
        let pixels = picture(class);
        image::save_buffer(path.join("0.png"), &pixels, 16, 16, Rgb8).unwrap();
        bytes.extend(pixels);
    }
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({classes}, 16, 16, 3), }}");
    let header = format!("{header:<117}\n");
    std::fs::write(&array, [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes(), &bytes].concat()).unwrap();
    (photos, array)
}

#[test]
fn labels_beyond_the_classes_are_refused_wherever_labels_are_read() {
    let (folder, net) = four_classes();
    let (net, data) = (text(&net), case("labels-beyond-classes"));
    let words = ["image 0 has label 9", "4 classes (0 to 3)", "--labels"];
    let points = folder.path().join("points.csv");
    for command in [
        &["run", net][..],
        &["cosim", net],
        &["spikes", net, "--out", "x.safetensors"],
        &["sweep", net, "--out", text(&points)],
    ] {
        refuses(&[command, &["--images", "2", "--data", text(&data)]].concat(), &words);
    }
    refuses(&["vectors", net, "--out", "x", "--data", text(&data)], &words);
    refuses(&["report", net, "--out", "x.html", "--images", "2", "--data", text(&data)], &words);
    let labels = folder.path().join("labels.txt");
    std::fs::write(&labels, "0\n1\n2\n3\n0\n4\n").unwrap();
    let plain = case("plain-idx");
    refuses(
        &["run", net, "--data", text(&plain), "--labels", text(&labels)],
        &["image 5 has label 4", "labels.txt"],
    );
    let said = json(&["run", net, "--images", "6", "--data", text(&plain)]);
    assert_eq!(said["confusion"].as_array().unwrap().len(), 4);
    assert_eq!((&said["part"], said["correct"].as_u64()), (&"test".into(), Some(2)));
}

#[test]
fn images_of_another_shape_are_refused_though_they_have_as_many_bytes() {
    for (name, shape) in [("image-14x56x1", "14 x 56 x 1"), ("image-14x14x4", "14 x 14 x 4")] {
        let folder = tempfile::tempdir().unwrap();
        let net = network(&folder, &case(&format!("{name}.safetensors")));
        for command in ["run", "cosim", "card"] {
            refuses(&[command, text(&net), "--images", "1"], &["28 x 28 x 1", shape]);
        }
    }
}

#[test]
fn default_images_give_the_figures_that_they_always_gave() {
    let (_folder, net) = support::converted();
    let said = json(&["run", text(&net), "--images", "100"]);
    let figures = ["correct", "fired", "spikes", "synaptic_events"].map(|name| said[name].as_u64());
    assert_eq!(figures, [89, 35_626_791, 35_626_791, 1_483_671_719].map(Some));
    assert_eq!((&said["part"], said["accuracy"].as_f64()), (&"test".into(), Some(0.89)));
}

#[test]
fn without_labels_classes_are_shown_and_accuracy_is_absent() {
    let (folder, net) = four_classes();
    let shoe = folder.path().join("shoe.png");
    image::save_buffer(&shoe, &[90; 30 * 40], 40, 30, L8).unwrap();
    let arguments = ["run", text(&net), "--images", "1", "--data", text(&shoe)];
    refuses(&arguments, &["30 x 40 x 1", "28 x 28 x 1", "--resize"]);
    let arguments = [&arguments[..], &["--resize"]].concat();
    let said = json(&arguments);
    for field in ["correct", "accuracy", "confusion"] {
        assert!(said[field].is_null(), "{field} of {said}");
    }
    assert_eq!((&said["part"], said["classes"].as_array().unwrap().len()), (&"all".into(), 1));
    let names = folder.path().join("names.txt");
    std::fs::write(&names, "boot\nhat\nglove\nscarf\n").unwrap();
    let shown = succeeds(&[&arguments[..], &["--class-names", text(&names)]].concat());
    let class = said["classes"][0].as_u64().unwrap() as usize;
    let line = format!("image 0: class {class} {}", ["boot", "hat", "glove", "scarf"][class]);
    assert!(shown.contains(&line) && shown.contains("accuracy –, for want of labels"), "{shown}");
    let points = folder.path().join("points.csv");
    let sweep =
        ["sweep", text(&net), "--images", "1", "--data", text(&shoe), "--resize", "--out", text(&points)];
    assert!(json(&sweep)[0]["accuracy"].is_null());
    assert!(succeeds(&sweep).contains("–"), "and is found again in the file");
}

#[test]
fn points_of_other_images_are_not_taken_for_these() {
    let (folder, net) = four_classes();
    let points = folder.path().join("points.csv");
    let plain = case("plain-idx");
    let sweep = |more: &[&str]| {
        let fixed = ["sweep", text(&net), "--images", "6", "--data", text(&plain), "--out", text(&points)];
        json(&[&fixed[..], more].concat()).as_array().unwrap().clone()
    };
    let first = sweep(&[]);
    let labels = folder.path().join("labels.txt");
    std::fs::write(&labels, "1\n1\n1\n1\n1\n1\n").unwrap();
    let second = sweep(&["--labels", text(&labels)]);
    assert_ne!(first[0]["data"], second[0]["data"]);
    assert_ne!(first[0]["correct"], second[0]["correct"]);
    assert_eq!(sweep(&[]), first);
}

#[test]
fn a_network_of_one_class_has_no_accuracy() {
    let (folder, net) = four_classes();
    let mut network = Network::load(&net).unwrap();
    network.classes = 1;
    let readout = network.layers.last_mut().unwrap();
    readout.channels = 1;
    let Operation::Linear { terms, bias } = &mut readout.operation else {
        panic!("the last layer is the readout")
    };
    let Weights::Dense(weights) = &mut terms[0].weights else { panic!("a matrix") };
    weights.truncate(weights.len() / bias.len());
    bias.truncate(1);
    network.save(&net).unwrap();
    let labels = folder.path().join("labels.txt");
    std::fs::write(&labels, "0\n0\n0\n0\n0\n0\n").unwrap();
    let plain = case("plain-idx");
    let images = ["--images", "6", "--data", text(&plain), "--labels", text(&labels)];
    let said = json(&[&["run", text(&net)], &images[..]].concat());
    assert_eq!((&said["accuracy"], &said["correct"]), (&Value::Null, &Value::Null));
    assert_eq!(said["confusion"], serde_json::json!([[6]]));
    let shown = succeeds(&[&["run", text(&net)], &images[..]].concat());
    assert!(shown.contains("accuracy –, for there is one class only"), "{shown}");
    let points = folder.path().join("points.json");
    let rows = json(&[&["sweep", text(&net), "--out", text(&points)], &images[..]].concat());
    assert!(rows[0]["accuracy"].is_null() && rows[0]["correct"].is_null(), "{rows}");
}

#[test]
fn colour_images_go_through_run_spikes_vectors_sweep_and_report() {
    let (folder, net) = colour();
    let classes = Network::load(&net).unwrap().classes;
    let (photos, array) = colour_images(folder.path(), classes);
    let (net, count) = (text(&net), classes.to_string());
    let images = |data: &Path| ["--images", &count, "--data", text(data)].map(str::to_owned);
    let with = |command: &[&str], data: &Path| {
        let arguments = images(data);
        json(&[command, &arguments.iter().map(String::as_str).collect::<Vec<_>>()].concat())
    };
    let pictures = with(&["run", net], &photos);
    let numbers = with(&["run", net], &array);
    for field in ["spikes", "synaptic_events", "classes"] {
        assert_eq!(pictures[field], numbers[field], "{field}: the same pixels from both sources");
    }
    assert_eq!(pictures["class_names"][1], "class 1");
    assert_eq!(pictures["confusion"].as_array().unwrap().len(), classes);
    assert!(pictures["accuracy"].is_f64() && numbers["accuracy"].is_null());

    let out = folder.path().join("spikes.safetensors");
    assert_eq!(with(&["spikes", net, "--out", text(&out)], &photos)["spikes"], pictures["spikes"]);
    let out = folder.path().join("points.csv");
    assert_eq!(with(&["sweep", net, "--out", text(&out)], &photos)[0]["spikes"], pictures["spikes"]);
    let out = folder.path().join("vectors");
    let run = json(&[
        "vectors",
        net,
        "--preset",
        "tiny",
        "--out",
        text(&out),
        "--first",
        "2",
        "--data",
        text(&photos),
    ]);
    assert_eq!(run["image"], 2);
    let page = folder.path().join("report.html");
    with(&["report", net, "--out", text(&page)], &photos);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("class 2"), "classes have their names in the report");

    // Mistakes of colour and of channels.
    let grey = folder.path().join("grey.npy");
    let header = format!("{:<117}\n", "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 16, 16), }");
    std::fs::write(&grey, [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes(), &[7; 256]].concat()).unwrap();
    refuses(
        &["run", net, "--images", "1", "--data", text(&grey)],
        &["16 x 16 x 1", "16 x 16 x 3", "--convert-color"],
    );
    succeeds(&["run", net, "--images", "1", "--data", text(&grey), "--convert-color"]);
}

#[test]
fn slow_colour_images_agree_on_the_core() {
    let (folder, net) = colour();
    let classes = Network::load(&net).unwrap().classes;
    let (photos, _) = colour_images(folder.path(), classes);
    let arguments = ["cosim", text(&net), "--preset", "tiny", "--images", "2", "--data", text(&photos)];
    let said = json(&arguments);
    assert_eq!((said["images"].as_u64(), said["mismatches"].as_u64()), (Some(2), Some(0)), "{said}");
    assert_eq!((&said["class_names"][0], said["results"][1]["label"].as_u64()), (&"class 0".into(), Some(1)));
    let table = succeeds(&arguments);
    assert!(table.contains("0 class 0"), "{table}");
    // Without labels, neither a label nor a number of right answers.
    let one = photos.join("class 1");
    let arguments = ["cosim", text(&net), "--preset", "tiny", "--images", "1", "--data", text(&one)];
    let said = json(&arguments);
    assert!(said["correct"].is_null() && said["results"][0]["label"].is_null(), "{said}");
}
