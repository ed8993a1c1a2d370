//! A request for words of memory: checked, and cut into bursts. What both bus masters share.

use isa::ErrorCode;

use super::codes::error;
use crate::rtl::{Builder, Expr, cat, lit, mux};

/// Longest burst in beats.
pub(super) const MAX_BURST: u32 = 16;
/// Bits of the beats of a burst.
pub(super) const BEAT_BITS: u32 = 5;
/// Bits of the words of a burst.
const BURST_WORD_BITS: u32 = 6;

/// A request that is checked and cut into bursts.
pub(super) struct Request {
    /// Byte offset and words of what is left of it, and where it ends.
    pub offset: Expr,
    pub words: Expr,
    pub end: Expr,
    /// The next burst is there: its beats and words.
    pub cut: Expr,
    pub beats: Expr,
    pub burst_words: Expr,
    /// It is the request's last.
    pub last: Expr,
    /// The request is refused, for one cycle, and why.
    pub refused: Expr,
    pub code: Expr,
}

impl Request {
    /// Registers that `take` loads and whose next burst `issue` uses up. A burst is checked and cut in a cycle of its own and may
    /// be issued in the next, or is refused there. `busy` says that there is a request.
    pub fn build(
        m: &mut Builder,
        name: &str,
        bus_words: u32,
        memory_size: &Expr,
        [take, issue, busy, flush]: [&Expr; 4],
        [next_offset, next_words]: [&Expr; 2],
    ) -> Request {
        let port = |suffix: &str| format!("{name}_{suffix}");
        let bits = next_words.width();
        m.fits(&port("beats"), MAX_BURST.into(), BEAT_BITS);
        m.fits(&port("burst_words"), u64::from(MAX_BURST * bus_words), BURST_WORD_BITS);
        // In words of eight bytes, of a memory window of 32 bits.
        m.fits(&port("end"), ((1 << bits) - 1) << 3, 32);
        let offset = m.reg(&port("offset"), 32);
        let words = m.reg(&port("words"), bits);
        let end = m.reg(&port("end"), 33);
        let bytes = cat(&[next_words.clone(), lit(0, 3)]).zext(33);
        m.set_if(&end, take, &(next_offset.zext(33) + bytes));
        let cut = m.reg_reset(&port("cut"), 1, 0);
        let refused = m.reg_reset(&port("refused"), 1, 0);
        let cuts = m.named(&port("cuts"), &(busy & !(&cut | &refused | flush)));
        let (bad, bad_code) = fault(m, name, [&offset, &words, &end], bus_words, memory_size);
        let (next_burst, ends) = burst(m, name, &offset, &words, bus_words);
        let mut keep = |name: &str, value: &Expr| m.sample(&port(name), &cuts, value);
        let beats = keep("beats", &next_burst.slice(bus_words - 1, BEAT_BITS));
        let burst_words = keep("burst_words", &next_burst);
        let last = keep("last_burst", &ends);
        let code = keep("refusal", &bad_code);
        m.set(&refused, &(&cuts & &bad));
        m.set_if(&cut, flush, &lit(0, 1));
        m.set_if(&cut, &cuts, &!bad);
        m.set_if(&cut, issue, &lit(0, 1));
        m.set_if(&offset, take, next_offset);
        m.set_if(&offset, issue, &(&offset + cat(&[burst_words.clone(), lit(0, 3)]).zext(32)));
        m.set_if(&words, take, next_words);
        m.set_if(&words, issue, &(&words - burst_words.zext(bits)));
        Request { offset, words, end, cut, beats, burst_words, last, refused, code }
    }

    /// For proofs: what is cut fits the bus, the request and the window.
    pub fn rules(&self, m: &mut Builder, name: &str, busy: &Expr, bus_words: u32, memory_size: &Expr) {
        let Request { offset, words, end, cut, beats, burst_words, .. } = self;
        let bits = words.width();
        let bytes = cat(&[words.clone(), lit(0, 3)]).zext(33);
        m.assert_formal(
            &format!("{name}_end_is_right"),
            "A request is checked by where it ends.",
            &(!busy | end.eq(&(offset.zext(33) + bytes))),
        );
        m.assert_formal(
            &format!("{name}_cut_of_request"),
            "There is a burst only of a request that is not refused.",
            &(!(cut | &self.refused) | (busy & !(cut & &self.refused))),
        );
        let to_border = lit(512, 10) - offset.slice(3, 9).zext(10);
        let fits = beats.eq(&burst_words.slice(bus_words - 1, BEAT_BITS))
            & beats.any()
            & beats.le_lit(u64::from(MAX_BURST))
            & burst_words.zext(bits).le(words)
            & burst_words.zext(10).le(&to_border)
            & self.last.eq(&burst_words.zext(bits).eq(words));
        m.assert_formal(
            &format!("{name}_burst_fits"),
            "The burst that waits has 1 to 16 beats, keeps off the next 4 KiB border and stays in its request.",
            &(!cut | fits),
        );
        m.assert_formal(
            &format!("{name}_in_window"),
            "What is left of a request that is cut lies in the memory window.",
            &(!cut | in_window(offset, words, bus_words, memory_size)),
        );
    }
}

/// The next burst of a request in words, limited by the burst length and the next 4 KiB border, and whether it is the last.
fn burst(m: &mut Builder, name: &str, offset: &Expr, words: &Expr, bus_words: u32) -> (Expr, Expr) {
    let most = MAX_BURST * bus_words;
    let bits = most.trailing_zeros();
    let near = m.named(&format!("{name}_near_border"), &offset.slice(3 + bits, 9 - bits).all());
    let most = lit(u64::from(most), BURST_WORD_BITS);
    let past_border = offset.slice(3, bits);
    let bounded = mux(&near, &(&most - past_border.zext(BURST_WORD_BITS)), &most);
    // Counted from the last border that a burst may begin at: no difference has to be known before the comparison.
    let words = words.zext(words.width().max(BURST_WORD_BITS));
    let few = words.trunc(BURST_WORD_BITS).zext(BURST_WORD_BITS + 1);
    let end = m.named(&format!("{name}_burst_end"), &(&few + past_border.zext(BURST_WORD_BITS + 1)));
    let most = u64::from(MAX_BURST * bus_words);
    let ends = mux(&near, &end.le_lit(most), &few.le_lit(most)) & words.shr(BURST_WORD_BITS).is_zero();
    let ends = m.named(&format!("{name}_ends"), &ends);
    (m.named(&format!("{name}_next_burst"), &mux(&ends, &words.trunc(BURST_WORD_BITS), &bounded)), ends)
}

/// Whether a request is empty, leaves the memory window or is not aligned to the bus, and the error code.
fn fault(
    m: &mut Builder,
    name: &str,
    [offset, words, end]: [&Expr; 3],
    bus_words: u32,
    memory_size: &Expr,
) -> (Expr, Expr) {
    let outside = m.named(&format!("{name}_outside"), &end.gt(&memory_size.zext(33)));
    let mut unaligned = offset.slice(0, 3).any();
    if bus_words == 2 {
        unaligned = unaligned | offset.bit(3) | words.bit(0);
    }
    let unaligned = m.named(&format!("{name}_unaligned"), &unaligned);
    // AXI has no burst without beats: its length would wrap, and the bus would never count as idle again.
    let empty = m.named(&format!("{name}_empty"), &words.is_zero());
    let code = mux(&unaligned, &error(ErrorCode::Unaligned), &error(ErrorCode::OutOfRange));
    let code = mux(&empty, &error(ErrorCode::BadShape), &code);
    (outside | unaligned | empty, code)
}

/// For proofs: whether `words` 64-bit words from `offset` are whole beats in the memory window.
pub(super) fn in_window(offset: &Expr, words: &Expr, bus_words: u32, memory_size: &Expr) -> Expr {
    let end = offset.zext(33) + cat(&[words.clone(), lit(0, 3)]).zext(33);
    let aligned = offset.slice(0, 3 + bus_words.trailing_zeros()).is_zero();
    let whole = if bus_words == 2 { !words.bit(0) } else { lit(1, 1) };
    aligned & whole & words.any() & end.le(&memory_size.zext(33))
}

/// For proofs: the rules of AXI4 for the shape of a burst.
pub(super) fn burst_rules(
    m: &mut Builder,
    channel: &str,
    valid: &Expr,
    address: &Expr,
    length: &Expr,
    bytes: u32,
) {
    let beats = length.zext(13) + lit(1, 13);
    let end = address.slice(0, 12).zext(13) + beats.shl(bytes.trailing_zeros());
    m.assert_formal(
        &format!("{channel}_within_4k"),
        "A3.4.1: a burst does not cross a 4 KiB border.",
        &(!valid | end.le_lit(4096)),
    );
    m.assert_formal(
        &format!("{channel}_length"),
        "A burst has 1 to 16 beats.",
        &(!valid | length.lt_lit(u64::from(MAX_BURST))),
    );
    m.assert_formal(
        &format!("{channel}_aligned"),
        "A burst is aligned to the bus.",
        &(!valid | address.slice(0, bytes.trailing_zeros()).is_zero()),
    );
}

/// For proofs: a burst on the bus stays in the memory window.
pub(super) fn inside_window(
    m: &mut Builder,
    channel: &str,
    valid: &Expr,
    offset: &Expr,
    length: &Expr,
    memory_size: &Expr,
    bytes: u32,
) {
    let beats = length.zext(33) + lit(1, 33);
    let end = offset.zext(33) + beats.shl(bytes.trailing_zeros());
    m.assert_formal(
        &format!("{channel}_in_window"),
        "No burst leaves the memory window.",
        &(!valid | end.le(&memory_size.zext(33))),
    );
}
