//! Checks on a whole module: everything driven, nothing looping.

use std::collections::HashMap;
use std::rc::Rc;

use super::builder::{Builder, Role};
use super::error::Fault;
use super::expr::{Expr, Kind, Node, post_order};
use super::render;

/// Reports wires, registers and memories that nothing drives.
pub(super) fn complete(builder: &mut Builder) {
    let mut missing = Vec::new();
    for signal in &builder.signals {
        let name = signal.name.to_string();
        match &signal.role {
            Role::Wire { driver: None } => {
                missing.push((format!("wire `{name}`"), Fault::Undriven { signal: name }));
            }
            Role::Register(register) if register.branches.is_empty() && register.otherwise.is_none() => {
                missing.push((format!("register `{name}`"), Fault::NeverSet { signal: name }));
            }
            _ => {}
        }
    }
    for memory in builder.memories.iter().filter(|memory| memory.write.is_none()) {
        let name = memory.name.to_string();
        missing.push((format!("memory `{name}`"), Fault::NeverWritten { memory: name }));
    }
    for (place, fault) in missing {
        builder.report(place, fault);
    }
}

/// Reports constants that have the name of something else.
pub(super) fn constants(builder: &mut Builder) {
    let mut roots = render::roots(builder, &builder.items);
    roots.extend(render::roots(builder, &builder.formal_items));
    roots.extend(builder.outputs.iter().map(|output| output.value.clone()));
    let mut known: HashMap<String, (u64, u32)> = HashMap::new();
    for value in post_order(&roots) {
        let Kind::Constant { name, value: bits } = &value.0.kind else { continue };
        let place = format!("constant `{name}`");
        let this = (*bits, value.width());
        match known.get(&**name) {
            Some(before) if *before == this => {}
            Some(_) => builder.report(place, Fault::DuplicateName { name: name.to_string() }),
            None => {
                builder.claim_name(&place, name);
                known.insert(name.to_string(), this);
            }
        }
    }
}

#[derive(Clone)]
enum Vertex {
    Signal(usize),
    Value(Expr),
}

#[derive(PartialEq, Eq, Hash, Clone, Copy)]
enum Key {
    Signal(usize),
    Value(*const Node),
}

impl Vertex {
    fn key(&self) -> Key {
        match self {
            Vertex::Signal(index) => Key::Signal(*index),
            Vertex::Value(expr) => Key::Value(expr.key()),
        }
    }

    /// What this depends on in the same cycle.
    fn sources(&self, builder: &Builder) -> Vec<Vertex> {
        match self {
            Vertex::Value(expr) => match &expr.0.kind {
                Kind::Signal { index, .. } => vec![Vertex::Signal(*index)],
                _ => expr.0.operands().into_iter().cloned().map(Vertex::Value).collect(),
            },
            Vertex::Signal(index) => match &builder.signals[*index].role {
                Role::Wire { driver: Some(value) } | Role::Named { value } => {
                    vec![Vertex::Value(value.clone())]
                }
                Role::InstanceOutput { instance, port } => {
                    let instance = &builder.instances[*instance];
                    let inputs = instance.module.paths[*port].iter();
                    inputs.map(|input| Vertex::Value(instance.inputs[*input].clone())).collect()
                }
                _ => Vec::new(),
            },
        }
    }
}

/// The set of inputs that reach a value, one bit each.
type Reach = Rc<Vec<u64>>;

/// For each output the inputs that reach it without a register between, or the loop that makes this meaningless.
pub(super) fn paths(builder: &Builder) -> Result<Vec<Vec<usize>>, Fault> {
    let inputs: Vec<usize> = (0..builder.signals.len())
        .filter(|index| matches!(builder.signals[*index].role, Role::Input))
        .collect();
    let nothing: Reach = Rc::new(vec![0; inputs.len().div_ceil(64)]);
    let mut reach: HashMap<Key, Reach> = HashMap::new();
    for (bit, index) in inputs.iter().enumerate() {
        let mut set = Vec::clone(&nothing);
        set[bit / 64] |= 1 << (bit % 64);
        reach.insert(Key::Signal(*index), Rc::new(set));
    }
    for index in 0..builder.signals.len() {
        visit(builder, Vertex::Signal(index), &nothing, &mut reach)?;
    }
    let mut paths = Vec::new();
    for output in &builder.outputs {
        let root = Vertex::Value(output.value.clone());
        let key = root.key();
        visit(builder, root, &nothing, &mut reach)?;
        let set = &reach[&key];
        paths.push((0..inputs.len()).filter(|bit| set[bit / 64] >> (bit % 64) & 1 == 1).collect());
    }
    Ok(paths)
}

struct Frame {
    vertex: Vertex,
    sources: Vec<Vertex>,
    next: usize,
}

fn visit(
    builder: &Builder,
    root: Vertex,
    nothing: &Reach,
    reach: &mut HashMap<Key, Reach>,
) -> Result<(), Fault> {
    if reach.contains_key(&root.key()) {
        return Ok(());
    }
    let open = |vertex: Vertex| Frame { sources: vertex.sources(builder), vertex, next: 0 };
    let mut active: HashMap<Key, usize> = HashMap::from([(root.key(), 0)]);
    let mut stack = vec![open(root)];
    while let Some(frame) = stack.last_mut() {
        if let Some(source) = frame.sources.get(frame.next).cloned() {
            frame.next += 1;
            let key = source.key();
            if let Some(start) = active.get(&key) {
                return Err(describe_loop(builder, &stack[*start..]));
            }
            if !reach.contains_key(&key) {
                active.insert(key, stack.len());
                stack.push(open(source));
            }
            continue;
        }
        let set = union(frame.sources.iter().map(|source| &reach[&source.key()]), nothing);
        let key = frame.vertex.key();
        active.remove(&key);
        reach.insert(key, set);
        stack.pop();
    }
    Ok(())
}

fn union<'a>(sets: impl Iterator<Item = &'a Reach>, nothing: &Reach) -> Reach {
    let mut result: Option<Reach> = None;
    for set in sets {
        match &mut result {
            None => result = Some(Rc::clone(set)),
            Some(so_far) if Rc::ptr_eq(so_far, set) || Rc::ptr_eq(nothing, set) => {}
            Some(so_far) => {
                for (word, more) in Rc::make_mut(so_far).iter_mut().zip(set.iter()) {
                    *word |= more;
                }
            }
        }
    }
    result.unwrap_or_else(|| Rc::clone(nothing))
}

fn describe_loop(builder: &Builder, cycle: &[Frame]) -> Fault {
    let mut path: Vec<String> = Vec::new();
    for frame in cycle {
        if let Vertex::Signal(index) = frame.vertex {
            path.push(builder.signals[index].name.to_string());
        }
    }
    path.reverse();
    path.extend(path.first().cloned());
    Fault::CombinationalLoop { path }
}
