//! Random networks: every spike of the Verilated core equals the reference's, and its counters say what it did.

use isa::CoreConfig;
use model::MaskRatio;
use sim::SimOptions;
use tests::cosim::campaign::{
    Worlds, in_parallel, many, networks_follow_each_other, networks_that_fit, random_networks,
};
use tests::cosim::order::{late_layers_wait_too, reads_wait_for_writes};
use tests::cosim::shapes::{networks_may_be_deep, networks_may_be_large, networks_may_run_long};
use tests::cosim::{Cosim, checks, counters, rows, walks};
use tests::random_network::Case;

/// The largest buffers, the widest membrane, and 16 lanes that take two beats a row.
fn large() -> Cosim {
    Cosim::new(CoreConfig {
        lanes: 16,
        bus_bits: 64,
        address_bits: 40,
        membrane_bits: 32,
        max_fan_in: 1024,
        weight_rows: 1024,
        bias_rows: 300,
        sum_rows: 100,
    })
}

/// The smallest buffers, and 16 lanes that take one beat a row.
fn small(membrane_bits: u32) -> Cosim {
    Cosim::new(CoreConfig {
        lanes: 16,
        bus_bits: 128,
        address_bits: 32,
        membrane_bits,
        max_fan_in: 64,
        weight_rows: 64,
        bias_rows: 16,
        sum_rows: 16,
    })
}

/// `ecp5` with room for the partial sums of as many time steps as random networks of `if` neurons run.
fn ecp5() -> Cosim {
    let ecp5 = CoreConfig::preset("ecp5").expect("a preset");
    Cosim::new(CoreConfig { sum_rows: 64, ..ecp5 })
}

fn holds(outcome: Result<(), String>) {
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn random_networks_agree_with_8_lanes() {
    holds(random_networks(&Cosim::preset("tiny"), 0..200, Worlds::Mixed).map(drop));
}

#[test]
fn random_networks_agree_with_32_lanes() {
    holds(random_networks(&ecp5(), 0..60, Worlds::Mixed).map(drop));
}

#[test]
fn random_networks_agree_with_64_lanes() {
    holds(random_networks(&Cosim::preset("pcie"), 0..60, Worlds::Mixed).map(drop));
}

#[test]
fn random_networks_agree_with_the_largest_buffers() {
    holds(random_networks(&large(), 0..60, Worlds::Mixed).map(drop));
}

#[test]
fn random_networks_agree_with_the_smallest_buffers_and_membranes() {
    for membrane_bits in [16, 17] {
        let fitting = networks_that_fit(&small(membrane_bits), 0..100);
        let fitting = fitting.unwrap_or_else(|error| panic!("{membrane_bits} bits: {error}"));
        assert!(fitting >= 20, "{fitting} networks fit");
    }
}

#[test]
fn networks_leave_nothing_behind_for_the_next() {
    let cosim = Cosim::preset("tiny");
    let groups: Vec<u64> = (0..4).collect();
    holds(in_parallel(&groups, |group| networks_follow_each_other(&cosim, 20 * group..20 * group + 20)));
}

#[test]
#[ignore = "a minute or two; for changes to the core"]
fn two_thousand_random_networks_agree() {
    let compared = many().map(|(core, seeds)| networks_that_fit(&Cosim::new(core), seeds));
    let compared = compared.map(|outcome| outcome.unwrap_or_else(|error| panic!("{error}")));
    assert!(compared.iter().sum::<usize>() >= 2000, "{compared:?}");
}

#[test]
fn a_window_of_14_by_14_tokens_is_the_whole_image() {
    let cosim = large();
    let seeds: Vec<u64> = (0..6).collect();
    holds(in_parallel(&seeds, |&seed| {
        let case = Case::one_window(seed, 14);
        let outcome = cosim.check(&case.configure(), &case.image, &Worlds::Mixed.of(seed));
        outcome.map(drop).map_err(|error| format!("{case:?}: {error}"))
    }));
}

#[test]
fn lanes_do_not_change_any_spike() {
    let cores = [Cosim::preset("tiny"), large(), ecp5(), Cosim::preset("pcie")];
    let seeds: Vec<u64> = (300..324).collect();
    holds(in_parallel(&seeds, |&seed| {
        let mut case = Case::random(seed, 3);
        case.options.mask = MaskRatio(128).into();
        let network = case.configure();
        for core in &cores {
            // One reference for all: the network, its masks included, knows nothing of lanes.
            core.check(&network, &case.image, &SimOptions::default())
                .map_err(|error| format!("{case:?}, {} lanes: {error}", core.core.lanes))?;
        }
        Ok(())
    }));
}

#[test]
fn reads_wait_for_the_writes_of_earlier_layers() {
    holds(reads_wait_for_writes(&Cosim::preset("tiny"), 0..400));
    holds(reads_wait_for_writes(&ecp5(), 0..40));
    holds(late_layers_wait_too(&Cosim::preset("tiny"), 1100));
}

#[test]
fn events_are_those_that_the_spikes_ask_for() {
    holds(checks::events_follow_spikes(&Cosim::preset("tiny"), 0..60));
    holds(checks::events_follow_spikes(&ecp5(), 0..40));
}

#[test]
fn merged_events_change_nothing_but_their_number() {
    holds(checks::merged_events_change_nothing(&Cosim::preset("tiny"), 0..40));
    holds(checks::merged_events_change_nothing(&ecp5(), 0..20));
}

#[test]
fn masked_spikes_cost_no_cycles() {
    holds(checks::masked_spikes_cost_nothing(&Cosim::preset("tiny")));
    holds(checks::masked_spikes_cost_nothing(&Cosim::preset("ecp5")));
}

#[test]
fn counters_count_one_run_and_are_cleared() {
    holds(counters::counters_count_one_run(&Cosim::preset("tiny")));
}

#[test]
fn counters_count_every_cycle_and_go_on_from_run_to_run() {
    holds(counters::counters_go_on(&Cosim::preset("tiny")));
    holds(counters::counters_go_on(&Cosim::preset("ecp5")));
    holds(counters::write_beats_go_on(&Cosim::preset("tiny")));
    holds(counters::waits_may_be_long(&Cosim::preset("tiny")));
}

#[test]
fn layers_may_walk_any_windows_and_have_many_tiles() {
    holds(walks::windows_of_every_size_and_shift(&Cosim::preset("tiny")));
    holds(walks::windows_may_be_many(&Cosim::preset("tiny")));
    holds(walks::tiles_may_be_many(&Cosim::preset("tiny")));
    holds(walks::windows_of_every_size_and_shift(&Cosim::preset("ecp5")));
}

#[test]
fn slots_wait_for_the_memory() {
    holds(checks::slots_wait_for_the_memory(&Cosim::preset("tiny")));
    holds(checks::slots_wait_for_the_memory(&Cosim::preset("ecp5")));
}

#[test]
fn interrupts_are_raised_on_done_and_on_error_only_when_enabled() {
    holds(checks::interrupts_follow_their_enables(&Cosim::preset("tiny")));
}

#[test]
fn registers_hold_what_is_written() {
    holds(checks::registers_hold_what_is_written(&Cosim::preset("tiny")));
}

#[test]
fn rows_may_be_as_wide_as_the_buffers() {
    holds(rows::widest_rows(&Cosim::preset("tiny")));
    holds(rows::widest_rows(&Cosim::preset("ecp5")));
    holds(rows::sparse_rows(&Cosim::preset("tiny")));
    holds(rows::sparse_rows(&Cosim::preset("ecp5")));
    holds(rows::largest_heads(&Cosim::preset("tiny")));
    holds(rows::largest_heads(&Cosim::preset("ecp5")));
}

#[test]
fn networks_may_be_long_or_wide_or_have_many_heads() {
    holds(networks_may_be_large(&Cosim::preset("tiny"), 0..60));
    holds(networks_may_run_long(&Cosim::preset("tiny"), 0..40));
    holds(networks_may_run_long(&ecp5(), 0..20));
}

#[test]
fn networks_may_have_a_thousand_layers() {
    holds(networks_may_be_deep(&Cosim::preset("tiny"), &[1100]));
}
