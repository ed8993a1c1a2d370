//! What a reader looks for first: accuracy, cycles, images a second.

use super::NO_ACCURACY;
use super::grids::Subject;
use super::page::{Headline, KeyFigure};
use crate::cli::CoreArgs;
use crate::core_work::CoreWork;
use crate::error::GenError;
use crate::evaluation::Evaluation;
use crate::screen::{count, grouped, percent, percent_or_dash};
use clap::Args;
use isa::CoreConfig;

/// What stands where there is no figure.
const NONE: &str = "–";

/// The core that cycles and speed are told for.
#[derive(Args, Debug)]
pub struct SpeedArgs {
    /// Its sizes.
    #[command(flatten)]
    core: CoreArgs,
    /// Clock that images a second are told for, in MHz [default: 75, what the ULX3S board reaches]
    #[arg(
        long,
        value_name = "MHZ",
        default_value_t = 75.0,
        hide_default_value = true,
        help_heading = "Core"
    )]
    clock: f64,
}

/// A core and its clock.
pub struct Speed {
    /// The core.
    pub core: CoreConfig,
    /// In MHz.
    clock: f64,
}

impl SpeedArgs {
    /// The core and its clock, checked.
    pub fn speed(&self) -> Result<Speed, GenError> {
        let core = self.core.config()?;
        if !(0.001..=10_000.0).contains(&self.clock) {
            let (found, allowed) = (self.clock.to_string(), "0.001..=10000 MHz".to_owned());
            return Err(GenError::Option { option: "--clock", found, allowed });
        }
        Ok(Speed { core, clock: self.clock })
    }
}

/// The figures of a network on a core.
pub fn headline(
    subject: &Subject<'_>,
    evaluation: &Evaluation,
    work: &Result<CoreWork, String>,
    speed: &Speed,
) -> Headline {
    let core = &speed.core;
    let float = match subject.float_accuracy {
        Ok(accuracy) => {
            figure("float accuracy", percent(accuracy), "the network that it was converted from".to_owned())
        }
        Err(reason) => figure("float accuracy", NONE.to_owned(), reason.to_owned()),
    };
    let sizes = format!("{} lanes, {}-bit bus", core.lanes, core.bus_bits);
    let (cycles, rate) = match work {
        Ok(work) => (
            figure(
                "cycles an image, at least",
                grouped(work.cycles),
                format!(
                    "what the spikes of {} need on {sizes}, on average; “gen cosim” measures what the core takes",
                    count(work.images, "image")
                ),
            ),
            figure(
                "images a second, at most",
                grouped((speed.clock * 1e6 / work.cycles.max(1) as f64) as u64),
                format!("at {} MHz, from these cycles; transfers not counted", speed.clock),
            ),
        ),
        Err(reason) => (
            figure("cycles an image", NONE.to_owned(), format!("{sizes}: {reason}")),
            figure("images a second", NONE.to_owned(), "the core does not run it".to_owned()),
        ),
    };
    let correct = match evaluation.correct {
        Some(correct) => format!(
            "{} of {}, T = {}: bit by bit what the core computes",
            grouped(correct as u64),
            count(evaluation.images, "image"),
            subject.time_steps
        ),
        None => NO_ACCURACY.to_owned(),
    };
    let figures =
        vec![figure("integer accuracy", percent_or_dash(evaluation.accuracy), correct), float, cycles, rate];
    Headline { network: subject.name().to_owned(), figures }
}

fn figure(label: &'static str, value: String, note: String) -> KeyFigure {
    KeyFigure { label, value, note }
}
