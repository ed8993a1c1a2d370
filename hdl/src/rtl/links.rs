//! What runs between the instances of a module.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::builder::{Builder, Role};
use super::expr::{Expr, Kind, post_order};

/// Something that a line of a block diagram begins or ends at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Block {
    /// Ports whose names begin with this.
    Ports(String),
    /// Registers and memories of the module itself whose names begin with this.
    State(String),
    /// An instance.
    Instance(String),
}

/// A signal that decides what another block sees, directly or through logic without a register.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link {
    pub from: Block,
    pub to: Block,
    /// Name where it comes from.
    pub signal: String,
    pub width: u32,
}

/// The first word of a name, or the first two if the first is a letter, as in `s_axil_awaddr`.
pub(super) fn prefix(name: &str) -> String {
    let words: Vec<&str> = name.split('_').collect();
    let count = if words[0].len() == 1 { 2 } else { 1 };
    words[..count.min(words.len())].join("_")
}

/// The links of a module, each once, in order. A signal counts for no more bits than the port or register that takes it has.
pub(super) fn links(builder: &Builder) -> Vec<Link> {
    let mut links: BTreeMap<(Block, Block, String), u32> = BTreeMap::new();
    // A port has the same name on the outside, so that is what a line to it is called.
    let mut add = |to: &Block, port: Option<&str>, root: &Expr| {
        for index in sources(builder, root) {
            let (from, name) = origin(builder, index);
            if from != *to {
                let width = builder.signals[index].expr.width().min(root.width());
                let known = links.entry((from, to.clone(), port.unwrap_or(&name).to_owned())).or_default();
                *known = width.max(*known);
            }
        }
    };
    for instance in &builder.instances {
        let to = Block::Instance(instance.name.clone());
        instance.inputs.iter().chain(&instance.reset).for_each(|input| add(&to, None, input));
    }
    for signal in builder.signals.iter().filter(|signal| !signal.formal) {
        if let Role::Register(register) = &signal.role {
            let to = Block::State(prefix(&signal.name));
            let branches = register.branches.iter().flat_map(|(condition, value)| [condition, value]);
            branches.chain(&register.otherwise).for_each(|value| add(&to, None, value));
        }
    }
    for output in &builder.outputs {
        add(&Block::Ports(prefix(&output.name)), Some(&*output.name), &output.value);
    }
    let link = |((from, to, signal), width)| Link { from, to, signal, width };
    links.into_iter().map(link).collect()
}

/// The block that a signal comes from, and its name there.
fn origin(builder: &Builder, index: usize) -> (Block, String) {
    let signal = &builder.signals[index];
    match signal.role {
        Role::InstanceOutput { instance, port } => {
            let instance = &builder.instances[instance];
            (Block::Instance(instance.name.clone()), instance.module.outputs()[port].name.clone())
        }
        Role::Input => (Block::Ports(prefix(&signal.name)), signal.name.to_string()),
        _ => (Block::State(prefix(&signal.name)), signal.name.to_string()),
    }
}

/// The signals that a value is made of: inputs, registers, memory reads, outputs of instances.
fn sources(builder: &Builder, root: &Expr) -> BTreeSet<usize> {
    let (mut found, mut seen) = (BTreeSet::new(), HashSet::new());
    let mut open = vec![root.clone()];
    while !open.is_empty() {
        let indices: Vec<usize> = post_order(&open)
            .iter()
            .filter_map(|value| match value.0.kind {
                Kind::Signal { index, .. } => Some(index),
                _ => None,
            })
            .filter(|index| seen.insert(*index))
            .collect();
        open.clear();
        for index in indices {
            match &builder.signals[index].role {
                Role::Wire { driver: Some(value) } | Role::Named { value } => open.push(value.clone()),
                _ => {
                    found.insert(index);
                }
            }
        }
    }
    found
}
