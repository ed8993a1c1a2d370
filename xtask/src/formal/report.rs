//! What became of a proof.

use std::fmt;
use std::path::PathBuf;

/// What one run of SymbiYosys said.
#[derive(Debug)]
pub struct Outcome {
    /// The proof.
    pub name: &'static str,
    /// What was run: `proof`, `cover`, or a planted bug.
    pub task: String,
    /// How, with the depth.
    pub method: String,
    /// Whether it ended as it should.
    pub passed: bool,
    /// The rule that failed, the situation not reached, or the tool's error.
    pub said: String,
    /// Where the counterexample or the log is.
    pub evidence: PathBuf,
    /// How long it took.
    pub seconds: f64,
}

impl Outcome {
    /// Proof and task.
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.task)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passed { "ok" } else { "FAILED" };
        write!(f, "{:20} {:10} {:18} {:6.1} s  {verdict}", self.name, self.task, self.method, self.seconds)?;
        if !self.said.is_empty() {
            write!(f, "  {}", self.said)?;
        }
        if !self.passed {
            write!(f, "\n    see {}", self.evidence.display())?;
        }
        Ok(())
    }
}

/// One document for all of them.
pub fn json(outcomes: &[Outcome]) -> serde_json::Value {
    let one = |outcome: &Outcome| {
        serde_json::json!({
            "proof": outcome.name,
            "task": outcome.task,
            "method": outcome.method,
            "passed": outcome.passed,
            "said": outcome.said,
            "evidence": outcome.evidence,
            "seconds": outcome.seconds,
        })
    };
    serde_json::json!({ "outcomes": outcomes.iter().map(one).collect::<Vec<_>>() })
}
