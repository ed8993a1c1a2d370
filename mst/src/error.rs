//! Why a command was refused or failed.

use std::path::PathBuf;

/// Why a command was refused or failed: one line that names the thing, the value found and what to do.
#[derive(Debug, thiserror::Error)]
pub enum MstError {
    /// No link was named.
    #[error(
        "no link is named; say where the accelerator is with `--link serial:PATH[@BAUD]`, `--link pcie:BUS:DEVICE.FUNCTION` or `--link sim`, or in MST_LINK"
    )]
    NoLink,
    /// The accelerator cannot be reached.
    #[error(transparent)]
    Link(#[from] driver::LinkError),
    /// The accelerator failed.
    #[error(transparent)]
    Driver(#[from] driver::DriverError),
    /// The network does not fit the core.
    #[error(transparent)]
    Program(#[from] driver::ProgramError),
    /// A network or a run option was refused.
    #[error(transparent)]
    Model(#[from] model::ModelError),
    /// The simulated core cannot be generated.
    #[error(transparent)]
    Rtl(#[from] hdl::rtl::RtlError),
    /// The simulated core cannot start.
    #[error(transparent)]
    Sim(#[from] sim::SimError),
    /// A file that is looked for when none is named does not exist.
    #[error("{what} is not there: no {place} in this folder or its parents; name one with {option}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Where it belongs.
        place: &'static str,
        /// The option that names it.
        option: &'static str,
    },
    /// Images, their labels or the names of their classes were refused.
    #[error(transparent)]
    Images(#[from] images::ImageError),
    /// More images than there are, or none.
    #[error("option --images is {found}, allowed: 1..={there}")]
    Count {
        /// Images that were asked for.
        found: usize,
        /// Images of the data set.
        there: usize,
    },
    /// An image that is no image.
    #[error("{}: {reason}", path.display())]
    Image {
        /// The file, or what was given in its place.
        path: PathBuf,
        /// What is wrong, and what is allowed.
        reason: String,
    },
    /// The serial ports cannot be listed.
    #[error("the serial ports cannot be listed: {0}")]
    Ports(#[from] serialport::Error),
    /// Registers or memory do not hold what was written.
    #[error(
        "{what}: 0x{written:08x} was written and 0x{found:08x} read back; check the link, then reload the bitstream"
    )]
    ReadBack {
        /// Register or memory, and where.
        what: String,
        /// What was written.
        written: u32,
        /// What was read.
        found: u32,
    },
    /// The accelerator and the reference differ.
    #[error(
        "{differ} of {images} images have other logits than the reference; run `mst selftest`, then `gen cosim` on the same network"
    )]
    Mismatch {
        /// Images that differ.
        differ: usize,
        /// Images compared.
        images: usize,
    },
    /// Results cannot be printed.
    #[error("results cannot be printed: {0}")]
    Stdout(std::io::Error),
}

impl MstError {
    /// 1 for a defect of the accelerator, 0 if whoever read the results has had enough, 2 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            MstError::Mismatch { .. } | MstError::ReadBack { .. } => 1,
            MstError::Stdout(_) if self.reader_left() => 0,
            _ => 2,
        }
    }

    /// Whether whoever read the results has closed the pipe: no failure.
    pub fn reader_left(&self) -> bool {
        matches!(self, MstError::Stdout(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}
