//! `cargo xtask synth`: the core through Yosys, for every preset and family asked for.

use crate::error::XtaskError;
use crate::setup::{VERILATOR, YOSYS, setup};
use crate::steps::step;
use crate::workspace::{cargo, generator};
use clap::Args;

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
    /// Print one JSON document for each instead of text.
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
    for preset in &args.preset {
        for family in &args.family {
            let mut command = generator();
            command.args(["synth", "--preset", preset, "--family", family]);
            if args.json {
                command.arg("--json");
            }
            if args.update {
                command.args(["--update", PAGE]);
            }
            step(&format!("synthesise {preset} for {family}"), command)?;
        }
    }
    Ok(())
}
