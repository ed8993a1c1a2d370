//! Answers the card's reads of host memory.

use super::memory::HostMemory;
use super::tlp::{DWORD, Status, Tlp};
use crate::axi::random::Random;
use std::collections::VecDeque;

/// Read completion boundary: completions that are not a read's last end at multiples of it (2.3.1.1).
const BOUNDARY: u64 = 64;
/// ID of whoever answers.
pub(crate) const ROOT: u16 = 0;
/// What poisoned data look like: not what they should.
const POISON: u8 = 0xa5;

/// What goes wrong with one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No completion ever comes.
    Lost,
    /// It is answered with Unsupported Request.
    Unsupported,
    /// Its data are wrong and marked as poisoned.
    Poisoned,
    /// Before the answer comes one to a tag that asked nothing, with data of its own.
    Unexpected {
        /// The tag.
        tag: u8,
    },
}

/// How answers come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Answers come in pieces of random size.
    pub(crate) split: bool,
    /// Those of different reads come in any order.
    pub(crate) reorder: bool,
}

#[derive(Debug)]
struct Pending {
    requester: u16,
    tag: u8,
    /// What is still to be sent.
    address: u64,
    bytes: usize,
    ready_at: u64,
    fault: Option<Fault>,
}

/// Reads that wait for their answer.
#[derive(Debug, Default)]
pub(crate) struct Completer {
    pending: Vec<Pending>,
    /// Reads since power-up, and what happens to some of them.
    reads: u64,
    faults: VecDeque<(u64, Fault)>,
}

impl Completer {
    /// Lets something go wrong with the read that comes after `skip` others.
    pub(crate) fn inject(&mut self, skip: u64, fault: Fault) {
        self.faults.push_back((self.reads + skip, fault));
    }

    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn clear(&mut self) {
        self.pending.clear();
    }

    /// Takes a read of the card.
    pub(crate) fn ask(&mut self, [requester, tag]: [u16; 2], address: u64, bytes: usize, ready_at: u64) {
        let position = self.faults.iter().position(|(at, _)| *at == self.reads);
        let fault = position.and_then(|position| self.faults.remove(position)).map(|(_, fault)| fault);
        self.reads += 1;
        if fault != Some(Fault::Lost) {
            self.pending.push(Pending { requester, tag: tag as u8, address, bytes, ready_at, fault });
        }
    }

    /// The next completion, if one is due.
    pub(crate) fn answer(
        &mut self,
        now: u64,
        manner: &Manner,
        max_payload: usize,
        random: &mut Random,
        memory: &mut impl HostMemory,
    ) -> Option<Tlp> {
        let due: Vec<usize> = match manner.reorder {
            true => (0..self.pending.len()).filter(|&i| self.pending[i].ready_at <= now).collect(),
            false => (0..self.pending.len().min(1)).filter(|&i| self.pending[i].ready_at <= now).collect(),
        };
        if due.is_empty() {
            return None;
        }
        let index = due[random.below(due.len() as u64) as usize];
        let read = &mut self.pending[index];
        if let Some(Fault::Unexpected { tag }) = read.fault {
            read.fault = None;
            return Some(completion(read.requester, tag, read.address, 16, vec![POISON; 16], false));
        }
        // Up to a boundary, or all that is left.
        let most = match manner.split {
            true => BOUNDARY * (1 + random.below((max_payload as u64 / BOUNDARY).max(1))),
            false => max_payload as u64,
        };
        let border = (read.address + most) / BOUNDARY * BOUNDARY;
        let piece = (border - read.address).min(read.bytes as u64) as usize;
        let mut data = vec![0; piece];
        let refused = memory.read(read.address, &mut data).is_err() || read.fault == Some(Fault::Unsupported);
        if refused {
            let read = self.pending.remove(index);
            return Some(Tlp::Completion {
                completer: ROOT,
                requester: read.requester,
                tag: read.tag,
                status: Status::UnsupportedRequest,
                byte_count: read.bytes as u32,
                lower_address: read.address as u8 & 0x7f,
                data: Vec::new(),
                poisoned: false,
            });
        }
        let poisoned = read.fault == Some(Fault::Poisoned);
        if poisoned {
            data.iter_mut().for_each(|byte| *byte ^= POISON);
        }
        let answer = completion(read.requester, read.tag, read.address, read.bytes, data, poisoned);
        read.address += piece as u64;
        read.bytes -= piece;
        if read.bytes == 0 {
            self.pending.remove(index);
        }
        Some(answer)
    }
}

fn completion(requester: u16, tag: u8, address: u64, left: usize, data: Vec<u8>, poisoned: bool) -> Tlp {
    debug_assert!(data.len().is_multiple_of(DWORD));
    Tlp::Completion {
        completer: ROOT,
        requester,
        tag,
        status: Status::Successful,
        byte_count: left as u32,
        lower_address: address as u8 & 0x7f,
        data,
        poisoned,
    }
}
