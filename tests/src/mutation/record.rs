//! The verdicts so far, in a file with a line for each, so that a run that was cut short goes on where it was.

use super::judge::{Found, QUICK, THOROUGH};
use super::{Design, Mutant, Verdict};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;

/// A file of verdicts, open at its end.
pub struct Record {
    path: PathBuf,
    file: Mutex<File>,
    /// The verdicts that it held, by the mutants' numbers.
    pub verdicts: BTreeMap<u32, Verdict>,
}

impl Record {
    /// Opens the record of a design's mutants and reads it. A record of other Verilog is begun anew, as is any if `fresh`.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn open(design: &Design, fresh: bool) -> Result<Record, String> {
        let path = design.folder.join("verdicts.jsonl");
        let at = |error: std::io::Error| format!("{}: {error}", path.display());
        let old = if path.is_file() && !fresh { super::read(&path)? } else { String::new() };
        // A line that a killed process left half written is no JSON, and its mutant is judged again.
        let mut lines = old.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let header = json!({ "design": design.key });
        let mut verdicts = BTreeMap::new();
        if lines.next().as_ref() == Some(&header) {
            verdicts.extend(lines.filter_map(|line| read_verdict(design, &line)));
        }
        let mut file = File::create(&path).map_err(at)?;
        writeln!(file, "{header}").map_err(at)?;
        let record = Record { path: path.clone(), file: Mutex::new(file), verdicts: BTreeMap::new() };
        for mutant in &design.mutants {
            if let Some(verdict) = verdicts.get(&mutant.number) {
                record.add(mutant, verdict)?;
            }
        }
        Ok(Record { verdicts, ..record })
    }

    /// Adds a verdict, which stands in the file when this returns.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&self, mutant: &Mutant, verdict: &Verdict) -> Result<(), String> {
        let (verdict, check, how) = match verdict {
            Verdict::Caught(found) => ("caught", found.check.as_str(), found.how.as_str()),
            Verdict::Equivalent => ("equivalent", "", ""),
            Verdict::Survived => ("survived", "", ""),
        };
        let line = json!({
            "number": mutant.number, "command": mutant.command, "verdict": verdict, "check": check, "how": how
        });
        let mut file = self.file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        writeln!(file, "{line}").map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

/// A verdict of a line, if there still is such a mutant and, if it was caught, such a check.
fn read_verdict(design: &Design, line: &Value) -> Option<(u32, Verdict)> {
    let text = |field: &str| line[field].as_str();
    let number = u32::try_from(line["number"].as_u64()?).ok()?;
    let mutant = design.mutants.iter().find(|mutant| mutant.number == number)?;
    if text("command")? != mutant.command {
        return None;
    }
    let verdict = match text("verdict")? {
        "caught" => {
            let name = text("check")?;
            let known = QUICK.iter().chain(THOROUGH).any(|(check, _)| *check == name);
            let beside = !design.sampled && (name.starts_with("component ") || name.starts_with("proof "));
            if !known && !beside {
                return None;
            }
            Verdict::Caught(Found { check: name.to_owned(), how: text("how")?.to_owned() })
        }
        "equivalent" => Verdict::Equivalent,
        "survived" => Verdict::Survived,
        _ => return None,
    };
    Some((number, verdict))
}
