//! Operators and methods that build expressions.

use std::ops::{Add, BitAnd, BitOr, BitXor, Not, Sub};

use super::error::Fault;
use super::expr::{BinaryOp, Expr, Kind};

/// Bits needed to number `count` things, at least 1.
pub const fn index_width(count: u32) -> u32 {
    match count.saturating_sub(1).checked_ilog2() {
        Some(log) => log + 1,
        None => 1,
    }
}

/// Bits of a number, at least 1.
pub(super) fn bits_of(value: u64) -> u32 {
    value.checked_ilog2().map_or(1, |log| log + 1)
}

pub(super) fn max_of(width: u32) -> u64 {
    if width >= 64 { u64::MAX } else { (1 << width) - 1 }
}

/// An unsigned literal of `width` bits.
pub fn lit(value: u64, width: u32) -> Expr {
    if width == 0 || value > max_of(width) {
        return Expr::poison(width, false, Fault::LiteralTooLarge { value: value.into(), width });
    }
    Expr::leaf(width, false, None, Kind::Lit(value))
}

/// An unsigned literal of `width` bits that the Verilog calls by a name: a state, or a code. The module that uses it declares it.
pub fn constant(name: &str, value: u64, width: u32) -> Expr {
    let plain = lit(value, width);
    if plain.fault().is_some() {
        return plain;
    }
    Expr::leaf(width, false, None, Kind::Constant { name: name.into(), value })
}

/// A signed literal of `width` bits.
pub fn slit(value: i64, width: u32) -> Expr {
    let fits = width >= 64 || (width > 0 && (-(1i64 << (width - 1))..1i64 << (width - 1)).contains(&value));
    if !fits {
        return Expr::poison(width, true, Fault::LiteralTooLarge { value: value.into(), width });
    }
    if width > 64 && value < 0 {
        return slit(value, 64).sext(width);
    }
    Expr::leaf(width, true, None, Kind::Lit(value as u64 & max_of(width)))
}

/// `then` where `cond` (1 bit) holds, `other` elsewhere.
pub fn mux(cond: &Expr, then: &Expr, other: &Expr) -> Expr {
    if let Some(fault) = wrong_width("condition of mux", cond, 1) {
        return Expr::poison(then.width(), then.is_signed(), fault);
    }
    if let Some(fault) = mismatch("mux", then, other) {
        return Expr::poison(then.width(), then.is_signed(), fault);
    }
    Expr::node(then.width(), then.is_signed(), Kind::Mux(cond.clone(), then.clone(), other.clone()))
}

/// The parts side by side, the first one at the top; unsigned.
pub fn cat(parts_msb_first: &[Expr]) -> Expr {
    match parts_msb_first {
        [] => {
            let fault = Fault::BadSize {
                what: "number of parts of cat".into(),
                found: 0,
                expected: "1 or more".into(),
            };
            Expr::poison(1, false, fault)
        }
        [only] => only.as_unsigned(),
        parts => {
            let width = parts.iter().map(Expr::width).fold(0, u32::saturating_add);
            Expr::node(width, false, Kind::Cat(parts.to_vec()))
        }
    }
}

/// `choices[index]`; beyond the end, the last choice.
pub fn select(index: &Expr, choices: &[Expr]) -> Expr {
    let Some((first, rest)) = choices.split_first() else {
        let fault = Fault::BadSize {
            what: "number of choices of select".into(),
            found: 0,
            expected: "1 or more".into(),
        };
        return Expr::poison(1, false, fault);
    };
    if let Some(fault) = rest.iter().find_map(|choice| mismatch("select", first, choice)) {
        return Expr::poison(first.width(), first.is_signed(), fault);
    }
    let needed = index_width(choices.len() as u32);
    if index.width() < needed {
        let role = format!("index of select among {} choices", choices.len());
        let fault = Fault::WrongWidth { role, value: index.brief(), found: index.width(), expected: needed };
        return Expr::poison(first.width(), first.is_signed(), fault);
    }
    if let Some(fault) = unsigned_expected("index of select", index) {
        return Expr::poison(first.width(), first.is_signed(), fault);
    }
    if let Some(value) = index.literal() {
        return choices[choices.len().min(value as usize + 1) - 1].clone();
    }
    if rest.is_empty() {
        return first.clone();
    }
    Expr::node(first.width(), first.is_signed(), Kind::Select(index.clone(), choices.to_vec()))
}

fn wrong_width(role: &str, value: &Expr, expected: u32) -> Option<Fault> {
    (value.fault().is_none() && value.width() != expected).then(|| Fault::WrongWidth {
        role: role.to_owned(),
        value: value.brief(),
        found: value.width(),
        expected,
    })
}

pub(super) fn unsigned_expected(role: &'static str, value: &Expr) -> Option<Fault> {
    let wrong = value.fault().is_none() && value.is_signed();
    wrong.then(|| Fault::NotUnsigned { role: role.to_owned(), value: value.brief() })
}

/// Equal widths and signedness are expected everywhere that two values meet.
pub(super) fn mismatch(operation: &'static str, left: &Expr, right: &Expr) -> Option<Fault> {
    if left.fault().is_some() || right.fault().is_some() {
        return None;
    }
    if left.width() != right.width() {
        return Some(Fault::WidthMismatch {
            operation,
            left: left.brief(),
            left_width: left.width(),
            right: right.brief(),
            right_width: right.width(),
        });
    }
    let (signed, unsigned) = match (left.is_signed(), right.is_signed()) {
        (true, false) => (left, right),
        (false, true) => (right, left),
        _ => return None,
    };
    Some(Fault::SignMismatch { operation, signed: signed.brief(), unsigned: unsigned.brief() })
}

pub(super) fn binary(op: BinaryOp, left: &Expr, right: &Expr) -> Expr {
    let (width, signed) = if op.is_comparison() { (1, false) } else { (left.width(), left.is_signed()) };
    if let Some(fault) = mismatch(op.symbol(), left, right) {
        return Expr::poison(width, signed, fault);
    }
    if op.is_comparison()
        && let Some(known) = known_comparison(op, left, right)
    {
        return lit(known.into(), 1);
    }
    Expr::node(width, signed, Kind::Binary(op, left.clone(), right.clone()))
}

/// The result of a comparison that no value of its operand could change; lint tools object to those.
fn known_comparison(op: BinaryOp, left: &Expr, right: &Expr) -> Option<bool> {
    let (width, signed) = (left.width(), left.is_signed());
    if width > 64 {
        return None;
    }
    let order = |value: u64| if signed { value ^ (1 << (width - 1)) } else { value };
    let is = |expr: &Expr, extreme: u64| expr.literal().is_some_and(|value| order(value) == extreme);
    let (low, high) = (0, max_of(width));
    match op {
        BinaryOp::Lt if is(right, low) || is(left, high) => Some(false),
        BinaryOp::Ge if is(right, low) || is(left, high) => Some(true),
        BinaryOp::Gt if is(right, high) || is(left, low) => Some(false),
        BinaryOp::Le if is(right, high) || is(left, low) => Some(true),
        _ => None,
    }
}

macro_rules! comparisons {
    ($($(#[$doc:meta])* $name:ident, $with_literal:ident, $op:ident;)*) => {
        impl Expr {$(
            $(#[$doc])*
            pub fn $name(&self, other: &Expr) -> Expr {
                binary(BinaryOp::$op, self, other)
            }

            /// The same against a literal of this width; its bits are read with this signedness.
            pub fn $with_literal(&self, value: u64) -> Expr {
                binary(BinaryOp::$op, self, &self.like(value))
            }
        )*}
    };
}

comparisons! {
    /// 1 where both are equal.
    eq, eq_lit, Eq;
    /// 1 where they differ.
    ne, ne_lit, Ne;
    /// 1 where this is less.
    lt, lt_lit, Lt;
    /// 1 where this is less or equal.
    le, le_lit, Le;
    /// 1 where this is greater.
    gt, gt_lit, Gt;
    /// 1 where this is greater or equal.
    ge, ge_lit, Ge;
}

macro_rules! operators {
    ($($trait:ident, $method:ident;)*) => {$(
        operators!(@one $trait, $method, Expr, Expr);
        operators!(@one $trait, $method, Expr, &Expr);
        operators!(@one $trait, $method, &Expr, Expr);
        operators!(@one $trait, $method, &Expr, &Expr);
    )*};
    (@one $trait:ident, $method:ident, $left:ty, $right:ty) => {
        impl $trait<$right> for $left {
            type Output = Expr;
            fn $method(self, other: $right) -> Expr {
                let (left, right): (&Expr, &Expr) = (&self, &other);
                binary(operators!(@op $trait), left, right)
            }
        }
    };
    (@op Add) => { BinaryOp::Add };
    (@op Sub) => { BinaryOp::Sub };
    (@op BitAnd) => { BinaryOp::And };
    (@op BitOr) => { BinaryOp::Or };
    (@op BitXor) => { BinaryOp::Xor };
}

operators! {
    Add, add;
    Sub, sub;
    BitAnd, bitand;
    BitOr, bitor;
    BitXor, bitxor;
}

impl Not for &Expr {
    type Output = Expr;
    fn not(self) -> Expr {
        Expr::node(self.width(), self.is_signed(), Kind::Not(self.clone()))
    }
}

impl Not for Expr {
    type Output = Expr;
    fn not(self) -> Expr {
        !&self
    }
}
