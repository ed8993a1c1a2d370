//! Files that are cut, changed or made to cost more than they weigh: refused or read, never a panic, never more memory than allowed.

mod support;

use image::ExtendedColorType::{L8, Rgb8};
use image::ImageFormat;
use images::{Axes, Options};
use model::network::ImageShape;
use proptest::prelude::*;
use std::io::Write;
use std::sync::LazyLock;
use support::{Folder, encoded, gzip, idx, load, network, npy, npz, planes, png, refused};

/// A file of each kind, all for networks of 4 x 4 grey or 32 x 32 colour images.
static FILES: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(|| {
    let bytes: Vec<u8> = (0..64u8).collect();
    let floats: Vec<u8> = bytes.iter().flat_map(|&byte| f32::from(byte).to_le_bytes()).collect();
    vec![
        ("idx", idx(&[4, 4, 4], &bytes)),
        ("idx.gz", gzip(&idx(&[4, 4, 4], &bytes))),
        ("npy", npy("|u1", false, &[4, 4, 4], &bytes)),
        ("npy of floats", npy("<f4", true, &[4, 1, 4, 4], &floats)),
        (
            "npz",
            npz(&[
                ("x", npy("|u1", false, &[4, 4, 4], &bytes)),
                ("y", npy("|u1", false, &[4], &[0, 1, 2, 3])),
            ]),
        ),
        ("cifar", (0..3 * 3073).map(|at| if at % 3073 == 0 { 3 } else { at as u8 }).collect()),
        ("png", png(4, 4, L8, &bytes[..16])),
        ("jpeg", encoded(ImageFormat::Jpeg, 4, 4, Rgb8, &bytes[..48])),
    ]
});

const ANY: Options = Options {
    part: None,
    labels: None,
    class_names: None,
    resize: true,
    convert_color: true,
    axes: None,
    scale: None,
};

/// Reads what may be images, for two networks, and what may be labels.
fn survive(bytes: &[u8]) {
    let folder = Folder::new();
    let path = folder.file("x", bytes);
    let scaled = Options { scale: Some(1.0), ..ANY };
    for options in [&ANY, &scaled, &Options { axes: Some(Axes::Nchw), ..ANY }] {
        let _ = load(&path, &network(4, 4, 1, 10), options);
    }
    let _ = load(&path, &network(32, 32, 3, 10), &ANY);
    let images = folder.file("i", idx(&[4, 1, 1], &[0; 4]));
    let _ = load(&images, &network(1, 1, 1, 4), &Options { labels: Some(path.clone()), ..ANY });
    let _ = load(&images, &network(1, 1, 1, 4), &Options { class_names: Some(path), ..ANY });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cut_files_are_refused(file in 0..8usize, part in 0.0..1.0f64) {
        let (name, bytes) = &FILES[file];
        let cut = (bytes.len() as f64 * part) as usize;
        // Batches of CIFAR have no end but that of a record; the last 12 bytes of a PNG file only say that it ends.
        prop_assume!(*name != "cifar" || !cut.is_multiple_of(3073));
        prop_assume!(*name != "png" || cut + 12 < bytes.len());
        let folder = Folder::new();
        let path = folder.file("x", &bytes[..cut]);
        let scale = (*name == "npy of floats").then_some(1.0);
        let net = if *name == "cifar" { network(32, 32, 3, 10) } else { network(4, 4, 1, 10) };
        // What a JPEG file lacks at its end is filled with grey, as everywhere.
        let outcome = load(&path, &net, &Options { scale, ..ANY });
        prop_assert!(outcome.is_err() || *name == "jpeg", "{name} of {cut} bytes");
    }

    #[test]
    fn changed_files_never_panic(
        file in 0..8usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..5),
    ) {
        let mut bytes = FILES[file].1.clone();
        for (at, value, early) in changes {
            let end = if early { bytes.len().min(128) } else { bytes.len() };
            let at = at.index(end);
            bytes[at] = value;
        }
        survive(&bytes);
    }

    #[test]
    fn arbitrary_files_never_panic(
        start in prop::sample::select(vec![
            &b""[..], b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'shape': (", b"PK\x03\x04", &[0, 0, 8, 3], &[0x1f, 0x8b, 8],
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &[0xff, 0xd8, 0xff],
        ]),
        rest in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        survive(&[start, &rest].concat());
    }

    #[test]
    fn every_source_gives_the_same_pixels(
        (count, height, width, channels) in (1usize..4, 1usize..7, 2usize..7, prop_oneof![Just(1usize), Just(3)]),
        seed in any::<u64>(),
    ) {
        let shape = ImageShape { height, width, channels };
        let mut state = seed | 1;
        let mut next = || { state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); (state >> 56) as u8 };
        let interleaved: Vec<u8> = (0..count * shape.bytes()).map(|_| next()).collect();
        let expected: Vec<u8> = interleaved.chunks(shape.bytes()).flat_map(|image| planes(image, channels)).collect();
        let net = network(height, width, channels, 2);
        let folder = Folder::new();
        let sizes = |sizes: [usize; 4]| sizes.map(|size| size as u32);
        let floats: Vec<u8> = interleaved.iter().flat_map(|&v| (f64::from(v) / 255.0).to_be_bytes()).collect();
        let nchw = [count, channels, height, width];
        let nhwc = [count, height, width, channels];
        let element = |index: [usize; 4]| expected[((index[0] * channels + index[1]) * height + index[2]) * width + index[3]];
        let fortran: Vec<u8> = (0..expected.len())
            .map(|at| {
                let mut rest = at;
                element(nchw.map(|size| { let index = rest % size; rest /= size; index }))
            })
            .collect();
        let first = Options { axes: Some(Axes::Nchw), ..Options::default() };
        let last = Options { axes: Some(Axes::Nhwc), ..Options::default() };
        let files = [
            ("idx", idx(&sizes(nchw), &expected), first.clone()),
            ("idx.gz", gzip(&idx(&sizes(nhwc), &interleaved)), last.clone()),
            ("npy", npy("|u1", false, &nhwc, &interleaved), last.clone()),
            ("fortran.npy", npy("|u1", true, &nchw, &fortran), first),
            ("npz", npz(&[("pixels", npy("|u1", false, &nhwc, &interleaved))]), last.clone()),
            ("floats.npy", npy(">f8", false, &nhwc, &floats), Options { scale: Some(255.0), ..last }),
        ];
        for (name, bytes, options) in files {
            let path = folder.file(name, bytes);
            prop_assert_eq!(&load(&path, &net, &options).unwrap().pixels, &expected, "{}", name);
        }
        let color = if channels == 1 { L8 } else { Rgb8 };
        for (index, image) in interleaved.chunks(shape.bytes()).enumerate() {
            folder.file(&format!("pictures/{index}.png"), png(width as u32, height as u32, color, image));
        }
        let pictures = load(&folder.path().join("pictures"), &net, &Options::default()).unwrap();
        prop_assert_eq!(pictures.pixels, expected);
    }
}

/// The most memory that this process has used, in KiB.
#[cfg(target_os = "linux")]
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// `count` zeros, gzipped, behind a header.
fn bomb(header: &[u8], count: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(header).unwrap();
    let block = vec![0; 1 << 20];
    (0..count >> 20).for_each(|_| encoder.write_all(&block).unwrap());
    encoder.finish().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn what_a_header_does_not_announce_is_not_read() {
    let folder = Folder::new();
    let (net, none) = (network(28, 28, 1, 4), Options::default());
    // A gigabyte in a few megabytes, behind a header that says 784 bytes.
    let path = folder.file("bomb.gz", bomb(&idx(&[1, 28, 28], &[]), 1 << 30));
    let before = peak();
    refused(&path, &net, &none, &["784 bytes, but more follow"]);
    let path = folder.file("bomb.npy.gz", bomb(&npy("|u1", false, &[1, 28, 28], &[]), 1 << 28));
    refused(&path, &net, &none, &["784 bytes, but more follow"]);
    let long = vec![0; 1 << 26];
    let path = folder.file("bomb.npz", npz(&[("x", npy("|u1", false, &[1, 28, 28], &long))]));
    drop(long);
    let with_archive = peak();
    refused(&path, &net, &none, &["784 bytes, but more follow"]);
    assert!(peak() - with_archive < 32 << 10, "{} KiB for an archive", peak() - with_archive);
    assert!(with_archive - before < 256 << 10, "{} KiB", with_archive - before);
}

#[test]
fn what_a_header_announces_is_bounded_before_it_is_read() {
    let folder = Folder::new();
    let (net, none) = (network(28, 28, 1, 4), Options::default());
    let huge = [u32::MAX, u32::MAX, u32::MAX];
    refused(&folder.file("i", idx(&huge, &[])), &net, &none, &["allowed: at most 1073741824", "split"]);
    refused(
        &folder.file("i", gzip(&idx(&[2_000_000, 28, 28], &[]))),
        &net,
        &none,
        &["1568000000 bytes", "split"],
    );
    let array = npy("|u1", false, &[2_000_000, 28, 28], &[]);
    refused(&folder.file("x.npy", array), &net, &none, &["1568000000 bytes", "split"]);
    for shape in [&[usize::MAX, 28, 28][..], &[1 << 40, 1 << 40, 1 << 40], &[0, usize::MAX, usize::MAX]] {
        refused(
            &folder.file("x.npy", npy("|u1", false, shape, &[])),
            &net,
            &none,
            &["allowed: at most 1073741824"],
        );
    }
    let nested = [b"\x93NUMPY\x01\x00\x10\x27", "(".repeat(10_000).as_bytes()].concat();
    refused(&folder.file("x.npy", nested), &net, &none, &["10000 brackets"]);
    let long = [b"\x93NUMPY\x02\x00\xff\xff\xff\x7f", &[b' '; 100][..]].concat();
    refused(&folder.file("x.npy", long), &net, &none, &["a header of 2147483647 bytes"]);
    let header = |width: u32, height: u32| {
        let mut bytes = png(1, 1, L8, &[0]);
        bytes[16..24].copy_from_slice(&[width.to_be_bytes(), height.to_be_bytes()].concat());
        let crc = crc(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
        bytes
    };
    refused(&folder.file("p.png", header(1 << 30, 1 << 30)), &net, &none, &["p.png", "too large a picture"]);
    refused(&folder.file("p.png", header(32_000, 32_000)), &net, &none, &["p.png", "at most 268435456"]);
    let mut jpeg = encoded(ImageFormat::Jpeg, 8, 8, L8, &[0; 64]);
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    refused(&folder.file("p.jpg", jpeg), &net, &none, &["p.jpg", "too large a picture"]);
}

/// CRC-32 as PNG has it.
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[test]
fn what_is_no_source_is_told_what_it_could_be() {
    let folder = Folder::new();
    let (net, none) = (network(28, 28, 1, 4), Options::default());
    refused(&folder.file("x", "text"), &net, &none, &["not a file of images", "CIFAR", "docs/images.md"]);
    let mut tar = vec![b'a'; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    refused(&folder.file("x.tar.gz", gzip(&tar)), &net, &none, &["tar archive", "unpack it"]);
    refused(&folder.file("x", ""), &net, &none, &["not a file of images"]);
    refused(&folder.file("x", [0, 0, 0x0d, 3]), &net, &none, &["type 0d", ".npy"]);
    refused(&folder.path().join("nowhere"), &net, &none, &["nowhere"]);
    refused(&folder.file("x", idx(&[0, 28, 28], &[])), &net, &none, &["no images"]);
}
