//! The mask ratios that a checkpoint was trained with.

use super::Architecture;
use super::header::{Header, wrong};
use crate::error::ModelError;
use crate::mask_rules::MaskRatio;
use std::collections::BTreeMap;

/// The header's entry.
const ENTRY: &str = "masks";
/// The layers of a block that can be masked, by their names after `stages.S.blocks.B.`.
const MASKABLE: [&str; 4] = ["attn.q", "attn.k", "attn.scores", "mlp.fc1"];

/// Reads the map from layer to ratio; an absent entry is an empty map.
pub(super) fn read(
    header: &Header,
    architecture: &Architecture,
) -> Result<BTreeMap<String, MaskRatio>, ModelError> {
    let Some(entry) = header.entry(ENTRY) else { return Ok(BTreeMap::new()) };
    let map = entry.as_object().ok_or_else(|| wrong(ENTRY, entry, "a map from layer names to ratios"))?;
    map.iter()
        .map(|(layer, ratio)| {
            if !exists(layer, architecture) {
                let allowed = format!(
                    "`stages.S.blocks.B.` and one of `{}`, for a block of the network",
                    MASKABLE.join("`, `")
                );
                return Err(wrong(&format!("a layer of {ENTRY}"), &layer.as_str().into(), &allowed));
            }
            let value = ratio.as_f64().and_then(|ratio| MaskRatio::try_from(ratio).ok());
            let value = value.ok_or_else(|| {
                wrong(
                    &format!("{ENTRY} of `{layer}`"),
                    ratio,
                    "a share of dropped spikes, 0 to 255/256 (0.996)",
                )
            })?;
            Ok((layer.clone(), value))
        })
        .collect()
}

/// Whether the network has this layer and can mask it.
fn exists(layer: &str, architecture: &Architecture) -> bool {
    let blocks = architecture.depths.iter().enumerate();
    let mut names = blocks.flat_map(|(stage, &depth)| {
        (0..depth).flat_map(move |block| MASKABLE.map(|part| format!("stages.{stage}.blocks.{block}.{part}")))
    });
    names.any(|name| name == layer)
}
