//! `gen vectors`: the memory that it promises is what a core leaves behind.

mod support;

use driver::{Accelerator, Link};
use isa::CoreConfig;
use isa::registers::{self, control, status};
use serde_json::Value;
use sim::SoftCore;
use std::path::Path;
use std::time::Duration;
use support::{json, refuses, text};

/// Loads the memory into the core in software, runs the descriptors and returns the memory.
fn run(folder: &Path) -> Vec<u8> {
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let run: Value = serde_json::from_slice(&read("run.json")).unwrap();
    let core: CoreConfig = serde_json::from_value(run["core"].clone()).unwrap();
    let before = read("before.bin");
    let number = |name: &str| run[name].as_u64().unwrap() as u32;
    assert_eq!(before.len() as u64, run["memory_bytes"].as_u64().unwrap());

    let mut accelerator = Accelerator::open(SoftCore::new(&core, before.len()).unwrap()).unwrap();
    let link = accelerator.link();
    link.write_memory(0, &before).unwrap();
    link.write_register(registers::DESCRIPTOR_BASE, number("descriptor_base")).unwrap();
    link.write_register(registers::DESCRIPTOR_COUNT, number("descriptor_count")).unwrap();
    link.write_register(registers::CONTROL, control::START).unwrap();
    assert!(link.wait_interrupt(Duration::from_secs(1)).unwrap());
    assert_eq!(link.read_register(registers::STATUS).unwrap() & status::DONE, status::DONE);
    let mut after = vec![0; before.len()];
    link.read_memory(0, &mut after).unwrap();
    after
}

#[test]
fn a_core_leaves_the_memory_that_was_promised() {
    let folder = tempfile::tempdir().unwrap();
    for (preset, more) in
        [("tiny", &[][..]), ("ecp5", &["--layers", "9", "--time-steps", "12", "--mask", "0.5"])]
    {
        let out = ["vectors", "--preset", preset, "--first", "3", "--out", text(folder.path())];
        let report = json(&[&out[..], more].concat());
        let outputs = report["outputs"].as_array().unwrap();
        assert_eq!(outputs.len(), if more.is_empty() { 45 } else { 9 });
        let expected = std::fs::read(folder.path().join("after.bin")).unwrap();
        assert!(run(folder.path()) == expected, "{preset}");
    }
}

#[test]
fn layers_that_are_not_there_are_refused_and_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("vectors");
    for layers in ["0", "46"] {
        refuses(&["vectors", "--layers", layers, "--out", text(&out)], &["--layers", layers, "1..=45"]);
    }
    assert!(!out.exists());
}
