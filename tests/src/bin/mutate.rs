//! `cargo xtask mutate`: judges mutants of `tiny`, sampled and chosen, and reports what became of them.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tests::cosim::campaign::in_parallel;
use tests::mutation::chosen::CHOSEN;
use tests::mutation::judge::{QUICK, THOROUGH};
use tests::mutation::options::{List, Options};
use tests::mutation::record::Record;
use tests::mutation::{Design, Mutant, Verdict};

/// Plants small errors in the core, sampled ones and ones chosen by hand, and counts those that the tests find.
#[derive(Parser)]
#[command(
    name = "cargo xtask mutate",
    after_help = "Exit code 1: fewer were caught than --at-least asks for. 2: it could not be done."
)]
struct Args {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    let args = Args::parse().options;
    let report = match judge_lists(&args) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    if args.json {
        println!("{report:#}");
    } else {
        LISTS.iter().filter_map(|list| report.get(list.name())).for_each(|list| print!("{}", text(list)));
    }
    for list in LISTS {
        let score = report[list.name()]["score"].as_f64().unwrap_or(100.0);
        if score < args.at_least {
            eprintln!(
                "error: {score:.1} % of the {} mutants are caught, {:.1} % must be (--at-least); the survivors above need a test each",
                list.name(),
                args.at_least
            );
            return ExitCode::from(1);
        }
    }
    ExitCode::SUCCESS
}

/// The lists, in the order in which they are judged.
const LISTS: [List; 2] = [List::Sampled, List::Chosen];

/// Judges the lists asked for, and reports each under its name.
fn judge_lists(args: &Options) -> Result<Value, String> {
    if args.list == List::Both && !args.only.is_empty() {
        return Err(
            "--only: each list has its own numbers; say of which, with --list sampled or --list chosen"
                .to_owned(),
        );
    }
    let mut reports = json!({ "core": "tiny" });
    for list in LISTS.into_iter().filter(|list| [*list, List::Both].contains(&args.list)) {
        let most = if list == List::Sampled { args.count } else { CHOSEN.len() as u32 };
        if let Some(number) = args.only.iter().find(|&&number| !(1..=most).contains(&number)) {
            return Err(format!("--only {number}: the {} mutants have the numbers 1 to {most}", list.name()));
        }
        reports[list.name()] = report(args, list, &judge(args, list, most)?);
    }
    Ok(reports)
}

/// Judges all mutants of a list, as many at a time as there are processors.
fn judge(args: &Options, list: List, count: u32) -> Result<Vec<(Mutant, Verdict)>, String> {
    let bar = ProgressBar::new(count.into());
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} mutants, {msg}  {elapsed}");
    bar.set_style(style.expect("the template is well-formed"));
    bar.set_message("compiling");
    let design = match list {
        List::Chosen => Design::chosen(1..=count)?,
        _ => Design::build(count, args.seed, &[])?,
    };
    bar.set_message("the design itself");
    design.baseline(&[QUICK, THOROUGH].concat())?;
    let record = Record::open(&design, args.fresh)?;
    let chosen = |mutant: &Mutant| args.only.is_empty() || args.only.contains(&mutant.number);
    let known = |mutant: &Mutant| args.only.is_empty().then(|| record.verdicts.get(&mutant.number)).flatten();
    let mut judged = Vec::new();
    let mut wanted = Vec::new();
    for mutant in design.mutants.iter().filter(|mutant| chosen(mutant)) {
        match known(mutant) {
            Some(verdict) => judged.push((mutant.clone(), verdict.clone())),
            None => wanted.push(mutant),
        }
    }
    bar.set_length((judged.len() + wanted.len()) as u64);
    bar.set_position(judged.len() as u64);
    let judged = Mutex::new(judged);
    in_parallel(&wanted, |&mutant| {
        let started = Instant::now();
        let verdict = design.judge(mutant)?;
        record.add(mutant, &verdict)?;
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

fn report(args: &Options, list: List, judged: &[(Mutant, Verdict)]) -> Value {
    let mut caught_by: BTreeMap<&str, u32> = BTreeMap::new();
    let (mut equivalent, mut survivors) = (Vec::new(), Vec::new());
    for (mutant, verdict) in judged {
        let described = || json!({ "number": mutant.number, "mode": mutant.mode, "module": mutant.module, "place": mutant.place, "source": mutant.source });
        match verdict {
            Verdict::Caught(found) => *caught_by.entry(&found.check).or_default() += 1,
            Verdict::Equivalent => equivalent.push(described()),
            Verdict::Survived => survivors.push(described()),
        }
    }
    let caught: u32 = caught_by.values().sum();
    let beside = |judge: &str| -> u32 {
        caught_by.iter().filter(|(check, _)| check.starts_with(judge)).map(|(_, count)| count).sum()
    };
    let (components, proofs) = (beside("component "), beside("proof "));
    let real = judged.len() - equivalent.len();
    let mut report = json!({
        "list": list.name(),
        "mutants": judged.len(),
        "caught": caught,
        "equivalent": equivalent.len(),
        "survivors": survivors.len(),
        "score": if real == 0 { 100.0 } else { 100.0 * f64::from(caught) / real as f64 },
        "caught_by": caught_by,
        "surviving": survivors,
    });
    if list == List::Chosen {
        let of_networks = caught - components - proofs;
        report["caught_in"] = json!({ "networks": of_networks, "components": components, "proofs": proofs });
    } else {
        report["seed"] = json!(args.seed);
        report["proven"] = json!(equivalent);
    }
    report
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
    let caught_in = report.get("caught_in").map_or(String::new(), |by| {
        format!(
            " ({} by networks, {} by components, {} by proofs)",
            by["networks"], by["components"], by["proofs"]
        )
    });
    text += &format!(
        "{} {} mutants: {} caught{caught_in}, {} equivalent, {} survivors; score {:.1} %\n",
        report["mutants"],
        report["list"].as_str().unwrap_or(""),
        report["caught"],
        report["equivalent"],
        report["survivors"],
        report["score"].as_f64().unwrap_or(0.0)
    );
    text
}
