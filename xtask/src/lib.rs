//! Fetches the pinned tools into .tools/, then runs the demo, the tests and the benchmarks.

mod bench;
mod board;
mod check;
mod demo;
mod env;
mod error;
mod formal;
mod guest;
mod mutate;
mod packages;
mod peers;
mod setup;
mod steps;
mod synth;
mod workspace;

use check::Selection;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use setup::Tool;
use std::process::ExitCode;

/// Everything around the crates: tools, demo, tests, benchmarks.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Start with `cargo xtask demo`. Tools go into .tools/ of the workspace, or into the folder that MST_TOOLS names;\n\
        nothing else on the machine changes, except that Debian packages are installed when run as root."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch the pinned tools; what is there already is left alone.
    Setup {
        /// Which of them.
        #[arg(value_enum, default_value_t = Tools::All)]
        tools: Tools,
    },
    /// Print the line that puts the pinned tools (verilator, yosys, …) on your shell's search path: `eval "$(cargo xtask env)"`, or in
    /// fish `cargo xtask env | source`.
    Env(env::EnvArgs),
    /// Generate the core for an ECP5 board and run real images on it, spike by spike beside the reference.
    Demo,
    /// Run everything that CI runs: formatting, lints, documentation, tests.
    Test {
        /// Which tests: slow ones have names that start with `slow_`.
        #[arg(value_enum, default_value_t = Selection::All)]
        selection: Selection,
    },
    /// The same as `test`.
    Ci,
    /// Synthesise the core with Yosys and count its cells; fails on multipliers, latches, undriven nets, warnings.
    Synth(synth::SynthArgs),
    /// Make the bitstream of a board: synthesis, place and route, timing (about 15 minutes).
    Board(board::BoardArgs),
    /// Boot a virtual machine with a simulated PCIe card and run `mst` there: DMA, IOMMU, interrupts (as root; about 10 minutes the
    /// first time).
    Guest(guest::GuestArgs),
    /// Prove the rules that stand in the generated Verilog: FIFOs, AXI, buffers, neuron, masks, partial sums, fetcher, scanner.
    Formal(formal::FormalArgs),
    /// Plant sampled errors in the core and count those that the tests find; fails if they are too few.
    Mutate(mutate::Options),
    /// Measure simulation, reference, and what merged events save.
    Bench {
        /// What to measure.
        #[arg(value_enum, default_value_t = Benchmark::Core)]
        what: Benchmark,
        /// Print one JSON document instead of text.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Benchmark {
    /// Simulation, reference, and what merged events save.
    Core,
    /// What the link of the simulated PCIe card makes of payload, and that its images are exact.
    Pcie,
    /// The reference beside SpikingJelly (installs it, and PyTorch if training's is not there).
    Peers,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Tools {
    /// Verilator: simulation and lint.
    Verilator,
    /// Yosys: synthesis.
    Yosys,
    /// SymbiYosys and a solver: proofs.
    Formal,
    /// nextpnr: place and route, bitstreams.
    Nextpnr,
    /// LiteX's clients of a serial line.
    Litex,
    /// FuseSoC, cocotb, PeakRDL: what other hardware projects use.
    Hdl,
    /// All of them.
    All,
}

impl Tools {
    fn list(self) -> &'static [&'static Tool] {
        match self {
            Tools::Verilator => &[&setup::VERILATOR],
            Tools::Yosys => &[&setup::YOSYS],
            Tools::Formal => &[&setup::FORMAL],
            Tools::Nextpnr => &[&setup::NEXTPNR],
            Tools::Litex => &[&setup::LITEX],
            Tools::Hdl => &[&setup::HDL],
            Tools::All => &[
                &setup::VERILATOR,
                &setup::YOSYS,
                &setup::FORMAL,
                &setup::NEXTPNR,
                &setup::LITEX,
                &setup::HDL,
            ],
        }
    }
}

/// The commands and options, for checks of what texts say about them.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Setup { tools } => setup::setup(tools.list()),
        Command::Env(args) => env::env(&args),
        Command::Demo => demo::demo(),
        Command::Test { selection } => check::check(selection),
        Command::Ci => check::check(Selection::All),
        Command::Synth(args) => synth::synth(&args),
        Command::Board(args) => board::board(&args),
        Command::Guest(args) => guest::guest(&args),
        Command::Formal(args) => formal::formal(&args),
        Command::Mutate(args) => mutate::mutate(&args),
        Command::Bench { what: Benchmark::Core, json } => bench::bench(json),
        Command::Bench { what: Benchmark::Pcie, json } => bench::pcie(json),
        Command::Bench { what: Benchmark::Peers, json } => peers::peers(json),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
