//! The command line of a board: find it, test it, classify images on it.
//!
//! Results go to stdout (as text, or with `--json` as one JSON document), progress and errors to stderr. Exit code 0 is success, 1 a
//! defect (the board and the reference differ), 2 a refusal or a failure.

mod bench;
mod error;
mod images;
mod infer;
mod info;
mod link;
mod list;
mod selftest;

use clap::{CommandFactory, Parser, Subcommand};
use error::MstError;
use link::Place;
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;

/// Runs spiking vision networks on a board, or on a simulated core.
#[derive(Debug, Parser)]
#[command(
    name = "mst",
    version,
    propagate_version = true,
    after_help = "Examples:\n  \
        mst list                                          which boards and cards there are\n  \
        mst --link serial:/dev/ttyUSB0 info               what the board is\n  \
        mst --link serial:/dev/ttyUSB0 selftest           registers, memory, known answers\n  \
        mst --link serial:/dev/ttyUSB0@1000000 infer 0..10\n  \
        mst --link pcie:03:00.0 selftest                  the same for a PCIe card, with DMA\n  \
        mst --link sim infer 0 1 2                        the same on a Verilated core\n\n\
        Exit codes: 0 success, 1 the board's answers differ from the reference's, 2 refused or failed."
)]
struct Cli {
    /// Where the accelerator is and how long it may take.
    #[command(flatten)]
    place: Place,
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    json: bool,
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the PCIe cards and the serial ports of this machine.
    List,
    /// Say what is at the end of the link: sizes of the core, memory.
    Info,
    /// Load a network and leave it in the accelerator's memory: how long that takes, and whether memory holds it.
    Load(infer::LoadArgs),
    /// Classify images, and compare each answer with the bit-exact reference.
    #[command(after_help = "Examples:\n  \
        mst --link sim infer 0 5 10..20                    images of the default data set: 0, 5, and 10 to 19\n  \
        mst --link sim infer shoe.png --resize             a picture of any size\n  \
        mst --link sim infer 0..8 --network my.mst --data photos --class-names classes.txt\n\n\
        Numbers count the images of --data from 0 on; --resize and --convert-color make pictures fit. docs/images.md has the\n\
        sources of images and what becomes of their pixels.")]
    Infer(infer::InferArgs),
    /// Measure images a second, one at a time and as a stream in which transfers and computing overlap.
    Bench(bench::BenchArgs),
    /// Check registers, memory and (on a PCIe card) DMA, then classify images whose answers are known.
    Selftest(selftest::SelftestArgs),
    /// Stop whatever runs and clear the error; a PCIe card is reset as a whole.
    Reset,
}

/// The commands and options, for checks of what texts say about them.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.reader_left() {
                eprintln!("error: {}", isa::names::printable_lines(&error.to_string()));
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(cli: &Cli) -> Result<(), MstError> {
    match &cli.command {
        Command::List => list::list(cli),
        Command::Info => info::info(cli),
        Command::Load(args) => infer::load_only(cli, args),
        Command::Infer(args) => infer::infer(cli, args),
        Command::Bench(args) => bench::bench(cli, args),
        Command::Selftest(args) => selftest::selftest(cli, args),
        Command::Reset => {
            let mut accelerator = cli.place.open()?;
            accelerator.link().reset()?;
            accelerator.reset()?;
            cli.print(&serde_json::json!({ "reset": true }), || "reset\n".to_owned())
        }
    }
}

impl Cli {
    /// Prints a result in the form that was asked for.
    fn print(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), MstError> {
        let text = if self.json {
            serde_json::to_string_pretty(value).expect("results have no maps with other keys than strings")
                + "\n"
        } else {
            text()
        };
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(MstError::Stdout)
    }
}
