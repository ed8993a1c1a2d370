//! `gen info`: what a network consists of and what it needs.

use crate::cli::InfoArgs;
use crate::error::GenError;
use crate::inputs::{self, Loaded, neuron_name};
use crate::screen::{Align, Format, Table, count, grouped, print, print_json};
use compile::ProgramOptions;
use isa::program::Planes;
use isa::{CoreConfig, LARGEST_WINDOW};
use model::network::{Gather, Operation, Walk};
use model::{Configured, Layer, LayerId};
use serde::Serialize;

/// Width of the membranes that the proof is shown for; the presets' own.
const MEMBRANE_BITS: u32 = 24;

#[derive(Serialize)]
struct Report {
    name: String,
    image: [usize; 3],
    classes: usize,
    time_steps: u32,
    neuron: &'static str,
    mask: String,
    seed: u32,
    parameters: usize,
    parameter_bytes: usize,
    layers: Vec<LayerReport>,
    cores: Vec<CoreReport>,
}

#[derive(Serialize)]
struct LayerReport {
    name: String,
    op: &'static str,
    rows: usize,
    columns: usize,
    channels: usize,
    /// Inputs of one neuron.
    fan_in: usize,
    walk: String,
    /// Smallest and largest threshold; absent for the readout, which has no neurons.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<[i32; 2]>,
    mask: f64,
    parameters: usize,
    /// Of weights, biases, thresholds and initial membranes in the network file.
    parameter_bytes: usize,
    /// Range that every sum of the layer was proven to keep.
    sum_low: i64,
    sum_high: i64,
    sum_bits: u32,
}

/// What the network needs on a core, or why it does not fit.
#[derive(Serialize)]
struct CoreReport {
    preset: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// Shows the network.
pub fn info(args: &InfoArgs, format: Format) -> Result<(), GenError> {
    let Loaded { path, configured } = inputs::network(&args.network, MEMBRANE_BITS)?;
    let layers: Vec<LayerReport> = (0..configured.layers.len()).map(|i| layer(&configured, i)).collect();
    let image = configured.image;
    let report = Report {
        name: configured.name.clone(),
        image: [image.height, image.width, image.channels],
        classes: configured.classes,
        time_steps: configured.time_steps(),
        neuron: neuron_name(&configured),
        mask: inputs::mask(&configured),
        seed: configured.seed,
        parameters: layers.iter().map(|l| l.parameters).sum(),
        parameter_bytes: layers.iter().map(|l| l.parameter_bytes).sum(),
        layers,
        cores: CoreConfig::PRESETS.into_iter().map(|preset| core(&configured, preset)).collect(),
    };
    match format {
        Format::Json => print_json(&report),
        Format::Text => print(&format!("{}\n{}", path.display(), text(&report))),
    }
}

fn layer(network: &Configured, index: usize) -> LayerReport {
    let layer = &network.layers[index];
    let bounds = network.bounds(LayerId(index));
    let (weights, biases) = stored(&layer.operation);
    let neurons = layer.theta.len() + layer.v0.len();
    LayerReport {
        name: layer.name.clone(),
        op: op_name(&layer.operation),
        rows: layer.grid.rows,
        columns: layer.grid.columns,
        channels: layer.channels,
        fan_in: fan_in(network, layer),
        walk: walk_name(layer),
        threshold: layer.theta.iter().min().zip(layer.theta.iter().max()).map(|(&low, &high)| [low, high]),
        mask: f64::from(layer.mask_ratio) / 256.0,
        parameters: weights + biases + neurons,
        parameter_bytes: weights + 4 * (biases + neurons),
        sum_low: bounds.low,
        sum_high: bounds.high,
        sum_bits: bounds.signed_bits(),
    }
}

/// Number of 8-bit weights and of 32-bit biases.
fn stored(operation: &Operation) -> (usize, usize) {
    match operation {
        Operation::Analog { weights, bias, .. }
        | Operation::Dense { weights, bias, .. }
        | Operation::Readout { weights, bias, .. } => (weights.data.len(), bias.len()),
        Operation::Shortcut { gains, bias, .. } => (gains.len(), bias.len()),
        Operation::Scores { bias, .. } => (0, bias.len()),
        Operation::Context { .. } => (0, 0),
    }
}

/// Name of an operation, as the descriptors call it.
pub fn op_name(operation: &Operation) -> &'static str {
    match operation {
        Operation::Analog { .. } => "analog",
        Operation::Dense { gather: Gather::Token, .. } => "dense",
        Operation::Dense { gather: Gather::Merge, .. } => "merge",
        Operation::Shortcut { .. } => "shortcut",
        Operation::Scores { .. } => "scores",
        Operation::Context { .. } => "context",
        Operation::Readout { .. } => "readout",
    }
}

fn fan_in(network: &Configured, layer: &Layer) -> usize {
    match &layer.operation {
        Operation::Analog { weights, .. }
        | Operation::Dense { weights, .. }
        | Operation::Readout { weights, .. } => weights.inputs,
        Operation::Shortcut { inputs, .. } => inputs.len(),
        Operation::Scores { query, heads, .. } => network.layer(*query).channels / heads,
        Operation::Context { scores, .. } => network.layer(*scores).channels,
    }
}

fn walk_name(layer: &Layer) -> String {
    match layer.walk {
        Walk::Raster => "raster".to_owned(),
        Walk::Windows(windows) if windows.shift == 0 => format!("windows of {0}x{0}", windows.size),
        Walk::Windows(windows) => format!("windows of {0}x{0}, shift {1}", windows.size, windows.shift),
    }
}

fn core(network: &Configured, preset: &'static str) -> CoreReport {
    let config = CoreConfig::preset(preset).expect("the name comes from the list of presets");
    let options = ProgramOptions { memory_size: LARGEST_WINDOW, planes: Planes::Reuse };
    match compile::memory_bytes(network, &config, &options) {
        Ok(bytes) => CoreReport { preset, memory_bytes: Some(bytes), refused: None },
        Err(error) => CoreReport { preset, memory_bytes: None, refused: Some(error.to_string()) },
    }
}

fn text(report: &Report) -> String {
    let [height, width, channels] = report.image;
    let mut text = format!(
        "network `{}`: images of {height} x {width} x {channels} in {}, T = {}, neurons {}, mask {}, mask seed {}\n\
         {}, {} parameters in {} bytes\n\n",
        report.name,
        count(report.classes, "class").replace("classs", "classes"),
        report.time_steps,
        report.neuron,
        report.mask,
        report.seed,
        count(report.layers.len(), "layer"),
        grouped(report.parameters as u64),
        grouped(report.parameter_bytes as u64),
    );
    text += &table(&report.layers).text();
    text += &format!(
        "\nNo sum can leave the range in its row, whatever the image: proven from the weights for T = {} and membranes of \
         {MEMBRANE_BITS} bits.\n",
        report.time_steps
    );
    for core in &report.cores {
        text += &match (&core.memory_bytes, &core.refused) {
            (Some(bytes), _) => {
                format!("core {}: runs it in {} bytes of memory\n", core.preset, grouped(*bytes))
            }
            (None, reason) => format!("core {}: {}\n", core.preset, reason.as_deref().unwrap_or("refused")),
        };
    }
    text
}

fn table(layers: &[LayerReport]) -> Table {
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("", right),
        ("layer", left),
        ("op", left),
        ("tokens", right),
        ("channels", right),
        ("fan-in", right),
        ("order", left),
        ("threshold", right),
        ("mask", right),
        ("bytes", right),
        ("sums from", right),
        ("to", right),
        ("bits", right),
    ]);
    for (index, layer) in layers.iter().enumerate() {
        let threshold = match layer.threshold {
            Some([low, high]) if low == high => low.to_string(),
            Some([low, high]) => format!("{low}..{high}"),
            None => "-".to_owned(),
        };
        table.row(vec![
            index.to_string(),
            layer.name.clone(),
            layer.op.to_owned(),
            format!("{}x{}", layer.rows, layer.columns),
            layer.channels.to_string(),
            layer.fan_in.to_string(),
            layer.walk.clone(),
            threshold,
            layer.mask.to_string(),
            grouped(layer.parameter_bytes as u64),
            layer.sum_low.to_string(),
            layer.sum_high.to_string(),
            layer.sum_bits.to_string(),
        ]);
    }
    table
}
