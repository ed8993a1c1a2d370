//! Several accelerators that share the images of a batch.
//!
//! Each card has a thread that takes the next image from one queue as soon as the card is idle, so a slow card does less and none
//! waits for another. A card that fails hands its image back and stays out until [`Fleet::reset`].

mod queue;

use crate::accelerator::{Accelerator, Inference};
use crate::error::DriverError;
use crate::link::Link;
use isa::program::{ImageSizeError, Program};
use queue::Queue;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

/// A card of a [`Fleet`]: its place in the list that the fleet was made of, from 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardId(pub usize);

impl fmt::Display for CardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "card {}", self.0)
    }
}

/// A card that failed, and why.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{card}{}: {error}", .image.map_or(String::new(), |image| format!(", at image {image}")))]
pub struct CardFailure {
    /// The card.
    pub card: CardId,
    /// Index in its batch of the image that the card had; none if it failed in [`Fleet::load`] or [`Fleet::reset`].
    pub image: Option<usize>,
    /// What its accelerator reported.
    #[source]
    pub error: Arc<DriverError>,
}

/// Why a fleet could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// A fleet of no cards.
    #[error("a fleet needs at least one card, none was given")]
    NoCards,
    /// There is no such card.
    #[error("there is no {card}; the fleet has cards 0..{cards}")]
    NoSuchCard {
        /// The card asked for.
        card: CardId,
        /// Cards of the fleet.
        cards: usize,
    },
    /// No program is loaded.
    #[error("no network is loaded into the fleet; load a program first")]
    NotLoaded,
    /// An image was refused before any was computed.
    #[error("image {index}: {source}")]
    Image {
        /// Its index in the batch.
        index: usize,
        /// Why.
        source: DriverError,
    },
    /// Some cards could not be brought into use. They are out until they are reset; the others are ready.
    #[error("{}; reset these cards, or go on with the others", listed(.failures))]
    Cards {
        /// Each card that failed.
        failures: Vec<CardFailure>,
    },
    /// Every card is out.
    #[error(
        "no card is left, {} of {} images are computed: {}; reset the cards",
        .inferences.iter().flatten().count(), .inferences.len(), listed(.failures)
    )]
    AllFailed {
        /// The failure of each card, in the order of cards, whether in this batch or before.
        failures: Vec<CardFailure>,
        /// What was computed before the last card failed, by image.
        inferences: Vec<Option<Inference>>,
    },
}

fn listed(failures: &[CardFailure]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The results of a batch.
#[derive(Clone, Debug)]
#[must_use = "cards may have failed"]
pub struct Batch {
    /// One an image, in the order in which images were given.
    pub inferences: Vec<Inference>,
    /// The card that computed each image.
    pub cards: Vec<CardId>,
    /// Cards that failed during this batch, in the order of cards; their images were computed by others. Empty if none did.
    pub failures: Vec<CardFailure>,
}

struct Card<L: Link> {
    accelerator: Accelerator<L>,
    /// Why the card is out.
    failure: Option<CardFailure>,
}

/// Accelerators that share the images of a batch. All have the same sizes of core, for they run the same [`Program`].
pub struct Fleet<L: Link> {
    cards: Vec<Card<L>>,
    program: Option<Program>,
}

impl<L: Link + Send> Fleet<L> {
    /// A fleet of opened accelerators; [`CardId`]s count from 0 in this order. What was loaded into them before is not used.
    ///
    /// # Errors
    /// [`FleetError::NoCards`].
    pub fn new(accelerators: impl IntoIterator<Item = Accelerator<L>>) -> Result<Fleet<L>, FleetError> {
        let card = |accelerator| Card { accelerator, failure: None };
        let cards: Vec<Card<L>> = accelerators.into_iter().map(card).collect();
        if cards.is_empty() { Err(FleetError::NoCards) } else { Ok(Fleet { cards, program: None }) }
    }

    /// Every card, in order.
    pub fn cards(&self) -> impl Iterator<Item = CardId> + use<L> {
        (0..self.cards.len()).map(CardId)
    }

    /// The cards that are out, each with the failure that put it there, in the order of cards.
    pub fn failures(&self) -> impl Iterator<Item = &CardFailure> {
        self.cards.iter().filter_map(|card| card.failure.as_ref())
    }

    /// A card's accelerator, to look at it or to set it up. Loading another program into it is undone by [`load`](Fleet::load) or
    /// [`reset`](Fleet::reset) only.
    ///
    /// # Errors
    /// [`FleetError::NoSuchCard`].
    pub fn accelerator(&mut self, card: CardId) -> Result<&mut Accelerator<L>, FleetError> {
        Ok(&mut self.card(card)?.accelerator)
    }

    /// Sets how long an image or a soft reset may take on each card, in its link's time. Two seconds unless set. An image that
    /// a card does not finish costs the batch this long before another card has it.
    pub fn set_deadline(&mut self, deadline: Duration) {
        for card in &mut self.cards {
            card.accelerator.set_deadline(deadline);
        }
    }

    /// Writes a program into every card that is not out, all at the same time.
    ///
    /// # Errors
    /// [`FleetError::Cards`] with the cards that failed: they are out, the others have the program and are ready.
    /// [`FleetError::AllFailed`] if none has.
    pub fn load(&mut self, program: &Program) -> Result<(), FleetError> {
        self.program = Some(program.clone());
        let new = std::thread::scope(|scope| {
            let ready = self.cards.iter_mut().enumerate().filter(|(_, card)| card.failure.is_none());
            let load = |(index, card): (usize, &'_ mut Card<L>)| -> Option<CardFailure> {
                let error = card.accelerator.load(program).err()?;
                Some(card.fails(CardId(index), None, error))
            };
            let threads: Vec<_> = ready.map(|ready| scope.spawn(move || load(ready))).collect();
            threads.into_iter().filter_map(joined).collect::<Vec<_>>()
        });
        if self.none_left() {
            Err(self.all_failed(Vec::new()))
        } else if new.is_empty() {
            Ok(())
        } else {
            Err(FleetError::Cards { failures: new })
        }
    }

    /// Resets one card, writes the program into it again, for its memory may be lost, and takes it back if both succeed. Also for
    /// a card that is not out.
    ///
    /// # Errors
    /// [`FleetError::NoSuchCard`], and [`FleetError::Cards`] if the card fails: then it is out.
    pub fn reset(&mut self, card: CardId) -> Result<(), FleetError> {
        let program = self.program.take();
        let outcome = self.card(card).map(|found| {
            found.failure = None;
            let accelerator = &mut found.accelerator;
            let done =
                accelerator.reset().and_then(|()| program.iter().try_for_each(|p| accelerator.load(p)));
            done.map_err(|error| FleetError::Cards { failures: vec![found.fails(card, None, error)] })
        });
        self.program = program;
        outcome?
    }

    /// Classifies images on all cards that are not out; results are in the order of the images, whichever card computed them.
    ///
    /// A card that fails is out from then on, and its image is computed by another: [`Batch::failures`] says so.
    ///
    /// # Errors
    /// [`FleetError::NotLoaded`] and [`FleetError::Image`] before anything is computed; [`FleetError::AllFailed`] if no card is
    /// left before every image is computed.
    ///
    /// # Panics
    /// If a [`Link`] panics; the other cards finish the batch before.
    pub fn infer_batch<I: AsRef<[u8]> + Sync>(&mut self, images: &[I]) -> Result<Batch, FleetError> {
        let program = self.program.as_ref().ok_or(FleetError::NotLoaded)?;
        for (index, image) in images.iter().enumerate() {
            let refused = |error: ImageSizeError| FleetError::Image { index, source: error.into() };
            program.takes(image.as_ref()).map_err(refused)?;
        }
        let queue = Queue::new(images.len());
        let work = |index, card| Worker { id: CardId(index), card, queue: &queue }.run(images);
        let done = std::thread::scope(|scope| {
            let ready = self.cards.iter_mut().enumerate().filter(|(_, card)| card.failure.is_none());
            let threads: Vec<_> =
                ready.map(|(index, card)| (CardId(index), scope.spawn(move || work(index, card)))).collect();
            threads.into_iter().map(|(card, thread)| (card, joined(thread))).collect::<Vec<_>>()
        });
        self.collect(done, images.len())
    }

    /// Puts the results of each card into the order of images.
    fn collect(&self, done: Vec<(CardId, Done)>, images: usize) -> Result<Batch, FleetError> {
        let mut found: Vec<Option<(CardId, Inference)>> = vec![None; images];
        let mut failures = Vec::new();
        for (card, done) in done {
            for (index, inference) in done.inferences {
                found[index] = Some((card, inference));
            }
            failures.extend(done.failure);
        }
        if found.iter().any(Option::is_none) || self.none_left() && images == 0 {
            let inferences = found.into_iter().map(|one| one.map(|(_, inference)| inference)).collect();
            return Err(self.all_failed(inferences));
        }
        let (cards, inferences) = found.into_iter().flatten().unzip();
        Ok(Batch { inferences, cards, failures })
    }

    fn card(&mut self, card: CardId) -> Result<&mut Card<L>, FleetError> {
        let cards = self.cards.len();
        self.cards.get_mut(card.0).ok_or(FleetError::NoSuchCard { card, cards })
    }

    fn none_left(&self) -> bool {
        self.cards.iter().all(|card| card.failure.is_some())
    }

    fn all_failed(&self, inferences: Vec<Option<Inference>>) -> FleetError {
        FleetError::AllFailed { failures: self.failures().cloned().collect(), inferences }
    }
}

impl<L: Link> Card<L> {
    /// Takes the card out.
    fn fails(&mut self, card: CardId, image: Option<usize>, error: DriverError) -> CardFailure {
        let failure = CardFailure { card, image, error: Arc::new(error) };
        self.failure = Some(failure.clone());
        failure
    }
}

/// What one card did in a batch.
#[derive(Default)]
struct Done {
    /// By image.
    inferences: Vec<(usize, Inference)>,
    failure: Option<CardFailure>,
}

/// A card at work.
struct Worker<'a, L: Link> {
    id: CardId,
    card: &'a mut Card<L>,
    queue: &'a Queue,
}

impl<L: Link> Worker<'_, L> {
    /// Takes images until all are computed or the card fails.
    fn run<I: AsRef<[u8]>>(self, images: &[I]) -> Done {
        let mut done = Done::default();
        while let Some(job) = self.queue.take() {
            let image = job.image();
            match self.card.accelerator.infer(images[image].as_ref()) {
                Ok(inference) => {
                    done.inferences.push((image, inference));
                    job.finish();
                }
                Err(error) => {
                    done.failure = Some(self.card.fails(self.id, Some(image), error));
                    break;
                }
            }
        }
        done
    }
}

/// What a thread returned; its panic goes on here.
fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
