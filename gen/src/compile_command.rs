//! `gen compile`: a network becomes a program for one core.

use crate::cli::CompileArgs;
use crate::error::GenError;
use crate::files;
use crate::inputs;
use crate::screen::{Format, count, grouped, json_path, print, print_json};
use crate::verilog::sizes;
use ::compile::{ProgramError, ProgramOptions};
use isa::program::Planes;
use isa::{CoreConfig, LARGEST_WINDOW};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

#[derive(Serialize)]
struct Report {
    #[serde(serialize_with = "json_path")]
    out: PathBuf,
    network: String,
    time_steps: u32,
    layers: usize,
    core: CoreConfig,
    /// Memory that the core needs for a run.
    memory_bytes: u64,
    /// Of these, written once when the program is loaded.
    loaded_bytes: usize,
    streaming: bool,
}

/// Compiles and writes the program.
pub fn compile(args: &CompileArgs, format: Format) -> Result<(), GenError> {
    let network = inputs::network_path(args.network.net.as_deref())?;
    files::refuse_inputs("--out", &args.out, &[("the network", &network), ("--core", &args.core)])?;
    args.network.check_core_steps()?;
    let Target { core, memory_bytes } = Target::read(&args.core)?;
    let network = inputs::network(&args.network, core.membrane_bits)?.configured;
    let memory_size = args.memory_bytes.or(memory_bytes).unwrap_or(LARGEST_WINDOW);
    let options = ProgramOptions { memory_size, planes: Planes::Reuse };
    let mut program = ::compile::compile(&network, &core, &options)?;
    if args.streaming {
        program.add_second_place(memory_size).map_err(ProgramError::from)?;
    }
    files::write_one(&args.out, &program.to_bytes()?)?;
    let report = Report {
        out: args.out.clone(),
        network: program.network.clone(),
        time_steps: program.time_steps,
        layers: program.layers.len(),
        memory_bytes: program.total_bytes,
        loaded_bytes: program.image.iter().map(|segment| segment.bytes.len()).sum(),
        streaming: program.second.is_some(),
        core,
    };
    match format {
        Format::Json => print_json(&report),
        Format::Text => print(&format!(
            "program of `{}` in {}: {}, T = {}, for {} lanes; {} bytes of memory, {} of them loaded once\n",
            report.network,
            report.out.display(),
            count(report.layers, "layer"),
            report.time_steps,
            report.core.lanes,
            grouped(report.memory_bytes),
            grouped(report.loaded_bytes as u64),
        )),
    }
}

/// What a core is compiled for.
pub struct Target {
    /// Its sizes.
    pub core: CoreConfig,
    /// Bytes of memory, where the file says how many the board has.
    memory_bytes: Option<u64>,
}

impl Target {
    /// From the file beside the Verilog: of a core (`mst_core.json`), or of a system or a card with its memory.
    pub fn read(path: &Path) -> Result<Target, GenError> {
        let whole: serde_json::Value = sizes(path)?;
        let core = whole.get("core").unwrap_or(&whole);
        let core = CoreConfig::deserialize(core).map_err(|error| files::at(path)(error.into()))?;
        core.validate()?;
        Ok(Target { core, memory_bytes: whole.get("memory_bytes").and_then(serde_json::Value::as_u64) })
    }
}
