//! `mst info`: what is at the end of the link.

use crate::Cli;
use crate::error::MstError;
use driver::link::Link;
use isa::{CoreConfig, registers};
use serde::Serialize;

#[derive(Serialize)]
struct Report {
    version: String,
    core: CoreConfig,
    memory_bytes: u64,
    memory_base: u64,
    /// How the kernel gives a PCIe card to this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<String>,
    status: u32,
    error: u32,
}

/// Reads and prints the sizes.
pub fn info(cli: &Cli) -> Result<(), MstError> {
    let mut accelerator = cli.place.open()?;
    let core = accelerator.core().clone();
    let link = accelerator.link();
    let version = link.read_register(registers::VERSION)?;
    let report = Report {
        version: format!("{}.{}", version >> 16, version & 0xffff),
        memory_bytes: link.memory_size(),
        memory_base: link.memory_base(),
        status: link.read_register(registers::STATUS)?,
        error: link.read_register(registers::ERROR)?,
        function: link.function(),
        core,
    };
    cli.print(&report, || {
        let core = &report.core;
        format!(
            "mst_core, interface {}: {} lanes, {}-bit bus, {}-bit addresses, {}-bit membranes, {} inputs a pass, {} sums between passes\n\
             memory: {} bytes from bus address 0x{:x}\n{}",
            report.version,
            core.lanes,
            core.bus_bits,
            core.address_bits,
            core.membrane_bits,
            core.max_fan_in,
            core.sum_rows,
            report.memory_bytes,
            report.memory_base,
            report.function.as_ref().map(|function| format!("PCIe: {function}\n")).unwrap_or_default(),
        )
    })
}
