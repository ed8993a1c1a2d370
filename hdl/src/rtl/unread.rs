//! Bits that nobody reads, which lint tools want to be told about.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::expr::{Expr, Kind};
use super::lower::{Design, Id, Op};

/// The signals, or parts of signals, that an expression consists of; nothing for a computed value.
pub(super) fn signals(expr: &Expr) -> Vec<Expr> {
    match &expr.0.kind {
        Kind::Signal { .. } => vec![expr.clone()],
        Kind::Slice(base, _) if matches!(base.0.kind, Kind::Signal { .. }) => vec![expr.clone()],
        Kind::Cast(inner) => signals(inner),
        Kind::Cat(parts) => parts.iter().flat_map(signals).collect(),
        _ => Vec::new(),
    }
}

/// Which bits of which nodes are read.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    bits: BTreeMap<Id, Vec<bool>>,
}

impl Coverage {
    /// What is read to compute the roots, which are themselves read as a whole.
    pub fn new(design: &Design, roots: &[Id]) -> Coverage {
        let mut coverage = Coverage::default();
        for root in roots {
            coverage.read(design, *root, 0, design.nodes[*root].width);
        }
        // Operands have smaller numbers than their users.
        for id in (0..design.nodes.len()).rev() {
            if !coverage.bits.contains_key(&id) {
                continue;
            }
            let node = &design.nodes[id];
            for (position, arg) in node.args.iter().enumerate() {
                match node.op {
                    Op::Slice(lsb) if position == 0 => coverage.read(design, *arg, lsb, node.width),
                    _ => coverage.read(design, *arg, 0, design.nodes[*arg].width),
                }
            }
        }
        coverage
    }

    fn read(&mut self, design: &Design, id: Id, lsb: u32, width: u32) {
        let bits = self.bits.entry(id).or_insert_with(|| vec![false; design.nodes[id].width as usize]);
        bits[lsb as usize..(lsb + width) as usize].fill(true);
    }

    /// The parts of a named node that are not read, as Verilog.
    pub fn holes(&self, id: Id, name: &str) -> Vec<String> {
        match self.bits.get(&id) {
            Some(bits) => ranges(name, bits.iter().map(|read| !read)),
            None => Vec::new(),
        }
    }

    /// The parts of signals that are read here but not in `other`, as Verilog; signals that `skip` names are left out.
    pub fn beyond(
        &self,
        design: &Design,
        other: &Coverage,
        other_design: &Design,
        skip: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let named = |design: &Design, id: Id| match &design.nodes[id].op {
            Op::Name(name) => Some(Rc::clone(name)),
            _ => None,
        };
        let elsewhere: HashMap<Rc<str>, &Vec<bool>> =
            other.bits.iter().filter_map(|(id, bits)| Some((named(other_design, *id)?, bits))).collect();
        let mut found = Vec::new();
        for (id, bits) in &self.bits {
            let Some(name) = named(design, *id).filter(|name| !skip(name)) else { continue };
            let elsewhere = elsewhere.get(&name);
            let only_here =
                bits.iter().enumerate().map(|(bit, read)| *read && elsewhere.is_none_or(|e| !e[bit]));
            found.extend(ranges(&name, only_here));
        }
        found
    }
}

/// `name` or parts of it, for the bits that are set.
fn ranges(name: &str, bits: impl Iterator<Item = bool>) -> Vec<String> {
    let bits: Vec<bool> = bits.collect();
    if bits.iter().all(|bit| *bit) {
        return vec![name.to_owned()];
    }
    let mut found = Vec::new();
    let mut bit = 0;
    while bit < bits.len() {
        let length = bits[bit..].iter().take_while(|set| **set).count();
        match length {
            0 => {}
            1 => found.push(format!("{name}[{bit}]")),
            _ => found.push(format!("{name}[{}:{bit}]", bit + length - 1)),
        }
        bit += length.max(1);
    }
    found
}
