//! From lowered nodes to Verilog text.
//!
//! Every node's text has, on its own, exactly the width and signedness of the node, and operands that Verilog would
//! size from their context always meet operands of the same size. So no context can change a value.

use std::collections::HashSet;
use std::rc::Rc;

use super::expr::{BinaryOp, Direction, Expr, Reduction};
use super::lower::{Design, Id, Op};

/// Longest line written without a break.
const LINE: usize = 100;
/// Longest text of an operand; a longer one gets a name.
const OPERAND: usize = 80;
/// Longest text that is repeated rather than named.
const REPEATED: usize = 32;

#[derive(Debug, Clone)]
pub(super) struct Text {
    pub text: String,
    binding: Binding,
}

/// How tightly the outermost operator of a text binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Conditional,
    /// Binary operators; mixed ones always get parentheses.
    Binary,
    Sum,
    Reduction,
    Unary,
    Atom,
}

impl Text {
    fn atom(text: String) -> Text {
        Text { text, binding: Binding::Atom }
    }

    fn at_least(&self, least: Binding) -> String {
        if self.binding >= least { self.text.clone() } else { format!("({})", self.text) }
    }
}

#[derive(Debug)]
pub(super) struct Printer {
    pub design: Design,
    uses: Vec<u32>,
    /// Nodes that their users need as identifiers.
    sliced: Vec<bool>,
    texts: Vec<Option<Text>>,
    pub names: HashSet<String>,
    /// Intermediate values that got a name here.
    pub hoisted: Vec<(Id, String)>,
}

impl Printer {
    pub fn new(design: Design, roots: &[Id], names: HashSet<String>) -> Printer {
        let count = design.nodes.len();
        let (mut uses, mut sliced) = (vec![0; count], vec![false; count]);
        for root in roots {
            uses[*root] += 1;
        }
        // Operands have smaller numbers than their users, so this sees every use of a node before its operands.
        for id in (0..count).rev() {
            if uses[id] == 0 {
                continue;
            }
            let node = &design.nodes[id];
            for arg in &node.args {
                uses[*arg] += 1;
            }
            if matches!(node.op, Op::Slice(_) | Op::Word) {
                sliced[node.args[0]] |= !matches!(design.nodes[node.args[0]].op, Op::Name(_));
            }
        }
        Printer { design, uses, sliced, texts: vec![None; count], names, hoisted: Vec::new() }
    }

    /// The declarations of the constants that the text reads, by their values; those that are `known` are declared already.
    pub fn constants(&self, known: &mut HashSet<Rc<str>>) -> Vec<String> {
        let read = self.design.nodes.iter().zip(&self.uses).filter(|(_, uses)| **uses > 0);
        let mut found: Vec<(u64, Rc<str>, u32)> = read
            .filter_map(|(node, _)| match &node.op {
                Op::Constant(name, value) => Some((*value, Rc::clone(name), node.width)),
                _ => None,
            })
            .filter(|(_, name, _)| known.insert(Rc::clone(name)))
            .collect();
        found.sort();
        let line = |(value, name, width): (u64, Rc<str>, u32)| {
            format!("localparam {}{name} = {};", shape(width, false), literal(value, width, false).text)
        };
        found.into_iter().map(line).collect()
    }

    /// Whether the text reads this expression.
    pub fn reads(&self, expr: &Expr) -> bool {
        self.design.find(expr).is_some_and(|id| self.uses[id] > 0)
    }

    /// The text of a value; what it needs is declared in `lines` first, with names derived from `target`.
    pub fn value(&mut self, id: Id, target: &str, lines: &mut Vec<String>) -> String {
        self.prepare(id, true, target, lines);
        self.text(id).text.clone()
    }

    /// Writes `head = value;`, broken into lines if long. Later users of the same value read `name`.
    pub fn define(&mut self, head: &str, name: &str, id: Id, target: &str, lines: &mut Vec<String>) {
        if self.texts[id].is_none() {
            self.prepare(id, false, target, lines);
            self.layout(head, id, lines);
        } else {
            lines.push(format!("{head} = {};", self.text(id).text));
        }
        if !matches!(self.design.nodes[id].op, Op::Name(_) | Op::Lit(_) | Op::Constant(..) | Op::Slice(_)) {
            self.texts[id] = Some(Text::atom(name.to_owned()));
        }
    }

    fn text(&self, id: Id) -> &Text {
        self.texts[id].as_ref().expect("operands are prepared before their users")
    }

    /// Makes the texts of everything under `root`, and of itself if `inclusive`.
    fn prepare(&mut self, root: Id, inclusive: bool, target: &str, lines: &mut Vec<String>) {
        let mut stack = vec![(root, false)];
        while let Some((id, operands_done)) = stack.pop() {
            if self.texts[id].is_some() {
                continue;
            }
            if !operands_done {
                stack.push((id, true));
                stack.extend(self.operands(id).into_iter().rev().map(|operand| (operand, false)));
            } else if id != root || inclusive {
                self.finish(id, target, lines);
            }
        }
    }

    fn finish(&mut self, id: Id, target: &str, lines: &mut Vec<String>) {
        let node = &self.design.nodes[id];
        let plain = matches!(node.op, Op::Name(_) | Op::Lit(_) | Op::Constant(..) | Op::Slice(_));
        let mut named = self.sliced[id];
        if !named {
            let text = self.render(id);
            let limit = if self.uses[id] > 1 { REPEATED } else { OPERAND };
            named = !plain && text.text.len() > limit;
            self.texts[id] = Some(text);
        }
        if named {
            let name = self.fresh_name(target);
            let head = declaration("wire", self.design.nodes[id].width, self.design.nodes[id].signed, &name);
            self.layout(&head, id, lines);
            self.texts[id] = Some(Text::atom(name.clone()));
            self.hoisted.push((id, name));
        }
    }

    fn fresh_name(&mut self, target: &str) -> String {
        let mut number = 0;
        loop {
            let name = format!("{target}_part{number}");
            if self.names.insert(name.clone()) {
                return name;
            }
            number += 1;
        }
    }

    /// Whether a node is printed as part of its only user's chain of the same operator.
    fn joins(&self, id: Id) -> bool {
        self.uses[id] == 1 && !self.sliced[id] && self.texts[id].is_none()
    }

    /// Operands as they are printed, with chains of one operator flattened.
    fn operands(&self, id: Id) -> Vec<Id> {
        let node = &self.design.nodes[id];
        match node.op {
            Op::Mux => {
                let (mut operands, mut last) = (Vec::new(), id);
                loop {
                    let args = &self.design.nodes[last].args;
                    operands.extend(&args[..2]);
                    last = args[2];
                    if self.design.nodes[last].op != Op::Mux || !self.joins(last) {
                        operands.push(last);
                        return operands;
                    }
                }
            }
            Op::Binary(BinaryOp::And | BinaryOp::Or | BinaryOp::Xor | BinaryOp::Add) | Op::Cat => {
                let mut operands = Vec::new();
                let mut pending: Vec<Id> = node.args.iter().rev().copied().collect();
                while let Some(next) = pending.pop() {
                    if self.design.nodes[next].op == node.op && self.joins(next) {
                        pending.extend(self.design.nodes[next].args.iter().rev());
                    } else {
                        operands.push(next);
                    }
                }
                operands
            }
            _ => node.args.clone(),
        }
    }

    fn render(&self, id: Id) -> Text {
        let node = &self.design.nodes[id];
        let operands = self.operands(id);
        let plain = |n: usize| self.text(operands[n]).text.as_str();
        let tight = |n: usize| self.text(operands[n]).at_least(Binding::Unary);
        let binary = |text| Text { text, binding: Binding::Binary };
        match &node.op {
            Op::Lit(value) => literal(*value, node.width, node.signed),
            Op::Name(name) | Op::Constant(name, _) => Text::atom(name.to_string()),
            Op::MemRead(memory) => Text::atom(format!("{memory}[{}]", plain(0))),
            Op::Not => {
                let text = format!("~{}", self.text(operands[0]).at_least(Binding::Atom));
                Text { text, binding: Binding::Unary }
            }
            Op::Reduce(how) => {
                let symbol = match how {
                    Reduction::Any => '|',
                    Reduction::All => '&',
                    Reduction::Parity => '^',
                };
                let text = format!("{symbol}{}", self.text(operands[0]).at_least(Binding::Atom));
                Text { text, binding: Binding::Reduction }
            }
            Op::Binary(BinaryOp::Add | BinaryOp::Sub) => {
                Text { text: self.terms(id, &operands).concat(), binding: Binding::Sum }
            }
            Op::Binary(_) => binary(self.terms(id, &operands).concat()),
            Op::Shift(Direction::Left, n) => binary(format!("{} << {n}", tight(0))),
            Op::Shift(Direction::Right, n) => {
                binary(format!("{} {} {n}", tight(0), right_shift(node.signed)))
            }
            Op::ShiftBy(Direction::Left) => binary(format!("{} << {}", tight(0), tight(1))),
            Op::ShiftBy(Direction::Right) => {
                binary(format!("{} {} {}", tight(0), right_shift(node.signed), tight(1)))
            }
            Op::Mux => Text { text: self.alternatives(&operands).join(" "), binding: Binding::Conditional },
            Op::Cat => {
                let parts: Vec<&str> = (0..operands.len()).map(plain).collect();
                Text::atom(format!("{{{}}}", parts.join(", ")))
            }
            Op::Repeat(n) => Text::atom(format!("{{{n}{{{}}}}}", plain(0))),
            Op::Slice(lsb) if node.width == 1 => Text::atom(format!("{}[{lsb}]", plain(0))),
            Op::Slice(lsb) => Text::atom(format!("{}[{}:{lsb}]", plain(0), lsb + node.width - 1)),
            Op::Word if node.width == 1 => Text::atom(format!("{}[{}]", plain(0), plain(1))),
            Op::Word => Text::atom(format!("{}[{} +: {}]", plain(0), plain(1), node.width)),
            Op::Cast if node.signed => Text::atom(format!("$signed({})", plain(0))),
            Op::Cast => Text::atom(format!("$unsigned({})", plain(0))),
        }
    }

    /// `first`, ` op second`, ` op third` ..
    fn terms(&self, id: Id, operands: &[Id]) -> Vec<String> {
        let Op::Binary(op) = self.design.nodes[id].op else { return Vec::new() };
        let sum = matches!(op, BinaryOp::Add | BinaryOp::Sub);
        let mut terms = Vec::new();
        for (position, operand) in operands.iter().enumerate() {
            let text = self.text(*operand);
            terms.push(match position {
                0 if sum => text.at_least(Binding::Sum),
                0 => text.at_least(Binding::Unary),
                _ => format!(" {} {}", op.symbol(), text.at_least(Binding::Unary)),
            });
        }
        terms
    }

    /// `condition ? value :` .. and the last value.
    fn alternatives(&self, operands: &[Id]) -> Vec<String> {
        let value = |operand: Id| self.text(operand).at_least(Binding::Binary);
        let last = operands[operands.len() - 1];
        let mut lines = Vec::new();
        for pair in operands[..operands.len() - 1].chunks_exact(2) {
            lines.push(format!("{} ? {} :", self.text(pair[0]).at_least(Binding::Reduction), value(pair[1])));
        }
        lines.push(value(last));
        lines
    }

    /// `head = value;` on one line, or on several if it is long and can be broken.
    fn layout(&self, head: &str, id: Id, lines: &mut Vec<String>) {
        let node = &self.design.nodes[id];
        // The signedness of a whole right side has no effect: both sides have the same width.
        let bare = if node.op == Op::Cast { node.args[0] } else { id };
        let text = if bare == id { self.render(id).text } else { self.text(bare).text.clone() };
        if head.len() + text.len() + 4 <= LINE {
            lines.push(format!("{head} = {text};"));
            return;
        }
        let operands = self.operands(id);
        let (open, mut parts, close) = match node.op {
            Op::Mux => ("", self.alternatives(&operands), ""),
            Op::Binary(BinaryOp::And | BinaryOp::Or | BinaryOp::Xor | BinaryOp::Add) => (
                "",
                self.terms(id, &operands).into_iter().map(|term| term.trim_start().to_owned()).collect(),
                "",
            ),
            Op::Cat => {
                let last = operands.len() - 1;
                let comma = |n: usize| if n == last { "" } else { "," };
                let part = |(n, operand): (usize, &Id)| format!("{}{}", self.text(*operand).text, comma(n));
                ("{", operands.iter().enumerate().map(part).collect::<Vec<_>>(), "}")
            }
            _ => ("", vec![text], ""),
        };
        if close.is_empty() {
            parts.last_mut().into_iter().for_each(|last| last.push(';'));
        }
        lines.push(format!("{head} ={}{open}", if open.is_empty() { "" } else { " " }));
        lines.extend(parts.into_iter().map(|part| format!("    {part}")));
        if !close.is_empty() {
            lines.push(format!("{close};"));
        }
    }
}

fn right_shift(signed: bool) -> &'static str {
    if signed { ">>>" } else { ">>" }
}

/// `wire signed [7:0] name`.
pub(super) fn declaration(kind: &str, width: u32, signed: bool, name: &str) -> String {
    format!("{kind} {}{name}", shape(width, signed))
}

/// `signed [7:0] `, with a blank at the end unless empty.
pub(super) fn shape(width: u32, signed: bool) -> String {
    let sign = if signed { "signed " } else { "" };
    if width == 1 { sign.to_owned() } else { format!("{sign}[{}:0] ", width - 1) }
}

fn literal(value: u64, width: u32, signed: bool) -> Text {
    let negative = signed && width <= 64 && value >> (width - 1) & 1 == 1;
    let magnitude = if width >= 64 { value.wrapping_neg() } else { (1 << width) - value.min(1 << width) };
    if negative && width > 1 && magnitude != value {
        let text = format!("-{width}'sd{magnitude}");
        return Text { text, binding: Binding::Unary };
    }
    Text::atom(match (signed, width) {
        (false, 1) => format!("1'b{value}"),
        (true, _) if negative => format!("{width}'sh{value:x}"),
        (true, _) => format!("{width}'sd{value}"),
        (false, _) if value < 1024 => format!("{width}'d{value}"),
        (false, _) => format!("{width}'h{value:x}"),
    })
}
