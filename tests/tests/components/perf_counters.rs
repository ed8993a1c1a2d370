//! `perf_counters`: each input is counted, and spikes by the number of lanes that transmit.

use hdl::core::perf_counters::perf_counters;
use tests::random::Random;

use crate::device::{Device, small_cores};

#[test]
fn a_count_is_two_cycles_late_and_spikes_four() {
    for count in isa::COUNTERS.iter().map(|counter| counter.signal()) {
        let (input, late) = if count == "spikes" { ("emit", 4) } else { (count.as_str(), 2) };
        let mut device = Device::new(&perf_counters(&small_cores()[0]).unwrap());
        device.set("transmitted", 1u64);
        device.pulse(input);
        for cycles in 1..8 {
            assert_eq!(
                device.is(&format!("count_{count}")),
                cycles > late,
                "{count} in cycle {}",
                cycles - 1
            );
            device.cycle();
        }
    }
}

#[test]
fn every_cycle_and_every_spike_is_counted_until_cleared() {
    // Inputs that count cycles; the output is `count_` and the name.
    let by_one: Vec<String> =
        isa::COUNTERS.iter().map(|counter| counter.signal()).filter(|name| name != "spikes").collect();
    for core in small_cores() {
        let mut device = Device::new(&perf_counters(&core).unwrap());
        let mut random = Random(1);
        for _ in 0..20 {
            let mut cycles = vec![0; by_one.len()];
            let mut spikes = 0;
            for _ in 0..random.size(0, 300) {
                for (name, count) in by_one.iter().zip(&mut cycles) {
                    let high = random.chance(1, 3);
                    device.set(name, high);
                    *count += u64::from(high);
                }
                let transmitted = random.bits() & random.bits() & ((1 << core.lanes) - 1);
                let emit = random.chance(1, 2);
                device.set("transmitted", transmitted);
                device.set("emit", emit);
                spikes += if emit { u64::from(transmitted.count_ones()) } else { 0 };
                device.cycle();
            }
            by_one.iter().map(String::as_str).chain(["emit"]).for_each(|name| device.set(name, false));
            // A count is two cycles late, spikes four.
            (0..4).for_each(|_| device.cycle());
            for (name, count) in by_one.iter().zip(cycles) {
                assert_eq!(device.get(&format!("count_{name}")), count, "{name}");
            }
            assert_eq!(device.get("count_spikes"), spikes);
            device.pulse("clear");
            (0..2).for_each(|_| device.cycle());
            let all = by_one.iter().map(String::as_str).chain(["spikes"]);
            let left = all.filter(|name| device.is(&format!("count_{name}")));
            assert_eq!(left.collect::<Vec<_>>(), [""; 0], "not cleared");
        }
    }
}
