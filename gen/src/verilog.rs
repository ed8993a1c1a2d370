//! `gen verilog`: the core as files.

use crate::cli::VerilogArgs;
use crate::error::GenError;
use crate::files;
use crate::fusesoc;
use crate::screen::{Format, count, print, print_json};
use isa::CoreConfig;
use serde::Serialize;
use std::path::Path;

/// The files of the core, children first, for `verilator -F`.
const FILE_LIST: &str = "mst_core.f";
/// The sizes of the core, for the driver.
const SIZES: &str = "mst_core.json";
/// The registers, for register tools.
const REGISTERS: &str = "mst_core.rdl";
/// The package, for FuseSoC.
const PACKAGE: &str = "mst_core.core";

#[derive(Serialize)]
struct Report<'a> {
    out: &'a Path,
    modules: Vec<String>,
    lines: usize,
    core: CoreConfig,
}

/// Generates the core and writes it.
pub fn verilog(args: &VerilogArgs, format: Format) -> Result<(), GenError> {
    let core = args.core.config()?;
    let top = hdl::core::mst_core(&core)?;
    let mut out: Vec<(String, String)> =
        hdl::rtl::emit(&top)?.into_iter().map(|file| (file.name, file.text)).collect();
    let lines = out.iter().map(|(_, text)| text.lines().count()).sum();
    let names: Vec<String> = out.iter().map(|(name, _)| name.clone()).collect();
    let sizes = serde_json::to_string_pretty(&core).expect("sizes are numbers");
    out.push((SIZES.to_owned(), sizes + "\n"));
    out.push((REGISTERS.to_owned(), isa::systemrdl::text(&core)));
    out.push((PACKAGE.to_owned(), fusesoc::package(&names)));
    // Last, so that whoever sees the list finds its files.
    out.push((FILE_LIST.to_owned(), names.join("\n") + "\n"));
    let earlier = std::fs::read_to_string(args.out.join(FILE_LIST)).unwrap_or_default();
    files::write_all(&args.out, &out)?;
    remove_stale(&args.out, &earlier, &names)?;

    let modules: Vec<String> = names.iter().map(|name| name.trim_end_matches(".v").to_owned()).collect();
    match format {
        Format::Json => print_json(&Report { out: &args.out, modules, lines, core }),
        Format::Text => print(&format!(
            "{} of Verilog in {}, {lines} lines: top `mst_core`, {} lanes, {}-bit bus, {}-bit addresses, \
             {}-bit membranes\nfile list {FILE_LIST}, sizes {SIZES}, registers {REGISTERS}, FuseSoC package {PACKAGE}\n",
            count(modules.len(), "module"),
            args.out.display(),
            core.lanes,
            core.bus_bits,
            core.address_bits,
            core.membrane_bits,
        )),
    }
}

/// Removes modules that an earlier core had and this one lacks: a tool that takes every file of the folder would trip over them.
fn remove_stale(folder: &Path, earlier: &str, names: &[String]) -> Result<(), GenError> {
    let stale = earlier.lines().filter(|name| {
        name.ends_with(".v") && !name.contains(['/', '\\']) && !names.iter().any(|kept| kept == name)
    });
    for name in stale {
        let path = folder.join(name);
        if path.is_file() {
            std::fs::remove_file(&path).map_err(files::at(&path))?;
        }
    }
    Ok(())
}
