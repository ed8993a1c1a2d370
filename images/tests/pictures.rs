//! Pictures of every kind, from bytes made here.

mod support;

use image::ExtendedColorType::{L8, L16, La8, Rgb8, Rgba8};
use image::ImageFormat;
use images::Options;
use support::{Folder, NONE, encoded, load, network, pattern, planes, png, refused};

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
