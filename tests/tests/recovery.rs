//! r
use tests::cosim::Cosim;
use tests::cosim::malformed::*;
use tests::cosim::recovery::*;
#[test]
fn soft() {
    soft_resets(&Cosim::preset("tiny"), 0..std::env::var("N").map_or(50, |v| v.parse().unwrap())).unwrap();
}
#[test]
fn hard() {
    hard_resets(&Cosim::preset("tiny"), 0..50).unwrap();
}
#[test]
fn bus() {
    bus_errors(&Cosim::preset("tiny"), 97).unwrap();
}
#[test]
fn mal() {
    malformed_descriptors(&Cosim::preset("tiny"), MALFORMED).unwrap();
}
#[test]
fn fuzz() {
    println!(
        "{:?}",
        random_descriptors(
            &Cosim::preset("tiny"),
            1000..1000 + std::env::var("N").map_or(100, |v| v.parse().unwrap())
        )
        .unwrap()
    );
}
#[test]
fn busy() {
    starts_while_busy(&Cosim::preset("tiny"), 0..20).unwrap();
}
#[test]
fn badrun() {
    bad_runs(&Cosim::preset("tiny")).unwrap();
}
