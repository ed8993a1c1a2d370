//! The images of a batch that no card has computed yet.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Images that wait, and how many are being computed.
struct Images {
    waiting: VecDeque<usize>,
    /// Each of them may come back, so a card without work waits for them.
    under_way: usize,
}

/// What the cards of a batch take their images from.
pub(super) struct Queue {
    images: Mutex<Images>,
    changed: Condvar,
}

/// An image that a card has taken. Dropped without [`finish`](Job::finish), it goes back to the front of the queue: so an image is
/// lost neither by an error nor by a panic.
pub(super) struct Job<'a> {
    queue: &'a Queue,
    image: usize,
    finished: bool,
}

impl Queue {
    /// Images `0..images`, all waiting.
    pub(super) fn new(images: usize) -> Queue {
        let images = Images { waiting: (0..images).collect(), under_way: 0 };
        Queue { images: Mutex::new(images), changed: Condvar::new() }
    }

    /// The next image; waits while none is waiting and others are under way. None once all are finished.
    pub(super) fn take(&self) -> Option<Job<'_>> {
        let mut images = self.lock();
        loop {
            if let Some(image) = images.waiting.pop_front() {
                images.under_way += 1;
                return Some(Job { queue: self, image, finished: false });
            }
            if images.under_way == 0 {
                return None;
            }
            images = self.changed.wait(images).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No code that holds the lock leaves the images half changed, so a panic elsewhere does not matter.
    fn lock(&self) -> MutexGuard<'_, Images> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job<'_> {
    /// The image's index in the batch.
    pub(super) fn image(&self) -> usize {
        self.image
    }

    /// Says that the image is computed.
    pub(super) fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        let mut images = self.queue.lock();
        images.under_way -= 1;
        if !self.finished {
            images.waiting.push_front(self.image);
        }
        drop(images);
        self.queue.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_comes_back_is_next_and_the_queue_ends_when_all_are_finished() {
        let queue = Queue::new(2);
        let (first, second) = (queue.take().unwrap(), queue.take().unwrap());
        assert_eq!((first.image(), second.image()), (0, 1));
        drop(first);
        second.finish();
        let again = queue.take().unwrap();
        assert_eq!(again.image(), 0);
        again.finish();
        assert!(queue.take().is_none());
    }

    #[test]
    fn a_waiting_card_gets_the_image_of_one_that_panics() {
        let queue = Queue::new(1);
        let job = queue.take().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.take().map(|job| job.image()));
            let panics = scope.spawn(move || {
                let _job = job;
                panic!("a planted panic");
            });
            assert!(panics.join().is_err());
            assert_eq!(waiting.join().unwrap(), Some(0));
        });
    }
}
