//! The header: which entries there are, and in which forms they may be written.

use super::kinds::{self, KINDS};
use super::{Architecture, FORMAT, KEY, VERSION, Warning, foreign};
use crate::container::format_error;
use crate::error::ModelError;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

/// Entries that are read, besides those that say what modules compute.
const ENTRIES: [&str; 17] = [
    "format",
    "version",
    "image",
    "patch",
    "dims",
    "depths",
    "heads",
    "window",
    "mlp_ratio",
    "levels",
    "classes",
    "bn_eps",
    "masks",
    "mean",
    "std",
    "class_names",
    "example",
];
/// Entries of `image`.
const IMAGE: [&str; 3] = ["height", "width", "channels"];
/// Notes on the training, in any form: they change nothing.
const NOTES: [&str; 2] = ["training", "thresholds"];
/// Entries that are whole numbers, or lists of them.
const WHOLE: [&str; 9] =
    ["image", "patch", "dims", "depths", "heads", "window", "mlp_ratio", "levels", "classes"];
/// Entries that are one whole number, and the largest.
const SIZES: [(&str, u32); 5] =
    [("patch", 64), ("window", 64), ("mlp_ratio", 64), ("levels", 256), ("classes", 65536)];
/// Entries that are a list of whole numbers.
const STAGES: [&str; 3] = ["dims", "depths", "heads"];
/// Entries without which there is no network: what each may be and means, and an example.
const MANDATORY: [(&str, &str); 10] = [
    (
        "image",
        "`height`, `width` and `channels` of the input, such as {\"height\": 28, \"width\": 28, \"channels\": 1}",
    ),
    ("patch", "rows, columns and stride of a patch, such as 2"),
    ("dims", "channels of each stage, such as [32, 64]"),
    ("depths", "blocks of each stage, such as [2, 2]"),
    ("heads", "attention heads of each stage, such as [1, 2]"),
    ("window", "rows and columns of an attention window, such as 7"),
    ("mlp_ratio", "channels of the first MLP layer, in multiples of the stage's, such as 4"),
    ("levels", "levels of the QCFS activations, such as 8"),
    ("classes", "the number of classes, such as 10"),
    ("bn_eps", "what batch norm adds to the variance, such as 1e-5"),
];
/// Entries that may be given as two equal numbers, rows and columns.
const SQUARE: [&str; 2] = ["patch", "window"];

/// A checked header.
pub(super) struct Header {
    entries: Map<String, Value>,
    pub warnings: Vec<Warning>,
}

/// Reads a header of the known format and version, and refuses entries that change what the network computes.
pub(super) fn read(text: &str) -> Result<Header, ModelError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let entries = json.deserialize_map(Entries).and_then(|entries| json.end().map(|()| entries));
    let mut entries = entries.map_err(|error| {
        let remedy = no_number(text, &error).map_or_else(String::new, |found| {
            format!("; {found} is no number in JSON: write a finite one, or leave the entry out")
        });
        format_error(format!("metadata entry `{KEY}`: {error}{remedy}"))
    })?;
    match entries.get("version").map(|version| (version.as_u64(), version)) {
        Some((Some(VERSION), _)) => {}
        Some((_, found)) => {
            return Err(format_error(format!(
                "metadata entry `{KEY}`: version {found}, expected {VERSION}; docs/checkpoint.md describes that one"
            )));
        }
        None => {
            return Err(format_error(format!(
                "metadata entry `{KEY}` has no version number; write \"version\": {VERSION}, as docs/checkpoint.md describes it"
            )));
        }
    }
    let format = entries.get("format").and_then(Value::as_str).unwrap_or("none");
    if format != FORMAT {
        return Err(format_error(format!("unknown architecture: format `{format}`, expected `{FORMAT}`")));
    }
    let mut warnings = Vec::new();
    for entry in WHOLE {
        entries.get_mut(entry).into_iter().for_each(whole);
    }
    for entry in SQUARE {
        let Some(value) = entries.get_mut(entry) else { continue };
        match value.as_array().map(Vec::as_slice) {
            None => {}
            Some([rows, columns]) if rows == columns => *value = rows.clone(),
            Some(_) => {
                return Err(wrong(
                    entry,
                    value,
                    "a number, or two equal ones: patches and windows are squares, train with such",
                ));
            }
        }
    }
    for (entry, value) in &entries {
        warnings.extend(unread(&entries, entry, value)?);
    }
    if let Some(Value::Object(image)) = entries.get("image") {
        for (part, value) in image.iter().filter(|(part, _)| !IMAGE.contains(&part.as_str())) {
            let entry = format!("image.{part}");
            if !foreign::check(&entries, &entry, part, value)? {
                warnings.push(Warning::Unknown {
                    entry,
                    nearest: nearest(&foreign::words(part), &IMAGE).map(|(found, _)| found),
                });
            }
        }
    }
    Ok(Header { entries, warnings })
}

/// An entry with a value that means nothing there.
pub(super) fn wrong(entry: &str, found: &Value, allowed: &str) -> ModelError {
    let mut found = found.to_string();
    if found.chars().count() > 80 {
        found = found.chars().take(80).chain("...".chars()).collect();
    }
    ModelError::Metadata { entry: format!("{KEY}: {entry}"), found, allowed: allowed.to_owned() }
}

impl Header {
    /// An entry; one that is null is none.
    pub fn entry(&self, name: &str) -> Option<&Value> {
        self.entries.get(name).filter(|value| !value.is_null())
    }

    /// Checks what the header says that modules compute; `tensors` are the names in the file.
    pub fn check_kinds<'t>(
        &mut self,
        tensors: impl Iterator<Item = &'t str> + Clone,
    ) -> Result<(), ModelError> {
        let assumed = kinds::check(&self.entries, tensors)?;
        self.warnings.splice(0..0, assumed);
        Ok(())
    }

    /// The shape of the network, checked.
    pub fn architecture(&self) -> Result<Architecture, ModelError> {
        MANDATORY.iter().try_for_each(|(entry, meaning)| self.check_there(entry, meaning))?;
        for (entry, most) in SIZES {
            self.check_type(entry, &format!("a whole number, 1 to {most}"), is_size)?;
        }
        for entry in STAGES {
            self.check_type(entry, "a list of whole numbers, one a stage", |value| {
                value.as_array().is_some_and(|values| values.iter().all(is_size))
            })?;
        }
        self.check_type("image", "an object of `height`, `width` and `channels`, whole numbers", |value| {
            IMAGE.iter().all(|side| value.get(side).is_some_and(is_size))
        })?;
        self.check_type("bn_eps", "a number, 0 to 1", Value::is_number)?;
        let architecture: Architecture = serde_json::from_value(Value::Object(self.entries.clone()))
            .map_err(|error| format_error(format!("metadata entry `{KEY}`: {error}")))?;
        architecture.validate()?;
        Ok(architecture)
    }
}

impl Header {
    /// Refuses a header without an entry, and names the one that was meant for it, if there is one.
    fn check_there(&self, entry: &'static str, meaning: &str) -> Result<(), ModelError> {
        if self.entries.contains_key(entry) {
            return Ok(());
        }
        let meant = self.warnings.iter().find_map(|warning| match warning {
            Warning::Unknown { entry: found, nearest } if *nearest == Some(entry) => Some(found),
            _ => None,
        });
        let instead = meant.map_or_else(String::new, |found| {
            format!("; `{}` is there: did you mean `{entry}`?", found.escape_debug())
        });
        Err(ModelError::Metadata {
            entry: format!("{KEY}: {entry}"),
            found: "missing".to_owned(),
            allowed: format!("{meaning} (docs/checkpoint.md has all entries){instead}"),
        })
    }

    /// Refuses an entry that is there and of another type than it must be.
    fn check_type(
        &self,
        entry: &str,
        allowed: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<(), ModelError> {
        match self.entries.get(entry) {
            Some(value) if !fits(value) => Err(wrong(entry, value, allowed)),
            _ => Ok(()),
        }
    }
}

fn is_size(value: &Value) -> bool {
    value.as_u64().is_some_and(|value| u32::try_from(value).is_ok())
}

/// The word at a fault of the JSON that Python writes for a float that is no number.
fn no_number(text: &str, error: &serde_json::Error) -> Option<&'static str> {
    let line = text.lines().nth(error.line().checked_sub(1)?)?.as_bytes();
    let near = line.get(error.column().saturating_sub(2)..)?;
    let near = &near[..near.len().min(12)];
    ["NaN", "Infinity"]
        .into_iter()
        .find(|word| near.windows(word.len()).any(|found| found == word.as_bytes()))
}

/// What is to be said about an entry that nothing reads.
fn unread(header: &Map<String, Value>, entry: &str, value: &Value) -> Result<Option<Warning>, ModelError> {
    let known: Vec<&'static str> =
        ENTRIES.into_iter().chain(NOTES).chain(KINDS.iter().map(|kind| kind.entry)).collect();
    let name = foreign::words(entry);
    // What `mean` and `std` say under another name is compared with them.
    if known.contains(&entry) || super::input::NAMES.contains(&name.as_str()) {
        return Ok(None);
    }
    let mut judged = foreign::check(header, entry, entry, value)?;
    if let Value::Object(parts) = value {
        for (part, value) in parts {
            judged |= foreign::check_part(header, entry, part, value)?;
        }
    }
    if judged {
        return Ok(None);
    }
    let near = nearest(&name, &known);
    foreign::check_misspelt(entry, &name, value, near.map(|(_, distance)| distance))?;
    let nearest = near.map(|(found, _)| found).or_else(|| foreign::meant(&name));
    Ok(Some(Warning::Unknown { entry: entry.to_owned(), nearest }))
}

/// An entry that says that the network computes something else.
pub(super) fn refused(entry: &str, value: &Value, remedy: &str) -> ModelError {
    let ModelError::Metadata { entry, found, .. } = wrong(entry, value, "") else {
        unreachable!("made above")
    };
    ModelError::Meaning { entry, found, remedy: remedy.to_owned() }
}

/// The candidate that the fewest changed letters lead to, if they are a third of the word at most, and their number.
pub(crate) fn nearest(word: &str, candidates: &[&'static str]) -> Option<(&'static str, usize)> {
    let distance = |candidate: &'static str| (candidate, strsim::damerau_levenshtein(word, candidate));
    let found = candidates.iter().copied().map(distance).min_by_key(|(_, distance)| *distance)?;
    (3 * found.1 <= word.chars().count().max(3)).then_some(found)
}

/// Whole numbers for floats that are whole: `4.0` is 4.
pub(super) fn whole(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(whole),
        Value::Object(values) => values.values_mut().for_each(whole),
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().unwrap_or_default();
            if float >= 0.0 && float.fract() == 0.0 && float < f64::from(u32::MAX) {
                *value = Value::from(float as u64);
            }
        }
        _ => {}
    }
}

/// The entries of a JSON object, each there once.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a map of entries")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Map::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if entries.contains_key(&name) {
                return Err(A::Error::custom(format!("`{}` is there twice", name.escape_debug())));
            }
            entries.insert(name, value);
        }
        Ok(entries)
    }
}
