//! AXI4 write bursts.

use std::rc::Rc;

use isa::CoreConfig;

use super::request::{BEAT_BITS, Request};
use super::shaped;
use super::stream_fifo::stream_fifo;
use crate::rtl::{Builder, Expr, Instance, Module, RtlError, cat, lit, mux};

mod rules;

/// Words that wait for their burst.
const WORDS: u32 = 16;
/// Bursts that wait.
const BURSTS: u32 = 16;
/// Most bursts that wait for their response; a power of two.
const MOST_UNDER_WAY: u64 = 128;
/// Bits of their count.
const UNDER_WAY_BITS: u32 = 8;
/// Bits of a burst's length in words.
pub(super) const BURST_WORD_BITS: u32 = 4;

/// Writes the packer's bursts, and says when a layer's are all acknowledged.
///
/// A burst is announced after its last word, so the data of every address that goes out is there: the master never holds the
/// data channel. A burst is checked and cut at the 4 KiB border in a cycle of its own. `layer_end` enters the burst queue as a marker; when it comes out and no response is missing, `layer_retired`
/// pulses. While `flush` is high queued bursts are dropped; the one on the bus is finished with all strobes low.
pub fn dma_write(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("dma_write", config)?;
    let words_fifo = stream_fifo(64, WORDS)?;
    let burst_fifo = stream_fifo(33 + BURST_WORD_BITS, BURSTS)?;
    let doc = "AXI4 write master. A burst goes out only when all its data is there; a marker in the burst queue tells when\n\
               all of a layer's bursts are acknowledged.";
    Module::build("dma_write", doc, |m: &mut Builder| build(m, config, &words_fifo, &burst_fifo))
}

/// What the packer and the bus bring.
struct Ports {
    flush: Expr,
    memory_base: Expr,
    memory_size: Expr,
    word_valid: Expr,
    word_data: Expr,
    burst_valid: Expr,
    burst_offset: Expr,
    burst_words: Expr,
    layer_end: Expr,
    aw_ready: Expr,
    w_ready: Expr,
    b_valid: Expr,
    b_error: Expr,
}

impl Ports {
    fn inputs(m: &mut Builder, config: &CoreConfig) -> Ports {
        let ports = Ports {
            flush: m.input_doc("flush", 1, "drop what is queued"),
            memory_base: m.input_doc("memory_base", config.address_bits, "bus address of the memory window"),
            memory_size: m.input_doc("memory_size", 32, "its bytes"),
            word_valid: m.input_doc("word_valid", 1, "a word is offered, until it is taken"),
            word_data: m.input_doc("word_data", 64, "the word"),
            burst_valid: m.input_doc("burst_valid", 1, "with the burst's last word"),
            burst_offset: m.input_doc("burst_offset", 32, "byte offset of its first word"),
            burst_words: m.input_doc("burst_words", BURST_WORD_BITS, "its words"),
            layer_end: m.input_doc("layer_end", 1, "no burst of the layer follows; not together with a word"),
            aw_ready: m.input("awready", 1),
            w_ready: m.input("wready", 1),
            b_valid: m.input("bvalid", 1),
            b_error: m.input("bresp", 2),
        };
        let b_id = m.input("bid", 1);
        m.unused(&b_id);
        m.unused(&ports.b_error.bit(0));
        m.carries(&ports.burst_words, u64::from(config.lanes / 8));
        Ports { b_error: ports.b_error.bit(1), ..ports }
    }
}

/// The queues of words and bursts.
struct Queues {
    words: Instance,
    bursts: Instance,
    pop_word: Expr,
    pop_burst: Expr,
    word_room: Expr,
    burst_room: Expr,
}

impl Queues {
    fn build(m: &mut Builder, ports: &Ports, words_fifo: &Rc<Module>, burst_fifo: &Rc<Module>) -> Queues {
        let Ports { flush, word_valid, word_data, burst_valid, burst_offset, burst_words, layer_end, .. } =
            ports;
        m.comment("Queues.");
        let pop_word = m.wire("pop_word", 1);
        let pop_burst = m.wire("pop_burst", 1);
        let burst_room = m.wire("burst_room", 1);
        let word_push = m.named("word_push", &(word_valid & &burst_room));
        let queue = |m: &mut Builder, name: &str, fifo: &Rc<Module>, [valid, data, pop]: [&Expr; 3]| {
            let inputs = [("flush", flush), ("push_valid", valid), ("push_data", data), ("pop_ready", pop)];
            m.instance(name, fifo, &inputs.map(|(name, value)| (name, value.clone())))
        };
        let words = queue(m, "words", words_fifo, [&word_push, word_data, &pop_word]);
        let word_room = words.output("push_ready");
        let announced = (word_valid & &word_room & burst_valid) | layer_end;
        let entry = cat(&[layer_end.clone(), burst_words.clone(), burst_offset.clone()]);
        let bursts = queue(m, "bursts", burst_fifo, [&announced, &entry, &pop_burst]);
        m.assign(&burst_room, &bursts.output("push_ready"));
        Queues { words, bursts, pop_word, pop_burst, word_room, burst_room }
    }
}

/// The burst that is written next, and the state of the bus.
struct Burst {
    /// There is one.
    pending: Expr,
    request: Request,
    issue: Expr,
    /// The marker at the head of the queue is taken.
    retire: Expr,
    beats_left: Expr,
    under_way: Expr,
    aw_valid: Expr,
    w_valid: Expr,
    w_free: Expr,
}

impl Burst {
    fn build(m: &mut Builder, config: &CoreConfig, ports: &Ports, queues: &Queues) -> Burst {
        let Ports { flush, memory_size, aw_ready, w_ready, .. } = ports;
        m.comment("The burst to be written next: check it, wait for the data channel.");
        let pending = m.reg_reset("pending", 1, 0);
        let take = m.wire("take", 1);
        let issue = m.wire("issue", 1);
        let head = m.named("head", &queues.bursts.output("pop_data"));
        let head_valid = queues.bursts.output("pop_valid");
        let marker = m.named("marker", &(&head_valid & head.bit(32 + BURST_WORD_BITS)));
        let beats_left = m.reg_reset("beats_left", BEAT_BITS, 0);
        let under_way = m.reg_reset("bursts_under_way", UNDER_WAY_BITS, 0);
        m.carries(&under_way, MOST_UNDER_WAY);
        let aw_valid = m.reg_reset("awvalid", 1, 0);
        let w_valid = m.reg_reset("wvalid", 1, 0);
        let w_free = m.named("w_free", &(!&w_valid | w_ready));
        let next = [head.slice(0, 32), head.slice(32, BURST_WORD_BITS).zext(BURST_WORD_BITS + 3)];
        let controls = [&take, &issue, &pending, flush];
        let bus_words = config.bus_bits / 64;
        let request = Request::build(m, "write", bus_words, memory_size, controls, [&next[0], &next[1]]);
        // However slow the memory is, the count must not wrap.
        let all_out = under_way.bit(MOST_UNDER_WAY.trailing_zeros());
        let may_go = beats_left.is_zero() & (!&aw_valid | aw_ready) & !all_out;
        m.assign(&issue, &(&request.cut & !flush & may_go));
        let finishes = m.named("finishes", &(&issue & &request.last));
        m.assign(&take, &(&head_valid & !&marker & !&pending & !flush));
        let all_answered = under_way.is_zero() & !&pending & beats_left.is_zero();
        let retire = m.named("retire", &(&marker & all_answered & !flush));
        m.assign(&queues.pop_burst, &(&take | &retire));
        m.set_if(&pending, flush, &lit(0, 1));
        m.set_if(&pending, &take, &lit(1, 1));
        m.set_if(&pending, &(&finishes | &request.refused), &lit(0, 1));
        Burst { pending, request, issue, retire, beats_left, under_way, aw_valid, w_valid, w_free }
    }
}

/// The next beat: whether its words are there, and what they are.
struct Beat {
    there: Expr,
    data: Expr,
    /// On a bus of two words the lower one, and whether it is there.
    low: Option<(Expr, Expr)>,
}

impl Beat {
    fn build(m: &mut Builder, config: &CoreConfig, flush: &Expr, queues: &Queues, wanted: &Expr) -> Beat {
        let valid = queues.words.output("pop_valid");
        let data = queues.words.output("pop_data");
        if config.bus_bits == 64 {
            m.assign(&queues.pop_word, &(wanted & !flush));
            return Beat { there: valid, data, low: None };
        }
        let low = m.reg("low_word", 64);
        let low_valid = m.reg_reset("low_valid", 1, 0);
        m.assign(&queues.pop_word, &((!&low_valid | wanted) & !flush));
        m.set_if(&low, &(&valid & !&low_valid), &data);
        m.set_if(&low_valid, flush, &lit(0, 1));
        m.set_if(&low_valid, &(&valid & !&low_valid), &lit(1, 1));
        m.set_if(&low_valid, &(&valid & wanted), &lit(0, 1));
        Beat { there: &valid & &low_valid, data: cat(&[data, low.clone()]), low: Some((low, low_valid)) }
    }
}

fn build(m: &mut Builder, config: &CoreConfig, words_fifo: &Rc<Module>, burst_fifo: &Rc<Module>) {
    let ports = Ports::inputs(m, config);
    let queues = Queues::build(m, &ports, words_fifo, burst_fifo);
    let burst = Burst::build(m, config, &ports, &queues);
    let Burst { request, issue, beats_left, under_way, aw_valid, w_valid, .. } = &burst;

    m.comment("Address channel.");
    m.set_if(aw_valid, issue, &lit(1, 1));
    m.set_if(aw_valid, &ports.aw_ready, &lit(0, 1));
    let mut issued = |name: &str, value: &Expr| m.sample(name, issue, value);
    let address = issued("awaddr", &(&ports.memory_base + request.offset.zext(config.address_bits)));
    let length = issued("awlen", &request.beats.dec().zext(8));
    let last_offset = issued("last_offset", &request.offset);

    m.comment("Data channel.");
    let wants_beat = m.named("wants_beat", &(beats_left.any() & &burst.w_free));
    let beat = Beat::build(m, config, &ports.flush, &queues, &wants_beat);
    let send = m.named("send", &(&wants_beat & (&beat.there | &ports.flush)));
    m.set_if(beats_left, issue, &request.beats);
    m.set_if(beats_left, &send, &beats_left.dec());
    m.set_if(w_valid, &send, &lit(1, 1));
    m.set_if(w_valid, &ports.w_ready, &lit(0, 1));
    let mut sent = |name: &str, value: &Expr| m.sample(name, &send, value);
    let data = sent("wdata", &beat.data);
    let bytes = config.bus_bytes();
    let strobe = sent("wstrb", &mux(&ports.flush, &lit(0, bytes), &lit(1, 1).repeat(bytes)));
    let last = sent("wlast", &beats_left.eq_lit(1));
    let change = |count: &Expr, by: &Expr| by.zext(count.width());
    m.set(under_way, &(under_way + change(under_way, issue) - change(under_way, &ports.b_valid)));

    let room = &queues.word_room & &queues.burst_room;
    m.output_doc("word_ready", &room, "a word (and its burst) is taken");
    m.output_doc("layer_end_ready", &queues.burst_room, "a marker is taken");
    m.output_doc("layer_retired", &burst.retire, "all bursts before the marker are answered, for one cycle");
    let quiet = !aw_valid & !w_valid & beats_left.is_zero() & under_way.is_zero();
    m.output_doc("idle", &quiet, "nothing is on the bus");
    for (name, value) in [
        ("awvalid", aw_valid),
        ("awaddr", &address),
        ("awlen", &length),
        ("wvalid", w_valid),
        ("wdata", &data),
        ("wstrb", &strobe),
        ("wlast", &last),
        ("bready", &lit(1, 1)),
    ] {
        m.output(name, value);
    }
    m.output_doc("fault", &request.refused, "a burst is refused");
    m.output_doc("fault_code", &request.code, "why");
    m.output_doc("fault_offset", &request.offset, "its byte offset");
    m.output_doc("response_error", &(&ports.b_valid & &ports.b_error), "SLVERR or DECERR");
    m.output_doc("last_offset", &last_offset, "byte offset of the latest burst");
    m.output_doc("beat", &(w_valid & &ports.w_ready), "a beat leaves");
    let writer =
        Writer { ports, queues, burst, beat, send, address, length, last_offset, data, strobe, last };
    m.formal(|m| writer.rules(m, config));
}

/// Everything that the rules speak of.
struct Writer {
    ports: Ports,
    queues: Queues,
    burst: Burst,
    beat: Beat,
    send: Expr,
    address: Expr,
    length: Expr,
    last_offset: Expr,
    data: Expr,
    strobe: Expr,
    last: Expr,
}
