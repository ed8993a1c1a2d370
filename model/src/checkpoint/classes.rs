//! The names of the classes.

use super::header::{Header, wrong};
use crate::error::ModelError;
use serde_json::Value;

/// Reads the names, one a class; an absent entry is an empty list. What a name may be, [`Network::validate`] checks.
///
/// [`Network::validate`]: crate::Network::validate
pub(super) fn read(header: &Header, classes: usize) -> Result<Vec<String>, ModelError> {
    let Some(entry) = header.entry("class_names") else { return Ok(Vec::new()) };
    let names: Option<Vec<String>> = entry
        .as_array()
        .and_then(|names| names.iter().map(|name| name.as_str().map(str::to_owned)).collect());
    names.filter(|names| names.len() == classes).ok_or_else(|| {
        let found = entry
            .as_array()
            .map_or_else(|| entry.clone(), |names| Value::from(format!("{} entries", names.len())));
        wrong("class_names", &found, &format!("a list of {classes} names, one a class"))
    })
}
