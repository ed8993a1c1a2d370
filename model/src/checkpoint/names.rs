//! Names of tensors, without what wrappers put in front of them.

use crate::container::{Tensors, format_error};
use crate::error::ModelError;
use std::collections::BTreeMap;

/// What `DataParallel`, `DistributedDataParallel` and `torch.compile` put before the name of the module that they wrap. No
/// module of the format has these names, so they mean nothing wherever they stand.
const WRAPPERS: [&str; 2] = ["module", "_orig_mod"];
/// What a training class puts before all names of the network that it holds.
const HOLDER: &str = "model.";
/// A buffer of PyTorch's batch norm that only training reads.
const TRAINING_ONLY: &str = "num_batches_tracked";

/// Names without wrappers, and without the holder if it is in front of all of them: a part named so in front of some only is none that a
/// wrapper put there.
pub(super) fn unwrapped<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let plain =
        |name: &str| name.split('.').filter(|part| !WRAPPERS.contains(part)).collect::<Vec<_>>().join(".");
    let mut names: Vec<String> = names.map(plain).collect();
    if names.iter().all(|name| name.starts_with(HOLDER)) {
        names.iter_mut().for_each(|name| *name = name.split_off(HOLDER.len()));
    }
    names
}

/// Takes wrappers out of all names, and drops what only training reads.
pub(super) fn normalise(tensors: Tensors<'_>) -> Result<Tensors<'_>, ModelError> {
    let names = unwrapped(tensors.0.keys().map(String::as_str));
    let named: Vec<(String, String)> = names.into_iter().zip(tensors.0.keys().cloned()).collect();
    let mut tensors = tensors;
    let mut normalised: BTreeMap<String, _> = BTreeMap::new();
    let mut originals: BTreeMap<String, String> = BTreeMap::new();
    for (name, original) in named {
        if name.rsplit('.').next() == Some(TRAINING_ONLY) {
            continue;
        }
        if let Some(first) = originals.insert(name.clone(), original.clone()) {
            return Err(format_error(format!(
                "tensors `{first}` and `{original}` both mean `{name}`; leave one of them out"
            )));
        }
        let stored = tensors.0.remove(&original).expect("its name came from there");
        normalised.insert(name, stored);
    }
    Ok(Tensors(normalised))
}
