//! `cargo xtask mutate`: how many sampled errors in the core the tests find.

use crate::error::XtaskError;
use crate::setup::{FORMAL, VERILATOR, setup};
use crate::steps::step;
use crate::workspace::cargo;
use clap::Args;

/// What the program of the package `tests` is given.
#[derive(Args, Debug)]
pub struct MutateArgs {
    /// Its options: --count, --seed, --at-least, --json; --help explains them.
    #[arg(value_name = "OPTION", num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Fetches the tools and runs the program.
pub fn mutate(args: &MutateArgs) -> Result<(), XtaskError> {
    setup(&[&VERILATOR, &FORMAL])?;
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "tests", "--bin", "mutate", "--"]);
    command.args(&args.options);
    step("mutate", command)
}
