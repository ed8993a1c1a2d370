//! `gen synth`: what the core costs on an FPGA, and that nothing is in it that must not be.

mod family;
mod findings;
mod lint;
mod resources;
mod yosys;

pub use family::Family;

use crate::cli::SynthArgs;
use crate::error::GenError;
use crate::files;
use crate::screen::{Align, Format, Table, grouped, print, print_json};
use resources::{COLUMNS, Cells, ModuleCells};
use serde::Serialize;
use std::path::{Path, PathBuf};

const TOP: &str = "mst_core";

#[derive(Serialize)]
struct Report {
    preset: &'static str,
    family: &'static str,
    core: isa::CoreConfig,
    folder: PathBuf,
    /// Of the whole core.
    #[serde(flatten)]
    total: Cells,
    luts_per_lane: u64,
    per_lane: Cells,
    modules: Vec<ModuleCells>,
    lint: lint::Lint,
    findings: Vec<String>,
}

/// Synthesises the core and reports; fails if it has what it must not have.
pub fn synth(args: &SynthArgs, format: Format) -> Result<(), GenError> {
    let core = args.core.config()?;
    let verilog = hdl::rtl::emit(&hdl::core::mst_core(&core)?)?;
    let folder = args.out.clone().unwrap_or_else(|| default_folder(args.core.preset(), args.family));
    let sources: Vec<_> = verilog.iter().map(|file| (file.name.clone(), file.text.clone())).collect();
    files::write_all(&folder, &sources)?;
    let names: Vec<&str> = verilog.iter().map(|file| file.name.as_str()).collect();
    let lint = lint::lint(&names, TOP, &folder)?;
    let synthesis = yosys::synthesise(&names, TOP, args.family, &folder)?;
    let modules = resources::by_module(&synthesis, args.family, TOP);
    let per_lane = resources::per_lane(&modules, core.lanes);
    let report = Report {
        preset: args.core.preset(),
        family: args.family.name(),
        folder: folder.clone(),
        total: resources::total(&modules),
        luts_per_lane: per_lane.luts,
        per_lane,
        findings: [lint.findings(), findings::findings(&synthesis, args.family)].concat(),
        lint,
        modules,
        core,
    };
    match format {
        Format::Json => print_json(&report)?,
        Format::Text => print(&text(&report))?,
    }
    if !report.findings.is_empty() {
        return Err(GenError::Findings { count: report.findings.len(), folder });
    }
    if let Some(page) = &args.update {
        let earlier = if page.exists() {
            std::fs::read_to_string(page).map_err(files::at(page))?
        } else {
            String::new()
        };
        let section = format!("{}, {}", args.core.preset(), args.family.name());
        let text = resources::update(&earlier, &section, &report.modules, report.core.lanes);
        std::fs::write(page, text).map_err(files::at(page))?;
    }
    Ok(())
}

fn default_folder(preset: &str, family: Family) -> PathBuf {
    Path::new("out/synth").join(format!("{preset}-{}", family.name()))
}

fn text(report: &Report) -> String {
    let mut columns = vec![("module", Align::Left), ("instances", Align::Right)];
    columns.extend(COLUMNS.map(|(_, heading)| (heading, Align::Right)));
    let mut table = Table::new(&columns);
    let mut row = |name: &str, instances: u64, cells: Cells| {
        let head = [name.to_owned(), instances.to_string()];
        table.row(head.into_iter().chain(cells.columns().map(grouped)).collect());
    };
    report.modules.iter().for_each(|module| row(&module.module, module.instances, module.cells));
    row("whole core", 1, report.total);
    row("one lane", report.core.lanes.into(), report.per_lane);
    let findings: String = report.findings.iter().map(|finding| format!("  {finding}\n")).collect();
    let verdict = if report.findings.is_empty() {
        let icarus = if report.lint.icarus.is_some() { "Icarus silent" } else { "Icarus not installed" };
        format!(
            "no DSP block, no latch, no undriven or multiply driven net, every memory of more than 64 rows in block RAM; \
             Verilator silent, {icarus}\n"
        )
    } else {
        format!("defects:\n{findings}")
    };
    format!("{} lanes, {}\n\n{}\n{verdict}", report.core.lanes, report.family, table.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_names_in_json() {
        let total = Cells { luts: 900, carry: 80, lut_ram: 4, ffs: 700, block_ram: 20, dsp: 1, latches: 2 };
        let per_lane = Cells { luts: 100, ..Cells::default() };
        let neuron = ModuleCells { module: "if_neuron".to_owned(), instances: 8, cells: per_lane };
        let report = Report {
            preset: "tiny",
            family: "ecp5",
            core: isa::CoreConfig::preset("tiny").expect("a preset"),
            folder: PathBuf::from("out"),
            total,
            luts_per_lane: per_lane.luts,
            per_lane,
            modules: vec![neuron],
            lint: lint::Lint { verilator: Vec::new(), icarus: None },
            findings: Vec::new(),
        };
        let json = serde_json::to_value(&report).expect("a report is JSON");
        for (name, cells) in [
            ("luts", 900),
            ("ffs", 700),
            ("block_ram", 20),
            ("dsp", 1),
            ("latches", 2),
            ("luts_per_lane", 100),
        ] {
            assert_eq!(json[name], cells, "{name}");
        }
        assert_eq!((&json["preset"], &json["family"]), (&"tiny".into(), &"ecp5".into()));
        assert_eq!(
            (&json["modules"][0]["module"], &json["modules"][0]["luts"]),
            (&"if_neuron".into(), &100.into())
        );
    }
}
