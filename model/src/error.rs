//! Why a network, a run or a file was refused.

use isa::config::LARGEST_MEMBRANE_BITS;
use isa::names::NameFault;
use std::path::PathBuf;

/// Why a network, a run or a file was refused. Every message names the thing, the value found and what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A value of the network as a whole is out of range.
    #[error("network: {what} is {found}, allowed: {allowed}")]
    Network {
        /// The value's name.
        what: &'static str,
        /// The value.
        found: String,
        /// The allowed values, in words.
        allowed: String,
    },
    /// A value of a layer is out of range or disagrees with another one.
    #[error("layer {index} `{layer}`: {what} is {found}, allowed: {allowed}")]
    Layer {
        /// The layer's position.
        index: usize,
        /// The layer's name.
        layer: String,
        /// The value's name.
        what: String,
        /// The value.
        found: String,
        /// The allowed values, in words.
        allowed: String,
    },
    /// A network, a layer or a class has a name that it cannot have.
    #[error("{what}: its name is `{found}`, allowed: {fault}")]
    Name {
        /// What has the name: `network`, `layer 3`, `class 2`.
        what: String,
        /// The name, as [`shown`](isa::names::shown).
        found: String,
        /// What is allowed.
        fault: NameFault,
    },
    /// A run option is out of range.
    #[error("option {option} is {found}, allowed: {allowed}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// The value.
        found: String,
        /// The allowed values, in words.
        allowed: &'static str,
    },
    /// A mask rule cannot be read, or names what the network does not have.
    #[error("mask rule `{rule}`: {what} is {found}, allowed: {allowed}")]
    MaskRule {
        /// The rule, as `[LAYER:][LABEL=]RATIO`.
        rule: String,
        /// Its part.
        what: &'static str,
        /// That part's value.
        found: String,
        /// The allowed values, in words.
        allowed: String,
    },
    /// The network's max pools read two-phase neurons, and others were asked for.
    #[error(
        "option --neuron is if, allowed: two_phase, or no other than the network's: its max pools take the OR of trains, which is their \
         maximum only after two_phase neurons"
    )]
    MaxPools,
    /// A layer's explicit slot order is not a permutation of the run's time steps.
    #[error(
        "layer {index} `{layer}`: its explicit slot order of {found} entries is no permutation of 0..{time_steps}; {}", slot_order_remedy(*.fits)
    )]
    SlotOrder {
        /// The layer's position.
        index: usize,
        /// The layer's name.
        layer: String,
        /// Entries of the explicit order.
        found: usize,
        /// The number of time steps that it fits, if there is one.
        fits: Option<u32>,
        /// Time steps of the run.
        time_steps: u32,
    },
    /// A sum could leave the signed membrane.
    #[error(
        "layer {index} `{layer}`, neuron {neuron}: the {quantity} can take {low}..={high} in {time_steps} time steps, which \
         needs {needed_bits} bits, but the membrane has {membrane_bits}; {}", overflow_remedy(*.time_steps, *.needed_bits)
    )]
    Overflow {
        /// The layer's position.
        index: usize,
        /// The layer's name.
        layer: String,
        /// Output channel (for scores: head; for the readout: class).
        neuron: usize,
        /// Which sum.
        quantity: &'static str,
        /// Its lowest possible value.
        low: i64,
        /// Its highest possible value.
        high: i64,
        /// Time steps of the run.
        time_steps: u32,
        /// Signed bits that would hold it.
        needed_bits: u32,
        /// Signed bits there are.
        membrane_bits: u32,
    },
    /// One image would take more of the host than is allowed; see [`cost`](crate::cost).
    #[error(
        "network: one image takes {needed} {unit} in {time_steps} time steps, the limit for {what} is {allowed}; layer {index} \
         `{layer}` takes most of it, {share}; use a smaller image or network, or fewer time steps (`--time-steps`)"
    )]
    Cost {
        /// `memory` or `time`.
        what: &'static str,
        /// `bytes` or `additions`.
        unit: &'static str,
        /// What all layers take.
        needed: u64,
        /// The limit.
        allowed: u64,
        /// Position of the layer that takes the most.
        index: usize,
        /// Its name.
        layer: String,
        /// What it takes.
        share: u64,
        /// Time steps of the run.
        time_steps: u32,
    },
    /// The start value of a scores accumulator does not fit the 16-bit bias rows.
    #[error(
        "layer {index} `{layer}`, head {head}, relative position {position}: the accumulator starts from {value}, allowed: \
         -32768..=32767 (bias rows are 16 bits wide); run fewer time steps (`--time-steps`), or convert the checkpoint with room for \
         these (`gen convert --room-for`)"
    )]
    ScoresBias {
        /// The layer's position.
        index: usize,
        /// The layer's name.
        layer: String,
        /// Attention head.
        head: usize,
        /// Index into the head's position biases.
        position: usize,
        /// `T * bias + v0` (two_phase) or `bias` (if).
        value: i64,
    },
    /// A checkpoint's values lie too far apart for integers of one scale.
    #[error(
        "layer `{layer}`: a bias or threshold becomes {value} in units of its weights, which no 32-bit integer holds"
    )]
    Scale {
        /// The layer's name.
        layer: String,
        /// The value in units of the scale.
        value: f64,
    },
    /// An image has the wrong number of bytes.
    #[error("image has {found} bytes, the network takes {expected}")]
    ImageSize {
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what its place says: truncated, corrupt or of another kind.
    #[error("{reason}")]
    Format {
        /// What is wrong.
        reason: String,
    },
    /// A tensor is absent.
    #[error("tensor `{name}` is missing")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// A tensor that nothing reads.
    #[error("tensor `{name}` is not part of the architecture{hint}")]
    UnexpectedTensor {
        /// Its name.
        name: String,
        /// What to do about it, or nothing.
        hint: &'static str,
    },
    /// A part of a checkpoint has no counterpart in a spiking network of this kind.
    #[error("module `{module}`: {found}; {remedy}")]
    Unmappable {
        /// The module's name.
        module: String,
        /// What was found there.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// An entry of a file's metadata has a value that means nothing there.
    #[error("metadata entry {entry} is {found}, allowed: {allowed}")]
    Metadata {
        /// The entry.
        entry: String,
        /// The value.
        found: String,
        /// The allowed values, in words.
        allowed: String,
    },
    /// An entry of a checkpoint's metadata says that the network computes what has no spiking counterpart.
    #[error(
        "metadata entry {entry} is {found}, which changes what the network computes and does not convert; {remedy}"
    )]
    Meaning {
        /// The entry.
        entry: String,
        /// The value.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// A checkpoint's network does not compute what its file says that the framework computed.
    #[error(
        "example, image {image}, class {class}: the framework computed a logit of {expected}, this network differs by {difference}, \
         rounding explains {tolerance}; tensors or metadata are not what the framework ran: compare names and orders with \
         docs/checkpoint.md, also `mean`, `std` and `bn_eps`, and compute the example's logits in evaluation mode, in float32, \
         from the tensors as they are exported"
    )]
    Example {
        /// The image.
        image: usize,
        /// The class.
        class: usize,
        /// The framework's logit.
        expected: f32,
        /// Distance of this network's.
        difference: f32,
        /// What rounding explains.
        tolerance: f32,
    },
    /// A tensor has another shape or element type than the architecture says.
    #[error("tensor `{name}` is {found}, expected {expected}")]
    TensorType {
        /// Its name.
        name: String,
        /// Element type and shape found.
        found: String,
        /// Element type and shape expected.
        expected: String,
    },
    /// A tensor's element has a value that means nothing there.
    #[error("tensor `{name}`, element {index}: {value} is not {expected}")]
    TensorValue {
        /// Its name.
        name: String,
        /// Index of the element in row-major order.
        index: usize,
        /// The value found.
        value: f32,
        /// What is expected: `finite`, `positive`, ...
        expected: &'static str,
    },
    /// A float64 element that no float32 holds.
    #[error(
        "tensor `{name}`, element {index}: {value:e} is no float32, and rounding it is not the converter's to do; save float32: \
         `tensor.float()`"
    )]
    Narrowing {
        /// The tensor's name.
        name: String,
        /// Index of the element in row-major order.
        index: usize,
        /// The value found.
        value: f64,
    },
    /// A threshold is smaller than what its neuron adds up can resolve.
    #[error(
        "tensor `{tensor}`, channel {channel}: the threshold {threshold:e} is too small for what the neuron adds up, allowed: {least:.3e} \
         or more; start thresholds near the top of what a site sees (train/ takes the 99th percentile), with the same for its inputs, \
         and train again"
    )]
    Threshold {
        /// The tensor.
        tensor: String,
        /// The channel; for scores the head.
        channel: usize,
        /// The threshold.
        threshold: f32,
        /// The smallest that converts.
        least: f64,
    },
    /// A converted network cannot run for the time steps that it was to have room for.
    #[error(
        "the converted network cannot run for the {time_steps} time steps that it is to have room for; convert with a smaller `--room-for`, or \
         train again with larger thresholds in front of the layer named: {source}"
    )]
    Room {
        /// Time steps.
        time_steps: u32,
        /// What does not fit.
        source: Box<ModelError>,
    },
    /// A node of a graph has a value that is out of range or does not fit its inputs.
    #[error("node `{node}`: {what} is {found}, allowed: {allowed}")]
    Node {
        /// The node's name.
        node: String,
        /// The value's name.
        what: String,
        /// The value.
        found: String,
        /// The allowed values, in words.
        allowed: String,
    },
    /// Another error, with the file that it lies in.
    #[error("{path}: {source}")]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<ModelError>,
    },
}

impl ModelError {
    /// Adds the path of the file that the error lies in.
    pub fn in_file(self, path: &std::path::Path) -> ModelError {
        ModelError::InFile { path: path.to_owned(), source: Box::new(self) }
    }
}

fn overflow_remedy(time_steps: u32, needed_bits: u32) -> String {
    let fewer = if time_steps > 1 {
        "run fewer time steps (`--time-steps`), or convert the checkpoint with room for these (`gen convert --room-for`)"
    } else {
        "use smaller weights or fewer inputs"
    };
    if needed_bits <= LARGEST_MEMBRANE_BITS {
        format!(
            "{fewer}, or use a core with wider membranes (`--membrane-bits {needed_bits}`), as `gen verilog` and \
             `gen run` can be asked to"
        )
    } else {
        format!("{fewer}; no membrane is wider than {LARGEST_MEMBRANE_BITS} bits")
    }
}

fn slot_order_remedy(fits: Option<u32>) -> String {
    let order = "convert the checkpoint again, which gives layers a computed order";
    match fits {
        Some(time_steps) => format!("run {time_steps} time steps (`--time-steps {time_steps}`), or {order}"),
        None => order.to_owned(),
    }
}
