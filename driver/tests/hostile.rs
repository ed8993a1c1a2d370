//! A device that misbehaves: every call ends before its deadline with a right answer or a typed error, never with a panic, and the
//! device works again once it behaves and was reset.

#[allow(dead_code)]
#[path = "../../compile/tests/program/small.rs"]
mod small;

use driver::link::{Link, LinkError};
use driver::{Accelerator, DriverError, Fleet, FleetError, Inference};
use isa::program::Program;
use isa::registers::{self, control, status};
use sim::SoftCore;
use std::sync::LazyLock;
use std::time::Duration;

const MEMORY: usize = 1 << 20;
/// What one access takes on the device's clock.
const ACCESS: Duration = Duration::from_micros(1);
/// What a run or a reset may take.
const DEADLINE: Duration = Duration::from_millis(2);
/// What `Accelerator::open` allows a reset, and the accesses around it.
const OPENING: Duration = Duration::from_millis(2_100);
/// Accesses of one call beside the waiting.
const ACCESSES: u32 = 200;

static PROGRAM: LazyLock<Program> = LazyLock::new(small::program);
static IMAGES: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| (0..6).map(|n| (0..64).map(|i| (i * (n + 3) * 7 + n * 31) as u8).collect()).collect());
static RIGHT: LazyLock<Vec<Inference>> = LazyLock::new(|| {
    let mut card = Accelerator::open(SoftCore::new(&small::tiny(), MEMORY).unwrap()).unwrap();
    card.load(&PROGRAM).unwrap();
    card.infer_batch(IMAGES.iter().map(Vec::as_slice)).unwrap()
});

/// SplitMix64.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| *byte = self.bits() as u8);
    }
}

/// What a device does that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mischief {
    /// Nothing.
    Behaves,
    /// Every register reads this.
    RegistersRead(u32),
    /// Every register reads something else each time.
    RegistersRandom,
    /// One register reads this.
    Lies(u32, u32),
    /// One register reads something else each time.
    LiesAtRandom(u32),
    /// A start does nothing.
    NeverCompletes,
    /// The same, and the interrupt is raised without end.
    NeverCompletesAndInterrupts,
    /// The same, and the device's clock stands still.
    NeverCompletesAndStandsStill,
    /// A start runs this many descriptors fewer and says done.
    CompletesEarly(u32),
    /// A start does nothing, but `STATUS` says done and `LAYERS_COMPLETED` all.
    PretendsToComplete,
    /// A start runs twice, and done comes back after it is cleared.
    CompletesTwice,
    /// Counters count down, further with each read.
    CountsBackwards,
    /// Memory reads this.
    MemoryReads(u8),
    /// Memory reads something else each time.
    MemoryRandom,
    /// A read of memory says that it succeeded and leaves the buffer as it was.
    MemoryShort,
    /// A read of memory is refused: more came than the buffer has room for.
    MemoryLong,
    /// `STATUS` has the error bit at random, with random codes and places.
    ErrorStorm,
    /// The interrupt is raised all the time; otherwise it behaves.
    InterruptStorm,
    /// The interrupt is never seen; otherwise it behaves.
    InterruptLost,
    /// Every access fails.
    VanishesWithErrors,
    /// Every read gives this byte, and writes go nowhere.
    VanishesReading(u8),
}

/// A core in software behind a link that misbehaves from some access on.
struct Hostile {
    core: SoftCore,
    mischief: Mischief,
    /// Accesses until it begins.
    begins_in: u32,
    random: Random,
    clock: Duration,
    counted: u32,
}

impl Hostile {
    fn new(mischief: Mischief, begins_in: u32, seed: u64) -> Hostile {
        let core = SoftCore::new(&small::tiny(), MEMORY).unwrap();
        Hostile { core, mischief, begins_in, random: Random(seed), clock: Duration::ZERO, counted: u32::MAX }
    }

    /// Counts an access; what the device does in it.
    fn access(&mut self) -> Result<Mischief, LinkError> {
        if self.begins_in > 0 {
            self.begins_in -= 1;
            self.clock += ACCESS;
            return Ok(Mischief::Behaves);
        }
        if self.mischief != Mischief::NeverCompletesAndStandsStill {
            self.clock += ACCESS;
        }
        match self.mischief {
            Mischief::VanishesWithErrors => {
                Err(LinkError::transport("/dev/hostile", std::io::Error::other("no such device")))
            }
            mischief => Ok(mischief),
        }
    }

    fn start(&mut self, mischief: Mischief, value: u32) -> Result<(), LinkError> {
        match mischief {
            Mischief::NeverCompletes
            | Mischief::NeverCompletesAndInterrupts
            | Mischief::NeverCompletesAndStandsStill
            | Mischief::PretendsToComplete => return Ok(()),
            Mischief::CompletesEarly(fewer) => {
                let count = self.core.read_register(registers::DESCRIPTOR_COUNT)?;
                self.core.write_register(registers::DESCRIPTOR_COUNT, count.saturating_sub(fewer).max(1))?;
            }
            Mischief::CompletesTwice => self.core.write_register(registers::CONTROL, value)?,
            _ => {}
        }
        self.core.write_register(registers::CONTROL, value)
    }
}

impl Link for Hostile {
    fn read_register(&mut self, offset: u32) -> Result<u32, LinkError> {
        let mischief = self.access()?;
        let honest = self.core.read_register(offset)?;
        let random = self.random.bits() as u32;
        Ok(match (mischief, offset) {
            (Mischief::RegistersRead(value), _) => value,
            (Mischief::VanishesReading(byte), _) => u32::from_le_bytes([byte; 4]),
            (Mischief::RegistersRandom, _) => random,
            (Mischief::Lies(at, value), _) if at == offset => value,
            (Mischief::LiesAtRandom(at), _) if at == offset => random,
            (Mischief::PretendsToComplete, registers::STATUS) => status::DONE,
            (Mischief::PretendsToComplete, registers::LAYERS_COMPLETED) => {
                self.core.read_register(registers::DESCRIPTOR_COUNT)?
            }
            (Mischief::CompletesTwice, registers::STATUS) => honest | status::DONE,
            (Mischief::CountsBackwards, registers::COUNT_BUSY..) => {
                self.counted = self.counted.wrapping_sub(random % 1000);
                self.counted
            }
            (Mischief::ErrorStorm, registers::STATUS) => honest | random & status::ERROR,
            (Mischief::ErrorStorm, registers::ERROR..=registers::ERROR_ADDRESS) => random,
            _ => honest,
        })
    }

    fn write_register(&mut self, offset: u32, value: u32) -> Result<(), LinkError> {
        match self.access()? {
            Mischief::VanishesReading(_) => Ok(()),
            mischief if offset == registers::CONTROL && value & control::START != 0 => {
                self.start(mischief, value)
            }
            _ => self.core.write_register(offset, value),
        }
    }

    fn read_memory(&mut self, offset: u64, into: &mut [u8]) -> Result<(), LinkError> {
        match self.access()? {
            Mischief::MemoryReads(byte) | Mischief::VanishesReading(byte) => into.fill(byte),
            Mischief::MemoryRandom => self.random.fill(into),
            Mischief::MemoryShort => {}
            Mischief::MemoryLong => {
                let more = std::io::Error::other(format!("{} bytes came", into.len() + 64));
                return Err(LinkError::transport("/dev/hostile", more));
            }
            _ => self.core.read_memory(offset, into)?,
        }
        Ok(())
    }

    fn write_memory(&mut self, offset: u64, data: &[u8]) -> Result<(), LinkError> {
        match self.access()? {
            Mischief::VanishesReading(_) => Ok(()),
            _ => self.core.write_memory(offset, data),
        }
    }

    fn memory_base(&self) -> u64 {
        self.core.memory_base()
    }

    fn memory_size(&self) -> u64 {
        self.core.memory_size()
    }

    fn wait_interrupt(&mut self, timeout: Duration) -> Result<bool, LinkError> {
        let mischief = self.access()?;
        let raised = match mischief {
            Mischief::NeverCompletesAndInterrupts
            | Mischief::NeverCompletesAndStandsStill
            | Mischief::InterruptStorm => true,
            Mischief::InterruptLost | Mischief::VanishesReading(_) => false,
            _ => self.core.wait_interrupt(timeout)?,
        };
        if !raised {
            self.clock += timeout;
        }
        Ok(raised)
    }

    fn clock(&self) -> Duration {
        self.clock
    }
}

/// The device's time since `before` is no more than `allowed`.
fn in_time(link: &Hostile, before: Duration, allowed: Duration) {
    let took = link.clock - before;
    assert!(took <= allowed + ACCESS * ACCESSES, "{:?} took {took:?} of {allowed:?}", link.mischief);
}

/// What came of a sequence.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    right: usize,
    errors: usize,
}

/// Opens a device that misbehaves from its `begins_in`-th access on, loads, runs images and resets as `random` says, and checks that
/// each call keeps its promise. Then the device behaves: a reset must succeed, and after loading again every answer be right.
fn sequence(mischief: Mischief, begins_in: u32, seed: u64) -> Outcome {
    let mut outcome = Outcome::default();
    let mut random = Random(seed);
    let mut link = Hostile::new(mischief, begins_in, seed);
    let opened = Accelerator::open(&mut link);
    let Ok(mut accelerator) = opened else {
        outcome.errors += 1;
        in_time(&link, Duration::ZERO, OPENING);
        link.mischief = Mischief::Behaves;
        recovers(Accelerator::open(&mut link).unwrap());
        return outcome;
    };
    accelerator.set_deadline(DEADLINE);
    for call in 0..4 + random.below(8) {
        let before = accelerator.link().clock();
        let image = random.below(IMAGES.len());
        let kind = if call == 0 { 0 } else { random.below(12) };
        let result = match kind {
            0 => accelerator.load(&PROGRAM),
            1 => accelerator.reset(),
            2 => accelerator.counters().map(drop),
            3 => accelerator.run_profiled(&IMAGES[image]).map(|(found, layers)| {
                assert_eq!(found.logits, RIGHT[image].logits, "{mischief:?}, seed {seed}, profiled");
                assert_eq!(layers.len(), PROGRAM.layers.len());
            }),
            _ => accelerator.infer(&IMAGES[image]).map(|found| {
                assert_eq!(found.logits, RIGHT[image].logits, "{mischief:?}, seed {seed}, call {call}");
                assert_eq!(found.class, RIGHT[image].class);
            }),
        };
        match result {
            Ok(()) => outcome.right += 1,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                outcome.errors += 1;
            }
        }
        // A profile is a run for each layer, each with its own deadline.
        let runs = if kind == 3 { PROGRAM.layers.len() as u32 } else { 1 };
        in_time(accelerator.link(), before, (DEADLINE + ACCESS * 30) * runs);
    }
    accelerator.link().mischief = Mischief::Behaves;
    recovers(accelerator);
    outcome
}

fn recovers(mut accelerator: Accelerator<&mut Hostile>) {
    accelerator.reset().unwrap();
    accelerator.load(&PROGRAM).unwrap();
    for (image, right) in IMAGES.iter().zip(RIGHT.iter()).take(2) {
        assert_eq!(&accelerator.infer(image).unwrap(), right);
    }
}

/// Every kind of mischief, with what is random in it.
fn any(random: &mut Random) -> Mischief {
    let value = [0, 1, u32::MAX, random.bits() as u32][random.below(4)];
    let byte = [0, 0xff, random.bits() as u8][random.below(3)];
    let register = registers::REGISTERS[random.below(registers::REGISTERS.len())].offset;
    match random.below(21) {
        0 => Mischief::RegistersRead(u32::MAX),
        1 => Mischief::RegistersRead(0),
        2 => Mischief::RegistersRandom,
        3 => Mischief::Lies(registers::IDENTITY, value),
        4 => Mischief::Lies(register, value),
        5 => Mischief::LiesAtRandom(register),
        6 => Mischief::NeverCompletes,
        7 => Mischief::NeverCompletesAndInterrupts,
        8 => Mischief::NeverCompletesAndStandsStill,
        9 => Mischief::CompletesEarly(1 + random.below(12) as u32),
        10 => Mischief::PretendsToComplete,
        11 => Mischief::CompletesTwice,
        12 => Mischief::CountsBackwards,
        13 => Mischief::MemoryReads(byte),
        14 => Mischief::MemoryRandom,
        15 => Mischief::MemoryShort,
        16 => Mischief::MemoryLong,
        17 => Mischief::ErrorStorm,
        18 => [Mischief::InterruptStorm, Mischief::InterruptLost][random.below(2)],
        19 => Mischief::VanishesWithErrors,
        _ => Mischief::VanishesReading(byte),
    }
}

fn random_sequences(seeds: std::ops::Range<u64>) -> Outcome {
    let mut sum = Outcome::default();
    for seed in seeds {
        let mut random = Random(seed << 32);
        let mischief = any(&mut random);
        // Opening, loading and an image take about 20, 5 and 25 accesses.
        let begins_in = random.below(120) as u32;
        let Outcome { right, errors } = sequence(mischief, begins_in, seed);
        sum.right += right;
        sum.errors += errors;
    }
    sum
}

#[test]
fn a_hostile_device_gives_right_answers_or_errors() {
    let outcome = random_sequences(0..60);
    assert!(outcome.right > 30 && outcome.errors > 30, "{outcome:?}");
}

#[test]
fn slow_a_thousand_hostile_sequences_give_right_answers_or_errors() {
    let outcome = random_sequences(1_000..2_000);
    println!("{outcome:?}");
    assert!(outcome.right > 500 && outcome.errors > 500, "{outcome:?}");
}

/// An opened device with the program that computed one image and misbehaves from now on.
fn turned(mischief: Mischief) -> Accelerator<Hostile> {
    let mut accelerator = Accelerator::open(Hostile::new(Mischief::Behaves, 0, 1)).unwrap();
    accelerator.set_deadline(DEADLINE);
    accelerator.load(&PROGRAM).unwrap();
    assert_eq!(accelerator.infer(&IMAGES[0]).unwrap(), RIGHT[0]);
    accelerator.link().mischief = mischief;
    accelerator
}

fn error_of(mischief: Mischief) -> DriverError {
    match turned(mischief).infer(&IMAGES[1]) {
        Ok(found) => panic!("{mischief:?} gave {found:?}"),
        Err(error) => error,
    }
}

#[test]
fn each_mischief_has_its_error() {
    use Mischief::*;
    for gone in [RegistersRead(u32::MAX), RegistersRead(0), VanishesReading(0xff), VanishesReading(0)] {
        assert!(matches!(error_of(gone), DriverError::Gone { .. }), "{gone:?}: {}", error_of(gone));
    }
    let wrong = error_of(Lies(registers::IDENTITY, 0x1234_5678));
    assert!(matches!(wrong, DriverError::Gone { found: 0x1234_5678 }), "{wrong}");
    for endless in [NeverCompletes, NeverCompletesAndInterrupts, NeverCompletesAndStandsStill] {
        let error = error_of(endless);
        assert!(matches!(error, DriverError::Deadline { waited, .. } if waited >= DEADLINE), "{error}");
    }
    let early = error_of(CompletesEarly(3)).to_string();
    assert!(early.contains("7 of 10 descriptors completed, `norm` is next"), "{early}");
    // Without a mark in its place, the logits of the image before would be taken for an answer.
    assert!(matches!(error_of(PretendsToComplete), DriverError::Logit { class: 0, .. }));
    assert!(matches!(error_of(MemoryShort), DriverError::Memory { .. } | DriverError::Logit { .. }));
    for memory in [MemoryReads(0), MemoryReads(0xff), MemoryRandom] {
        let error = error_of(memory);
        assert!(matches!(error, DriverError::Memory { .. } | DriverError::Logit { .. }), "{error}");
    }
    for failing in [MemoryLong, VanishesWithErrors] {
        assert!(matches!(error_of(failing), DriverError::Link(LinkError::Transport { .. })));
    }
    let storm = error_of(Lies(registers::STATUS, status::ERROR));
    assert!(matches!(&storm, DriverError::Core(fault) if fault.code == 0), "{storm}");
}

#[test]
fn what_does_not_touch_the_answer_does_not_spoil_it() {
    use Mischief::*;
    for harmless in [CompletesTwice, CountsBackwards, InterruptStorm, InterruptLost] {
        let mut accelerator = turned(harmless);
        for (image, right) in IMAGES.iter().zip(RIGHT.iter()) {
            assert_eq!(accelerator.infer(image).unwrap().logits, right.logits, "{harmless:?}");
        }
        accelerator.run_profiled(&IMAGES[0]).unwrap();
    }
}

#[test]
fn a_reset_that_never_ends_is_given_up_in_time() {
    for lie in [status::RESETTING, status::ERROR, status::BUSY, u32::MAX] {
        let mut accelerator = turned(Mischief::Lies(registers::STATUS, lie));
        let before = accelerator.link().clock();
        assert!(matches!(accelerator.reset(), Err(DriverError::ResetStuck { .. })));
        in_time(accelerator.link(), before, DEADLINE);
    }
}

#[test]
fn a_fleet_of_hostile_cards_and_one_good_one_answers_right() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let good = Accelerator::open(Hostile::new(Mischief::Behaves, 0, 0)).unwrap();
        let hostile: Vec<_> = (0..3).map(|_| turned(any(&mut random))).collect();
        let mut fleet = Fleet::new(hostile.into_iter().chain([good])).unwrap();
        match fleet.load(&PROGRAM) {
            Ok(()) | Err(FleetError::Cards { .. }) => {}
            Err(other) => panic!("seed {seed}: {other}"),
        }
        let batch = fleet.infer_batch(&IMAGES).unwrap();
        for (found, right) in batch.inferences.iter().zip(RIGHT.iter()) {
            assert_eq!(found.logits, right.logits, "seed {seed}");
        }
    }
}
