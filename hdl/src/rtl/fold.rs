//! Values that are known when they are built, and operations that change nothing. A reader should not meet them in the text, and lint
//! tools object to some of them, for instance to a constant as an index.

use super::expr::{BinaryOp, Direction, Expr, Kind, Reduction};
use super::ops::max_of;

/// What a node of this kind and shape is without computing anything: a literal, one of its operands, or the complement of one.
pub(super) fn simpler(kind: &Kind, width: u32, signed: bool) -> Option<Expr> {
    if let Some(bits) = value(kind, width) {
        return Some(literal(bits, width, signed));
    }
    match kind {
        Kind::Not(a) => match &a.0.kind {
            Kind::Not(inner) => Some(inner.clone()),
            _ => None,
        },
        Kind::Binary(op, a, b) => binary_identity(*op, a, b),
        Kind::Mux(condition, then, other) => choice(condition, then, other, signed),
        Kind::Select(_, choices) => {
            choices.iter().all(|choice| same(choice, &choices[0])).then(|| choices[0].clone())
        }
        Kind::Cat(parts) => joined(parts, width),
        Kind::Repeat(a, _) if is(a, 0) => Some(literal(0, width, signed)),
        _ => None,
    }
}

fn literal(bits: u64, width: u32, signed: bool) -> Expr {
    Expr::leaf(width, signed, None, Kind::Lit(bits))
}

/// Whether a value is this literal.
fn is(expr: &Expr, value: u64) -> bool {
    expr.literal() == Some(value)
}

fn is_ones(expr: &Expr) -> bool {
    expr.width() <= 64 && is(expr, max_of(expr.width()))
}

/// Whether two values of one width are the same node, or equal literals without a name.
fn same(a: &Expr, b: &Expr) -> bool {
    match (&a.0.kind, &b.0.kind) {
        (Kind::Lit(x), Kind::Lit(y)) => x == y,
        _ => a.key() == b.key(),
    }
}

/// Neutral and absorbing operands. A sum or difference is left alone but for a zero.
fn binary_identity(op: BinaryOp, a: &Expr, b: &Expr) -> Option<Expr> {
    let (known, other) = if a.literal().is_some() { (a, b) } else { (b, a) };
    match op {
        BinaryOp::And | BinaryOp::Or if same(a, b) => Some(a.clone()),
        BinaryOp::And if is(known, 0) => Some(known.clone()),
        BinaryOp::And if is_ones(known) => Some(other.clone()),
        BinaryOp::Or if is(known, 0) => Some(other.clone()),
        BinaryOp::Or if is_ones(known) => Some(known.clone()),
        BinaryOp::Xor | BinaryOp::Add if is(known, 0) => Some(other.clone()),
        BinaryOp::Xor if is_ones(known) => Some(!other),
        BinaryOp::Sub if is(b, 0) => Some(a.clone()),
        BinaryOp::Eq | BinaryOp::Ne if known.width() == 1 && plain(known).is_some() => {
            let holds_at_one = is(known, 1) == (op == BinaryOp::Eq);
            let bit = other.as_unsigned();
            Some(if holds_at_one { bit } else { !bit })
        }
        _ => None,
    }
}

fn choice(condition: &Expr, then: &Expr, other: &Expr, signed: bool) -> Option<Expr> {
    if let Some(known) = condition.literal() {
        return Some(if known == 1 { then.clone() } else { other.clone() });
    }
    if same(then, other) {
        return Some(then.clone());
    }
    let one_bit = then.width() == 1 && !signed;
    match (one_bit, then.literal(), other.literal()) {
        (true, Some(1), Some(0)) => Some(condition.as_unsigned()),
        (true, Some(0), Some(1)) => Some(!condition.as_unsigned()),
        _ => None,
    }
}

/// A concatenation with its neighbouring literals joined, if it has any.
fn joined(parts: &[Expr], width: u32) -> Option<Expr> {
    let mut joined: Vec<Expr> = Vec::new();
    for part in parts {
        let last = joined.last().and_then(|last| Some((last.clone(), plain(last)?)));
        match (last, plain(part)) {
            (Some((last, high)), Some(low)) if last.width() + part.width() <= 64 => {
                let bits = last.width() + part.width();
                joined.pop();
                joined.push(literal(high << part.width() | low, bits, false));
            }
            (Some((last, 0)), Some(0)) => {
                joined.pop();
                joined.push(literal(0, last.width() + part.width(), false));
            }
            _ => joined.push(part.clone()),
        }
    }
    match joined.as_slice() {
        [only] if only.width() == width => Some(only.as_unsigned()),
        _ if joined.len() < parts.len() => Some(Expr::node(width, false, Kind::Cat(joined))),
        _ => None,
    }
}

/// A literal without a name.
fn plain(expr: &Expr) -> Option<u64> {
    match expr.0.kind {
        Kind::Lit(value) => Some(value),
        _ => None,
    }
}

/// The bits of a node of this kind and width, if all its operands are literals.
fn value(kind: &Kind, width: u32) -> Option<u64> {
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
