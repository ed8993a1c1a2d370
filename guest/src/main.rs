//! The PCIe card as a vfio-user device: QEMU gives it to a guest kernel, whose VFIO gives it to the driver there.
//!
//! Behind the registers is the card model of [`sim::card`], and behind that the Verilated core or a core in software.

mod backend;
mod card;
mod config_space;
mod host_memory;

use backend::Backend;
use card::{CardThread, Core};
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use vfio_user::Server;

/// Serves an mst_pcie on a vfio-user socket until its client hangs up.
#[derive(Debug, Parser)]
#[command(name = "card")]
struct Cli {
    /// Socket to make.
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// What computes.
    #[arg(long, value_enum, default_value_t = Core::Verilated)]
    core: Core,
    /// Preset of the core's sizes.
    #[arg(long, value_name = "PRESET", default_value = "ecp5")]
    preset: String,
    /// Makes a card with a defect: from this access of host memory on (0: the first), its addresses are 1 GiB too high.
    #[arg(long, value_name = "N")]
    stray_from: Option<u64>,
}

fn main() -> ExitCode {
    match serve(&Cli::parse()) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn serve(cli: &Cli) -> Result<String, Box<dyn std::error::Error>> {
    let card = CardThread::start(cli.core, &cli.preset, cli.stray_from)?;
    let mut backend = Backend::new(card);
    let server = Server::new(&cli.socket, true, backend::interrupts(), backend::regions())?;
    println!("ready");
    // A client that ends without a farewell is no error of the card's.
    if let Err(error) = server.run(&mut backend) {
        eprintln!("client: {error}");
    }
    Ok(backend.summary())
}
