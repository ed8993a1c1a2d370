//! What checkpoints, graphs and network files have in common: a safetensors file with a JSON header under one metadata key.

mod foreign;

use crate::error::ModelError;
use crate::input;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// A kind of file.
pub(crate) struct Kind {
    /// The metadata key of its header.
    pub key: &'static str,
    /// What it is.
    pub what: &'static str,
    /// What to do with a file that holds tensors, but is not one of these.
    pub remedy: &'static str,
    /// The metadata key of a file that is taken for one, what that is, and what to do with it.
    pub mistaken: [&'static str; 3],
}

/// Trained float networks.
pub(crate) const CHECKPOINT: Kind = Kind {
    key: "mst",
    what: "a checkpoint of this project",
    remedy: "tensors alone do not say the architecture: load them with PyTorch and write them with `save_file(tensors, path, \
             {\"mst\": json.dumps(header)})` as train/export_example.py does; docs/checkpoint.md lists names and entries",
    mistaken: ["mst-network", "a converted network", "it needs no conversion: `gen run NET`"],
};

/// Float graphs.
pub(crate) const GRAPH: Kind = Kind {
    key: "mst-graph",
    what: "a graph of this project",
    remedy: "tensors alone do not say what is computed: write them with `save_file(tensors, path, {\"mst-graph\": json.dumps(header)})`; \
             docs/checkpoint.md lists operations, attributes and names",
    mistaken: ["mst-network", "a converted network", "it needs no conversion: `gen run NET`"],
};

/// Integer networks.
pub(crate) const NETWORK: Kind = Kind {
    key: "mst-network",
    what: "a network file of this project",
    remedy: "`gen convert CHECKPOINT --out NET` writes one; docs/checkpoint.md says what it converts",
    mistaken: ["mst", "a checkpoint", "convert it: `gen convert CHECKPOINT --out NET`"],
};

/// The tensors of a file, by name. Reading one takes it out, so that what remains is what nothing reads.
pub(crate) struct Tensors<'f>(pub BTreeMap<String, Stored<'f>>);

/// A tensor as the file has it.
pub(crate) struct Stored<'f> {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub data: &'f [u8],
}

/// An error of the file as a whole.
pub(crate) fn format_error(reason: impl Into<String>) -> ModelError {
    ModelError::Format { reason: reason.into() }
}

/// Splits a file into the JSON text of its header and its tensors.
pub(crate) fn open<'f>(bytes: &'f [u8], kind: &Kind) -> Result<(String, Tensors<'f>), ModelError> {
    let Kind { key, what, remedy, mistaken: [mistaken, is, do_this] } = kind;
    let corrupt = |error| match foreign::name(bytes) {
        Some(foreign) => format_error(format!("{foreign}, not {what}; {remedy}")),
        None => format_error(format!("not a safetensors file, or a truncated or corrupt one: {error}")),
    };
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(corrupt)?;
    let entries = metadata.metadata();
    let entry = |key: &str| entries.as_ref().and_then(|entries| entries.get(key));
    let Some(header) = entry(key) else {
        return Err(format_error(match entry(mistaken) {
            Some(_) => format!("{is} (metadata entry `{mistaken}`), not {what} (`{key}`); {do_this}"),
            None => {
                format!("a safetensors file, but not {what}: its metadata has no entry `{key}`; {remedy}")
            }
        }));
    };
    let file = SafeTensors::deserialize(bytes).map_err(corrupt)?;
    let stored = file.tensors().into_iter().map(|(name, view)| {
        (name, Stored { dtype: view.dtype(), shape: view.shape().to_vec(), data: view.data() })
    });
    Ok((header.clone(), Tensors(stored.collect())))
}

/// Whether the bytes are a file with a header of this key.
pub(crate) fn has_header(bytes: &[u8], key: &str) -> bool {
    let metadata = SafeTensors::read_metadata(bytes);
    metadata.is_ok_and(|(_, metadata)| {
        metadata.metadata().as_ref().is_some_and(|entries| entries.contains_key(key))
    })
}

/// The version of a header, one of `known`.
pub(crate) fn version(text: &str, key: &str, known: &[u64]) -> Result<u64, ModelError> {
    let value: serde_json::Value = header(text, key)?;
    let expected = known.iter().map(u64::to_string).collect::<Vec<_>>().join(" or ");
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(found) if known.contains(&found) => Ok(found),
        Some(found) => {
            Err(format_error(format!("metadata entry `{key}`: version {found}, expected {expected}")))
        }
        None => {
            Err(format_error(format!("metadata entry `{key}` has no version number, expected {expected}")))
        }
    }
}

/// Reads a header whose version is known.
pub(crate) fn header<'h, T: Deserialize<'h>>(text: &'h str, key: &str) -> Result<T, ModelError> {
    serde_json::from_str(text).map_err(|error| format_error(format!("metadata entry `{key}`: {error}")))
}

/// Reads a file, and names it in every error that `parse` finds.
pub(crate) fn read_file<T>(
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Result<T, ModelError>,
) -> Result<T, ModelError> {
    let bytes = input::read(path).map_err(|source| ModelError::Io { path: path.to_owned(), source })?;
    parse(&bytes).map_err(|error| error.in_file(path))
}

impl Tensors<'_> {
    /// Elements of a 32-bit integer vector of any length.
    pub fn integers(&mut self, name: &str) -> Result<Vec<i32>, ModelError> {
        let data = self.take(name, Dtype::I32)?;
        Ok(data.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes)).collect())
    }

    /// Elements of an 8-bit integer vector of any length.
    pub fn bytes(&mut self, name: &str) -> Result<Vec<i8>, ModelError> {
        let data = self.take(name, Dtype::I8)?;
        Ok(data.iter().map(|&byte| byte as i8).collect())
    }

    /// The name of a tensor that was not taken.
    pub fn left(&self) -> Option<&str> {
        self.0.keys().next().map(String::as_str)
    }

    fn take(&mut self, name: &str, dtype: Dtype) -> Result<&[u8], ModelError> {
        let stored =
            self.0.remove(name).ok_or_else(|| ModelError::MissingTensor { name: name.to_owned() })?;
        if stored.dtype == dtype && stored.shape.len() == 1 {
            return Ok(stored.data);
        }
        Err(ModelError::TensorType {
            name: name.to_owned(),
            found: stored.kind(),
            expected: format!("a vector of {dtype}"),
        })
    }
}

impl Stored<'_> {
    /// Element type and shape, in words.
    pub fn kind(&self) -> String {
        format!("{} {:?}", self.dtype, self.shape)
    }
}
