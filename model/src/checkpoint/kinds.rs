//! What a network's modules compute: entries of the header that tensors leave no trace of.

use super::{KEY, Warning};
use crate::error::ModelError;
use serde_json::{Map, Value};

/// An entry that says what modules of one sort compute.
pub(super) struct Kind {
    pub entry: &'static str,
    /// The only value that converts.
    allowed: &'static str,
    /// What it means.
    meaning: &'static str,
    /// What to do about any other value.
    remedy: &'static str,
}

pub(super) const KINDS: [Kind; 4] = [
    Kind {
        entry: "activation",
        allowed: "qcfs",
        meaning: "every activation is QCFS",
        remedy: "replace it by QCFS with a trained threshold and train again: nothing else becomes an integrate-and-fire neuron",
    },
    Kind {
        entry: "attention",
        allowed: "qcfs",
        meaning: "attention is QCFS of `q k' / sqrt(d) + bias`, without softmax",
        remedy: "replace softmax by QCFS of `q k' / sqrt(d) + bias` and train again: a spiking core does not divide by a row's sum",
    },
    Kind {
        entry: "norm",
        allowed: "batch_norm",
        meaning: "every norm is batch norm",
        remedy: "replace it by batch norm and train again: only running statistics fold into weights and thresholds",
    },
    Kind {
        entry: "residual",
        allowed: "add",
        meaning: "attention and MLP are added to the residual stream, which no norm replaces",
        remedy: "add to the residual stream itself, `x += ...`, and train again: here a norm reads the stream and does not replace it",
    },
];

/// Refuses modules of other kinds than a Masked Spiking Transformer has, and warns of what is not said. Each entry is one
/// name for the whole network or a map from module to name.
pub(super) fn check(header: &Map<String, Value>) -> Result<Vec<Warning>, ModelError> {
    let mut warnings = Vec::new();
    for Kind { entry, allowed, meaning, remedy } in KINDS {
        let modules: Vec<(&str, &Value)> = match header.get(entry) {
            None => {
                warnings.push(Warning::Assumed { entry, value: allowed, meaning });
                continue;
            }
            Some(Value::Object(modules)) => {
                modules.iter().map(|(name, kind)| (name.as_str(), kind)).collect()
            }
            Some(kind) => vec![("every module", kind)],
        };
        for (module, kind) in modules {
            let name = kind.as_str().unwrap_or_default();
            if name.to_lowercase().replace(['-', '_'], "") != allowed.replace('_', "") {
                return Err(ModelError::Unmappable {
                    module: module.to_owned(),
                    found: format!("metadata entry `{KEY}` says {entry} {kind}, allowed: \"{allowed}\""),
                    remedy: remedy.to_owned(),
                });
            }
        }
    }
    Ok(warnings)
}
