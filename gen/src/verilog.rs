//! `gen verilog`: the core as files, alone or in a system on a chip.

use crate::cli::VerilogArgs;
use crate::error::GenError;
use crate::files;
use crate::fusesoc;
use crate::screen::{Format, count, print, print_json};
use hdl::rtl::Module;
use isa::{CoreConfig, SocConfig};
use serde::Serialize;
use std::path::Path;
use std::rc::Rc;

/// The core's registers.
const REGISTERS: &str = "mst_core.rdl";
/// A system's own.
const SOC_REGISTERS: &str = "mst_soc.rdl";

#[derive(Serialize)]
struct Report<'a> {
    out: &'a Path,
    modules: Vec<String>,
    lines: usize,
    core: CoreConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    soc: Option<SocConfig>,
}

/// Generates the core and writes it: one file a module, the list of them for `verilator -F`, the sizes for the driver, the registers for
/// register tools, the package for FuseSoC.
pub fn verilog(args: &VerilogArgs, format: Format) -> Result<(), GenError> {
    let soc = args.soc.as_deref().map(soc_config).transpose()?;
    let core = match &soc {
        Some(soc) => soc.core.clone(),
        None => args.core.config()?,
    };
    let (top, sizes) = match &soc {
        Some(soc) => (hdl::shell::mst_soc(soc)?, serde_json::to_string_pretty(soc)),
        None => (hdl::core::mst_core(&core)?, serde_json::to_string_pretty(&core)),
    };
    let mut beside = vec![(format!("{}.json", top.name()), sizes.expect("sizes are numbers") + "\n")];
    // What LiteX's clients call it.
    beside.extend(soc.as_ref().map(|soc| ("csr.csv".to_owned(), isa::soc::csr_csv(soc))));
    let mut registers = vec![(REGISTERS.to_owned(), isa::systemrdl::text(&core))];
    registers.extend(soc.as_ref().map(|soc| (SOC_REGISTERS.to_owned(), isa::systemrdl::soc_text(soc))));
    let register_files: Vec<String> = registers.iter().map(|(name, _)| name.clone()).collect();
    beside.extend(registers);
    let (names, lines) = write(&args.out, &top, beside, &register_files)?;
    let modules: Vec<String> = names.iter().map(|name| name.trim_end_matches(".v").to_owned()).collect();
    match format {
        Format::Json => print_json(&Report { out: &args.out, modules, lines, core, soc }),
        Format::Text => {
            let memory = soc.map_or(String::new(), |soc| {
                format!(
                    ", {} bytes of memory, clock of {} Hz, {} baud",
                    soc.memory_bytes, soc.clock_hz, soc.baud
                )
            });
            let top = top.name();
            print(&format!(
                "{} of Verilog in {}, {lines} lines: top `{top}`, {} lanes, {}-bit bus, {}-bit addresses, \
                 {}-bit membranes{memory}\nfile list {top}.f, sizes {top}.json, registers {}, FuseSoC package {top}.core\n",
                count(modules.len(), "module"),
                args.out.display(),
                core.lanes,
                core.bus_bits,
                core.address_bits,
                core.membrane_bits,
                register_files.join(" and "),
            ))
        }
    }
}

/// The sizes of a system, checked.
fn soc_config(path: &Path) -> Result<SocConfig, GenError> {
    let text = std::fs::read_to_string(path).map_err(files::at(path))?;
    let config: SocConfig = serde_json::from_str(&text).map_err(|error| files::at(path)(error.into()))?;
    config.validate()?;
    Ok(config)
}

/// Writes the modules under `top` and what goes `beside` them, `registers` among it; returns the names of the modules' files, children first, and how many
/// lines they have.
fn write(
    folder: &Path,
    top: &Rc<Module>,
    beside: Vec<(String, String)>,
    registers: &[String],
) -> Result<(Vec<String>, usize), GenError> {
    let mut out: Vec<(String, String)> =
        hdl::rtl::emit(top)?.into_iter().map(|file| (file.name, file.text)).collect();
    let lines = out.iter().map(|(_, text)| text.lines().count()).sum();
    let names: Vec<String> = out.iter().map(|(name, _)| name.clone()).collect();
    out.extend(beside);
    out.push((format!("{}.core", top.name()), fusesoc::package(top.name(), &names, registers)));
    // Last, so that whoever sees the list finds its files.
    let list = format!("{}.f", top.name());
    out.push((list.clone(), names.join("\n") + "\n"));
    let earlier = std::fs::read_to_string(folder.join(list)).unwrap_or_default();
    files::write_all(folder, &out)?;
    remove_stale(folder, &earlier, &names)?;
    Ok((names, lines))
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
