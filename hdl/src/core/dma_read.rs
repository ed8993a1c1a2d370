//! AXI4 read bursts for two streams.

use std::rc::Rc;

use isa::{CoreConfig, ErrorCode};

use super::stream_fifo::stream_fifo;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, lit, mux};

/// Beats that each stream's FIFO holds, and so may have under way.
const FIFO_BEATS: u32 = 128;
/// Longest burst in beats.
pub(super) const MAX_BURST: u32 = 16;
/// Bits of a request's length in words.
pub(super) const LENGTH_BITS: u32 = 14;

/// The two streams, by their AXI read ID.
const STREAMS: [&str; 2] = ["weights", "inputs"];

/// Checks requests, cuts them into bursts, and returns the data of each stream in order, beat by beat.
///
/// Stream 0 carries descriptors, parameters and matrices, stream 1 input rows; the stream is the AXI ID, so the memory may
/// interleave them (AXI4, IHI 0022 A5.3). A request outside the memory window or not aligned to the bus is refused before it reaches the
/// bus. Bursts are INCR, at most 16 beats, never across 4 KiB (A3.4.1), and are issued only when the FIFO has room for all
/// their beats, so `rready` is constant. A stream takes a request, and issues a burst, every second cycle at most: a request waits
/// in a register for the one before it, so readiness is registered, and each burst is checked and cut in the cycle before it may be issued. While `flush` is high arriving data is dropped and nothing is
/// issued but, in its first cycle, a burst that was cut before; `idle` says that nothing is under way.
pub fn dma_read(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    let bus = config.bus_bits;
    let bus_words = bus / 64;
    let fifo = stream_fifo(bus, FIFO_BEATS)?;
    let doc = "AXI4 read master for two streams (ID 0: descriptors, parameters, matrices; ID 1: input rows).\n\
               Bursts never cross 4 KiB and are issued only when their data has a place to go.";
    Module::build("dma_read", doc, |m: &mut Builder| {
        let flush = m.input_doc("flush", 1, "drop requests and what arrives");
        let memory_base = m.input("memory_base", config.address_bits);
        let memory_size = m.input("memory_size", 32);
        let ar_ready = m.input("arready", 1);
        let r_valid = m.input("rvalid", 1);
        let r_id = m.input("rid", 1);
        let r_data = m.input("rdata", bus);
        let r_resp = m.input("rresp", 2);
        let r_last = m.input("rlast", 1);
        m.unused(&r_last);
        m.unused(&r_resp.bit(0));
        let ar_valid = m.reg_reset("arvalid", 1, 0);
        let ar_free = m.named("ar_free", &(!&ar_valid | &ar_ready));
        let turn = m.reg_reset("turn", 1, 0);
        // Every run begins with the same turn, so that it takes the same cycles each time.
        m.set_if(&turn, &flush, &lit(0, 1));
        m.set(&turn, &!&turn);

        let mut wants = Vec::new();
        for (id, name) in STREAMS.into_iter().enumerate() {
            let stream = Stream::build(
                m,
                &fifo,
                name,
                id as u64,
                bus_words,
                &flush,
                &memory_size,
                (&r_valid, &r_id, &r_data),
            );
            wants.push(stream);
        }
        m.comment(
            "Arbitration: the streams take turns, a cycle each, since neither has a burst every cycle.",
        );
        m.assign(&wants[0].granted, &(&wants[0].wants & &ar_free & !&turn));
        m.assign(&wants[1].granted, &(&wants[1].wants & &ar_free & &turn));
        let issue = m.named("issue", &(&wants[0].granted | &wants[1].granted));
        let offset = m.named("burst_offset", &mux(&turn, &wants[1].offset, &wants[0].offset));
        let beats = m.named("burst_beats", &mux(&turn, &wants[1].beats, &wants[0].beats));
        m.set_if(&ar_valid, &issue, &lit(1, 1));
        m.set_if(&ar_valid, &ar_ready, &lit(0, 1));
        let mut issued = |name: &str, value: &Expr| m.sample(name, &issue, value);
        let address = issued("araddr", &(&memory_base + offset.zext(config.address_bits)));
        let id = issued("arid", &turn);
        let length = issued("arlen", &beats.dec().zext(8));
        let last_offset = issued("last_offset", &offset);
        let issued_beats = issued("issued_beats", &beats);

        m.comment("What is under way, counted in the cycle after its issue.");
        let under_way = m.reg_reset("beats_under_way", 10, 0);
        let issued = m.delay_reset("issued", &issue);
        let more = mux(&issued, &issued_beats.zext(10), &lit(0, 10));
        m.set(&under_way, &(&under_way + &more - r_valid.zext(10)));
        m.formal(|m| {
            m.comment("AXI4 read address channel (IHI 0022).");
            m.assert_stable(
                "ar_stays",
                "A3.2.1: ARVALID and the address stay until ARREADY.",
                &(&ar_valid & !&ar_ready),
                &[&ar_valid, &address, &id, &length],
            );
            burst_rules(m, "ar", &ar_valid, &address, &length, config.bus_bytes());
            inside_window(m, "ar", &ar_valid, &last_offset, &length, &memory_size, config.bus_bytes());
            for (stream, name) in STREAMS.into_iter().enumerate() {
                m.comment(&format!("What the memory owes the stream of {name}: beats whose address it took and that it did not send."));
                let of_stream = |id: &Expr| id.eq_lit(stream as u64);
                let beats = length.zext(9) + lit(1, 9);
                let owed = m.reg_reset(&format!("{name}_owed"), 9, 0);
                let taken = &ar_valid & &ar_ready & of_stream(&id);
                let given = m.named(&format!("{name}_given"), &(&r_valid & of_stream(&r_id)));
                m.set(&owed, &(&owed + mux(&taken, &beats, &lit(0, 9)) - given.zext(9)));
                m.assume_formal(
                    &format!("{name}_are_owed"),
                    "The memory sends what it was asked for, no more.",
                    &(!&given | owed.any()),
                );
                m.assert_formal(
                    &format!("{name}_issued_is_offered"),
                    "A burst that was just issued is offered.",
                    &(!&wants[stream].issued
                        | (&ar_valid & of_stream(&id) & beats.eq(&wants[stream].beats.zext(9)))),
                );
                let offered = mux(&(&ar_valid & of_stream(&id)), &beats, &lit(0, 9));
                m.assert_formal(
                    &format!("{name}_all_asked"),
                    "Every beat that is waited for was asked for.",
                    &(wants[stream].outstanding.eq(&(&owed + &offered)) & owed.le_lit(u64::from(FIFO_BEATS))),
                );
            }
            let beats_of = |stream: usize| wants[stream].outstanding.zext(10);
            m.assert_formal(
                "beats_are_counted",
                "The beats under way are those requested and not received.",
                &(&under_way + &more).eq(&(beats_of(0) + beats_of(1))),
            );
        });
        let cut = &wants[0].cut | &wants[1].cut;
        m.output_doc("idle", &!(&ar_valid | cut | under_way.any()), "nothing is under way, nor about to be");
        m.output("arvalid", &ar_valid);
        m.output("araddr", &address);
        m.output("arid", &id);
        m.output("arlen", &length);
        m.output("rready", &lit(1, 1));
        m.output_doc("response_error", &(&r_valid & r_resp.bit(1)), "a beat came with SLVERR or DECERR");
        m.output_doc("response_stream", &r_id, "the stream of that beat");
        m.output_doc("last_offset", &last_offset, "byte offset of the latest burst");
        m.output("beat", &r_valid);
    })
}

/// The request side of one stream.
struct Stream {
    wants: Expr,
    cut: Expr,
    granted: Expr,
    offset: Expr,
    beats: Expr,
    /// For proofs: beats requested and not received; a burst was issued in the cycle before.
    outstanding: Expr,
    issued: Expr,
}

impl Stream {
    #[allow(clippy::too_many_arguments)]
    fn build(
        m: &mut Builder,
        fifo: &Rc<Module>,
        name: &str,
        id: u64,
        bus_words: u32,
        flush: &Expr,
        memory_size: &Expr,
        (r_valid, r_id, r_data): (&Expr, &Expr, &Expr),
    ) -> Stream {
        m.comment(&format!("Stream of {name}: check a request, then cut it into bursts."));
        let port = |suffix: &str| format!("{name}_{suffix}");
        let request = m.input(&port("request_valid"), 1);
        let request_offset = m.input(&port("request_offset"), 32);
        let request_words = m.input_doc(&port("request_words"), LENGTH_BITS, "64-bit words, 1 or more");
        let out_ready = m.input(&port("ready"), 1);
        m.comment("A request waits here for the one before it, so that readiness is registered.");
        let waiting = m.reg_reset(&port("waiting"), 1, 0);
        let waiting_offset = m.reg(&port("waiting_offset"), 32);
        let waiting_words = m.reg(&port("waiting_words"), LENGTH_BITS);
        // What is accepted in the first cycle of a flush is dropped with what waits.
        let ready = m.named(&port("request_ready"), &!&waiting);
        let accept = m.named(&port("accept"), &(&request & &ready));
        let busy = m.reg_reset(&port("busy"), 1, 0);
        let finishes = m.wire(&port("finishes"), 1);
        let take = m.named(&port("take"), &(&waiting & (!&busy | &finishes)));
        m.set_if(&waiting, flush, &lit(0, 1));
        m.set_if(&waiting, &accept, &lit(1, 1));
        m.set_if(&waiting, &take, &lit(0, 1));
        m.set_if(&waiting_offset, &accept, &request_offset);
        m.set_if(&waiting_words, &accept, &request_words);

        let granted = m.wire(&port("granted"), 1);
        let controls = [&take, &granted, &busy, flush];
        let request =
            Request::build(m, name, bus_words, memory_size, controls, [&waiting_offset, &waiting_words]);
        m.assign(&finishes, &(&granted & &request.last));
        m.set_if(&busy, flush, &lit(0, 1));
        m.set_if(&busy, &take, &lit(1, 1));
        m.set_if(&busy, &(&finishes | &request.refused), &lit(0, 1));

        // A burst is taken off the room in the cycle after its issue. There is room for a whole one beside it.
        let room = m.reg_reset(&port("room"), 8, u64::from(FIFO_BEATS));
        let roomy = m.delay_reset(&port("roomy"), &(room.ge_lit(u64::from(2 * MAX_BURST)) & !flush));
        let wants = m.named(&port("wants"), &(&request.cut & &roomy));
        let beats = request.beats.clone();
        let push = r_valid & r_id.eq_lit(id) & !flush;
        let pop = m.wire(&port("pop"), 1);
        let queue = m.instance(
            &port("fifo"),
            fifo,
            &[
                ("flush", flush.clone()),
                ("push_valid", push),
                ("push_data", r_data.clone()),
                ("pop_ready", pop.clone()),
            ],
        );
        let valid = queue.output("pop_valid");
        let data = queue.output("pop_data");
        let popped = m.named(&port("popped"), &(&pop & &valid));
        let issued = m.delay_reset(&port("issued"), &granted);
        let taken = mux(&issued, &beats.zext(8), &lit(0, 8));
        m.set_if(&room, flush, &lit(u64::from(FIFO_BEATS), 8));
        m.set(&room, &(&room - &taken + popped.zext(8)));
        m.assign(&pop, &out_ready);
        let outstanding = m.formal(|m| {
            m.comment(&format!("The beats of {name}: requested and not received, received and not taken."));
            let received = m.named(&port("received"), &(r_valid & r_id.eq_lit(id)));
            let outstanding = m.reg_reset(&port("outstanding"), 9, 0);
            let promised = mux(&granted, &beats.zext(9), &lit(0, 9));
            m.set(&outstanding, &(&outstanding + promised - received.zext(9)));
            let present = m.reg_reset(&port("present"), 9, 0);
            m.set_if(&present, flush, &lit(0, 9));
            m.set(&present, &(&present + (&received & !flush).zext(9) - popped.zext(9)));
            let push_ready = queue.output("push_ready");
            let depth = u64::from(FIFO_BEATS);
            m.assume_formal(
                &port("fifo_room"),
                "Proved of the FIFO: there is room while fewer words than its depth are present.",
                &(present.ge_lit(depth) | &push_ready),
            );
            m.assume_formal(
                &port("fifo_empty"),
                "Proved of the FIFO: nothing comes out when nothing is in.",
                &(present.any() | !&valid),
            );
            let flushed = m.delay_reset(&port("flushed"), flush);
            m.assume_formal(
                &port("flush_lasts"),
                "A flush lasts until nothing is under way.",
                &(!(&flushed & !flush) | outstanding.is_zero()),
            );
            m.assert_formal(
                &port("room_is_promised_once"),
                "Room is what is neither promised to a beat under way nor taken by one that arrived.",
                &(&flushed | (room.zext(9) - taken.zext(9) + &outstanding + &present).eq_lit(depth)),
            );
            m.assert_formal(
                &port("one_burst_in_two_cycles"),
                "A burst that was just issued has 16 beats or fewer, all under way and with room, and no other follows at once.",
                &(!&issued
                    | (!&request.cut
                        & beats.le_lit(u64::from(MAX_BURST))
                        & outstanding.ge(&beats.zext(9))
                        & room.ge(&beats.zext(8)))),
            );
            m.assert_formal(
                &port("flush_empties"),
                "After a flush all room is free.",
                &(!&flushed | (room.eq_lit(depth) & present.is_zero())),
            );
            m.assert_formal(
                &port("flush_stops"),
                "A burst may be issued in the first cycle of a flush, in no other.",
                &(!&flushed | !(&request.cut | &roomy)),
            );
            m.assert_formal(
                &port("fits_fifo"),
                "No more beats are under way than the FIFO holds.",
                &(outstanding.le_lit(depth) & present.le_lit(depth)),
            );
            m.assert_formal(
                &port("always_room"),
                "RREADY may be constant: a beat that arrives finds room.",
                &(!(&received & !flush) | &push_ready),
            );
            m.assert_formal(
                &port("burst_has_room"),
                "A burst is issued only when the FIFO has room for all its beats.",
                &(!&wants | room.ge(&beats.zext(8))),
            );
            request.rules(m, name, &busy, bus_words, memory_size);
            outstanding
        });
        m.output(&port("data"), &data);
        m.output(&port("valid"), &valid);
        m.output(&port("request_ready"), &ready);
        m.output_doc(&port("fault"), &request.refused, "the request is refused");
        m.output_doc(&port("fault_code"), &request.code, "why");
        m.output_doc(&port("fault_offset"), &request.offset, "its byte offset");
        Stream { wants, cut: request.cut, granted, offset: request.offset, beats, outstanding, issued }
    }
}

/// A request that is checked and cut into bursts.
pub(super) struct Request {
    /// Byte offset and words of what is left of it, and where it ends.
    pub offset: Expr,
    pub words: Expr,
    pub end: Expr,
    /// The next burst is there: its beats (5 bits) and words (6 bits).
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
        let beats = keep("beats", &next_burst.slice(bus_words - 1, 5));
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
        let fits = beats.eq(&burst_words.slice(bus_words - 1, 5))
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

/// The next burst of a request in words (6 bits), limited by the burst length and the next 4 KiB border, and whether it is the last.
fn burst(m: &mut Builder, name: &str, offset: &Expr, words: &Expr, bus_words: u32) -> (Expr, Expr) {
    let most = MAX_BURST * bus_words;
    let bits = most.trailing_zeros();
    let near = m.named(&format!("{name}_near_border"), &offset.slice(3 + bits, 9 - bits).all());
    let most = lit(u64::from(most), 6);
    let past_border = offset.slice(3, bits);
    let bounded = mux(&near, &(&most - past_border.zext(6)), &most);
    // Counted from the last border that a burst may begin at: no difference has to be known before the comparison.
    let words = words.zext(words.width().max(6));
    let few = words.trunc(6).zext(7);
    let end = m.named(&format!("{name}_burst_end"), &(&few + past_border.zext(7)));
    let most = u64::from(MAX_BURST * bus_words);
    let ends = mux(&near, &end.le_lit(most), &few.le_lit(most)) & words.shr(6).is_zero();
    let ends = m.named(&format!("{name}_ends"), &ends);
    (m.named(&format!("{name}_next_burst"), &mux(&ends, &words.trunc(6), &bounded)), ends)
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
    let code = mux(&unaligned, &lit(ErrorCode::Unaligned as u64, 8), &lit(ErrorCode::OutOfRange as u64, 8));
    let code = mux(&empty, &lit(ErrorCode::BadShape as u64, 8), &code);
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
