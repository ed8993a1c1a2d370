//! The proofs that take a few seconds, and that no planted bug has lost its text.

use super::sby;
use crate::setup::{FORMAL, setup};
use hdl::formal::{Proof, proofs};

/// Proofs of the ordinary tests.
const FAST: &[&str] = &["smallest_fifo", "mask_gate_proof", "csr_slave"];

fn proof(name: &str) -> Proof {
    proofs().into_iter().find(|proof| proof.name == name).unwrap_or_else(|| panic!("no proof `{name}`"))
}

fn holds(proof: &Proof) {
    for outcome in [sby::prove(proof).unwrap(), sby::cover(proof).unwrap()] {
        assert!(outcome.passed, "{outcome}");
    }
}

fn finds_its_bugs(proof: &Proof) {
    for outcome in sby::planted(proof).unwrap() {
        assert!(outcome.passed, "{outcome}");
    }
}

#[test]
fn every_planted_bug_has_its_place() {
    for proof in proofs() {
        for bug in proof.planted {
            assert!(proof.with_bug(bug).unwrap().is_some(), "{}: `{}` in {}", proof.name, bug.text, bug.file);
        }
    }
}

#[test]
fn small_proofs_hold_and_find_their_bugs() {
    setup(&[&FORMAL]).unwrap();
    for name in FAST {
        holds(&proof(name));
        finds_its_bugs(&proof(name));
    }
}

#[test]
fn slow_every_proof_holds() {
    setup(&[&FORMAL]).unwrap();
    proofs().iter().for_each(holds);
}

#[test]
fn slow_every_planted_bug_is_found() {
    setup(&[&FORMAL]).unwrap();
    proofs().iter().for_each(finds_its_bugs);
}
