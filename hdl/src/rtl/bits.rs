//! Slices, extensions, shifts and the like.

use super::error::Fault;
use super::expr::{BinaryOp, Direction, Expr, Kind, Reduction};
use super::ops::{binary, cat, index_width, lit, max_of, mismatch, select, unsigned_expected};

impl Expr {
    /// A literal of this width and signedness.
    pub fn like(&self, value: u64) -> Expr {
        if value > max_of(self.width()) {
            return lit(value, self.width());
        }
        Expr::leaf(self.width(), self.is_signed(), None, Kind::Lit(value))
    }

    /// Bit `i`.
    pub fn bit(&self, i: u32) -> Expr {
        self.slice(i, 1)
    }

    /// `width` bits from bit `lsb` up; unsigned.
    pub fn slice(&self, lsb: u32, width: u32) -> Expr {
        if self.fault().is_none() && (width == 0 || lsb.saturating_add(width) > self.width()) {
            let fault =
                Fault::SliceOutOfRange { value: self.brief(), width: self.width(), lsb, length: width };
            return Expr::poison(width, false, fault);
        }
        if width == self.width() {
            return self.as_unsigned();
        }
        let (base, lsb) = self.part_with(lsb, width);
        if base.width() == width {
            return base.as_unsigned();
        }
        match &base.0.kind {
            Kind::Slice(inner, first) => Expr::node(width, false, Kind::Slice(inner.clone(), first + lsb)),
            Kind::Lit(value) => lit(value.checked_shr(lsb).unwrap_or(0) & max_of(width), width),
            _ => Expr::node(width, false, Kind::Slice(base.clone(), lsb)),
        }
    }

    /// The innermost part of a concatenation that holds all these bits, and where they start in it.
    fn part_with(&self, mut lsb: u32, width: u32) -> (&Expr, u32) {
        let mut base = self;
        loop {
            match &base.0.kind {
                Kind::Cast(inner) => base = inner,
                Kind::Cat(parts) => {
                    let mut start = 0;
                    let inside = parts.iter().rev().find(|part| {
                        let fits = start <= lsb && lsb + width <= start + part.width();
                        start += if fits { 0 } else { part.width() };
                        fits
                    });
                    let Some(part) = inside else { return (base, lsb) };
                    (base, lsb) = (part, lsb - start);
                }
                _ => return (base, lsb),
            }
        }
    }

    /// The bit at a dynamic index. An index beyond the end reads an unspecified value.
    pub fn at(&self, index: &Expr) -> Expr {
        self.slice_at(index, 1)
    }

    /// Word `index` of words of `width` bits, of which this is a whole number. An index beyond the end reads an
    /// unspecified value.
    pub fn slice_at(&self, index: &Expr, width: u32) -> Expr {
        let poison = |fault| Expr::poison(width, false, fault);
        if let Some(fault) = self.fault() {
            return poison(fault.clone());
        }
        if width == 0 || !self.width().is_multiple_of(width) {
            return poison(Fault::BadSize {
                what: format!("word width of slice_at on `{}`", self.brief()),
                found: width.into(),
                expected: format!("a divisor of {}", self.width()),
            });
        }
        let words = self.width() / width;
        let most = index_width(words);
        if index.fault().is_none() && index.width() > most {
            let (found, value) = (index.width(), self.brief());
            return poison(Fault::IndexTooWide { index: index.brief(), found, most, value });
        }
        if let Some(fault) = unsigned_expected("index", index) {
            return poison(fault);
        }
        if let Some(value) = index.literal() {
            return self.slice((value as u32).saturating_mul(width), width);
        }
        if words == 1 {
            return self.as_unsigned();
        }
        if width.is_power_of_two() {
            return Expr::node(width, false, Kind::Word(self.clone(), index.clone()));
        }
        let reachable = words.min(1 << index.width());
        let choices: Vec<Expr> = (0..reachable).map(|word| self.slice(word * width, width)).collect();
        select(index, &choices)
    }

    /// Zeros on top; keeps the signedness.
    pub fn zext(&self, width: u32) -> Expr {
        match width.checked_sub(self.width()) {
            Some(0) => self.clone(),
            Some(more) => cat(&[lit(0, more), self.clone()]).with_signedness(self.is_signed()),
            None => self.wrong_direction("zext", width),
        }
    }

    /// Copies of the top bit on top, as for a two's complement number; keeps the signedness.
    pub fn sext(&self, width: u32) -> Expr {
        match width.checked_sub(self.width()) {
            Some(0) => self.clone(),
            Some(more) => {
                let sign = self.bit(self.width() - 1).repeat(more);
                cat(&[sign, self.clone()]).with_signedness(self.is_signed())
            }
            None => self.wrong_direction("sext", width),
        }
    }

    /// The low bits; keeps the signedness.
    pub fn trunc(&self, width: u32) -> Expr {
        if self.fault().is_none() && (width > self.width() || width == 0) {
            return self.wrong_direction("trunc", width);
        }
        self.slice(0, width).with_signedness(self.is_signed())
    }

    fn wrong_direction(&self, operation: &'static str, asked: u32) -> Expr {
        let fault = match self.fault() {
            Some(fault) => fault.clone(),
            None => Fault::WrongDirection { operation, value: self.brief(), found: self.width(), asked },
        };
        Expr::poison(asked, self.is_signed(), fault)
    }

    fn reduce(&self, op: Reduction) -> Expr {
        if self.width() == 1 {
            return self.as_unsigned();
        }
        Expr::node(1, false, Kind::Reduce(op, self.clone()))
    }

    /// 1 where some bit is 1.
    pub fn any(&self) -> Expr {
        self.reduce(Reduction::Any)
    }

    /// 1 where every bit is 1.
    pub fn all(&self) -> Expr {
        self.reduce(Reduction::All)
    }

    /// 1 where the number of ones is odd.
    pub fn parity(&self) -> Expr {
        self.reduce(Reduction::Parity)
    }

    /// 1 where no bit is 1.
    pub fn is_zero(&self) -> Expr {
        if self.width() == 1 { !self.as_unsigned() } else { self.eq_lit(0) }
    }

    /// Shifted towards the top by a constant; same width.
    pub fn shl(&self, n: u32) -> Expr {
        self.shift(Direction::Left, n)
    }

    /// Shifted towards the bottom by a constant, arithmetically if signed; same width.
    pub fn shr(&self, n: u32) -> Expr {
        self.shift(Direction::Right, n)
    }

    fn shift(&self, direction: Direction, n: u32) -> Expr {
        let arithmetic = direction == Direction::Right && self.is_signed();
        let n = match n {
            0 => return self.clone(),
            n if n < self.width() => n,
            // Everything is shifted out; lint tools object to such amounts.
            _ if arithmetic && self.width() == 1 => return self.clone(),
            _ if arithmetic => self.width() - 1,
            _ if self.fault().is_none() => return self.like(0),
            n => n,
        };
        Expr::node(self.width(), self.is_signed(), Kind::Shift(direction, self.clone(), n))
    }

    /// Shifted towards the top by an unsigned amount; same width.
    pub fn shl_by(&self, amount: &Expr) -> Expr {
        self.shift_by(Direction::Left, amount)
    }

    /// Shifted towards the bottom by an unsigned amount, arithmetically if signed; same width.
    pub fn shr_by(&self, amount: &Expr) -> Expr {
        self.shift_by(Direction::Right, amount)
    }

    fn shift_by(&self, direction: Direction, amount: &Expr) -> Expr {
        if let Some(fault) = unsigned_expected("shift amount", amount) {
            return Expr::poison(self.width(), self.is_signed(), fault);
        }
        if let Some(n) = amount.literal() {
            return self.shift(direction, n.min(u32::MAX.into()) as u32);
        }
        Expr::node(self.width(), self.is_signed(), Kind::ShiftBy(direction, self.clone(), amount.clone()))
    }

    fn with_signedness(&self, signed: bool) -> Expr {
        if self.is_signed() == signed {
            return self.clone();
        }
        match &self.0.kind {
            Kind::Cast(inner) => inner.clone(),
            Kind::Lit(value) => Expr::leaf(self.width(), signed, None, Kind::Lit(*value)),
            _ => Expr::node(self.width(), signed, Kind::Cast(self.clone())),
        }
    }

    /// The same bits, read as two's complement.
    pub fn as_signed(&self) -> Expr {
        self.with_signedness(true)
    }

    /// The same bits, read as a natural number.
    pub fn as_unsigned(&self) -> Expr {
        self.with_signedness(false)
    }

    /// `n` copies side by side; unsigned.
    pub fn repeat(&self, n: u32) -> Expr {
        match n {
            0 => {
                let what = format!("number of copies of `{}`", self.brief());
                Expr::poison(1, false, Fault::BadSize { what, found: 0, expected: "1 or more".into() })
            }
            1 => self.as_unsigned(),
            _ => Expr::node(self.width().saturating_mul(n), false, Kind::Repeat(self.clone(), n)),
        }
    }

    /// The sum with the bit that carries out of it: one bit wider than the operands.
    pub fn add_wide(&self, other: &Expr) -> Expr {
        if let Some(fault) = mismatch("add_wide", self, other) {
            return Expr::poison(self.width() + 1, self.is_signed(), fault);
        }
        let extend = |expr: &Expr| {
            let width = expr.width() + 1;
            if expr.is_signed() { expr.sext(width) } else { expr.zext(width) }
        };
        extend(self) + extend(other)
    }

    /// Plus 1, wrapping.
    pub fn inc(&self) -> Expr {
        binary(BinaryOp::Add, self, &self.like(1))
    }

    /// Minus 1, wrapping.
    pub fn dec(&self) -> Expr {
        binary(BinaryOp::Sub, self, &self.like(1))
    }
}
