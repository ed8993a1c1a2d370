//! `cargo xtask test`: everything that CI runs.

use crate::error::XtaskError;
use crate::setup::{FORMAL, HDL, LITEX, VERILATOR, YOSYS, setup};
use crate::steps::step;
use crate::workspace::cargo;
use clap::ValueEnum;
use std::process::Command;

/// Which tests run. Slow ones have names that start with `slow_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Selection {
    /// All checks, and the tests that are not slow.
    Fast,
    /// Only the slow tests.
    Slow,
    /// Everything.
    All,
}

/// Runs the checks, cheapest first; stops at the first that fails.
pub fn check(selection: Selection) -> Result<(), XtaskError> {
    setup(&[&VERILATOR, &YOSYS, &FORMAL, &LITEX, &HDL])?;
    if selection != Selection::Slow {
        step("format", with(&["fmt", "--all", "--check"]))?;
        step("lint", with(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
        let mut doc = with(&["doc", "--workspace", "--no-deps"]);
        doc.env("RUSTDOCFLAGS", "-D warnings");
        step("documentation", doc)?;
    }
    // Last, so that a log ends with the tests' own summary.
    let filter: &[&str] = match selection {
        Selection::Fast => &["--", "--skip", "slow_"],
        Selection::Slow => &["slow_"],
        Selection::All => &[],
    };
    step("tests", with(&[&["test", "--workspace"], filter].concat()))
}

fn with(arguments: &[&str]) -> Command {
    let mut command = cargo();
    command.args(arguments);
    command
}
