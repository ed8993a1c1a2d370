//! Arrays and archives of NumPy, from bytes made here: the same pixels come out of each.

mod support;

use images::{Axes, Options, Part, Source};
use support::{Folder, NONE, gzip, load, network, npy, npz, pattern, planes, refused};

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

    // It is said of the source, not of each part of it that is read.
    let path = folder.file("x.npy", npy("|u1", false, &[2, 1, 2], &[0, 1, 1, 0]));
    let source = Source::open(&path, &net, &NONE).unwrap();
    assert!(source.note().is_some() && (0..2).all(|i| source.read(i..i + 1).unwrap().notes.is_empty()));
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
