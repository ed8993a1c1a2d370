//! Bad descriptors, bus errors and resets at any time: a clear error, no rule of the bus broken, no access outside the memory window, and
//! after a reset the next run is right to the last spike.

use isa::{ErrorCode, MAX_COUNT};
use tests::cosim::Cosim;
use tests::cosim::addresses::{every_address_bit_counts, refused_accesses_are_named};
use tests::cosim::malformed::{
    MALFORMED, Malformed, every_shape_is_checked, malformed_descriptors, random_descriptors,
};
use tests::cosim::recovery::{self, Part};
use tests::cosim::spread::{networks_may_be_spread, strides_may_be_large};
use tests::cosim::window;

fn tiny() -> Cosim {
    Cosim::preset("tiny")
}

fn holds(outcome: Result<(), String>) {
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn malformed_descriptors_are_refused_with_their_code_and_index() {
    holds(malformed_descriptors(&tiny(), MALFORMED));
}

#[test]
fn every_field_that_gives_a_shape_is_checked() {
    for preset in ["tiny", "ecp5"] {
        let refused =
            every_shape_is_checked(&Cosim::preset(preset)).unwrap_or_else(|error| panic!("{error}"));
        assert!(refused >= 400, "{preset}: {refused} descriptors were refused");
    }
}

#[test]
fn refused_accesses_are_named_by_their_address() {
    holds(refused_accesses_are_named(&tiny()));
    holds(refused_accesses_are_named(&Cosim::preset("ecp5")));
}

/// A read of no words would become a burst of 32 beats that nobody waits for.
#[test]
fn a_shortcut_with_more_tiles_than_words_is_refused() {
    let case = Malformed {
        what: "more tiles than words of a segment",
        part: Part::Shortcut,
        code: ErrorCode::BadShape,
        spoil: |d, _| (d.tiles, d.output_words) = (MAX_COUNT, MAX_COUNT),
        address: None,
    };
    holds(malformed_descriptors(&tiny(), &[case]));
}

#[test]
fn every_error_code_has_a_test() {
    // ReadError and WriteError below, as are StartWhileBusy and BadRun.
    use ErrorCode::{BadRun, ReadError, StartWhileBusy, WriteError};
    for code in ErrorCode::ALL {
        let elsewhere = [ReadError, WriteError, StartWhileBusy, BadRun].contains(code);
        assert!(elsewhere || MALFORMED.iter().any(|case| case.code == *code), "{code:?}");
    }
}

#[test]
fn every_bit_of_an_address_counts() {
    let used = every_address_bit_counts(&tiny()).unwrap_or_else(|error| panic!("{error}"));
    assert!(used >= 20, "addresses and strides that the network uses: {used} of 25");
}

#[test]
fn offsets_may_be_large() {
    holds(window::offsets_may_be_large(&tiny()));
}

#[test]
fn strides_may_be_large_too() {
    holds(strides_may_be_large(&tiny()));
    holds(networks_may_be_spread(&tiny(), 0..100));
    holds(networks_may_be_spread(&Cosim::preset("ecp5"), 0..20));
}

#[test]
fn bad_run_registers_are_refused() {
    holds(recovery::bad_runs(&tiny()));
}

#[test]
fn a_start_in_a_run_is_refused() {
    holds(recovery::starts_while_busy(&tiny(), 0..20));
}

#[test]
fn bus_errors_stop_the_run_and_a_reset_recovers() {
    holds(recovery::bus_errors(&tiny(), 97));
}

#[test]
fn random_descriptors_never_wedge_the_core() {
    let endings = random_descriptors(&tiny(), 0..100).unwrap_or_else(|error| panic!("{error}"));
    eprintln!("{endings:?}");
    assert!(endings.finished >= 20 && endings.refused >= 20 && endings.endless >= 3, "{endings:?}");
}

#[test]
fn resets_at_some_cycles_recover() {
    holds(recovery::soft_resets(&tiny(), 1000..1024));
    holds(recovery::hard_resets(&tiny(), 1000..1024));
}

#[test]
fn slow_bus_errors_at_every_seventh_beat_are_reported() {
    holds(recovery::bus_errors(&tiny(), 7));
    holds(recovery::bus_errors(&Cosim::preset("ecp5"), 29));
}

#[test]
fn slow_random_descriptors_never_wedge_the_core() {
    for preset in ["tiny", "ecp5"] {
        let endings = random_descriptors(&Cosim::preset(preset), 100..600);
        eprintln!("{preset}: {:?}", endings.unwrap_or_else(|error| panic!("{preset}: {error}")));
    }
}

#[test]
fn slow_soft_reset_at_any_cycle_recovers() {
    holds(recovery::soft_resets(&tiny(), 0..200));
    holds(recovery::soft_resets(&Cosim::preset("ecp5"), 0..200));
}

#[test]
fn slow_hard_reset_at_any_cycle_recovers() {
    holds(recovery::hard_resets(&tiny(), 0..200));
    holds(recovery::hard_resets(&Cosim::preset("ecp5"), 0..100));
}
