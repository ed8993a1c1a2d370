//! The rules of AXI4's write channels, and the way of each word.

use isa::CoreConfig;

use super::super::landing;
use super::super::request::{burst_rules, inside_window};
use super::{WORDS, Writer};
use crate::rtl::{Builder, Expr, lit, mux};

impl Writer {
    pub(super) fn rules(&self, m: &mut Builder, config: &CoreConfig) {
        let bus_words = config.bus_bits / 64;
        self.bursts_are_legal(m, config, bus_words);
        self.words_leave_in_order(m, bus_words);
        self.responses_are_counted(m);
    }

    fn bursts_are_legal(&self, m: &mut Builder, config: &CoreConfig, bus_words: u32) {
        m.comment("AXI4 write channels (IHI 0022).");
        m.assert_stable(
            "aw_stays",
            "A3.2.1: AWVALID and the address stay until AWREADY.",
            &(&self.burst.aw_valid & !&self.ports.aw_ready),
            &[&self.burst.aw_valid, &self.address, &self.length],
        );
        m.assert_stable(
            "w_stays",
            "A3.2.1: WVALID and the data stay until WREADY.",
            &(&self.burst.w_valid & !&self.ports.w_ready),
            &[&self.burst.w_valid, &self.data, &self.strobe, &self.last],
        );
        burst_rules(m, "aw", &self.burst.aw_valid, &self.address, &self.length, config.bus_bytes());
        inside_window(
            m,
            "aw",
            &self.burst.aw_valid,
            &self.last_offset,
            &self.length,
            &self.ports.memory_size,
            config.bus_bytes(),
        );
        self.burst.request.rules(m, "write", &self.burst.pending, bus_words, &self.ports.memory_size);

        m.comment("Beats of the latest burst that were put on the data channel.");
        let any_burst = m.reg_reset("any_burst", 1, 0);
        m.set_if(&any_burst, &self.burst.issue, &lit(1, 1));
        let beats_sent = m.reg_reset("beats_sent", 5, 0);
        m.set_if(&beats_sent, &self.burst.issue, &lit(0, 5));
        m.set_if(&beats_sent, &self.send, &beats_sent.inc());
        let of_latest = beats_sent.any();
        m.assert_formal(
            "beats_add_up",
            "A3.4.1: a burst has as many beats as its address said.",
            &(!&any_burst
                | (self.length.lt_lit(16)
                    & self.burst.beats_left.le_lit(16)
                    & beats_sent.le_lit(16)
                    & (&beats_sent + &self.burst.beats_left).eq(&self.length.slice(0, 5).inc()))),
        );
        m.assert_formal(
            "nothing_without_address",
            "No beat is sent before a burst is issued.",
            &(&any_burst
                | (self.burst.beats_left.is_zero()
                    & !&self.burst.w_valid
                    & !&self.burst.aw_valid
                    & self.burst.under_way.is_zero())),
        );
        m.assert_formal(
            "wlast_at_the_last",
            "A3.2.2: WLAST is high with the last beat of a burst, and only then.",
            &(!&self.burst.w_valid | self.last.eq(&(!&of_latest | self.burst.beats_left.is_zero()))),
        );
    }

    fn words_leave_in_order(&self, m: &mut Builder, bus_words: u32) {
        m.comment(
            "Words are numbered as they are taken, modulo 64; a flush drops those in the queue. The proof picks any number.",
        );
        let taken = m.named(
            "word_taken",
            &(&self.ports.word_valid & &self.queues.burst_room & &self.queues.word_room & !&self.ports.flush),
        );
        let popped =
            m.named("word_popped", &(&self.queues.pop_word & &self.queues.words.output("pop_valid")));
        let count_taken = m.reg_reset("words_taken", 6, 0);
        m.set_if(&count_taken, &taken, &count_taken.inc());
        let count_popped = m.reg_reset("words_popped", 6, 0);
        m.set_if(&count_popped, &self.ports.flush, &count_taken);
        m.set_if(&count_popped, &popped, &count_popped.inc());
        let watched = m.any_constant("watched_word", 6);
        let watched_data = m.reg("watched_data", 64);
        m.set_if(&watched_data, &(&taken & count_taken.eq(&watched)), &self.ports.word_data);
        let queued = m.named("words_queued", &(&count_taken - &count_popped));
        let most = u64::from(WORDS + landing::WORDS);
        m.assume_formal(
            "words_fit",
            "Proved of the FIFO: it holds no more than its depth and the words that have landed; if there is room, fewer.",
            &(queued.le_lit(most) & (queued.lt_lit(most) | !&self.queues.word_room)),
        );
        m.assume_formal(
            "words_in_order",
            "Proved of the FIFO: the n-th word that leaves is the n-th that came.",
            &(!&self.queues.words.output("pop_valid")
                | (queued.any()
                    & (!count_popped.eq(&watched) | self.queues.words.output("pop_data").eq(&watched_data)))),
        );
        let next_word = m.reg_reset("next_word", 6, 0);
        m.set_if(&next_word, &self.ports.flush, &count_taken);
        m.set_if(&next_word, &self.send, &(&next_word + lit(bus_words.into(), 6)));
        let held = match &self.beat.low {
            Some((low, low_valid)) => {
                m.assert_formal(
                    "low_word_follows",
                    "The lower half of the next beat is the word that was taken from the queue last.",
                    &(!(low_valid & next_word.eq(&watched)) | low.eq(&watched_data)),
                );
                low_valid.zext(6)
            }
            None => lit(0, 6),
        };
        m.assert_formal(
            "words_once_in_order",
            "Words go on the data channel in the order in which they were taken, each once: the next one is the oldest of \
             those that did not.",
            &count_popped.eq(&(&next_word + held)),
        );
        let ahead = &watched - &next_word;
        let puts = &self.send & !&self.ports.flush & ahead.lt_lit(bus_words.into());
        let on_channel = m.reg_reset("watched_on_channel", 1, 0);
        m.set_if(&on_channel, &self.send, &puts);
        let lane_put = m.reg("watched_lane", 1);
        m.set_if(&lane_put, &self.send, &ahead.bit(0));
        let value_put = m.reg("watched_put", 64);
        m.set_if(&value_put, &self.send, &watched_data);
        let dropped = m.reg("put_in_flush", 1);
        m.set_if(&dropped, &self.send, &self.ports.flush);
        let lane = if bus_words == 1 { self.data.clone() } else { self.data.slice_at(&lane_put, 64) };
        m.assert_formal(
            "data_as_taken",
            "A beat carries its words as they were taken, the first one in the lowest lane.",
            &(!(&self.burst.w_valid & &on_channel) | lane.eq(&value_put)),
        );
        m.assert_formal(
            "strobes",
            "A beat is written whole; one that a flush left without its words is not written at all.",
            &(!&self.burst.w_valid | mux(&dropped, &self.strobe.is_zero(), &self.strobe.all())),
        );
    }

    fn responses_are_counted(&self, m: &mut Builder) {
        m.comment("Bursts whose address, and whose last beat, the memory took and did not answer.");
        let mut unanswered = |name: &str, taken: Expr| {
            let count = m.reg_reset(name, 8, 0);
            m.set(&count, &(&count + taken.zext(8) - self.ports.b_valid.zext(8)));
            count
        };
        let addresses = unanswered("addresses_unanswered", &self.burst.aw_valid & &self.ports.aw_ready);
        let datas = unanswered("datas_unanswered", &self.burst.w_valid & &self.ports.w_ready & &self.last);
        m.assume_formal(
            "answers_are_due",
            "A3.3.1: a response comes after the address and the last beat of its burst.",
            &(!&self.ports.b_valid | (addresses.any() & datas.any())),
        );
        m.assert_formal(
            "all_are_counted",
            "Every burst from its issue to its response counts as under way; 128 at most.",
            &(self.burst.under_way.le_lit(128)
                & addresses.le(&self.burst.under_way)
                & datas.le(&self.burst.under_way)
                & self.burst.under_way.eq(&(&addresses + self.burst.aw_valid.zext(8)))
                & self.burst.under_way.eq(&(&datas
                    + self.burst.beats_left.any().zext(8)
                    + (&self.burst.w_valid & &self.last).zext(8)))),
        );
        m.assert_formal(
            "retired_when_answered",
            "A layer is retired only when every burst has its response.",
            &(!&self.burst.retire
                | (self.burst.under_way.is_zero() & self.burst.beats_left.is_zero() & !&self.burst.pending)),
        );
    }
}
