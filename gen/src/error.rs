//! Why a command was refused or failed.

use std::path::PathBuf;

/// Why a command was refused or failed: one line that names the thing, the value found and what to do.
#[derive(Debug, thiserror::Error)]
pub enum GenError {
    /// The core's sizes are out of range.
    #[error(transparent)]
    Config(#[from] isa::config::ConfigError),
    /// The core cannot be generated.
    #[error(transparent)]
    Rtl(#[from] hdl::rtl::RtlError),
    /// Images, their labels or the names of their classes were refused.
    #[error(transparent)]
    Images(#[from] images::ImageError),
    /// A network, checkpoint or run option was refused.
    #[error(transparent)]
    Model(#[from] model::ModelError),
    /// The network does not fit the core.
    #[error(transparent)]
    Program(#[from] compile::ProgramError),
    /// The program cannot be written, or its file was refused.
    #[error(transparent)]
    ProgramFile(#[from] isa::program::ProgramFileError),
    /// The core cannot be compiled.
    #[error(transparent)]
    Build(#[from] sim::verilated::BuildError),
    /// The simulation cannot start.
    #[error(transparent)]
    Sim(#[from] sim::SimError),
    /// The card cannot be simulated.
    #[error(transparent)]
    Card(#[from] sim::pcie::PcieError),
    /// The core failed while it ran an image.
    #[error("image {image}: {source}")]
    Core {
        /// Index of the image.
        image: usize,
        /// What the driver reported.
        source: driver::DriverError,
    },
    /// The core did not come up or did not take the network.
    #[error(transparent)]
    Driver(#[from] driver::DriverError),
    /// A file that is looked for when none is named does not exist.
    #[error("{what} is not there: no {} in this folder, its parents or the workspace; {remedy}", place.display())]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Where it belongs.
        place: PathBuf,
        /// What to do.
        remedy: &'static str,
    },
    /// An option is out of range or does not go with another.
    #[error("option {option} is {found}, allowed: {allowed}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        found: String,
        /// What is allowed.
        allowed: String,
    },
    /// A chart or the page of a report cannot be drawn: a defect of this program.
    #[error("the report cannot be drawn: {0}")]
    Chart(String),
    /// A file of points belongs to something else.
    #[error("{}: {reason}; name another file (`--out`, or `--sweep` of `gen report`)", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What does not belong.
        reason: String,
    },
    /// A file of points contradicts itself.
    #[error("{}: {reason}", path.display())]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// Where, and what to do.
        reason: String,
    },
    /// Another process adds points to the same file.
    #[error(
        "{}: another `gen sweep` or `gen report` adds points to it (it holds the lock {}); wait until it is done, or write to \
         another file and name that", path.display(), lock.display()
    )]
    Locked {
        /// The file.
        path: PathBuf,
        /// The lock file beside it.
        lock: PathBuf,
    },
    /// A file could not be written or read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system reported.
        source: std::io::Error,
    },
    /// Core and reference differ; the report has been printed.
    #[error("{mismatches} of {images} images differ between core and reference")]
    Mismatch {
        /// Images that differ.
        mismatches: usize,
        /// Images compared.
        images: usize,
    },
    /// Data came back otherwise than they were sent.
    #[error("{what}: what arrived is not what was sent; run `cargo test -p sim --test pcie`")]
    Stream {
        /// What carried them.
        what: &'static str,
    },
    /// A tool is not installed.
    #[error("no {tool} at {}; {remedy}", looked_at.display())]
    NoTool {
        /// The tool.
        tool: &'static str,
        /// Where it was looked for.
        looked_at: PathBuf,
        /// What to do.
        remedy: &'static str,
    },
    /// Yosys refused the design.
    #[error("Yosys: {reason}; all it said is in {}", log.display())]
    Yosys {
        /// Its log.
        log: PathBuf,
        /// Its first error.
        reason: String,
    },
    /// Something is in the synthesised core that must not be; the report has been printed.
    #[error("{count} defects in the synthesised core; Verilog, script and log are in {}", folder.display())]
    Findings {
        /// Defects.
        count: usize,
        /// Where the files are.
        folder: PathBuf,
    },
    /// The results could not be printed.
    #[error("stdout: {0}")]
    Stdout(std::io::Error),
}

impl GenError {
    /// Exit code of the process: 1 if the core did not do what the reference does, 2 if it was never asked.
    pub fn exit_code(&self) -> u8 {
        match self {
            GenError::Mismatch { .. }
            | GenError::Core { .. }
            | GenError::Stream { .. }
            | GenError::Yosys { .. }
            | GenError::Findings { .. } => 1,
            GenError::Stdout(_) if self.reader_left() => 0,
            _ => 2,
        }
    }

    /// Whether whoever read the results has closed the pipe: no failure.
    pub fn reader_left(&self) -> bool {
        matches!(self, GenError::Stdout(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}
