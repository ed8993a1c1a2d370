//! `gen convert`: a checkpoint or graph becomes an integer network.

use crate::cli::ConvertArgs;
use crate::error::GenError;
use crate::files;
use crate::inputs::neuron_name;
use crate::operation;
use crate::origin;
use crate::precision::{self, PrecisionReport};
use crate::screen::{Format, count, grouped, json_path, print, print_json};
use isa::names::{self, NameFault};
use model::checkpoint::Agreement;
use model::graph::file::GraphFile;
use model::{ConvertOptions, Network};
use serde::Serialize;
use std::ffi::{OsStr, OsString};
use std::path::Path;

#[derive(Serialize)]
struct Report<'a> {
    #[serde(serialize_with = "json_path")]
    out: &'a Path,
    name: &'a str,
    layers: usize,
    weights: usize,
    classes: usize,
    neuron: &'static str,
    bytes: u64,
    /// Whether the network's file has the checkpoint's path and hash, for `--float`.
    remembers_checkpoint: bool,
    /// What the checkpoint's file left unsaid, or said in vain.
    warnings: Vec<String>,
    /// How well the checkpoint computes its own example; null if it has none.
    example: Option<Agreement>,
    /// What became of each layer; null without `--report`.
    precision: Option<PrecisionReport>,
}

/// Said of a network that cannot remember where its checkpoint is.
const FORGETS: &str = "the checkpoint's path is no Unicode, so that the network does not remember it: name it with `--float CHECKPOINT`\n";

/// Checks the checkpoint against its own example, converts it and writes the network.
pub fn convert(args: &ConvertArgs, format: Format) -> Result<(), GenError> {
    files::refuse_inputs("--out", &args.out, &[("the checkpoint", &args.checkpoint)])?;
    if let Some(named) = &args.name {
        names::check(named).map_err(|fault| refused_name(format!("`{}`", names::shown(named)), fault))?;
    }
    let GraphFile { graph, name: own, warnings } = GraphFile::load(&args.checkpoint)?;
    let name = name(args, own)?;
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    for warning in &warnings {
        eprintln!("warning: {}", names::printable_lines(warning));
    }
    let example = origin::check_example(&graph, &args.checkpoint)?;
    let options = ConvertOptions {
        schedule: args.neuron.into(),
        time_steps: args.room_for,
        ..ConvertOptions::new(name)
    };
    let mut converted = model::convert::convert_and_measure(graph, &options)
        .map_err(|error| error.in_file(&args.checkpoint))?;
    files::make_folder_of(&args.out)?;
    converted.network.checkpoint = origin::of(&args.checkpoint, &args.out)?;
    let network = &converted.network;
    network.save(&args.out)?;
    let report = Report {
        out: &args.out,
        name: &network.name,
        layers: network.layers.len(),
        weights: weights(network),
        classes: network.classes,
        neuron: neuron_name(network),
        remembers_checkpoint: network.checkpoint.is_some(),
        bytes: std::fs::metadata(&args.out).map_err(files::at(&args.out))?.len(),
        warnings,
        example,
        precision: args.report.then(|| precision::report(&converted)),
    };
    match format {
        Format::Json => print_json(&report),
        Format::Text => print(&format!(
            "network `{}` in {}: {}, {} 8-bit weights, {} bytes, {} neurons\n{}{}\n{}",
            report.name,
            args.out.display(),
            count(report.layers, "layer"),
            grouped(report.weights as u64),
            grouped(report.bytes),
            report.neuron,
            if report.remembers_checkpoint { "" } else { FORGETS },
            example_text(report.example.as_ref()),
            report.precision.as_ref().map(PrecisionReport::text).unwrap_or_default(),
        )),
    }
}

/// The name that is asked for, the file's own, or that of its place.
fn name(args: &ConvertArgs, own: Option<String>) -> Result<String, GenError> {
    if let Some(name) = args.name.clone().or(own) {
        return Ok(name);
    }
    let name = name_of(&args.checkpoint);
    let text = name.to_string_lossy();
    match name.to_str().ok_or(NameFault::Unprintable).and_then(names::check) {
        Ok(()) => Ok(text.into_owned()),
        Err(fault) => {
            let shown = names::shown(&text);
            Err(refused_name(
                format!("not given, and `{shown}` from the checkpoint's path is no name"),
                fault,
            ))
        }
    }
}

fn refused_name(found: String, fault: NameFault) -> GenError {
    GenError::Option { option: "--name", found, allowed: fault.to_string() }
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
fn name_of(checkpoint: &Path) -> OsString {
    let full = std::path::absolute(checkpoint).unwrap_or_else(|_| checkpoint.to_owned());
    let usual = full.file_name().is_some_and(|name| name == files::CHECKPOINT);
    let folder = full.parent().and_then(Path::file_name);
    let name = if usual { folder } else { None }.or(full.file_stem());
    name.map_or_else(|| "network".into(), OsStr::to_owned)
}

fn weights(network: &Network) -> usize {
    network.layers.iter().map(|layer| operation::stored(&layer.operation).0).sum()
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
