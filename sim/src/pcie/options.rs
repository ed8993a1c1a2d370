//! How a root complex behaves, and what it counts.

use super::memory::Placement;
use crate::axi::random::Random;

/// How the root complex behaves.
#[derive(Clone, Debug)]
pub struct RootOptions {
    /// Of everything that is random.
    pub seed: u64,
    /// Bytes of the largest payload: 128, 256 or 512.
    pub max_payload: u32,
    /// Bytes of the largest read: 128, 256 or 512.
    pub max_request: u32,
    /// Cycles from a read of the card to its first completion.
    pub latency: u64,
    /// As many cycles more, at random.
    pub jitter: u64,
    /// Completions come in pieces of random size.
    pub split: bool,
    /// Completions of different reads come in any order.
    pub reorder: bool,
    /// A packet may begin in the beat in which another ends.
    pub straddle: bool,
    /// Of a hundred cycles, those in which either stream stands still.
    pub stalls: u8,
    /// Where buffers lie.
    pub buffers: Placement,
}

impl Default for RootOptions {
    /// A host that answers after 500 ns, as a desktop does, and never stalls.
    fn default() -> RootOptions {
        RootOptions {
            seed: 1,
            max_payload: 256,
            max_request: 512,
            latency: 62,
            jitter: 0,
            split: false,
            reorder: false,
            straddle: true,
            stalls: 0,
            buffers: Placement::Above,
        }
    }
}

impl RootOptions {
    /// A host of bad manners: splits, reorders, delays and stalls at random.
    pub fn random(seed: u64) -> RootOptions {
        let mut random = Random::new(seed);
        RootOptions {
            seed,
            max_payload: 128 << random.below(3),
            max_request: 128 << random.below(3),
            latency: random.below(40),
            jitter: 1 + random.below(200),
            split: true,
            reorder: true,
            straddle: random.percent(75),
            stalls: random.below(40) as u8,
            buffers: if random.percent(50) { Placement::Above } else { Placement::Below },
        }
    }
}

/// What has moved on the card's streams since they were last looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that completions carried.
    pub read_bytes: u64,
    /// Bytes that the card's writes carried.
    pub written_bytes: u64,
    /// Beats to the card.
    pub rx_beats: u64,
    /// Beats from the card.
    pub tx_beats: u64,
    /// Cycles of the first and the last beat of data: of completions to the card, of the last beats of writes from it.
    pub span: Option<(u64, u64)>,
}

impl Traffic {
    pub(crate) fn note(&mut self, now: u64) {
        let first = self.span.map_or(now, |(first, _)| first);
        self.span = Some((first, now));
    }
}
