//! Network files (`net.mst`): an integer network on disk.
//!
//! A safetensors file. The metadata key `mst-network` holds the version and, as JSON, the network with its arrays left
//! empty. Those of layer `n` are tensors: `n.k.weights` (`i8`) of term `k`, and `n.bias`, `n.theta` and `n.v0` (`i32`). The same
//! network gives the same bytes. Files of version 1 are read, too.

mod version1;

use crate::container::{self, Tensors, format_error};
use crate::error::ModelError;
use crate::network::{Layer, Network, Operation, Weights};
use crate::output;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt::Display;
use std::path::Path;

/// The metadata key of the header.
pub const KEY: &str = container::NETWORK.key;
/// The header's `version`.
pub const VERSION: u64 = 2;

#[derive(Serialize, Deserialize)]
struct Header {
    version: u64,
    network: Network,
}

/// An array of a layer.
enum Array<'a> {
    Bytes(&'a mut Vec<i8>),
    Integers(&'a mut Vec<i32>),
}

/// The arrays of a layer, by name.
fn arrays(layer: &mut Layer) -> Vec<(String, Array<'_>)> {
    let mut arrays = Vec::new();
    match &mut layer.operation {
        Operation::Linear { terms, bias } => {
            for (k, term) in terms.iter_mut().enumerate() {
                let (Weights::Dense(data) | Weights::Diagonal(data)) = &mut term.weights;
                arrays.push((format!("{k}.weights"), Array::Bytes(data)));
            }
            arrays.push(("bias".to_owned(), Array::Integers(bias)));
        }
        Operation::Scores { bias, .. } => arrays.push(("bias".to_owned(), Array::Integers(bias))),
        Operation::Context { .. } => (),
    }
    arrays.push(("theta".to_owned(), Array::Integers(&mut layer.theta)));
    arrays.push(("v0".to_owned(), Array::Integers(&mut layer.v0)));
    arrays
}

impl Network {
    /// Writes the network to a file as [`output::write`] does.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        let written = output::write(path, &self.to_bytes()?);
        written.map_err(|source| ModelError::Io { path: path.to_owned(), source })
    }

    /// Reads a network file and validates the network.
    ///
    /// # Errors
    /// If the file cannot be read, is truncated, corrupt or foreign, or if the network does not
    /// [validate](Network::validate): names the path and what is wrong.
    pub fn load(path: &Path) -> Result<Network, ModelError> {
        container::read_file(path, Network::from_bytes)
    }

    /// The bytes of the network's file.
    ///
    /// # Errors
    /// If the network is too large for the format.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let mut network = self.clone();
        let mut tensors: Vec<(String, Dtype, Vec<u8>)> = Vec::new();
        for (index, layer) in network.layers.iter_mut().enumerate() {
            for (name, array) in arrays(layer) {
                let (dtype, bytes) = match array {
                    Array::Bytes(values) => {
                        (Dtype::I8, std::mem::take(values).iter().map(|&v| v as u8).collect())
                    }
                    Array::Integers(values) => {
                        (Dtype::I32, std::mem::take(values).iter().flat_map(|v| v.to_le_bytes()).collect())
                    }
                };
                tensors.push((format!("{index}.{name}"), dtype, bytes));
            }
        }
        let failed = |error: &dyn Display| format_error(format!("cannot write the network: {error}"));
        let header = serde_json::to_string(&Header { version: VERSION, network }).map_err(|e| failed(&e))?;
        let views = tensors.iter().map(|(name, dtype, bytes)| {
            let elements = bytes.len() * 8 / dtype.bitsize();
            TensorView::new(*dtype, vec![elements], bytes).map(|view| (name.as_str(), view))
        });
        let views: Vec<_> = views.collect::<Result<_, _>>().map_err(|e| failed(&e))?;
        let metadata = HashMap::from([(KEY.to_owned(), header)]);
        safetensors::serialize(views, Some(metadata)).map_err(|e| failed(&e))
    }

    /// Reads a network from the bytes of its file and validates it.
    ///
    /// # Errors
    /// As [`Network::load`], without the path.
    pub fn from_bytes(bytes: &[u8]) -> Result<Network, ModelError> {
        let (text, mut tensors) = container::open(bytes, &container::NETWORK)?;
        let network = match container::version(&text, KEY, &[1, VERSION])? {
            1 => version1::read(&text, &mut tensors)?,
            _ => {
                let Header { mut network, .. } = container::header(&text, KEY)?;
                for (index, layer) in network.layers.iter_mut().enumerate() {
                    fill(index, arrays(layer), &mut tensors)?;
                }
                network
            }
        };
        if let Some(name) = tensors.left() {
            return Err(ModelError::UnexpectedTensor { name: name.to_owned(), hint: "" });
        }
        network.validate()?;
        Ok(network)
    }
}

fn fill<'a>(
    index: usize,
    arrays: impl IntoIterator<Item = (impl Display, Array<'a>)>,
    tensors: &mut Tensors<'_>,
) -> Result<(), ModelError> {
    for (name, array) in arrays {
        let name = format!("{index}.{name}");
        match array {
            Array::Bytes(values) => *values = tensors.bytes(&name)?,
            Array::Integers(values) => *values = tensors.integers(&name)?,
        }
    }
    Ok(())
}
