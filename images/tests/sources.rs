//! Idx files, batches of CIFAR, and what is no source of images, from bytes made here.

mod support;

use image::ExtendedColorType::L8;
use images::{Axes, Options, Part, Source};
use support::{Folder, NONE, gzip, idx, load, network, pattern, planes, png, refused};

#[test]
fn idx_folders_plain_or_gzipped_by_content_and_whatever_their_names() {
    let (pixels, net) = (pattern(6 * 4 * 5), network(4, 5, 1, 3));
    let (images, labels) = (idx(&[6, 4, 5], &pixels), idx(&[6], &[0, 1, 2, 0, 1, 2]));
    for (image_name, label_name, part) in [
        ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", Some(Part::Test)),
        ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", Some(Part::Test)),
        ("pixels", "classes", None),
    ] {
        for packed in [false, true] {
            let folder = Folder::new();
            let bytes = |bytes: &[u8]| if packed { gzip(bytes) } else { bytes.to_vec() };
            folder.file(image_name, bytes(&images));
            folder.file(label_name, bytes(&labels));
            folder.file("README.md", "no images");
            folder.file(".hidden.png", "no picture");
            let source = Source::open(folder.path(), &net, &NONE).unwrap();
            assert_eq!((source.part(), source.len(), source.label(4)), (part, 6, Some(1)));
            let data = source.read(1..3).unwrap();
            assert_eq!(data.pixels, pixels[20..60], "{image_name}");
            assert_eq!(data.labels, Some(vec![1, 2]));
        }
    }
}

#[test]
fn idx_files_with_and_without_labels_and_with_channels() {
    let folder = Folder::new();
    let pixels = pattern(2 * 3 * 4 * 5);
    let grey = folder.file("grey", idx(&[6, 4, 5], &pixels));
    assert_eq!(load(&grey, &network(4, 5, 1, 3), &NONE).unwrap().labels, None);
    let labels = folder.file("labels", gzip(&idx(&[6], &[2; 6])));
    let labelled = Options { labels: Some(labels.clone()), ..NONE };
    assert_eq!(load(&grey, &network(4, 5, 1, 3), &labelled).unwrap().labels, Some(vec![2; 6]));
    refused(&labels, &network(4, 5, 1, 3), &NONE, &["labels", "--data", "--labels"]);

    let first = folder.file("nchw", idx(&[2, 3, 4, 5], &pixels));
    assert_eq!(load(&first, &network(4, 5, 3, 3), &NONE).unwrap().pixels, pixels);
    let last = folder.file("nhwc", idx(&[2, 4, 5, 3], &pixels));
    let expected = pixels.chunks(60).flat_map(|image| planes(image, 3)).collect::<Vec<u8>>();
    assert_eq!(load(&last, &network(4, 5, 3, 3), &NONE).unwrap().pixels, expected);
}

#[test]
fn shapes_are_compared_not_bytes() {
    let folder = Folder::new();
    let path = folder.file("square", idx(&[1, 28, 28], &pattern(784)));
    for (height, width, channels) in [(14, 56, 1), (14, 14, 4), (28, 28, 3)] {
        let found = format!("the network takes {height} x {width} x {channels}");
        refused(&path, &network(height, width, channels, 4), &NONE, &["28 x 28 x 1", &found]);
    }
    refused(&path, &network(14, 56, 1, 4), &NONE, &["--resize"]);
    refused(&path, &network(28, 28, 3, 4), &NONE, &["--convert-color"]);
    let converted = load(&path, &network(28, 28, 3, 4), &Options { convert_color: true, ..NONE }).unwrap();
    assert_eq!(converted.pixels, pattern(784).repeat(3));
}

#[test]
#[cfg(unix)]
fn pipes_and_devices_are_refused_and_passed_over_in_folders() {
    let folder = Folder::new();
    let net = network(1, 1, 1, 2);
    let images = folder.file("in/p.png", png(1, 1, L8, &[7]));
    let pipe = folder.path().join("in/pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    refused(&pipe, &net, &NONE, &["a pipe", "allowed: a regular file"]);
    for options in
        [Options { labels: Some(pipe.clone()), ..NONE }, Options { class_names: Some(pipe.clone()), ..NONE }]
    {
        refused(&images, &net, &options, &["a pipe", "allowed: a regular file"]);
    }
    assert_eq!(load(&folder.path().join("in"), &net, &NONE).unwrap().pixels, [7]);
}

#[test]
fn pickles_of_python_are_named_for_what_they_are() {
    let folder = Folder::new();
    let net = network(32, 32, 3, 10);
    let pickle = folder.file("data_batch_1", b"\x80\x02}q\x01(U\x0bbatch_label");
    for path in [folder.path(), &pickle] {
        refused(path, &net, &NONE, &["data_batch_1", "pickle", "binary version", "numpy.save"]);
    }
}

/// Records of CIFAR.
fn records(labels: &[&[u8]]) -> Vec<u8> {
    let record = |(n, label): (usize, &&[u8])| [label.to_vec(), pattern(3072 + n)[n..].to_vec()].concat();
    labels.iter().enumerate().flat_map(record).collect()
}

#[test]
fn cifar_batches_of_both_kinds() {
    let folder = Folder::new();
    let ten = folder.file("some.bin", records(&[&[3], &[9]]));
    let data = load(&ten, &network(32, 32, 3, 10), &NONE).unwrap();
    assert_eq!((data.len(), data.labels), (2, Some(vec![3, 9])));
    assert_eq!(data.pixels, [pattern(3072), pattern(3073)[1..].to_vec()].concat());
    let hundred = folder.file("other.bin", records(&[&[19, 42], &[0, 99]]));
    assert_eq!(load(&hundred, &network(32, 32, 3, 100), &NONE).unwrap().labels, Some(vec![42, 99]));
    refused(&hundred, &network(32, 32, 3, 20), &NONE, &["image 0 has label 42", "20 classes", "--labels"]);
    refused(&ten, &network(28, 28, 1, 10), &NONE, &["32 x 32 x 3", "--resize", "--convert-color"]);
    let any = Options { resize: true, convert_color: true, ..NONE };
    assert_eq!(load(&ten, &network(28, 28, 1, 10), &any).unwrap().pixels.len(), 2 * 784);

    // Label 0 and dark pixels begin like an idx file with three axes.
    let mut dark = records(&[&[0]]);
    dark[1..4].copy_from_slice(&[0, 8, 3]);
    let dark = folder.file("dark.bin", dark);
    assert_eq!(load(&dark, &network(32, 32, 3, 10), &NONE).unwrap().labels, Some(vec![0]));
}

#[test]
fn cifar_folders_have_parts() {
    let folder = Folder::new();
    folder.file("test_batch.bin", records(&[&[1], &[2]]));
    folder.file("data_batch_1.bin", records(&[&[4]]));
    folder.file("data_batch_2.bin", records(&vec![&[5][..]; 5001]));
    folder.file("batches.meta.txt", "airplane\nautomobile\n");
    let net = network(32, 32, 3, 10);
    assert_eq!(load(folder.path(), &net, &NONE).unwrap().labels, Some(vec![1, 2]));
    let source = |part| Source::open(folder.path(), &net, &Options { part: Some(part), ..NONE }).unwrap();
    let train = source(Part::Train);
    assert_eq!((train.len(), train.label(0), train.label(1)), (2, Some(4), Some(5)));
    assert_eq!(source(Part::HeldOut).len(), 5000);
}

#[test]
fn options_that_a_source_has_no_use_for_are_refused() {
    let folder = Folder::new();
    let picture = folder.file("p.png", png(1, 1, L8, &[0]));
    let images = folder.file("i", idx(&[1, 1, 1], &[0]));
    let net = network(1, 1, 1, 2);
    let (scale, axes) = (Options { scale: Some(2.0), ..NONE }, Options { axes: Some(Axes::Nchw), ..NONE });
    refused(&picture, &net, &scale, &["--scale", "leave it out"]);
    refused(&images, &net, &scale, &["--scale", "leave it out"]);
    refused(&picture, &net, &axes, &["--axes", "leave it out"]);
}
