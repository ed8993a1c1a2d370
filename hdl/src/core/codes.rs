//! Codes of the interface, by the names that the Verilog calls them by.

use isa::{ErrorCode, Op};

use super::fields::bits;
use crate::rtl::{Expr, constant};

/// Bits of an error code.
pub(crate) const ERROR_BITS: u32 = 8;

/// `BadOp` as `BAD_OP`.
fn upper(name: &str) -> String {
    let words = name.char_indices().map(|(at, letter)| {
        let border = if at > 0 && letter.is_ascii_uppercase() { "_" } else { "" };
        format!("{border}{}", letter.to_ascii_uppercase())
    });
    words.collect()
}

/// An error code, `ERROR_` and its name.
pub(super) fn error(code: ErrorCode) -> Expr {
    constant(&format!("ERROR_{}", upper(&format!("{code:?}"))), code as u64, ERROR_BITS)
}

/// An operation, `OP_` and its name.
pub(super) fn operation(op: Op) -> Expr {
    constant(&format!("OP_{}", upper(&format!("{op:?}"))), op as u64, bits("op"))
}

/// The state of a state machine, `STATE_` and its name.
pub(crate) fn state(name: &str, code: u64, width: u32) -> Expr {
    constant(&format!("STATE_{}", upper(name)), code, width)
}

/// The response OKAY of AXI.
pub(crate) fn okay() -> Expr {
    constant("RESP_OKAY", 0, 2)
}
