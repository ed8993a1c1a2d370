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
/// their beats, so `rready` is constant. While `flush` is high nothing new is issued and arriving data is dropped; `idle` says that nothing is under way.
pub fn dma_read(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    let bus = config.bus_bits;
    let bus_words = bus / 64;
    let fifo = stream_fifo(bus, FIFO_BEATS)?;
    let doc = "AXI4 read master for two streams (ID 0: descriptors, parameters, matrices; ID 1: input rows).\n\
               Bursts never cross 4 KiB and are issued only when their data has a place to go.";
    Module::build("dma_read", doc, |m: &mut Builder| {
        let flush = m.input_doc("flush", 1, "issue nothing, drop what arrives");
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
        m.comment("Arbitration: the streams take turns.");
        let pick = m.named("pick", &mux(&turn, &wants[1].wants, &!&wants[0].wants));
        let any = m.named("any_wants", &(&wants[0].wants | &wants[1].wants));
        let issue = m.named("issue", &(&any & &ar_free));
        m.assign(&wants[0].granted, &(&issue & !&pick));
        m.assign(&wants[1].granted, &(&issue & &pick));
        m.set_if(&turn, &issue, &!&pick);
        let offset = m.named("burst_offset", &mux(&pick, &wants[1].offset, &wants[0].offset));
        let beats = m.named("burst_beats", &mux(&pick, &wants[1].beats, &wants[0].beats));
        m.set_if(&ar_valid, &issue, &lit(1, 1));
        m.set_if(&ar_valid, &ar_ready, &lit(0, 1));
        let mut issued = |name: &str, value: &Expr| {
            let register = m.reg(name, value.width());
            m.set_if(&register, &issue, value);
            register
        };
        let address = issued("araddr", &(&memory_base + offset.zext(config.address_bits)));
        let id = issued("arid", &pick);
        let length = issued("arlen", &beats.dec().zext(8));
        let last_offset = issued("last_offset", &offset);

        m.comment("What is under way.");
        let under_way = m.reg_reset("beats_under_way", 10, 0);
        let more = mux(&issue, &beats.zext(10), &lit(0, 10));
        m.set(&under_way, &(&under_way + more - r_valid.zext(10)));
        m.output_doc("idle", &(!&ar_valid & under_way.is_zero()), "nothing is under way");
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
    granted: Expr,
    offset: Expr,
    beats: Expr,
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
        let busy = m.reg_reset(&port("busy"), 1, 0);
        let checked = m.reg_reset(&port("checked"), 1, 0);
        let offset = m.reg(&port("offset"), 32);
        let words = m.reg(&port("words"), LENGTH_BITS);
        let granted = m.wire(&port("granted"), 1);
        let (beats, burst_words) = burst(m, name, &offset, &words, bus_words);
        let rest = m.named(&port("words_rest"), &(&words - burst_words.zext(LENGTH_BITS)));
        let finishes = m.named(&port("finishes"), &(&granted & rest.is_zero()));
        let ready = m.named(&port("request_ready"), &((!&busy | &finishes) & !flush));
        let accept = m.named(&port("accept"), &(&request & &ready));
        let fault = fault(m, name, &(&busy & !&checked), &offset, &words, bus_words, memory_size);
        m.set_if(&busy, flush, &lit(0, 1));
        m.set_if(&busy, &accept, &lit(1, 1));
        m.set_if(&busy, &(&finishes | &fault.0), &lit(0, 1));
        m.set_if(&checked, &accept, &lit(0, 1));
        m.set_if(&checked, &busy, &lit(1, 1));
        m.set_if(&offset, &accept, &request_offset);
        m.set_if(&offset, &granted, &(&offset + cat(&[burst_words.clone(), lit(0, 3)]).zext(32)));
        m.set_if(&words, &accept, &request_words);
        m.set_if(&words, &granted, &rest);

        let room = m.reg_reset(&port("room"), 8, u64::from(FIFO_BEATS));
        let wants = m.named(&port("wants"), &(&busy & &checked & room.ge(&beats.zext(8)) & !flush));
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
        let taken = mux(&granted, &beats.zext(8), &lit(0, 8));
        m.set_if(&room, flush, &lit(u64::from(FIFO_BEATS), 8));
        m.set(&room, &(&room - taken + popped.zext(8)));
        m.assign(&pop, &out_ready);
        m.output(&port("data"), &data);
        m.output(&port("valid"), &valid);
        m.output(&port("request_ready"), &ready);
        m.output_doc(&port("fault"), &fault.0, "the request is refused");
        m.output_doc(&port("fault_code"), &fault.1, "why");
        m.output_doc(&port("fault_offset"), &offset, "its byte offset");
        Stream { wants, granted, offset, beats }
    }
}

/// The next burst of a request: its beats (5 bits) and words (6 bits), limited by the burst length and the next 4 KiB border.
pub(super) fn burst(
    m: &mut Builder,
    name: &str,
    offset: &Expr,
    words: &Expr,
    bus_words: u32,
) -> (Expr, Expr) {
    let most = MAX_BURST * bus_words;
    let to_border = m.named(&format!("{name}_to_border"), &(lit(512, 10) - offset.slice(3, 9).zext(10)));
    let limit = lit(u64::from(most), 10);
    let bounded =
        m.named(&format!("{name}_bounded"), &mux(&to_border.lt(&limit), &to_border, &limit).trunc(6));
    let short = words.lt(&bounded.zext(words.width()));
    let burst_words = m.named(&format!("{name}_burst_words"), &mux(&short, &words.trunc(6), &bounded));
    (burst_words.slice(bus_words - 1, 5), burst_words)
}

/// Whether a request is empty, leaves the memory window or is not aligned to the bus, and the error code.
pub(super) fn fault(
    m: &mut Builder,
    name: &str,
    check: &Expr,
    offset: &Expr,
    words: &Expr,
    bus_words: u32,
    memory_size: &Expr,
) -> (Expr, Expr) {
    let bytes = cat(&[words.clone(), lit(0, 3)]).zext(33);
    let end = m.named(&format!("{name}_end"), &(offset.zext(33) + bytes));
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
    (m.named(&format!("{name}_refused"), &(check & (outside | unaligned | empty))), code)
}
