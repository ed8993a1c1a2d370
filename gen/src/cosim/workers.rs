//! Several simulations at the same time.

use super::compare::{Bench, ImageReport, Setup};
use crate::error::GenError;
use crate::inputs::Images;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};

/// Simulations that share the images between them. Simulation `w` of `n` takes images `w`, `w + n`, ...: which of them runs an image
/// does not depend on how fast they are, so the same options give the same cycles.
pub struct Workers<'a> {
    /// What they have in common.
    pub setup: &'a Setup<'a>,
    /// The images.
    pub images: &'a Images,
    /// How many.
    pub jobs: usize,
    /// Whether to go on after an image that differs.
    pub keep_going: bool,
}

/// An image's place among the images, and its result.
type Outcome = (usize, Result<ImageReport, GenError>);

/// Whether to look at more images.
enum Verdict {
    GoOn,
    Stop,
}

/// Outcomes that wait for those of earlier images.
#[derive(Default)]
struct Early {
    waiting: BTreeMap<usize, Result<ImageReport, GenError>>,
    /// Place of the image that is handed over next.
    next: usize,
}

impl Workers<'_> {
    /// Compares all images and hands over the reports in the order of the images. Stops after the first failure and, unless
    /// told to keep going, after the first image that differs.
    pub fn run(&self, mut report: impl FnMut(ImageReport) -> Result<(), GenError>) -> Result<(), GenError> {
        let stop = AtomicBool::new(false);
        let (sender, receiver) = mpsc::channel::<Outcome>();
        std::thread::scope(|scope| {
            for worker in 0..self.jobs {
                let (sender, stop) = (sender.clone(), &stop);
                scope.spawn(move || self.work(worker, &sender, stop));
            }
            drop(sender);
            let mut early = Early::default();
            for (place, outcome) in receiver {
                early.waiting.insert(place, outcome);
                let outcome = self.report_in_order(&mut early, &mut report);
                if !matches!(outcome, Ok(Verdict::GoOn)) {
                    stop.store(true, Ordering::Relaxed);
                    return outcome.map(|_| ());
                }
            }
            Ok(())
        })
    }

    /// Hands over what follows the images that were handed over before.
    fn report_in_order(
        &self,
        early: &mut Early,
        report: &mut impl FnMut(ImageReport) -> Result<(), GenError>,
    ) -> Result<Verdict, GenError> {
        while let Some(outcome) = early.waiting.remove(&early.next) {
            early.next += 1;
            let image = outcome?;
            let identical = image.identical;
            report(image)?;
            if !identical && !self.keep_going {
                return Ok(Verdict::Stop);
            }
        }
        Ok(Verdict::GoOn)
    }

    fn work(&self, worker: usize, sender: &Sender<Outcome>, stop: &AtomicBool) {
        let mut bench = match Bench::new(self.setup, worker as u32) {
            Ok(bench) => bench,
            Err(error) => {
                // Nobody listens any more when another one has failed before.
                let _ = sender.send((worker, Err(error)));
                return;
            }
        };
        for place in (worker..self.images.count()).step_by(self.jobs) {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let image = self.images.index(place);
            let outcome = bench.compare(image, self.images.image(place), self.images.label(place));
            let failed = outcome.is_err();
            if sender.send((place, outcome)).is_err() || failed {
                return;
            }
        }
    }
}
