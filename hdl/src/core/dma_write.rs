//! AXI4 write bursts.

use std::rc::Rc;

use isa::CoreConfig;

use super::landing;
use super::request::{BEAT_BITS, Request, burst_rules, inside_window};
use super::shaped;
use super::stream_fifo::stream_fifo;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, lit, mux};

/// Words that wait for their burst.
const WORDS: u32 = 16;
/// Bursts that wait.
const BURSTS: u32 = 16;
/// Most bursts that wait for their response; a power of two.
const MOST_UNDER_WAY: u64 = 128;
/// Bits of a burst's length in words.
pub(super) const BURST_WORD_BITS: u32 = 4;

/// Writes the packer's bursts, and says when a layer's are all acknowledged.
///
/// A burst is announced after its last word, so the data of every address that goes out is there: the master never holds the
/// data channel. A burst is checked and cut at the 4 KiB border in a cycle of its own. `layer_end` enters the burst queue as a marker; when it comes out and no response is missing, `layer_retired`
/// pulses. While `flush` is high queued bursts are dropped; the one on the bus is finished with all strobes low.
pub fn dma_write(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("dma_write", config)?;
    let bus = config.bus_bits;
    let bus_words = bus / 64;
    let words_fifo = stream_fifo(64, WORDS)?;
    let burst_fifo = stream_fifo(33 + BURST_WORD_BITS, BURSTS)?;
    let doc = "AXI4 write master. A burst goes out only when all its data is there; a marker in the burst queue tells when\n\
               all of a layer's bursts are acknowledged.";
    Module::build("dma_write", doc, |m: &mut Builder| {
        let flush = m.input_doc("flush", 1, "drop what is queued");
        let memory_base = m.input("memory_base", config.address_bits);
        let memory_size = m.input("memory_size", 32);
        let word_valid = m.input("word_valid", 1);
        let word_data = m.input("word_data", 64);
        let burst_valid = m.input_doc("burst_valid", 1, "with the burst's last word");
        let burst_offset = m.input("burst_offset", 32);
        let burst_words = m.input("burst_words", BURST_WORD_BITS);
        m.carries(&burst_words, u64::from(config.lanes / 8));
        let layer_end =
            m.input_doc("layer_end", 1, "no burst of the layer follows; not together with a word");
        let aw_ready = m.input("awready", 1);
        let w_ready = m.input("wready", 1);
        let b_valid = m.input("bvalid", 1);
        let b_resp = m.input("bresp", 2);
        let b_id = m.input("bid", 1);
        m.unused(&b_id);
        m.unused(&b_resp.bit(0));

        m.comment("Queues.");
        let pop_word = m.wire("pop_word", 1);
        let pop_burst = m.wire("pop_burst", 1);
        let burst_room = m.wire("burst_room", 1);
        let word_push = m.named("word_push", &(&word_valid & &burst_room));
        let words = m.instance(
            "words",
            &words_fifo,
            &[
                ("flush", flush.clone()),
                ("push_valid", word_push),
                ("push_data", word_data.clone()),
                ("pop_ready", pop_word.clone()),
            ],
        );
        let word_room = words.output("push_ready");
        let announced = (&word_valid & &word_room & &burst_valid) | &layer_end;
        let entry = cat(&[layer_end.clone(), burst_words.clone(), burst_offset.clone()]);
        let bursts = m.instance(
            "bursts",
            &burst_fifo,
            &[
                ("flush", flush.clone()),
                ("push_valid", announced),
                ("push_data", entry),
                ("pop_ready", pop_burst.clone()),
            ],
        );
        m.assign(&burst_room, &bursts.output("push_ready"));

        m.comment("The burst to be written next: check it, wait for the data channel.");
        let pending = m.reg_reset("pending", 1, 0);
        let take = m.wire("take", 1);
        let issue = m.wire("issue", 1);
        let head = m.named("head", &bursts.output("pop_data"));
        let head_valid = bursts.output("pop_valid");
        let marker = m.named("marker", &(&head_valid & head.bit(32 + BURST_WORD_BITS)));
        let beats_left = m.reg_reset("beats_left", BEAT_BITS, 0);
        let under_way = m.reg_reset("bursts_under_way", 8, 0);
        m.carries(&under_way, MOST_UNDER_WAY);
        let aw_valid = m.reg_reset("awvalid", 1, 0);
        let w_valid = m.reg_reset("wvalid", 1, 0);
        let w_free = m.named("w_free", &(!&w_valid | &w_ready));
        let next = [head.slice(0, 32), head.slice(32, BURST_WORD_BITS).zext(BURST_WORD_BITS + 3)];
        let controls = [&take, &issue, &pending, &flush];
        let request = Request::build(m, "write", bus_words, &memory_size, controls, [&next[0], &next[1]]);
        let beats = request.beats.clone();
        // However slow the memory is, the count must not wrap.
        let all_out = under_way.bit(MOST_UNDER_WAY.trailing_zeros());
        let may_go = beats_left.is_zero() & (!&aw_valid | &aw_ready) & !all_out;
        m.assign(&issue, &(&request.cut & !&flush & may_go));
        let finishes = m.named("finishes", &(&issue & &request.last));
        m.assign(&take, &(&head_valid & !&marker & !&pending & !&flush));
        let all_answered = under_way.is_zero() & !&pending & beats_left.is_zero();
        let retire = m.named("retire", &(&marker & all_answered & !&flush));
        m.assign(&pop_burst, &(&take | &retire));
        m.set_if(&pending, &flush, &lit(0, 1));
        m.set_if(&pending, &take, &lit(1, 1));
        m.set_if(&pending, &(&finishes | &request.refused), &lit(0, 1));

        m.comment("Address channel.");
        m.set_if(&aw_valid, &issue, &lit(1, 1));
        m.set_if(&aw_valid, &aw_ready, &lit(0, 1));
        let mut issued = |name: &str, value: &Expr| m.sample(name, &issue, value);
        let address = issued("awaddr", &(&memory_base + request.offset.zext(config.address_bits)));
        let length = issued("awlen", &beats.dec().zext(8));
        let last_offset = issued("last_offset", &request.offset);

        m.comment("Data channel.");
        let fifo_valid = words.output("pop_valid");
        let fifo_data = words.output("pop_data");
        let wants_beat = m.named("wants_beat", &(beats_left.any() & &w_free));
        let mut low_held = None;
        let (beat_there, beat) = if bus_words == 1 {
            m.assign(&pop_word, &(&wants_beat & !&flush));
            (fifo_valid.clone(), fifo_data.clone())
        } else {
            let low = m.reg("low_word", 64);
            let low_valid = m.reg_reset("low_valid", 1, 0);
            m.assign(&pop_word, &((!&low_valid | &wants_beat) & !&flush));
            m.set_if(&low, &(&fifo_valid & !&low_valid), &fifo_data);
            m.set_if(&low_valid, &flush, &lit(0, 1));
            m.set_if(&low_valid, &(&fifo_valid & !&low_valid), &lit(1, 1));
            m.set_if(&low_valid, &(&fifo_valid & &wants_beat), &lit(0, 1));
            let beat = cat(&[fifo_data.clone(), low.clone()]);
            low_held = Some((low, low_valid.clone()));
            (&fifo_valid & &low_valid, beat)
        };
        let send = m.named("send", &(&wants_beat & (&beat_there | &flush)));
        m.set_if(&beats_left, &issue, &beats);
        m.set_if(&beats_left, &send, &beats_left.dec());
        m.set_if(&w_valid, &send, &lit(1, 1));
        m.set_if(&w_valid, &w_ready, &lit(0, 1));
        let mut sent = |name: &str, value: &Expr| m.sample(name, &send, value);
        let data = sent("wdata", &beat);
        let strobe = sent("wstrb", &mux(&flush, &lit(0, bus / 8), &lit(1, 1).repeat(bus / 8)));
        let last = sent("wlast", &beats_left.eq_lit(1));
        m.set(&under_way, &(&under_way + issue.zext(8) - b_valid.zext(8)));

        m.formal(|m| {
            m.comment("AXI4 write channels (IHI 0022).");
            m.assert_stable(
                "aw_stays",
                "A3.2.1: AWVALID and the address stay until AWREADY.",
                &(&aw_valid & !&aw_ready),
                &[&aw_valid, &address, &length],
            );
            m.assert_stable(
                "w_stays",
                "A3.2.1: WVALID and the data stay until WREADY.",
                &(&w_valid & !&w_ready),
                &[&w_valid, &data, &strobe, &last],
            );
            burst_rules(m, "aw", &aw_valid, &address, &length, config.bus_bytes());
            inside_window(m, "aw", &aw_valid, &last_offset, &length, &memory_size, config.bus_bytes());
            request.rules(m, "write", &pending, bus_words, &memory_size);

            m.comment("Beats of the latest burst that were put on the data channel.");
            let any_burst = m.reg_reset("any_burst", 1, 0);
            m.set_if(&any_burst, &issue, &lit(1, 1));
            let beats_sent = m.reg_reset("beats_sent", 5, 0);
            m.set_if(&beats_sent, &issue, &lit(0, 5));
            m.set_if(&beats_sent, &send, &beats_sent.inc());
            let of_latest = beats_sent.any();
            m.assert_formal(
                "beats_add_up",
                "A3.4.1: a burst has as many beats as its address said.",
                &(!&any_burst
                    | (length.lt_lit(16)
                        & beats_left.le_lit(16)
                        & beats_sent.le_lit(16)
                        & (&beats_sent + &beats_left).eq(&length.slice(0, 5).inc()))),
            );
            m.assert_formal(
                "nothing_without_address",
                "No beat is sent before a burst is issued.",
                &(&any_burst | (beats_left.is_zero() & !&w_valid & !&aw_valid & under_way.is_zero())),
            );
            m.assert_formal(
                "wlast_at_the_last",
                "A3.2.2: WLAST is high with the last beat of a burst, and only then.",
                &(!&w_valid | last.eq(&(!&of_latest | beats_left.is_zero()))),
            );

            m.comment(
                "Words are numbered as they are taken, modulo 64; a flush drops those in the queue. The proof picks any number.",
            );
            let taken = m.named("word_taken", &(&word_valid & &burst_room & &word_room & !&flush));
            let popped = m.named("word_popped", &(&pop_word & &fifo_valid));
            let count_taken = m.reg_reset("words_taken", 6, 0);
            m.set_if(&count_taken, &taken, &count_taken.inc());
            let count_popped = m.reg_reset("words_popped", 6, 0);
            m.set_if(&count_popped, &flush, &count_taken);
            m.set_if(&count_popped, &popped, &count_popped.inc());
            let watched = m.any_constant("watched_word", 6);
            let watched_data = m.reg("watched_data", 64);
            m.set_if(&watched_data, &(&taken & count_taken.eq(&watched)), &word_data);
            let queued = m.named("words_queued", &(&count_taken - &count_popped));
            let most = u64::from(WORDS + landing::WORDS);
            m.assume_formal(
                "words_fit",
                "Proved of the FIFO: it holds no more than its depth and the words that have landed; if there is room, fewer.",
                &(queued.le_lit(most) & (queued.lt_lit(most) | !&word_room)),
            );
            m.assume_formal(
                "words_in_order",
                "Proved of the FIFO: the n-th word that leaves is the n-th that came.",
                &(!&fifo_valid | (queued.any() & (!count_popped.eq(&watched) | fifo_data.eq(&watched_data)))),
            );
            let next_word = m.reg_reset("next_word", 6, 0);
            m.set_if(&next_word, &flush, &count_taken);
            m.set_if(&next_word, &send, &(&next_word + lit(bus_words.into(), 6)));
            let held = match &low_held {
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
            let puts = &send & !&flush & ahead.lt_lit(bus_words.into());
            let on_channel = m.reg_reset("watched_on_channel", 1, 0);
            m.set_if(&on_channel, &send, &puts);
            let lane_put = m.reg("watched_lane", 1);
            m.set_if(&lane_put, &send, &ahead.bit(0));
            let value_put = m.reg("watched_put", 64);
            m.set_if(&value_put, &send, &watched_data);
            let dropped = m.reg("put_in_flush", 1);
            m.set_if(&dropped, &send, &flush);
            let lane = if bus_words == 1 { data.clone() } else { data.slice_at(&lane_put, 64) };
            m.assert_formal(
                "data_as_taken",
                "A beat carries its words as they were taken, the first one in the lowest lane.",
                &(!(&w_valid & &on_channel) | lane.eq(&value_put)),
            );
            m.assert_formal(
                "strobes",
                "A beat is written whole; one that a flush left without its words is not written at all.",
                &(!&w_valid | mux(&dropped, &strobe.is_zero(), &strobe.all())),
            );

            m.comment("Bursts whose address, and whose last beat, the memory took and did not answer.");
            let mut unanswered = |name: &str, taken: Expr| {
                let count = m.reg_reset(name, 8, 0);
                m.set(&count, &(&count + taken.zext(8) - b_valid.zext(8)));
                count
            };
            let addresses = unanswered("addresses_unanswered", &aw_valid & &aw_ready);
            let datas = unanswered("datas_unanswered", &w_valid & &w_ready & &last);
            m.assume_formal(
                "answers_are_due",
                "A3.3.1: a response comes after the address and the last beat of its burst.",
                &(!&b_valid | (addresses.any() & datas.any())),
            );
            m.assert_formal(
                "all_are_counted",
                "Every burst from its issue to its response counts as under way; 128 at most.",
                &(under_way.le_lit(128)
                    & addresses.le(&under_way)
                    & datas.le(&under_way)
                    & under_way.eq(&(&addresses + aw_valid.zext(8)))
                    & under_way.eq(&(&datas + beats_left.any().zext(8) + (&w_valid & &last).zext(8)))),
            );
            m.assert_formal(
                "retired_when_answered",
                "A layer is retired only when every burst has its response.",
                &(!&retire | (under_way.is_zero() & beats_left.is_zero() & !&pending)),
            );
        });
        m.output_doc("word_ready", &(&word_room & &burst_room), "a word (and its burst) is taken");
        m.output_doc("layer_end_ready", &burst_room, "a marker is taken");
        m.output("layer_retired", &retire);
        m.output_doc(
            "idle",
            &(!&aw_valid & !&w_valid & beats_left.is_zero() & under_way.is_zero()),
            "nothing is on the bus",
        );
        m.output("awvalid", &aw_valid);
        m.output("awaddr", &address);
        m.output("awlen", &length);
        m.output("wvalid", &w_valid);
        m.output("wdata", &data);
        m.output("wstrb", &strobe);
        m.output("wlast", &last);
        m.output("bready", &lit(1, 1));
        m.output_doc("fault", &request.refused, "a burst is refused");
        m.output_doc("fault_code", &request.code, "why");
        m.output_doc("fault_offset", &request.offset, "its byte offset");
        m.output_doc("response_error", &(&b_valid & b_resp.bit(1)), "SLVERR or DECERR");
        m.output_doc("last_offset", &last_offset, "byte offset of the latest burst");
        m.output("beat", &(&w_valid & &w_ready));
    })
}
