//! `gen spikes`: every spike of the reference, in a file that other programs read.

use crate::cli::SpikesArgs;
use crate::error::GenError;
use crate::files;
use crate::inputs::{self, Loaded};
use crate::screen::{Format, announce, bar, count, grouped, json_path, print, print_json};
use model::{Configured, Executor, SpikePlane, Trace};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::Serialize;
use std::collections::HashMap;
use std::path::Path;

/// Most bytes of spikes in one file.
const MOST_BYTES: u64 = 1 << 30;

#[derive(Serialize)]
struct Report<'a> {
    #[serde(serialize_with = "json_path")]
    out: &'a Path,
    network: &'a str,
    time_steps: u32,
    images: usize,
    layers: usize,
    spikes: u64,
    bytes: usize,
}

/// Runs the reference and writes the file.
pub fn spikes(args: &SpikesArgs, format: Format) -> Result<(), GenError> {
    inputs::refuse_inputs("--out", &args.out, &args.network, &args.source)?;
    let (Loaded { configured, .. }, images) =
        inputs::network_and_images(&args.network, 24, &args.source, inputs::Count::of(args.images, 100))?;
    refuse_large(&configured, images.count())?;
    announce("spikes", configured.cost().seconds_in_turn(images.count()));
    let executor = Executor::new(&configured);
    let progress = bar("reference", images.count());
    let traces: Vec<Trace> = images
        .all()
        .into_iter()
        .map(|image| {
            progress.inc(1);
            executor.trace(image)
        })
        .collect::<Result<_, _>>()?;
    progress.finish_and_clear();
    let file = file(&configured, &traces, images.index(0));
    files::write_one(&args.out, &file)?;
    let report = Report {
        out: &args.out,
        network: &configured.name,
        time_steps: configured.time_steps(),
        images: traces.len(),
        layers: traces.first().map_or(0, |trace| trace.planes.len()),
        spikes: traces.iter().flat_map(|trace| &trace.planes).map(SpikePlane::spikes).sum(),
        bytes: file.len(),
    };
    match format {
        Format::Json => print_json(&report),
        Format::Text => print(&format!(
            "{} spikes of {} in {}, {}, {} bytes\n",
            grouped(report.spikes),
            count(report.layers, "layer"),
            count(report.images, "image"),
            report.out.display(),
            grouped(report.bytes as u64),
        )),
    }
}

/// Refuses more images than the spikes of one file may take.
fn refuse_large(network: &Configured, images: usize) -> Result<(), GenError> {
    let most = (MOST_BYTES / network.cost().spike_bytes.max(1)).max(1);
    if images as u64 <= most {
        return Ok(());
    }
    let found = format!("{images}, of {} bytes of spikes each", network.cost().spike_bytes);
    Err(GenError::Option { option: "--images", found, allowed: format!("1..={most} in one file") })
}

/// The file's bytes.
fn file(network: &Configured, traces: &[Trace], first: usize) -> Vec<u8> {
    let mut tensors: Vec<(&str, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (index, layer) in network.layers[..network.layers.len() - 1].iter().enumerate() {
        let planes = traces.iter().map(|trace| &trace.planes[index]);
        let shape = planes.clone().next().map(|plane| [plane.tokens(), plane.channels(), plane.cell_bytes()]);
        let data = planes.flat_map(|plane| (0..plane.tokens()).flat_map(|token| plane.row(token).to_vec()));
        let shape = [&[traces.len()], &shape.unwrap_or_default()[..]].concat();
        tensors.push((&layer.name, Dtype::U8, shape, data.collect()));
    }
    let logits =
        traces.iter().flat_map(|trace| &trace.logits).flat_map(|logit| logit.to_le_bytes()).collect();
    tensors.push(("logits", Dtype::I32, vec![traces.len(), network.classes], logits));
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        let view = TensorView::new(*dtype, shape.clone(), data);
        (*name, view.expect("as many bytes as the shape says"))
    });
    let facts = [("network", network.name.clone()), ("first", first.to_string())];
    let facts = facts.into_iter().chain([("time_steps", network.time_steps().to_string())]);
    let metadata: HashMap<String, String> = facts.map(|(name, value)| (name.to_owned(), value)).collect();
    safetensors::serialize(views, Some(metadata)).expect("names differ and shapes fit")
}
