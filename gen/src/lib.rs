//! The command line: Verilog generation, conversion, reference runs, sweeps, reports, cosimulation.
//!
//! Results go to stdout (as text, or with `--json` as one JSON document), progress and errors to stderr. Exit code 0 is
//! success, 1 a defect (core and reference differ, or the synthesised core has what it must not have), 2 a refusal.

mod card;
mod cli;
mod compile_command;
mod convert;
mod core_work;
mod cosim;
mod energy;
mod error;
mod evaluation;
mod files;
mod fusesoc;
mod info;
mod inputs;
mod operation;
mod origin;
mod port_table;
mod precision;
mod report;
mod run;
mod screen;
mod spikes;
mod sweep;
mod synth;
mod vectors;
mod verilog;
mod vivado_ip;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command};
use std::process::ExitCode;

/// The commands and options, for checks of what texts say about them.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.command {
        Command::Verilog(options) => verilog::verilog(options, cli.format()),
        Command::Convert(options) => convert::convert(options, cli.format()),
        Command::Compile(options) => compile_command::compile(options, cli.format()),
        Command::Info(options) => info::info(options, cli.format()),
        Command::Run(options) => run::run(options, cli.format()),
        Command::Spikes(options) => spikes::spikes(options, cli.format()),
        Command::Vectors(options) => vectors::vectors(options, cli.format()),
        Command::Sweep(options) => sweep::sweep(options, cli.format()),
        Command::Report(options) => report::report(options, cli.format()),
        Command::Cosim(options) => cosim::cosim(options, cli.format()),
        Command::Card(options) => card::card(options, cli.format()),
        Command::Synth(options) => synth::synth(options, cli.format()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.reader_left() {
                eprintln!("error: {}", isa::names::printable_lines(&error.to_string()));
            }
            ExitCode::from(error.exit_code())
        }
    }
}
