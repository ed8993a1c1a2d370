//! Entries of other formats: those that say that the network computes something else are refused, those that say a size
//! under its usual other name are compared with it.

use super::header::{nearest, refused, whole, wrong};
use crate::error::ModelError;
use serde_json::{Map, Value};

/// Entries that say what the network computes, and how to do without.
struct Unsupported {
    /// Whole names.
    entries: &'static [&'static str],
    /// Words of a name: `mem_decay` has `decay`.
    stems: &'static [&'static str],
    /// Values that say what holds anyway.
    neutral: &'static [&'static str],
    remedy: &'static str,
}

const LEAK: &str = "membranes do not leak here and neurons do not rest: train without (or leave the entry out if no activation reads it)";
const RESET: &str =
    "a neuron that fires subtracts its threshold: train with a soft reset, or leave the entry out";
const ATTENTION: &str = "attention is QCFS of `q k' / sqrt(d) + bias`, what it gives is added unscaled: fold scales into `q` and `proj`, train \
                         without the rest";
const POOL: &str = "the classifier reads the mean over all tokens: train with that, or leave the entry out";
const PATCHES: &str = "patches do not overlap and are not padded, odd blocks shift by half a window: leave the entry out if that is so, else \
                       train that way";
const PIXELS: &str = "say what is done to pixels with the entries `mean` and `std` of the header itself, for pixels scaled to 0..1";
const POSITIONS: &str = "positions come from `attn.bias_table` alone: train without others";
const BLOCKS: &str = "docs/checkpoint.md says what a block computes: train without it";

/// The first that has the name, else the first that has a word of it.
const UNSUPPORTED: [Unsupported; 24] = [
    Unsupported {
        entries: &["detach_reset"],
        stems: &[],
        neutral: &["true", "false", "null"],
        remedy: RESET,
    },
    Unsupported { entries: &["v_reset"], stems: &[], neutral: &["null", "none"], remedy: RESET },
    Unsupported { entries: &["hard_reset"], stems: &[], neutral: &["false"], remedy: RESET },
    Unsupported { entries: &["soft_reset"], stems: &[], neutral: &["true"], remedy: RESET },
    Unsupported { entries: &[], stems: &["reset"], neutral: &["subtract", "soft"], remedy: RESET },
    Unsupported {
        entries: &[],
        stems: &["beta", "decay"],
        neutral: &["1", "1.0", "false", "null", "none"],
        remedy: LEAK,
    },
    Unsupported {
        entries: &["tau_mem", "tau_syn", "tau_m", "tau_s"],
        stems: &["leak", "leaky", "leakage", "tau", "refractory", "lif", "plif"],
        neutral: &["0", "0.0", "false", "null", "none"],
        remedy: LEAK,
    },
    Unsupported {
        entries: &[],
        stems: &["neuron", "neurons"],
        neutral: &["if", "ifnode", "integrate_and_fire", "qcfs", "null"],
        remedy: "neurons integrate and fire, without a leak: train with such, or leave the entry out if that is so",
    },
    Unsupported {
        entries: &["v_th", "vth"],
        stems: &["threshold", "thresh", "theta"],
        neutral: &["null"],
        remedy: "thresholds are tensors, one a site or one a channel: export them under the names in docs/checkpoint.md",
    },
    Unsupported {
        entries: &[
            "rel_pos",
            "rel_pos_bias",
            "use_rel_pos",
            "use_rel_pos_bias",
            "relative_position",
            "relative_position_bias",
        ],
        stems: &[],
        neutral: &["true"],
        remedy: "attention adds `attn.bias_table`: train with it, or leave the entry out",
    },
    Unsupported {
        entries: &[],
        stems: &["pos", "position", "positional", "ape", "rope", "rotary", "alibi"],
        neutral: &["false", "null", "none"],
        remedy: POSITIONS,
    },
    Unsupported {
        entries: &["class_token", "distillation_token", "dist_token"],
        stems: &["cls", "register", "registers"],
        neutral: &["0", "false", "null", "none"],
        remedy: "the classifier reads the mean over all tokens: train without it",
    },
    Unsupported {
        entries: &["mean_pool", "mean_pooling", "avg_pool", "use_mean_pooling"],
        stems: &[],
        neutral: &["true"],
        remedy: POOL,
    },
    Unsupported {
        entries: &["global_pool"],
        stems: &[],
        neutral: &["true", "mean", "avg", "average"],
        remedy: POOL,
    },
    Unsupported {
        entries: &[],
        stems: &["pool", "pooling"],
        neutral: &["mean", "avg", "average"],
        remedy: POOL,
    },
    Unsupported {
        entries: &["layer_scale", "layer_scale_init_value", "init_values"],
        stems: &["layerscale"],
        neutral: &["0", "0.0", "false", "null", "none"],
        remedy: ATTENTION,
    },
    Unsupported {
        entries: &["qk_norm", "cosine_attention"],
        stems: &["softmax"],
        neutral: &["false", "null", "none"],
        remedy: ATTENTION,
    },
    Unsupported {
        entries: &["norm_first", "pre_norm"],
        stems: &[],
        neutral: &["true"],
        remedy: "every norm comes before what it feeds: train with that",
    },
    Unsupported {
        entries: &["swiglu", "glu", "gated_mlp", "post_norm", "conv_stem", "depthwise_conv"],
        stems: &[],
        neutral: &["false", "null", "none"],
        remedy: BLOCKS,
    },
    Unsupported { entries: &["shift"], stems: &[], neutral: &["true"], remedy: PATCHES },
    Unsupported {
        entries: &["dilation"],
        stems: &["padding", "overlap"],
        neutral: &["0", "false", "null", "none"],
        remedy: PATCHES,
    },
    Unsupported {
        entries: &["input_range", "pixel_range"],
        stems: &[
            "mean",
            "std",
            "pixel",
            "rescale",
            "input_scale",
            "preprocess",
            "preprocessing",
            "transform",
            "transforms",
            "normalize",
            "normalise",
            "normalization",
            "normalisation",
        ],
        neutral: &["[0,1]", "[0.0,1.0]", "null", "none"],
        remedy: PIXELS,
    },
    Unsupported {
        entries: &[],
        stems: &["norm"],
        neutral: &["batch_norm", "batchnorm", "batchnorm1d", "batchnorm2d", "bn"],
        remedy: "every norm is batch norm: say so with `norm`, or train with that",
    },
    Unsupported {
        entries: &[],
        stems: &["act", "activation", "nonlinearity", "attention", "attn", "scale", "scaling", "residual"],
        neutral: &["qcfs", "null"],
        remedy: "say what the network computes with `activation`, `attention` and `residual`; nothing is scaled but `q k'` by 1 / sqrt(d): \
                 fold other scales into weights, or leave the entry out if it changes nothing",
    },
];

/// Words of names that only training has.
const TRAINING: [&str; 17] = [
    "weight_decay",
    "lr",
    "ema",
    "optimizer",
    "optim",
    "adam",
    "adamw",
    "sgd",
    "grad",
    "gradient",
    "loss",
    "scheduler",
    "warmup",
    "momentum",
    "drop",
    "dropout",
    "augmentation",
];

/// Sizes under other names: those names, and the entry that they mean.
const ALIASES: [(&[&str], &str); 12] = [
    (&["in_chans", "in_channels", "num_channels", "channels", "in_ch"], "channels"),
    (&["img_size", "image_size", "image_shape", "input_size", "resolution", "input_shape"], "size"),
    (&["classes", "num_classes", "n_classes", "nb_classes", "num_labels"], "classes"),
    (&["dims", "dim", "embed_dim", "embed_dims", "hidden_size"], "dims"),
    (&["depths", "depth", "num_blocks"], "depths"),
    (&["heads", "num_heads", "n_heads", "num_attention_heads", "attention_heads"], "heads"),
    (&["patch", "patch_size", "patch_stride", "stride"], "patch"),
    (&["window", "window_size"], "window"),
    (&["shift_size", "window_shift"], "shift"),
    (&["mlp_ratio", "mlp_ratios"], "mlp_ratio"),
    (&["levels", "num_levels", "n_levels", "quant_levels"], "levels"),
    (&["bn_eps", "norm_eps", "batch_norm_eps", "bn_epsilon"], "bn_eps"),
];

/// Checks the value of an entry that nothing reads, if its name says something about the network; else is false.
pub(super) fn check(
    header: &Map<String, Value>,
    entry: &str,
    name: &str,
    value: &Value,
) -> Result<bool, ModelError> {
    let name = words(name);
    let named = UNSUPPORTED.iter().find(|rule| rule.entries.contains(&name.as_str()));
    if named.is_none()
        && let Some((_, meant)) = ALIASES.iter().find(|(aliases, _)| aliases.contains(&name.as_str()))
    {
        return compare(header, entry, value, meant);
    }
    let Some(rule) = named.or_else(|| by_word(&name)) else { return Ok(false) };
    match value {
        // Its parts are checked one by one.
        Value::Object(_) if !entry.contains('.') => Ok(false),
        _ => rule.check(entry, value).map(|()| true),
    }
}

/// Checks an entry inside an entry; one whose own name says nothing says something about the outer one.
pub(super) fn check_part(
    header: &Map<String, Value>,
    outer: &str,
    part: &str,
    value: &Value,
) -> Result<bool, ModelError> {
    let entry = format!("{outer}.{part}");
    if check(header, &entry, part, value)? {
        return Ok(true);
    }
    let name = words(outer);
    let rule =
        UNSUPPORTED.iter().find(|rule| rule.entries.contains(&name.as_str())).or_else(|| by_word(&name));
    rule.map_or(Ok(false), |rule| rule.check(&entry, value).map(|()| true))
}

/// Refuses an entry whose name is nearer to that of an unsupported one than to one that is read.
pub(super) fn check_misspelt(
    entry: &str,
    name: &str,
    value: &Value,
    known: Option<usize>,
) -> Result<(), ModelError> {
    // A letter more or less makes other words of short ones: `meta`, `tag`.
    if name.chars().count() < 5 || training(name) {
        return Ok(());
    }
    for rule in &UNSUPPORTED {
        let names: Vec<&'static str> = rule.entries.iter().chain(rule.stems).copied().collect();
        let near = nearest(name, &names).map(|(_, distance)| distance);
        if near.is_some_and(|near| known.is_none_or(|known| near < known)) {
            return rule.check(entry, value);
        }
    }
    Ok(())
}

impl Unsupported {
    fn check(&self, entry: &str, value: &Value) -> Result<(), ModelError> {
        let text = value.as_str().map_or_else(|| value.to_string(), plain);
        match self.neutral.contains(&text.as_str()) {
            true => Ok(()),
            false => Err(refused(entry, value, self.remedy)),
        }
    }
}

/// Names of numbers that are none of a checkpoint, though they say what an entry is about.
const KINDRED: [(&[&str], &str); 1] = [(&["time_steps", "timesteps", "num_steps"], "levels")];

/// The entry that a name means which nothing reads, if it is a usual one.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    let named = |(names, _): &&(&[&str], &str)| names.contains(&name);
    let (_, meant) = ALIASES.iter().chain(&KINDRED).find(named)?;
    match *meant {
        "channels" | "size" => Some("image"),
        "shift" => Some("window"),
        meant => Some(meant),
    }
}

/// A name in small letters with `_` between its words, also between those of `camelCase`.
pub(super) fn words(name: &str) -> String {
    let mut words = String::new();
    let mut before = ' ';
    for letter in name.chars() {
        if before.is_lowercase() && letter.is_uppercase() {
            words.push('_');
        }
        words.push(letter);
        before = letter;
    }
    plain(&words)
}

fn plain(name: &str) -> String {
    name.trim().to_lowercase().replace(['-', ' '], "_")
}

fn training(name: &str) -> bool {
    name.contains("weight_decay") || name.split('_').any(|word| TRAINING.contains(&word))
}

fn by_word(name: &str) -> Option<&'static Unsupported> {
    if training(name) {
        return None;
    }
    let has = |stem: &&str| *stem == name || name.split('_').any(|word| word == *stem);
    UNSUPPORTED.iter().find(|rule| rule.stems.iter().any(has))
}

/// Compares a size with the entry that it means. False if that entry is not there or no such thing, which is said elsewhere.
fn compare(header: &Map<String, Value>, entry: &str, value: &Value, meant: &str) -> Result<bool, ModelError> {
    let mut found = value.clone();
    whole(&mut found);
    let numbers = |value: &Value| match value {
        Value::Array(values) => values.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>(),
        value => value.as_f64().map(|value| vec![value]),
    };
    let image = header.get("image");
    let side = |name: &str| image.and_then(|image| image.get(name)).and_then(numbers);
    let expected = match meant {
        "channels" => side("channels"),
        "size" => match (side("height"), side("width")) {
            (Some(height), Some(width)) => Some([height, width].concat()),
            _ => None,
        },
        "shift" => header.get("window").and_then(numbers).map(|window| vec![(window[0] / 2.0).floor()]),
        _ => header.get(meant).and_then(numbers),
    };
    let Some(expected) = expected.filter(|expected| !expected.is_empty()) else { return Ok(false) };
    let equal = match numbers(&found).as_deref() {
        None | Some([]) => found.is_null(),
        // Channels first or last.
        Some(found @ [a, b, c]) if meant == "size" => {
            let channels = side("channels").unwrap_or_default();
            *found == *[&channels[..], &expected].concat() || [*a, *b] == *expected && [*c] == *channels
        }
        // One number stands for that of every stage or side; for dims also for the first, for depths for their sum.
        Some([found]) => {
            expected.iter().all(|expected| expected == found)
                || meant == "dims" && *found == expected[0]
                || meant == "depths" && *found == expected.iter().sum::<f64>()
        }
        Some(found) if expected.len() == 1 => found.iter().all(|found| *found == expected[0]),
        Some(found) => *found == *expected,
    };
    if equal {
        return Ok(true);
    }
    let named = match meant {
        "channels" => "`image.channels`",
        "size" => "`height` and `width` of `image`",
        "shift" => "half of `window`",
        meant => &format!("`{meant}`"),
    };
    let expected = expected.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
    Err(wrong(
        entry,
        value,
        &format!("what {named} says ({expected}); correct the wrong one, or leave this one out"),
    ))
}
