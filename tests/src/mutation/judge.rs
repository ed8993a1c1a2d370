//! The checks that a mutant runs against, cheapest first, until one finds it.

use crate::cosim::addresses::{every_address_bit_counts, refused_accesses_are_named};
use crate::cosim::campaign::{Worlds, random_networks_as_they_come};
use crate::cosim::malformed::{MALFORMED, every_shape_is_checked, malformed_descriptors, random_descriptors};
use crate::cosim::order::{late_layers_wait_too, reads_wait_for_writes};
use crate::cosim::spread::{networks_may_be_spread, strides_may_be_large};
use crate::cosim::{Cosim, checks, counters, recovery, rough_world, rows, shapes, walks, window};
use sim::SimOptions;

/// A check, with the name under which a report counts what it found.
pub type Check = (&'static str, fn(&Cosim) -> Result<(), String>);

/// Checks of a second or so: they find almost all mutants that can be found.
pub const QUICK: &[Check] = &[
    ("one network", |core| one_network(core, &SimOptions::default())),
    ("one network, stalls", |core| one_network(core, &rough_world(3))),
    ("networks", |core| random_networks_as_they_come(core, 0..40, Worlds::Mixed)),
    ("counters", counters::counters_count_one_run),
    ("interrupts", checks::interrupts_follow_their_enables),
    ("bad runs", recovery::bad_runs),
    ("events", |core| checks::events_follow_spikes(core, 0..12)),
    ("registers", checks::registers_hold_what_is_written),
    ("widest rows", rows::widest_rows),
    ("sparse rows", rows::sparse_rows),
    ("large offsets", window::offsets_may_be_large),
    ("large strides", strides_may_be_large),
    ("spread networks", |core| networks_may_be_spread(core, 0..24)),
    ("addresses", |core| every_address_bit_counts(core).map(drop)),
    ("named accesses", refused_accesses_are_named),
    ("shapes", |core| every_shape_is_checked(core).map(drop)),
    ("refusals", |core| malformed_descriptors(core, MALFORMED)),
];

/// The rest: for mutants that are neither found by the quick ones nor proven equivalent.
pub const THOROUGH: &[Check] = &[
    ("more networks", |core| random_networks_as_they_come(core, 1000..1160, Worlds::Mixed)),
    ("large networks", |core| shapes::networks_may_be_large(core, 0..24)),
    ("deep networks", |core| shapes::networks_may_be_deep(core, &[1100])),
    ("long counts", counters::counters_go_on),
    ("long waits", counters::waits_may_be_long),
    ("more events", |core| checks::events_follow_spikes(core, 12..60)),
    ("windows", walks::windows_of_every_size_and_shift),
    ("many windows", walks::windows_may_be_many),
    ("many tiles", walks::tiles_may_be_many),
    ("largest heads", rows::largest_heads),
    ("many writes", counters::write_beats_go_on),
    ("long runs", |core| shapes::networks_may_run_long(core, 0..12)),
    ("more spread networks", |core| networks_may_be_spread(core, 24..150)),
    ("order of many layers", |core| late_layers_wait_too(core, 1100)),
    ("slow writes", checks::slots_wait_for_the_memory),
    ("masks", checks::masked_spikes_cost_nothing),
    ("merging", |core| checks::merged_events_change_nothing(core, 0..4)),
    ("order", |core| reads_wait_for_writes(core, 0..20)),
    ("bus errors", |core| recovery::bus_errors(core, 997)),
    ("busy starts", |core| recovery::starts_while_busy(core, 0..2)),
    ("hard resets", |core| recovery::hard_resets(core, 0..2)),
    ("soft resets", |core| recovery::soft_resets(core, 0..6)),
    ("random descriptors", |core| random_descriptors(core, 0..6).map(drop)),
];

/// How a check found a mutant.
#[derive(Clone, Debug)]
pub struct Found {
    /// The check; `component …` or `proof …` if it is none of whole networks.
    pub check: String,
    /// What it said.
    pub how: String,
}

/// The first of the checks that does not pass.
pub fn first_to_fail(core: &Cosim, checks: &[Check]) -> Option<Found> {
    checks.iter().find_map(|(check, run)| Some(Found { check: (*check).to_owned(), how: run(core).err()? }))
}

fn one_network(core: &Cosim, world: &SimOptions) -> Result<(), String> {
    let bench = recovery::Bench::new();
    bench.compare(&mut bench.session(core, world)?)
}
