//! Why a task failed.

use std::path::PathBuf;

/// Why a task failed: one line that names the thing, the value found and what to do.
#[derive(Debug, thiserror::Error)]
pub enum XtaskError {
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system reported.
        source: std::io::Error,
    },
    /// A program could not be started.
    #[error("`{program}` cannot be started: {source}; {remedy}")]
    Start {
        /// The program.
        program: String,
        /// What the system reported.
        source: std::io::Error,
        /// What to do.
        remedy: String,
    },
    /// A step of a task failed; it has said why.
    #[error("step `{step}` failed with exit code {code}; to run it alone: {command}")]
    Step {
        /// Name of the step.
        step: String,
        /// Exit code, or 128 plus the signal that ended it.
        code: u8,
        /// Its command line.
        command: String,
    },
    /// Programs or headers that must come from the system are missing.
    #[error("missing: {missing}; install with: {command}")]
    Packages {
        /// What is missing.
        missing: String,
        /// What to run.
        command: String,
    },
    /// A board's description cannot be used.
    #[error("{}: {reason}", path.display())]
    BoardFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The placed and routed design has a defect.
    #[error("{board}: {defects}; see {}", folder.display())]
    Board {
        /// The board.
        board: String,
        /// What is wrong.
        defects: String,
        /// Where the tools' logs are.
        folder: PathBuf,
    },
    /// A tool could not be fetched.
    #[error("{what} could not be installed into {}: {reason}; {remedy}", folder.display())]
    Tool {
        /// The tool and its version.
        what: String,
        /// Where it belongs.
        folder: PathBuf,
        /// The last line of what the installer said.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A tool is not installed.
    #[error("no {tool} in {}; run `cargo xtask setup {tool}`, or set MST_TOOLS to the tools' folder", folder.display())]
    NotInstalled {
        /// The tool, as `cargo xtask setup` calls it.
        tool: &'static str,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// A folder cannot stand on a search path.
    #[error("{} has a `:` in its name, which ends an entry of PATH; set MST_TOOLS to another folder", folder.display())]
    SearchPath {
        /// The folder.
        folder: PathBuf,
    },
    /// No proof has such a name.
    #[error("no proof's name contains `{asked}`; there are: {known}")]
    NoProof {
        /// The name asked for.
        asked: String,
        /// The names.
        known: String,
    },
    /// The design of a proof could not be made.
    #[error("{reason}")]
    Design {
        /// Why.
        reason: String,
    },
    /// Proofs did not end as they should; each has said how.
    #[error("did not end as it should: {failed}")]
    Proofs {
        /// Their names.
        failed: String,
    },
    /// The guest did not do what it should.
    #[error("{reason}")]
    Guest {
        /// What was found, and what was expected.
        reason: String,
    },
    /// A program's report is not what was expected.
    #[error("the report of `{program}` has no number `{field}`; build both from the same release")]
    Report {
        /// The program.
        program: &'static str,
        /// The field that is missing.
        field: String,
    },
}

impl XtaskError {
    /// Exit code of the process: that of a step that found a fault, 2 for what could not be done.
    pub fn exit_code(&self) -> u8 {
        match self {
            XtaskError::Step { code, .. } => *code,
            XtaskError::Proofs { .. } | XtaskError::Board { .. } | XtaskError::Guest { .. } => 1,
            _ => 2,
        }
    }
}
