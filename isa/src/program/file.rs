//! Program files (`net.mstp`): what a host needs to run a network, without the network and without the compiler.
//!
//! A safetensors file. The metadata key `mst-program` holds, as JSON, the interface's `version` (as register `VERSION` has it), the program
//! and `crc32`, the CRC-32 of the program's JSON and of the segments' bytes. Tensor `n` is segment `n`. The same program gives the same
//! bytes.

use super::{Program, ProgramFileError};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The metadata key of the program.
pub const KEY: &str = "mst-program";

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    crc32: u32,
    program: Program,
}

impl Program {
    /// The bytes of the program's file.
    ///
    /// # Errors
    /// [`ProgramFileError::Format`] if the format cannot hold it.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ProgramFileError> {
        let header = Header { version: crate::VERSION, crc32: self.checksum()?, program: self.clone() };
        let metadata = HashMap::from([(KEY.to_owned(), serde_json::to_string(&header).map_err(format)?)]);
        let views = self.image.iter().enumerate().map(|(index, segment)| {
            let bytes = segment.bytes.as_slice();
            TensorView::new(Dtype::U8, vec![bytes.len()], bytes).map(|view| (index.to_string(), view))
        });
        let views: Vec<_> = views.collect::<Result<_, _>>().map_err(format)?;
        safetensors::serialize(views, Some(metadata)).map_err(format)
    }

    /// Whether these bytes begin like a program file rather than another safetensors file.
    pub fn is_file(bytes: &[u8]) -> bool {
        SafeTensors::read_metadata(bytes).is_ok_and(|(_, header)| {
            header.metadata().as_ref().is_some_and(|entries| entries.contains_key(KEY))
        })
    }

    /// Reads a program from the bytes of its file, and checks that no part contradicts another.
    ///
    /// # Errors
    /// If it is truncated, damaged or foreign, written for another version of the interface, or does not hold together.
    pub fn from_bytes(bytes: &[u8]) -> Result<Program, ProgramFileError> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
        let text = header.metadata().as_ref().and_then(|entries| entries.get(KEY));
        let text = text.ok_or_else(|| format(format_args!("no metadata entry `{KEY}`")))?;
        // The version first: what follows may look otherwise in another one.
        let entries: serde_json::Value = serde_json::from_str(text).map_err(format)?;
        let version = entries.get("version").and_then(serde_json::Value::as_u64);
        let version = version.and_then(|version| u32::try_from(version).ok());
        match version.ok_or_else(|| format("no version"))? {
            version if version >> 16 == crate::VERSION >> 16 => {}
            found => return Err(ProgramFileError::Version { found }),
        }
        let Header { crc32: expected, mut program, .. } = serde_json::from_str(text).map_err(format)?;
        let file = SafeTensors::deserialize(bytes).map_err(format)?;
        if file.len() != program.image.len() {
            return Err(format(format_args!("{} tensors for {} segments", file.len(), program.image.len())));
        }
        for (index, segment) in program.image.iter_mut().enumerate() {
            segment.bytes = file.tensor(&index.to_string()).map_err(format)?.data().to_vec();
        }
        let found = program.checksum()?;
        if found != expected {
            return Err(ProgramFileError::Checksum { found, expected });
        }
        program.validate()?;
        Ok(program)
    }

    fn checksum(&self) -> Result<u32, ProgramFileError> {
        let mut crc = crc32fast::Hasher::new();
        crc.update(serde_json::to_string(self).map_err(format)?.as_bytes());
        self.image.iter().for_each(|segment| crc.update(&segment.bytes));
        Ok(crc.finalize())
    }
}

fn format(reason: impl ToString) -> ProgramFileError {
    ProgramFileError::Format { reason: reason.to_string() }
}
