//! Images of users on a Verilated core, and what is refused before a core is even made.

use image::ExtendedColorType::Rgb8;
use model::{Checkpoint, ConvertOptions, convert};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn mst(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mst"));
    command.env_remove("MST_LINK").current_dir(workspace()).args(["--link", "sim:tiny"]);
    command.args(arguments).output().unwrap()
}

fn refuses(arguments: &[&str], words: &[&str]) {
    let output = mst(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "mst {arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "mst {arguments:?} does not say `{word}`: {said}");
    }
}

/// A network from a checkpoint.
fn network(folder: &TempDir, checkpoint: &str) -> String {
    let net = folder.path().join("net.mst");
    let checkpoint = Checkpoint::load(&workspace().join(checkpoint)).unwrap();
    convert(&checkpoint, &ConvertOptions::new("test")).unwrap().save(&net).unwrap();
    net.to_str().unwrap().to_owned()
}

#[test]
fn images_of_another_shape_and_foreign_labels_are_refused() {
    for (name, shape) in [("image-14x56x1", "14 x 56 x 1"), ("image-14x14x4", "14 x 14 x 4")] {
        let folder = tempfile::tempdir().unwrap();
        let net = network(&folder, &format!("tests/cases/{name}.safetensors"));
        for command in [&["infer", "0"][..], &["selftest"], &["bench", "--images", "2"]] {
            refuses(&[command, &["--network", &net]].concat(), &["28 x 28 x 1", shape]);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let net = network(&folder, "tests/cases/four-classes-28x28.safetensors");
    let data = ["--data", "tests/cases/labels-beyond-classes"];
    for command in [&["infer", "1"][..], &["selftest"], &["bench"]] {
        let words = ["image 0 has label 9", "4 classes (0 to 3)"];
        refuses(&[command, &["--network", &net], &data].concat(), &words);
    }
}

#[test]
fn numbers_and_ranges_that_name_no_image_say_how_to_write_them() {
    refuses(&["infer", "3..1"], &["3..1", "backwards", "write 1..4"]);
    refuses(&["infer", "3..3"], &["3..3", "empty range", "write 3, or 3..4"]);
    refuses(&["infer", "9990..10001"], &["images 0 to 9999", "--data"]);
    refuses(&["infer", "nowhere"], &["no such file", "5..10"]);
    refuses(&["infer", "README.md"], &["README.md", "not a file of images"]);
    refuses(&["infer", "models/data/fashion-mnist"], &["not a picture", "--data"]);
    refuses(&["selftest", "--images", "10001"], &["--images is 10001", "1..=10000"]);
    refuses(&["infer", "0", "--part", "train"], &["--part"]);
}

#[test]
fn options_of_the_data_set_are_refused_where_pictures_alone_are_named() {
    let options = [
        ("--data", "/nope"),
        ("--labels", "/nope"),
        ("--part", "train"),
        ("--axes", "nchw"),
        ("--scale", "255"),
    ];
    for (option, value) in options {
        let said = format!("{option} is {value}");
        refuses(&["infer", "a.png", "b.png", option, value], &["a.png", &said, "leave it out"]);
    }
    refuses(&["infer", "a.png"], &["a.png", "no such file"]);
}

#[test]
fn slow_colour_pictures_are_classified_on_a_verilated_core() {
    let folder = tempfile::tempdir().unwrap();
    let net = network(&folder, "model/tests/golden/own_swin.safetensors");
    let photo = folder.path().join("photo.png");
    let pixels: Vec<u8> = (0..20 * 24 * 3).map(|at| (at * 13 + at / 60 * 7) as u8).collect();
    image::save_buffer(&photo, &pixels, 24, 20, Rgb8).unwrap();
    let classes = Checkpoint::load(&workspace().join("model/tests/golden/own_swin.safetensors")).unwrap();
    let classes = convert(&classes, &ConvertOptions::new("test")).unwrap().classes;
    let names = folder.path().join("names.txt");
    let text: String = (0..classes).map(|class| format!("name {class}\n")).collect();
    std::fs::write(&names, text).unwrap();
    let (photo, names) = (photo.to_str().unwrap(), names.to_str().unwrap());
    refuses(&["infer", photo, "--network", &net], &["20 x 24 x 3", "16 x 16 x 3", "--resize"]);
    let output = mst(&["--json", "infer", photo, "--network", &net, "--resize", "--class-names", names]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["differ"], &said["correct"]), (&0.into(), &Value::Null), "{said}");
    let answer = &said["answers"][0];
    let name = format!("name {}", answer["class"]);
    assert_eq!((answer["identical"].as_bool(), answer["class_name"].as_str()), (Some(true), Some(&*name)));
}
