//! The rule of every buffer: what is read is what was written last.

use crate::rtl::{Builder, Expr, Memory, index_width, lit};

/// A buffer's memory with its two ports.
pub(super) struct Ports<'a> {
    pub memory: &'a Memory,
    /// One bit a lane.
    pub write_enables: &'a Expr,
    pub write_address: &'a Expr,
    pub write_data: &'a Expr,
    pub read_enable: &'a Expr,
    pub read_address: &'a Expr,
    /// What the read port returns.
    pub read_data: &'a Expr,
}

/// For proofs: watches one lane of one word, which the proof picks, so that it holds for all of them. A word that is read while
/// it is written is left out: the memory does not say what it returns.
pub(super) fn reads_return_what_was_written(m: &mut Builder, name: &str, ports: &Ports<'_>) {
    let lanes = ports.write_enables.width();
    let lane_bits = ports.memory.width() / lanes;
    let port = |suffix: &str| format!("{name}_{suffix}");
    m.formal(|m| {
        let address = m.any_constant(&port("watched"), ports.memory.address_width());
        let lane = m.any_constant(&port("watched_lane"), index_width(lanes));
        let in_range =
            lane.zext(32).lt_lit(u64::from(lanes)) & address.zext(32).lt_lit(u64::from(ports.memory.depth()));
        let in_range = m.named(&port("in_range"), &in_range);
        let lane_of = |word: &Expr| word.slice_at(&lane, lane_bits);
        let writes = m.named(
            &port("writes"),
            &(&in_range & ports.write_enables.at(&lane) & ports.write_address.eq(&address)),
        );
        let value = m.reg(&port("written"), lane_bits);
        m.set_if(&value, &writes, &lane_of(ports.write_data));
        let known = m.reg_reset(&port("known"), 1, 0);
        m.set_if(&known, &writes, &lit(1, 1));
        let returned = m.reg(&port("to_return"), lane_bits);
        let reads = m.named(&port("reads"), &(ports.read_enable & ports.read_address.eq(&address)));
        m.set_if(&returned, ports.read_enable, &value);
        let due = m.reg_reset(&port("due"), 1, 0);
        m.set_if(&due, ports.read_enable, &(reads & &known & !&writes));
        m.assert_formal(
            &port("is_kept"),
            "A word keeps what was written to it last, whatever is written elsewhere.",
            &(!(&known & &in_range) | lane_of(&m.read_async(ports.memory, &address)).eq(&value)),
        );
        m.assert_formal(
            &port("is_returned"),
            "A read returns what was written last, and keeps it until the next read.",
            &(!(&due & &in_range) | lane_of(ports.read_data).eq(&returned)),
        );
        m.cover_formal(&port("read_back"), "Something is written and read.", &(&due & returned.any()));
    });
}
