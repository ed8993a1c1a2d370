//! Fields of descriptors and pass records as ports and registers.

use std::collections::BTreeMap;
use std::ops::Index;

use isa::{Field, Op, Schedule, descriptor, pass};

use super::codes::operation;
use crate::rtl::{Builder, Expr, Module, constant};

/// The record that fields belong to.
#[derive(Clone, Copy)]
pub(super) enum Record {
    /// A layer descriptor.
    Layer,
    /// A pass record.
    Pass,
}

impl Record {
    /// The field called `name`.
    pub fn field(self, name: &str) -> &'static Field {
        match self {
            Record::Layer => descriptor::field(name),
            Record::Pass => pass::field(name),
        }
    }

    /// States that the bits of a word of the record outside the fields in use are not read.
    pub fn unused_bits(self, m: &mut Builder, word: &Expr, index: usize, used: &[&str]) {
        let of_word = used.iter().map(|name| self.field(name)).filter(|field| field.word == index);
        let free = of_word.fold(!0u64, |free, field| free & !(field.largest() << field.lsb));
        let mut bit = 0;
        while bit < 64 {
            let run = (free >> bit).trailing_ones().min(64 - bit);
            if run > 0 {
                m.unused(&word.slice(bit, run));
            }
            bit += run.max(1);
        }
    }
}

/// Values of a record's fields, by name.
#[derive(Default)]
pub(super) struct Fields(BTreeMap<&'static str, Expr>);

/// Bits of a descriptor field.
pub(super) fn bits(name: &str) -> u32 {
    descriptor::field(name).width
}

/// Bits of a field of a pass record.
pub(super) fn pass_bits(name: &str) -> u32 {
    pass::field(name).width
}

impl Index<&str> for Fields {
    type Output = Expr;

    fn index(&self, name: &str) -> &Expr {
        self.0.get(name).unwrap_or_else(|| panic!("field `{name}` is not connected here"))
    }
}

impl Fields {
    /// Input ports named after the fields.
    pub fn inputs(m: &mut Builder, record: Record, names: &[&'static str]) -> Fields {
        let doc = match record {
            Record::Layer => "descriptor field",
            Record::Pass => "field of the pass record",
        };
        let mut input = |name| (name, m.input_doc(name, record.field(name).width, doc));
        Fields(names.iter().map(|&name| input(name)).collect())
    }

    /// Slices of the record's words.
    pub fn slices(words: &[Expr], record: Record, names: &[&'static str]) -> Fields {
        let slice = |name| {
            let f = record.field(name);
            words[f.word].slice(f.lsb, f.width)
        };
        Fields(names.iter().map(|&name| (name, slice(name))).collect())
    }

    /// Values by the fields' names.
    pub fn of(values: Vec<(&'static str, Expr)>) -> Fields {
        Fields(values.into_iter().collect())
    }

    /// Registers `prefix_name` that take these fields when `take` is high.
    pub fn registers(&self, m: &mut Builder, prefix: &str, take: &Expr) -> Fields {
        let mut copy = BTreeMap::new();
        for (&name, value) in &self.0 {
            copy.insert(name, m.sample(&format!("{prefix}_{name}"), take, value));
        }
        Fields(copy)
    }

    /// Connections for an instance whose ports are named after `names`.
    pub fn connect<'a>(&self, names: &[&'a str]) -> Vec<(&'a str, Expr)> {
        names.iter().map(|&name| (name, self[name].clone())).collect()
    }

    /// Whether the layer's operation is `op`.
    pub fn is(&self, op: Op) -> Expr {
        self["op"].eq(&operation(op))
    }

    /// Whether the layer's operation is `scores` or `context`.
    pub fn is_attention(&self) -> Expr {
        self.is(Op::Scores) | self.is(Op::Context)
    }

    /// Whether the layer's neurons fire after all drives: two-phase.
    pub fn two_phase(&self) -> Expr {
        self["schedule"].eq(&constant("SCHEDULE_AFTER_ALL", Schedule::AfterAll as u64, bits("schedule")))
    }
}

/// Declares input ports for all inputs of `child` but `except`, to be passed through.
pub(super) fn inputs_of(m: &mut Builder, child: &Module, except: &[&str]) -> Vec<(String, Expr)> {
    let wanted = child.inputs().iter().filter(|port| !except.contains(&port.name.as_str()));
    wanted.map(|port| (port.name.clone(), m.input_doc(&port.name, port.width, &port.doc))).collect()
}
