//! `cargo xtask demo`: from nothing to real images on the generated core.

use crate::error::XtaskError;
use crate::setup::{VERILATOR, setup};
use crate::steps::step;
use crate::workspace::{cargo, generator};
use std::time::Instant;

/// Where the demo's Verilog goes.
const VERILOG: &str = "out/verilog/ecp5";
/// Test images that the demo runs.
const IMAGES: &str = "3";

/// Runs the demo.
pub fn demo() -> Result<(), XtaskError> {
    let started = Instant::now();
    setup(&[&VERILATOR])?;
    let mut build = cargo();
    build.args(["build", "--release", "--package", "gen"]);
    step("build", build)?;
    let mut verilog = generator();
    verilog.args(["verilog", "--preset", "ecp5", "--out", VERILOG]);
    step("generate", verilog)?;
    let mut cosim = generator();
    cosim.args(["cosim", "--preset", "ecp5", "--images", IMAGES]);
    step("cosimulate", cosim)?;
    println!(
        "\nThe core in {VERILOG} classified {IMAGES} test images of Fashion-MNIST and agreed with the reference in every spike \
         of every layer.\nDone in {:.0} s. Where the cycles go: cargo run --release -p gen -- cosim --per-layer",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}
