//! Whether a chosen mutant is found by the tests of its component, or by the proof of its module.

use super::Mutant;
use super::chosen::{CHOSEN, judges};
use super::judge::Found;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// The variable that tells the tests of components to change the Verilog that they compile: a mutant's number.
pub const VARIABLE: &str = "MST_MUTANT";

/// What finds it, of the component's tests and the module's proof, if there are any.
///
/// # Errors
/// If they cannot be run.
pub fn finds(mutant: &Mutant) -> Result<Option<Found>, String> {
    let (component, proof) = judges(&mutant.module);
    let by_test = component.map(|filter| by_component(mutant, filter)).transpose()?.flatten();
    match (by_test, proof) {
        (None, Some(proof)) => by_proof(mutant, proof),
        (found, _) => Ok(found),
    }
}

fn by_component(mutant: &Mutant, filter: &str) -> Result<Option<Found>, String> {
    let mut command = cargo();
    command.args(["test", "--quiet", "--package", "tests", "--test", "components", "--", filter]);
    command.env(VARIABLE, mutant.number.to_string());
    let output = run(command)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(None);
    }
    if !said.contains("test result: FAILED") {
        return Err(format!(
            "the tests of {filter} did not run: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let failed = said.lines().find(|line| line.contains("panicked")).unwrap_or("a test fails");
    Ok(Some(Found { check: format!("component {}", filter.trim_end_matches(':')), how: failed.to_owned() }))
}

fn by_proof(mutant: &Mutant, proof: &str) -> Result<Option<Found>, String> {
    let chosen = CHOSEN[mutant.number as usize - 1];
    let mut command = cargo();
    command.args([
        "run",
        "--quiet",
        "--package",
        "xtask",
        "--",
        "formal",
        "--only",
        proof,
        "--json",
        "--bug",
    ]);
    command.args([chosen.file(), chosen.text.to_owned(), chosen.changed_by("1'b1")]);
    let output = run(command)?;
    let Ok(report) = serde_json::from_slice::<Value>(&output.stdout) else {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // A proof's module is small, and may have other text.
        return if said.contains("is not exactly once") { Ok(None) } else { Err(format!("{proof}: {said}")) };
    };
    let outcome = &report["outcomes"][0];
    let how = outcome["said"].as_str().unwrap_or("").to_owned();
    Ok((outcome["passed"] == true).then(|| Found { check: format!("proof {proof}"), how }))
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    command.current_dir(tests.parent().unwrap_or(tests));
    command
}

fn run(mut command: Command) -> Result<Output, String> {
    command.output().map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))
}
