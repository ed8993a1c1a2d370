//! Runs SymbiYosys on a proof and reads what it says.

use super::report::Outcome;
use crate::error::XtaskError;
use crate::setup::FORMAL;
use crate::steps;
use crate::workspace::{at, root, tools};
use hdl::formal::{Method, Planted, Proof};
use hdl::rtl::VerilogFile;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// What SymbiYosys is asked.
struct Task<'a> {
    name: String,
    mode: &'a str,
    depth: u32,
    engine: &'a str,
    method: String,
}

/// Proves the rules.
pub fn prove(proof: &Proof) -> Result<Outcome, XtaskError> {
    let depth = proof.depth;
    let (mode, engine, method) = match proof.method {
        Method::Induction => ("prove", "smtbmc yices", format!("induction {depth}")),
        Method::Reachability => ("prove", "abc pdr", "pdr".to_owned()),
        Method::Bounded => ("bmc", "smtbmc yices", format!("bounded {depth}")),
    };
    let task = Task { name: "proof".to_owned(), mode, depth, engine, method };
    run(proof, &task, &files(proof)?)
}

/// Reaches every situation that the rules speak of.
pub fn cover(proof: &Proof) -> Result<Outcome, XtaskError> {
    let depth = proof.cover_depth;
    let method = format!("within {depth}");
    let task = Task { name: "cover".to_owned(), mode: "cover", depth, engine: "smtbmc yices", method };
    run(proof, &task, &files(proof)?)
}

/// Plants each bug; it passes if a rule fails.
pub fn planted(proof: &Proof) -> Result<Vec<Outcome>, XtaskError> {
    let numbered = proof.planted.iter().zip(1..);
    numbered.map(|(bug, number)| finds(proof, &format!("bug {number}"), bug)).collect()
}

/// Plants one bug, whose task has this name; it passes if a rule fails.
pub fn finds(proof: &Proof, name: &str, bug: &Planted<'_>) -> Result<Outcome, XtaskError> {
    let files = proof.with_bug(bug).map_err(|error| XtaskError::Design { reason: error.to_string() })?;
    let Some(files) = files else {
        let reason = format!("{}: `{}` is not exactly once in {}", proof.name, bug.text, bug.file);
        return Err(XtaskError::Design { reason });
    };
    let depth = proof.depth.max(proof.cover_depth);
    let method = format!("bounded {depth}");
    let task = Task { name: name.to_owned(), mode: "bmc", depth, engine: "smtbmc yices", method };
    let mut outcome = run(proof, &task, &files)?;
    // An error of the tools is no bug found.
    outcome.passed = !outcome.passed && outcome.said.starts_with(RULE);
    if !outcome.passed && outcome.said.is_empty() {
        outcome.said = "not found".to_owned();
    }
    Ok(outcome)
}

const RULE: &str = "rule ";

fn files(proof: &Proof) -> Result<Vec<VerilogFile>, XtaskError> {
    proof.files().map_err(|error| XtaskError::Design { reason: error.to_string() })
}

fn run(proof: &Proof, task: &Task<'_>, files: &[VerilogFile]) -> Result<Outcome, XtaskError> {
    let folder = root().join("out/formal").join(proof.name).join(task.name.replace(' ', "_"));
    std::fs::create_dir_all(&folder).map_err(at(&folder))?;
    for file in files {
        write(&folder.join(&file.name), &file.text)?;
    }
    write(&folder.join("task.sby"), &script(proof, task, files))?;
    let Some(program) = FORMAL.program(&tools()) else {
        return Err(XtaskError::Design {
            reason: "no SymbiYosys; run `cargo xtask setup formal`".to_owned(),
        });
    };
    let mut command = Command::new(program);
    command.current_dir(&folder).args(["-f", "task.sby"]);
    command.env("PATH", path()).env("YOWASP_CACHE_DIR", tools().join("yowasp-cache"));
    let started = Instant::now();
    let output = steps::quiet(command)?;
    let seconds = started.elapsed().as_secs_f64();
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    let passed = output.status.success();
    let (said, evidence) = read(&log, &folder);
    let said = match (passed, said.is_empty()) {
        (true, _) => String::new(),
        (false, true) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        (false, false) => said,
    };
    let (name, method) = (proof.name, task.method.clone());
    Ok(Outcome { name, task: task.name.clone(), method, passed, said, evidence, seconds })
}

fn write(path: &Path, text: &str) -> Result<(), XtaskError> {
    std::fs::write(path, text).map_err(at(path))
}

fn script(proof: &Proof, task: &Task<'_>, files: &[VerilogFile]) -> String {
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    // Without a solver that replays its counterexamples; the runs with planted bugs use another engine.
    let options = if task.engine.starts_with("abc") { "aigsmt none\n" } else { "" };
    format!(
        "[options]\nmode {}\ndepth {}\n{options}\n[engines]\n{}\n\n[script]\nread_verilog -formal -DFORMAL {}\n\
         prep -top {}\n\n[files]\n{}\n",
        task.mode,
        task.depth,
        task.engine,
        names.join(" "),
        proof.name,
        names.join("\n")
    )
}

/// The shims go first, so that SymbiYosys finds them under the names that it calls.
fn path() -> std::ffi::OsString {
    let mut folders = vec![FORMAL.shims(&tools())];
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    std::env::join_paths(folders).unwrap_or_default()
}

/// The first rule that failed or situation that was not reached, and where to look.
fn read(log: &str, folder: &Path) -> (String, PathBuf) {
    let after = |mark: &str| {
        let line = log.lines().find(|line| line.contains(mark))?;
        line.split(mark).nth(1).map(|rest| rest.split(" at ").next().unwrap_or(rest).trim().to_owned())
    };
    let trace = log.lines().find_map(|line| Some(line.split_once("trace: ").or(line.split_once("]: "))?.1));
    let trace = trace.filter(|path| path.ends_with(".vcd")).map(|path| folder.join(path));
    let said = after("failed assertion ")
        .map(|rule| format!("{RULE}{rule}"))
        .or(after("unreached cover statement ").map(|cover| format!("not reached: {cover}")))
        .or(after("ERROR: ").map(|error| format!("error: {error}")))
        .unwrap_or_default();
    (said, trace.unwrap_or_else(|| folder.join("task/logfile.txt")))
}
