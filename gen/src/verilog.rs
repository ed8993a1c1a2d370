//! `gen verilog`: the core as files, alone, in a system on a chip or on a PCIe card.

use crate::cli::VerilogArgs;
use crate::error::GenError;
use crate::files;
use crate::fusesoc;
use crate::origin::hex;
use crate::port_table;
use crate::screen::{Format, count, json_path, print, print_json};
use crate::vivado_ip;
use hdl::rtl::{Module, RtlError};
use hdl::shell::litepcie::{self, Phy};
use isa::{CoreConfig, PcieConfig, SocConfig};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Hashes of all files that a run wrote: one list a folder, so that a run for another top knows what the last one left.
const SUMS: &str = "generated.sha256";
/// What LitePCIe's core is made from.
const LITEPCIE: &str = "litepcie.yml";

#[derive(Serialize)]
struct Report<'a> {
    #[serde(serialize_with = "json_path")]
    out: &'a Path,
    modules: Vec<String>,
    lines: usize,
    core: CoreConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    soc: Option<SocConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pcie: Option<PcieConfig>,
}

/// What is generated.
enum Design {
    Core(CoreConfig),
    Soc(SocConfig),
    Pcie(PcieConfig, Phy),
}

impl Design {
    fn of(args: &VerilogArgs) -> Result<Design, GenError> {
        if let Some(path) = &args.soc {
            let config: SocConfig = sizes(path)?;
            config.validate()?;
            return Ok(Design::Soc(config));
        }
        if let Some(path) = &args.pcie {
            return Ok(Design::Pcie(card_config(path)?, args.phy.into()));
        }
        Ok(Design::Core(args.core.config()?))
    }

    fn core(&self) -> &CoreConfig {
        match self {
            Design::Core(core) => core,
            Design::Soc(soc) => &soc.core,
            Design::Pcie(card, _) => &card.core,
        }
    }

    fn top(&self) -> Result<Rc<Module>, RtlError> {
        match self {
            Design::Core(core) => hdl::core::mst_core(core),
            Design::Soc(soc) => hdl::shell::mst_soc(soc),
            Design::Pcie(card, _) => hdl::shell::mst_pcie(card),
        }
    }

    fn sizes(&self) -> String {
        let text = match self {
            Design::Core(core) => serde_json::to_string_pretty(core),
            Design::Soc(soc) => serde_json::to_string_pretty(soc),
            Design::Pcie(card, _) => serde_json::to_string_pretty(card),
        };
        text.expect("sizes are numbers") + "\n"
    }

    /// Register descriptions, in SystemRDL and as C headers: the core's, then those of what is around it.
    fn registers(&self) -> Vec<(String, String)> {
        let core = self.core();
        let mut files =
            vec![("mst_core.rdl", isa::systemrdl::text(core)), ("mst_core.h", isa::c_header::text(core))];
        match self {
            Design::Core(_) => {}
            Design::Soc(soc) => files.extend([
                ("mst_soc.rdl", isa::systemrdl::soc_text(soc)),
                ("mst_soc.h", isa::c_header::soc_text(soc)),
            ]),
            Design::Pcie(card, _) => files.extend([
                ("mst_pcie.rdl", isa::systemrdl::pcie_text(card)),
                ("mst_pcie.h", isa::c_header::pcie_text(card)),
            ]),
        }
        files.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
    }

    /// What other tools need.
    fn for_others(&self, top: &Module) -> Option<(String, String)> {
        match self {
            Design::Core(core) => Some(("mst_core_ip.tcl".to_owned(), vivado_ip::script(top, core))),
            // What LiteX's clients call it.
            Design::Soc(soc) => Some(("csr.csv".to_owned(), isa::soc::csr_csv(soc))),
            Design::Pcie(card, phy) => Some((LITEPCIE.to_owned(), litepcie::yaml(card, *phy))),
        }
    }

    /// The sizes in words.
    fn words(&self) -> String {
        let CoreConfig { lanes, bus_bits, address_bits, membrane_bits, .. } = self.core();
        format!(
            "{lanes} lanes, {bus_bits}-bit bus, {address_bits}-bit addresses, {membrane_bits}-bit membranes{}",
            self.around()
        )
    }

    /// What a line for people says beyond the core's sizes.
    fn around(&self) -> String {
        match self {
            Design::Core(_) => String::new(),
            Design::Soc(soc) => format!(
                ", {} bytes of memory, clock of {} Hz, {} baud",
                soc.memory_bytes, soc.clock_hz, soc.baud
            ),
            Design::Pcie(card, _) => {
                format!(", {} bytes of memory, clock of {} Hz", card.memory_bytes, card.clock_hz)
            }
        }
    }
}

/// Generates the core and writes it: one file a module, the list of them for `verilator -F`, the sizes for the driver, the registers for
/// register tools, the package for FuseSoC.
pub fn verilog(args: &VerilogArgs, format: Format) -> Result<(), GenError> {
    let design = Design::of(args)?;
    let top = design.top()?;
    let ports = format!("{}_ports.md", top.name());
    let mut beside = vec![
        (format!("{}.json", top.name()), design.sizes()),
        (ports.clone(), port_table::markdown(&top, &design.words())),
    ];
    beside.extend(design.for_others(&top));
    let registers = design.registers();
    let register_files: Vec<String> = registers.iter().map(|(name, _)| name.clone()).collect();
    beside.extend(registers);
    // A package without litepcie_core, which is not ours to give, would not build.
    let packaged = !matches!(design, Design::Pcie(..));
    let package = packaged.then(|| {
        let of_files = |names: &[String]| fusesoc::package(top.name(), names, &register_files);
        (format!("{}.core", top.name()), of_files)
    });
    let (names, lines) = write(&args.out, &top, beside, package)?;
    let modules: Vec<String> = names.iter().map(|name| name.trim_end_matches(".v").to_owned()).collect();
    match format {
        Format::Json => {
            let core = design.core().clone();
            let (soc, pcie) = match design {
                Design::Core(_) => (None, None),
                Design::Soc(soc) => (Some(soc), None),
                Design::Pcie(card, _) => (None, Some(card)),
            };
            print_json(&Report { out: &args.out, modules, lines, core, soc, pcie })
        }
        Format::Text => {
            let top = top.name();
            let with = match design {
                Design::Core(_) => format!("FuseSoC package {top}.core, Vivado IP script {top}_ip.tcl"),
                Design::Soc(_) => format!("FuseSoC package {top}.core"),
                Design::Pcie(..) => format!("LitePCIe {LITEPCIE}"),
            };
            print(&format!(
                "{} of Verilog in {}, {lines} lines: top `{top}`, {}\n\
                 file list {top}.f, sizes {top}.json, ports {ports}, registers {}, {with}\n",
                count(modules.len(), "module"),
                args.out.display(),
                design.words(),
                register_files.join(", "),
            ))
        }
    }
}

/// The sizes of a card, checked.
pub fn card_config(path: &Path) -> Result<PcieConfig, GenError> {
    let config: PcieConfig = sizes(path)?;
    config.validate()?;
    Ok(config)
}

/// What a file of sizes is.
const WANTED: &str = "name a JSON file of sizes, like the `mst_core.json`, `mst_soc.json` or `mst_pcie.json` that `gen verilog` writes";

/// The sizes in a file.
pub fn sizes<T: DeserializeOwned>(path: &Path) -> Result<T, GenError> {
    files::json(path, WANTED)
}

/// Writes the modules under `top`, what goes `beside` them, and the package made of the modules' files; returns the names of the modules' files, children first, and how many
/// lines they have.
fn write(
    folder: &Path,
    top: &Rc<Module>,
    beside: Vec<(String, String)>,
    package: Option<(String, impl Fn(&[String]) -> String)>,
) -> Result<(Vec<String>, usize), GenError> {
    let mut out: Vec<(String, String)> =
        hdl::rtl::emit(top)?.into_iter().map(|file| (file.name, file.text)).collect();
    let lines = out.iter().map(|(_, text)| text.lines().count()).sum();
    let names: Vec<String> = out.iter().map(|(name, _)| name.clone()).collect();
    out.extend(beside);
    out.extend(package.map(|(name, text)| (name, text(&names))));
    // Last, so that whoever sees the list finds its files.
    let list = format!("{}.f", top.name());
    out.push((list.clone(), names.join("\n") + "\n"));
    out.push((SUMS.to_owned(), checksums(&out)));
    let stale = stale(folder, &out);
    files::write_all(folder, &out)?;
    for path in stale {
        std::fs::remove_file(&path).map_err(files::at(&path))?;
    }
    Ok((names, lines))
}

/// What `sha256sum` writes: the hash and the name of each file.
fn checksums(files: &[(String, String)]) -> String {
    files.iter().map(|(name, text)| format!("{}  {name}\n", hex(&Sha256::digest(text)))).collect()
}

/// Files that an earlier run wrote, for whichever top, that nobody has changed since, and that are not written again: a tool that takes
/// every file of the folder would trip over them, and sizes of another core would be believed.
fn stale(folder: &Path, out: &[(String, String)]) -> Vec<PathBuf> {
    let earlier = std::fs::read_to_string(folder.join(SUMS)).unwrap_or_default();
    let listed = earlier.lines().filter_map(|line| line.split_once("  "));
    let ours = listed.filter(|(sum, name)| {
        let inside = !name.contains(['/', '\\']);
        let again = out.iter().any(|(kept, _)| kept == name);
        let path = folder.join(name);
        let unchanged = || std::fs::read(&path).is_ok_and(|bytes| hex(&Sha256::digest(bytes)) == *sum);
        inside && !again && !path.is_symlink() && unchanged()
    });
    ours.map(|(_, name)| folder.join(name)).collect()
}
