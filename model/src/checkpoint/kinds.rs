//! What a network's modules compute: entries of the header that tensors leave no trace of.

use super::header::wrong;
use super::names;
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

/// The end of a tensor's name behind a module of each kind: the modules that an entry may speak of.
const MODULES: [(&str, &[&str]); 4] = [
    ("activation", &[".threshold", "_threshold"]),
    ("attention", &[".bias_table"]),
    ("norm", &[".running_mean"]),
    ("residual", &[".attn.bias_table"]),
];

/// Refuses modules of other kinds than a Masked Spiking Transformer has, and warns of what is not said. Each entry is one
/// name for the whole network or a map from module to name, with wrappers or without; `tensors` are the names that say which modules there are.
pub(super) fn check<'t>(
    header: &Map<String, Value>,
    tensors: impl Iterator<Item = &'t str> + Clone,
) -> Result<Vec<Warning>, ModelError> {
    let mut warnings = Vec::new();
    for Kind { entry, allowed, meaning, remedy } in KINDS {
        let form = || format!("\"{allowed}\", or a map from modules to it");
        let modules: Vec<(&str, &Value)> = match header.get(entry) {
            None => {
                warnings.push(Warning::Assumed { entry, value: allowed, meaning });
                continue;
            }
            Some(Value::Object(modules)) if !modules.is_empty() => {
                modules.iter().map(|(name, kind)| (name.as_str(), kind)).collect()
            }
            Some(kind @ Value::String(_)) => vec![("every module", kind)],
            Some(other) => return Err(wrong(entry, other, &form())),
        };
        for (module, kind) in &modules {
            let Some(name) = kind.as_str() else {
                return Err(wrong(&format!("{entry}.{module}"), kind, &format!("\"{allowed}\"")));
            };
            if !means(name, allowed) {
                return Err(ModelError::Unmappable {
                    module: (*module).to_owned(),
                    found: format!("metadata entry `{KEY}` says {entry} {kind}, allowed: \"{allowed}\""),
                    remedy: remedy.to_owned(),
                });
            }
        }
        if !header[entry].is_object() {
            continue;
        }
        let ends = MODULES.iter().find(|(of, _)| *of == entry).map_or(&[][..], |(_, ends)| ends);
        let there: Vec<&str> = tensors
            .clone()
            .filter_map(|tensor| ends.iter().find_map(|end| tensor.strip_suffix(end)))
            .collect();
        let names = names::unwrapped(modules.iter().map(|(name, _)| *name));
        // A name speaks of all modules inside it, and a module's part of the module; a wrapper's of all.
        let inside = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('.'));
        let speaks =
            |name: &str, module: &str| name.is_empty() || inside(module, name) || inside(name, module);
        let unknown = |name: &String| !there.iter().any(|found| speaks(name, found));
        if let Some((name, kind)) = names.iter().position(unknown).map(|index| modules[index]) {
            let example = there.first().map_or_else(String::new, |module| format!(", such as `{module}`"));
            return Err(wrong(
                &format!("{entry}.{name}"),
                kind,
                &format!("names of modules{example}; or {}", form()),
            ));
        }
        let unnamed = there.iter().find(|found| !names.iter().any(|name| speaks(name, found)));
        warnings.extend(unnamed.map(|module| Warning::Unnamed {
            entry,
            module: (*module).to_owned(),
            meaning,
        }));
    }
    Ok(warnings)
}

/// Whether a name is the allowed one in another spelling.
fn means(name: &str, allowed: &str) -> bool {
    let name = name.to_lowercase().replace(['-', '_', ' '], "");
    let name = name.trim_start_matches("torch.").trim_start_matches("nn.");
    name == allowed.replace('_', "")
        || allowed == "batch_norm" && ["batchnorm1d", "batchnorm2d", "bn", "bn1d", "bn2d"].contains(&name)
}
