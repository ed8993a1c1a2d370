//! Options of `cargo xtask mutate`. The package `xtask` includes this file: it checks them before it fetches any tool, and passes them on.

use clap::{Args, ValueEnum};

/// The most mutants of one model: its input that selects one has 16 bits.
pub const MOST: u32 = 0xffff;

/// Which mutants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum List {
    /// A uniform sample of small errors.
    Sampled,
    /// Those chosen by hand, at the edges of the datapath.
    Chosen,
    /// Both, each with its own score.
    Both,
}

impl List {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            List::Sampled => "sampled",
            List::Chosen => "chosen",
            List::Both => "both",
        }
    }
}

/// What to judge, and how much of it must be caught.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Which mutants to judge.
    #[arg(long, value_enum, default_value_t = List::Both)]
    pub list: List,
    /// Errors to sample.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    pub count: u32,
    /// Seed of the sampling.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Judge only these of a list (--list), by number, whether or not they were judged before: after a test for a survivor was added.
    #[arg(long, value_name = "NUMBER", num_args = 1..)]
    pub only: Vec<u32>,
    /// Judge all of them again. Without it a run goes on where an earlier one of the same Verilog, count and seed was cut short.
    #[arg(long)]
    pub fresh: bool,
    /// Per cent of each list's mutants that make a difference which must be caught; exit code 1 if fewer are.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    pub at_least: f64,
    /// Print one JSON document instead of text.
    #[arg(long)]
    pub json: bool,
}

impl Options {
    /// The command line that gives these options.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut add = |name: &str, values: &[String]| {
            arguments.push(name.to_owned());
            arguments.extend_from_slice(values);
        };
        add("--list", &[self.list.name().to_owned()]);
        add("--count", &[self.count.to_string()]);
        add("--seed", &[self.seed.to_string()]);
        add("--at-least", &[self.at_least.to_string()]);
        if !self.only.is_empty() {
            let numbers: Vec<String> = self.only.iter().map(u32::to_string).collect();
            add("--only", &numbers);
        }
        for (name, given) in [("--fresh", self.fresh), ("--json", self.json)] {
            if given {
                add(name, &[]);
            }
        }
        arguments
    }
}
