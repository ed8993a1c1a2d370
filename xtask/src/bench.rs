//! `cargo xtask bench`: how fast reference and simulation are, what merged events save, what a card's link carries.

use crate::error::XtaskError;
use crate::setup::{LITEX, VERILATOR, setup};
use crate::steps::{capture, step};
use crate::workspace::{cargo, generator};
use serde_json::{Value, json};

/// The program whose reports are read.
const PROGRAM: &str = "gen";
/// Images of the reference's measurement.
const REFERENCE_IMAGES: &str = "2000";
/// Images of each simulation.
const SIMULATED_IMAGES: &str = "4";
/// Images on the card.
const CARD_IMAGES: &str = "4";

/// Measures and prints.
pub fn bench(as_json: bool) -> Result<(), XtaskError> {
    setup(&[&VERILATOR])?;
    let mut build = cargo();
    build.args(["build", "--release", "--package", "gen"]);
    step("build", build)?;
    let reference = report("reference", &["run", "--images", REFERENCE_IMAGES])?;
    let one = cosim("one simulation", &["--jobs", "1"])?;
    let parallel = cosim("a simulation on each processor", &[])?;
    let stepped = cosim("every spike an event of its own", &["--step-by-step"])?;
    let paper = cosim("neurons that fire step by step", &["--neuron", "if"])?;
    let summary = json!({
        "processors": std::thread::available_parallelism().map_or(1, usize::from),
        "reference": { "images_per_second": number(&reference, "images_per_second")? },
        "simulation": {
            "cycles_per_second": number(&one, "cycles_per_second")?,
            "cycles_per_second_parallel": number(&parallel, "cycles_per_second")?,
        },
        "merged_events": cost(&one)?,
        "step_by_step": cost(&stepped)?,
        "if_neurons": cost(&paper)?,
    });
    if as_json {
        println!("{summary:#}");
    } else {
        print(&summary);
    }
    Ok(())
}

/// Runs images on the card and prints what `gen card` says; it fails if one differs.
pub fn pcie(as_json: bool) -> Result<(), XtaskError> {
    setup(&[&VERILATOR, &LITEX])?;
    let mut build = cargo();
    build.args(["build", "--release", "--package", "gen"]);
    step("build", build)?;
    let mut command = generator();
    command.args(["card", "--images", CARD_IMAGES]);
    if as_json {
        command.arg("--json");
    }
    let said = capture("images on the card", command)?;
    print!("{}", String::from_utf8_lossy(&said));
    Ok(())
}

fn cosim(name: &str, more: &[&str]) -> Result<Value, XtaskError> {
    report(name, &[&["cosim", "--images", SIMULATED_IMAGES], more].concat())
}

fn report(name: &str, arguments: &[&str]) -> Result<Value, XtaskError> {
    let mut command = generator();
    command.args(arguments).arg("--json");
    let said = capture(name, command)?;
    Ok(serde_json::from_slice(&said).unwrap_or_default())
}

fn number(report: &Value, field: &str) -> Result<f64, XtaskError> {
    let missing = || XtaskError::Report { program: PROGRAM, field: field.to_owned() };
    report[field].as_f64().ok_or_else(missing)
}

/// What an image costs the core.
fn cost(report: &Value) -> Result<Value, XtaskError> {
    let images = number(report, "images")?;
    let mut cost = serde_json::Map::new();
    for field in ["spikes", "events", "needed_cycles", "busy_cycles"] {
        cost.insert(field.to_owned(), json!(number(report, field)? / images));
    }
    cost.insert("useful".to_owned(), json!(number(report, "useful")?));
    Ok(Value::Object(cost))
}

fn print(summary: &Value) {
    let value = |path: &str| summary.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN);
    println!("on {} processors:", value("/processors"));
    println!("reference       {:>12.1} images/s", value("/reference/images_per_second"));
    println!("simulation      {:>12.0} cycles/s alone", value("/simulation/cycles_per_second"));
    println!("                {:>12.0} cycles/s in all", value("/simulation/cycles_per_second_parallel"));
    let walks = [
        ("two_phase neurons, merged events", "merged_events"),
        ("two_phase neurons, the same spikes step by step", "step_by_step"),
        ("if neurons", "if_neurons"),
    ];
    for (title, field) in walks {
        let of = |name: &str| value(&format!("/{field}/{name}"));
        println!("an image with {title}:");
        println!("  {:>12.0} spikes, {:.0} events", of("spikes"), of("events"));
        println!("  {:>12.0} busy cycles, {:.0} needed", of("busy_cycles"), of("needed_cycles"));
    }
}
