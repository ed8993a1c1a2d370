//! Partial sums between the passes of a layer.

use std::rc::Rc;

use isa::CoreConfig;

use super::read_back::{Ports, reads_return_what_was_written};
use super::shaped;
use crate::rtl::{Builder, Module, RtlError, index_width};

/// Most rows that are kept in LUT RAM: one deep block RAM for each 36 bits of a row would be left almost empty.
const MOST_IN_LUTS: u32 = 32;

/// `sum_rows` rows of one partial sum a lane.
///
/// A pass writes the sum of each token (`if`: of each time step) into the next row; the pass after it reads them in the same order. Within a pass a
/// row is read before it is written.
pub fn sum_buffer(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("sum_buffer", config)?;
    let doc = "Rows of one partial sum a lane: written by one pass of a layer, read by the next.";
    Module::build("sum_buffer", doc, |m: &mut Builder| {
        let width = config.membrane_bits * config.lanes;
        let row_bits = index_width(config.sum_rows);
        let write_enable = m.input_doc("write_enable", 1, "write `write_data`");
        let write_address = m.input("write_row", row_bits);
        let write_data = m.input_doc("write_data", width, "one sum a lane, lane 0 lowest");
        let read_enable = m.input_doc("read_enable", 1, "`sum_row` moves on");
        let read_address = m.input("read_row", row_bits);
        let memory = m.memory("rows", width, config.sum_rows);
        m.write(&memory, &write_enable, &write_address, &write_data);
        let read_data = if config.sum_rows <= MOST_IN_LUTS {
            let now = m.read_async(&memory, &read_address);
            m.sample("sum_row", &read_enable, &now)
        } else {
            m.read_sync("sum_row", &memory, &read_enable, &read_address)
        };
        let ports = Ports {
            memory: &memory,
            write_enables: &write_enable,
            write_address: &write_address,
            write_data: &write_data,
            read_enable: &read_enable,
            read_address: &read_address,
            read_data: &read_data,
        };
        reads_return_what_was_written(m, "row", &ports);
        m.output_doc("sum_row", &read_data, "the row read, one cycle after `read_enable`");
    })
}
