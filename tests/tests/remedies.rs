//! What messages, help texts and documents advise exists: each command, each of its options, each file, each size of a core.

mod texts;

use clap::{ArgAction, Command};
use isa::CoreConfig;
use std::collections::BTreeSet;
use texts::{Text, documents, messages, sources, workspace};

/// Options of programs that are not ours (apt-get, Verilator, FuseSoC, Cargo, BusyBox), as our texts name them.
const FOREIGN: [&str; 8] = [
    "--no-install-recommends",
    "--lint-only",
    "--top-module",
    "--cores-root",
    "--target",
    "--test",
    "--release",
    "--install",
];

/// The programs, as texts call them.
fn programs() -> Vec<(&'static str, Command)> {
    let built = |mut command: Command| {
        command.build();
        command
    };
    vec![
        ("gen", built(gen_cli::command())),
        ("cargo run --release -p gen --", built(gen_cli::command())),
        ("mst", built(mst::command())),
        ("cargo run --release -p mst --", built(mst::command())),
        ("cargo xtask", built(xtask::command())),
    ]
}

/// Names of a command's options, with their dashes, and whether each takes a value.
fn options(command: &Command) -> impl Iterator<Item = (String, bool)> {
    command.get_arguments().filter_map(|argument| {
        let takes = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
        Some((format!("--{}", argument.get_long()?), takes))
    })
}

/// Names of the options of a command and all below it.
fn all_options(command: &Command, names: &mut BTreeSet<String>) {
    names.extend(options(command).map(|(name, _)| name));
    command.get_subcommands().for_each(|below| all_options(below, names));
}

/// What is wrong with the words that follow a program's name.
fn wrong<'a>(program: &str, command: &Command, words: impl Iterator<Item = &'a str>) -> Option<String> {
    let (mut command, mut path, mut value_follows) = (command, program.to_owned(), false);
    for word in words {
        if std::mem::take(&mut value_follows) && !word.starts_with("--") {
            continue;
        }
        if word.starts_with("--") {
            let name: String = word.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            match options(command).find(|(option, _)| *option == name) {
                Some((_, takes)) => value_follows = takes && !word.contains('='),
                None if name.len() > 2 && name != "--help" => {
                    return Some(format!("`{path}` has no option {name}"));
                }
                None => {}
            }
            continue;
        }
        let plain = word.trim_end_matches(['.', ',', ';', ')']);
        let is_name = !plain.is_empty() && plain.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        if command.has_subcommands() && is_name {
            match command.find_subcommand(plain) {
                Some(below) => (command, path) = (below, format!("{path} {plain}")),
                None => return Some(format!("`{path}` has no command {plain}")),
            }
        }
    }
    None
}

/// Where commands stand in a text: behind a backtick to the next, or on a line of their own to its end; several with `&&` between.
fn commands(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('`'));
    quoted.chain(lines).flat_map(|line| line.split("&&")).map(str::trim_start).collect()
}

fn faults(text: &Text) -> Vec<String> {
    let mut faults = Vec::new();
    for candidate in commands(&text.text) {
        for (program, command) in programs() {
            let Some(rest) = candidate.strip_prefix(program).and_then(|rest| rest.strip_prefix(' ')) else {
                continue;
            };
            // What follows two spaces or a `#` explains the command.
            let rest = rest.split("  ").next().unwrap_or("").split('#').next().unwrap_or("");
            faults.extend(wrong(program, &command, rest.split_whitespace()));
        }
    }
    faults
}

#[test]
fn commands_that_texts_name_exist_with_their_options() {
    let texts: Vec<Text> = sources().into_iter().chain(documents()).collect();
    let named =
        texts.iter().filter(|text| text.text.contains("gen ") || text.text.contains("cargo xtask")).count();
    assert!(named > 100, "{named} texts that name a command were found");
    let faults: Vec<String> = texts
        .iter()
        .flat_map(|text| {
            faults(text).into_iter().map(move |fault| format!("{}: {fault}: {:?}", text.place, text.text))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn options_that_sentences_name_exist() {
    let mut known = BTreeSet::from(["--help".to_owned()]);
    programs().iter().for_each(|(_, command)| all_options(command, &mut known));
    known.extend(FOREIGN.map(str::to_owned));
    let mut faults = Vec::new();
    let mut found = 0;
    for text in sources() {
        // An argument of another program is a word of its own, in no sentence.
        if !text.text.trim().contains(' ') {
            continue;
        }
        for (at, _) in text.text.match_indices("--") {
            let before = text.text[..at].chars().next_back();
            let name: String =
                text.text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            let begins = before.is_none_or(|c| c == '`' || c == '(' || c.is_whitespace());
            if begins && name[2..].starts_with(|c: char| c.is_ascii_lowercase()) {
                found += 1;
                if !known.contains(&name) {
                    faults.push(format!("{}: {name} in {:?}", text.place, text.text));
                }
            }
        }
    }
    assert!(found > 50, "{found} options were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Words of a sentence that are called like sizes of a core.
fn sizes(text: &str) -> Vec<&str> {
    let is_size = |word: &&str| ["_bits", "_rows", "_fan_in"].iter().any(|end| word.ends_with(end));
    // What stands between braces is replaced by a value.
    let said = text.split('{').map(|part| part.split_once('}').map_or(part, |(_, behind)| behind));
    let words = said.flat_map(|part| part.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')));
    if text.trim().contains(' ') { words.filter(is_size).collect() } else { Vec::new() }
}

#[test]
fn sizes_of_the_core_that_messages_name_exist() {
    let core = CoreConfig::preset(CoreConfig::PRESETS[0]).unwrap();
    let core = serde_json::to_value(core).unwrap();
    let unknown = |text: &str| -> Vec<String> {
        sizes(text).into_iter().filter(|size| core.get(size).is_none()).map(str::to_owned).collect()
    };
    let mut messages = messages();
    // Planted bugs are Verilog.
    messages.retain(|text| !text.place.starts_with("hdl/src/formal/"));
    let found: usize = messages.iter().map(|text| sizes(&text.text).len()).sum();
    assert!(found > 1, "{found} sizes were found");
    let faults = messages.iter().filter(|text| !unknown(&text.text).is_empty());
    let faults: Vec<String> = faults.map(|text| format!("{}: {:?}", text.place, text.text)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let said = "raise `weights_rows` to `max_fan_in`, with {bus_bits} bits and {membrane_bits}-bit membranes";
    assert_eq!(unknown(said), ["weights_rows"]);
}

#[test]
fn files_that_texts_name_exist() {
    let folders = ["docs/", "constraints/", "models/", "train/", "tests/", "guest/"];
    let mut faults = Vec::new();
    let mut found = 0;
    for text in sources().into_iter().chain(documents()) {
        // A change log names what is there no more.
        if text.place == "CHANGELOG.md" {
            continue;
        }
        let words = text.text.split(|c: char| !(c.is_ascii_alphanumeric() || "/._-".contains(c)));
        for word in words.filter(|word| folders.iter().any(|folder| word.starts_with(folder))) {
            let word = word.trim_end_matches(['.', '/', '-']);
            found += 1;
            // Training makes its own folder.
            let made = word.starts_with("train/runs/");
            if word.contains('.') && !made && !word.contains("..") && !workspace().join(word).exists() {
                faults.push(format!("{}: {word} in {:?}", text.place, text.text));
            }
        }
    }
    assert!(found > 50, "{found} files were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn wrong_remedies_would_be_found() {
    let said = |text: &str| faults(&Text { place: "here".to_owned(), text: text.to_owned() });
    for right in [
        "run `gen convert x --out y --room-for 8`, then `mst --link sim infer 3`",
        "`cargo xtask setup litex`",
        "    gen run net.mst --mask q=0.75 --json  # a comment --that is no option",
        "gen verilog --out rtl && gen compile net.mst --core rtl/mst_core.json --out net.mstp",
        "the `gen` program",
    ] {
        assert!(said(right).is_empty(), "{right}: {:?}", said(right));
    }
    for (wrong, fault) in [
        ("convert it with `gen convert --fraction 3`", "`gen convert` has no option --fraction"),
        ("run `gen simulate`", "`gen` has no command simulate"),
        ("run `gen run --lanes 3`", "`gen run` has no option --lanes"),
        ("see `mst --lnk sim info`", "`mst` has no option --lnk"),
        ("cargo xtask tset", "`cargo xtask` has no command tset"),
    ] {
        assert_eq!(said(wrong), [fault], "{wrong}");
    }
}

/// Code that the compiler cannot check lies where the kernel and compiled models are called, and nowhere else.
#[test]
fn unsafe_code_lies_in_two_files() {
    let files: BTreeSet<String> = texts::rust_files()
        .into_iter()
        .filter(|(_, text)| text.contains("allow(unsafe_code)") || text.contains("expect(unsafe_code)"))
        .map(|(place, _)| place)
        .filter(|place| place != "tests/tests/remedies.rs")
        .collect();
    let expected = ["driver/src/pcie/vfio/sys.rs", "sim/src/verilated/ffi.rs"];
    assert!(files.iter().eq(expected.iter()), "{files:?}");
    let lints = std::fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    assert!(lints.contains("unsafe_code = \"deny\""), "everywhere else the compiler refuses it");
    for (place, text) in texts::files("toml").into_iter().filter(|(place, _)| place.ends_with("/Cargo.toml"))
    {
        assert!(text.contains("[lints]\nworkspace = true"), "{place} takes the workspace's lints");
    }
}
