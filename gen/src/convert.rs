//! `gen convert`: a checkpoint becomes an integer network.

use crate::cli::ConvertArgs;
use crate::error::GenError;
use crate::files;
use crate::inputs::neuron_name;
use crate::precision::{self, PrecisionReport};
use crate::screen::{Format, count, grouped, print, print_json};
use model::checkpoint::Agreement;
use model::network::Operation;
use model::{Checkpoint, ConvertOptions, Network};
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
struct Report<'a> {
    out: &'a Path,
    name: &'a str,
    layers: usize,
    weights: usize,
    classes: usize,
    neuron: &'static str,
    bytes: u64,
    /// What the checkpoint's file left unsaid, or said in vain.
    warnings: Vec<String>,
    /// How well the checkpoint computes its own example; null if it has none.
    example: Option<Agreement>,
    #[serde(flatten)]
    precision: Option<PrecisionReport>,
}

/// Checks the checkpoint against its own example, converts it and writes the network.
pub fn convert(args: &ConvertArgs, format: Format) -> Result<(), GenError> {
    let checkpoint = Checkpoint::load(&args.checkpoint)?;
    let warnings: Vec<String> = checkpoint.warnings.iter().map(ToString::to_string).collect();
    for warning in &warnings {
        eprintln!("warning: {warning}");
    }
    let example = checkpoint.check_example().map_err(|error| error.in_file(&args.checkpoint))?;
    let options = ConvertOptions {
        neuron: args.neuron.into(),
        time_steps: args.room_for,
        ..ConvertOptions::new(args.name.clone().unwrap_or_else(|| name_of(&args.checkpoint)))
    };
    let converted = model::convert::convert_and_measure(&checkpoint, &options)
        .map_err(|error| error.in_file(&args.checkpoint))?;
    let network = &converted.network;
    if let Some(folder) = args.out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(files::at(folder))?;
    }
    network.save(&args.out)?;
    let report = Report {
        out: &args.out,
        name: &network.name,
        layers: network.layers.len(),
        weights: weights(network),
        classes: network.classes,
        neuron: neuron_name(network),
        bytes: std::fs::metadata(&args.out).map_err(files::at(&args.out))?.len(),
        warnings,
        example,
        precision: args.report.then(|| precision::report(&converted)),
    };
    match format {
        Format::Json => print_json(&report),
        Format::Text => print(&format!(
            "network `{}` in {}: {}, {} 8-bit weights, {} bytes, {} neurons\n{}\n{}",
            report.name,
            args.out.display(),
            count(report.layers, "layer"),
            grouped(report.weights as u64),
            grouped(report.bytes),
            report.neuron,
            example_text(report.example.as_ref()),
            report.precision.as_ref().map(PrecisionReport::text).unwrap_or_default(),
        )),
    }
}

fn example_text(example: Option<&Agreement>) -> String {
    match example {
        Some(Agreement { images, difference, image, class, tolerance }) => format!(
            "example: the logits of {} are the framework's; the largest difference is {difference:.1e} (image {image}, class {class}), \
             rounding explains {tolerance:.1e}",
            count(*images, "image")
        ),
        None => "example: none in the checkpoint, so nothing shows that it computes what was trained; train/export_example.py shows how \
                 to add one"
            .to_owned(),
    }
}

/// Names a network after its checkpoint: after the folder where the file has the usual name.
fn name_of(checkpoint: &Path) -> String {
    let full = std::path::absolute(checkpoint).unwrap_or_else(|_| checkpoint.to_owned());
    let usual = full.file_name().is_some_and(|name| name == files::CHECKPOINT);
    let folder = full.parent().and_then(Path::file_name);
    let name = if usual { folder } else { None }.or(full.file_stem());
    name.map_or_else(|| "network".to_owned(), |name| name.display().to_string())
}

fn weights(network: &Network) -> usize {
    let of = |operation: &Operation| match operation {
        Operation::Analog { weights, .. }
        | Operation::Dense { weights, .. }
        | Operation::Readout { weights, .. } => weights.data.len(),
        Operation::Shortcut { gains, .. } => gains.len(),
        Operation::Scores { .. } | Operation::Context { .. } => 0,
    };
    network.layers.iter().map(|layer| of(&layer.operation)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_named_after_the_folder_or_the_file() {
        assert_eq!(name_of(Path::new("/models/fashion-mnist/checkpoint.safetensors")), "fashion-mnist");
        assert_eq!(name_of(Path::new("/models/fashion-mnist/best.safetensors")), "best");
    }
}
