//! Whether a network is one at all: shapes, references and ranges.

use crate::error::ModelError;
use crate::network::{
    Gather, Grid, ImageShape, Layer, LayerId, Network, Operation, Origin, Patch, Walk, Weights, Windows,
};
use isa::names;
use std::fmt::Display;

/// Largest number of layers, and of planes that a shortcut adds.
const MAX_LAYERS: usize = isa::MAX_COUNT as usize;
/// Largest number of rows or columns of an image or a grid, and of channels.
const MAX_SIDE: usize = 1 << 16;
/// Largest number of tokens of a plane, pixels of an image, or cells (token, channel) of a plane.
const MAX_CELLS: usize = 1 << 26;

/// Largest number of inputs of a neuron: products with counts up to 256 then sum up in 32 bits.
const MAX_FAN_IN: usize = 1 << 15;

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
        if last != matches!(layer.operation, Operation::Readout { .. }) {
            let operation = if last { "not a readout" } else { "a readout" };
            return Err(self.error("operation", operation, "a readout as the last layer and only there"));
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
            Operation::Analog { patch, weights, bias } => {
                self.patch(*patch)?;
                self.weights(weights, patch.kernel * patch.kernel * self.network.image.channels, bias)
            }
            Operation::Dense { input, gather, weights, bias } => {
                let input = self.input("input", *input)?;
                let Grid { rows, columns } = self.layer.grid;
                let (grid, inputs) = match gather {
                    Gather::Token => (self.layer.grid, input.channels),
                    Gather::Merge => (Grid { rows: 2 * rows, columns: 2 * columns }, 4 * input.channels),
                };
                self.grid("input", input, grid)?;
                self.weights(weights, inputs, bias)
            }
            Operation::Shortcut { inputs, gains, bias } => {
                self.within("number of inputs", inputs.len(), 1, MAX_LAYERS)?;
                for &id in inputs {
                    let input = self.input("input", id)?;
                    self.grid("input", input, self.layer.grid)?;
                    self.equal("channels of an input", input.channels, channels)?;
                }
                self.equal("number of gains", gains.len(), inputs.len() * channels)?;
                self.equal("number of biases", bias.len(), channels)
            }
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
            Operation::Readout { input, weights, bias } => {
                let input = self.input("input", *input)?;
                self.grid("input", input, self.layer.grid)?;
                self.weights(weights, input.channels, bias)
            }
        }
    }

    fn patch(&self, patch: Patch) -> Result<(), ModelError> {
        self.within("patch kernel", patch.kernel, 1, 256)?;
        self.within("patch stride", patch.stride, 1, 256)?;
        self.within("patch padding", patch.padding, 0, patch.kernel - 1)?;
        let image = self.network.image;
        let sides =
            [("rows", image.height, self.layer.grid.rows), ("columns", image.width, self.layer.grid.columns)];
        for (what, pixels, found) in sides {
            let Some(patches) = patch.along(pixels) else {
                return Err(self.error(
                    "patch kernel",
                    patch.kernel,
                    format!("at most {}", pixels + 2 * patch.padding),
                ));
            };
            self.equal(what, found, patches)?;
        }
        Ok(())
    }

    fn weights(&self, weights: &Weights, inputs: usize, bias: &[i32]) -> Result<(), ModelError> {
        self.equal("weight rows", weights.outputs, self.layer.channels)?;
        self.equal("weight columns", weights.inputs, inputs)?;
        self.within("weight columns", inputs, 1, MAX_FAN_IN)?;
        self.equal("number of weights", weights.data.len(), weights.outputs * weights.inputs)?;
        self.equal("number of biases", bias.len(), self.layer.channels)
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
        let neurons = match &layer.operation {
            Operation::Scores { heads, .. } => *heads,
            Operation::Readout { .. } => 0,
            _ => layer.channels,
        };
        self.equal("number of thresholds", layer.theta.len(), neurons)?;
        self.equal("number of initial membranes", layer.v0.len(), neurons)?;
        if let Some(c) = layer.theta.iter().position(|&theta| theta < 1) {
            return Err(self.error(&format!("threshold of channel {c}"), layer.theta[c], "1 or more"));
        }
        if neurons == 0 {
            self.equal("mask ratio", usize::from(layer.mask_ratio), 0)?;
        }
        Ok(())
    }
}
