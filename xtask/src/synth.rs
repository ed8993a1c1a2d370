//! `cargo xtask synth`: the core through Yosys, for every preset and family asked for.

use crate::error::XtaskError;
use crate::setup::{VERILATOR, YOSYS, setup};
use crate::steps::{report, step};
use crate::workspace::{cargo, generator};
use clap::Args;
use serde_json::Value;

/// The page that keeps the figures.
const PAGE: &str = "docs/resources.md";

/// What to synthesise.
#[derive(Args, Debug)]
pub struct SynthArgs {
    /// Presets of the core: tiny, ecp5, pcie.
    #[arg(long, value_name = "NAME", num_args = 1.., default_values = ["tiny", "ecp5"])]
    preset: Vec<String>,
    /// FPGA families: ecp5, xc7, xcup.
    #[arg(long, value_name = "NAME", num_args = 1.., default_values = ["ecp5"])]
    family: Vec<String>,
    /// Print one JSON array instead of text: an object for each preset and family, with `luts`, `ffs`, `block_ram`, `dsp`, `latches`,
    /// `luts_per_lane`, and the cells of each module.
    #[arg(long)]
    json: bool,
    /// Keep the figures in docs/resources.md, with the change against those that are there.
    #[arg(long)]
    update: bool,
}

/// Synthesises each preset for each family; stops at the first with a defect.
pub fn synth(args: &SynthArgs) -> Result<(), XtaskError> {
    setup(&[&VERILATOR, &YOSYS])?;
    let mut build = cargo();
    build.args(["build", "--release", "--package", "gen"]);
    step("build", build)?;
    let mut reports = Vec::new();
    for preset in &args.preset {
        for family in &args.family {
            let name = format!("synthesise {preset} for {family}");
            let mut command = generator();
            command.args(["synth", "--preset", preset, "--family", family]);
            if args.update {
                command.args(["--update", PAGE]);
            }
            if !args.json {
                step(&name, command)?;
                continue;
            }
            command.arg("--json");
            let (said, outcome) = report(&name, command)?;
            // Nothing to read if it never came to a report; then the outcome says why.
            reports.extend(serde_json::from_slice::<Value>(&said));
            if outcome.is_err() {
                print(&reports);
                return outcome;
            }
        }
    }
    if args.json {
        print(&reports);
    }
    Ok(())
}

/// One array: an object for each preset and family.
fn print(reports: &[Value]) {
    println!("{:#}", Value::from(reports));
}
