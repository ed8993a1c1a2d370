//! Packets on the 128-bit streams of the hard block (PG054, "128-bit transaction interface").

use std::collections::VecDeque;

/// Double words of a beat.
const LANES: usize = 4;
/// The lane in which a packet may begin behind the end of another.
const MIDDLE: usize = 2;
/// Bit of `m_axis_rx_tuser` that says BAR 0 is meant.
const BAR0_HIT: u32 = 1 << 2;
/// Where it says in which byte a packet begins, and ends; each with a bit above that says it does.
const START: u32 = 10;
const END: u32 = 17;
const PRESENT: u32 = 1 << 4;

/// A beat to the card.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    pub(crate) lanes: [u32; LANES],
    pub(crate) user: u32,
}

impl Beat {
    /// Whether all in it answers requests of the card.
    pub(crate) fn of_completion(&self) -> bool {
        self.user & BAR0_HIT == 0
    }
}

/// Packets on their way to the card.
#[derive(Debug, Default)]
pub(crate) struct ToCard {
    waiting: VecDeque<(Vec<u32>, bool)>,
    /// The packet that is half way, where it goes on, and whether it is for BAR 0.
    current: Option<(Vec<u32>, usize, bool)>,
}

impl ToCard {
    /// Puts a packet behind the others.
    pub(crate) fn push(&mut self, packet: Vec<u32>, bar: bool) {
        self.waiting.push_back((packet, bar));
    }

    /// Packets that are not on the stream yet.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The next beat; with `straddle` a packet may begin in the one in which another ends.
    pub(crate) fn beat(&mut self, straddle: bool) -> Option<Beat> {
        let mut beat = Beat { lanes: [0; LANES], user: 0 };
        match self.current.take() {
            Some((packet, from, bar)) => {
                let used = self.place(&mut beat, 0, packet, from, bar);
                if straddle && used <= MIDDLE && self.current.is_none() && !self.waiting.is_empty() {
                    self.begin(&mut beat, MIDDLE);
                }
            }
            None if self.waiting.is_empty() => return None,
            None => self.begin(&mut beat, 0),
        }
        Some(beat)
    }

    fn begin(&mut self, beat: &mut Beat, lane: usize) {
        if let Some((packet, bar)) = self.waiting.pop_front() {
            beat.user |= (PRESENT | (4 * lane) as u32) << START;
            self.place(beat, lane, packet, 0, bar);
        }
    }

    /// Fills the lanes from `lane` on; returns how many double words it placed.
    fn place(&mut self, beat: &mut Beat, lane: usize, packet: Vec<u32>, from: usize, bar: bool) -> usize {
        let count = (packet.len() - from).min(LANES - lane);
        beat.lanes[lane..lane + count].copy_from_slice(&packet[from..from + count]);
        beat.user |= if bar { BAR0_HIT } else { 0 };
        if from + count == packet.len() {
            beat.user |= (PRESENT | (4 * (lane + count) - 1) as u32) << END;
        } else {
            self.current = Some((packet, from + count, bar));
        }
        count
    }
}

/// A packet that comes from the card.
#[derive(Debug, Default)]
pub(crate) struct FromCard {
    packet: Vec<u32>,
}

impl FromCard {
    /// Adds a beat, of which `keep` names the bytes; returns the packet that ends with it.
    pub(crate) fn take(&mut self, lanes: [u32; LANES], keep: u16, last: bool) -> Option<Vec<u32>> {
        let kept = lanes.iter().enumerate().filter(|(lane, _)| keep >> (4 * lane) & 1 == 1);
        self.packet.extend(kept.map(|(_, lane)| *lane));
        last.then(|| std::mem::take(&mut self.packet))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a receiver sees: packets by their marks.
    fn received(mut stream: ToCard, straddle: bool) -> (Vec<Vec<u32>>, usize) {
        let (mut packets, mut open, mut beats) = (Vec::new(), Vec::new(), 0);
        while let Some(beat) = stream.beat(straddle) {
            beats += 1;
            let mark =
                |at: u32| (beat.user >> at & PRESENT != 0).then_some((beat.user >> at & 0xf) as usize / 4);
            let (start, end) = (mark(START), mark(END));
            for lane in 0..LANES {
                if start == Some(lane) {
                    assert!(open.is_empty());
                }
                let inside = !open.is_empty() || start == Some(lane);
                if inside {
                    open.push(beat.lanes[lane]);
                }
                if end == Some(lane) {
                    packets.push(std::mem::take(&mut open));
                }
            }
        }
        (packets, beats)
    }

    #[test]
    fn straddled_packets_are_the_same_in_fewer_beats() {
        let packets: Vec<Vec<u32>> = [35, 4, 67, 3, 5, 6].iter().map(|&n| (1..=n).collect()).collect();
        let [apart, together] = [false, true].map(|straddle| {
            let mut stream = ToCard::default();
            packets.iter().for_each(|packet| stream.push(packet.clone(), false));
            let (found, beats) = received(stream, straddle);
            assert_eq!(found, packets);
            beats
        });
        assert!(together < apart, "{together} {apart}");
    }
}
