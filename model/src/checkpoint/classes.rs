//! The names of the classes.

use super::header::{Header, wrong};
use crate::error::ModelError;
use serde_json::Value;

/// Reads the names, one a class; an absent entry is an empty list. What a name may be, [`Network::validate`] checks.
///
/// [`Network::validate`]: crate::Network::validate
pub(super) fn read(header: &Header, classes: usize) -> Result<Vec<String>, ModelError> {
    let Some(entry) = header.entry("class_names") else { return Ok(Vec::new()) };
    let allowed = format!("a list of {classes} names, one a class, each in quotes");
    let Some(values) = entry.as_array() else { return Err(wrong("class_names", entry, &allowed)) };
    if values.len() != classes {
        return Err(wrong("class_names", &Value::from(format!("{} entries", values.len())), &allowed));
    }
    let name = |(class, value): (usize, &Value)| {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| wrong(&format!("class_names[{class}]"), value, &allowed))
    };
    values.iter().enumerate().map(name).collect()
}
