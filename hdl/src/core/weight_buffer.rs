//! The double-buffered matrix.

use std::rc::Rc;

use isa::CoreConfig;

use crate::rtl::{Builder, Module, RtlError, cat, index_width, lit};

/// Two banks of `weight_rows` rows of one byte a lane: int8 weights, or spike bytes of K or V.
///
/// One bank is read by the array, one row a cycle, while the other is filled word by word.
pub fn weight_buffer(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    let (lanes, rows) = (config.lanes, config.weight_rows);
    let words = lanes / 8;
    let doc = "Two banks of matrix rows, one byte a lane: one is read a row a cycle while the other is filled a word a cycle.";
    Module::build("weight_buffer", doc, |m: &mut Builder| {
        let row_bits = index_width(rows);
        let write_valid = m.input("write_valid", 1);
        let write_bank = m.input("write_bank", 1);
        let write_row = m.input("write_row", row_bits);
        let write_word = m.input_doc("write_word", index_width(words), "which eight lanes");
        let write_data = m.input("write_data", 64);
        let read_enable = m.input_doc("read_enable", 1, "`matrix_row` moves on");
        let read_bank = m.input("read_bank", 1);
        let read_row = m.input("read_row", row_bits);
        let memory = m.memory("rows", 8 * lanes, 2 * rows);
        let enables = word_enables(m, &write_valid, &write_word, words);
        m.write_lanes(&memory, &enables, &cat(&[write_bank, write_row]), &write_data.repeat(words));
        let row = m.read_sync("matrix_row", &memory, &read_enable, &cat(&[read_bank, read_row]));
        m.output_doc("matrix_row", &row, "the row read, one cycle after `read_enable`");
    })
}

/// One write enable for each of `words` words of a wide memory row.
pub(super) fn word_enables(
    m: &mut Builder,
    valid: &crate::rtl::Expr,
    word: &crate::rtl::Expr,
    words: u32,
) -> crate::rtl::Expr {
    if words == 1 {
        m.unused(word);
        return valid.clone();
    }
    valid.repeat(words) & lit(1, words).shl_by(word)
}
