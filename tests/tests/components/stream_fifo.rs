//! `stream_fifo` against a queue.

use std::collections::VecDeque;

use hdl::core::stream_fifo::stream_fifo;
use tests::random::Random;

use crate::device::Device;

const DEPTHS: [u32; 3] = [2, 4, 16];

struct Bench {
    device: Device,
    random: Random,
    queue: VecDeque<u64>,
    depth: usize,
}

impl Bench {
    fn new(depth: u32) -> Bench {
        let device = Device::new(&stream_fifo(40, depth).unwrap());
        Bench { device, random: Random(depth.into()), queue: VecDeque::new(), depth: depth as usize }
    }

    /// One cycle; returns whether a word was pushed.
    fn cycle(&mut self, push: bool, pop: bool, flush: bool) -> bool {
        let word = self.random.bits() & ((1 << 40) - 1);
        let device = &mut self.device;
        device.set("push_valid", push);
        device.set("push_data", word);
        device.set("pop_ready", pop);
        device.set("flush", flush);
        device.cycle();
        if pop && device.is("pop_valid") {
            assert_eq!(Some(device.get("pop_data")), self.queue.pop_front(), "lost, reordered or invented");
        }
        let pushed = push && device.is("push_ready");
        if pushed {
            self.queue.push_back(word);
        }
        if flush {
            self.queue.clear();
        }
        assert!(self.queue.len() <= self.depth + 4, "{} words in a FIFO of {}", self.queue.len(), self.depth);
        pushed
    }
}

#[test]
fn words_leave_in_order_and_none_is_lost() {
    for depth in DEPTHS {
        let mut bench = Bench::new(depth);
        for _ in 0..400 {
            let (push, pop) = (bench.random.pick(&[0, 20, 50, 100]), bench.random.pick(&[0, 20, 50, 100]));
            for _ in 0..bench.random.size(1, 60) {
                let [push, pop] = [push, pop].map(|percent| bench.random.chance(percent, 100));
                let flush = bench.random.chance(1, 200);
                bench.cycle(push, pop, flush);
            }
        }
        while !bench.queue.is_empty() {
            bench.cycle(false, true, false);
        }
        bench.cycle(false, true, false);
        assert!(!bench.device.is("pop_valid"), "a word that was never pushed");
    }
}

#[test]
fn depth_words_and_the_four_at_the_output_fit() {
    for depth in DEPTHS {
        let mut bench = Bench::new(depth);
        let pushed = (0..depth + 20).filter(|_| bench.cycle(true, false, false)).count();
        assert_eq!(pushed, depth as usize + 4);
    }
}

#[test]
fn a_full_fifo_is_ready_two_cycles_after_a_pop() {
    for depth in DEPTHS {
        let mut bench = Bench::new(depth);
        while bench.cycle(true, false, false) {}
        assert!(!bench.cycle(true, true, false), "ready depends on pop_ready in the same cycle");
        assert!(!bench.cycle(true, false, false), "ready before the memory has room");
        assert!(bench.cycle(true, false, false), "not ready after a pop");
    }
}

#[test]
fn a_word_a_cycle_goes_through() {
    for depth in DEPTHS {
        let mut bench = Bench::new(depth);
        for cycle in 0..100 {
            let pushed = bench.cycle(true, true, false);
            // A word is at the output in the third cycle after its push.
            assert!(pushed && (cycle < 3 || bench.device.is("pop_valid")), "depth {depth}, cycle {cycle}");
        }
    }
}

#[test]
fn a_flush_empties_it_whatever_else_happens() {
    for depth in DEPTHS {
        let mut bench = Bench::new(depth);
        for _ in 0..300 {
            for _ in 0..bench.random.size(0, 2 * depth as usize) {
                let [push, pop] = [70, 50].map(|percent| bench.random.chance(percent, 100));
                bench.cycle(push, pop, false);
            }
            let [push, pop] = [50, 50].map(|percent| bench.random.chance(percent, 100));
            bench.cycle(push, pop, true);
            bench.cycle(false, true, false);
            assert!(!bench.device.is("pop_valid"), "a word outlives the flush");
        }
    }
}

#[test]
fn a_depth_that_pointers_would_walk_past_is_refused() {
    for depth in [0, 1, 3, 6, 100] {
        let refusal = stream_fifo(40, depth).unwrap_err().to_string();
        assert!(refusal.contains("depth") && refusal.contains(&depth.to_string()), "{refusal}");
    }
}
