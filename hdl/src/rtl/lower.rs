//! From expressions to what is printed: every node is cut down to the bits that somebody reads.
//!
//! Verilog can slice nothing but identifiers, and lint tools complain about bits that are never read. So the bits that
//! are demanded travel from users to operands first; then each node is rebuilt for just that range. All of it is linear
//! in the number of distinct nodes.

use std::collections::HashMap;
use std::rc::Rc;

use super::expr::{BinaryOp, Direction, Expr, Kind, Node, Reduction, post_order};
use super::ops::index_width;

/// Index of a node in [`Lowered`].
pub(super) type Id = usize;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    Lit(u64),
    /// A literal with a name.
    Constant(Rc<str>, u64),
    /// A signal of the module.
    Name(Rc<str>),
    MemRead(Rc<str>),
    Not,
    Reduce(Reduction),
    Binary(BinaryOp),
    Shift(Direction, u32),
    ShiftBy(Direction),
    Mux,
    Cat,
    Repeat(u32),
    Slice(u32),
    /// Dynamic part select; the second operand is the index of the lowest bit.
    Word,
    Cast,
}

#[derive(Debug)]
pub(super) struct Lowered {
    pub op: Op,
    pub width: u32,
    pub signed: bool,
    pub args: Vec<Id>,
}

/// Bits `low..high`.
type Range = (u32, u32);

#[derive(Debug, Default)]
pub(super) struct Design {
    pub nodes: Vec<Lowered>,
    /// Where an expression went, and which of its bits those are.
    placed: HashMap<*const Node, (Id, Range)>,
}

impl Design {
    pub fn new(roots: &[Expr]) -> Design {
        let order = post_order(roots);
        let mut wanted: HashMap<*const Node, Range> = HashMap::new();
        for root in roots {
            wanted.insert(root.key(), (0, root.width()));
        }
        for expr in order.iter().rev() {
            if let Some(range) = wanted.get_mut(&expr.key()) {
                *range = computable(expr, *range);
                let range = *range;
                demand(expr, range, &mut wanted);
            }
        }
        let mut design = Design::default();
        for expr in &order {
            if let Some(range) = wanted.get(&expr.key()) {
                let id = design.lower(expr, *range);
                design.placed.insert(expr.key(), (id, *range));
            }
        }
        design
    }

    /// The node of an expression that was a root.
    pub fn root(&self, expr: &Expr) -> Id {
        self.placed[&expr.key()].0
    }

    /// The node of an expression, if it is needed for any root.
    pub fn find(&self, expr: &Expr) -> Option<Id> {
        self.placed.get(&expr.key()).map(|placed| placed.0)
    }

    fn push(&mut self, op: Op, width: u32, signed: bool, args: Vec<Id>) -> Id {
        self.nodes.push(Lowered { op, width, signed, args });
        self.nodes.len() - 1
    }

    /// The bits of a lowered operand; the range is in terms of the original expression.
    fn bits(&mut self, expr: &Expr, (low, high): Range) -> Id {
        let (id, (have, _)) = self.placed[&expr.key()];
        self.part(id, low - have, high - low)
    }

    /// Some bits of a node, taken from as far inside as possible.
    fn part(&mut self, mut id: Id, mut lsb: u32, width: u32) -> Id {
        while self.nodes[id].width != width {
            let node = &self.nodes[id];
            match &node.op {
                Op::Cast => id = node.args[0],
                Op::Slice(first) => (id, lsb) = (node.args[0], first + lsb),
                Op::Lit(value) | Op::Constant(_, value) => {
                    let (value, signed) = (cut(*value, lsb, width), node.signed);
                    return self.push(Op::Lit(value), width, signed, vec![]);
                }
                Op::Cat => match self.part_of_cat(id, lsb, width) {
                    Some(inside) => (id, lsb) = inside,
                    None => return self.push(Op::Slice(lsb), width, false, vec![id]),
                },
                _ => return self.push(Op::Slice(lsb), width, false, vec![id]),
            }
        }
        id
    }

    /// The part of a concatenation that holds all these bits, and where they start in it.
    fn part_of_cat(&self, cat: Id, lsb: u32, width: u32) -> Option<(Id, u32)> {
        let mut start = 0;
        for part in self.nodes[cat].args.iter().rev() {
            let end = start + self.nodes[*part].width;
            if start <= lsb && lsb + width <= end {
                return Some((*part, lsb - start));
            }
            start = end;
        }
        None
    }

    fn whole(&mut self, expr: &Expr) -> Id {
        self.bits(expr, (0, expr.width()))
    }

    /// Without casts, for users to whom signedness means nothing.
    fn peel(&self, id: Id) -> Id {
        if self.nodes[id].op == Op::Cast { self.nodes[id].args[0] } else { id }
    }

    fn cast(&mut self, id: Id, signed: bool) -> Id {
        let node = &self.nodes[id];
        let (width, op) = (node.width, node.op.clone());
        match op {
            _ if node.signed == signed => id,
            Op::Cast => node.args[0],
            Op::Lit(value) => self.push(Op::Lit(value), width, signed, vec![]),
            _ => self.push(Op::Cast, width, signed, vec![id]),
        }
    }

    fn lower(&mut self, expr: &Expr, range: Range) -> Id {
        let (low, high) = range;
        let width = high - low;
        // The bits of a part do not depend on how the whole is read.
        let signed = expr.is_signed() && width == expr.width();
        let args = match &expr.0.kind {
            Kind::Lit(value) => return self.push(Op::Lit(cut(*value, low, width)), width, signed, vec![]),
            Kind::Constant { name, value } if width == expr.width() => {
                return self.push(Op::Constant(Rc::clone(name), *value), width, signed, vec![]);
            }
            Kind::Constant { value, .. } => {
                return self.push(Op::Lit(cut(*value, low, width)), width, signed, vec![]);
            }
            Kind::Signal { name, .. } => return self.push(Op::Name(Rc::clone(name)), width, signed, vec![]),
            Kind::Slice(a, lsb) => {
                let id = self.bits(a, (lsb + low, lsb + high));
                return self.cast(id, signed);
            }
            Kind::Cast(a) => {
                let id = self.bits(a, range);
                return self.cast(id, signed);
            }
            Kind::Shift(Direction::Right, a, n) if n.saturating_add(high) <= a.width() => {
                let id = self.bits(a, (low + n, high + n));
                return self.cast(id, signed);
            }
            Kind::Cat(parts) => return self.cat(parts, range),
            Kind::Shift(Direction::Left, _, n) if high <= *n => {
                return self.push(Op::Lit(0), width, signed, vec![]);
            }
            Kind::Not(a) | Kind::Shift(Direction::Left, a, _) => vec![self.operand(a, range, signed)],
            Kind::Shift(Direction::Right, a, _) => vec![self.whole(a)],
            Kind::MemRead { address: a, .. } | Kind::Reduce(_, a) | Kind::Repeat(a, _) => {
                let id = self.whole(a);
                vec![self.peel(id)]
            }
            Kind::Binary(op, a, b) if op.is_comparison() => vec![self.whole(a), self.whole(b)],
            Kind::Binary(_, a, b) => vec![self.operand(a, range, signed), self.operand(b, range, signed)],
            Kind::ShiftBy(direction, a, b) => {
                let part = if *direction == Direction::Left { range } else { (0, a.width()) };
                vec![self.operand(a, part, signed), self.whole(b)]
            }
            Kind::Mux(c, a, b) => {
                vec![self.whole(c), self.operand(a, range, signed), self.operand(b, range, signed)]
            }
            Kind::Select(index, choices) => {
                let index = self.whole(index);
                let choices: Vec<Id> =
                    choices.iter().map(|choice| self.operand(choice, range, signed)).collect();
                return self.select(index, &choices);
            }
            Kind::Word(a, index) => {
                let base = self.whole(a);
                let first = self.first_bit(a.width(), width, index);
                vec![self.peel(base), first]
            }
            Kind::Poison(fault) => unreachable!("a faulty expression is never emitted: {fault}"),
        };
        let op = match &expr.0.kind {
            Kind::MemRead { memory, .. } => Op::MemRead(Rc::clone(memory)),
            Kind::Not(_) => Op::Not,
            Kind::Reduce(how, _) => Op::Reduce(*how),
            Kind::Binary(op, ..) => Op::Binary(*op),
            Kind::Shift(direction, _, n) => Op::Shift(*direction, *n),
            Kind::ShiftBy(direction, ..) => Op::ShiftBy(*direction),
            Kind::Mux(..) => Op::Mux,
            Kind::Repeat(a, _) => Op::Repeat(width / a.width()),
            _ => Op::Word,
        };
        self.push(op, width, signed, args)
    }

    /// An operand that must keep the signedness of its user although it is cut.
    fn operand(&mut self, expr: &Expr, range: Range, signed: bool) -> Id {
        let id = self.bits(expr, range);
        self.cast(id, signed)
    }

    fn cat(&mut self, parts: &[Expr], (low, high): Range) -> Id {
        let mut args = Vec::new();
        let mut end: u32 = parts.iter().map(Expr::width).sum();
        for part in parts {
            let start = end - part.width();
            let (from, to) = (low.max(start), high.min(end));
            if from < to {
                let id = self.bits(part, (from - start, to - start));
                args.push(self.peel(id));
            }
            end = start;
        }
        match args.as_slice() {
            [only] => self.cast(*only, false),
            _ => self.push(Op::Cat, high - low, false, args),
        }
    }

    /// A tree of conditionals, one level for each bit of the index. On FPGAs it takes less than half the cells of a
    /// `case` or of a chain of comparisons.
    fn select(&mut self, index: Id, choices: &[Id]) -> Id {
        let (width, signed) = (self.nodes[choices[0]].width, self.nodes[choices[0]].signed);
        let last = choices[choices.len() - 1];
        let levels = index_width(choices.len() as u32);
        let mut level = choices.to_vec();
        for bit in 0..levels {
            let condition = self.part(index, bit, 1);
            level = level
                .chunks(2)
                .map(|pair| match *pair {
                    [low, high] if self.same(low, high) => low,
                    [low, high] => self.push(Op::Mux, width, signed, vec![condition, high, low]),
                    // Only the last choice can be alone, and then stands for all beyond it.
                    _ if bit > 0 && pair[0] != last => {
                        self.push(Op::Mux, width, signed, vec![condition, last, pair[0]])
                    }
                    _ => last,
                })
                .collect();
        }
        let above = self.nodes[index].width - levels;
        if above == 0 {
            return level[0];
        }
        let high_bits = self.part(index, levels, above);
        let beyond = match above {
            1 => high_bits,
            _ => self.push(Op::Reduce(Reduction::Any), 1, false, vec![high_bits]),
        };
        self.push(Op::Mux, width, signed, vec![beyond, last, level[0]])
    }

    /// Whether two nodes are one, or equal literals.
    fn same(&self, a: Id, b: Id) -> bool {
        a == b || matches!((&self.nodes[a].op, &self.nodes[b].op), (Op::Lit(x), Op::Lit(y)) if x == y)
    }

    /// The index of a word's lowest bit, in exactly the width that the base calls for.
    fn first_bit(&mut self, base_width: u32, word_width: u32, index: &Expr) -> Id {
        let zeros = word_width.ilog2();
        let used = zeros + index.width();
        let above = index_width(base_width).saturating_sub(used);
        let mut parts = Vec::new();
        if above > 0 {
            parts.push(self.push(Op::Lit(0), above, false, vec![]));
        }
        parts.push(self.whole(index));
        if zeros > 0 {
            parts.push(self.push(Op::Lit(0), zeros, false, vec![]));
        }
        match parts.as_slice() {
            [only] => *only,
            _ => self.push(Op::Cat, used + above, false, parts),
        }
    }
}

fn cut(value: u64, lsb: u32, width: u32) -> u64 {
    let value = value.checked_shr(lsb).unwrap_or(0);
    if width >= 64 { value } else { value & ((1 << width) - 1) }
}

/// The smallest range around `range` that a node of this kind can compute by itself.
fn computable(expr: &Expr, (low, high): Range) -> Range {
    match &expr.0.kind {
        Kind::Lit(_)
        | Kind::Constant { .. }
        | Kind::Not(_)
        | Kind::Mux(..)
        | Kind::Cat(_)
        | Kind::Slice(..)
        | Kind::Select(..)
        | Kind::Cast(_)
        | Kind::Binary(BinaryOp::And | BinaryOp::Or | BinaryOp::Xor, ..) => (low, high),
        // Carries and shifts come from below.
        Kind::Binary(BinaryOp::Add | BinaryOp::Sub, ..)
        | Kind::Shift(Direction::Left, ..)
        | Kind::ShiftBy(Direction::Left, ..) => (0, high),
        Kind::Shift(Direction::Right, a, n) if n.saturating_add(high) <= a.width() => (low, high),
        Kind::Repeat(a, _) if a.width() == 1 => (low, high),
        _ => (0, expr.width()),
    }
}

/// Tells the operands which of their bits are needed for `range`.
fn demand(expr: &Expr, range: Range, wanted: &mut HashMap<*const Node, Range>) {
    let mut want = |operand: &Expr, (low, high): Range| {
        let entry = wanted.entry(operand.key()).or_insert((low, high));
        *entry = (entry.0.min(low), entry.1.max(high));
    };
    let (low, high) = range;
    let all = |operand: &Expr| (0, operand.width());
    match &expr.0.kind {
        Kind::Lit(_) | Kind::Constant { .. } | Kind::Signal { .. } | Kind::Poison(_) => {}
        Kind::Slice(a, lsb) => want(a, (lsb + low, lsb + high)),
        Kind::Shift(Direction::Right, a, n) if n.saturating_add(high) <= a.width() => {
            want(a, (low + n, high + n));
        }
        Kind::Shift(Direction::Left, _, n) if high <= *n => {}
        Kind::Shift(Direction::Right, a, _)
        | Kind::MemRead { address: a, .. }
        | Kind::Reduce(_, a)
        | Kind::Repeat(a, _) => want(a, all(a)),
        Kind::Not(a) | Kind::Cast(a) | Kind::Shift(Direction::Left, a, _) => want(a, range),
        Kind::Binary(op, a, b) => {
            want(a, if op.is_comparison() { all(a) } else { range });
            want(b, if op.is_comparison() { all(b) } else { range });
        }
        Kind::ShiftBy(direction, a, b) => {
            want(a, if *direction == Direction::Left { range } else { all(a) });
            want(b, all(b));
        }
        Kind::Word(a, b) => {
            want(a, all(a));
            want(b, all(b));
        }
        Kind::Mux(c, a, b) => {
            want(c, all(c));
            want(a, range);
            want(b, range);
        }
        Kind::Select(index, choices) => {
            want(index, all(index));
            choices.iter().for_each(|choice| want(choice, range));
        }
        Kind::Cat(parts) => {
            let mut end: u32 = parts.iter().map(Expr::width).sum();
            for part in parts {
                let start = end - part.width();
                let (from, to) = (low.max(start), high.min(end));
                if from < to {
                    want(part, (from - start, to - start));
                }
                end = start;
            }
        }
    }
}
