//! `csr`: AXI4-Lite in any order of its channels, byte strobes, and registers as `isa::registers` has them.

use std::collections::BTreeMap;

use hdl::core::csr::csr;
use isa::registers::{self, Access, REGISTERS, control};
use isa::{CoreConfig, IDENTITY, VERSION};
use tests::random::Random;

use crate::device::{Device, small_cores};

/// Most cycles that a transfer may take with a host that is always ready.
const PATIENCE: u64 = 60;
const PULSES: [(&str, u32); 4] = [
    ("start", control::START),
    ("soft_reset", control::SOFT_RESET),
    ("clear_done", control::CLEAR_DONE),
    ("clear_counters", control::CLEAR_COUNTERS),
];

/// A payload on its way to the registers: once offered, it is offered until it is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Channel {
    #[default]
    Waiting,
    Offered,
    Taken,
}

impl Channel {
    /// Whether VALID is high in this cycle.
    fn offer(&mut self, now: bool) -> bool {
        if *self == Channel::Waiting && now {
            *self = Channel::Offered;
        }
        *self == Channel::Offered
    }

    fn answer(&mut self, ready: bool) {
        if *self == Channel::Offered && ready {
            *self = Channel::Taken;
        }
    }
}

/// How far a write or a read is.
#[derive(Debug, Default)]
struct Transfer {
    address: Channel,
    data: Channel,
    /// An answer that was not taken: it must stay as it is.
    kept: Option<u64>,
    done: bool,
}

struct Bench {
    device: Device,
    random: Random,
    /// What the registers that the host writes must hold.
    written: BTreeMap<u32, u32>,
    constants: BTreeMap<u32, u32>,
    /// What other modules drive, by offset: port and value.
    status: BTreeMap<u32, (String, u32)>,
    pulses: BTreeMap<&'static str, u32>,
}

impl Bench {
    fn new(core: &CoreConfig, seed: u64) -> Bench {
        let mut constants = BTreeMap::from([(registers::IDENTITY, IDENTITY), (registers::VERSION, VERSION)]);
        let sizes = [registers::CONFIG0, registers::CONFIG1, registers::CONFIG2, registers::CONFIG3];
        constants.extend(sizes.into_iter().zip(core.registers()));
        let of = |access| REGISTERS.iter().filter(move |r| r.access == access);
        let live = of(Access::ReadOnly).filter(|r| !constants.contains_key(&r.offset));
        Bench {
            device: Device::new(&csr(core).unwrap()),
            random: Random(seed),
            written: of(Access::ReadWrite).map(|r| (r.offset, 0)).collect(),
            status: live.map(|r| (r.offset, (r.name.to_lowercase(), 0))).collect(),
            pulses: BTreeMap::new(),
            constants,
        }
    }

    /// Changes what other modules drive.
    fn change_status(&mut self) {
        for (port, value) in self.status.values_mut() {
            *value = self.random.bits() as u32;
            self.device.set(port, *value);
        }
    }

    fn expected(&self, offset: u32) -> u32 {
        let at = offset & !3;
        let live = self.status.get(&at).map(|(_, value)| *value);
        let held = self.written.get(&at).or(self.constants.get(&at)).copied();
        live.or(held).unwrap_or(0)
    }

    /// A write with `strobe`, or a read, or both at once, each channel in its own time; returns what was read.
    fn transfer(&mut self, write: Option<(u32, u32, u8)>, read: Option<u32>) -> Option<u32> {
        let mut writing = Transfer { done: write.is_none(), ..Transfer::default() };
        let mut reading = Transfer { done: read.is_none(), ..Transfer::default() };
        let percent = self.random.pick(&[100, 50, 15]);
        let start = self.device.cycles();
        let mut value = None;
        self.pulses.clear();
        while !(writing.done && reading.done) {
            let (device, random) = (&mut self.device, &mut self.random);
            let mut chance = || random.chance(percent, 100);
            let address = writing.address.offer(write.is_some() && chance());
            let data = writing.data.offer(write.is_some() && chance());
            let read_address = reading.address.offer(read.is_some() && chance());
            let (b_ready, r_ready) = (chance(), chance());
            let (offset, word, strobe) = write.unwrap_or_default();
            let noise = random.bits();
            device.set("awvalid", address);
            device.set("awaddr", if address { offset.into() } else { noise });
            device.set("wvalid", data);
            device.set("wdata", if data { word.into() } else { noise });
            device.set("wstrb", if data { strobe.into() } else { noise });
            device.set("bready", b_ready);
            device.set("arvalid", read_address);
            device.set("araddr", if read_address { read.unwrap_or(0).into() } else { noise });
            device.set("rready", r_ready);
            device.cycle();
            for (pulse, _) in PULSES {
                *self.pulses.entry(pulse).or_default() += device.get(pulse) as u32;
            }
            writing.address.answer(device.is("awready"));
            writing.data.answer(device.is("wready"));
            reading.address.answer(device.is("arready"));
            let (response, answer) = (device.get("bresp"), device.get("rdata"));
            let complete = (writing.address, writing.data) == (Channel::Taken, Channel::Taken);
            writing.answer("B", device.is("bvalid").then_some(response), complete, b_ready);
            let complete = reading.address == Channel::Taken;
            reading.answer("R", device.is("rvalid").then_some(answer), complete, r_ready);
            assert_eq!((response, device.get("rresp")), (0, 0), "all responses are OKAY");
            value = value.or((reading.done && read.is_some()).then_some(answer as u32));
            assert!(device.cycles() - start < PATIENCE * 100 / percent, "{write:x?}, {read:x?}: no answer");
        }
        if let Some((offset, word, strobe)) = write {
            self.store(offset, word, strobe);
        }
        for port in ["awvalid", "wvalid", "arvalid", "bready", "rready"] {
            self.device.set(port, false);
        }
        value
    }

    fn store(&mut self, offset: u32, word: u32, strobe: u8) {
        if let Some(held) = self.written.get_mut(&(offset & !3)) {
            for byte in (0..4).filter(|byte| strobe >> byte & 1 == 1) {
                let mask = 0xff << (8 * byte);
                *held = *held & !mask | word & mask;
            }
        }
        let acts = offset & !3 == registers::CONTROL && strobe & 1 == 1;
        for (pulse, bit) in PULSES {
            let expected = u32::from(acts && word & bit != 0);
            assert_eq!(self.pulses[pulse], expected, "cycles of `{pulse}` for {word:x} at {offset:x}");
        }
    }

    /// The registers as other modules see them.
    fn check_outputs(&mut self) {
        self.device.cycle();
        for register in REGISTERS.iter().filter(|r| r.access == Access::ReadWrite) {
            let found = self.device.get(&register.name.to_lowercase()) as u32;
            assert_eq!(found, self.written[&register.offset], "{}", register.name);
        }
    }
}

impl Transfer {
    /// Looks at the answer channel of this cycle.
    fn answer(&mut self, channel: &str, answer: Option<u64>, complete: bool, ready: bool) {
        assert!(answer.is_none() || (complete && !self.done), "{channel}: an answer to nothing");
        if let Some(before) = self.kept {
            assert_eq!(answer, Some(before), "{channel}: an answer stays until it is taken");
        }
        self.kept = answer.filter(|_| !ready);
        self.done |= answer.is_some() && ready;
    }
}

/// A defined register, its neighbourhood, or anything.
fn random_offset(random: &mut Random) -> u32 {
    match random.size(0, 3) {
        0 => random.bits() as u32 & 0xfff,
        1 => random.pick(REGISTERS).offset + random.size(0, 3) as u32,
        _ => random.pick(REGISTERS).offset,
    }
}

#[test]
fn registers_answer_as_the_map_says() {
    for core in small_cores() {
        let mut bench = Bench::new(&core, 1);
        for _ in 0..2000 {
            let offset = random_offset(&mut bench.random);
            if bench.random.chance(1, 2) {
                let strobe = bench.random.pick(&[0xf, 0xf, 0, 1, 2, 4, 8, 3, 12]);
                let word = bench.random.bits() as u32;
                bench.transfer(Some((offset, word, strobe)), None);
                bench.check_outputs();
            } else {
                bench.change_status();
                let expected = bench.expected(offset);
                assert_eq!(bench.transfer(None, Some(offset)), Some(expected), "offset {offset:x}");
            }
        }
    }
}

#[test]
fn reads_and_writes_do_not_disturb_each_other() {
    let mut bench = Bench::new(&small_cores()[0], 2);
    for _ in 0..1000 {
        let (to, from) = (random_offset(&mut bench.random), random_offset(&mut bench.random));
        let before = bench.expected(from);
        let word = bench.random.bits() as u32;
        let found = bench.transfer(Some((to, word, 0xf)), Some(from));
        let after = bench.expected(from);
        assert!(found == Some(before) || found == Some(after), "{found:x?} at {from:x}");
    }
}

#[test]
fn a_second_write_may_come_before_the_first_is_answered() {
    let mut bench = Bench::new(&small_cores()[0], 3);
    for _ in 0..50 {
        let values = [bench.random.bits() as u32, bench.random.bits() as u32];
        let device = &mut bench.device;
        let mut answers = 0;
        for (offset, value) in [registers::SCRATCH, registers::DESCRIPTOR_BASE].into_iter().zip(values) {
            for (valid, payload, word, ready) in
                [("awvalid", "awaddr", offset, "awready"), ("wvalid", "wdata", value, "wready")]
            {
                device.set(payload, word);
                device.set("wstrb", 0xfu64);
                device.set(valid, true);
                device.cycle();
                while !device.is(ready) {
                    device.cycle();
                }
                device.set(valid, false);
            }
        }
        (0..5).for_each(|_| device.cycle());
        device.set("bready", true);
        for _ in 0..10 {
            device.cycle();
            answers += device.get("bvalid");
        }
        device.set("bready", false);
        assert_eq!(answers, 2, "answers to two writes");
        let found = ["scratch", "descriptor_base"].map(|port| device.get(port) as u32);
        assert_eq!(found, values);
    }
}
