//! c
use tests::cosim::Cosim;
use tests::cosim::checks::*;
#[test]
fn ev() {
    events_follow_spikes(&Cosim::preset("tiny"), 0..200).unwrap();
    events_follow_spikes(&Cosim::preset("ecp5"), 0..60).unwrap();
}
#[test]
fn me() {
    merged_events_change_nothing(&Cosim::preset("tiny"), 0..200).unwrap();
    merged_events_change_nothing(&Cosim::preset("ecp5"), 0..60).unwrap()
}
#[test]
fn ma() {
    masked_spikes_cost_nothing(&Cosim::preset("tiny")).unwrap();
    masked_spikes_cost_nothing(&Cosim::preset("ecp5")).unwrap();
}
#[test]
fn co() {
    counters_count_one_run(&Cosim::preset("tiny")).unwrap();
}
#[test]
fn irq() {
    interrupts_follow_their_enables(&Cosim::preset("tiny")).unwrap();
}
