//! Neuron parameters and bias rows.

use std::rc::Rc;

use isa::CoreConfig;

use super::read_back::{Ports, reads_return_what_was_written};
use super::shaped;
use super::weight_buffer::enables;
use crate::rtl::{Builder, Expr, Module, RtlError, index_width, lit};

/// Fewest rows of the buffer: a block RAM is no shallower.
const LEAST_ROWS: u32 = 512;
/// First bias row.
pub const BIAS_START: u32 = 64;

/// Rows of the buffer. Rows 0..16 and 16..32 are two banks of parameters, the two banks of bias rows follow from [`BIAS_START`].
fn rows(config: &CoreConfig) -> u32 {
    config.bias_rows.saturating_mul(2).saturating_add(BIAS_START).max(LEAST_ROWS)
}

/// Bits of a row's number.
pub(super) fn row_bits(config: &CoreConfig) -> u32 {
    index_width(rows(config))
}

/// The first rows of both banks of bias rows, of the second one first.
pub(super) fn bias_starts(config: &CoreConfig) -> [Expr; 2] {
    [BIAS_START + config.bias_rows, BIAS_START].map(|row| lit(row.into(), row_bits(config)))
}

/// Rows of one 16-bit half-word a lane: two banks of neuron parameters and two of bias rows.
pub fn parameter_buffer(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("parameter_buffer", config)?;
    let beats = 16 * config.lanes / config.bus_bits;
    let doc = "Rows of one half-word a lane: two banks of neuron parameters (rows 0..16 and 16..32) and two of bias rows\n\
               (from row 64). Filled a beat a cycle, read a row a cycle.";
    Module::build("parameter_buffer", doc, |m: &mut Builder| {
        let bits = row_bits(config);
        let write_valid = m.input("write_valid", 1);
        let write_row = m.input("write_row", bits);
        let write_beat = m.input_doc("write_beat", index_width(beats), "which part of the row");
        let write_data = m.input("write_data", config.bus_bits);
        let read_enable = m.input("read_enable", 1);
        let read_row = m.input("read_row", bits);
        let memory = m.memory("rows", 16 * config.lanes, rows(config));
        let enables = enables(m, &write_valid, &write_beat, beats);
        let write_data = write_data.repeat(beats);
        m.write_lanes(&memory, &enables, &write_row, &write_data);
        let row = m.read_sync("parameter_row", &memory, &read_enable, &read_row);
        let ports = Ports {
            memory: &memory,
            write_enables: &enables,
            write_address: &write_row,
            write_data: &write_data,
            read_enable: &read_enable,
            read_address: &read_row,
            read_data: &row,
        };
        reads_return_what_was_written(m, "row", &ports);
        m.output_doc("parameter_row", &row, "the row read, one cycle after `read_enable`");
    })
}
