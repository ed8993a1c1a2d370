//! What checkpoints and network files have in common: a safetensors file with a JSON header under one metadata key.

use crate::error::ModelError;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The tensors of a file, by name. Reading one takes it out, so that what remains is what nothing reads.
pub(crate) struct Tensors<'f>(BTreeMap<String, Stored<'f>>);

struct Stored<'f> {
    dtype: Dtype,
    shape: Vec<usize>,
    data: &'f [u8],
}

/// An error of the file as a whole.
pub(crate) fn format_error(reason: impl Into<String>) -> ModelError {
    ModelError::Format { reason: reason.into() }
}

/// Splits a file into the JSON text under `key` and its tensors.
pub(crate) fn open<'f>(bytes: &'f [u8], key: &str, what: &str) -> Result<(String, Tensors<'f>), ModelError> {
    let corrupt =
        |error| format_error(format!("not a safetensors file, or a truncated or corrupt one: {error}"));
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(corrupt)?;
    let header = metadata.metadata().as_ref().and_then(|entries| entries.get(key));
    let header = header.ok_or_else(|| {
        format_error(format!("a safetensors file, but not {what}: its metadata has no entry `{key}`"))
    })?;
    let file = SafeTensors::deserialize(bytes).map_err(corrupt)?;
    let stored = file.tensors().into_iter().map(|(name, view)| {
        (name, Stored { dtype: view.dtype(), shape: view.shape().to_vec(), data: view.data() })
    });
    Ok((header.clone(), Tensors(stored.collect())))
}

/// Reads a header after its version was found to be `version`.
pub(crate) fn header<'h, T: Deserialize<'h>>(
    text: &'h str,
    key: &str,
    version: u64,
) -> Result<T, ModelError> {
    let wrong = |error| format_error(format!("metadata entry `{key}`: {error}"));
    let value: serde_json::Value = serde_json::from_str(text).map_err(wrong)?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(found) if found == version => serde_json::from_str(text).map_err(wrong),
        Some(found) => {
            Err(format_error(format!("metadata entry `{key}`: version {found}, expected {version}")))
        }
        None => {
            Err(format_error(format!("metadata entry `{key}` has no version number, expected {version}")))
        }
    }
}

/// Reads a file, and names it in every error that `parse` finds.
pub(crate) fn read_file<T>(
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Result<T, ModelError>,
) -> Result<T, ModelError> {
    let bytes = std::fs::read(path).map_err(|source| ModelError::Io { path: path.to_owned(), source })?;
    parse(&bytes).map_err(|error| error.in_file(path))
}

impl Tensors<'_> {
    /// Whether a tensor is there and was not taken yet.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Elements of a float tensor of the given shape, all finite.
    pub fn floats(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let data = self.take(name, Dtype::F32, shape)?;
        let values: Vec<f32> = data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        check(name, &values, "finite", |value| value.is_finite())?;
        Ok(values)
    }

    /// Elements of a 32-bit integer vector of any length.
    pub fn integers(&mut self, name: &str) -> Result<Vec<i32>, ModelError> {
        let length = self.length(name);
        let data = self.take(name, Dtype::I32, &[length])?;
        Ok(data.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes)).collect())
    }

    /// Elements of an 8-bit integer vector of any length.
    pub fn bytes(&mut self, name: &str) -> Result<Vec<i8>, ModelError> {
        let length = self.length(name);
        let data = self.take(name, Dtype::I8, &[length])?;
        Ok(data.iter().map(|&byte| byte as i8).collect())
    }

    /// The names of all tensors that were not taken.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Number of dimensions of a tensor that was not taken.
    pub fn rank(&self, name: &str) -> Option<usize> {
        self.0.get(name).map(|stored| stored.shape.len())
    }

    /// The name of a tensor that was not taken.
    pub fn left(&self) -> Option<&str> {
        self.names().next()
    }

    fn length(&self, name: &str) -> usize {
        self.0.get(name).map_or(0, |stored| stored.shape.iter().product())
    }

    fn take(&mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&[u8], ModelError> {
        let stored =
            self.0.remove(name).ok_or_else(|| ModelError::MissingTensor { name: name.to_owned() })?;
        if stored.dtype == dtype && stored.shape == shape {
            return Ok(stored.data);
        }
        Err(ModelError::TensorType {
            name: name.to_owned(),
            found: format!("{} {:?}", stored.dtype, stored.shape),
            expected: format!("{dtype} {shape:?}"),
        })
    }
}

/// Refuses the first element for which `ok` is false.
pub(crate) fn check(
    name: &str,
    values: &[f32],
    expected: &'static str,
    ok: impl Fn(f32) -> bool,
) -> Result<(), ModelError> {
    match values.iter().position(|&value| !ok(value)) {
        None => Ok(()),
        Some(index) => {
            Err(ModelError::TensorValue { name: name.to_owned(), index, value: values[index], expected })
        }
    }
}
