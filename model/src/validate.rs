//! Whether a network is one at all: shapes, references and ranges.

mod linear;

use crate::error::ModelError;
use crate::network::{
    Grid, ImageShape, Layer, LayerId, Leak, Mask, Network, Operation, Origin, Reset, Schedule, Walk, Windows,
};
use isa::names;
pub(crate) use linear::MAX_PADDING;
use std::fmt::Display;

/// Largest number of layers, and of terms of a sum.
const MAX_LAYERS: usize = isa::MAX_COUNT as usize;
/// Largest number of rows or columns of an image or a grid, and of channels.
const MAX_SIDE: usize = 1 << 16;
/// Largest number of tokens of a plane, pixels of an image, or cells (token, channel) of a plane.
const MAX_CELLS: usize = 1 << 26;

impl Network {
    /// Checks every shape, reference and range, so that the network can run for any number of time steps that
    /// [configures](Network::configure).
    ///
    /// # Errors
    /// Names the first layer and value that are wrong, and what is allowed.
    pub fn validate(&self) -> Result<(), ModelError> {
        self.names()?;
        let ImageShape { height, width, channels } = self.image;
        for (what, found) in [("image height", height), ("image width", width), ("image channels", channels)]
        {
            network_value(what, found, (1..=MAX_SIDE).contains(&found), "1..=65536")?;
        }
        let bytes = height.saturating_mul(width).saturating_mul(channels);
        network_value("image size", bytes, bytes <= MAX_CELLS, "at most 2^26 bytes")?;
        network_value(
            "number of layers",
            self.layers.len(),
            (1..=MAX_LAYERS).contains(&self.layers.len()),
            &format!("1..={MAX_LAYERS}"),
        )?;
        for (index, layer) in self.layers.iter().enumerate() {
            Check { network: self, index, layer }.layer()?;
        }
        let (border, channels) = (self.border.len(), self.image.channels);
        network_value(
            "number of border bytes",
            border,
            border == 0 || border == channels,
            "none, or one a channel of the image",
        )?;
        let classes = self.layers[self.layers.len() - 1].channels;
        network_value("number of classes", self.classes, self.classes == classes, "the readout's channels")?;
        let named = self.class_names.len();
        network_value(
            "number of class names",
            named,
            named == 0 || named == classes,
            "none, or one a class",
        )?;
        self.checkpoint.as_ref().map_or(Ok(()), origin)
    }

    /// Checks the names of the network, its layers and its classes: first of all, so that every other message can show them.
    fn names(&self) -> Result<(), ModelError> {
        let refuse = |what: String, name: &str, fault| {
            Err(ModelError::Name { what, found: names::shown(name), fault })
        };
        if let Err(fault) = names::check(&self.name) {
            return refuse("network".to_owned(), &self.name, fault);
        }
        if let Err((index, fault)) = names::check_layers(self.layers.iter().map(|layer| layer.name.as_str()))
        {
            return refuse(format!("layer {index}"), &self.layers[index].name, fault);
        }
        match names::check_distinct(self.class_names.iter().map(String::as_str)) {
            Err((index, fault)) => refuse(format!("class {index}"), &self.class_names[index], fault),
            Ok(()) => Ok(()),
        }
    }
}

/// Checks what a network remembers of its checkpoint.
fn origin(origin: &Origin) -> Result<(), ModelError> {
    let Origin { path, sha256 } = origin;
    let refuse = |what, found: &str, allowed: &str| {
        Err(ModelError::Network { what, found: names::shown(found), allowed: allowed.to_owned() })
    };
    if path.is_empty() || path.contains('\0') {
        return refuse("path of the checkpoint", path, "a path");
    }
    let digits = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if sha256.len() != 64 || !digits(sha256) {
        return refuse("SHA-256 of the checkpoint", sha256, "64 hexadecimal digits in lower case");
    }
    Ok(())
}

fn network_value(what: &'static str, found: usize, ok: bool, allowed: &str) -> Result<(), ModelError> {
    if ok {
        Ok(())
    } else {
        Err(ModelError::Network { what, found: found.to_string(), allowed: allowed.to_owned() })
    }
}

/// The checks of one layer.
struct Check<'a> {
    network: &'a Network,
    index: usize,
    layer: &'a Layer,
}

impl Check<'_> {
    fn error(&self, what: &str, found: impl Display, allowed: impl Display) -> ModelError {
        ModelError::Layer {
            index: self.index,
            layer: self.layer.name.clone(),
            what: what.to_owned(),
            found: found.to_string(),
            allowed: allowed.to_string(),
        }
    }

    fn equal(&self, what: &str, found: usize, expected: usize) -> Result<(), ModelError> {
        if found == expected { Ok(()) } else { Err(self.error(what, found, expected)) }
    }

    fn within(&self, what: &str, found: usize, low: usize, high: usize) -> Result<(), ModelError> {
        if (low..=high).contains(&found) {
            Ok(())
        } else {
            Err(self.error(what, found, format!("{low}..={high}")))
        }
    }

    fn layer(&self) -> Result<(), ModelError> {
        let layer = self.layer;
        self.within("rows", layer.grid.rows, 1, MAX_SIDE)?;
        self.within("columns", layer.grid.columns, 1, MAX_SIDE)?;
        self.within("channels", layer.channels, 1, MAX_SIDE)?;
        self.within("tokens", layer.grid.tokens(), 1, MAX_CELLS / layer.channels)?;
        if let Walk::Windows(windows) = layer.walk {
            self.windows(windows)?;
        }
        let last = self.index + 1 == self.network.layers.len();
        let readout = layer.neuron.is_none() && matches!(layer.operation, Operation::Linear { .. });
        if last && !readout {
            return Err(self.error(
                "operation",
                "not a readout",
                "a readout as the last layer: a linear one without neurons",
            ));
        }
        if !last && layer.neuron.is_none() {
            return Err(self.error("neuron", "none", "neurons in every layer but the last, the readout"));
        }
        self.operation()?;
        self.neuron()
    }

    fn windows(&self, windows: Windows) -> Result<(), ModelError> {
        let Grid { rows, columns } = self.layer.grid;
        let fits =
            windows.size > 0 && rows.is_multiple_of(windows.size) && columns.is_multiple_of(windows.size);
        if !fits {
            return Err(self.error(
                "window size",
                windows.size,
                format!("a divisor of {rows} rows and {columns} columns"),
            ));
        }
        self.within("window shift", windows.shift, 0, windows.size - 1)
    }

    fn operation(&self) -> Result<(), ModelError> {
        let channels = self.layer.channels;
        match &self.layer.operation {
            Operation::Linear { terms, bias } => self.linear(terms, bias),
            Operation::Scores { query, key, heads, bias, fraction } => {
                let windows = self.attention_windows()?;
                let query = self.input("query", *query)?;
                let key = self.input("key", *key)?;
                self.grid("query", query, self.layer.grid)?;
                self.grid("key", key, self.layer.grid)?;
                self.heads(*heads, query.channels)?;
                self.equal("channels of the keys", key.channels, query.channels)?;
                self.equal("channels", channels, windows.tokens())?;
                self.within("heads * tokens", *heads * self.layer.grid.tokens(), 1, MAX_CELLS / channels)?;
                self.equal("number of biases", bias.len(), heads * windows.positions())?;
                self.within("fraction", *fraction as usize, 0, 7)
            }
            Operation::Context { scores, value, heads, fraction } => {
                self.attention_windows()?;
                let producer = self.earlier("scores", *scores)?;
                let Operation::Scores { heads: scored, .. } = producer.operation else {
                    return Err(self.error("scores", format!("`{}`", producer.name), "a scores layer"));
                };
                self.grid("scores", producer, self.layer.grid)?;
                if producer.walk != self.layer.walk {
                    return Err(self.error(
                        "walk",
                        format!("{:?}", self.layer.walk),
                        format!("{:?}", producer.walk),
                    ));
                }
                let value = self.input("value", *value)?;
                self.grid("value", value, self.layer.grid)?;
                self.heads(*heads, channels)?;
                self.equal("heads", *heads, scored)?;
                self.equal("channels of the values", value.channels, channels)?;
                self.within("fraction", *fraction as usize, 0, 7)
            }
        }
    }

    fn attention_windows(&self) -> Result<Windows, ModelError> {
        match self.layer.walk {
            Walk::Windows(windows) => Ok(windows),
            Walk::Raster => Err(self.error("walk", "raster", "windows, as attention is confined to them")),
        }
    }

    fn heads(&self, heads: usize, channels: usize) -> Result<(), ModelError> {
        let ok = heads > 0 && channels.is_multiple_of(heads);
        if ok { Ok(()) } else { Err(self.error("heads", heads, format!("a divisor of {channels} channels"))) }
    }

    fn grid(&self, what: &str, input: &Layer, expected: Grid) -> Result<(), ModelError> {
        if input.grid == expected {
            return Ok(());
        }
        let size = |grid: Grid| format!("{}x{} tokens", grid.rows, grid.columns);
        Err(self.error(&format!("{what} `{}`", input.name), size(input.grid), size(expected)))
    }

    fn earlier(&self, what: &str, id: LayerId) -> Result<&Layer, ModelError> {
        if id.0 < self.index {
            return Ok(self.network.layer(id));
        }
        Err(self.error(what, format!("layer {}", id.0), format!("an earlier layer, below {}", self.index)))
    }

    /// An earlier layer with a plane in raster order.
    fn input(&self, what: &str, id: LayerId) -> Result<&Layer, ModelError> {
        let input = self.earlier(what, id)?;
        if matches!(input.operation, Operation::Scores { .. }) {
            return Err(self.error(
                what,
                format!("`{}`", input.name),
                "no scores layer: only context reads those",
            ));
        }
        Ok(input)
    }

    fn neuron(&self) -> Result<(), ModelError> {
        let layer = self.layer;
        let neurons = match (&layer.operation, layer.neuron) {
            (_, None) => 0,
            (Operation::Scores { heads, .. }, _) => *heads,
            _ => layer.channels,
        };
        self.equal("number of thresholds", layer.theta.len(), neurons)?;
        self.equal("number of initial membranes", layer.v0.len(), neurons)?;
        if let Some(c) = layer.theta.iter().position(|&theta| theta < 1) {
            return Err(self.error(&format!("threshold of channel {c}"), layer.theta[c], "1 or more"));
        }
        let Some(neuron) = layer.neuron else { return self.unmasked() };
        if let Some(Leak { first, second }) = neuron.leak {
            let second = second.map_or_else(String::new, |second| format!(" and v >> {second}"));
            return Err(self.error(
                "leak",
                format!("v >> {first}{second}"),
                "none, as no executor takes leaks yet: use integrate-and-fire neurons (`if`)",
            ));
        }
        if neuron.reset == Reset::Zero && neuron.schedule == Schedule::AfterAll {
            return Err(self.error(
                "reset",
                "to zero after all drives",
                "hard reset with neurons that fire in each step (`if_hard_reset`), subtraction with `two_phase`",
            ));
        }
        self.label()?;
        self.draws()
    }

    /// Masks have the draws of a layer that has its own.
    fn draws(&self) -> Result<(), ModelError> {
        let Some(name) = &self.layer.mask.draws_of else { return Ok(()) };
        let other = self.network.layers.iter().find(|layer| layer.name == *name);
        let own = |layer: &&Layer| layer.neuron.is_some() && layer.mask.draws_of.is_none();
        match other.filter(own) {
            Some(_) => Ok(()),
            None => {
                let found = format!("of `{}`", names::shown(name));
                Err(self.error(
                    "draws of the mask",
                    found,
                    "of a layer with neurons whose mask has draws of its own",
                ))
            }
        }
    }

    /// The readout has no spikes to mask.
    fn unmasked(&self) -> Result<(), ModelError> {
        let mask = &self.layer.mask;
        if *mask == Mask::default() {
            return Ok(());
        }
        let label = mask
            .label
            .as_ref()
            .map_or_else(String::new, |label| format!(", label `{}`", names::shown(label)));
        let shared = if mask.shared { ", shared by tokens" } else { "" };
        let found = format!("ratio {}{label}{shared}", mask.ratio);
        Err(self.error("mask", found, "none, as a readout has no spikes"))
    }

    /// A label must be one in the text of a rule, too.
    fn label(&self) -> Result<(), ModelError> {
        let Some(label) = &self.layer.mask.label else { return Ok(()) };
        let found = || format!("`{}`", names::shown(label));
        if let Err(fault) = names::check(label) {
            return Err(self.error("label of the mask", found(), fault));
        }
        if label.contains([',', ':', '=']) {
            return Err(self.error(
                "label of the mask",
                found(),
                "no `,`, `:` or `=`, which separate the parts of rules",
            ));
        }
        Ok(())
    }
}
