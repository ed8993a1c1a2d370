//! The double-buffered matrix.

use std::rc::Rc;

use isa::CoreConfig;

use super::read_back::{Ports, reads_return_what_was_written};
use super::shaped;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, index_width, lit};

/// Two banks of `weight_rows` rows of one byte a lane: int8 weights, or spike bytes of K or V.
///
/// One bank is read by the array, one row a cycle, while the other is filled, a bus beat or one word at a time.
pub fn weight_buffer(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("weight_buffer", config)?;
    let (lanes, rows) = (config.lanes, config.weight_rows);
    let words = lanes / 8;
    let doc =
        "Two banks of matrix rows, one byte a lane: one is read a row a cycle while the other is filled.";
    Module::build("weight_buffer", doc, |m: &mut Builder| {
        let row_bits = index_width(rows);
        let write_words = m.input_doc("write_words", words, "words of the row to write, one for eight lanes");
        let write_bank = m.input("write_bank", 1);
        let write_row = m.input("write_row", row_bits);
        let write_data = m.input_doc("write_data", config.bus_bits, "a beat, repeated along the row");
        let read_enable = m.input_doc("read_enable", 1, "`matrix_row` moves on");
        let read_bank = m.input("read_bank", 1);
        let read_row = m.input("read_row", row_bits);
        let memory = m.memory("rows", 8 * lanes, 2 * rows);
        let repeats = 8 * lanes / config.bus_bits;
        let (write_address, write_data) = (cat(&[write_bank, write_row]), write_data.repeat(repeats));
        let read_address = cat(&[read_bank, read_row]);
        m.write_lanes(&memory, &write_words, &write_address, &write_data);
        let row = m.read_sync("matrix_row", &memory, &read_enable, &read_address);
        let ports = Ports {
            memory: &memory,
            write_enables: &write_words,
            write_address: &write_address,
            write_data: &write_data,
            read_enable: &read_enable,
            read_address: &read_address,
            read_data: &row,
        };
        reads_return_what_was_written(m, "row", &ports);
        m.output_doc("matrix_row", &row, "the row read, one cycle after `read_enable`");
    })
}

/// `count` enables, of which the one at `index` is `valid`.
pub(super) fn enables(m: &mut Builder, valid: &Expr, index: &Expr, count: u32) -> Expr {
    if count == 1 {
        m.unused(index);
        return valid.clone();
    }
    valid.repeat(count) & lit(1, count).shl_by(index)
}

/// Matrix rows of one chunk of an attention layer, eight for each word of its input row, as a row number of `row_bits` bits.
pub(super) fn chunk_rows(m: &mut Builder, segment_words: &Expr, row_bits: u32) -> Expr {
    let rows = cat(&[segment_words.clone(), lit(0, 3)]);
    if row_bits < rows.width() {
        m.unused(&segment_words.slice(row_bits - 3, rows.width() - row_bits));
    }
    rows.zext(row_bits.max(rows.width())).trunc(row_bits)
}
