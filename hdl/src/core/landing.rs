//! Where the words of a block RAM land.

use crate::rtl::{Builder, Expr, Memory, index_width, lit};

/// Words that wait behind the block RAM: as many as a read and the way back to its enable take, so that a word leaves each cycle.
pub(super) const WORDS: u32 = 4;

/// A short queue in LUT RAM behind the read port of a block RAM, which delivers late in its cycle.
///
/// A read is allowed (`room`) when its word will find a place; this is registered state, so that nothing but a count depends on `pop` in
/// the same cycle.
pub(super) struct Landing {
    pub room: Expr,
    /// A word leaves.
    pub pop: Expr,
    pub valid: Expr,
    pub data: Expr,
    /// Words that were read and have not left; `arrives`: the last of them is at the block RAM's output.
    pub fetched: Expr,
    pub arrives: Expr,
    memory: Memory,
    head: Expr,
    tail: Expr,
}

impl Landing {
    /// `fetch` reads a word, which stands at `read` in the next cycle; a `flush` drops all words.
    pub fn build(m: &mut Builder, [fetch, read, pop_ready, flush]: [&Expr; 4]) -> Landing {
        let zero = |register: &Expr| lit(0, register.width());
        let fetched = m.reg_reset("fetched", index_width(WORDS) + 1, 0);
        let room = m.reg_reset("room", 1, 1);
        let valid = m.reg_reset("landed", 1, 0);
        let pop = m.named("pop", &(&valid & pop_ready));
        let next = &fetched + fetch.zext(fetched.width()) - pop.zext(fetched.width());
        let next = m.named("fetched_next", &next);
        m.set_if(&fetched, flush, &zero(&fetched));
        m.set(&fetched, &next);
        m.set_if(&room, flush, &lit(1, 1));
        m.set(&room, &next.lt_lit(WORDS.into()));
        let arrives = m.delay_reset("arrives", &(fetch & !flush));
        let memory = m.memory("landing", read.width(), WORDS);
        let head = m.reg_reset("landing_head", index_width(WORDS), 0);
        let tail = m.reg_reset("landing_tail", index_width(WORDS), 0);
        m.write(&memory, &arrives, &tail, read);
        for (pointer, moves) in [(&head, &pop), (&tail, &arrives)] {
            m.set_if(pointer, flush, &zero(pointer));
            m.set_if(pointer, moves, &pointer.inc());
        }
        let one_left = m.named("one_left", &(&tail - &head).eq_lit(1));
        m.set_if(&valid, flush, &lit(0, 1));
        m.set_if(&valid, &arrives, &lit(1, 1));
        m.set_if(&valid, &(&pop & one_left), &lit(0, 1));
        let data = m.read_async(&memory, &head);
        Landing { room, pop, valid, data, fetched, arrives, memory, head, tail }
    }

    /// For proofs: words that have landed.
    pub fn held(&self) -> Expr {
        &self.fetched - self.arrives.zext(self.fetched.width())
    }

    /// For proofs: the word behind `ahead` others.
    pub fn word(&self, m: &mut Builder, ahead: &Expr) -> Expr {
        let slot = &self.head + ahead.trunc(self.head.width());
        m.read_async(&self.memory, &slot)
    }

    /// For proofs: counts, flags and pointers agree.
    pub fn rules(&self, m: &mut Builder) {
        let held = self.held();
        m.assert_formal(
            "no_landing_overflow",
            "No more words are read than find a place.",
            &(self.fetched.le_lit(WORDS.into()) & (!&self.arrives | self.fetched.any())),
        );
        m.assert_formal(
            "landing_flags",
            "There is room while fewer than four words were read; a word is offered while one has landed.",
            &(self.room.eq(&self.fetched.lt_lit(WORDS.into())) & self.valid.eq(&held.any())),
        );
        m.assert_formal(
            "landing_pointers",
            "The pointers are as far apart as words have landed.",
            &(&self.tail - &self.head).eq(&held.trunc(self.head.width())),
        );
    }
}
