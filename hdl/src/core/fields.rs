//! Descriptor fields as ports and registers.

use std::collections::BTreeMap;
use std::ops::Index;

use isa::descriptor::field;
use isa::{Neuron, Op};

use super::codes::operation;
use crate::rtl::{Builder, Expr, Module, constant};

/// Values of descriptor fields, by name.
#[derive(Default)]
pub(super) struct Fields(BTreeMap<&'static str, Expr>);

/// Bits of a descriptor field.
pub(super) fn bits(name: &str) -> u32 {
    field(name).width
}

/// The largest value of a descriptor field.
pub(super) fn largest(name: &str) -> u64 {
    (1 << bits(name)) - 1
}

impl Index<&str> for Fields {
    type Output = Expr;

    fn index(&self, name: &str) -> &Expr {
        self.0.get(name).unwrap_or_else(|| panic!("field `{name}` is not connected here"))
    }
}

impl Fields {
    /// Input ports named after the fields.
    pub fn inputs(m: &mut Builder, names: &[&'static str]) -> Fields {
        Fields(
            names
                .iter()
                .map(|&name| (name, m.input_doc(name, field(name).width, "descriptor field")))
                .collect(),
        )
    }

    /// Slices of the descriptor words.
    pub fn slices(words: &[Expr], names: &[&'static str]) -> Fields {
        let slice = |name| {
            let f = field(name);
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

    /// Whether the layer's neurons are two-phase.
    pub fn two_phase(&self) -> Expr {
        self["neuron"].eq(&constant("NEURON_TWO_PHASE", Neuron::TwoPhase as u64, bits("neuron")))
    }
}

/// Declares input ports for all inputs of `child` but `except`, to be passed through.
pub(super) fn inputs_of(m: &mut Builder, child: &Module, except: &[&str]) -> Vec<(String, Expr)> {
    let wanted = child.inputs().iter().filter(|port| !except.contains(&port.name.as_str()));
    wanted.map(|port| (port.name.clone(), m.input_doc(&port.name, port.width, &port.doc))).collect()
}
