//! Commands on a serial line into bus accesses.

use std::rc::Rc;

use crate::core::codes;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, constant, index_width, lit, mux, select};

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
        let take = m.named("take", &(&rx_valid & &rx_ready));
        let sent = m.named("sent", &(&in_send & &tx_ready));

        m.comment("Commands 1 and 3 write, 2 and 4 read; 1 and 2 count the address up.");
        let [write, read, write_fixed, read_fixed] =
            [("WRITE", 1), ("READ", 2), ("WRITE_FIXED", 3), ("READ_FIXED", 4)]
                .map(|(name, code)| constant(&format!("COMMAND_{name}"), code, 8));
        let is_command = |code: &Expr| rx_data.eq(code);
        let is_known =
            is_command(&write) | is_command(&read) | is_command(&write_fixed) | is_command(&read_fixed);
        let known = m.named("known", &is_known);
        let begins = m.named("begins", &(&in_command & &take & &known));
        let writes = m.reg("writes", 1);
        m.set_if(&writes, &begins, &rx_data.bit(0));
        let counts_up = m.reg("counts_up", 1);
        m.set_if(&counts_up, &begins, &rx_data.le(&read));

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

        m.formal(|m| {
            m.comment("The command that came: byte by byte, then as many words as it asks for.");
            let asked = m.reg_reset("asked", 1, 0);
            let header = m.reg_reset("header_bytes", 3, 0);
            let kind = m.reg("asked_kind", 8);
            let total = m.reg("asked_words", 9);
            let over = m.reg_reset("words_over", 9, 0);
            let whole = m.named("header_whole", &header.eq_lit(6));
            m.set_if(&kind, &begins, &rx_data);
            m.set_if(&total, &(&take & header.eq_lit(1)), &cat(&[rx_data.is_zero(), rx_data.clone()]));
            let bytes = |m: &mut Builder, name: &str, moves: &Expr, counts: &Expr, first: u64| -> Vec<Expr> {
                (0..4)
                    .map(|i| {
                        let byte = m.reg(&format!("{name}_{i}"), 8);
                        m.set_if(&byte, &(moves & counts.eq_lit(first + i)), &rx_data);
                        byte
                    })
                    .collect()
            };
            let address_bytes = bytes(m, "address_byte", &take, &header, 2);
            let write_asked = kind.bit(0);
            let data_bytes = m.reg_reset("data_bytes", 3, 0);
            let takes_data = m.named("takes_data", &(&take & &asked & &whole));
            let written = bytes(m, "data_byte", &takes_data, &data_bytes, 0);
            let word_read = m.reg("word_read", 32);
            let bytes_sent = m.reg_reset("bytes_sent", 2, 0);
            let answering = m.reg_reset("answering", 1, 0);
            let access_over = m.named("access_over", &(&in_access & &done));
            let read_over = m.named("read_over", &(&access_over & !&write_asked));
            m.set_if(&word_read, &read_over, &read_data);
            let answered = m.named("answered", &(&sent & bytes_sent.all()));
            m.set_if(&bytes_sent, &sent, &bytes_sent.inc());
            m.set_if(&answering, &read_over, &lit(1, 1));
            m.set_if(&answering, &answered, &lit(0, 1));
            let one_over = m.named("one_over", &((&access_over & &write_asked) | &answered));
            let all_over = m.named("all_over", &(&one_over & over.inc().eq(&total)));
            let expects = m.named("expects_byte", &(&asked & (!&whole | (&write_asked & data_bytes.lt_lit(4)))));
            let quiet = m.reg_reset("quiet_cycles", bits, 0);
            let is_quiet = m.named("is_quiet", &(&expects & !&rx_valid));
            let dropped = m.named("dropped", &(&is_quiet & quiet.eq_lit(u64::from(silence_cycles))));
            m.set_if(&quiet, &(&is_quiet & !&dropped), &quiet.inc());
            m.set(&quiet, &lit(0, bits));
            m.set_if(&asked, &begins, &lit(1, 1));
            m.set_if(&asked, &(&all_over | &dropped), &lit(0, 1));
            m.set_if(&header, &begins, &lit(1, 3));
            m.set_if(&header, &(&take & &asked & !&whole), &header.inc());
            m.set_if(&over, &begins, &lit(0, 9));
            m.set_if(&over, &one_over, &over.inc());
            m.set_if(&data_bytes, &(&begins | &one_over), &lit(0, 3));
            m.set_if(&data_bytes, &takes_data, &data_bytes.inc());

            m.comment("What goes out.");
            m.assert_stable(
                "access_stays",
                "An access stays as it is until it is done.",
                &(&in_access & !&done),
                &[&in_access, &writes, &word_address, &word],
            );
            m.assert_stable(
                "byte_stays",
                "A byte that is sent stays until it is taken.",
                &(&in_send & !&tx_ready),
                &[&in_send, &tx_data],
            );
            m.assert_formal(
                "only_commands",
                "A command is one of the four.",
                &(!&asked | (kind.ge_lit(1) & kind.le_lit(4))),
            );
            let due = &asked & &whole & over.lt(&total) & !&answering & (!&write_asked | data_bytes.eq_lit(4));
            m.assert_formal(
                "only_asked_accesses",
                "An access is one that a whole command asks for and that has not been made: a write when its word is there, a \
                 read when the last answer is sent.",
                &in_access.eq(&due),
            );
            m.assert_formal("as_asked", "Commands 1 and 3 write, the others read.", &(!&in_access | writes.eq(&write_asked)));
            let first_address = cat(&address_bytes).trunc(30);
            let offset = mux(&kind.le_lit(2), &over.zext(30), &lit(0, 30));
            m.assert_formal(
                "address_counts_up",
                "Commands 1 and 2 count the address up by one a word, the others keep it.",
                &(!&in_access | word_address.eq(&(&first_address + &offset))),
            );
            m.assert_formal(
                "word_as_sent",
                "A word is written as its bytes came, the most significant first.",
                &(!(&in_access & &writes) | word.eq(&cat(&written))),
            );
            let byte_due = select(&bytes_sent, &(0..4).rev().map(|i| word_read.slice(8 * i, 8)).collect::<Vec<_>>());
            m.assert_formal(
                "answer_as_read",
                "What is sent is the word that was read, the most significant byte first, and nothing else.",
                &(in_send.eq(&(&asked & &answering)) & (!&in_send | tx_data.eq(&byte_due))),
            );
            m.assert_formal(
                "comes_to_rest",
                "With its last word, or after too long a silence, a command is over; not before.",
                &in_command.eq(&!&asked),
            );
            m.assert_formal("silence_is_bounded", "Silence never lasts longer.", &quiet.le_lit(u64::from(silence_cycles)));
            m.assert_formal("takes_what_it_expects", "Inside a command a byte is taken exactly when one is due.", &(&in_command | rx_ready.eq(&expects)));
            m.comment("How the registers follow from the command.");
            m.assert_formal(
                "states_follow",
                "The state says which byte comes next.",
                &(state.le_lit(5)
                    & in_length.eq(&(&asked & header.eq_lit(1)))
                    & in_address.eq(&(&asked & header.ge_lit(2) & header.lt_lit(6)))
                    & in_data.eq(&(&asked & &whole & &write_asked & data_bytes.lt_lit(4)))
                    & header.le_lit(6)
                    & data_bytes.le_lit(4)
                    & (!&asked | header.any())),
            );
            m.assert_formal(
                "kinds_follow",
                "What kind of command it is stays known.",
                &(!&asked | (writes.eq(&write_asked) & counts_up.eq(&kind.le_lit(2)))),
            );
            let index_due = mux(&in_address, &(&header - lit(2, 3)).trunc(2), &mux(&in_send, &bytes_sent, &data_bytes.trunc(2)));
            m.assert_formal(
                "indices_follow",
                "The index of a byte counts those that came or went.",
                &((&in_command | byte.eq(&index_due))
                    & (&in_send | bytes_sent.is_zero())
                    & (!(&asked & &answering) | (&whole & !&write_asked & word.eq(&word_read)))
                    & (&asked | !&answering)
                    & (!(&asked & !&whole) | (over.is_zero() & data_bytes.is_zero()))
                    & (!(&asked & !&write_asked) | data_bytes.is_zero())),
            );
            m.assert_formal(
                "words_follow",
                "The words that are left are those asked for that are not over.",
                &(!(&asked & header.ge_lit(2))
                    | (words.eq(&(&total - &over).trunc(8)) & over.lt(&total) & total.le_lit(256))),
            );
            let so_far = |register: &Expr, bytes: &[Expr], count: &Expr| {
                (1..4u32).map(|n| !count.eq_lit(n.into()) | register.slice(0, 8 * n).eq(&cat(&bytes[..n as usize])))
                    .fold(lit(1, 1), |all, one| all & one)
            };
            m.assert_formal(
                "bytes_follow",
                "Address and word hold the bytes that came.",
                &((!&in_address | so_far(&word_address, &address_bytes, &(&header - lit(2, 3))))
                    & (!&in_data | so_far(&word, &written, &data_bytes))
                    & (!(&asked & &whole) | word_address.eq(&(&first_address + &offset)))),
            );
            m.assert_formal("silence_follows", "Silence is counted.", &(&in_command | silence.eq(&quiet)));

            m.comment("The checksum as its definition has it, bit by bit.");
            let by_bits = m.reg_reset("crc_by_bits", 32, u64::from(u32::MAX));
            let one_bit = |crc: Expr, _: u32| {
                let half = crc.shr(1);
                mux(&crc.bit(0), &(&half ^ lit(CRC_POLYNOMIAL.into(), 32)), &half)
            };
            let next = (0..8).fold(&by_bits ^ mux(&in_send, &tx_data, &rx_data).zext(32), one_bit);
            m.set_if(&by_bits, &crc_clear, &lit(u64::from(u32::MAX), 32));
            m.set_if(&by_bits, &(&take | &sent), &next);
            m.assert_formal("crc_is_crc32", "The checksum is CRC-32 of the bytes taken and sent.", &crc.eq(&by_bits));
        });
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
