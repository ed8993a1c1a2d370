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

/// An image's place among the images, and what came of it.
type Outcome = (usize, Result<ImageReport, GenError>);

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
            let mut early = BTreeMap::new();
            let mut next = 0;
            for (place, outcome) in receiver {
                early.insert(place, outcome);
                while let Some(outcome) = early.remove(&next) {
                    next += 1;
                    let outcome = outcome.and_then(|image| {
                        let differs = !image.identical;
                        report(image).map(|()| differs)
                    });
                    if !matches!(outcome, Ok(false)) && !(self.keep_going && outcome.is_ok()) {
                        stop.store(true, Ordering::Relaxed);
                        return outcome.map(|_| ());
                    }
                }
            }
            Ok(())
        })
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
