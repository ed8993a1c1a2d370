//! The header: which entries there are, and in which forms they may be written.

use super::kinds::{self, KINDS};
use super::{Architecture, FORMAT, KEY, VERSION, Warning};
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
/// Entries that may be given as two equal numbers, rows and columns.
const SQUARE: [&str; 2] = ["patch", "window"];

/// Entries of networks that compute something else, and how to do without.
struct Unsupported {
    entries: &'static [&'static str],
    /// Values, besides false, null and "none", that say what holds anyway.
    neutral: &'static [&'static str],
    remedy: &'static str,
}

const UNSUPPORTED: [Unsupported; 12] = [
    Unsupported {
        entries: &["beta", "decay", "membrane_decay"],
        neutral: &["1", "1.0"],
        remedy: "membranes do not leak here: train without a leak (or leave the entry out if no activation reads it)",
    },
    Unsupported {
        entries: &["leak", "tau", "tau_mem", "tau_syn", "tau_m", "tau_s", "refractory"],
        neutral: &["0", "0.0"],
        remedy: "membranes do not leak and neurons do not rest here: train without (or leave the entry out if no activation reads it)",
    },
    Unsupported {
        entries: &["reset", "v_reset", "reset_mechanism", "hard_reset", "detach_reset"],
        neutral: &["subtract", "soft"],
        remedy: "a neuron that fires subtracts its threshold: train with a soft reset, or leave the entry out",
    },
    Unsupported {
        entries: &["threshold", "v_threshold", "theta"],
        neutral: &[],
        remedy: "thresholds are tensors, one a site or one a channel: export them under the names in docs/checkpoint.md",
    },
    Unsupported {
        entries: &[
            "position_embedding",
            "pos_embed",
            "absolute_position_embedding",
            "absolute_pos_embed",
            "ape",
            "rope",
            "rotary_embedding",
            "alibi",
        ],
        neutral: &[],
        remedy: "positions come from `attn.bias_table` alone: train without it",
    },
    Unsupported {
        entries: &[
            "class_token",
            "cls_token",
            "distillation_token",
            "dist_token",
            "register_tokens",
            "num_registers",
        ],
        neutral: &["0"],
        remedy: "the classifier reads the mean over all tokens: train without it",
    },
    Unsupported {
        entries: &["global_pool", "pooling", "pool"],
        neutral: &["mean", "avg", "average"],
        remedy: "the classifier reads the mean over all tokens: train with that",
    },
    Unsupported {
        entries: &[
            "softmax",
            "qk_norm",
            "qk_scale",
            "attention_scale",
            "logit_scale",
            "cosine_attention",
            "layer_scale",
            "init_values",
            "scale",
        ],
        neutral: &[],
        remedy: "attention is QCFS of `q k' / sqrt(d) + bias`, what it gives is added unscaled: fold scales into `q` and `proj`, train \
                 without the rest",
    },
    Unsupported {
        entries: &["swiglu", "glu", "gated_mlp", "post_norm", "conv_stem", "depthwise_conv"],
        neutral: &[],
        remedy: "docs/checkpoint.md says what a block computes: train without it",
    },
    Unsupported {
        entries: &["norm_first", "pre_norm"],
        neutral: &["true"],
        remedy: "every norm comes before what it feeds: train with that",
    },
    Unsupported {
        entries: &[
            "shift",
            "shift_size",
            "stride",
            "patch_stride",
            "patch_padding",
            "padding",
            "overlap",
            "dilation",
        ],
        neutral: &[],
        remedy: "patches do not overlap and are not padded, odd blocks shift by half a window: leave the entry out if that is so, else \
                 train that way",
    },
    Unsupported {
        entries: &[
            "image_mean",
            "image_std",
            "pixel_mean",
            "pixel_std",
            "input_mean",
            "input_std",
            "input_range",
            "pixel_range",
            "rescale_factor",
            "input_scale",
        ],
        neutral: &["[0,1]", "[0.0,1.0]"],
        remedy: "say what is done to pixels with `mean` and `std`, for pixels scaled to 0..1",
    },
];

/// A checked header.
pub(super) struct Header {
    entries: Map<String, Value>,
    pub warnings: Vec<Warning>,
}

/// Reads a header of the known format and version, and refuses entries that change what the network computes.
pub(super) fn read(text: &str) -> Result<Header, ModelError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let entries = json.deserialize_map(Entries).and_then(|entries| json.end().map(|()| entries));
    let mut entries = entries.map_err(|error| format_error(format!("metadata entry `{KEY}`: {error}")))?;
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
    let mut warnings = kinds::check(&entries)?;
    for (entry, value) in &entries {
        warnings.extend(unread(entry, value)?);
    }
    if let Some(Value::Object(image)) = entries.get("image") {
        for entry in image.keys().filter(|entry| !IMAGE.contains(&entry.as_str())) {
            warnings
                .push(Warning::Unknown { entry: format!("image.{entry}"), nearest: nearest(entry, &IMAGE) });
        }
    }
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

    /// The shape of the network, checked.
    pub fn architecture(&self) -> Result<Architecture, ModelError> {
        let architecture: Architecture = serde_json::from_value(Value::Object(self.entries.clone()))
            .map_err(|error| format_error(format!("metadata entry `{KEY}`: {error}")))?;
        architecture.validate()?;
        Ok(architecture)
    }
}

/// What is to be said about an entry that nothing reads.
fn unread(entry: &str, value: &Value) -> Result<Option<Warning>, ModelError> {
    let known: Vec<&'static str> =
        ENTRIES.into_iter().chain(NOTES).chain(KINDS.iter().map(|kind| kind.entry)).collect();
    if known.contains(&entry) {
        return Ok(None);
    }
    let name = entry.to_lowercase().replace('-', "_");
    if let Some(unsupported) = UNSUPPORTED.iter().find(|found| found.entries.contains(&name.as_str())) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_lowercase);
        let neutral = ["false", "null", "none"].iter().chain(unsupported.neutral).any(|word| *word == text);
        return if neutral { Ok(None) } else { Err(refused(entry, value, unsupported.remedy)) };
    }
    // What `mean` and `std` say under another name is compared with them.
    if super::input::NAMES.contains(&name.as_str()) {
        return Ok(None);
    }
    let meant = UNSUPPORTED.iter().flat_map(|unsupported| unsupported.entries).copied();
    let candidates: Vec<&'static str> = known.into_iter().chain(meant).collect();
    Ok(Some(Warning::Unknown { entry: entry.to_owned(), nearest: nearest(&name, &candidates) }))
}

/// An entry that says that the network computes something else.
pub(super) fn refused(entry: &str, value: &Value, remedy: &str) -> ModelError {
    let ModelError::Metadata { entry, found, .. } = wrong(entry, value, "") else {
        unreachable!("made above")
    };
    ModelError::Meaning { entry, found, remedy: remedy.to_owned() }
}

/// The candidate that the fewest changed letters lead to, if they are a third of the word at most.
fn nearest(word: &str, candidates: &[&'static str]) -> Option<&'static str> {
    let distance = |candidate: &&&'static str| strsim::damerau_levenshtein(word, candidate);
    let found = candidates.iter().min_by_key(distance)?;
    (3 * distance(&found) <= word.chars().count().max(3)).then_some(*found)
}

/// Whole numbers for floats that are whole: `4.0` is 4.
fn whole(value: &mut Value) {
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
