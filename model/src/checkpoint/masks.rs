//! The masks that a checkpoint was trained with.

use super::Architecture;
use super::header::{Header, wrong};
use crate::error::ModelError;
use crate::mask_rules;
use crate::network::Mask;
use std::collections::BTreeMap;

/// The header's entry.
const ENTRY: &str = "masks";
/// The layers of a block that can be masked, by their names after `stages.S.blocks.B.`.
const MASKABLE: [&str; 4] = ["attn.q", "attn.k", "attn.scores", "mlp.fc1"];

/// Reads the map from layer to mask; an absent entry is an empty map.
pub(super) fn read(
    header: &Header,
    architecture: &Architecture,
) -> Result<BTreeMap<String, Mask>, ModelError> {
    let Some(entry) = header.entry(ENTRY) else { return Ok(BTreeMap::new()) };
    let map = entry.as_object().ok_or_else(|| wrong(ENTRY, entry, "a map from layer names to masks"))?;
    map.iter()
        .map(|(layer, mask)| {
            if !exists(layer, architecture) {
                let allowed = format!(
                    "`stages.S.blocks.B.` and one of `{}`, for a block of the network",
                    MASKABLE.join("`, `")
                );
                return Err(wrong(&format!("a layer of {ENTRY}"), &layer.as_str().into(), &allowed));
            }
            // The label of each site is known.
            let read = mask_rules::read(mask).filter(|mask| mask.label.is_none());
            let read = read.ok_or_else(|| {
                let allowed = "a share of dropped spikes, 0 to 255/256 (0.996), or an object of `ratio` (that share), `shared` (true or false) \
                               and `draws_of` (the name of a layer)";
                wrong(&format!("{ENTRY} of `{layer}`"), mask, allowed)
            })?;
            Ok((layer.clone(), read))
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
