//! `gen vectors`: the memory of a run, before and after, for test benches that are not this project's.

use crate::cli::VectorsArgs;
use crate::error::GenError;
use crate::files;
use crate::inputs::{self, Loaded};
use crate::operation;
use crate::screen::{Format, count, grouped, print, print_json};
use compile::ProgramOptions;
use isa::layout::LOGIT_BYTES;
use isa::program::{Planes, Program};
use isa::{CoreConfig, PAGE};
use model::{Executor, Trace};
use serde::Serialize;
use sim::LARGEST_MEMORY;
use std::ops::Range;

/// What the places that a run must write hold before.
const STALE: u8 = 0xa5;

/// What is written. The list is last, so that whoever sees it finds its files.
const FILES: [&str; 3] = ["before.bin", "after.bin", "run.json"];

/// `run.json`.
#[derive(Serialize)]
struct Run {
    network: String,
    image: usize,
    time_steps: u32,
    core: CoreConfig,
    memory_bytes: usize,
    descriptor_base: u32,
    descriptor_count: usize,
    outputs: Vec<Output>,
}

/// What one layer writes.
#[derive(Serialize)]
struct Output {
    layer: String,
    op: &'static str,
    offset: usize,
    bytes: usize,
}

/// Runs the reference and writes the files.
pub fn vectors(args: &VectorsArgs, format: Format) -> Result<(), GenError> {
    for name in FILES {
        inputs::refuse_inputs("--out", &args.out.join(name), &args.network, &args.source)?;
    }
    args.network.check_core_steps()?;
    let core = args.core.config()?;
    let (Loaded { configured: network, .. }, images) = inputs::network_and_images(
        &args.network,
        core.membrane_bits,
        &args.source,
        inputs::Count::Exactly(1),
    )?;
    let options = ProgramOptions { memory_size: LARGEST_MEMORY, planes: Planes::Keep };
    let program = compile::compile(&network, &core, &options)?;
    let layers = args.layers.unwrap_or(program.layers.len());
    if layers == 0 || layers > program.layers.len() {
        let allowed = format!("1..={}", program.layers.len());
        return Err(GenError::Option { option: "--layers", found: layers.to_string(), allowed });
    }
    let trace = Executor::new(&network).trace(images.image(0))?;

    let mut before = vec![0; program.total_bytes.next_multiple_of(PAGE) as usize];
    let inputs = program.inputs(images.image(0)).map_err(driver::DriverError::from)?;
    for segment in program.image.iter().chain(&inputs) {
        let start = segment.offset as usize;
        before[start..start + segment.bytes.len()].copy_from_slice(&segment.bytes);
    }
    let mut after = before.clone();
    let mut outputs = Vec::with_capacity(layers);
    let run_layers = &program.layers[..layers];
    for (index, layer) in run_layers.iter().enumerate() {
        let (start, expected) = match &layer.plane {
            Some(layout) => (layout.base as usize, trace.planes[index].in_memory(layout.clone()).bytes),
            None => (program.logits.base as usize, logit_bytes(&program, &trace)),
        };
        let place: Range<usize> = start..start + expected.len();
        before[place.clone()].fill(STALE);
        after[place].copy_from_slice(&expected);
        let (offset, bytes) = (start, expected.len());
        outputs.push(Output {
            layer: layer.name.clone(),
            op: operation::kind(&network.layers[index]),
            offset,
            bytes,
        });
    }
    let run = Run {
        network: network.name.clone(),
        image: images.index(0),
        time_steps: program.time_steps,
        core,
        memory_bytes: before.len(),
        descriptor_base: program.descriptor_base,
        descriptor_count: run_layers.iter().map(|layer| layer.strips.len()).sum(),
        outputs,
    };
    let text = serde_json::to_string_pretty(&run).expect("names and numbers") + "\n";
    for (name, bytes) in FILES.into_iter().zip([&before[..], &after, text.as_bytes()]) {
        files::write_one(&args.out.join(name), bytes)?;
    }
    match format {
        Format::Json => print_json(&run),
        Format::Text => print(&format!(
            "{} bytes of memory before and after {} of `{}` in {}\n",
            grouped(before.len() as u64),
            count(layers, "layer"),
            run.network,
            args.out.display(),
        )),
    }
}

/// The logits as they lie in memory: four byte planes. Lanes without a class have nothing to add up.
fn logit_bytes(program: &Program, trace: &Trace) -> Vec<u8> {
    let plane = program.logits.plane_bytes as usize;
    let mut bytes = vec![0; LOGIT_BYTES as usize * plane];
    for (class, logit) in trace.logits.iter().enumerate() {
        for (p, byte) in logit.to_le_bytes().into_iter().enumerate() {
            bytes[p * plane + class] = byte;
        }
    }
    bytes
}
