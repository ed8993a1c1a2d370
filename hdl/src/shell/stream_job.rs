//! What both streams between host and memory share: which part of the memory, burst after burst.

use isa::PcieConfig;
use isa::pcie::STREAM_ALIGN;

use super::crc32;
use crate::rtl::{Builder, Expr, cat, index_width, lit, mux};

/// Words of the longest burst: a quarter of a page, at whose borders bursts end.
const BURST_WORDS: u32 = 64;
/// Words that wait between LitePCIe and the memory: several bursts, so that one is moved while the next is prepared.
pub(super) const WAITING_WORDS: u32 = 256;

/// A stream under way.
pub(super) struct StreamJob {
    /// A stream begins: of this many words.
    pub start: Expr,
    pub words: Expr,
    /// It is under way.
    pub busy: Expr,
    /// It is to end where it is, as soon as no burst is open.
    pub ending: Expr,
    /// Words that no burst has been asked for yet.
    pub left: Expr,
    /// The next burst is known: this many words from this byte address on.
    pub sized: Expr,
    pub size: Expr,
    pub address: Expr,
    place: Expr,
    /// It begins, or is complete at once because it has no words.
    accepted: Expr,
    refused: Expr,
}

impl StreamJob {
    /// Inputs `start`, `offset`, `length` and `stop`, and what follows from them.
    pub fn new(m: &mut Builder, config: &PcieConfig) -> StreamJob {
        let byte_bits = STREAM_ALIGN.trailing_zeros();
        let memory_words = config.memory_bytes / STREAM_ALIGN;
        let place_bits = index_width(memory_words);
        let count_bits = place_bits + 1;

        m.comment("A stream begins if it is aligned, lies in the memory and none is under way.");
        let begin = m.input_doc("start", 1, "pulse");
        let offset = m.input_doc("offset", 32, "bytes; with start");
        let length = m.input_doc("length", 32, "bytes; with start");
        let stop = m.input_doc("stop", 1, "pulse: ends the stream where it is");
        let busy = m.reg_reset("busy", 1, 0);
        let aligned = offset.slice(0, byte_bits).is_zero() & length.slice(0, byte_bits).is_zero();
        let end = m.named("end_offset", &offset.add_wide(&length));
        let fits = end.le_lit(config.memory_bytes.into()) & !&busy;
        let accepted = m.named("accepted", &(&begin & aligned & fits));
        let words = m.named("words", &length.slice(byte_bits, count_bits));
        let start = m.named("starts", &(&accepted & words.any()));
        let refused = m.reg_reset("refused", 1, 0);
        m.set_if(&refused, &stop, &lit(0, 1));
        m.set_if(&refused, &(&begin & !&accepted), &lit(1, 1));
        let ending = m.reg_reset("ending", 1, 0);
        m.set_if(&ending, &(&stop & &busy), &lit(1, 1));

        m.comment("The next burst: up to the end, or to where bursts end.");
        let left = m.reg_reset("left", count_bits, 0);
        let place = m.reg("place", place_bits);
        m.set_if(&place, &start, &offset.slice(byte_bits, place_bits));
        m.set_if(&left, &start, &words);
        let size_bits = index_width(BURST_WORDS) + 1;
        // The smallest memory has more words than the longest burst, so widths only grow below.
        let into = place.slice(0, index_width(BURST_WORDS)).zext(size_bits);
        let to_border = lit(BURST_WORDS.into(), size_bits) - into;
        let ends = left.le(&to_border.zext(count_bits));
        let sized = m.reg_reset("sized", 1, 0);
        let measure = m.named("measure", &(left.any() & !&sized & !&start));
        let size = m.reg("size", size_bits);
        m.set_if(&size, &measure, &mux(&ends, &left.trunc(size_bits), &to_border));
        let address = m.reg("burst_address", config.core.address_bits);
        let base = lit(isa::pcie::MEMORY_BASE, config.core.address_bits);
        let bytes = cat(&[place.clone(), lit(0, byte_bits)]);
        m.set_if(&address, &measure, &(base + bytes.zext(config.core.address_bits)));
        m.set_if(&sized, &measure, &lit(1, 1));
        StreamJob { start, words, busy, ending, left, sized, size, address, place, accepted, refused }
    }

    /// The burst is asked for in cycles with `issue`; the stream is `over`, complete or given up.
    pub fn advance(&self, m: &mut Builder, issue: &Expr, over: &Expr) {
        m.set_if(&self.place, issue, &(&self.place + self.size.zext(self.place.width())));
        m.set_if(&self.left, over, &lit(0, self.left.width()));
        m.set_if(&self.left, issue, &(&self.left - self.size.zext(self.left.width())));
        m.set_if(&self.sized, &(issue | over), &lit(0, 1));
        m.set_if(&self.busy, &self.start, &lit(1, 1));
        m.set_if(&self.busy, over, &lit(0, 1));
        m.set_if(&self.ending, over, &lit(0, 1));
    }

    /// The stream's registers: words `done`, and a checksum of `data` in cycles with `counted`.
    pub fn report(&self, m: &mut Builder, done: &Expr, finished: &Expr, counted: &Expr, data: &Expr) {
        m.comment("Checksum, one word behind.");
        let counted = m.delay_reset("counted", counted);
        let word = m.delay("counted_word", data);
        let crc = m.reg_reset("crc_state", 32, u32::MAX.into());
        m.set_if(&crc, &self.accepted, &lit(u32::MAX.into(), 32));
        m.set_if(&crc, &counted, &crc32::step(&crc, &word));
        let bytes = cat(&[done.clone(), lit(0, STREAM_ALIGN.trailing_zeros())]);
        m.output_doc("busy", &self.busy, "a stream is under way");
        m.output_doc("refused", &self.refused, "a stream was not begun; until stop");
        m.output_doc("finished", finished, "pulse: the stream is complete");
        m.output_doc("done", &bytes.zext(32), "bytes of the latest stream that have moved");
        m.output_doc("crc", &!&crc, "their CRC-32");
    }

    /// Words that have moved: none when a stream begins, even an empty one.
    pub fn done(&self, m: &mut Builder, moved: &Expr, by: &Expr) -> Expr {
        let done = m.reg_reset("done_words", self.left.width(), 0);
        m.set_if(&done, &self.accepted, &lit(0, self.left.width()));
        m.set_if(&done, moved, &(&done + by.zext(self.left.width())));
        done
    }
}
