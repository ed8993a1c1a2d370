//! The synthesised netlist does what the reference does, spike for spike: what Yosys makes of the core is still the core.

use sim::SimOptions;
use tests::cosim::campaign::{Worlds, random_networks_as_they_come};
use tests::cosim::recovery::Bench;
use tests::cosim::rough_world;
use tests::gate_level::{faults, netlist, with_fault};

#[test]
fn slow_gate_level_netlist_agrees_with_the_reference() {
    let netlist = netlist().unwrap_or_else(|error| panic!("{error}"));
    let bench = Bench::new();
    for world in [SimOptions::default(), rough_world(1)] {
        let session = bench.session(&netlist, &world);
        session.and_then(|mut session| bench.compare(&mut session)).unwrap_or_else(|error| panic!("{error}"));
    }
    random_networks_as_they_come(&netlist, 0..4, Worlds::Mixed).unwrap_or_else(|error| panic!("{error}"));

    for kind in faults() {
        let found = kind.iter().any(|&fault| {
            let netlist = with_fault(&netlist, fault).unwrap_or_else(|error| panic!("{error}"));
            let session = bench.session(&netlist, &SimOptions::default());
            let outcome = session.and_then(|mut session| bench.compare(&mut session));
            eprintln!("{fault:?}: {outcome:?}");
            outcome.is_err()
        });
        assert!(found, "not found: {kind:?}");
    }
}
