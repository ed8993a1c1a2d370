//! `cargo xtask mutate`: judges sampled mutants of `tiny` and reports what became of them.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tests::cosim::campaign::in_parallel;
use tests::mutation::{Design, MOST, Mutant, Verdict};

/// Samples small errors in the core, plants them, and counts those that the tests find.
#[derive(Parser)]
#[command(
    name = "cargo xtask mutate",
    after_help = "Exit code 1: fewer were caught than --at-least asks for. 2: it could not be done."
)]
struct Args {
    /// Mutants to sample.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    count: u32,
    /// Seed of the sampling.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Judge only these of them, by number: after a test for a survivor was added.
    #[arg(long, value_name = "NUMBER", num_args = 1..)]
    only: Vec<u32>,
    /// Per cent of the mutants that are not equivalent which must be caught.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    at_least: f64,
    /// Print one JSON document instead of text.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let judged = match judge(&args) {
        Ok(judged) => judged,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let report = report(&args, &judged);
    if args.json {
        println!("{report:#}");
    } else {
        print!("{}", text(&report));
    }
    let score = report["score"].as_f64().unwrap_or(0.0);
    if score >= args.at_least {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "error: {score:.1} % are caught, {:.1} % must be (--at-least); the survivors above need a test each",
        args.at_least
    );
    ExitCode::from(1)
}

/// Judges all mutants, as many at a time as there are processors.
fn judge(args: &Args) -> Result<Vec<(Mutant, Verdict)>, String> {
    let bar = ProgressBar::new(args.count.into());
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} mutants, {msg}  {elapsed}");
    bar.set_style(style.expect("the template is well-formed"));
    bar.set_message("compiling");
    let design = Design::build(args.count, args.seed, &[])?;
    bar.set_message("the design itself");
    design.baseline()?;
    let judged = Mutex::new(Vec::new());
    let wanted = |mutant: &&Mutant| args.only.is_empty() || args.only.contains(&mutant.number);
    let wanted: Vec<&Mutant> = design.mutants.iter().filter(wanted).collect();
    bar.set_length(wanted.len() as u64);
    in_parallel(&wanted, |&mutant| {
        let started = Instant::now();
        let verdict = design.judge(mutant)?;
        if bar.is_hidden() {
            eprintln!("{}", line(mutant, &verdict, started.elapsed()));
        }
        let mut judged = judged.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        judged.push((mutant.clone(), verdict));
        bar.inc(1);
        bar.set_message(format!(
            "{} caught",
            judged.iter().filter(|(_, v)| matches!(v, Verdict::Caught(_))).count()
        ));
        Ok(())
    })?;
    bar.finish_and_clear();
    let mut judged = judged.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    judged.sort_by_key(|(mutant, _)| mutant.number);
    Ok(judged)
}

/// What a log says of a mutant.
fn line(mutant: &Mutant, verdict: &Verdict, took: Duration) -> String {
    let how = match verdict {
        Verdict::Caught(found) => format!("{}: {}", found.check, found.how.lines().next().unwrap_or("")),
        Verdict::Equivalent => "equivalent".to_owned(),
        Verdict::Survived => format!("SURVIVED: {}", mutant.source),
    };
    let Mutant { number, mode, module, place, .. } = mutant;
    format!("{number:4} {:5.1} s  {mode} {module} {place}: {how:.120}", took.as_secs_f64())
}

fn report(args: &Args, judged: &[(Mutant, Verdict)]) -> Value {
    let mut caught_by: BTreeMap<&str, u32> = BTreeMap::new();
    let (mut equivalent, mut survivors) = (Vec::new(), Vec::new());
    for (mutant, verdict) in judged {
        let described = || json!({ "number": mutant.number, "mode": mutant.mode, "module": mutant.module, "place": mutant.place, "source": mutant.source });
        match verdict {
            Verdict::Caught(found) => *caught_by.entry(found.check).or_default() += 1,
            Verdict::Equivalent => equivalent.push(described()),
            Verdict::Survived => survivors.push(described()),
        }
    }
    let caught: u32 = caught_by.values().sum();
    let real = judged.len() - equivalent.len();
    json!({
        "core": "tiny",
        "seed": args.seed,
        "mutants": judged.len(),
        "caught": caught,
        "equivalent": equivalent.len(),
        "survivors": survivors.len(),
        "score": if real == 0 { 100.0 } else { 100.0 * f64::from(caught) / real as f64 },
        "caught_by": caught_by,
        "surviving": survivors,
        "proven": equivalent,
    })
}

fn text(report: &Value) -> String {
    let mut text = String::new();
    for (check, number) in report["caught_by"].as_object().into_iter().flatten() {
        text += &format!("{check:22} {number:5} caught\n");
    }
    for survivor in report["surviving"].as_array().into_iter().flatten() {
        let of = |field: &str| survivor[field].as_str().unwrap_or("");
        text += &format!(
            "survivor {}: {} of {}.{}\n    {}\n",
            survivor["number"],
            of("mode"),
            of("module"),
            of("place"),
            of("source")
        );
    }
    text += &format!(
        "{} mutants: {} caught, {} equivalent, {} survivors; score {:.1} %\n",
        report["mutants"],
        report["caught"],
        report["equivalent"],
        report["survivors"],
        report["score"].as_f64().unwrap_or(0.0)
    );
    text
}
