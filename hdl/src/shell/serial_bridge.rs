//! Commands on a serial line into bus accesses.

use std::rc::Rc;

use crate::rtl::{Builder, Expr, Module, RtlError, cat, index_width, lit, mux, select};

/// The reflected polynomial of CRC-32 (ISO-HDLC).
const CRC_POLYNOMIAL: u32 = 0xedb8_8320;

/// Speaks LiteX's uartbone ([`isa::soc`]): bytes in, one 32-bit access after the other out, bytes back.
///
/// An access is offered with `bus_valid` until `bus_done`, which for a read comes with `bus_rdata`. While an access or an answer is
/// under way no byte is taken. A command that waits `silence_cycles` for its next byte is dropped.
pub fn serial_bridge(silence_cycles: u32) -> Result<Rc<Module>, RtlError> {
    let doc = "LiteX's uartbone: reads and writes of 32-bit words, commanded over a stream of bytes.";
    Module::build("serial_bridge", doc, |m: &mut Builder| {
        let rx_valid = m.input("rx_valid", 1);
        let rx_data = m.input("rx_data", 8);
        let tx_ready = m.input("tx_ready", 1);
        let done = m.input_doc("bus_done", 1, "the access is over");
        let read_data = m.input_doc("bus_rdata", 32, "with bus_done of a read");
        let crc_clear = m.input_doc("crc_clear", 1, "starts the checksum anew");

        let [command, length, address, data, access, send] = [0, 1, 2, 3, 4, 5].map(|state| lit(state, 3));
        let state = m.reg_reset("state", 3, 0);
        let mut is = |name: &str, which: &Expr| m.named(name, &state.eq(which));
        let in_command = is("in_command", &command);
        let in_length = is("in_length", &length);
        let in_address = is("in_address", &address);
        let in_data = is("in_data", &data);
        let in_access = is("in_access", &access);
        let in_send = is("in_send", &send);
        let rx_ready = m.named("receives", &!(&in_access | &in_send));
        let take = m.named("take", &(&rx_valid & &rx_ready));
        let sent = m.named("sent", &(&in_send & &tx_ready));

        m.comment("Commands 1 and 3 write, 2 and 4 read; 1 and 2 count the address up.");
        let known = m.named("known", &(rx_data.ge_lit(1) & rx_data.le_lit(4)));
        let begins = m.named("begins", &(&in_command & &take & &known));
        let writes = m.reg("writes", 1);
        m.set_if(&writes, &begins, &rx_data.bit(0));
        let counts_up = m.reg("counts_up", 1);
        m.set_if(&counts_up, &begins, &rx_data.le_lit(2));

        let byte = m.reg("byte_index", 2);
        let last_byte = m.named("last_byte", &byte.all());
        let counts_byte = m.named("counts_byte", &((&take & (&in_address | &in_data)) | &sent));
        m.set_if(&byte, &begins, &lit(0, 2));
        m.set_if(&byte, &counts_byte, &byte.inc());
        let words = m.reg("words_left", 8);
        let word_over = m.named("word_over", &((&in_access & &done & &writes) | (&sent & &last_byte)));
        let last_word = m.named("last_word", &words.eq_lit(1));
        m.set_if(&words, &(&in_length & &take), &rx_data);
        m.set_if(&words, &word_over, &words.dec());
        let word_address = m.reg("word_address", 30);
        m.set_if(&word_address, &(&in_address & &take), &cat(&[word_address.slice(0, 22), rx_data.clone()]));
        m.set_if(&word_address, &(&word_over & &counts_up), &word_address.inc());
        let word = m.reg("word", 32);
        m.set_if(&word, &(&in_data & &take), &cat(&[word.slice(0, 24), rx_data.clone()]));
        m.set_if(&word, &(&in_access & &done), &read_data);

        m.comment("Silence inside a command drops it.");
        let bits = index_width(silence_cycles + 1);
        let silence = m.reg("silence", bits);
        let waits = m.named("waits", &(&rx_ready & !&in_command & !&rx_valid));
        let too_long = m.named("too_long", &(&waits & silence.eq_lit(u64::from(silence_cycles))));
        m.set_if(&silence, &!&waits, &lit(0, bits));
        m.set(&silence, &silence.inc());

        m.set_if(&state, &too_long, &command);
        m.set_if(&state, &begins, &length);
        m.set_if(&state, &(&in_length & &take), &address);
        m.set_if(&state, &(&in_address & &take & &last_byte), &mux(&writes, &data, &access));
        m.set_if(&state, &(&in_data & &take & &last_byte), &access);
        m.set_if(&state, &(&in_access & &done & !&writes), &send);
        m.set_if(&state, &(&word_over & &last_word), &command);
        m.set_if(&state, &(&word_over & &writes), &data);
        m.set_if(&state, &word_over, &access);

        let tx_data = {
            let bytes: Vec<Expr> = (0..4).rev().map(|i| word.slice(8 * i, 8)).collect();
            m.named("sent_byte", &select(&byte, &bytes))
        };
        m.comment("CRC-32 of every byte taken or sent, least significant bit first.");
        let crc = m.reg_reset("crc_state", 32, u64::from(u32::MAX));
        let crc_byte = m.named("crc_byte", &mux(&in_send, &tx_data, &rx_data));
        m.set_if(&crc, &crc_clear, &lit(u64::from(u32::MAX), 32));
        m.set_if(&crc, &(&take | &sent), &crc_step(&crc, &crc_byte));

        m.output_doc("rx_ready", &rx_ready, "a byte is taken");
        m.output("tx_valid", &in_send);
        m.output("tx_data", &tx_data);
        m.output_doc("bus_valid", &in_access, "until bus_done");
        m.output("bus_write", &writes);
        m.output_doc("bus_address", &word_address, "byte address divided by 4");
        m.output("bus_wdata", &word);
        m.output_doc("crc", &!&crc, "checksum of the bytes so far");
    })
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
