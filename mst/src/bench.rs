//! `mst bench`: images a second, one at a time and as a stream.

use crate::Cli;
use crate::error::MstError;
use crate::images::{ImageArgs, NetworkArgs};
use clap::Args;
use driver::{Planes, Program, ProgramOptions};
use model::Executor;
use serde::Serialize;
use std::time::Instant;

/// `mst bench`.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Images to classify, from the first of the data set on.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    images: u32,
    /// The network.
    #[command(flatten)]
    network: NetworkArgs,
    /// Where they are.
    #[command(flatten)]
    source: ImageArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    network: &'a str,
    images: usize,
    one_at_a_time_per_second: f64,
    stream_per_second: f64,
    /// Answers of the stream that are not the reference's.
    differ: usize,
}

/// Measures both ways on the same images, and compares the stream's answers with the reference.
pub fn bench(cli: &Cli, args: &BenchArgs) -> Result<(), MstError> {
    let mut network = args.network.read()?;
    let images = args.source.first(args.images as usize, &mut network)?;
    let mut accelerator = cli.place.open()?;
    let network = args.network.configure(&network, accelerator.core().membrane_bits)?;
    let memory_size = accelerator.window_size();
    let options = ProgramOptions { memory_size, planes: Planes::Reuse };
    let mut program = Program::compile(&network, accelerator.core(), &options)?;
    program.add_second_place(memory_size)?;
    accelerator.load(&program)?;
    let pixels = || images.iter().map(|image| image.pixels.as_slice());
    let started = Instant::now();
    accelerator.infer_batch(pixels())?;
    let alone = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let found = accelerator.infer_stream(pixels())?;
    let streamed = started.elapsed().as_secs_f64();
    let executor = Executor::new(&network);
    let mut differ = 0;
    for (image, found) in images.iter().zip(&found) {
        differ += usize::from(executor.classify(&image.pixels)?.logits != found.logits);
    }
    let count = images.len();
    let report = Report {
        network: &network.name,
        images: count,
        one_at_a_time_per_second: count as f64 / alone,
        stream_per_second: count as f64 / streamed,
        differ,
    };
    cli.print(&report, || {
        format!(
            "network `{}`, {count} images: {:.1} images/s one at a time, {:.1} images/s as a stream; {} of {count} identical to the \
             reference\n",
            report.network,
            report.one_at_a_time_per_second,
            report.stream_per_second,
            count - differ
        )
    })?;
    match differ {
        0 => Ok(()),
        differ => Err(MstError::Mismatch { differ, images: count }),
    }
}
