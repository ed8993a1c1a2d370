//! `cargo xtask mutate`: how many sampled errors in the core the tests find.

use crate::error::XtaskError;
use crate::setup::{FORMAL, VERILATOR, setup};
use crate::steps::step;
use crate::workspace::cargo;
use clap::Args;

/// What to sample, and how much of it must be caught.
#[derive(Args, Debug)]
pub struct MutateArgs {
    /// Errors to sample.
    #[arg(long, default_value_t = 300)]
    count: u32,
    /// Seed of the sampling.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Judge only these of them, by number: after a test for a survivor was added.
    #[arg(long, value_name = "NUMBER", num_args = 1..)]
    only: Vec<u32>,
    /// Per cent of those that make a difference which must be caught; exit code 1 if fewer are.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    at_least: f64,
    /// Print one JSON document instead of text.
    #[arg(long)]
    json: bool,
}

/// Fetches the tools and runs the program `mutate` of the package `tests`.
pub fn mutate(args: &MutateArgs) -> Result<(), XtaskError> {
    setup(&[&VERILATOR, &FORMAL])?;
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "tests", "--bin", "mutate", "--"]);
    command.args(["--count", &args.count.to_string(), "--seed", &args.seed.to_string()]);
    command.args(["--at-least", &args.at_least.to_string()]);
    if !args.only.is_empty() {
        command.arg("--only").args(args.only.iter().map(u32::to_string));
    }
    if args.json {
        command.arg("--json");
    }
    step("mutate", command)
}
