//! `gen compile`: a program file is all that a host needs.

mod support;

use driver::Accelerator;
use isa::program::{Program, ProgramFileError};
use model::{Executor, Network, RunOptions};
use sim::SoftCore;
use support::{contents, json, refuses, succeeds, text, workspace};

const MEMORY: usize = 1 << 20;

#[test]
fn a_program_file_computes_what_the_network_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&folder.path().join(name)).to_owned();
    succeeds(&["verilog", "--preset", "tiny", "--out", text(folder.path())]);
    let net = workspace().join("models/fashion-mnist/net.mst");
    let (core, out) = (path("mst_core.json"), path("net.mstp"));
    let compile = ["compile", text(&net), "--core", &core, "--out", &out, "--time-steps", "4"];
    let report = json(&compile);
    let streaming = json(&[&compile[..], &["--streaming"]].concat());
    assert!(report["memory_bytes"].as_u64() < streaming["memory_bytes"].as_u64());

    let program = Program::from_bytes(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!(streaming["memory_bytes"], program.total_bytes);
    let mut accelerator = Accelerator::open(SoftCore::new(&program.core, MEMORY).unwrap()).unwrap();
    accelerator.load(&program).unwrap();
    let network = Network::load(&net).unwrap().configure(&RunOptions::new(4)).unwrap();
    let image: Vec<u8> = (0..network.image.bytes()).map(|i| (i * 7 % 256) as u8).collect();
    let expected = Executor::new(&network).trace(&image).unwrap().logits;
    assert_eq!(accelerator.infer(&image).unwrap().logits, expected);

    // A core of other sizes does not take it, and a damaged file is no program.
    let other = isa::CoreConfig::preset("ecp5").unwrap();
    let mut other = Accelerator::open(SoftCore::new(&other, MEMORY).unwrap()).unwrap();
    assert!(other.load(&program).unwrap_err().to_string().contains("compile for this core"));
    let mut bytes = std::fs::read(&out).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    assert!(matches!(Program::from_bytes(&bytes), Err(ProgramFileError::Checksum { .. })));
}

#[test]
fn a_board_s_file_names_its_core_and_its_memory() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("net.mstp");
    let board = workspace().join("constraints/ulx3s/mst_soc.json");
    let compile = ["compile", "--core", text(&board), "--out", text(&out)];
    succeeds(&compile);
    let small = [&compile[..], &["--memory-bytes", "65536"]].concat();
    refuses(&small, &["65536 are there", "needs"]);
    let steps = [&compile[..], &["--time-steps", "65"]].concat();
    refuses(&steps, &["--time-steps is 65", "1..=64"]);
    for core in ["/dev/zero", "/dev/null"] {
        let arguments = ["compile", "--core", core, "--out", text(&out)];
        refuses(&arguments, &[core, "no regular file", "`mst_core.json`"]);
    }
    let before = contents(folder.path());
    let other = folder.path().join("other.mstp");
    refuses(&["compile", "--core", text(&out), "--out", text(&other)], &["net.mstp", "`mst_core.json`"]);
    refuses(&["compile", "--core", text(&out), "--out", text(&out)], &["net.mstp"]);
    assert_eq!(contents(folder.path()), before, "a refusal leaves the file");
}
