//! Expressions: immutable, cheap to clone, each with a width and a signedness.

use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;

use super::error::Fault;
use super::fold;

/// A value of a fixed number of bits, signed or not, inside one module.
///
/// A mistake in building one (say, widths that differ) does not stop the program there: the result carries the first
/// fault along, and [`Module::build`](super::Module::build) reports it.
#[derive(Clone)]
pub struct Expr(pub(super) Rc<Node>);

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_signed() { "signed" } else { "unsigned" };
        write!(f, "{} ({sign}, {} bits)", self.brief(), self.width())
    }
}

#[derive(Debug)]
pub(super) struct Node {
    pub width: u32,
    pub signed: bool,
    /// The builder whose signals this uses; none for constants.
    pub owner: Option<u64>,
    pub kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// Bits beyond the 64th are zero.
    Lit(u64),
    /// A literal that the text calls by its name.
    Constant {
        name: Rc<str>,
        value: u64,
    },
    Signal {
        index: usize,
        name: Rc<str>,
    },
    MemRead {
        memory: Rc<str>,
        address: Expr,
    },
    Not(Expr),
    Reduce(Reduction, Expr),
    Binary(BinaryOp, Expr, Expr),
    /// Shift by a constant.
    Shift(Direction, Expr, u32),
    ShiftBy(Direction, Expr, Expr),
    /// Condition, value if it holds, value otherwise.
    Mux(Expr, Expr, Expr),
    /// Most significant part first.
    Cat(Vec<Expr>),
    Repeat(Expr, u32),
    /// The bits from this one up.
    Slice(Expr, u32),
    /// Word of the node's width at a dynamic index.
    Word(Expr, Expr),
    Select(Expr, Vec<Expr>),
    /// Same bits, other signedness.
    Cast(Expr),
    Poison(Fault),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reduction {
    Any,
    All,
    Parity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BinaryOp {
    Add,
    Sub,
    And,
    Or,
    Xor,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl BinaryOp {
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::And => "&",
            BinaryOp::Or => "|",
            BinaryOp::Xor => "^",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
        }
    }

    pub fn is_comparison(self) -> bool {
        !matches!(self, BinaryOp::Add | BinaryOp::Sub | BinaryOp::And | BinaryOp::Or | BinaryOp::Xor)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Left,
    Right,
}

impl Node {
    /// Moves the operands out, so that long chains are freed without recursion.
    fn take_operands(&mut self, into: &mut Vec<Expr>) {
        match std::mem::replace(&mut self.kind, Kind::Lit(0)) {
            Kind::Lit(_) | Kind::Constant { .. } | Kind::Signal { .. } | Kind::Poison(_) => {}
            Kind::MemRead { address: a, .. }
            | Kind::Not(a)
            | Kind::Reduce(_, a)
            | Kind::Shift(_, a, _)
            | Kind::Repeat(a, _)
            | Kind::Slice(a, _)
            | Kind::Cast(a) => into.push(a),
            Kind::Binary(_, a, b) | Kind::ShiftBy(_, a, b) | Kind::Word(a, b) => into.extend([a, b]),
            Kind::Mux(a, b, c) => into.extend([a, b, c]),
            Kind::Cat(parts) => into.extend(parts),
            Kind::Select(index, choices) => {
                into.push(index);
                into.extend(choices);
            }
        }
    }

    /// The operands, in order.
    pub fn operands(&self) -> Vec<&Expr> {
        match &self.kind {
            Kind::Lit(_) | Kind::Constant { .. } | Kind::Signal { .. } | Kind::Poison(_) => Vec::new(),
            Kind::MemRead { address: a, .. }
            | Kind::Not(a)
            | Kind::Reduce(_, a)
            | Kind::Shift(_, a, _)
            | Kind::Repeat(a, _)
            | Kind::Slice(a, _)
            | Kind::Cast(a) => vec![a],
            Kind::Binary(_, a, b) | Kind::ShiftBy(_, a, b) | Kind::Word(a, b) => vec![a, b],
            Kind::Mux(a, b, c) => vec![a, b, c],
            Kind::Cat(parts) => parts.iter().collect(),
            Kind::Select(index, choices) => std::iter::once(index).chain(choices).collect(),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut pending = Vec::new();
        self.take_operands(&mut pending);
        while let Some(mut expr) = pending.pop() {
            if let Some(node) = Rc::get_mut(&mut expr.0) {
                node.take_operands(&mut pending);
            }
        }
    }
}

impl Expr {
    pub(super) fn leaf(width: u32, signed: bool, owner: Option<u64>, kind: Kind) -> Expr {
        Expr(Rc::new(Node { width, signed, owner, kind }))
    }

    /// A stand-in of plausible shape that carries a fault.
    pub(super) fn poison(width: u32, signed: bool, fault: Fault) -> Expr {
        Expr::leaf(width.max(1), signed, None, Kind::Poison(fault))
    }

    /// A node over operands; poison if an operand is, or if they belong to different modules.
    pub(super) fn node(width: u32, signed: bool, kind: Kind) -> Expr {
        let mut node = Node { width, signed, owner: None, kind };
        let mut fault = None;
        let mut owner = None;
        for operand in node.operands() {
            if let Some(found) = operand.fault() {
                fault = Some(found.clone());
                break;
            }
            match (owner, operand.0.owner) {
                (Some(a), Some(b)) if a != b => {
                    fault = Some(Fault::ForeignSignal { value: operand.brief() });
                    break;
                }
                (None, found) => owner = found,
                _ => {}
            }
        }
        if let Some(fault) = fault {
            return Expr::poison(width, signed, fault);
        }
        if let Some(simpler) = fold::simpler(&node.kind, width, signed) {
            return simpler;
        }
        node.owner = owner;
        Expr(Rc::new(node))
    }

    pub(super) fn fault(&self) -> Option<&Fault> {
        match &self.0.kind {
            Kind::Poison(fault) => Some(fault),
            _ => None,
        }
    }

    pub(super) fn literal(&self) -> Option<u64> {
        match self.0.kind {
            Kind::Lit(value) | Kind::Constant { value, .. } => Some(value),
            _ => None,
        }
    }

    pub(super) fn key(&self) -> *const Node {
        Rc::as_ptr(&self.0)
    }

    /// Number of bits, at least 1.
    pub fn width(&self) -> u32 {
        self.0.width
    }

    /// Whether the bits are read as two's complement.
    pub fn is_signed(&self) -> bool {
        self.0.signed
    }

    /// A few words that tell a reader which expression this is.
    pub(super) fn brief(&self) -> String {
        self.brief_to(2)
    }

    fn brief_to(&self, depth: u32) -> String {
        if depth == 0 && !matches!(self.0.kind, Kind::Lit(_) | Kind::Signal { .. }) {
            return "..".to_owned();
        }
        let inner = |expr: &Expr| expr.brief_to(depth - 1);
        match &self.0.kind {
            Kind::Lit(value) => format!("{}'d{value}", self.width()),
            Kind::Signal { name, .. } | Kind::Constant { name, .. } => name.to_string(),
            Kind::MemRead { memory, address } => format!("{memory}[{}]", inner(address)),
            Kind::Not(a) => format!("~{}", inner(a)),
            Kind::Reduce(Reduction::Any, a) => format!("|{}", inner(a)),
            Kind::Reduce(Reduction::All, a) => format!("&{}", inner(a)),
            Kind::Reduce(Reduction::Parity, a) => format!("^{}", inner(a)),
            Kind::Binary(op, a, b) => format!("({} {} {})", inner(a), op.symbol(), inner(b)),
            Kind::Shift(Direction::Left, a, n) => format!("({} << {n})", inner(a)),
            Kind::Shift(Direction::Right, a, n) => format!("({} >> {n})", inner(a)),
            Kind::ShiftBy(Direction::Left, a, n) => format!("({} << {})", inner(a), inner(n)),
            Kind::ShiftBy(Direction::Right, a, n) => format!("({} >> {})", inner(a), inner(n)),
            Kind::Mux(c, a, b) => format!("({} ? {} : {})", inner(c), inner(a), inner(b)),
            Kind::Cat(parts) => match parts.as_slice() {
                [a] => format!("{{{}}}", inner(a)),
                [a, b] => format!("{{{}, {}}}", inner(a), inner(b)),
                [a, .., b] => format!("{{{}, .., {}}}", inner(a), inner(b)),
                [] => "{}".to_owned(),
            },
            Kind::Repeat(a, n) => format!("{{{n}{{{}}}}}", inner(a)),
            Kind::Slice(a, lsb) if self.width() == 1 => format!("{}[{lsb}]", inner(a)),
            Kind::Slice(a, lsb) => format!("{}[{}:{lsb}]", inner(a), lsb + self.width() - 1),
            Kind::Word(a, index) => format!("{}[{}]", inner(a), inner(index)),
            Kind::Select(index, _) => format!("select({}, ..)", inner(index)),
            Kind::Cast(a) => inner(a),
            Kind::Poison(_) => "(faulty)".to_owned(),
        }
    }
}

/// Every distinct node under the roots, operands before users, in an order that depends on the design only.
pub(super) fn post_order(roots: &[Expr]) -> Vec<Expr> {
    let mut done: HashSet<*const Node> = HashSet::new();
    let mut order = Vec::new();
    let mut stack: Vec<(Expr, bool)> = Vec::new();
    for root in roots {
        stack.push((root.clone(), false));
        while let Some((expr, visited)) = stack.pop() {
            if visited {
                order.push(expr);
                continue;
            }
            if !done.insert(expr.key()) {
                continue;
            }
            stack.push((expr.clone(), true));
            for operand in expr.0.operands().into_iter().rev() {
                if !done.contains(&operand.key()) {
                    stack.push((operand.clone(), false));
                }
            }
        }
    }
    order
}
