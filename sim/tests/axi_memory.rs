//! The memory behind the core: what it answers, and which broken rules it names.

use sim::axi::{
    Address, AxiMemory, Fault, FaultTarget, ManagerSignals, MemoryOptions, ReadData, Response, Stalls,
    WriteData,
};
use std::collections::HashMap;

const BASE: u64 = 0x4000_0000;
const LATENCY: u64 = 7;

fn options() -> MemoryOptions {
    MemoryOptions {
        base: BASE,
        bytes: 64 << 10,
        beat_bytes: 8,
        latency: LATENCY..=LATENCY,
        outstanding: 4,
        stalls: None,
        faults: Vec::new(),
    }
}

fn burst(id: u8, offset: u64, beats: u8) -> Address {
    Address { id, address: BASE + offset, len: beats - 1, size: 3, burst: 1 }
}

fn word(value: u64, last: bool) -> WriteData {
    let mut data = [0; 16];
    data[..8].copy_from_slice(&value.to_le_bytes());
    WriteData { data, strobe: 0xff, last }
}

fn value(data: &ReadData) -> u64 {
    u64::from_le_bytes(data.data[..8].try_into().unwrap())
}

/// A manager that keeps the rules: offers stay until they are accepted.
struct Manager {
    memory: AxiMemory,
    reads: Vec<Address>,
    writes: Vec<Address>,
    data: Vec<WriteData>,
    received: Vec<(u64, ReadData)>,
    responses: Vec<(u8, Response)>,
    cycle: u64,
}

impl Manager {
    fn new(options: MemoryOptions) -> Manager {
        Manager {
            memory: AxiMemory::new(options),
            reads: Vec::new(),
            writes: Vec::new(),
            data: Vec::new(),
            received: Vec::new(),
            responses: Vec::new(),
            cycle: 0,
        }
    }

    fn write(&mut self, id: u8, offset: u64, values: &[u64]) {
        self.writes.push(burst(id, offset, values.len() as u8));
        let last = values.len() - 1;
        self.data.extend(values.iter().enumerate().map(|(i, v)| word(*v, i == last)));
    }

    fn cycle(&mut self) {
        let signals = *self.memory.signals();
        let core = ManagerSignals {
            read_address: self.reads.first().copied(),
            write_address: self.writes.first().copied(),
            write_data: self.data.first().copied(),
            response_ready: true,
            read_ready: true,
        };
        self.memory.cycle(&core).unwrap();
        if core.read_address.is_some() && signals.read_address_ready {
            self.reads.remove(0);
        }
        if core.write_address.is_some() && signals.write_address_ready {
            self.writes.remove(0);
        }
        if core.write_data.is_some() && signals.write_data_ready {
            self.data.remove(0);
        }
        self.received.extend(signals.read_data.map(|data| (self.cycle, data)));
        self.responses.extend(signals.write_response.map(|b| (b.id, b.response)));
        self.cycle += 1;
    }

    /// Runs until everything was accepted and answered.
    fn finish(&mut self) {
        for _ in 0..20_000 {
            let answering = self.memory.signals().read_data.is_some();
            if self.reads.is_empty() && self.writes.is_empty() && self.memory.in_flight() == 0 && !answering {
                return;
            }
            self.cycle();
        }
        panic!("the memory does not finish");
    }
}

#[test]
fn without_stalls_a_beat_comes_every_cycle_after_the_latency() {
    let mut manager = Manager::new(options());
    manager.memory.bytes_mut()[..256].copy_from_slice(&std::array::from_fn::<u8, 256, _>(|i| i as u8));
    manager.reads = vec![burst(0, 0, 16), burst(1, 128, 16)];
    manager.finish();
    let cycles: Vec<u64> = manager.received.iter().map(|(cycle, _)| *cycle).collect();
    assert_eq!(cycles, (cycles[0]..cycles[0] + 32).collect::<Vec<_>>(), "32 beats without a gap");
    assert_eq!(cycles[0], 1 + LATENCY + 1, "accepted in cycle 1, driven from a register");
    assert_eq!(value(&manager.received[1].1), 0x0f0e_0d0c_0b0a_0908);
    let last: Vec<usize> = (0..32).filter(|i| manager.received[*i].1.last).collect();
    assert_eq!(last, [15, 31]);
}

#[test]
fn under_stalls_reads_interleave_but_keep_the_order_of_their_id() {
    let mut interleaved = 0;
    for seed in 0..20 {
        let stalls = Some(Stalls { seed, percent: 40 });
        let mut manager = Manager::new(MemoryOptions { stalls, latency: 1..=30, ..options() });
        for word in 0..512u64 {
            let at = word as usize * 8;
            manager.memory.bytes_mut()[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        manager.reads = (0..32).map(|i| burst((i % 2) as u8, i * 128, 16)).collect();
        manager.finish();
        let mut next: HashMap<u8, u64> = HashMap::from([(0, 0), (1, 16)]);
        let mut in_burst = None;
        for (_, data) in &manager.received {
            let expected = next.get_mut(&data.id).unwrap();
            assert_eq!(value(data), *expected, "seed {seed}, id {}", data.id);
            *expected += if data.last { 17 } else { 1 };
            interleaved += u32::from(in_burst.is_some_and(|id| id != data.id));
            in_burst = (!data.last).then_some(data.id);
        }
        assert_eq!(manager.received.len(), 512);
    }
    assert!(interleaved > 100, "{interleaved} changes of ID inside a burst");
}

#[test]
fn random_writes_leave_what_they_wrote() {
    for seed in 0..20 {
        let stalls = Some(Stalls { seed, percent: 30 });
        let mut manager = Manager::new(MemoryOptions { stalls, latency: 1..=20, ..options() });
        for i in 0..40u64 {
            let values: Vec<u64> = (0..1 + (i + seed) % 16).map(|beat| seed << 32 | i << 8 | beat).collect();
            manager.write((i % 2) as u8, i * 128, &values);
        }
        manager.finish();
        assert_eq!(manager.responses.len(), 40);
        for i in 0..40u64 {
            let at = i as usize * 128;
            let read = u64::from_le_bytes(manager.memory.bytes()[at..at + 8].try_into().unwrap());
            assert_eq!(read, seed << 32 | i << 8);
        }
    }
}

#[test]
fn strobes_choose_the_bytes() {
    let mut manager = Manager::new(options());
    manager.memory.bytes_mut()[..8].fill(0x11);
    manager.writes.push(burst(0, 0, 1));
    manager.data.push(WriteData { strobe: 0b0101_0000, ..word(u64::MAX, true) });
    manager.finish();
    assert_eq!(manager.memory.bytes()[..8], [0x11, 0x11, 0x11, 0x11, 0xff, 0x11, 0xff, 0x11]);
}

#[test]
fn a_write_becomes_visible_with_its_response() {
    let mut manager = Manager::new(options());
    manager.write(0, 0, &[7]);
    while manager.responses.is_empty() {
        let responding = manager.memory.signals().write_response.is_some();
        assert_eq!(manager.memory.bytes()[0], if responding { 7 } else { 0 });
        manager.cycle();
    }
}

#[test]
fn injected_errors_meet_their_beats_and_no_others() {
    let fault = |target, response| Fault { target, response };
    let faults = vec![
        fault(FaultTarget::ReadBeat(2), Response::SlaveError),
        fault(FaultTarget::ReadRange(64..65), Response::DecodeError),
        fault(FaultTarget::WriteRange(136..144), Response::SlaveError),
    ];
    let mut manager = Manager::new(MemoryOptions { faults, ..options() });
    manager.reads.push(burst(0, 0, 10));
    manager.write(0, 128, &[1, 2, 3]);
    manager.write(1, 256, &[4]);
    manager.finish();
    let read: Vec<Response> = manager.received.iter().map(|(_, data)| data.response).collect();
    let mut expected = [Response::Okay; 10];
    (expected[2], expected[8]) = (Response::SlaveError, Response::DecodeError);
    assert_eq!(read, expected);
    assert_eq!(manager.responses, [(0, Response::SlaveError), (1, Response::Okay)]);
    assert_eq!(
        manager.memory.bytes()[128..152].iter().filter(|b| **b != 0).count(),
        2,
        "the beat was not stored"
    );
    assert_eq!(manager.memory.beats(), (10, 4));
}

/// Runs the given cycles, and returns the violation that ends them.
fn violation(cycles: &[ManagerSignals]) -> String {
    let mut memory = AxiMemory::new(options());
    // The memory is ready from its second cycle on.
    for core in cycles {
        if let Err(violation) = memory.cycle(core) {
            return violation.to_string();
        }
    }
    panic!("no rule was broken");
}

fn reading(address: Address) -> ManagerSignals {
    ManagerSignals { read_address: Some(address), ..ManagerSignals::default() }
}

#[test]
fn an_offer_that_is_withdrawn_or_changed_is_named() {
    let idle = ManagerSignals::default();
    let message = violation(&[reading(burst(0, 0, 1)), idle]);
    assert!(message.contains("channel AR") && message.contains("A3.2.1"), "{message}");
    let message = violation(&[reading(burst(0, 0, 1)), reading(burst(1, 0, 1))]);
    assert!(message.contains("payload is stable"), "{message}");
    let data = |value| ManagerSignals { write_data: Some(word(value, true)), ..idle };
    let message = violation(&[data(1), data(2)]);
    assert!(message.contains("channel W"), "{message}");
}

#[test]
fn bad_addresses_are_named() {
    for (address, rule) in [
        (burst(0, 4096 - 64, 16), "4 KiB"),
        (burst(0, 4, 1), "multiples of the bus width"),
        (burst(0, 64 << 10, 1), "outside the memory window"),
        (Address { address: BASE - 8, ..burst(0, 0, 1) }, "outside the memory window"),
        (Address { size: 2, ..burst(0, 0, 1) }, "as wide as the bus"),
        (Address { burst: 2, ..burst(0, 0, 1) }, "INCR"),
    ] {
        let message = violation(&[reading(address), reading(address)]);
        assert!(message.contains(rule), "{message}");
    }
}

#[test]
fn a_misplaced_last_beat_is_named() {
    for (beats, last) in [(2, true), (1, false)] {
        let core = ManagerSignals {
            write_address: Some(burst(0, 0, beats)),
            write_data: Some(word(0, last)),
            ..ManagerSignals::default()
        };
        let message = violation(&[core, core]);
        assert!(message.contains("WLAST") && message.contains("A3.2.2"), "{message}");
    }
}

#[test]
fn an_offer_during_reset_is_named() {
    let mut memory = AxiMemory::new(options());
    let core = reading(burst(0, 0, 1));
    memory.reset(&core, false).unwrap();
    let message = memory.reset(&core, true).unwrap_err().to_string();
    assert!(message.contains("A3.1.2"), "{message}");
}
