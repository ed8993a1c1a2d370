//! `cargo xtask formal`: the proofs of `hdl::formal`, by SymbiYosys.

mod report;
mod sby;
#[cfg(test)]
mod tests;

use crate::error::XtaskError;
use crate::setup::{FORMAL, setup};
use clap::Args;
use hdl::formal::{Planted, Proof, proofs};
use report::Outcome;

/// Which proofs run.
#[derive(Args, Debug)]
pub struct FormalArgs {
    /// Only proofs whose name contains this.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Plant each proof's bugs, one at a time; each must be found.
    #[arg(long)]
    planted: bool,
    /// Plant this bug instead: a file with `.v`, text that its logic has exactly once, and what replaces it; it must be found.
    #[arg(long, num_args = 3, value_names = ["FILE", "TEXT", "CHANGED"], conflicts_with = "planted")]
    bug: Option<Vec<String>>,
    /// Print one JSON document instead of text.
    #[arg(long)]
    json: bool,
}

/// Runs the proofs and their covers, or their planted bugs; fails if one does not end as it should.
pub fn formal(args: &FormalArgs) -> Result<(), XtaskError> {
    setup(&[&FORMAL])?;
    let wanted = |proof: &Proof| args.only.as_ref().is_none_or(|part| proof.name.contains(part.as_str()));
    let chosen: Vec<Proof> = proofs().into_iter().filter(wanted).collect();
    if chosen.is_empty() {
        let known = proofs().iter().map(|proof| proof.name).collect::<Vec<_>>().join(", ");
        return Err(XtaskError::NoProof { asked: args.only.clone().unwrap_or_default(), known });
    }
    let mut outcomes: Vec<Outcome> = Vec::new();
    for proof in &chosen {
        let found = match args.bug.as_deref() {
            Some([file, text, changed]) => vec![sby::finds(proof, "bug", &Planted { file, text, changed })?],
            _ if args.planted => sby::planted(proof)?,
            _ => vec![sby::prove(proof)?, sby::cover(proof)?],
        };
        for outcome in found {
            if !args.json {
                println!("{outcome}");
            }
            outcomes.push(outcome);
        }
    }
    if args.json {
        println!("{}", report::json(&outcomes));
    }
    let failed: Vec<String> = outcomes.iter().filter(|o| !o.passed).map(Outcome::title).collect();
    if failed.is_empty() { Ok(()) } else { Err(XtaskError::Proofs { failed: failed.join(", ") }) }
}
