//! The PCIe card as a vfio-user device: QEMU gives it to a guest kernel, whose VFIO gives it to the driver there.
//!
//! Behind it is the generated card with LitePCIe's own core at a root complex ([`sim::pcie`]), or the model of its registers
//! ([`sim::card`]).

mod backend;
mod card;
mod host_memory;
mod packets;
mod register_config;
mod registers;

use backend::Backend;
use card::{CardThread, Kind};
use clap::Parser;
use host_memory::GuestMemory;
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
    /// Which card.
    #[arg(long, value_enum, default_value_t = Kind::Packets)]
    card: Kind,
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
    let card = CardThread::start(cli.card, GuestMemory::new(cli.stray_from))?;
    let interrupt = cli.card.interrupt();
    let mut backend = Backend::new(card, interrupt);
    let server = Server::new(&cli.socket, true, backend::interrupts(interrupt), backend::regions())?;
    println!("ready");
    // A client that ends without a farewell is no error of the card's.
    if let Err(error) = server.run(&mut backend) {
        eprintln!("client: {error}");
    }
    Ok(backend.summary())
}
