//! Where files are written to: names that are no Unicode, links, devices, full disks.

mod support;

use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::{checkpoint, contents, converted, json, refuses, succeeds, text};

/// Runs the program with arguments that need not be Unicode.
fn run(arguments: &[&OsStr]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gen")).args(arguments).output().expect("the program starts")
}

/// A path in a JSON document.
fn path(value: &Value) -> PathBuf {
    match value.as_str() {
        Some(text) => text.into(),
        None => {
            let bytes = value["bytes"].as_array().expect("a string or bytes").iter();
            OsString::from_vec(bytes.map(|byte| byte.as_u64().unwrap() as u8).collect()).into()
        }
    }
}

#[test]
fn paths_that_are_no_unicode_come_back_from_json() {
    let (folder, net) = converted();
    let strange = folder.path().join(OsStr::from_bytes(b"caf\xe9 \xff"));
    std::fs::create_dir(&strange).unwrap();
    let inside = |name: &str| strange.join(name);
    let copy = inside("checkpoint.safetensors");
    std::fs::copy(checkpoint(), &copy).unwrap();
    let said = |arguments: &[&OsStr], field: &str| {
        let output = run(&[arguments, &["--json".as_ref()]].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        (path(value.pointer(field).unwrap_or(&Value::Null)), value)
    };
    let word = OsStr::new;
    let (rtl, spikes, converted) = (inside("rtl"), inside("spikes"), inside("net.mst"));
    let verilog = [word("verilog"), word("--preset"), word("tiny"), word("--out"), rtl.as_os_str()];
    assert_eq!(said(&verilog, "/out").0, rtl);
    let arguments =
        [word("spikes"), net.as_os_str(), word("--images"), word("1"), word("--out"), spikes.as_os_str()];
    assert_eq!(said(&arguments, "/out").0, spikes);
    let convert = [
        word("convert"),
        copy.as_os_str(),
        word("--out"),
        converted.as_os_str(),
        word("--name"),
        word("strange"),
    ];
    let (out, report) = said(&convert, "/out");
    assert_eq!(
        (out, &report["remembers_checkpoint"]),
        (converted.clone(), &Value::Bool(true)),
        "it lies beside it"
    );
    let run_float = [word("run"), converted.as_os_str(), word("--images"), word("2"), word("--float")];
    assert_eq!(said(&run_float, "/float/checkpoint").0, std::fs::canonicalize(&copy).unwrap());
    for file in [rtl.join("mst_core.f"), spikes, converted] {
        assert!(file.is_file(), "{}", file.display());
    }

    // Elsewhere the path cannot be remembered, and the folder's name is none for a network.
    let elsewhere = folder.path().join("elsewhere.mst");
    let convert = [word("convert"), copy.as_os_str(), word("--out"), elsewhere.as_os_str()];
    let output = run(&convert);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("--name is not given") && errors.contains("one line of printable"), "{errors}");
    let (_, report) = said(&[&convert[..], &[word("--name"), word("strange")]].concat(), "/out");
    assert_eq!(report["remembers_checkpoint"], Value::Bool(false));
    refuses(&["run", text(&elsewhere), "--float"], &["--float is without a file", "`--float CHECKPOINT`"]);
}

#[test]
fn what_is_no_file_stays_what_it_is() {
    let (folder, _) = converted();
    let convert = |out: &str| succeeds(&["convert", text(&checkpoint()), "--out", out]);
    convert("/dev/null");
    assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    refuses(&["convert", text(&checkpoint()), "--out", "/dev/full"], &["/dev/full", "No space left"]);
    assert!(std::fs::metadata("/dev/full").unwrap().file_type().is_char_device());
    let (link, target) = (folder.path().join("link.mst"), folder.path().join("there.mst"));
    symlink("there.mst", &link).unwrap();
    convert(text(&link));
    assert!(link.is_symlink() && target.is_file() && !target.is_symlink());
    refuses(&["convert", text(&checkpoint()), "--out", text(folder.path())], &["directory"]);
    let names: Vec<String> = contents(folder.path()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["link.mst", "net.mst", "there.mst"], "no partial files");
}

/// Commands read files that no output may replace, under whatever name.
#[test]
fn no_command_writes_over_what_it_reads() {
    let (folder, net) = converted();
    let at = |name: &str| text(&folder.path().join(name)).to_owned();
    let net = text(&net).to_owned();
    let original = std::fs::read(checkpoint()).unwrap();
    let (trained, link, hard) = (at("trained.safetensors"), at("link"), at("hard"));
    std::fs::write(&trained, &original).unwrap();
    symlink("trained.safetensors", &link).unwrap();
    std::fs::hard_link(&trained, &hard).unwrap();
    for out in [&trained, &link, &hard] {
        refuses(
            &["convert", &trained, "--out", out],
            &["--out is", out, "which is the checkpoint", &trained],
        );
    }
    let (data, labels, core) = (at("images"), at("labels.txt"), at("core.json"));
    std::fs::create_dir(&data).unwrap();
    for name in [&labels, &core] {
        std::fs::write(name, "read").unwrap();
    }
    // One image of 28 x 28, as an idx file.
    let idx = [&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28][..], &[0; 784]].concat();
    std::fs::write(format!("{data}/t10k"), idx).unwrap();
    let empty = at("empty.csv");
    std::fs::write(&empty, "").unwrap();
    std::fs::copy(&net, at("run.json")).unwrap();
    let inside = format!("{data}/t10k");
    let (list, vectors) = (at("run.json"), at(""));
    for (arguments, words) in [
        (&["compile", &net, "--core", &core, "--out", &net][..], ["which is the network", &net]),
        (&["compile", &net, "--core", &core, "--out", &core], ["which is --core", &core]),
        (&["spikes", &net, "--out", &net], ["which is the network", &net]),
        (&["spikes", &net, "--data", &inside, "--out", &inside], ["which is --data", &inside]),
        (&["spikes", &net, "--data", &data, "--out", &inside], ["which lies in --data", &data]),
        (&["spikes", &net, "--labels", &labels, "--out", &labels], ["which is --labels", &labels]),
        (&["vectors", &list, "--out", &vectors], ["which is the network", &list]),
        (&["cosim", &net, "--trace", &net], ["--trace is", &net]),
        (&["report", &net, "--out", &net], ["which is the network", &net]),
        (&["report", &list, "--with", &net, "--out", &net], ["which is --with", &net]),
        (&["report", &net, "--labels", &labels, "--out", &labels], ["which is --labels", &labels]),
        (&["report", &net, "--class-names", &labels, "--out", &labels], ["which is --class-names", &labels]),
        (&["report", &net, "--float", &trained, "--out", &link], ["which is --float", &trained]),
        (
            &["report", &net, "--sweep", &at("new.csv"), "--out", &at("new.csv")],
            ["which is --sweep", "new.csv"],
        ),
        (&["sweep", &net, "--labels", &empty, "--out", &empty], ["which is --labels", &empty]),
        (&["sweep", &net, "--data", &empty, "--out", &empty], ["which is --data", &empty]),
        (&["sweep", &list, "--out", &list], ["which is the network", &list]),
        (
            &["report", &net, "--labels", &empty, "--sweep", &empty, "--out", &at("page")],
            ["--sweep is", "which is --labels"],
        ),
    ] {
        let before = contents_of_files(folder.path());
        refuses(arguments, &words);
        assert!(contents_of_files(folder.path()) == before, "{arguments:?}");
    }
    // What lies beside the images and is not read may be written again.
    let (points, spikes) = (format!("{data}/points.csv"), format!("{data}/spikes"));
    for _ in 0..2 {
        succeeds(&["sweep", &net, "--data", &data, "--out", &points]);
        succeeds(&["spikes", &net, "--data", &data, "--out", &spikes]);
    }
}

/// A pipe that nobody writes to would keep its reader waiting for ever.
#[test]
fn pipes_and_folders_are_no_networks_and_no_checkpoints() {
    let (folder, net) = converted();
    let pipe = folder.path().join("pipe.csv");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (place, found) in
        [(&*pipe, "a pipe"), (folder.path(), "a folder"), (Path::new("/dev/zero"), "a device")]
    {
        let (place, out) = (text(place), text(&folder.path().join("out")).to_owned());
        for arguments in [
            &["convert", place, "--out", &out, "--name", "x"][..],
            &["info", place],
            &["run", text(&net), "--images", "1", "--float", place],
            &["sweep", place, "--out", "x.csv"],
        ] {
            refuses(arguments, &[place, found, "a regular file"]);
        }
        refuses(&["compile", text(&net), "--core", place, "--out", &out], &[place, "no regular file"]);
    }
    refuses(&["sweep", text(&net), "--images", "1", "--out", text(&pipe)], &["a pipe", "a regular file"]);
}

/// The files that lie in `folder` itself.
fn contents_of_files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = paths
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

/// Files may grow to `kibibytes`, as on a disk that is full then.
fn on_a_full_disk(kibibytes: u32, arguments: &[&str]) -> Output {
    let mut command = Command::new("bash");
    // The signal would end the program; without it writing fails as it does on a full disk.
    let script = "trap '' XFSZ; ulimit -f \"$1\" && shift && exec \"$@\"";
    command.args(["-c", script, "bash", &kibibytes.to_string(), env!("CARGO_BIN_EXE_gen")]);
    command.args(arguments).output().expect("bash starts")
}

#[test]
fn a_full_disk_leaves_what_was_there_and_nothing_else() {
    let (folder, net) = converted();
    let at = |name: &str| text(&folder.path().join(name)).to_owned();
    let old = [at("spikes"), at("other.mst"), at("rtl/mst_core.f")];
    std::fs::create_dir(folder.path().join("rtl")).unwrap();
    old.iter().for_each(|file| std::fs::write(file, "old").unwrap());
    let checkpoint = checkpoint();
    let image = ["--images", "1"];
    for arguments in [
        &[&["spikes", text(&net), "--out", &old[0]], &image[..]].concat()[..],
        &["convert", text(&checkpoint), "--out", &old[1]],
        &["verilog", "--preset", "tiny", "--out", &at("rtl")],
        &["vectors", text(&net), "--preset", "tiny", "--layers", "1", "--out", &at("vectors")],
    ] {
        let output = on_a_full_disk(8, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains("too large") || said.contains("too big"), "{arguments:?}: {said}");
    }
    for file in &old {
        assert_eq!(std::fs::read(file).unwrap(), b"old", "{file}");
    }
    for folder in [folder.path().to_owned(), folder.path().join("rtl"), folder.path().join("vectors")] {
        let mut names = std::fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.file_name());
        assert!(names.all(|name| !name.as_bytes().starts_with(b".")), "{}", folder.display());
    }
}

#[test]
fn checkpoints_are_found_by_what_the_network_remembers() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| text(&folder.path().join(name)).to_owned();
    std::fs::copy(checkpoint(), at("trained.safetensors")).unwrap();
    succeeds(&["convert", &at("trained.safetensors"), "--out", &at("net.mst")]);
    let float = |net: &str, more: &[&str]| {
        json(&[&["run", net, "--images", "20"], more].concat())["float"]["correct"].clone()
    };
    let correct = float(&at("net.mst"), &["--float"]);
    assert!(correct.as_u64().unwrap() > 10);
    // The option takes a value with and without `=`, and none before another option.
    let (trained, joined) = (at("trained.safetensors"), format!("--float={}", at("trained.safetensors")));
    for more in [&["--float", &trained][..], &[&joined], &["--float", "--time-steps", "8"]] {
        assert_eq!(float(&at("net.mst"), more), correct, "{more:?}");
    }
    refuses(
        &["run", "--images", "1", "--float", &at("net.mst")],
        &["--float is", "a network's file goes before"],
    );
    // Moved together they find each other; a link to the network does not matter.
    let moved = folder.path().join("moved");
    std::fs::create_dir(&moved).unwrap();
    for name in ["net.mst", "trained.safetensors"] {
        std::fs::rename(at(name), moved.join(name)).unwrap();
    }
    symlink(moved.join("net.mst"), at("link.mst")).unwrap();
    assert_eq!(float(&at("link.mst"), &["--float"]), correct);
    // One that has changed or gone is not taken for the same, unless it is named.
    let mut bytes = std::fs::read(moved.join("trained.safetensors")).unwrap();
    // The last bit of a number, so that the example still agrees.
    let last = bytes.len() - 4;
    bytes[last] ^= 1;
    std::fs::write(moved.join("trained.safetensors"), &bytes).unwrap();
    refuses(
        &["run", &at("link.mst"), "--float"],
        &["--float is", "has changed", "trained.safetensors", "`gen convert`"],
    );
    float(&at("link.mst"), &["--float", text(&moved.join("trained.safetensors"))]);
    std::fs::remove_file(moved.join("trained.safetensors")).unwrap();
    refuses(&["run", &at("link.mst"), "--float"], &["not there any more", "trained.safetensors"]);
}

#[test]
fn a_checkpoint_of_another_shape_is_no_float_network() {
    let case = support::workspace().join("tests/cases/four-classes-28x28.safetensors");
    let words = ["--float is", text(&case), "4 classes", "net.mst", "10 classes"];
    refuses(&["run", "--images", "1", "--float", text(&case)], &words);
}

#[test]
fn names_of_networks_are_checked_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("net.mst");
    for (name, words) in [
        ("", ["``", "1..=128 characters"]),
        ("two\nlines", ["`two\\nlines`", "one line of printable"]),
        ("\u{1b}[31m", ["`\\u{1b}[31m`", "one line of printable"]),
        (&"x".repeat(129), ["…`", "1..=128 characters"]),
    ] {
        let checkpoint = checkpoint();
        let arguments = ["convert", text(&checkpoint), "--out", text(&out), "--name", name];
        refuses(&arguments, &[&["option --name is"], &words[..]].concat());
    }
    let file = folder.path().join("a\u{7}b.safetensors");
    std::fs::copy(checkpoint(), &file).unwrap();
    refuses(
        &["convert", text(&file), "--out", text(&out)],
        &["--name is not given", "`a\\u{7}b` from the checkpoint's path"],
    );
    assert!(!out.exists());
}

/// Whoever reads the results may stop before they end.
#[test]
fn a_closed_pipe_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_gen"));
    let output =
        command.args(["info", text(Path::new(&support::workspace().join("models/fashion-mnist/net.mst")))]);
    let output = output.stdout(writer).output().expect("the program starts");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}
