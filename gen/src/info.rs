//! `gen info`: what a network consists of and what it needs.

use crate::cli::InfoArgs;
use crate::error::GenError;
use crate::inputs::{self, Loaded, neuron_name};
use crate::operation;
use crate::screen::{Align, Format, Table, count, grouped, print, print_json};
use compile::{LayerCut, ProgramOptions};
use isa::program::Planes;
use isa::{CoreConfig, LARGEST_WINDOW};
use model::network::Walk;
use model::{Configured, Layer, LayerId, MaskRatio};
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
    /// The terms of a linear layer; absent for attention.
    #[serde(skip_serializing_if = "Option::is_none")]
    terms: Option<String>,
    /// Operation and terms, for a column.
    #[serde(skip)]
    words: String,
    rows: usize,
    columns: usize,
    channels: usize,
    /// Inputs of one neuron.
    fan_in: usize,
    walk: String,
    /// Smallest and largest threshold; absent for the readout, which has no neurons.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<[i32; 2]>,
    /// What rules call masks of this kind; absent if by the layer's name alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    mask: f64,
    /// Whether all tokens drop alike.
    mask_shared: bool,
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
    /// Slices of the inputs of each layer, and parts of its tokens; empty if it does not fit.
    passes: Vec<usize>,
    strips: Vec<usize>,
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
    let (weights, biases) = operation::stored(&layer.operation);
    let neurons = layer.theta.len() + layer.v0.len();
    LayerReport {
        name: layer.name.clone(),
        op: operation::kind(layer),
        terms: operation::terms(layer),
        words: operation::words(layer),
        rows: layer.grid.rows,
        columns: layer.grid.columns,
        channels: layer.channels,
        fan_in: operation::fan_in(network, layer),
        walk: walk_name(layer),
        threshold: layer.theta.iter().min().zip(layer.theta.iter().max()).map(|(&low, &high)| [low, high]),
        label: layer.mask.label.clone(),
        mask: MaskRatio(layer.mask.ratio).share(),
        mask_shared: layer.mask.shared,
        parameters: weights + biases + neurons,
        parameter_bytes: weights + 4 * (biases + neurons),
        sum_low: bounds.low,
        sum_high: bounds.high,
        sum_bits: bounds.signed_bits(),
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
    match compile::needs(network, &config, &options) {
        Ok(needs) => {
            let each = |of: fn(&LayerCut) -> usize| needs.layers.iter().map(of).collect();
            let memory_bytes = Some(needs.memory_bytes);
            CoreReport {
                preset,
                memory_bytes,
                passes: each(|cut| cut.passes),
                strips: each(|cut| cut.strips),
                refused: None,
            }
        }
        Err(error) => {
            let refused = Some(error.to_string());
            CoreReport { preset, memory_bytes: None, passes: Vec::new(), strips: Vec::new(), refused }
        }
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
                let descriptors = count(core.strips.iter().sum(), "descriptor");
                let bytes = grouped(*bytes);
                format!("core {}: runs it in {bytes} bytes of memory, {descriptors}\n", core.preset)
            }
            (None, reason) => format!("core {}: {}\n", core.preset, reason.as_deref().unwrap_or("refused")),
        };
    }
    text + &cuts(report)
}

/// The layers that take several passes on some core.
fn cuts(report: &Report) -> String {
    let cores: Vec<&CoreReport> = report.cores.iter().filter(|core| core.memory_bytes.is_some()).collect();
    let mut columns = vec![("", Align::Right), ("layer", Align::Left), ("fan-in", Align::Right)];
    columns.extend(cores.iter().map(|core| (core.preset, Align::Right)));
    let mut table = Table::new(&columns);
    let mut rows = 0;
    for (index, layer) in report.layers.iter().enumerate() {
        if cores.iter().all(|core| core.passes[index] == 1) {
            continue;
        }
        let cell = |core: &&CoreReport| match (core.passes[index], core.strips[index]) {
            (passes, 1) => passes.to_string(),
            (passes, strips) => format!("{passes} x {strips}"),
        };
        let mut row = vec![index.to_string(), layer.name.clone(), layer.fan_in.to_string()];
        row.extend(cores.iter().map(cell));
        table.row(row);
        rows += 1;
    }
    if rows == 0 {
        return String::new();
    }
    format!(
        "\nPasses of the layers that take several, and strips of tokens if more than one:\n{}",
        table.text()
    )
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
        ("label", left),
        ("mask", left),
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
            layer.words.clone(),
            format!("{}x{}", layer.rows, layer.columns),
            layer.channels.to_string(),
            layer.fan_in.to_string(),
            layer.walk.clone(),
            threshold,
            layer.label.clone().unwrap_or_default(),
            if layer.mask_shared { format!("{} shared", layer.mask) } else { layer.mask.to_string() },
            grouped(layer.parameter_bytes as u64),
            layer.sum_low.to_string(),
            layer.sum_high.to_string(),
            layer.sum_bits.to_string(),
        ]);
    }
    table
}
