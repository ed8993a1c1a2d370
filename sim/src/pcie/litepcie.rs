//! LitePCIe's core, made by `litepcie_gen` of the pinned tools and kept in the cache of models.

use crate::verilated::{BuildError, cache, file_error, tools};
use hdl::rtl::VerilogFile;
use hdl::shell::litepcie::{self, Phy};
use isa::PcieConfig;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Environment of LiteX's tools.
const ENVIRONMENT: &str = "litex-venv";
/// Where `litepcie_gen` puts the Verilog.
const VERILOG: &str = "build/gateware/litepcie_core.v";
/// Where it puts the list of its registers.
const REGISTERS: &str = "build/csr.csv";
/// Lines of the tool's output that an error repeats.
const OUTPUT_LINES: usize = 20;

/// Why LitePCIe's core could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LitepcieError {
    /// The generator is not installed.
    #[error("no litepcie_gen at {}; run `cargo xtask setup litex`, or set MST_TOOLS to the tools' folder", .0.display())]
    Missing(PathBuf),
    /// It cannot be started, or failed.
    #[error("litepcie_gen failed in {}:\n{output}", folder.display())]
    Failed {
        /// Where it ran.
        folder: PathBuf,
        /// The end of what it wrote.
        output: String,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] BuildError),
}

/// LitePCIe's generated files.
#[derive(Clone, Debug)]
pub struct Litepcie {
    folder: PathBuf,
}

impl Litepcie {
    /// Makes the core of a card, or finds it in the cache.
    ///
    /// # Errors
    /// If the generator is missing or fails.
    pub fn generate(config: &PcieConfig) -> Result<Litepcie, LitepcieError> {
        Litepcie::of(&litepcie::yaml(config, Phy::SevenSeries))
    }

    /// Makes the core that a `litepcie.yml` describes, or finds it in the cache.
    ///
    /// # Errors
    /// If the generator is missing or fails.
    pub fn of(yaml: &str) -> Result<Litepcie, LitepcieError> {
        let program = tools().join(ENVIRONMENT).join("bin/litepcie_gen");
        if !program.is_file() {
            return Err(LitepcieError::Missing(program));
        }
        let mut hasher = DefaultHasher::new();
        // The stamp names the versions.
        let versions =
            std::fs::read_to_string(tools().join(format!("{ENVIRONMENT}.stamp"))).unwrap_or_default();
        (yaml, &program, versions).hash(&mut hasher);
        let folder = cache().join(format!("litepcie-{:016x}", hasher.finish()));
        let made = Litepcie { folder };
        std::fs::create_dir_all(&made.folder).map_err(file_error(&made.folder))?;
        let _lock = crate::verilated::lock(&made.folder.join("lock"))?;
        // The last file that it writes.
        if !made.registers().is_file() {
            made.run(&program, yaml)?;
        }
        Ok(made)
    }

    fn run(&self, program: &Path, yaml: &str) -> Result<(), LitepcieError> {
        let input = self.folder.join("litepcie.yml");
        std::fs::write(&input, yaml).map_err(file_error(&input))?;
        let output = Command::new(program).arg("litepcie.yml").current_dir(&self.folder).output();
        let output = output.map_err(file_error(program))?;
        if output.status.success() && self.verilog().is_file() && self.registers().is_file() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().collect();
        let output = lines[lines.len().saturating_sub(OUTPUT_LINES)..].join("\n");
        Err(LitepcieError::Failed { folder: self.folder.clone(), output })
    }

    /// `litepcie_core.v`.
    pub fn verilog(&self) -> PathBuf {
        self.folder.join(VERILOG)
    }

    /// `csr.csv`: its registers by name and address.
    pub fn registers(&self) -> PathBuf {
        self.folder.join(REGISTERS)
    }

    /// The Verilog for simulation: without the one line that needs a file beside it, the memory of an identifier that carries the date, and
    /// with `always_comb` for `always @(*)`, which does not run at all where a block reads nothing but constants (one does, which leads
    /// all requests of the host to the registers).
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn source(&self) -> Result<VerilogFile, LitepcieError> {
        let path = self.verilog();
        let text = std::fs::read_to_string(&path).map_err(file_error(&path))?;
        let kept = text.lines().filter(|line| !line.contains("$readmemh")).map(|line| format!("{line}\n"));
        let text = kept.collect::<String>().replace("always @(*)", "always_comb");
        Ok(VerilogFile { name: format!("{}.v", litepcie::NAME), text })
    }
}
