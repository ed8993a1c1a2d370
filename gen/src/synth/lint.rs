//! What Verilator and Icarus say about the Verilog, with all their warnings on.

use crate::error::GenError;
use crate::files;
use serde::Serialize;
use std::path::Path;
use std::process::Command;

/// Verdicts of the linters.
#[derive(Serialize)]
pub struct Lint {
    /// Lines that Verilator printed.
    pub verilator: Vec<String>,
    /// Lines that Icarus printed; nothing if it is not installed.
    pub icarus: Option<Vec<String>>,
}

/// Lints the files, which lie in `folder`.
pub fn lint(names: &[&str], top: &str, folder: &Path) -> Result<Lint, GenError> {
    let program = sim::verilated::verilator()?;
    let mut verilator = Command::new(&program);
    verilator.env_remove("VERILATOR_ROOT").current_dir(folder);
    verilator.args(["--lint-only", "-Wall", "--top-module", top]).args(names);
    let verilator = said(&mut verilator).map_err(files::at(&program))?;
    let mut icarus = Command::new("iverilog");
    icarus.current_dir(folder).args(["-g2005", "-Wall", "-t", "null", "-s", top]).args(names);
    Ok(Lint { verilator: warnings(&verilator), icarus: said(&mut icarus).ok().map(|text| warnings(&text)) })
}

fn said(command: &mut Command) -> std::io::Result<String> {
    let output = command.output()?;
    let text = [output.stdout, output.stderr].concat();
    let failed = if output.status.success() { String::new() } else { format!("{}\n", output.status) };
    Ok(failed + &String::from_utf8_lossy(&text))
}

/// Everything but Verilator's summary, which starts with `-`.
fn warnings(said: &str) -> Vec<String> {
    said.lines().filter(|line| !line.is_empty() && !line.starts_with('-')).map(str::to_owned).collect()
}

impl Lint {
    /// One finding a line.
    pub fn findings(&self) -> Vec<String> {
        let of = |tool: &str, lines: &[String]| {
            lines.iter().map(|line| format!("{tool}: {line}")).collect::<Vec<_>>()
        };
        [of("Verilator", &self.verilator), of("Icarus", self.icarus.as_deref().unwrap_or_default())].concat()
    }
}
