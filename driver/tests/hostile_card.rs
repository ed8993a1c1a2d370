//! A card whose registers and DMA misbehave: every call ends before its deadline with a right answer or a typed error, nothing outside the
//! buffers is touched, and after a reset of a card that behaves again everything works.

mod faults_page;
#[allow(dead_code)]
#[path = "../../compile/tests/program/small.rs"]
mod small;

use driver::link::{Link, LinkError};
use driver::pcie::{Direction, Function, PcieError, PcieLink, PcieOptions, Stream};
use driver::{Accelerator, DriverError};
use faults_page::expect_rows;
use isa::pcie::{self, CARD_BASE, litepcie};
use sim::card::CardBuffer;
use sim::{Card, CardFunction, SoftCore};
use std::time::Duration;

const MEMORY: usize = 1 << 20;
/// What a stream may take.
const DEADLINE: Duration = Duration::from_millis(5);
/// Registers of the DMA reader and of the writer that take a descriptor.
const TABLE_WRITES: [u32; 2] =
    [litepcie::DMA_READER + litepcie::dma::TABLE_WRITE, litepcie::DMA_WRITER + litepcie::dma::TABLE_WRITE];
const DONE: [u32; 2] = [CARD_BASE + pcie::TO_CARD_DONE, CARD_BASE + pcie::TO_HOST_DONE];

/// What a card does that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mischief {
    /// Nothing.
    Behaves,
    /// Every register reads this.
    Reads(u32),
    /// Every register reads something else each time.
    ReadsRandom,
    /// One register reads this.
    Lies(u32, u32),
    /// One register reads something else each time.
    LiesAtRandom(u32),
    /// Descriptors get lost.
    NeverCompletes,
    /// The same, and the function's clock stands still.
    NeverCompletesAndStandsStill,
    /// Counts of bytes say that a stream is over before it is.
    CompletesEarly,
    /// Each descriptor is run twice.
    CompletesTwice,
    /// Counts of bytes go down with each read.
    CountsBackwards,
    /// Counts of bytes are beyond the length.
    CountsBeyond,
    /// The interrupt comes all the time.
    InterruptStorm,
    /// The interrupt never comes.
    InterruptLost,
    /// Addresses of descriptors have this bit turned over.
    Strays(u32),
    /// Every read gives all ones, writes go nowhere, nothing moves.
    Vanished,
    /// Every access fails.
    Fails,
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }
}

struct Hostile {
    card: CardFunction<SoftCore>,
    mischief: Mischief,
    /// Accesses until it begins.
    begins_in: u32,
    random: Random,
    counted: u32,
    stood_still: Duration,
}

impl Hostile {
    fn new(mischief: Mischief, begins_in: u32, seed: u64) -> Hostile {
        let card = CardFunction::new(Card::new(SoftCore::new(&small::tiny(), MEMORY).unwrap()));
        let stood_still = Duration::ZERO;
        Hostile { card, mischief, begins_in, random: Random(seed), counted: u32::MAX, stood_still }
    }

    fn access(&mut self) -> Result<Mischief, LinkError> {
        if self.begins_in > 0 {
            self.begins_in -= 1;
            return Ok(Mischief::Behaves);
        }
        match self.mischief {
            Mischief::Fails => Err(LinkError::transport("model", std::io::Error::other("no such device"))),
            mischief => Ok(mischief),
        }
    }

    fn behave(&mut self) {
        (self.mischief, self.begins_in) = (Mischief::Behaves, 0);
    }
}

impl Function for Hostile {
    type Buffer = CardBuffer;

    fn name(&self) -> &str {
        "hostile"
    }

    fn read(&mut self, offset: u32) -> Result<u32, LinkError> {
        let mischief = self.access()?;
        if mischief == Mischief::Vanished {
            self.card.wait(Duration::from_micros(1));
            return Ok(u32::MAX);
        }
        let honest = self.card.read(offset)?;
        let random = self.random.bits() as u32;
        let length = |link: &mut CardFunction<SoftCore>| link.read(offset - 4);
        Ok(match mischief {
            Mischief::Reads(value) => value,
            Mischief::ReadsRandom => random,
            Mischief::Lies(at, value) if at == offset => value,
            Mischief::LiesAtRandom(at) if at == offset => random,
            Mischief::CompletesEarly if DONE.contains(&offset) => length(&mut self.card)?,
            Mischief::CompletesEarly if offset == litepcie::MSI_VECTOR => u32::MAX,
            Mischief::CountsBeyond if DONE.contains(&offset) => honest.saturating_add(1 + random % 1000),
            Mischief::CountsBackwards if DONE.contains(&offset) => {
                self.counted = (self.counted / 2).min(15);
                self.counted
            }
            _ => honest,
        })
    }

    fn write(&mut self, offset: u32, value: u32) -> Result<(), LinkError> {
        let low =
            [litepcie::DMA_READER, litepcie::DMA_WRITER].map(|base| base + litepcie::dma::TABLE_VALUE_LOW);
        match self.access()? {
            Mischief::Vanished => Ok(()),
            Mischief::NeverCompletes | Mischief::NeverCompletesAndStandsStill
                if TABLE_WRITES.contains(&offset) =>
            {
                Ok(())
            }
            Mischief::CompletesTwice if TABLE_WRITES.contains(&offset) => {
                self.card.write(offset, value)?;
                self.card.write(offset, value)
            }
            Mischief::Strays(bit) if low.contains(&offset) => self.card.write(offset, value ^ 1 << bit),
            _ => self.card.write(offset, value),
        }
    }

    fn buffer(&mut self, bytes: usize, direction: Direction) -> Result<CardBuffer, LinkError> {
        self.card.buffer(bytes, direction)
    }

    fn wait_interrupt(&mut self, timeout: Duration) -> Result<bool, LinkError> {
        match self.access()? {
            Mischief::InterruptStorm => {
                self.card.wait_interrupt(Duration::from_micros(1))?;
                Ok(true)
            }
            Mischief::NeverCompletesAndStandsStill => {
                self.stood_still = self.card.clock();
                Ok(true)
            }
            Mischief::InterruptLost => {
                let end = self.card.clock() + timeout;
                while self.card.clock() < end {
                    self.card.wait_interrupt(end - self.card.clock())?;
                }
                Ok(false)
            }
            Mischief::Vanished => {
                self.card.wait(timeout);
                Ok(false)
            }
            _ => self.card.wait_interrupt(timeout),
        }
    }

    fn reset(&mut self) -> Result<(), LinkError> {
        self.access()?;
        self.card.reset()
    }

    fn clock(&self) -> Duration {
        if self.mischief == Mischief::NeverCompletesAndStandsStill {
            self.stood_still
        } else {
            self.card.clock()
        }
    }
}

fn options() -> PcieOptions {
    PcieOptions { buffer_bytes: 64 << 10, deadline: DEADLINE }
}

fn image(n: usize) -> Vec<u8> {
    (0..64).map(|i| (i * (n + 3) * 7 + n * 31) as u8).collect()
}

fn pattern(bytes: usize, seed: u64) -> Vec<u8> {
    (0..bytes as u64).map(|i| (i.wrapping_mul(seed | 1) >> 3) as u8).collect()
}

/// A card that behaved while it was opened and written to, and misbehaves from now on.
fn turned(mischief: Mischief) -> PcieLink<Hostile> {
    let mut link = PcieLink::open(Hostile::new(Mischief::Behaves, 0, 1), &options()).unwrap();
    link.write_memory(0, &pattern(100_000, 3)).unwrap();
    link.function().mischief = mischief;
    link
}

fn pcie_error(error: LinkError) -> PcieError {
    match error {
        LinkError::Transport { source, .. } => source.downcast_ref::<PcieError>().unwrap().clone(),
        other => panic!("{other}"),
    }
}

/// After a reset, a card that behaves holds what is written to it, and nothing around the buffers was ever touched.
fn recovers(link: &mut PcieLink<Hostile>) {
    link.function().behave();
    link.reset().unwrap();
    let data = pattern(70_001, 11);
    link.write_memory(5, &data).unwrap();
    let mut found = vec![0; data.len()];
    link.read_memory(5, &mut found).unwrap();
    assert_eq!(found, data);
    assert!(link.function().card.guards_intact());
}

#[test]
fn each_mischief_has_its_error() {
    use Mischief::*;
    let to_card = |mischief| pcie_error(turned(mischief).write_memory(0, &pattern(50_000, 7)).unwrap_err());
    let to_host = |mischief| pcie_error(turned(mischief).read_memory(0, &mut vec![0; 50_000]).unwrap_err());
    for endless in [NeverCompletes, NeverCompletesAndStandsStill] {
        for (error, stream) in [(to_card(endless), Stream::ToCard), (to_host(endless), Stream::ToHost)] {
            let PcieError::Stalled(stall) = &error else { panic!("{endless:?}: {error}") };
            assert_eq!((stall.stream, stall.taken, stall.descriptors, stall.bytes), (stream, 0, 4, 50_000));
            assert!(stall.waited >= DEADLINE && error.to_string().contains(stream.engine()), "{error}");
        }
    }
    for strays in [Strays(12), Strays(20), Strays(30)] {
        assert!(matches!(to_host(strays), PcieError::Damaged { stream: Stream::ToHost, .. }), "{strays:?}");
    }
    let refused = to_card(Strays(30)).to_string();
    assert!(refused.contains("refused by the IOMMU") && refused.contains("0 of 50000 bytes"), "{refused}");
    assert!(matches!(to_host(CompletesEarly), PcieError::Damaged { .. }));
    assert!(matches!(to_card(CountsBackwards), PcieError::Count { .. } | PcieError::Stalled(_)));
    assert!(matches!(to_card(CountsBeyond), PcieError::Count { .. }));
    assert!(matches!(to_host(CountsBeyond), PcieError::Count { .. }));
    for value in [0, u32::MAX, 0x1234_5678] {
        assert!(
            matches!(to_card(Reads(value)), PcieError::NotACard { .. }),
            "{value:x}: {}",
            to_card(Reads(value))
        );
        assert!(matches!(
            to_host(Reads(value)),
            PcieError::NotACard { .. } | PcieError::Count { .. } | PcieError::Stalled(_)
        ));
    }
    assert!(matches!(to_card(Vanished), PcieError::NotACard { found: u32::MAX }));
    let stalled = CARD_BASE + pcie::CARD_STATUS;
    let refused = to_card(Lies(stalled, pcie::card_status::TO_CARD_REFUSED));
    assert!(matches!(refused, PcieError::Refused { stream: Stream::ToCard, bytes: 50_000, .. }), "{refused}");
    assert!(matches!(to_card(Lies(CARD_BASE + pcie::TO_CARD_CRC, 7)), PcieError::Damaged { card: 7, .. }));
}

#[test]
fn each_mischief_is_reported_in_the_words_of_the_table() {
    use Mischief::*;
    let crc = Lies(CARD_BASE + pcie::TO_CARD_CRC, 7);
    let refuses = Lies(CARD_BASE + pcie::CARD_STATUS, pcie::card_status::TO_CARD_REFUSED);
    let rows = [
        ("BAR 0 reads as all ones", Reads(u32::MAX)),
        ("BAR 0 reads as zeros", Reads(0)),
        ("another design answers", Reads(0x1234_5678)),
        ("the card vanishes", Vanished),
        ("descriptors get lost", NeverCompletes),
        ("the same, and the clock stands still", NeverCompletesAndStandsStill),
        ("counts run backwards", CountsBackwards),
        ("counts go beyond the length", CountsBeyond),
        ("bus addresses are wrong in bit 30", Strays(30)),
        ("the checksum is wrong", crc),
        ("a stream is refused", refuses),
        ("every access fails", Fails),
    ]
    .map(|(name, mischief)| {
        let error = turned(mischief).write_memory(0, &pattern(50_000, 7)).unwrap_err();
        (name, error.to_string())
    });
    expect_rows(&rows);
}

#[test]
fn what_does_not_touch_the_data_does_not_spoil_them() {
    use Mischief::*;
    for harmless in [InterruptStorm, InterruptLost] {
        let mut link = turned(harmless);
        let data = pattern(90_000, 9);
        link.write_memory(1, &data).unwrap();
        let mut found = vec![0; data.len()];
        link.read_memory(1, &mut found).unwrap();
        assert_eq!(found, data, "{harmless:?}");
    }
}

#[test]
fn an_impossible_memory_is_no_card() {
    for bytes in [0, 100, 4097, (8 << 20) + 4096, u32::MAX] {
        let lies = Mischief::Lies(CARD_BASE + pcie::MEMORY_BYTES, bytes);
        let error = PcieLink::open(Hostile::new(lies, 0, 1), &options()).err().unwrap();
        assert_eq!(pcie_error(error), PcieError::MemoryBytes { found: bytes });
    }
}

fn any(random: &mut Random) -> Mischief {
    let value = [0, 1, u32::MAX, random.bits() as u32][random.below(4)];
    let card = pcie::REGISTERS[random.below(pcie::REGISTERS.len())].offset + CARD_BASE;
    let engine = [litepcie::DMA_READER, litepcie::DMA_WRITER][random.below(2)] + 4 * random.below(8) as u32;
    let register = [card, engine, litepcie::MSI_VECTOR, litepcie::PHY_BUS_MASTER_ENABLE][random.below(4)];
    match random.below(16) {
        0 => Mischief::Reads(value),
        1 => Mischief::ReadsRandom,
        2 | 3 => Mischief::Lies(register, value),
        4 => Mischief::LiesAtRandom(register),
        5 => Mischief::NeverCompletes,
        6 => Mischief::NeverCompletesAndStandsStill,
        7 => Mischief::CompletesEarly,
        8 => Mischief::CompletesTwice,
        9 => Mischief::CountsBackwards,
        10 => Mischief::CountsBeyond,
        11 => Mischief::InterruptStorm,
        12 => Mischief::InterruptLost,
        13 => Mischief::Strays(9 + random.below(23) as u32),
        14 => Mischief::Vanished,
        _ => Mischief::Fails,
    }
}

#[derive(Debug, Default)]
struct Outcome {
    right: usize,
    errors: usize,
}

/// Streams and images on a card that misbehaves from some access on; then it behaves, and a reset makes it work.
fn sequence(seed: u64, outcome: &mut Outcome) {
    let mut random = Random(seed << 32);
    let mischief = any(&mut random);
    let begins_in = random.below(400) as u32;
    let mut link = match PcieLink::open(Hostile::new(mischief, begins_in, seed), &options()) {
        Ok(link) => link,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            outcome.errors += 1;
            return;
        }
    };
    for call in 0..6 {
        let (at, bytes) = (random.below(200_000), 1 + random.below(100_000));
        let data = pattern(bytes, random.bits());
        let before = link.clock();
        let result = link.write_memory(at as u64, &data).and_then(|()| {
            let mut found = vec![0; bytes];
            link.read_memory(at as u64, &mut found)?;
            assert_eq!(found, data, "{mischief:?}, seed {seed}, call {call}");
            Ok(())
        });
        match result {
            Ok(()) => outcome.right += 1,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                outcome.errors += 1;
            }
        }
        // Two ranges of three streams each and four edges, each with two waits and a way back to rest.
        let took = link.clock().saturating_sub(before);
        assert!(took <= DEADLINE * 24, "{mischief:?}, seed {seed}, call {call} took {took:?}");
    }
    recovers(&mut link);
}

#[test]
fn a_hostile_card_gives_right_data_or_errors() {
    let mut outcome = Outcome::default();
    (0..60).for_each(|seed| sequence(seed, &mut outcome));
    assert!(outcome.right > 30 && outcome.errors > 30, "{outcome:?}");
}

#[test]
fn slow_a_thousand_hostile_cards_give_right_data_or_errors() {
    let mut outcome = Outcome::default();
    (1_000..2_000).for_each(|seed| sequence(seed, &mut outcome));
    println!("{outcome:?}");
    assert!(outcome.right > 500 && outcome.errors > 500, "{outcome:?}");
}

#[test]
fn an_accelerator_on_a_card_that_fails_recovers_with_a_reset_of_both() {
    let program = small::program();
    for mischief in [Mischief::NeverCompletes, Mischief::Strays(30), Mischief::Vanished, Mischief::Fails] {
        let link = PcieLink::open(Hostile::new(Mischief::Behaves, 0, 2), &options()).unwrap();
        let mut accelerator = Accelerator::open(link).unwrap();
        accelerator.load(&program).unwrap();
        let right = accelerator.infer(&image(1)).unwrap();
        accelerator.link().function().mischief = mischief;
        assert!(matches!(accelerator.infer(&image(2)), Err(DriverError::Link(_) | DriverError::Gone { .. })));
        accelerator.link().function().behave();
        accelerator.link().reset().unwrap();
        accelerator.reset().unwrap();
        accelerator.load(&program).unwrap();
        assert_eq!(accelerator.infer(&image(1)).unwrap(), right, "{mischief:?}");
    }
}
