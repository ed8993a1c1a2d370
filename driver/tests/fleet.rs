//! Several cards that share a batch: results are those of one card, whatever fails.

#[allow(dead_code)]
#[path = "../../compile/tests/program/small.rs"]
mod small;

use driver::link::{Link, LinkError};
use driver::{Accelerator, Batch, CardId, DriverError, Fleet, FleetError, Inference};
use isa::program::Program;
use isa::registers::{self, control};
use proptest::prelude::*;
use sim::SoftCore;
use std::sync::{Arc, Barrier, LazyLock, Mutex};
use std::time::Duration;

const MEMORY: usize = 1 << 20;
const POOL: usize = 24;

static PROGRAM: LazyLock<Program> = LazyLock::new(small::program);
static IMAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    (0..POOL).map(|n| (0..64).map(|i| (i * (n + 3) * 7 + n * 31) as u8).collect()).collect()
});
/// What a single card answers.
static SINGLE: LazyLock<Vec<Inference>> = LazyLock::new(|| {
    let mut card = Accelerator::open(SoftCore::new(&small::tiny(), MEMORY).unwrap()).unwrap();
    card.load(&PROGRAM).unwrap();
    card.infer_batch(IMAGES.iter().map(Vec::as_slice)).unwrap()
});

/// The input rows of every run that a core was given.
type Log = Arc<Mutex<Vec<Vec<u8>>>>;

/// How a card fails.
#[derive(Clone, Copy, Debug)]
enum Failing {
    /// The start is answered with an error.
    Refuses,
    /// The start never reaches the core.
    Deaf,
    /// From the start on, every register reads all ones.
    Gone,
}

/// A core in software that fails at one of its runs, counted from 0, and every later one until it is mended.
struct Card {
    core: SoftCore,
    fails: Option<(usize, Failing)>,
    runs: usize,
    gone: bool,
    /// Where all cards meet before a run of this number, so that each of them has come so far.
    meeting: Option<(usize, Arc<Barrier>)>,
    /// Shared by the cards of a fleet.
    log: Log,
}

impl Card {
    fn new(fails: Option<(usize, Failing)>, log: &Log) -> Card {
        let core = SoftCore::new(&small::tiny(), MEMORY).unwrap();
        Card { core, fails, runs: 0, gone: false, meeting: None, log: Arc::clone(log) }
    }

    fn start(&mut self, offset: u32, value: u32) -> Result<(), LinkError> {
        let run = self.runs;
        self.runs += 1;
        if let Some((at, barrier)) = &self.meeting
            && run == *at
        {
            barrier.wait();
        }
        match self.fails {
            Some((at, Failing::Refuses)) if run >= at => {
                Err(LinkError::Register { access: "write", offset, response: "SLVERR" })
            }
            Some((at, Failing::Deaf)) if run >= at => Ok(()),
            Some((at, Failing::Gone)) if run >= at => {
                self.gone = true;
                Ok(())
            }
            _ => {
                let input = &PROGRAM.layers[0].inputs[0];
                let mut rows = vec![0; input.bytes()];
                self.core.read_memory(input.base.into(), &mut rows)?;
                self.log.lock().unwrap().push(rows);
                self.core.write_register(offset, value)
            }
        }
    }
}

impl Link for Card {
    fn read_register(&mut self, offset: u32) -> Result<u32, LinkError> {
        if self.gone { Ok(u32::MAX) } else { self.core.read_register(offset) }
    }

    fn write_register(&mut self, offset: u32, value: u32) -> Result<(), LinkError> {
        if offset == registers::CONTROL && value & control::START != 0 {
            return self.start(offset, value);
        }
        self.core.write_register(offset, value)
    }

    fn read_memory(&mut self, offset: u64, into: &mut [u8]) -> Result<(), LinkError> {
        self.core.read_memory(offset, into)
    }

    fn write_memory(&mut self, offset: u64, data: &[u8]) -> Result<(), LinkError> {
        self.core.write_memory(offset, data)
    }

    fn memory_base(&self) -> u64 {
        self.core.memory_base()
    }

    fn memory_size(&self) -> u64 {
        self.core.memory_size()
    }

    fn wait_interrupt(&mut self, timeout: Duration) -> Result<bool, LinkError> {
        self.core.wait_interrupt(timeout)
    }
}

/// A fleet with the program, and the log of its runs.
fn fleet(fails: &[Option<(usize, Failing)>]) -> (Fleet<Card>, Log) {
    let log = Log::default();
    let mut fleet =
        Fleet::new(fails.iter().map(|&fails| Accelerator::open(Card::new(fails, &log)).unwrap())).unwrap();
    fleet.load(&PROGRAM).unwrap();
    (fleet, log)
}

/// Lets the cards wait for each other before their run number `at`.
fn meet(fleet: &mut Fleet<Card>, at: usize) {
    let cards: Vec<CardId> = fleet.cards().collect();
    let barrier = Arc::new(Barrier::new(cards.len()));
    for card in cards {
        fleet.accelerator(card).unwrap().link().meeting = Some((at, Arc::clone(&barrier)));
    }
}

fn rows(image: &[u8]) -> Vec<u8> {
    PROGRAM.inputs(image).unwrap().remove(0).bytes
}

/// Every image was given to a core that answered exactly once.
fn computed_once(log: &Log, images: &[Vec<u8>]) {
    let (mut found, mut expected) =
        (log.lock().unwrap().clone(), images.iter().map(|i| rows(i)).collect::<Vec<_>>());
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

fn failing() -> impl Strategy<Value = Option<(usize, Failing)>> {
    let how = prop_oneof![Just(Failing::Refuses), Just(Failing::Deaf), Just(Failing::Gone)];
    prop_oneof![Just(None), (0usize..6, how).prop_map(Some)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn results_are_those_of_one_card(fails in prop::collection::vec(failing(), 1..6), images in 0..=POOL) {
        let (mut fleet, log) = fleet(&fails);
        let images = &IMAGES[..images];
        match fleet.infer_batch(images) {
            Ok(Batch { inferences, cards, failures }) => {
                prop_assert_eq!(&inferences[..], &SINGLE[..images.len()]);
                computed_once(&log, images);
                prop_assert_eq!(cards.len(), images.len());
                prop_assert!(failures.iter().all(|failure| fails[failure.card.0].is_some()));
                prop_assert_eq!(fleet.failures().count(), failures.len());
            }
            Err(FleetError::AllFailed { failures, inferences }) => {
                prop_assert!(fails.iter().all(Option::is_some));
                prop_assert_eq!(failures.iter().map(|f| f.card).collect::<Vec<_>>(), fleet.cards().collect::<Vec<_>>());
                prop_assert_eq!(inferences.len(), images.len());
                prop_assert!(inferences.iter().any(Option::is_none));
                let mut done = Vec::new();
                for (index, inference) in inferences.iter().enumerate() {
                    if let Some(inference) = inference {
                        prop_assert_eq!(inference, &SINGLE[index]);
                        done.push(images[index].clone());
                    }
                }
                computed_once(&log, &done);
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

#[test]
fn four_cards_go_on_when_one_fails_in_the_middle() {
    for how in [Failing::Refuses, Failing::Deaf, Failing::Gone] {
        let (mut fleet, log) = fleet(&[None, None, Some((1, how)), None]);
        meet(&mut fleet, 1);
        let batch = fleet.infer_batch(&IMAGES).unwrap();
        assert_eq!(batch.inferences, *SINGLE);
        computed_once(&log, &IMAGES);
        let [failure] = &batch.failures[..] else { panic!("{:?}", batch.failures) };
        assert_eq!(failure.card, CardId(2));
        let redone = failure.image.unwrap();
        assert_ne!(batch.cards[redone], CardId(2), "another card computed it");
        assert_eq!(batch.cards.iter().filter(|&&card| card == CardId(2)).count(), 1);
        match how {
            Failing::Refuses => assert!(matches!(*failure.error, DriverError::Link(_)), "{failure}"),
            Failing::Deaf => assert!(matches!(*failure.error, DriverError::Deadline { .. }), "{failure}"),
            Failing::Gone => assert!(matches!(*failure.error, DriverError::Gone { .. }), "{failure}"),
        }
    }
}

#[test]
fn a_failed_card_stays_out_until_it_is_reset() {
    let (mut fleet, _) = fleet(&[None, Some((0, Failing::Deaf))]);
    meet(&mut fleet, 0);
    assert_eq!(fleet.infer_batch(&IMAGES).unwrap().failures.len(), 1);
    let again = fleet.infer_batch(&IMAGES).unwrap();
    assert!(again.failures.is_empty() && again.cards.iter().all(|&card| card == CardId(0)));
    assert_eq!(fleet.failures().map(|failure| failure.card).collect::<Vec<_>>(), [CardId(1)]);

    // The card comes back without what was in its memory.
    let link = fleet.accelerator(CardId(1)).unwrap().link();
    link.fails = None;
    link.core.write_memory(0, &vec![0; MEMORY]).unwrap();
    fleet.reset(CardId(1)).unwrap();
    assert_eq!(fleet.failures().count(), 0);
    let runs = [CardId(0), CardId(1)].map(|card| fleet.accelerator(card).unwrap().link().runs);
    meet(&mut fleet, runs[0]);
    fleet.accelerator(CardId(1)).unwrap().link().meeting.as_mut().unwrap().0 = runs[1];
    let batch = fleet.infer_batch(&IMAGES).unwrap();
    assert_eq!(batch.inferences, *SINGLE);
    assert!(batch.cards.contains(&CardId(0)) && batch.cards.contains(&CardId(1)));
}

#[test]
fn when_all_fail_each_is_named_with_its_error() {
    let (mut fleet, log) =
        fleet(&[Some((1, Failing::Refuses)), Some((2, Failing::Deaf)), Some((0, Failing::Gone))]);
    let error = fleet.infer_batch(&IMAGES).unwrap_err();
    let message = error.to_string();
    let FleetError::AllFailed { failures, inferences } = error else { panic!("{message}") };
    let cards: Vec<usize> = failures.iter().map(|failure| failure.card.0).collect();
    assert_eq!(cards, [0, 1, 2]);
    assert_eq!(inferences.iter().flatten().count(), 3);
    assert_eq!(log.lock().unwrap().len(), 3);
    for part in
        ["3 of 24 images", "card 0, at image ", "SLVERR", "card 1", "was not over", "card 2", "has gone"]
    {
        assert!(message.contains(part), "`{part}` in: {message}");
    }
    // Nothing is tried on cards that are out.
    assert!(matches!(fleet.infer_batch(&IMAGES), Err(FleetError::AllFailed { .. })));
    assert_eq!(log.lock().unwrap().len(), 3);
}

#[test]
fn a_card_that_cannot_be_loaded_or_reset_is_out() {
    let log = Arc::default();
    let cards = [None, None].map(|fails| Accelerator::open(Card::new(fails, &log)).unwrap());
    let mut fleet = Fleet::new(cards).unwrap();
    fleet.accelerator(CardId(0)).unwrap().link().gone = true;
    let message = fleet.load(&PROGRAM).unwrap_err().to_string();
    assert!(message.starts_with("card 0: the accelerator has gone"), "{message}");
    let message = fleet.reset(CardId(0)).unwrap_err().to_string();
    assert!(message.starts_with("card 0: the accelerator has gone"), "{message}");
    let batch = fleet.infer_batch(&IMAGES).unwrap();
    assert_eq!(batch.inferences, *SINGLE);
    assert!(batch.cards.iter().all(|&card| card == CardId(1)));
    fleet.accelerator(CardId(0)).unwrap().link().gone = false;
    fleet.reset(CardId(0)).unwrap();
    assert_eq!(fleet.failures().count(), 0);
}

#[test]
fn misuse_is_named() {
    assert!(matches!(Fleet::<SoftCore>::new([]), Err(FleetError::NoCards)));
    let log = Arc::default();
    let mut fleet = Fleet::new([Accelerator::open(Card::new(None, &log)).unwrap()]).unwrap();
    assert!(matches!(fleet.infer_batch(&IMAGES), Err(FleetError::NotLoaded)));
    fleet.load(&PROGRAM).unwrap();
    let message = fleet.infer_batch(&[vec![0; 64], vec![0; 63]]).unwrap_err().to_string();
    assert!(message.contains("image 1: the image has 63 bytes"), "{message}");
    assert_eq!(log.lock().unwrap().len(), 0, "nothing is computed before every image is accepted");
    let message = fleet.reset(CardId(1)).unwrap_err().to_string();
    assert!(message.contains("no card 1; the fleet has cards 0..1"), "{message}");
}

#[test]
fn cards_of_different_kinds_share_a_batch() {
    let log = Arc::default();
    let links: [Box<dyn Link + Send>; 2] =
        [Box::new(SoftCore::new(&small::tiny(), MEMORY).unwrap()), Box::new(Card::new(None, &log))];
    let mut fleet = Fleet::new(links.map(|link| Accelerator::open(link).unwrap())).unwrap();
    fleet.load(&PROGRAM).unwrap();
    assert_eq!(fleet.infer_batch(&IMAGES).unwrap().inferences, *SINGLE);
}
