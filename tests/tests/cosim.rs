//! Random networks: every spike of the Verilated core equals the reference's.

use tests::cosim::Cosim;
use tests::cosim::campaign::{Worlds, random_networks};
use model::*;
use tests::random_network::Case;

#[test]
fn random_networks_agree() {
    let total = random_networks(&Cosim::preset("tiny"), 0..200, Worlds::Mixed).unwrap();
    eprintln!("{total:?}");
}
#[test]
fn e() {
    random_networks(&Cosim::preset("ecp5"), 0..60, Worlds::Mixed).unwrap();
}
#[test]
fn p() {
    random_networks(&Cosim::preset("pcie"), 0..60, Worlds::Mixed).unwrap();
}
#[test]
fn ev() {
    let n: u64 = std::env::var("N").map_or(10, |v| v.parse().unwrap());
    let cosim = Cosim::preset("tiny");
    for seed in 0..n {
        let case = Case::random(seed, 1 + (seed % 8) as u32);
        let net = case.configure();
        let c = cosim.check(&net, &case.image, &sim::SimOptions::default()).unwrap();
        let trace = Executor::new(&net).trace(&case.image).unwrap();
        let work = model::work::work(&net, &case.image, &trace, cosim.core.lanes as usize, cosim.core.bus_bytes() as usize);
        let ev: u64 = work.iter().map(|w| w.events).sum();
        let nu: u64 = work.iter().map(|w| w.null_events).sum();
        eprintln!("{seed} T{} ev {} {ev}  null {} {nu} {} busy {} need {}", net.time_steps(), c.events, c.null_events, if ev == c.events {""} else {"XXX"}, c.busy_cycles, work.iter().map(|w| w.needed_cycles).sum::<u64>());
    }
}
