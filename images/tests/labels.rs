//! Labels and names of classes: those of folders, of files beside the images, and of options.

mod support;

use image::ExtendedColorType::L8;
use images::{Options, Part};
use support::{Folder, NONE, gzip, idx, load, network, npy, png, refused};

/// A folder with classes: the value of a pixel is ten times the class's place in the order of names, and one for each image.
fn classes(names: &[&str]) -> Folder {
    let folder = Folder::new();
    for (class, name) in names.iter().enumerate() {
        for image in 0..2 {
            let value = (10 * class + image) as u8;
            folder.file(&format!("{name}/{image}.png"), png(1, 1, L8, &[value]));
        }
    }
    folder
}

#[test]
fn folders_of_pictures_without_classes_are_in_the_order_of_their_names() {
    let folder = Folder::new();
    for (name, value) in [("b.png", 2), ("a.png", 1), ("10.png", 10), ("2.png", 20)] {
        folder.file(name, png(1, 1, L8, &[value]));
    }
    folder.file("notes.txt", "not a picture");
    let data = load(folder.path(), &network(1, 1, 1, 2), &NONE).unwrap();
    assert_eq!((data.pixels, data.labels), (vec![10, 20, 1, 2], None));
    folder.file("broken.png", "not a picture");
    refused(folder.path(), &network(1, 1, 1, 2), &NONE, &["broken.png", "convert it"]);
}

#[test]
fn folders_are_classes_in_the_order_of_their_names_or_by_the_names_that_are_known() {
    let folder = classes(&["bird", "cat", "frog"]);
    let mut net = network(1, 1, 1, 3);
    let data = load(folder.path(), &net, &NONE).unwrap();
    assert_eq!(data.pixels, [0, 1, 10, 11, 20, 21]);
    assert_eq!(data.labels, Some(vec![0, 0, 1, 1, 2, 2]));
    assert_eq!(data.class_names, ["bird", "cat", "frog"]);

    net.class_names = ["frog", "bird", "cat"].map(str::to_owned).to_vec();
    let data = load(folder.path(), &net, &NONE).unwrap();
    assert_eq!((data.labels, data.class_names), (Some(vec![1, 1, 2, 2, 0, 0]), net.class_names.clone()));
    net.class_names[0] = "toad".to_owned();
    refused(folder.path(), &net, &NONE, &["`frog`", "toad, bird, cat", "--class-names"]);

    // More folders than classes: no names help.
    for names in [&[][..], &["bird", "cat"]] {
        let mut few = network(1, 1, 1, 2);
        few.class_names = names.iter().map(|&name| name.to_owned()).collect();
        refused(
            folder.path(),
            &few,
            &NONE,
            &["3 folders", "2 classes", "take folders away", "with 3 classes"],
        );
    }

    // Fewer folders than classes: only names can tell which.
    refused(folder.path(), &network(1, 1, 1, 5), &NONE, &["3 folders", "5 classes", "--class-names"]);
    let names = folder.file("../names.txt", "dog\r\ncat\r\nbird\r\nfrog\r\nhorse\r\n\r\n");
    let named = Options { class_names: Some(names.clone()), ..NONE };
    let data = load(folder.path(), &network(1, 1, 1, 5), &named).unwrap();
    assert_eq!(data.labels, Some(vec![2, 2, 1, 1, 3, 3]));
    refused(folder.path(), &network(1, 1, 1, 4), &named, &["5 names", "4 classes"]);
    std::fs::remove_file(names).unwrap();
}

#[test]
fn folders_that_could_mean_several_things_are_refused() {
    let net = network(1, 1, 1, 2);
    let folder = classes(&["a", "b"]);
    folder.file("beside.png", png(1, 1, L8, &[0]));
    refused(folder.path(), &net, &NONE, &["beside", "a, b"]);
    let folder = classes(&["a", "b"]);
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    refused(folder.path(), &net, &NONE, &["`empty` has no pictures"]);
    let folder = classes(&["train/a", "train/b"]);
    refused(folder.path(), &net, &NONE, &["subfolders are the classes", "train"]);
    let folder = Folder::new();
    refused(folder.path(), &net, &NONE, &["no images in it"]);
    folder.file("x.npy", npy("|u1", false, &[1, 1, 1], &[0]));
    refused(folder.path(), &net, &NONE, &["x.npy", "--data"]);
    folder.file("i", idx(&[1, 1, 1], &[0]));
    folder.file("p.png", png(1, 1, L8, &[0]));
    refused(folder.path(), &net, &NONE, &["several formats", "--data"]);
    let folder = Folder::new();
    folder.file("train-images", idx(&[1, 1, 1], &[0]));
    refused(folder.path(), &net, &NONE, &["--part train"]);
    let test = Options { part: Some(Part::Test), ..NONE };
    refused(folder.path(), &net, &test, &["part test", "train-images"]);
    refused(&folder.file("p.png", png(1, 1, L8, &[0])), &net, &test, &["no parts", "--part"]);
}

#[test]
fn labels_come_from_idx_numpy_or_text() {
    let folder = Folder::new();
    let net = network(1, 1, 1, 3);
    let images = folder.file("i", idx(&[3, 1, 1], &[5, 6, 7]));
    let with = |name: &str, bytes: Vec<u8>| Options { labels: Some(folder.file(name, bytes)), ..NONE };
    for options in [
        with("l.idx", idx(&[3], &[2, 0, 1])),
        with("l.idx.gz", gzip(&idx(&[3], &[2, 0, 1]))),
        with("l.npy", npy("<i4", false, &[3], &[2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0])),
        with("l.txt", b"2\n0\r\n 1 \n\n".to_vec()),
        with("marked.txt", b"\xef\xbb\xbf2\n0\n1\n".to_vec()),
    ] {
        assert_eq!(load(&images, &net, &options).unwrap().labels, Some(vec![2, 0, 1]), "{options:?}");
    }
    for (options, word) in [
        (with("l1", b"2\nzero\n1\n".to_vec()), "line 2 is \"zero\""),
        (with("l2", b"2\n1\n".to_vec()), "2 labels, but 3 images"),
        (with("l3", b"2\n1\n3\n".to_vec()), "image 2 has label 3, but the network has 3 classes (0 to 2)"),
        (with("l4", b"2\n-1\n0\n".to_vec()), "image 1 has label -1"),
        (with("l5", idx(&[3], &[0, 1, 200])), "image 2 has label 200"),
        (with("l6", npy("<f4", false, &[3], &[0; 12])), "one integer an image"),
        (
            with("l9", npy("<u8", false, &[3], &(1u64 << 63).to_le_bytes().repeat(3))),
            "label 9223372036854775808",
        ),
        (with("l7", vec![0xff, 0xfe, 0xfd]), "labels are an idx file"),
    ] {
        refused(&images, &net, &options, &[word]);
    }
    refused(
        &images,
        &network(1, 1, 1, 1),
        &with("l8", b"0\n1\n0\n".to_vec()),
        &["image 1 has label 1", "1 class (0)"],
    );
}

#[test]
fn class_names_are_one_line_each_distinct_and_printable() {
    let folder = Folder::new();
    let images = folder.file("i", idx(&[1, 1, 1], &[0]));
    let named = |text: &str| Options { class_names: Some(folder.file("names", text)), ..NONE };
    let net = network(1, 1, 1, 2);
    assert_eq!(
        load(&images, &net, &named("cat\nT-shirt/top\n")).unwrap().class_names,
        ["cat", "T-shirt/top"]
    );
    for (text, word) in [
        ("cat\n", "1 names"),
        ("cat\ncat\n", "both called `cat`"),
        ("cat\n\x1b[31m\n", "printable"),
        ("\ncat\n", "class 0 is called ``, allowed: 1..=128 characters"),
        ("cat\nright\u{202e}left\n", "printable"),
        ("cat\nno\u{200b}width\n", "printable"),
        ("cat\nline\u{2028}separator\n", "printable"),
        (&format!("cat\n{}\n", "x".repeat(129)), "1..=128"),
    ] {
        refused(&images, &net, &named(text), &["names", word]);
    }
    let long = "x".repeat(128);
    let marked = named(&format!("\u{feff}cat\n{long}\n"));
    assert_eq!(load(&images, &net, &marked).unwrap().class_names, ["cat", &long]);
    let folder = classes(&["a", "no\u{200b}width"]);
    refused(folder.path(), &net, &NONE, &["class 1", "printable", "rename it"]);
}
