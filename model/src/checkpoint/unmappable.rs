//! What has no spiking counterpart, or another name here: found before anything is read, named with what to do about it.

use super::KEY;
use crate::container::Tensors;
use crate::error::ModelError;
use serde_json::Value;

/// Entries of the header that may say what a module computes, what is allowed there, and what to do about anything else.
const HEADER: [(&str, &str, &str); 3] = [
    (
        "activation",
        "qcfs",
        "replace it by QCFS with a trained threshold and train again: nothing else becomes an integrate-and-fire neuron",
    ),
    (
        "attention",
        "qcfs",
        "replace softmax by QCFS of `q k' / sqrt(d) + bias` and train again: a spiking core does not divide by a row's sum",
    ),
    (
        "norm",
        "batch_norm",
        "replace it by batch norm and train again: only running statistics fold into weights and thresholds",
    ),
];

/// Parts of a module's path that only networks of another kind have, and what to do about them.
const FOREIGN_MODULES: [(&str, &str); 14] = [
    ("layernorm", "replace layer norm by batch norm and train again"),
    ("layer_norm", "replace layer norm by batch norm and train again"),
    ("softmax", "replace softmax by QCFS of `q k' / sqrt(d) + bias` and train again"),
    ("gelu", "replace GELU by QCFS and train again"),
    ("relu", "replace ReLU by QCFS and train again"),
    ("silu", "replace SiLU by QCFS and train again"),
    ("qkv", "split it into `attn.q`, `attn.k` and `attn.v`, a third of the rows each"),
    ("relative_position_bias_table", "export it as `attn.bias_table`"),
    ("relative_position_index", "leave it out: it follows from the window"),
    ("attn_mask", "leave it out: it follows from the window and its shift"),
    ("num_batches_tracked", "leave it out"),
    ("pos_embed", "train without it: positions come from `attn.bias_table`"),
    ("cls_token", "train without it: the classifier reads the mean over all tokens"),
    ("layers", "export stages as `stages.S`"),
];

/// Refuses activations, attention and norms that are not those of a Masked Spiking Transformer. Each entry is one name for
/// the whole network or a map from module to name.
pub(super) fn check_header(header: &Value) -> Result<(), ModelError> {
    for (entry, allowed, remedy) in HEADER {
        let modules: Vec<(&str, &Value)> = match header.get(entry) {
            None => continue,
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
    Ok(())
}

/// Refuses tensors that only layer norm or a network of another kind has.
pub(super) fn check_tensors(tensors: &Tensors<'_>) -> Result<(), ModelError> {
    for name in tensors.names() {
        let refuse = |found: String, remedy: &str| {
            let module = name.rsplit_once('.').map_or(name, |(module, _)| module).to_owned();
            Err(ModelError::Unmappable { module, found, remedy: remedy.to_owned() })
        };
        let foreign = FOREIGN_MODULES
            .iter()
            .find(|(foreign, _)| name.split('.').any(|part| part.to_lowercase().contains(foreign)));
        if let Some((_, remedy)) = foreign {
            return refuse(format!("tensor `{name}` has no place in a checkpoint"), remedy);
        }
        // A batch norm has running statistics; what scales channels without them normalises each token by itself.
        if let Some(module) = name.strip_suffix(".weight")
            && tensors.rank(name) == Some(1)
            && !["running_mean", "running_var"]
                .iter()
                .any(|part| tensors.contains(&format!("{module}.{part}")))
        {
            let remedy = "replace it by batch norm and train again: only running statistics fold into weights and thresholds";
            return refuse(
                "one weight a channel and no `running_mean` or `running_var`, so this is layer norm or RMS norm".to_owned(),
                remedy,
            );
        }
    }
    Ok(())
}
