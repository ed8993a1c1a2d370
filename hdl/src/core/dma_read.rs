//! AXI4 read bursts for two streams.

use std::rc::Rc;

use isa::CoreConfig;
use isa::descriptor::WORDS;
use isa::layout::PARAMETER_ROWS;

use super::dma_read_stream::dma_read_stream;
use super::request::{burst_rules, inside_window};
use super::shaped;
use crate::rtl::{Builder, Expr, Instance, Module, RtlError, lit, mux};

/// Beats that each stream's FIFO holds, and so may have under way.
pub(super) const FIFO_BEATS: u32 = 128;
/// Bits of a count of the beats of both streams.
const UNDER_WAY_BITS: u32 = 10;

/// The two streams, by their AXI read ID.
const STREAMS: [&str; 2] = ["weights", "inputs"];

/// Bits of a request's length in words: of a descriptor, a parameter block, a stored matrix, bias rows, or whatever a row's field says.
pub(super) fn length_bits(config: &CoreConfig) -> u32 {
    let lanes = u64::from(config.lanes);
    let longest = [
        WORDS as u64,
        u64::from(PARAMETER_ROWS) * lanes / 4,
        u64::from(config.max_fan_in) * lanes / 8,
        u64::from(config.bias_rows) * lanes / 4,
        isa::pass::field("segment_words").largest(),
        isa::descriptor::field("key_words").largest(),
    ];
    longest.into_iter().max().map_or(1, |words| words.ilog2() + 1)
}

/// Checks requests, cuts them into bursts, and returns the data of each stream in order, beat by beat.
///
/// Stream 0 carries descriptors, parameters and matrices, stream 1 input rows; the stream is the AXI ID, so the memory may
/// interleave them (AXI4, IHI 0022 A5.3). A request outside the memory window or not aligned to the bus is refused before it reaches the
/// bus. Bursts are INCR, at most 16 beats, never across 4 KiB (A3.4.1), and are issued only when the FIFO has room for all
/// their beats, so `rready` is constant. A stream takes a request, and issues a burst, every second cycle at most
/// ([`dma_read_stream`]). While `flush` is high arriving data is dropped and nothing is
/// issued but, in its first cycle, a burst that was cut before; `idle` says that nothing is under way.
pub fn dma_read(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("dma_read", config)?;
    let stream = dma_read_stream(config)?;
    let doc = "AXI4 read master for two streams (ID 0: descriptors, parameters, matrices; ID 1: input rows).\n\
               Bursts never cross 4 KiB and are issued only when their data has a place to go.";
    Module::build("dma_read", doc, |m: &mut Builder| build(m, config, &stream))
}

/// The signals of AXI4's read channels that the rules speak of.
struct Bus {
    ar_valid: Expr,
    ar_ready: Expr,
    address: Expr,
    id: Expr,
    length: Expr,
    r_valid: Expr,
    r_id: Expr,
    memory_size: Expr,
    /// Byte offset of the latest burst in the memory window.
    last_offset: Expr,
    under_way: Expr,
    /// Beats that are counted in the next cycle.
    more: Expr,
}

fn build(m: &mut Builder, config: &CoreConfig, stream: &Rc<Module>) {
    let flush = m.input_doc("flush", 1, "drop requests and what arrives");
    let memory_base = m.input_doc("memory_base", config.address_bits, "bus address of the memory window");
    let memory_size = m.input_doc("memory_size", 32, "its bytes");
    let ar_ready = m.input("arready", 1);
    let r_valid = m.input("rvalid", 1);
    let r_id = m.input_doc("rid", 1, "stream of the beat");
    let r_data = m.input("rdata", config.bus_bits);
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

    let granted = STREAMS.map(|name| m.wire(&format!("{name}_granted"), 1));
    let streams = [0, 1].map(|id: usize| {
        let shared = [("flush", &flush), ("memory_size", &memory_size), ("push_data", &r_data)];
        let push = &r_valid & r_id.eq_lit(id as u64);
        let mut inputs = vec![("granted", granted[id].clone()), ("push_valid", push)];
        inputs.extend(shared.map(|(name, value)| (name, value.clone())));
        let given: Vec<String> = inputs.iter().map(|(name, _)| (*name).to_owned()).collect();
        for port in stream.inputs().iter().filter(|port| !given.contains(&port.name)) {
            let input = m.input_doc(&format!("{}_{}", STREAMS[id], port.name), port.width, &port.doc);
            inputs.push((&port.name, input));
        }
        m.instance(STREAMS[id], stream, &inputs)
    });

    m.comment("Arbitration: the streams take turns, a cycle each, since neither has a burst every cycle.");
    let [weights, inputs] = &streams;
    m.assign(&granted[0], &(weights.output("wants") & &ar_free & !&turn));
    m.assign(&granted[1], &(inputs.output("wants") & &ar_free & &turn));
    let issue = m.named("issue", &(&granted[0] | &granted[1]));
    let of_turn = |port: &str| mux(&turn, &inputs.output(port), &weights.output(port));
    let offset = m.named("burst_offset", &of_turn("offset"));
    let beats = m.named("burst_beats", &of_turn("beats"));
    m.set_if(&ar_valid, &issue, &lit(1, 1));
    m.set_if(&ar_valid, &ar_ready, &lit(0, 1));
    let mut issued = |name: &str, value: &Expr| m.sample(name, &issue, value);
    let address = issued("araddr", &(&memory_base + offset.zext(config.address_bits)));
    let id = issued("arid", &turn);
    let length = issued("arlen", &beats.dec().zext(8));
    let last_offset = issued("last_offset", &offset);
    let issued_beats = issued("issued_beats", &beats);

    m.comment("What is under way, counted in the cycle after its issue.");
    let under_way = m.reg_reset("beats_under_way", UNDER_WAY_BITS, 0);
    m.carries(&under_way, u64::from(2 * FIFO_BEATS));
    let issued = m.delay_reset("issued", &issue);
    let more = mux(&issued, &issued_beats.zext(UNDER_WAY_BITS), &under_way.like(0));
    m.set(&under_way, &(&under_way + &more - r_valid.zext(UNDER_WAY_BITS)));

    let cut = weights.output("cut") | inputs.output("cut");
    m.output_doc("idle", &!(&ar_valid | cut | under_way.any()), "nothing is under way, nor about to be");
    m.output("arvalid", &ar_valid);
    m.output("araddr", &address);
    m.output_doc("arid", &id, "stream of the burst");
    m.output("arlen", &length);
    m.output_doc("rready", &lit(1, 1), "every beat has a place");
    m.output_doc("response_error", &(&r_valid & r_resp.bit(1)), "a beat came with SLVERR or DECERR");
    m.output_doc("response_stream", &r_id, "the stream of that beat");
    m.output_doc("last_offset", &last_offset, "byte offset of the latest burst");
    m.output_doc("beat", &r_valid, "a beat arrives");
    for (name, of) in STREAMS.iter().zip(&streams) {
        for port in ["request_ready", "data", "valid", "fault", "fault_code"] {
            let doc =
                stream.outputs().iter().find(|output| output.name == port).map_or("", |output| &output.doc);
            m.output_doc(&format!("{name}_{port}"), &of.output(port), doc);
        }
        m.output_doc(
            &format!("{name}_fault_offset"),
            &of.output("offset"),
            "byte offset of the refused request",
        );
    }
    let bus = Bus {
        ar_valid,
        ar_ready,
        address,
        id,
        length,
        r_valid,
        r_id,
        memory_size,
        last_offset,
        under_way,
        more,
    };
    m.formal(|m| bus.rules(m, config, &streams));
}

impl Bus {
    /// For proofs: legal bursts that stay until they are taken, and every beat accounted for.
    fn rules(&self, m: &mut Builder, config: &CoreConfig, streams: &[Instance; 2]) {
        let Bus { ar_valid, ar_ready, address, id, length, memory_size, last_offset, .. } = self;
        m.comment("AXI4 read address channel (IHI 0022).");
        m.assert_stable(
            "ar_stays",
            "A3.2.1: ARVALID and the address stay until ARREADY.",
            &(ar_valid & !ar_ready),
            &[ar_valid, address, id, length],
        );
        burst_rules(m, "ar", ar_valid, address, length, config.bus_bytes());
        inside_window(m, "ar", ar_valid, last_offset, length, memory_size, config.bus_bytes());
        for (id, (name, stream)) in STREAMS.iter().zip(streams).enumerate() {
            self.owes(m, name, id as u64, stream);
        }
        let beats_of = |stream: usize| streams[stream].output("outstanding").zext(UNDER_WAY_BITS);
        m.assert_formal(
            "beats_are_counted",
            "The beats under way are those requested and not received.",
            &(&self.under_way + &self.more).eq(&(beats_of(0) + beats_of(1))),
        );
    }

    /// For proofs: what the memory owes a stream are the beats whose address it took and that it did not send.
    fn owes(&self, m: &mut Builder, name: &str, stream: u64, of: &Instance) {
        m.comment(&format!(
            "What the memory owes the stream of {name}: beats whose address it took and that it did not send."
        ));
        let outstanding = of.output("outstanding");
        let bits = outstanding.width();
        let beats = self.length.zext(bits) + lit(1, bits);
        let of_stream = &self.id.eq_lit(stream);
        let owed = m.reg_reset(&format!("{name}_owed"), bits, 0);
        let taken = &self.ar_valid & &self.ar_ready & of_stream;
        let given = m.named(&format!("{name}_given"), &(&self.r_valid & self.r_id.eq_lit(stream)));
        m.set(&owed, &(&owed + mux(&taken, &beats, &lit(0, bits)) - given.zext(bits)));
        m.assume_formal(
            &format!("{name}_are_owed"),
            "The memory sends what it was asked for, no more.",
            &(!&given | owed.any()),
        );
        let of_burst = of.output("beats").zext(bits);
        m.assert_formal(
            &format!("{name}_issued_is_offered"),
            "A burst that was just issued is offered.",
            &(!of.output("issue_shown") | (&self.ar_valid & of_stream & beats.eq(&of_burst))),
        );
        let offered = mux(&(&self.ar_valid & of_stream), &beats, &lit(0, bits));
        m.assert_formal(
            &format!("{name}_all_asked"),
            "Every beat that is waited for was asked for.",
            &(outstanding.eq(&(&owed + &offered)) & owed.le_lit(u64::from(FIFO_BEATS))),
        );
    }
}
