//! The timing diagrams of docs/architecture.md, replayed on the modules that they are of.

use std::rc::Rc;

use hdl::core::{
    dma_read::dma_read, dma_write::dma_write, job_control::job_control, neuron_control::neuron_control,
};
use hdl::rtl::Module;
use isa::{CoreConfig, Schedule};

use crate::device::Device;

/// A line of a diagram: a port and its value in each cycle.
struct Line {
    port: String,
    values: Vec<bool>,
}

/// The diagram that follows a module's marker.
fn diagram(module: &str) -> Vec<Line> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/architecture.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let marker = format!("<!-- replayed: {module} -->\n```text\n");
    let (_, rest) = page.split_once(&marker).unwrap_or_else(|| panic!("no `{marker}` in the page"));
    let (text, _) = rest.split_once("```").expect("the diagram ends");
    let line = |line: &str| {
        let (port, values) = line.split_once(' ').expect("a port, then its values");
        let values = values.trim_start().chars().map(|value| match value {
            '1' => true,
            '.' => false,
            other => panic!("{module}, {port}: `{other}`"),
        });
        Line { port: port.to_owned(), values: values.collect() }
    };
    text.lines().skip(1).map(line).collect()
}

/// Drives the inputs of the diagram, and these constants, and compares the outputs. `prepare` brings the module where the diagram
/// begins.
fn replay(module: &Rc<Module>, constants: &[(&str, u64)], prepare: impl FnOnce(&mut Device)) {
    let mut device = Device::new(module);
    for &(port, value) in constants {
        device.set(port, value);
    }
    prepare(&mut device);
    let lines = diagram(module.name());
    let is_input = |line: &&Line| module.inputs().iter().any(|port| port.name == line.port);
    let (inputs, outputs): (Vec<_>, Vec<_>) = lines.iter().partition(is_input);
    assert!(!inputs.is_empty() && outputs.len() > 1, "{}", module.name());
    let mut found = vec![Vec::new(); outputs.len()];
    for cycle in 0..lines[0].values.len() {
        for input in &inputs {
            device.set(&input.port, input.values[cycle]);
        }
        device.cycle();
        for (output, found) in outputs.iter().zip(&mut found) {
            found.push(device.is(&output.port));
        }
    }
    let text = |port: &str, values: &[bool]| {
        let values: String = values.iter().map(|&high| if high { '1' } else { '.' }).collect();
        format!("{port} {values}\n")
    };
    let expected: String = outputs.iter().map(|line| text(&line.port, &line.values)).collect();
    let found: String = outputs.iter().zip(&found).map(|(line, values)| text(&line.port, values)).collect();
    assert!(found == expected, "{}: the page says\n{expected}the module does\n{found}", module.name());
}

fn tiny() -> CoreConfig {
    CoreConfig::preset("tiny").expect("a preset")
}

#[test]
fn events_become_spikes_as_the_page_says() {
    let constants =
        [("schedule", Schedule::AfterAll as u64), ("time_steps", 8), ("packer_ready", 1), ("event_valid", 1)];
    replay(&neuron_control(&tiny()).unwrap(), &constants, |device| (0..5).for_each(|_| device.cycle()));
}

#[test]
fn a_job_follows_another_as_the_page_says() {
    let constants = [
        ("tiles", 4),
        ("groups", 1),
        ("output_words", 4),
        ("marker_ready", 1),
        ("packer_idle", 1),
        ("job_first_pass_0", 1),
        ("job_first_pass_1", 1),
        ("job_last_pass_0", 1),
        ("job_last_pass_1", 1),
    ];
    replay(&job_control(&tiny()).unwrap(), &constants, |device| {
        device.pulse("layer_valid");
        // Two jobs are loaded, the lanes take the first one's parameters.
        device.set("job_loaded", true);
        (0..2).for_each(|_| device.cycle());
        device.set("job_loaded", false);
        (0..20).for_each(|_| device.cycle());
    });
}

#[test]
fn reads_take_the_cycles_that_the_page_says() {
    let constants =
        [("arready", 1), ("memory_size", 1 << 20), ("weights_request_words", 32), ("weights_ready", 1)];
    replay(&dma_read(&tiny()).unwrap(), &constants, |_| ());
}

#[test]
fn writes_take_the_cycles_that_the_page_says() {
    let constants = [("awready", 1), ("wready", 1), ("memory_size", 1 << 20), ("burst_words", 1)];
    replay(&dma_write(&tiny()).unwrap(), &constants, |_| ());
}
