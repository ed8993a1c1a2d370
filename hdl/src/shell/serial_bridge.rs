//! Commands on a serial line into bus accesses.

use std::rc::Rc;

use crate::core::codes;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, constant, index_width, lit, mux, select};

mod rules;

/// The reflected polynomial of CRC-32 (ISO-HDLC).
const CRC_POLYNOMIAL: u32 = 0xedb8_8320;

/// Speaks LiteX's uartbone ([`isa::soc`]): bytes in, one 32-bit access after the other out, bytes back.
///
/// An access is offered with `bus_valid` until `bus_done`, which for a read comes with `bus_rdata`. While an access or an answer is
/// under way no byte is taken. A command that waits `silence_cycles` for its next byte is dropped.
pub fn serial_bridge(silence_cycles: u32) -> Result<Rc<Module>, RtlError> {
    let doc = "LiteX's uartbone: reads and writes of 32-bit words, commanded over a stream of bytes.";
    let bits = index_width(silence_cycles + 1);
    Module::build("serial_bridge", doc, |m: &mut Builder| {
        let ports = ports(m);
        let states = states(m, &ports);
        let begin = begin(m, &ports, &states);
        let words = words(m, &ports, &states, &begin);
        let steps = steps(m, silence_cycles, bits, &ports, &states, &begin, &words);
        let checksum = checksum(m, &ports, &states, &words);
        m.formal(|m| {
            let asked = rules::asked(m, silence_cycles, bits, &ports, &states, &begin);
            let place = rules::access_rules(m, &ports, &states, &begin, &words, &checksum, &asked);
            rules::answer_rules(m, silence_cycles, &states, &checksum, &asked);
            rules::register_rules(m, &states, &begin, &words, &steps, &asked, &place);
            rules::checksum_rules(m, &ports, &states, &checksum);
        });
        outputs(m, &states, &begin, &words, &checksum);
    })
}

/// The line's bytes and the bus.
struct Ports {
    rx_valid: Expr,
    rx_data: Expr,
    tx_ready: Expr,
    done: Expr,
    read_data: Expr,
    crc_clear: Expr,
}

fn ports(m: &mut Builder) -> Ports {
    let rx_valid = m.input("rx_valid", 1);
    let rx_data = m.input("rx_data", 8);
    let tx_ready = m.input("tx_ready", 1);
    let done = m.input_doc("bus_done", 1, "the access is over");
    let read_data = m.input_doc("bus_rdata", 32, "with bus_done of a read");
    let crc_clear = m.input_doc("crc_clear", 1, "starts the checksum anew");
    Ports { rx_valid, rx_data, tx_ready, done, read_data, crc_clear }
}

/// The state, and the byte that moves.
struct States {
    state: Expr,
    in_command: Expr,
    in_length: Expr,
    in_address: Expr,
    in_data: Expr,
    in_access: Expr,
    in_send: Expr,
    rx_ready: Expr,
    take: Expr,
    sent: Expr,
    command: Expr,
    length: Expr,
    address: Expr,
    data: Expr,
    access: Expr,
    send: Expr,
}

fn states(m: &mut Builder, ports: &Ports) -> States {
    let [command, length, address, data, access, send] =
        [("Command", 0), ("Length", 1), ("Address", 2), ("Data", 3), ("Access", 4), ("Send", 5)]
            .map(|(name, code)| codes::state(name, code, 3));
    let state = m.reg_reset("state", 3, 0);
    let mut is = |name: &str, which: &Expr| m.named(name, &state.eq(which));
    let in_command = is("in_command", &command);
    let in_length = is("in_length", &length);
    let in_address = is("in_address", &address);
    let in_data = is("in_data", &data);
    let in_access = is("in_access", &access);
    let in_send = is("in_send", &send);
    let rx_ready = m.named("receives", &!(&in_access | &in_send));
    let take = m.named("take", &(&ports.rx_valid & &rx_ready));
    let sent = m.named("sent", &(&in_send & &ports.tx_ready));
    States {
        state,
        in_command,
        in_length,
        in_address,
        in_data,
        in_access,
        in_send,
        rx_ready,
        take,
        sent,
        command,
        length,
        address,
        data,
        access,
        send,
    }
}

/// What the command is.
struct Begin {
    begins: Expr,
    writes: Expr,
    counts_up: Expr,
}

fn begin(m: &mut Builder, ports: &Ports, states: &States) -> Begin {
    m.comment("Commands 1 and 3 write, 2 and 4 read; 1 and 2 count the address up.");
    let [write, read, write_fixed, read_fixed] =
        [("WRITE", 1), ("READ", 2), ("WRITE_FIXED", 3), ("READ_FIXED", 4)]
            .map(|(name, code)| constant(&format!("COMMAND_{name}"), code, 8));
    let is_command = |code: &Expr| ports.rx_data.eq(code);
    let is_known =
        is_command(&write) | is_command(&read) | is_command(&write_fixed) | is_command(&read_fixed);
    let known = m.named("known", &is_known);
    let begins = m.named("begins", &(&states.in_command & &states.take & &known));
    let writes = m.reg("writes", 1);
    m.set_if(&writes, &begins, &ports.rx_data.bit(0));
    let counts_up = m.reg("counts_up", 1);
    m.set_if(&counts_up, &begins, &ports.rx_data.le(&read));
    Begin { begins, writes, counts_up }
}

/// The command's address and words.
struct Words {
    byte: Expr,
    last_byte: Expr,
    words: Expr,
    word_over: Expr,
    last_word: Expr,
    word_address: Expr,
    word: Expr,
}

fn words(m: &mut Builder, ports: &Ports, states: &States, begin: &Begin) -> Words {
    let byte = m.reg("byte_index", 2);
    let last_byte = m.named("last_byte", &byte.all());
    let counts_byte =
        m.named("counts_byte", &((&states.take & (&states.in_address | &states.in_data)) | &states.sent));
    m.set_if(&byte, &begin.begins, &lit(0, 2));
    m.set_if(&byte, &counts_byte, &byte.inc());
    let words = m.reg("words_left", 8);
    let word_over = m.named(
        "word_over",
        &((&states.in_access & &ports.done & &begin.writes) | (&states.sent & &last_byte)),
    );
    let last_word = m.named("last_word", &words.eq_lit(1));
    m.set_if(&words, &(&states.in_length & &states.take), &ports.rx_data);
    m.set_if(&words, &word_over, &words.dec());
    let word_address = m.reg("word_address", 30);
    m.set_if(
        &word_address,
        &(&states.in_address & &states.take),
        &cat(&[word_address.slice(0, 22), ports.rx_data.clone()]),
    );
    m.set_if(&word_address, &(&word_over & &begin.counts_up), &word_address.inc());
    let word = m.reg("word", 32);
    m.set_if(&word, &(&states.in_data & &states.take), &cat(&[word.slice(0, 24), ports.rx_data.clone()]));
    m.set_if(&word, &(&states.in_access & &ports.done), &ports.read_data);
    Words { byte, last_byte, words, word_over, last_word, word_address, word }
}

/// How long the line was silent.
struct Steps {
    silence: Expr,
}

fn steps(
    m: &mut Builder,
    silence_cycles: u32,
    bits: u32,
    ports: &Ports,
    states: &States,
    begin: &Begin,
    words: &Words,
) -> Steps {
    m.comment("Silence inside a command drops it.");
    let silence = m.reg("silence", bits);
    let waits = m.named("waits", &(&states.rx_ready & !&states.in_command & !&ports.rx_valid));
    let too_long = m.named("too_long", &(&waits & silence.eq_lit(u64::from(silence_cycles))));
    m.set_if(&silence, &!&waits, &lit(0, bits));
    m.set(&silence, &silence.inc());

    m.set_if(&states.state, &too_long, &states.command);
    m.set_if(&states.state, &begin.begins, &states.length);
    m.set_if(&states.state, &(&states.in_length & &states.take), &states.address);
    m.set_if(
        &states.state,
        &(&states.in_address & &states.take & &words.last_byte),
        &mux(&begin.writes, &states.data, &states.access),
    );
    m.set_if(&states.state, &(&states.in_data & &states.take & &words.last_byte), &states.access);
    m.set_if(&states.state, &(&states.in_access & &ports.done & !&begin.writes), &states.send);
    m.set_if(&states.state, &(&words.word_over & &words.last_word), &states.command);
    m.set_if(&states.state, &(&words.word_over & &begin.writes), &states.data);
    m.set_if(&states.state, &words.word_over, &states.access);
    Steps { silence }
}

/// The byte sent, and the checksum.
struct Checksum {
    tx_data: Expr,
    crc: Expr,
}

fn checksum(m: &mut Builder, ports: &Ports, states: &States, words: &Words) -> Checksum {
    let tx_data = {
        let bytes: Vec<Expr> = (0..4).rev().map(|i| words.word.slice(8 * i, 8)).collect();
        m.named("sent_byte", &select(&words.byte, &bytes))
    };
    m.comment("CRC-32 of every byte taken or sent, least significant bit first.");
    let crc = m.reg_reset("crc_state", 32, u64::from(u32::MAX));
    let crc_byte = m.named("crc_byte", &mux(&states.in_send, &tx_data, &ports.rx_data));
    m.set_if(&crc, &ports.crc_clear, &lit(u64::from(u32::MAX), 32));
    m.set_if(&crc, &(&states.take | &states.sent), &crc_step(&crc, &crc_byte));
    Checksum { tx_data, crc }
}

fn outputs(m: &mut Builder, states: &States, begin: &Begin, words: &Words, checksum: &Checksum) {
    m.output_doc("rx_ready", &states.rx_ready, "a byte is taken");
    m.output("tx_valid", &states.in_send);
    m.output("tx_data", &checksum.tx_data);
    m.output_doc("bus_valid", &states.in_access, "until bus_done");
    m.output("bus_write", &begin.writes);
    m.output_doc("bus_address", &words.word_address, "byte address divided by 4");
    m.output("bus_wdata", &words.word);
    m.output_doc("crc", &!&checksum.crc, "checksum of the bytes so far");
}

/// The checksum's state after one more byte.
fn crc_step(crc: &Expr, byte: &Expr) -> Expr {
    // Bit i of the new state is the exclusive or of those old bits for which the linear map, tried on each, has bit i.
    let mixed = crc.slice(0, 8) ^ byte;
    let shifted = crc.shr(8);
    let of_byte =
        |bit: u32| (0..8).fold(1u32 << bit, |c, _| if c & 1 == 1 { c >> 1 ^ CRC_POLYNOMIAL } else { c >> 1 });
    let bits: Vec<Expr> = (0..32)
        .rev()
        .map(|i| {
            let taps: Vec<Expr> =
                (0..8).filter(|&b| of_byte(b) >> i & 1 == 1).map(|b| mixed.bit(b)).collect();
            taps.into_iter().fold(shifted.bit(i), |sum, tap| sum ^ tap)
        })
        .collect();
    cat(&bits)
}
