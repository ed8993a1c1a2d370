//! Values that are known when they are built. Lint tools object to some of them, for instance as an index.

use super::expr::{BinaryOp, Direction, Expr, Kind, Reduction};
use super::ops::max_of;

/// The bits of a node of this kind and width, if all its operands are literals.
pub(super) fn value(kind: &Kind, width: u32) -> Option<u64> {
    if width > 64 {
        return None;
    }
    let bits = match kind {
        Kind::Not(a) => !known(a)?,
        Kind::Reduce(how, a) => match how {
            Reduction::Any => (known(a)? != 0).into(),
            Reduction::All => (known(a)? == max_of(a.width())).into(),
            Reduction::Parity => (known(a)?.count_ones() % 2).into(),
        },
        Kind::Binary(op, a, b) => binary(*op, (known(a)?, number(a)?), (known(b)?, number(b)?)),
        Kind::Shift(Direction::Left, a, n) => known(a)?.checked_shl(*n).unwrap_or(0),
        Kind::Shift(Direction::Right, a, n) => (number(a)? >> n.min(&127)) as u64,
        Kind::Mux(c, a, b) => {
            let (a, b) = (known(a)?, known(b)?);
            if known(c)? == 1 { a } else { b }
        }
        Kind::Cat(parts) => {
            let mut bits: u128 = 0;
            for part in parts {
                bits = bits << part.width() | u128::from(known(part)?);
            }
            bits as u64
        }
        Kind::Repeat(a, n) => {
            let part = known(a)?;
            (0..*n).fold(0, |bits, copy| bits | part << (copy * a.width()))
        }
        _ => return None,
    };
    Some(bits & max_of(width))
}

fn binary(op: BinaryOp, (a, x): (u64, i128), (b, y): (u64, i128)) -> u64 {
    match op {
        BinaryOp::Add => a.wrapping_add(b),
        BinaryOp::Sub => a.wrapping_sub(b),
        BinaryOp::And => a & b,
        BinaryOp::Or => a | b,
        BinaryOp::Xor => a ^ b,
        BinaryOp::Eq => (x == y).into(),
        BinaryOp::Ne => (x != y).into(),
        BinaryOp::Lt => (x < y).into(),
        BinaryOp::Le => (x <= y).into(),
        BinaryOp::Gt => (x > y).into(),
        BinaryOp::Ge => (x >= y).into(),
    }
}

fn known(expr: &Expr) -> Option<u64> {
    expr.literal().filter(|_| expr.width() <= 64)
}

/// The literal as a number of its signedness.
fn number(expr: &Expr) -> Option<i128> {
    let bits = known(expr)?;
    let negative = expr.is_signed() && bits >> (expr.width() - 1) & 1 == 1;
    Some(i128::from(bits) - if negative { 1 << expr.width() } else { 0 })
}
