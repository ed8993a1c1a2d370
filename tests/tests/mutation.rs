//! A sample of mutants, and some of those chosen by hand: that the harness finds what is known to be an error, proves nothing wrong, and
//! that the checks are still good.
//! `cargo xtask mutate` judges hundreds.

use tests::cosim::campaign::in_parallel;
use tests::mutation::chosen::CHOSEN;
use tests::mutation::judge::{QUICK, THOROUGH, first_to_fail};
use tests::mutation::{Design, Mutant, Verdict};

/// Mutants of the sample.
const SAMPLE: u32 = 8;
/// Modules of which the first chosen mutant is judged.
const EDGES: [&str; 6] =
    ["if_neuron", "neuron_control", "token_walker", "spike_packer", "descriptor_check", "perf_counters"];
/// How many of them that are not equivalent must be caught, per cent: a floor that a sample so small stays above, not the score.
const FLOOR: usize = 60;
/// Wires whose inversion is an error.
const ERRORS: &[(&str, &str)] = &[
    ("if_neuron", "fired"),
    ("dma_write", "wlast"),
    ("lfsr_mask_gate", "transmitted"),
    ("run_control", "irq"),
];

#[test]
fn slow_a_sample_of_mutants_is_caught() {
    let design = Design::build(SAMPLE, 1, ERRORS).unwrap_or_else(|error| panic!("{error}"));
    // The quick checks alone: a mutant that they do not find takes the others minutes.
    design.baseline(QUICK).unwrap_or_else(|error| panic!("{error}"));

    let (sampled, errors) = design.mutants.split_at(SAMPLE as usize);
    for error in errors {
        let found = first_to_fail(&design.core(error.number), QUICK);
        assert!(found.is_some(), "not caught: {} of {}.{}", error.mode, error.module, error.place);
        let proven = design.equivalent(error).unwrap_or_else(|error| panic!("{error}"));
        assert!(!proven, "proven equivalent: {} of {}.{}", error.mode, error.module, error.place);
    }

    let verdicts = std::sync::Mutex::new(Vec::new());
    let judged = in_parallel(sampled, |mutant| {
        let verdict = match (first_to_fail(&design.core(mutant.number), QUICK), design.equivalent(mutant)?) {
            (Some(_), true) => {
                let Mutant { mode, module, place, .. } = mutant;
                return Err(format!("caught, and proven equivalent: {mode} of {module}.{place}"));
            }
            (Some(found), false) => Verdict::Caught(found),
            (None, true) => Verdict::Equivalent,
            (None, false) => Verdict::Survived,
        };
        eprintln!("{} of {}.{}: {verdict:?}", mutant.mode, mutant.module, mutant.place);
        verdicts.lock().unwrap().push(verdict);
        Ok(())
    });
    judged.unwrap_or_else(|error| panic!("{error}"));
    let verdicts = verdicts.into_inner().unwrap();
    let count = |wanted: fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| wanted(verdict)).count();
    let caught = count(|verdict| matches!(verdict, Verdict::Caught(_)));
    let equivalent = count(|verdict| matches!(verdict, Verdict::Equivalent));
    let real = sampled.len() - equivalent;
    assert!(100 * caught >= FLOOR * real, "{caught} of {real} mutants that are not equivalent were caught");
}

#[test]
fn slow_chosen_mutants_are_caught() {
    let first = |module: &&str| CHOSEN.iter().position(|mutant| mutant.module == *module).unwrap() as u32 + 1;
    let design = Design::chosen(EDGES.iter().map(first)).unwrap_or_else(|error| panic!("{error}"));
    let judged = in_parallel(&design.mutants, |mutant| {
        let core = design.core(mutant.number);
        let checks = [QUICK, THOROUGH].concat();
        let Mutant { number, module, place, .. } = mutant;
        let found =
            first_to_fail(&core, &checks).ok_or(format!("not caught: {number}, {place} of {module}"))?;
        eprintln!("{place} of {module}: {}", found.check);
        Ok(())
    });
    judged.unwrap_or_else(|error| panic!("{error}"));
}
