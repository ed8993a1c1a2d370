//! What the bridge is held to: the command that came, followed byte by byte.

use super::{Begin, CRC_POLYNOMIAL, Checksum, Ports, States, Steps, Words};
use crate::rtl::{Builder, Expr, cat, lit, mux, select};

/// The command that came, as the line has it.
pub(super) struct Asked {
    asked: Expr,
    header: Expr,
    kind: Expr,
    total: Expr,
    over: Expr,
    whole: Expr,
    address_bytes: Vec<Expr>,
    write_asked: Expr,
    data_bytes: Expr,
    written: Vec<Expr>,
    word_read: Expr,
    bytes_sent: Expr,
    answering: Expr,
    expects: Expr,
    quiet: Expr,
}

/// Follows the command byte by byte.
pub(super) fn asked(
    m: &mut Builder,
    silence_cycles: u32,
    bits: u32,
    ports: &Ports,
    states: &States,
    begin: &Begin,
) -> Asked {
    m.comment("The command that came: byte by byte, then as many words as it asks for.");
    let asked = m.reg_reset("asked", 1, 0);
    let header = m.reg_reset("header_bytes", 3, 0);
    let kind = m.reg("asked_kind", 8);
    let total = m.reg("asked_words", 9);
    let over = m.reg_reset("words_over", 9, 0);
    let whole = m.named("header_whole", &header.eq_lit(6));
    m.set_if(&kind, &begin.begins, &ports.rx_data);
    m.set_if(
        &total,
        &(&states.take & header.eq_lit(1)),
        &cat(&[ports.rx_data.is_zero(), ports.rx_data.clone()]),
    );
    let address_bytes = bytes_taken(m, "address_byte", &states.take, (&header, 2), &ports.rx_data);
    let write_asked = kind.bit(0);
    let data_bytes = m.reg_reset("data_bytes", 3, 0);
    let takes_data = m.named("takes_data", &(&states.take & &asked & &whole));
    let written = bytes_taken(m, "data_byte", &takes_data, (&data_bytes, 0), &ports.rx_data);
    let word_read = m.reg("word_read", 32);
    let bytes_sent = m.reg_reset("bytes_sent", 2, 0);
    let answering = m.reg_reset("answering", 1, 0);
    let access_over = m.named("access_over", &(&states.in_access & &ports.done));
    let read_over = m.named("read_over", &(&access_over & !&write_asked));
    m.set_if(&word_read, &read_over, &ports.read_data);
    let answered = m.named("answered", &(&states.sent & bytes_sent.all()));
    m.set_if(&bytes_sent, &states.sent, &bytes_sent.inc());
    m.set_if(&answering, &read_over, &lit(1, 1));
    m.set_if(&answering, &answered, &lit(0, 1));
    let one_over = m.named("one_over", &((&access_over & &write_asked) | &answered));
    let all_over = m.named("all_over", &(&one_over & over.inc().eq(&total)));
    let expects = m.named("expects_byte", &(&asked & (!&whole | (&write_asked & data_bytes.lt_lit(4)))));
    let quiet = m.reg_reset("quiet_cycles", bits, 0);
    let is_quiet = m.named("is_quiet", &(&expects & !&ports.rx_valid));
    let dropped = m.named("dropped", &(&is_quiet & quiet.eq_lit(u64::from(silence_cycles))));
    m.set_if(&quiet, &(&is_quiet & !&dropped), &quiet.inc());
    m.set(&quiet, &lit(0, bits));
    m.set_if(&asked, &begin.begins, &lit(1, 1));
    m.set_if(&asked, &(&all_over | &dropped), &lit(0, 1));
    m.set_if(&header, &begin.begins, &lit(1, 3));
    m.set_if(&header, &(&states.take & &asked & !&whole), &header.inc());
    m.set_if(&over, &begin.begins, &lit(0, 9));
    m.set_if(&over, &one_over, &over.inc());
    m.set_if(&data_bytes, &(&begin.begins | &one_over), &lit(0, 3));
    m.set_if(&data_bytes, &takes_data, &data_bytes.inc());
    Asked {
        asked,
        header,
        kind,
        total,
        over,
        whole,
        address_bytes,
        write_asked,
        data_bytes,
        written,
        word_read,
        bytes_sent,
        answering,
        expects,
        quiet,
    }
}

/// The command's first address, and how many words on it is.
pub(super) struct Place {
    first_address: Expr,
    offset: Expr,
}

/// Of the accesses that a command makes.
pub(super) fn access_rules(
    m: &mut Builder,
    ports: &Ports,
    states: &States,
    begin: &Begin,
    words: &Words,
    checksum: &Checksum,
    asked: &Asked,
) -> Place {
    m.comment("What goes out.");
    m.assert_stable(
        "access_stays",
        "An access stays as it is until it is done.",
        &(&states.in_access & !&ports.done),
        &[&states.in_access, &begin.writes, &words.word_address, &words.word],
    );
    m.assert_stable(
        "byte_stays",
        "A byte that is sent stays until it is taken.",
        &(&states.in_send & !&ports.tx_ready),
        &[&states.in_send, &checksum.tx_data],
    );
    m.assert_formal(
        "only_commands",
        "A command is one of the four.",
        &(!&asked.asked | (asked.kind.ge_lit(1) & asked.kind.le_lit(4))),
    );
    let due = &asked.asked
        & &asked.whole
        & asked.over.lt(&asked.total)
        & !&asked.answering
        & (!&asked.write_asked | asked.data_bytes.eq_lit(4));
    m.assert_formal(
        "only_asked_accesses",
        "An access is one that a whole command asks for and that has not been made: a write when its word is there, a \
         read when the last answer is sent.",
        &states.in_access.eq(&due),
    );
    m.assert_formal(
        "as_asked",
        "Commands 1 and 3 write, the others read.",
        &(!&states.in_access | begin.writes.eq(&asked.write_asked)),
    );
    let first_address = cat(&asked.address_bytes).trunc(30);
    let offset = mux(&asked.kind.le_lit(2), &asked.over.zext(30), &lit(0, 30));
    m.assert_formal(
        "address_counts_up",
        "Commands 1 and 2 count the address up by one a word, the others keep it.",
        &(!&states.in_access | words.word_address.eq(&(&first_address + &offset))),
    );
    m.assert_formal(
        "word_as_sent",
        "A word is written as its bytes came, the most significant first.",
        &(!(&states.in_access & &begin.writes) | words.word.eq(&cat(&asked.written))),
    );
    Place { first_address, offset }
}

/// Of what is sent, and of the end of a command.
pub(super) fn answer_rules(
    m: &mut Builder,
    silence_cycles: u32,
    states: &States,
    checksum: &Checksum,
    asked: &Asked,
) {
    let byte_due =
        select(&asked.bytes_sent, &(0..4).rev().map(|i| asked.word_read.slice(8 * i, 8)).collect::<Vec<_>>());
    m.assert_formal(
        "answer_as_read",
        "What is sent is the word that was read, the most significant byte first, and nothing else.",
        &(states.in_send.eq(&(&asked.asked & &asked.answering))
            & (!&states.in_send | checksum.tx_data.eq(&byte_due))),
    );
    m.assert_formal(
        "comes_to_rest",
        "With its last word, or after too long a silence, a command is over; not before.",
        &states.in_command.eq(&!&asked.asked),
    );
    m.assert_formal(
        "silence_is_bounded",
        "Silence never lasts longer.",
        &asked.quiet.le_lit(u64::from(silence_cycles)),
    );
    m.assert_formal(
        "takes_what_it_expects",
        "Inside a command a byte is taken exactly when one is due.",
        &(&states.in_command | states.rx_ready.eq(&asked.expects)),
    );
}

pub(super) fn register_rules(
    m: &mut Builder,
    states: &States,
    begin: &Begin,
    words: &Words,
    steps: &Steps,
    asked: &Asked,
    place: &Place,
) {
    m.comment("How the registers follow from the command.");
    m.assert_formal(
        "states_follow",
        "The state says which byte comes next.",
        &(states.state.le_lit(5)
            & states.in_length.eq(&(&asked.asked & asked.header.eq_lit(1)))
            & states.in_address.eq(&(&asked.asked & asked.header.ge_lit(2) & asked.header.lt_lit(6)))
            & states
                .in_data
                .eq(&(&asked.asked & &asked.whole & &asked.write_asked & asked.data_bytes.lt_lit(4)))
            & asked.header.le_lit(6)
            & asked.data_bytes.le_lit(4)
            & (!&asked.asked | asked.header.any())),
    );
    m.assert_formal(
        "kinds_follow",
        "What kind of command it is stays known.",
        &(!&asked.asked | (begin.writes.eq(&asked.write_asked) & begin.counts_up.eq(&asked.kind.le_lit(2)))),
    );
    let index_due = mux(
        &states.in_address,
        &(&asked.header - lit(2, 3)).trunc(2),
        &mux(&states.in_send, &asked.bytes_sent, &asked.data_bytes.trunc(2)),
    );
    m.assert_formal(
        "indices_follow",
        "The index of a byte counts those that came or went.",
        &((&states.in_command | words.byte.eq(&index_due))
            & (&states.in_send | asked.bytes_sent.is_zero())
            & (!(&asked.asked & &asked.answering)
                | (&asked.whole & !&asked.write_asked & words.word.eq(&asked.word_read)))
            & (&asked.asked | !&asked.answering)
            & (!(&asked.asked & !&asked.whole) | (asked.over.is_zero() & asked.data_bytes.is_zero()))
            & (!(&asked.asked & !&asked.write_asked) | asked.data_bytes.is_zero())),
    );
    m.assert_formal(
        "words_follow",
        "The words that are left are those asked for that are not over.",
        &(!(&asked.asked & asked.header.ge_lit(2))
            | (words.words.eq(&(&asked.total - &asked.over).trunc(8))
                & asked.over.lt(&asked.total)
                & asked.total.le_lit(256))),
    );
    let so_far = |register: &Expr, bytes: &[Expr], count: &Expr| {
        (1..4u32)
            .map(|n| !count.eq_lit(n.into()) | register.slice(0, 8 * n).eq(&cat(&bytes[..n as usize])))
            .fold(lit(1, 1), |all, one| all & one)
    };
    m.assert_formal(
        "bytes_follow",
        "Address and word hold the bytes that came.",
        &((!&states.in_address
            | so_far(&words.word_address, &asked.address_bytes, &(&asked.header - lit(2, 3))))
            & (!&states.in_data | so_far(&words.word, &asked.written, &asked.data_bytes))
            & (!(&asked.asked & &asked.whole)
                | words.word_address.eq(&(&place.first_address + &place.offset)))),
    );
    m.assert_formal(
        "silence_follows",
        "Silence is counted.",
        &(&states.in_command | steps.silence.eq(&asked.quiet)),
    );
}

pub(super) fn checksum_rules(m: &mut Builder, ports: &Ports, states: &States, checksum: &Checksum) {
    m.comment("The checksum as its definition has it, bit by bit.");
    let by_bits = m.reg_reset("crc_by_bits", 32, u64::from(u32::MAX));
    let one_bit = |sum: Expr, _: u32| {
        let half = sum.shr(1);
        mux(&sum.bit(0), &(&half ^ lit(CRC_POLYNOMIAL.into(), 32)), &half)
    };
    let next =
        (0..8).fold(&by_bits ^ mux(&states.in_send, &checksum.tx_data, &ports.rx_data).zext(32), one_bit);
    m.set_if(&by_bits, &ports.crc_clear, &lit(u64::from(u32::MAX), 32));
    m.set_if(&by_bits, &(&states.take | &states.sent), &next);
    m.assert_formal(
        "crc_is_crc32",
        "The checksum is CRC-32 of the bytes taken and sent.",
        &checksum.crc.eq(&by_bits),
    );
}

/// The four bytes that `moves` brings while `counts` goes from `first` on.
fn bytes_taken(
    m: &mut Builder,
    name: &str,
    moves: &Expr,
    (counts, first): (&Expr, u64),
    rx_data: &Expr,
) -> Vec<Expr> {
    (0..4)
        .map(|i| {
            let byte = m.reg(&format!("{name}_{i}"), 8);
            m.set_if(&byte, &(moves & counts.eq_lit(first + i)), rx_data);
            byte
        })
        .collect()
}
