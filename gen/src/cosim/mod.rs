//! `gen cosim`: images on the generated core and on the reference, spike by spike.

mod compare;
mod layers;
mod part;
mod report;
mod workers;

use crate::cli::{CosimArgs, SimulationArgs};
use crate::error::GenError;
use crate::evaluation::matching;
use crate::files;
use crate::inputs::{self, Loaded, neuron_name};
use crate::screen::{Format, bar, print, print_json, spinner};
use compare::{Profiling, Setup};
use compile::ProgramOptions;
use indicatif::ProgressBar;
use isa::program::Planes;
use isa::{CoreConfig, PAGE};
use model::Executor;
use part::Part;
use report::{Heading, Report};
use sim::axi::Stalls;
use sim::{LARGEST_MEMORY, SimOptions, Tracing, Verilated};
use std::time::{Duration, Instant};
use workers::Workers;

/// With `--stalls`, percentage of cycles in which a channel stalls.
const STALL_PERCENT: u8 = 30;

/// Runs the comparison and reports.
pub fn cosim(args: &CosimArgs, format: Format) -> Result<(), GenError> {
    if let Some(trace) = &args.simulation.trace {
        inputs::refuse_inputs("--trace", trace, &args.network, &args.source)?;
    }
    args.network.check_core_steps()?;
    let core = args.core.config()?;
    let (Loaded { configured: network, .. }, images) = inputs::network_and_images(
        &args.network,
        core.membrane_bits,
        &args.source,
        inputs::Count::of(args.images, 3),
    )?;
    let options = ProgramOptions { memory_size: LARGEST_MEMORY, planes: Planes::Keep };
    let layers = args.layers.as_deref().map(|text| part::layers(text, &network)).transpose()?;
    let mut program = compile::compile(&network, &core, &options)?;
    if args.simulation.step_by_step {
        program.walk_step_by_step();
    }
    let memory_bytes = program.total_bytes.next_multiple_of(PAGE) as usize;
    let part = match layers.clone() {
        Some(layers) => Part::of(&network, program, layers),
        None => Part::whole(program),
    };
    let jobs = jobs(&args.simulation, images.count())?;

    let trace = args.simulation.trace.as_deref().map(files::External::new).transpose()?;
    let (verilated, build) = build(&core, args.core.preset(), &args.simulation)?;
    let heading = Heading {
        network: network.name.clone(),
        time_steps: network.time_steps(),
        neuron: neuron_name(&network),
        mask: inputs::mask(&network),
        seed: network.seed,
        preset: args.core.preset(),
        core: core.clone(),
        events: if args.simulation.step_by_step { "step by step" } else { "merged" },
        layers_run: layers.map(|layers| layers.map(|index| network.layers[index].name.clone()).collect()),
        stalls: args.simulation.stalls,
        class_names: network.class_names.clone(),
        jobs,
        build_seconds: build.as_secs_f64(),
    };
    let setup = Setup {
        core: &core,
        executor: Executor::new(&network),
        network: &network,
        part: &part,
        verilated: &verilated,
        options: SimOptions {
            memory_bytes,
            stalls: args.simulation.stalls.map(|seed| Stalls { seed, percent: STALL_PERCENT }),
            trace: trace.as_ref().map(files::External::partial),
            ..SimOptions::default()
        },
        profiling: if args.simulation.per_layer { Profiling::PerLayer } else { Profiling::None },
    };
    let workers = Workers { setup: &setup, images: &images, jobs, keep_going: args.simulation.keep_going };
    let correct = matching(images.labels().as_deref(), &[], &network).filter(|_| part.has_readout());
    let outcome = compare_all(&workers, Report::new(heading, correct), format);
    // A trace is complete when the simulation ended by itself, also when the core failed: then it is what shows why.
    if let (Some(trace), Ok(_) | Err(GenError::Core { .. })) = (trace, &outcome) {
        trace.settle()?;
    }
    finish(&outcome?, format)
}

/// How many images are simulated at the same time.
fn jobs(args: &SimulationArgs, images: usize) -> Result<usize, GenError> {
    match (&args.trace, args.jobs) {
        (Some(_), Some(jobs)) if jobs > 1 => {
            let allowed = "1 with --trace: one file holds one simulation".to_owned();
            Err(GenError::Option { option: "--jobs", found: jobs.to_string(), allowed })
        }
        (Some(_), _) => Ok(1),
        (None, Some(jobs)) => Ok(usize::from(jobs).min(images)),
        (None, None) => Ok(std::thread::available_parallelism().map_or(1, usize::from).min(images)),
    }
}

/// Compiles the core or finds it in the cache.
fn build(core: &CoreConfig, preset: &str, args: &SimulationArgs) -> Result<(Verilated, Duration), GenError> {
    let tracing = if args.trace.is_some() { Tracing::Fst } else { Tracing::None };
    let progress = spinner(format!("compiling core {preset} with {} lanes", core.lanes));
    let started = Instant::now();
    let top = hdl::core::mst_core(core)?;
    let verilated = Verilated::build(&top, tracing)?;
    progress.finish_and_clear();
    Ok((verilated, started.elapsed()))
}

/// Runs the workers; prints each image as soon as it is compared, in order.
fn compare_all(workers: &Workers<'_>, mut report: Report, format: Format) -> Result<Report, GenError> {
    let progress = bar("cosimulation", workers.images.count());
    let show = |text: &str| match format {
        Format::Json => Ok(()),
        Format::Text => print_beside(&progress, text),
    };
    show(&report.heading.text())?;
    let started = Instant::now();
    let outcome = workers.run(|image| {
        progress.inc(1);
        show(&image.text(&report.heading))?;
        report.add(image);
        Ok(())
    });
    progress.finish_and_clear();
    outcome?;
    report.close(started.elapsed());
    Ok(report)
}

fn print_beside(progress: &ProgressBar, text: &str) -> Result<(), GenError> {
    progress.suspend(|| print(text))
}

fn finish(report: &Report, format: Format) -> Result<(), GenError> {
    match format {
        Format::Json => print_json(report)?,
        Format::Text => print(&report.text())?,
    }
    match report.mismatches() {
        0 => Ok(()),
        mismatches => Err(GenError::Mismatch { mismatches, images: report.images() }),
    }
}
