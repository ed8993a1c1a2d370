//! One stream of the read master.

use std::rc::Rc;

use isa::CoreConfig;

use super::dma_read::{FIFO_BEATS, length_bits};
use super::request::{MAX_BURST, Request};
use super::shaped;
use super::stream_fifo::stream_fifo;
use crate::rtl::{Builder, Expr, Instance, Module, RtlError, index_width, lit, mux};

/// Bits of a count of beats in the FIFO.
const ROOM_BITS: u32 = index_width(FIFO_BEATS + 1);
/// Bits of such a count in proofs, where sums of two are made.
const COUNT_BITS: u32 = ROOM_BITS + 1;

/// Takes requests of one stream, checks each, cuts it into bursts, and returns the data beat by beat.
///
/// `wants` offers the burst at `offset` of `beats` beats, for which the FIFO has room; `granted` issues it, at most every second cycle.
/// A request waits in a register for the one before it, so that `request_ready` is registered. `push_valid` brings a beat of this stream.
/// While `flush` is high what waits is dropped, and what arrives; a burst may be issued in its first cycle, in no other.
pub fn dma_read_stream(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("dma_read_stream", config)?;
    let fifo = stream_fifo(config.bus_bits, FIFO_BEATS)?;
    let doc = "One stream of the read master: checks a request, cuts it into bursts that the FIFO has room for, and returns\n\
               the data beat by beat.";
    Module::build("dma_read_stream", doc, |m: &mut Builder| build(m, config, &fifo))
}

/// The burst that is offered, and what becomes of the beats of those before it.
struct Stream {
    flush: Expr,
    granted: Expr,
    received: Expr,
    request: Request,
    busy: Expr,
    room: Expr,
    roomy: Expr,
    wants: Expr,
    issued: Expr,
    /// Beats of the burst that was issued in the cycle before.
    taken: Expr,
    popped: Expr,
}

fn build(m: &mut Builder, config: &CoreConfig, fifo: &Rc<Module>) {
    let bus_words = config.bus_bits / 64;
    let flush = m.input_doc("flush", 1, "drop requests and what arrives");
    let memory_size = m.input_doc("memory_size", 32, "bytes of the memory window");
    m.comment("A request waits here for the one before it, so that readiness is registered.");
    let valid = m.input_doc("request_valid", 1, "a request is offered, until it is taken");
    let offset = m.input_doc("request_offset", 32, "its byte offset in the memory window");
    let words = m.input_doc("request_words", length_bits(config), "its 64-bit words, 1 or more");
    let waiting = m.reg_reset("waiting", 1, 0);
    // What is accepted in the first cycle of a flush is dropped with what waits.
    let ready = m.named("request_free", &!&waiting);
    let accept = m.named("accept", &(&valid & &ready));
    let busy = m.reg_reset("busy", 1, 0);
    let finishes = m.wire("finishes", 1);
    let take = m.named("take", &(&waiting & (!&busy | &finishes)));
    m.set_if(&waiting, &flush, &lit(0, 1));
    m.set_if(&waiting, &accept, &lit(1, 1));
    m.set_if(&waiting, &take, &lit(0, 1));
    let waiting_offset = m.sample("waiting_offset", &accept, &offset);
    let waiting_words = m.sample("waiting_words", &accept, &words);

    m.comment("What is left of the request being read, and its next burst.");
    let granted = m.input_doc("granted", 1, "the burst that `wants` offers is issued");
    let controls = [&take, &granted, &busy, &flush];
    let request =
        Request::build(m, "read", bus_words, &memory_size, controls, [&waiting_offset, &waiting_words]);
    m.assign(&finishes, &(&granted & &request.last));
    m.set_if(&busy, &flush, &lit(0, 1));
    m.set_if(&busy, &take, &lit(1, 1));
    m.set_if(&busy, &(&finishes | &request.refused), &lit(0, 1));

    m.comment("A burst is taken off the room in the cycle after its issue. There is room for a whole one beside it.");
    let room = m.reg_reset("room", ROOM_BITS, u64::from(FIFO_BEATS));
    m.carries(&room, FIFO_BEATS.into());
    let roomy = m.delay_reset("roomy", &(room.ge_lit(u64::from(2 * MAX_BURST)) & !&flush));
    let wants = m.named("burst_wanted", &(&request.cut & &roomy));
    let received = m.input_doc("push_valid", 1, "a beat of this stream arrives");
    let data = m.input_doc("push_data", config.bus_bits, "its data");
    let pop_ready = m.input_doc("ready", 1, "a beat is taken if there is one");
    let push = &received & !&flush;
    let inputs = [
        ("flush", flush.clone()),
        ("push_valid", push),
        ("push_data", data),
        ("pop_ready", pop_ready.clone()),
    ];
    let queue = m.instance("fifo", fifo, &inputs);
    let popped = m.named("popped", &(&pop_ready & queue.output("pop_valid")));
    let issued = m.delay_reset("issued", &granted);
    let taken = mux(&issued, &request.beats.zext(ROOM_BITS), &room.like(0));
    m.set_if(&room, &flush, &room.like(FIFO_BEATS.into()));
    m.set(&room, &(&room - &taken + popped.zext(ROOM_BITS)));

    m.output_doc("request_ready", &ready, "the request is taken");
    m.output_doc("wants", &wants, "a burst waits to be issued");
    m.output_doc("cut", &request.cut, "a burst is cut, with or without room");
    m.output_doc("offset", &request.offset, "byte offset of the burst, or of the refused request");
    m.output_doc("beats", &request.beats, "its beats");
    m.output_doc("valid", &queue.output("pop_valid"), "a beat is there");
    m.output_doc("data", &queue.output("pop_data"), "its data");
    m.output_doc("fault", &request.refused, "a request is refused, for one cycle");
    m.output_doc("fault_code", &request.code, "why");
    let stream =
        Stream { flush, granted, received, request, busy, room, roomy, wants, issued, taken, popped };
    m.formal(|m| {
        stream.counts_beats(m, &queue);
        stream.request.rules(m, "read", &stream.busy, bus_words, &memory_size);
    });
}

impl Stream {
    /// For proofs: every beat is promised room once, and finds it.
    fn counts_beats(&self, m: &mut Builder, queue: &Instance) {
        let Stream { flush, granted, received, request, room, roomy, wants, issued, taken, popped, .. } =
            self;
        let depth = u64::from(FIFO_BEATS);
        m.comment("Beats requested and not received, and received and not taken.");
        let outstanding = m.reg_reset("outstanding", COUNT_BITS, 0);
        let promised = mux(granted, &request.beats.zext(COUNT_BITS), &outstanding.like(0));
        m.set(&outstanding, &(&outstanding + promised - received.zext(COUNT_BITS)));
        let issued_now = m.delay_reset("issue_shown", granted);
        m.proof_output(&outstanding);
        m.proof_output(&issued_now);
        let present = m.reg_reset("present", COUNT_BITS, 0);
        m.set_if(&present, flush, &present.like(0));
        m.set(&present, &(&present + (received & !flush).zext(COUNT_BITS) - popped.zext(COUNT_BITS)));
        let push_ready = queue.output("push_ready");
        m.assume_formal(
            "fifo_room",
            "Proved of the FIFO: there is room while fewer words than its depth are present.",
            &(present.ge_lit(depth) | &push_ready),
        );
        m.assume_formal(
            "fifo_empty",
            "Proved of the FIFO: nothing comes out when nothing is in.",
            &(present.any() | !queue.output("pop_valid")),
        );
        let flushed = m.delay_reset("flushed", flush);
        m.assume_formal(
            "flush_lasts",
            "A flush lasts until nothing is under way.",
            &(!(&flushed & !flush) | outstanding.is_zero()),
        );
        m.assert_formal(
            "issue_is_shown",
            "What the proofs around this see of an issue is the register.",
            &issued_now.eq(issued),
        );
        let accounted = room.zext(COUNT_BITS) - taken.zext(COUNT_BITS) + &outstanding + &present;
        m.assert_formal(
            "room_is_promised_once",
            "Room is what is neither promised to a beat under way nor taken by one that arrived.",
            &(&flushed | accounted.eq_lit(depth)),
        );
        m.assert_formal(
            "one_burst_in_two_cycles",
            "A burst that was just issued has 16 beats or fewer, all under way and with room, and no other follows at once.",
            &(!issued
                | (!&request.cut
                    & request.beats.le_lit(u64::from(MAX_BURST))
                    & outstanding.ge(&request.beats.zext(COUNT_BITS))
                    & room.ge(&request.beats.zext(ROOM_BITS)))),
        );
        m.assert_formal(
            "flush_empties",
            "After a flush all room is free.",
            &(!&flushed | (room.eq_lit(depth) & present.is_zero())),
        );
        m.assert_formal(
            "flush_stops",
            "A burst may be issued in the first cycle of a flush, in no other.",
            &(!&flushed | !(&request.cut | roomy)),
        );
        m.assert_formal(
            "fits_fifo",
            "No more beats are under way than the FIFO holds.",
            &(outstanding.le_lit(depth) & present.le_lit(depth)),
        );
        m.assert_formal(
            "always_room",
            "RREADY may be constant: a beat that arrives finds room.",
            &(!(received & !flush) | &push_ready),
        );
        m.assert_formal(
            "burst_has_room",
            "A burst is issued only when the FIFO has room for all its beats.",
            &(!wants | room.ge(&request.beats.zext(ROOM_BITS))),
        );
    }
}
