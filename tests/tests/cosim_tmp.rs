//! t
use tests::cosim::Cosim;
use tests::cosim::campaign::in_parallel;
use tests::cosim::malformed::*;
#[test]
fn fz() {
    let cosim = Cosim::preset(&std::env::var("P").unwrap_or("tiny".into()));
    let from: u64 = std::env::var("F").map_or(0, |v| v.parse().unwrap());
    let n: u64 = std::env::var("N").map_or(100, |v| v.parse().unwrap());
    let seeds: Vec<u64> = (from..from + n).collect();
    let total = std::sync::Mutex::new([0u32; 3]);
    in_parallel(&seeds, |&s| {
        match random_descriptors(&cosim, s..s + 1) {
            Err(e) => eprintln!("{e}"),
            Ok(e) => {
                let mut t = total.lock().unwrap();
                t[0] += e.finished;
                t[1] += e.refused;
                t[2] += e.endless;
            }
        }
        Ok(())
    })
    .unwrap();
    eprintln!("{total:?}");
}
