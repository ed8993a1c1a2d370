//! `mst selftest`: registers, memory, known answers.

use crate::Cli;
use crate::error::MstError;
use crate::images::{ImageArgs, NetworkArgs};
use crate::infer::{classify, differ, load};
use clap::Args;
use driver::link::Link;
use isa::registers;
use serde::Serialize;

/// `mst selftest`.
#[derive(Args, Debug)]
pub struct SelftestArgs {
    /// Images to classify, from the first of the data set on.
    #[arg(long, value_name = "N", default_value_t = 3)]
    images: usize,
    /// The network.
    #[command(flatten)]
    network: NetworkArgs,
    /// Where they are.
    #[command(flatten)]
    source: ImageArgs,
}

#[derive(Serialize)]
struct Report {
    registers: usize,
    memory_bytes: usize,
    /// Bytes that went through DMA and back, on a PCIe card.
    loopback_bytes: Option<usize>,
    images: usize,
}

/// Checks one thing after the other; stops at the first that fails.
pub fn selftest(cli: &Cli, args: &SelftestArgs) -> Result<(), MstError> {
    let mut network = args.network.read()?;
    let images = args.source.first(args.images, &mut network)?;
    let mut accelerator = cli.place.open()?;
    let registers = check_registers(accelerator.link())?;
    let memory_bytes = check_memory(accelerator.link())?;
    let loopback_bytes = accelerator.link().loopback()?;
    let network = args.network.configure(&network, accelerator.core().membrane_bits)?;
    load(&mut accelerator, &network)?;
    let answers = classify(&mut accelerator, &network, &images)?;
    let report = Report { registers, memory_bytes, loopback_bytes, images: answers.len() };
    match differ(&answers) {
        0 => cli.print(&report, || {
            let dma = loopback_bytes
                .map_or(String::new(), |bytes| format!("DMA loopback: {bytes} bytes came back\n"));
            format!(
                "registers: {registers} values held\nmemory: {memory_bytes} bytes held\n{dma}\
                 inference: {} of {0} images identical to the reference\n",
                answers.len()
            )
        }),
        differ => Err(MstError::Mismatch { differ, images: answers.len() }),
    }
}

/// Every bit of the scratch register, high alone and low alone.
fn check_registers(link: &mut impl Link) -> Result<usize, MstError> {
    let values: Vec<u32> = (0..32).flat_map(|bit| [1 << bit, !(1 << bit)]).collect();
    for &written in &values {
        link.write_register(registers::SCRATCH, written)?;
        let found = link.read_register(registers::SCRATCH)?;
        if found != written {
            return Err(MstError::ReadBack { what: "register SCRATCH".to_owned(), written, found });
        }
    }
    Ok(values.len())
}

/// The whole window of at most this size is filled before it is read back, so that two addresses that are one show.
const MEMORY_CHECKED: u64 = 1 << 20;

fn check_memory(link: &mut impl Link) -> Result<usize, MstError> {
    let bytes = link.memory_size().min(MEMORY_CHECKED) / 4 * 4;
    // Each word is its own address, multiplied by an odd number: all differ, in all bits.
    let word = |index: u32| index.wrapping_mul(0x9e37_79b9).wrapping_add(0x7f4a_7c15);
    let written: Vec<u8> = (0..bytes as u32 / 4).flat_map(|index| word(index).to_le_bytes()).collect();
    link.write_memory(0, &written)?;
    let mut found = vec![0; written.len()];
    link.read_memory(0, &mut found)?;
    let value = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    for (index, (written, found)) in written.chunks_exact(4).zip(found.chunks_exact(4)).enumerate() {
        if written != found {
            let what = format!("memory at byte {}", 4 * index);
            return Err(MstError::ReadBack { what, written: value(written), found: value(found) });
        }
    }
    Ok(written.len())
}
