//! `gen card`: images on the generated PCIe card, packet by packet, and what the link makes of payload.

mod efficiency;

use crate::cli::CardArgs;
use crate::error::GenError;
use crate::files;
use crate::inputs::{self, Loaded};
use crate::screen::{Format, print, print_json, spinner};
use crate::verilog::card_config;
use compile::{ProgramError, ProgramOptions};
use driver::pcie::{PcieLink, PcieOptions};
use driver::{Accelerator, Link};
use efficiency::{Efficiency, Slave, Streams};
use isa::program::Planes;
use model::Executor;
use serde::Serialize;
use sim::pcie::{CardModel, RootOptions, SimFunction};
use sim::verilated::Tracing;

/// The card that is taken when none is named.
const DEFAULT: &str = "constraints/acorn/mst_pcie.json";

#[derive(Serialize)]
struct Report {
    network: String,
    images: usize,
    /// Images whose logits are not the reference's, one at a time or in a stream.
    mismatches: usize,
    max_payload: u32,
    max_request: u32,
    /// Weights and inputs together.
    #[serde(flatten)]
    payload: Efficiency,
    /// The network, as the driver loads it.
    weights: Efficiency,
    /// Inputs of all images, back to back as the driver writes them, each from its first beat of data to its last.
    inputs: Efficiency,
    /// One stream of 256 KiB each way.
    to_card: Efficiency,
    to_host: Efficiency,
    /// The same at other hosts.
    hosts: Vec<Streams>,
    /// What the card would do without memory of its own.
    host_memory: Vec<Slave>,
    /// Cycles of an image, one at a time: input, run, logits.
    cycles_per_image: f64,
    busy_cycles_per_image: f64,
    /// Cycles of an image, while the next one is written and the last one's logits are read.
    streaming_cycles_per_image: f64,
    /// The first of these, divided by the last.
    streaming_speedup: f64,
    cycles_per_second: f64,
}

/// Other hosts: largest payload, and cycles from a read to its first completion.
const HOSTS: [(u32, u64); 5] = [(128, 62), (512, 62), (256, 125), (256, 250), (256, 500)];

type Card = Accelerator<PcieLink<SimFunction>>;

/// Runs and reports.
pub fn card(args: &CardArgs, format: Format) -> Result<(), GenError> {
    args.network.check_core_steps()?;
    let path =
        files::named_or_found(args.pcie.as_deref(), DEFAULT, "the default card", "name one with --pcie")?;
    let config = card_config(&path)?;
    let (Loaded { configured: network, .. }, images) = inputs::network_and_images(
        &args.network,
        config.core.membrane_bits,
        &args.source,
        inputs::Count::of(args.images, 2),
    )?;
    let options = ProgramOptions { memory_size: config.memory_bytes.into(), planes: Planes::Reuse };
    let mut program = compile::compile(&network, &config.core, &options)?;
    program.add_second_place(config.memory_bytes.into()).map_err(ProgramError::from)?;
    let spinner = spinner("compiling the card");
    let model = CardModel::build(&config, Tracing::None)?;
    spinner.finish_and_clear();

    let root = RootOptions::default();
    let (max_payload, max_request) = (root.max_payload, root.max_request);
    let alone = Streams::measure(&model, &config, &root)?;
    let hosts = HOSTS.map(|(max_payload, latency)| {
        Streams::measure(&model, &config, &RootOptions { max_payload, latency, ..root.clone() })
    });
    let host_memory = Slave::measure(&root)?;
    let function = SimFunction::new(&model, config.clock_hz, root, None)?;
    let link = PcieLink::open(function, &PcieOptions::default()).map_err(driver::DriverError::from)?;
    let mut card = Accelerator::open_expecting(link, &config.core)?;
    let began = std::time::Instant::now();
    let weights = measured(&mut card, max_payload, |card| card.load(&program))?;
    let mut inputs = Vec::new();
    for index in 0..images.count() {
        for segment in program.inputs(images.image(index)).map_err(driver::DriverError::from)? {
            inputs.push(measured(&mut card, max_payload, |card| {
                Ok(card.link().write_memory(segment.offset, &segment.bytes)?)
            })?);
        }
    }

    let executor = Executor::new(&network);
    let expected: Vec<_> = (0..images.count())
        .map(|index| executor.trace(images.image(index)).map(|trace| trace.logits))
        .collect::<Result<_, _>>()?;
    let (mut mismatches, mut cycles, mut busy) = (0, 0, 0);
    for (index, expected) in expected.iter().enumerate() {
        let before = root_cycles(&mut card);
        let found = card.infer(images.image(index))?;
        cycles += root_cycles(&mut card) - before;
        busy += found.counters.busy_cycles;
        mismatches += usize::from(found.logits != *expected);
    }
    let before = root_cycles(&mut card);
    let streamed = card.infer_stream(images.all())?;
    let stream_cycles = root_cycles(&mut card) - before;
    for (found, expected) in streamed.iter().zip(&expected) {
        mismatches += usize::from(found.logits != *expected);
    }
    let inputs = Efficiency::sum(&inputs);
    let count = images.count() as f64;
    let simulated = root_cycles(&mut card) as f64;
    let report = Report {
        network: network.name.clone(),
        images: images.count(),
        mismatches,
        max_payload,
        max_request,
        payload: Efficiency::sum(&[weights, inputs]),
        weights,
        inputs,
        to_card: alone.to_card,
        to_host: alone.to_host,
        hosts: hosts.into_iter().collect::<Result<_, _>>()?,
        host_memory,
        cycles_per_image: cycles as f64 / count,
        busy_cycles_per_image: busy as f64 / count,
        streaming_cycles_per_image: stream_cycles as f64 / count,
        streaming_speedup: cycles as f64 / stream_cycles as f64,
        cycles_per_second: simulated / began.elapsed().as_secs_f64(),
    };
    match format {
        Format::Json => print_json(&report)?,
        Format::Text => print(&text(&report))?,
    }
    if report.mismatches > 0 {
        return Err(GenError::Mismatch { mismatches: report.mismatches, images: report.images });
    }
    Ok(())
}

fn root_cycles(card: &mut Card) -> u64 {
    card.link().function().root().cycles()
}

/// What `action` makes of the link to the card.
fn measured(
    card: &mut Card,
    max_payload: u32,
    action: impl FnOnce(&mut Card) -> Result<(), driver::DriverError>,
) -> Result<Efficiency, GenError> {
    card.link().function().root().take_traffic();
    action(card)?;
    let traffic = card.link().function().root().take_traffic();
    Ok(Efficiency::of_reads(&traffic, max_payload))
}

fn text(report: &Report) -> String {
    let mut text = format!(
        "{}, payloads of {} bytes, reads of {}\n{}{}{}{}",
        report.network,
        report.max_payload,
        report.max_request,
        report.weights.line("weights"),
        report.inputs.line("inputs"),
        report.to_card.line("one stream to the card"),
        report.to_host.line("one stream to the host"),
    );
    for Streams { max_payload, latency, to_card, to_host } in &report.hosts {
        text += &to_card.line(&format!("to the card, {max_payload} bytes, {} ns", latency * 8));
        text += &to_host.line(&format!("to the host, {max_payload} bytes, {} ns", latency * 8));
    }
    for Slave { burst_beats, host_memory_read, host_memory_write } in &report.host_memory {
        text += &host_memory_read.line(&format!("AXI slave, reads, bursts of {burst_beats}"));
        text += &host_memory_write.line(&format!("AXI slave, writes, bursts of {burst_beats}"));
    }
    text + &format!(
        "{} images, {} differ; {:.0} cycles an image, {:.0} of them on the core, {:.0} in a stream ({:.3} times as fast); {:.0} simulated cycles/s\n",
        report.images,
        report.mismatches,
        report.cycles_per_image,
        report.busy_cycles_per_image,
        report.streaming_cycles_per_image,
        report.streaming_speedup,
        report.cycles_per_second,
    )
}
