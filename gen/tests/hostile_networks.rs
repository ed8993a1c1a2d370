//! Networks that ask for too much, or have names that are none, given to every command that takes a network: each is refused or
//! done in bounded memory and time, and never ends the program otherwise.

mod support;

use flate2::{Compression, write::GzEncoder};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::{text, workspace};

/// Address space that a command may take, in KiB: 4 GiB, of which code and stacks of threads are a part.
const ADDRESS_SPACE: &str = "4194304";
/// Time that a command may take.
const MOST: Duration = Duration::from_secs(60);

fn case(name: &str) -> PathBuf {
    workspace().join("tests/cases").join(name)
}

/// Runs the program within the limits.
fn bounded(arguments: &[&str]) -> Output {
    let mut command = Command::new("bash");
    command.args(["-c", "ulimit -v \"$1\" && shift && exec \"$@\"", "bash", ADDRESS_SPACE]);
    command.arg(env!("CARGO_BIN_EXE_gen")).args(arguments).env("RAYON_NUM_THREADS", "2");
    let started = Instant::now();
    let output = command.stdin(Stdio::null()).output().expect("bash starts");
    assert!(started.elapsed() < MOST, "gen {arguments:?} took {:?}", started.elapsed());
    output
}

/// One blank image of this size, as a data set.
fn blank(folder: &Path, side: usize) -> PathBuf {
    let folder = folder.join(format!("blank-{side}"));
    std::fs::create_dir(&folder).unwrap();
    let side_bytes = (side as u32).to_be_bytes();
    let images = [&[0, 0, 8, 3, 0, 0, 0, 1], &side_bytes[..], &side_bytes, &vec![0; side * side]].concat();
    for (name, bytes) in [("images-idx3", images), ("labels-idx1", vec![0, 0, 8, 1, 0, 0, 0, 1, 0])] {
        let file = std::fs::File::create(folder.join(format!("t10k-{name}-ubyte.gz"))).unwrap();
        let mut encoder = GzEncoder::new(file, Compression::fast());
        encoder.write_all(&bytes).unwrap();
        encoder.finish().unwrap();
    }
    folder
}

/// Every command that takes a network, on one image; what it writes goes into `out`.
fn commands<'a>(net: &'a str, data: &'a str, out: &'a [String; 5]) -> Vec<(&'static str, Vec<&'a str>)> {
    let image = ["--images", "1", "--data", data];
    let run = |arguments: &[&'a str]| [arguments, &image[..]].concat();
    vec![
        ("info", vec!["info", net]),
        ("run", run(&["run", net])),
        ("spikes", run(&["spikes", net, "--out", &out[0]])),
        ("vectors", vec!["vectors", net, "--data", data, "--preset", "tiny", "--out", &out[1]]),
        ("cosim", run(&["cosim", net, "--preset", "tiny"])),
        ("card", run(&["card", net])),
        ("sweep", run(&["sweep", net, "--out", &out[2]])),
        ("report", run(&["report", net, "--out", &out[3], "--sweep", &out[4]])),
    ]
}

/// Gives a network to every command; those named in `done` succeed, the others are refused with one line that has `words`.
fn give_to_all(name: &str, side: usize, done: &[&str], words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let data = blank(folder.path(), side);
    let path = |name: &str| text(&folder.path().join(name)).to_owned();
    let out = ["spikes.safetensors", "vectors", "points.csv", "report.html", "report.csv"].map(path);
    for (command, arguments) in commands(text(&case(name)), text(&data), &out) {
        let output = bounded(&arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        if done.contains(&command) {
            assert!(output.status.success(), "{name}, {command}: {:?} {said}", output.status);
            continue;
        }
        assert_eq!(output.status.code(), Some(2), "{name}, {command}: {:?} {said}", output.status);
        assert_eq!(said.trim_end().lines().count(), 1, "{name}, {command}: {said}");
        assert!(!said.contains(|c: char| c.is_control() && c != '\n'), "{name}, {command}: {said:?}");
        for word in words {
            assert!(said.contains(word), "{name}, {command} does not say `{word}`: {said}");
        }
    }
    for file in out {
        assert!(!done.is_empty() || !Path::new(&file).exists(), "{name} leaves {file}");
    }
}

#[test]
fn names_that_are_none_are_refused() {
    give_to_all("duplicate-layer-names.mst", 28, &[], &["layer 1: its name is `a`", "each name once"]);
    give_to_all(
        "newline-in-name.mst",
        28,
        &[],
        &["network: its name is `a\\\"b\\nc,d`", "one line of printable"],
    );
}

#[test]
fn what_asks_for_gigabytes_is_refused_or_bounded() {
    // Images of another size end all commands but one before they begin.
    for name in ["scores-4095x4095.mst", "many-layers-512x512.mst"] {
        give_to_all(name, 28, &["info"], &["28 x 28"]);
    }
    let shown = bounded(&["info", text(&case("scores-4095x4095.mst"))]);
    let said = [shown.stdout, shown.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(!said.contains("Windows {") && !said.contains("Raster"), "words for people: {said}");
    let folder = tempfile::tempdir().unwrap();
    let data = blank(folder.path(), 512);
    let (net, data, out) = (case("many-layers-512x512.mst"), text(&data), folder.path().join("out"));
    let image = [text(&net), "--data", data];
    let ran = bounded(&[&["run"], &image[..], &["--images", "1"]].concat());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    for command in [&["cosim", "--images", "1"][..], &["vectors", "--out", text(&out)]] {
        let refused = bounded(&[command, &image[..], &["--preset", "tiny"]].concat());
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        for word in [
            "bytes of accelerator memory",
            "1073741824 are there",
            "of parameters and weights",
            "use a smaller",
        ] {
            assert!(said.contains(word), "{command:?} does not say `{word}`: {said}");
        }
    }
    assert!(!out.exists());
}
