//! Tensors that have no spiking counterpart, or another name here: found before any is read, named with what to do about them.

use crate::container::Tensors;
use crate::error::ModelError;

/// Parts of a module's path that only networks of another kind have, and what to do about them.
const FOREIGN_MODULES: [(&str, &str); 13] = [
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
    ("pos_embed", "train without it: positions come from `attn.bias_table`"),
    ("cls_token", "train without it: the classifier reads the mean over all tokens"),
    ("layers", "export stages as `stages.S`"),
];

/// What gives a batch norm its statistics.
const MEASURE: &str = "measure them: build the batch norms with track_running_stats=True, load these weights, run training images through the \
                       network in training mode (`model.train()`) without an optimizer step, and export again";

/// Refuses tensors that only a network of another kind has, and norms without running statistics. `norm_said`: the header says
/// that every norm is batch norm.
pub(super) fn check(tensors: &Tensors<'_>, norm_said: bool) -> Result<(), ModelError> {
    for name in tensors.0.keys() {
        let foreign = FOREIGN_MODULES
            .iter()
            .find(|(foreign, _)| name.split('.').any(|part| part.to_lowercase().contains(foreign)));
        if let Some((_, remedy)) = foreign {
            return Err(ModelError::Unmappable {
                module: name.rsplit_once('.').map_or(name.as_str(), |(module, _)| module).to_owned(),
                found: format!("tensor `{name}` has no place in a checkpoint"),
                remedy: (*remedy).to_owned(),
            });
        }
    }
    let unmeasured: Vec<&str> = tensors.0.keys().filter_map(|name| unmeasured(tensors, name)).collect();
    let Some(module) = unmeasured.first() else { return Ok(()) };
    // Layer norm sits where this format has a norm of the stream, not behind a linear layer.
    let batch_norm = norm_said || unmeasured.iter().any(|module| module.ends_with(".bn"));
    let missing =
        "one weight a channel, but its running statistics (`running_mean`, `running_var`) are missing";
    Err(ModelError::Unmappable {
        module: (*module).to_owned(),
        found: missing.to_owned(),
        remedy: if batch_norm {
            MEASURE.to_owned()
        } else {
            format!(
                "if it is batch norm, {MEASURE}; if it is layer norm or RMS norm, replace it by batch norm and train again: \
                 only running statistics fold into weights and thresholds"
            )
        },
    })
}

/// The module of a norm's weight, if it has no running statistics.
fn unmeasured<'n>(tensors: &Tensors<'_>, name: &'n str) -> Option<&'n str> {
    let module = name.strip_suffix(".weight")?;
    let measured = ["running_mean", "running_var"]
        .iter()
        .any(|part| tensors.0.contains_key(&format!("{module}.{part}")));
    (tensors.0[name].shape.len() == 1 && !measured).then_some(module)
}
