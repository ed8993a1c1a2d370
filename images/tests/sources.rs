//! Every source of images, from bytes made here: the same pixels come out of each.

mod support;

use image::ExtendedColorType::{L8, L16, La8, Rgb8, Rgba8};
use image::ImageFormat;
use images::{Axes, Options, Part, Source};
use support::{Folder, encoded, gzip, idx, load, network, npy, npz, planes, png, refused};

const NONE: Options = Options {
    part: None,
    labels: None,
    class_names: None,
    resize: false,
    convert_color: false,
    axes: None,
    scale: None,
};

/// Bytes that all differ, nearly.
fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at * 37 + at / 256) as u8).collect()
}

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
fn arrays_of_four_axes_are_read_either_way_and_asked_about_where_both_fit() {
    let folder = Folder::new();
    let pixels = pattern(2 * 3 * 3 * 3);
    let path = folder.file("cubes.npy", npy("|u1", false, &[2, 3, 3, 3], &pixels));
    let net = network(3, 3, 3, 2);
    refused(&path, &net, &NONE, &["--axes nchw", "--axes nhwc"]);
    let read = |axes| load(&path, &net, &Options { axes: Some(axes), ..NONE }).unwrap().pixels;
    assert_eq!(read(Axes::Nchw), pixels);
    assert_eq!(read(Axes::Nhwc), [planes(&pixels[..27], 3), planes(&pixels[27..], 3)].concat());
    let flat = folder.file("flat.npy", npy("|u1", false, &[6, 9], &pixels));
    refused(&flat, &net, &NONE, &["[6, 9]", "three axes"]);
    let grey = folder.file("grey.npy", npy("|u1", false, &[6, 3, 3], &pixels));
    refused(&grey, &network(3, 3, 1, 2), &Options { axes: Some(Axes::Nchw), ..NONE }, &["leave --axes out"]);
}

#[test]
fn numpy_numbers_of_all_types_and_orders() {
    let folder = Folder::new();
    let net = network(2, 3, 1, 2);
    let values: [u8; 12] = [0, 1, 2, 50, 100, 127, 128, 200, 250, 253, 254, 255];
    let little = |value: u8| [value, 0, 0, 0, 0, 0, 0, 0];
    let cases: Vec<(&str, Option<f64>, Vec<u8>)> = vec![
        ("|u1", None, values.to_vec()),
        ("<u2", None, values.iter().flat_map(|&v| u16::from(v).to_le_bytes()).collect()),
        (">u2", None, values.iter().flat_map(|&v| u16::from(v).to_be_bytes()).collect()),
        ("<i4", None, values.iter().flat_map(|&v| i32::from(v).to_le_bytes()).collect()),
        (">i8", None, values.iter().flat_map(|&v| i64::from(v).to_be_bytes()).collect()),
        ("<u8", None, values.iter().flat_map(|&v| little(v)).collect()),
        ("<f4", Some(255.0), values.iter().flat_map(|&v| (f32::from(v) / 255.0).to_le_bytes()).collect()),
        (">f4", Some(1.0), values.iter().flat_map(|&v| f32::from(v).to_be_bytes()).collect()),
        ("<f8", Some(255.0), values.iter().flat_map(|&v| (f64::from(v) / 255.0).to_le_bytes()).collect()),
        (">f8", Some(0.5), values.iter().flat_map(|&v| (f64::from(v) * 2.0).to_be_bytes()).collect()),
    ];
    for (descr, scale, bytes) in cases {
        let path = folder.file("x.npy", npy(descr, false, &[2, 2, 3], &bytes));
        assert_eq!(load(&path, &net, &Options { scale, ..NONE }).unwrap().pixels, values, "{descr}");
        let packed = folder.file("x.npy.gz", gzip(&npy(descr, false, &[2, 2, 3], &bytes)));
        assert_eq!(
            load(&packed, &net, &Options { scale, ..NONE }).unwrap().pixels,
            values,
            "{descr}, gzipped"
        );
        // Fortran order: the first index moves fastest.
        let size = bytes.len() / 12;
        let element = |n: usize, y: usize, x: usize| &bytes[(n * 6 + y * 3 + x) * size..][..size];
        let fortran: Vec<u8> = (0..12).flat_map(|at| element(at % 2, at / 2 % 2, at / 4)).copied().collect();
        let path = folder.file("x.npy", npy(descr, true, &[2, 2, 3], &fortran));
        assert_eq!(load(&path, &net, &Options { scale, ..NONE }).unwrap().pixels, values, "{descr}, Fortran");
    }
    let bits = folder.file("bits.npy", npy("|b1", false, &[1, 2, 3], &[0, 1, 0, 1, 1, 0]));
    let scaled = load(&bits, &net, &Options { scale: Some(255.0), ..NONE }).unwrap();
    assert_eq!((scaled.pixels, scaled.notes.len()), (vec![0, 255, 0, 255, 255, 0], 0));
    refused(&bits, &net, &NONE, &["bool", "--scale", "255"]);
}

#[test]
fn arrays_of_0_and_1_are_read_with_a_note() {
    let folder = Folder::new();
    let net = network(1, 2, 1, 2);
    let floats: Vec<u8> = [0.0f32, 0.7].iter().flat_map(|value| value.to_le_bytes()).collect();
    let notes = |descr, bytes: &[u8], scale| {
        let path = folder.file("x.npy", npy(descr, false, &[1, 1, 2], bytes));
        load(&path, &net, &Options { scale, ..NONE }).unwrap().notes
    };
    for (descr, bytes, scale) in
        [("|u1", &[0, 1][..], None), ("<i2", &[1, 0, 0, 0], None), ("<f4", &floats, Some(1.0))]
    {
        assert_eq!(
            notes(descr, bytes, scale),
            ["all values are 0 or 1 of 255; --scale 255 if they are shares"],
            "{descr}"
        );
    }
    assert!(notes("|u1", &[0, 2], None).is_empty());
    assert!(notes("<f4", &floats, Some(255.0)).is_empty());
}

#[test]
fn one_image_as_an_array_needs_an_axis_in_front() {
    let folder = Folder::new();
    let (color, grey) = (network(4, 4, 3, 2), network(4, 4, 1, 2));
    let array =
        |shape: &[usize]| folder.file("x.npy", npy("|u1", false, shape, &pattern(shape.iter().product())));
    let converted = Options { convert_color: true, ..NONE };
    for options in [&NONE, &converted] {
        refused(
            &array(&[3, 4, 4]),
            &color,
            options,
            &["[3, 4, 4] is one image", "x[None]", "3 grey images", "x[:, None]"],
        );
        refused(&array(&[4, 4, 3]), &color, options, &["[4, 4, 3] is one image", "x[None]"]);
        refused(&array(&[4, 4]), &grey, options, &["[4, 4] is one image", "x[None]"]);
    }
    for (shape, net) in
        [(&[1, 3, 4, 4][..], &color), (&[1, 4, 4, 3], &color), (&[1, 4, 4], &grey), (&[3, 1, 4, 4], &color)]
    {
        assert!(load(&array(shape), net, &converted).is_ok(), "{shape:?}");
    }
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

#[test]
fn numbers_that_are_no_bytes_are_refused_with_their_place() {
    let folder = Folder::new();
    let net = network(1, 2, 1, 2);
    let floats = |values: [f32; 2]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let array = |descr, bytes: &[u8]| folder.file("x.npy", npy(descr, false, &[1, 1, 2], bytes));
    refused(&array("<f4", &floats([0.0, 1.0])), &net, &NONE, &["--scale", "255 where they are 0 to 1"]);
    let scaled = Options { scale: Some(255.0), ..NONE };
    for wrong in [-0.5, 1.1, f32::NAN, f32::INFINITY] {
        refused(&array("<f4", &floats([0.5, wrong])), &net, &scaled, &["element 1", "--scale 255"]);
    }
    refused(&array("<u2", &[1, 0, 0, 1]), &net, &NONE, &["element 1 is 256"]);
    refused(&array("|i1", &[0xff, 0]), &net, &NONE, &["element 0 is -1"]);
    refused(&array("<f2", &[0; 4]), &net, &scaled, &["<f2", "numpy.astype"]);
    refused(&array("<f2", &[0; 4]), &net, &NONE, &["<f2", "numpy.astype"]);
    refused(&array("<c8", &[0; 16]), &net, &NONE, &["<c8", "numpy.astype"]);
}

#[test]
fn archives_take_the_arrays_of_their_part() {
    let folder = Folder::new();
    let net = network(2, 2, 1, 3);
    let images = |count: usize, value: u8| npy("|u1", false, &[count, 2, 2], &vec![value; count * 4]);
    let labels =
        |count: usize, label: i64| npy("<i8", false, &[count, 1], &label.to_le_bytes().repeat(count));
    // As Keras has it; with labels of two axes.
    let keras = [
        ("x_test", images(2, 7)),
        ("x_train", images(5002, 9)),
        ("y_test", labels(2, 1)),
        ("y_train", labels(5002, 2)),
    ];
    let path = folder.file("mnist.npz", npz(&keras));
    let test = load(&path, &net, &NONE).unwrap();
    assert_eq!((test.pixels, test.labels), (vec![7; 8], Some(vec![1, 1])));
    let train = Options { part: Some(Part::Train), ..NONE };
    let train = load(&path, &net, &train).unwrap();
    assert_eq!((train.len(), train.labels), (2, Some(vec![2, 2])));

    let one = folder.file(
        "one.npz",
        npz(&[("a", images(3, 1)), ("b", labels(3, 2)), ("note", npy("<f8", false, &[1], &[0; 8]))]),
    );
    assert_eq!(load(&one, &net, &NONE).unwrap().labels, Some(vec![2; 3]));
    let two = folder.file("two.npz", npz(&[("a", images(3, 1)), ("b", images(3, 1))]));
    refused(&two, &net, &NONE, &["a, b", "numpy.save"]);
    let none = folder.file("none.npz", npz(&[("b", labels(3, 2))]));
    refused(&none, &net, &NONE, &["no images"]);
    let fewer = folder.file("fewer.npz", npz(&[("a", images(3, 1)), ("b", labels(2, 2))]));
    refused(&fewer, &net, &NONE, &["2 labels, but 3 images"]);
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
fn one_picture_of_every_color_type() {
    let folder = Folder::new();
    let (grey, color) = (network(2, 3, 1, 2), network(2, 3, 3, 2));
    let (l, rgb) = (pattern(6), pattern(18));
    let picture = |bytes: Vec<u8>| folder.file("p", bytes);

    let path = picture(png(3, 2, L8, &l));
    assert_eq!(load(&path, &grey, &NONE).unwrap().pixels, l);
    assert_eq!(load(&path, &color, &NONE).unwrap().pixels, l.repeat(3), "grey repeats in colour");
    let path = picture(png(3, 2, Rgb8, &rgb));
    assert_eq!(load(&path, &color, &NONE).unwrap().pixels, planes(&rgb, 3));
    refused(&path, &grey, &NONE, &["2 x 3 x 3", "--convert-color"]);
    let converted = load(&path, &grey, &Options { convert_color: true, ..NONE }).unwrap();
    assert_eq!(converted.pixels.len(), 6);
    let path = picture(png(3, 2, Rgb8, &l.iter().flat_map(|&v| [v; 3]).collect::<Vec<u8>>()));
    assert_eq!(load(&path, &grey, &NONE).unwrap().pixels, l, "grey kept as colour is grey");

    // Laid on black, and said.
    let rgba: Vec<u8> =
        rgb.chunks(3).enumerate().flat_map(|(n, p)| [p[0], p[1], p[2], [255, 0, 128][n % 3]]).collect();
    let data = load(&picture(png(3, 2, Rgba8, &rgba)), &color, &NONE).unwrap();
    let laid = |value: u8, alpha: u32| ((u32::from(value) * alpha + 127) / 255) as u8;
    let expected: Vec<u8> = rgba.chunks(4).flat_map(|p| [0, 1, 2].map(|c| laid(p[c], p[3].into()))).collect();
    assert_eq!(data.pixels, planes(&expected, 3));
    assert!(data.notes[0].contains("1 picture with transparent pixels laid on black"), "{:?}", data.notes);
    let opaque: Vec<u8> = l.iter().flat_map(|&v| [v, 255]).collect();
    let data = load(&picture(png(3, 2, La8, &opaque)), &grey, &NONE).unwrap();
    assert_eq!((data.pixels, data.notes.len()), (l.clone(), 0));

    let deep: Vec<u8> = l.iter().flat_map(|&v| (u16::from(v) * 257 + 100).to_ne_bytes()).collect();
    let data = load(&picture(png(3, 2, L16, &deep[..12])), &grey, &NONE);
    assert_eq!(data.unwrap().pixels, l, "16 bits are rounded");
}

#[test]
fn palettes_and_few_bits_are_expanded() {
    let folder = Folder::new();
    let mut bytes = Vec::new();
    let mut encoder = png_encoder(&mut bytes, 4, 1, png::ColorType::Indexed, png::BitDepth::Two);
    encoder.set_palette(vec![10, 20, 30, 40, 50, 60, 70, 80, 90, 255, 0, 255]);
    encoder.write_header().unwrap().write_image_data(&[0b00_01_10_11]).unwrap();
    let data = load(&folder.file("palette.png", bytes), &network(1, 4, 3, 2), &NONE).unwrap();
    assert_eq!(data.pixels, [10, 40, 70, 255, 20, 50, 80, 0, 30, 60, 90, 255]);
    let mut bytes = Vec::new();
    let encoder = png_encoder(&mut bytes, 8, 1, png::ColorType::Grayscale, png::BitDepth::One);
    encoder.write_header().unwrap().write_image_data(&[0b1010_0001]).unwrap();
    let data = load(&folder.file("bits.png", bytes), &network(1, 8, 1, 2), &NONE).unwrap();
    assert_eq!(data.pixels, [255, 0, 255, 0, 0, 0, 0, 255]);
}

fn png_encoder(
    bytes: &mut Vec<u8>,
    width: u32,
    height: u32,
    color: png::ColorType,
    depth: png::BitDepth,
) -> png::Encoder<'_, &mut Vec<u8>> {
    let mut encoder = png::Encoder::new(bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder
}

#[test]
fn jpeg_pictures_grey_and_colour() {
    let folder = Folder::new();
    // Flat pictures survive the compression.
    let grey = folder.file("grey.jpg", encoded(ImageFormat::Jpeg, 16, 8, L8, &[130; 128]));
    let data = load(&grey, &network(8, 16, 1, 2), &NONE).unwrap();
    assert!(data.pixels.iter().all(|&v| v.abs_diff(130) <= 2), "{:?}", &data.pixels[..4]);
    let color =
        folder.file("color.jpeg", encoded(ImageFormat::Jpeg, 16, 8, Rgb8, &[200, 100, 50].repeat(128)));
    let data = load(&color, &network(8, 16, 3, 2), &NONE).unwrap();
    for (plane, expected) in data.pixels.chunks(128).zip([200u8, 100, 50]) {
        assert!(plane.iter().all(|v| v.abs_diff(expected) <= 6), "{} for {expected}", plane[0]);
    }
    // The same content under a wrong name: content tells.
    let misnamed = folder.file("wrong.png", std::fs::read(&grey).unwrap());
    assert_eq!(load(&misnamed, &network(8, 16, 1, 2), &NONE).unwrap().len(), 1);
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
