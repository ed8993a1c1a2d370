//! The command line: Verilog generation, conversion, reference runs, cosimulation.
fn main() {}
