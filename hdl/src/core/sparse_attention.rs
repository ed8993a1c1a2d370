//! Attention between spike trains.

use std::rc::Rc;

use isa::CoreConfig;
use isa::layout::flag;

use super::shaped;
use crate::rtl::{Builder, Expr, Module, RtlError, cat};

/// Scores and context, driven by the spikes of a query or of an attention row (Eq. 7 of the MST paper).
///
/// An event brings up to eight time steps of one query channel (or one attention entry); each lane holds the matching
/// spike byte of its key (or value channel) and adds the number of coincidences, times 2^F (the lane shifts). An inactive entry makes no event. A step-by-step
/// event has one bit set. The module also knows which lanes' keys lie in the query's region of a shifted window.
pub fn sparse_attention(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("sparse_attention", config)?;
    let lanes = config.lanes;
    let doc = "Coincidences of spike trains in every lane (scores and context), and the regions of shifted windows.\n\
               Combinational but for the band flags, which are neuron parameters.";
    Module::build("sparse_attention", doc, |m: &mut Builder| {
        let steps = m.input_doc("event_steps", 8, "time steps in which the event's query channel spikes");
        let rows = m.input_doc("matrix_row", 8 * lanes, "spike bytes of the keys or values");
        let addends: Vec<Expr> = (0..lanes)
            .map(|lane| {
                let both = m.named(&format!("both_{lane}"), &(rows.slice(8 * lane, 8) & &steps));
                popcount(&both)
            })
            .collect();
        let addends: Vec<Expr> = addends.into_iter().rev().collect();
        m.output_doc("coincidences", &cat(&addends), "how many, 4 bits a lane");

        m.comment("Regions: a pair is connected when both tokens lie in the same row band and the same column band.");
        let parameters = m.input_doc("parameter_row", 16 * lanes, "half-words of a parameter row");
        let load_flags = m.input_doc("load_flags", 1, "the row carries the flags");
        let row_split = m.input_doc("row_split", 1, "the window's rows are split into two regions");
        let column_split = m.input_doc("column_split", 1, "the window's columns are split into two regions");
        let query_row = m.input_doc("query_row_band", 1, "the query lies in the row band");
        let query_column = m.input_doc("query_column_band", 1, "the query lies in the column band");
        let mut band = |name: &str, bit: u16| {
            let register = m.reg(name, lanes);
            let position = u32::from(bit).trailing_zeros();
            let bits: Vec<Expr> = (0..lanes).rev().map(|lane| parameters.bit(16 * lane + position)).collect();
            m.set_if(&register, &load_flags, &cat(&bits));
            register
        };
        let key_row = band("key_row_band", flag::ROW_BAND);
        let key_column = band("key_column_band", flag::COLUMN_BAND);
        for lane in 0..lanes {
            m.unused(&parameters.bit(16 * lane));
            m.unused(&parameters.slice(16 * lane + 3, 13));
        }
        let apart =
            |split: &Expr, query: &Expr, key: &Expr| split.repeat(lanes) & (query.repeat(lanes) ^ key);
        let connected =
            !(apart(&row_split, &query_row, &key_row) | apart(&column_split, &query_column, &key_column));
        m.output_doc("connected", &connected, "lanes whose key may fire for the query");
    })
}

/// Number of set bits of a byte, as 4 bits.
pub(super) fn popcount(byte: &Expr) -> Expr {
    let pair = |i: u32| byte.bit(i).add_wide(&byte.bit(i + 1));
    let nibble = |i: u32| pair(i).add_wide(&pair(i + 2));
    nibble(0).add_wide(&nibble(4))
}
