//! Why an accelerator could not be used.

use crate::link::LinkError;
use isa::ErrorCode;
use isa::config::ConfigError;
use isa::program::ImageSizeError;
use std::time::Duration;

/// Why an accelerator could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// The link failed.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// What answers is no accelerator.
    #[error(
        "register IDENTITY is 0x{found:08x}, expected 0x{:08x} (`MST1`): no accelerator answers here; check the bitstream and \
         the register address",
        isa::IDENTITY
    )]
    NoAccelerator {
        /// The value of `IDENTITY`.
        found: u32,
    },
    /// The core speaks another interface.
    #[error(
        "the core has interface version {}.{}, this driver speaks {}.x; generate the core and build the driver from the same release",
        found >> 16, found & 0xffff, isa::VERSION >> 16
    )]
    Version {
        /// The value of `VERSION`.
        found: u32,
    },
    /// The core's configuration registers make no sense.
    #[error("the configuration registers {registers:08x?} describe no core: {source}")]
    Configuration {
        /// `CONFIG0` to `CONFIG3`.
        registers: [u32; 4],
        /// The field that is out of range.
        source: ConfigError,
    },
    /// A program or a configuration file is for another core.
    #[error(
        "{field} is {expected} in {what}, but {found} in the core that answers; compile for this core, or load the bitstream \
         that belongs to the file"
    )]
    OtherCore {
        /// The field that differs.
        field: &'static str,
        /// Where the expectation comes from.
        what: String,
        /// The value there.
        expected: u32,
        /// The core's value.
        found: u32,
    },
    /// The memory window cannot be used.
    #[error("the memory window starts at 0x{base:x} and has {size} bytes; {allowed}")]
    Window {
        /// Bus address of the window.
        base: u64,
        /// Bytes in the window.
        size: u64,
        /// What is allowed, and what to do.
        allowed: String,
    },
    /// No program is loaded.
    #[error("no network is loaded; load a program first")]
    NotLoaded,
    /// The image has another size than the network takes.
    #[error(transparent)]
    ImageSize(#[from] ImageSizeError),
    /// One of several images failed.
    #[error("image {index}: {source}")]
    Image {
        /// Its index among those of the call.
        index: usize,
        /// Why.
        source: Box<DriverError>,
    },
    /// There is no such plane, or it may have been overwritten.
    #[error("the plane of layer {index} cannot be read back: {reason}")]
    NoPlane {
        /// Index of the layer.
        index: usize,
        /// Why not, and what to do.
        reason: String,
    },
    /// The core stopped with an error.
    #[error("{}", core_message(.0))]
    Core(Box<CoreFault>),
    /// The core did not finish in time.
    #[error(
        "the run was not over after {waited:?}: STATUS 0x{status:x}, {completed} of {descriptors} descriptors completed, `{layer}` is next; \
         reset the accelerator (`mst reset`), or allow more time (`mst --deadline SECONDS`)"
    )]
    Deadline {
        /// How long the driver waited.
        waited: Duration,
        /// The value of `STATUS`.
        status: u32,
        /// Descriptors completed.
        completed: u32,
        /// Descriptors of the run: one a layer, or one a strip of a layer.
        descriptors: u32,
        /// Name of the first layer that is not complete.
        layer: String,
    },
    /// The core says that the run is over, but not every descriptor of it is.
    #[error(
        "STATUS says done with {completed} of {descriptors} descriptors completed, `{layer}` is next: the registers contradict each other; \
         reset the accelerator (`mst reset`), then check the link and the bitstream"
    )]
    Incomplete {
        /// Descriptors completed.
        completed: u32,
        /// Descriptors of the run: one a layer, or one a strip of a layer.
        descriptors: u32,
        /// Name of the first layer that is not complete.
        layer: String,
    },
    /// A logit that no image gives: the core did not write it, or it was damaged on the way.
    #[error(
        "the logit of class {class} is {found}, the network's are {low}..={high}: the core did not write it, or it was damaged on \
         the way; reset the accelerator (`mst reset`) and load the network again"
    )]
    Logit {
        /// The class.
        class: usize,
        /// What memory holds.
        found: i32,
        /// The smallest logit that spikes can add up to.
        low: i64,
        /// The largest.
        high: i64,
    },
    /// The memory does not hold the program any more, or reads something else.
    #[error(
        "memory reads 0x{found:016x} at byte {offset} of the window, where the program begins with 0x{expected:016x}: it was lost, \
         overwritten, or the memory cannot be read; reset the accelerator (`mst reset`) and load the network again"
    )]
    Memory {
        /// Byte offset in the memory window.
        offset: u64,
        /// What was written.
        expected: u64,
        /// What is read.
        found: u64,
    },
    /// An accelerator that was open no longer answers as one.
    #[error(
        "the accelerator has gone: IDENTITY is 0x{found:08x}, expected 0x{:08x} (`MST1`); check power and cable, reset the whole \
         device, then open it again and load the network",
        isa::IDENTITY
    )]
    Gone {
        /// The value of `IDENTITY`.
        found: u32,
    },
    /// A soft reset did not end.
    #[error(
        "the soft reset was not over after {waited:?}: STATUS 0x{status:x}; the memory does not answer, reset the whole device"
    )]
    ResetStuck {
        /// How long the driver waited.
        waited: Duration,
        /// The value of `STATUS`.
        status: u32,
    },
}

/// What the registers said when the core had stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreFault {
    /// The value of `STATUS`.
    pub status: u32,
    /// The value of `ERROR`.
    pub code: u32,
    /// The value of `ERROR_DESCRIPTOR`: index of the descriptor in its run.
    pub descriptor: u32,
    /// Name of the layer that the descriptor belongs to.
    pub layer: String,
    /// The value of `ERROR_ADDRESS`: byte offset in the memory window.
    pub address: u32,
}

impl CoreFault {
    /// The error code, if it is a defined one.
    pub fn error_code(&self) -> Option<ErrorCode> {
        ErrorCode::from_code(self.code)
    }
}

fn core_message(fault: &CoreFault) -> String {
    let (name, text) = match fault.error_code() {
        Some(code) => (format!("{code:?}"), code.text()),
        None => ("not defined".to_owned(), "The driver does not know this code."),
    };
    format!(
        "the core stopped with error {} ({name}) in descriptor {}, layer `{}`: {text} STATUS 0x{:x}, ERROR_ADDRESS 0x{:08x}; \
         reset the accelerator before the next run (`mst reset`)",
        fault.code, fault.descriptor, fault.layer, fault.status, fault.address
    )
}
