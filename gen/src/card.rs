//! `gen card`: images on the generated PCIe card, packet by packet.

use crate::cli::CardArgs;
use crate::error::GenError;
use crate::files;
use crate::inputs::{self, Images};
use crate::screen::{Format, grouped, percent, print, print_json, spinner};
use crate::verilog::card_config;
use driver::pcie::{PcieLink, PcieOptions};
use driver::{Accelerator, Link, Planes, Program, ProgramOptions};
use isa::pcie::STREAM_ALIGN;
use model::Executor;
use serde::Serialize;
use sim::pcie::{CardModel, RootOptions, SimFunction, Traffic};
use sim::verilated::Tracing;

/// The card that is taken when none is named.
const DEFAULT: &str = "constraints/acorn/mst_pcie.json";
/// Bytes of the headers that reads and writes of the card cost: a completion's, and a request's with an address of 64 bits.
const COMPLETION_HEADER: f64 = 12.0;
const WRITE_HEADER: f64 = 16.0;

/// What one way of using the link makes of it.
#[derive(Serialize)]
struct Efficiency {
    payload_bytes: u64,
    /// Cycles from the first packet with data to the last.
    cycles: u64,
    /// Payload, of what the stream could carry in these cycles.
    payload_efficiency: f64,
    /// What headers leave of it if nothing else costs anything.
    bound: f64,
}

#[derive(Serialize)]
struct Report {
    network: String,
    images: usize,
    /// Images whose logits are not the reference's, one at a time or in a stream.
    mismatches: usize,
    max_payload: u32,
    max_request: u32,
    weights: Efficiency,
    inputs: Efficiency,
    /// One stream of 256 KiB each way.
    to_card: Efficiency,
    to_host: Efficiency,
    /// Cycles of an image, one at a time: input, run, logits.
    cycles_per_image: f64,
    busy_cycles_per_image: f64,
    /// Cycles of an image, while the next one is written and the last one's logits are read.
    streaming_cycles_per_image: f64,
    /// The first of these, divided by the last.
    streaming_speedup: f64,
    cycles_per_second: f64,
}

type Card = Accelerator<PcieLink<SimFunction>>;

/// Runs and reports.
pub fn card(args: &CardArgs, format: Format) -> Result<(), GenError> {
    let path =
        files::named_or_found(args.pcie.as_deref(), DEFAULT, "the default card", "name one with --pcie")?;
    let config = card_config(&path)?;
    let network = inputs::network(&args.network, config.core.membrane_bits)?.configured;
    let images = Images::load(&args.source, args.images, &network)?;
    let options = ProgramOptions { memory_size: config.memory_bytes.into(), planes: Planes::Reuse };
    let mut program = Program::compile(&network, &config.core, &options)?;
    program.add_second_place(config.memory_bytes.into())?;
    let spinner = spinner("compiling the card");
    let model = CardModel::build(&config, Tracing::None)?;
    spinner.finish_and_clear();

    let root = RootOptions::default();
    let (max_payload, max_request) = (root.max_payload, root.max_request);
    let function = SimFunction::new(&model, config.clock_hz, root, None)?;
    let link = PcieLink::open(function, &PcieOptions::default()).map_err(driver::DriverError::from)?;
    let mut card = Accelerator::open_expecting(link, &config.core)?;
    let began = std::time::Instant::now();
    let block = vec![0x5a; PcieOptions::default().buffer_bytes];
    let link_error = driver::DriverError::from;
    let to_card =
        measured(&mut card, max_payload, |card| card.link().write_memory(0, &block).map_err(link_error))?;
    let mut back = vec![0; block.len()];
    let to_host =
        measured(&mut card, max_payload, |card| card.link().read_memory(0, &mut back).map_err(link_error))?;
    let weights = measured(&mut card, max_payload, |card| card.load(&program))?;

    let executor = Executor::new(&network);
    let (mut mismatches, mut cycles, mut busy, mut inputs) = (0, 0, 0, Traffic::default());
    for index in 0..images.count() {
        let expected = executor.trace(images.image(index))?;
        let before = root_cycles(&mut card);
        card.link().function().root().take_traffic();
        let found = card.infer(images.image(index))?;
        let traffic = card.link().function().root().take_traffic();
        cycles += root_cycles(&mut card) - before;
        busy += found.counters.busy_cycles;
        inputs = if index == 0 { traffic } else { inputs };
        mismatches += usize::from(found.logits != expected.logits);
    }
    let before = root_cycles(&mut card);
    let streamed = card.infer_stream(images.all())?;
    let stream_cycles = root_cycles(&mut card) - before;
    for (index, found) in streamed.iter().enumerate() {
        let expected = executor.trace(images.image(index))?;
        mismatches += usize::from(found.logits != expected.logits);
    }
    let count = images.count() as f64;
    let simulated = root_cycles(&mut card) as f64;
    let report = Report {
        network: network.name.clone(),
        images: images.count(),
        mismatches,
        max_payload,
        max_request,
        weights: weights.0,
        inputs: input_efficiency(&program, images.image(0), &inputs, max_payload)?,
        to_card: to_card.0,
        to_host: to_host.1,
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

/// What `action` makes of the link to the card, and to the host.
fn measured(
    card: &mut Card,
    max_payload: u32,
    action: impl FnOnce(&mut Card) -> Result<(), driver::DriverError>,
) -> Result<(Efficiency, Efficiency), GenError> {
    card.link().function().root().take_traffic();
    action(card)?;
    let traffic = card.link().function().root().take_traffic();
    let reads = efficiency(traffic.read_bytes, &traffic, max_payload, COMPLETION_HEADER);
    let writes = efficiency(traffic.written_bytes, &traffic, max_payload, WRITE_HEADER);
    Ok((reads, writes))
}

fn efficiency(payload_bytes: u64, traffic: &Traffic, max_payload: u32, header: f64) -> Efficiency {
    let cycles = traffic.span.map_or(0, |(first, last)| last - first + 1);
    let payload = f64::from(max_payload);
    Efficiency {
        payload_bytes,
        cycles,
        payload_efficiency: payload_bytes as f64 / (cycles.max(1) as f64 * f64::from(STREAM_ALIGN)),
        bound: payload / (payload + header),
    }
}

/// An image's own bytes against all beats to the card that its run took: requests and registers of the driver count, too.
fn input_efficiency(
    program: &Program,
    image: &[u8],
    traffic: &Traffic,
    max_payload: u32,
) -> Result<Efficiency, GenError> {
    let payload_bytes: usize = program.inputs(image)?.iter().map(|segment| segment.bytes.len()).sum();
    let payload = payload_bytes as f64;
    let packets = (payload / f64::from(max_payload)).ceil();
    Ok(Efficiency {
        payload_bytes: payload_bytes as u64,
        cycles: traffic.rx_beats,
        payload_efficiency: payload / (traffic.rx_beats.max(1) as f64 * f64::from(STREAM_ALIGN)),
        bound: payload / (payload + packets * COMPLETION_HEADER),
    })
}

fn text(report: &Report) -> String {
    let line = |what: &str, of: &Efficiency| {
        format!(
            "{what:<28}{:>12} bytes in {:>9} beats: {} payload, headers leave {}\n",
            grouped(of.payload_bytes),
            grouped(of.cycles),
            percent(of.payload_efficiency),
            percent(of.bound)
        )
    };
    format!(
        "{}, payloads of {} bytes, reads of {}\n{}{}{}{}{} images, {} differ; {:.0} cycles an image, {:.0} of them on the core, {:.0} in a stream ({:.3} times as fast); {:.0} simulated cycles/s\n",
        report.network,
        report.max_payload,
        report.max_request,
        line("one stream to the card", &report.to_card),
        line("one stream to the host", &report.to_host),
        line("weights", &report.weights),
        line("inputs, of all beats", &report.inputs),
        report.images,
        report.mismatches,
        report.cycles_per_image,
        report.busy_cycles_per_image,
        report.streaming_cycles_per_image,
        report.streaming_speedup,
        report.cycles_per_second,
    )
}
