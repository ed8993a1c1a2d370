//! `cargo xtask mutate`: how many errors in the core, sampled and chosen, the tests find.

// The one definition of the options, which the program that judges reads, too.
#[path = "../../tests/src/mutation/options.rs"]
mod options;

pub use options::Options;

use crate::error::XtaskError;
use crate::setup::{FORMAL, VERILATOR, setup};
use crate::steps::step;
use crate::workspace::cargo;

/// Fetches the tools and runs the program `mutate` of the package `tests`.
pub fn mutate(options: &Options) -> Result<(), XtaskError> {
    setup(&[&VERILATOR, &FORMAL])?;
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "tests", "--bin", "mutate", "--"]);
    command.args(options.arguments());
    step("mutate", command)
}
