//! Instances, comments, formal assertions and what is deliberately unused.

use std::rc::Rc;

use super::builder::{Builder, Item, Role};
use super::error::Fault;
use super::expr::Expr;
use super::module::Module;
use super::ports::Port;

/// An instance of a module inside another one.
#[derive(Debug, Clone)]
pub struct Instance {
    module: String,
    outputs: Vec<(String, Expr)>,
}

impl Instance {
    /// The value of an output port.
    pub fn output(&self, name: &str) -> Expr {
        match self.outputs.iter().find(|(port, _)| port == name) {
            Some((_, expr)) => expr.clone(),
            None => {
                let (module, port) = (self.module.clone(), name.to_owned());
                Expr::poison(1, false, Fault::UnknownPort { module, direction: "output", port })
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct InstanceUse {
    pub name: String,
    pub module: Rc<Module>,
    /// In the order of the module's inputs.
    pub inputs: Vec<Expr>,
    /// What resets it, if that is not `rst`.
    pub reset: Option<Expr>,
    /// The signals that carry the module's outputs.
    pub outputs: Vec<usize>,
    /// Those that carry what only proofs read.
    pub proof_outputs: Vec<usize>,
}

impl Builder {
    /// Places a module inside this one. Every input must be connected, with its exact width; `clk` and `rst` connect
    /// themselves, but an input `rst` may be given to reset the instance by another signal. The outputs appear as wires
    /// `<instance>_<port>`; those that are never read count as [`unused`](Builder::unused).
    pub fn instance(&mut self, name: &str, module: &Rc<Module>, inputs: &[(&str, Expr)]) -> Instance {
        let place = format!("instance `{name}`");
        self.claim_name(&place, name);
        for (index, (port, _)) in inputs.iter().enumerate() {
            let signal = (*port).to_owned();
            let resets = *port == "rst" && module.uses_reset;
            if !resets && !module.inputs.iter().any(|input| input.name == *port) {
                let module = module.name.clone();
                self.report(&place, Fault::UnknownPort { module, direction: "input", port: signal });
            } else if inputs[..index].iter().any(|(earlier, _)| earlier == port) {
                self.report(&place, Fault::DoublyDriven { signal });
            }
        }
        let mut connections = Vec::new();
        for Port { name: port, width, .. } in &module.inputs {
            let Some((_, value)) = inputs.iter().find(|(given, _)| given == port) else {
                let module = module.name.clone();
                self.report(&place, Fault::UnconnectedPort { module, port: port.clone() });
                continue;
            };
            if self.accept_width(&place, &format!("input `{port}`"), value, *width) {
                connections.push(value.clone());
            }
        }
        let reset = inputs.iter().find(|(port, _)| *port == "rst").map(|(_, value)| value.clone());
        let reset = reset.filter(|value| self.accept_width(&place, "input `rst`", value, 1));
        let index = self.instances.len();
        let first = self.signals.len();
        let mut outputs = Vec::new();
        for (port, Port { name: output, width, signed, .. }) in module.outputs.iter().enumerate() {
            let role = Role::InstanceOutput { instance: index, port };
            outputs.push((output.clone(), self.declare(&format!("{name}_{output}"), *width, *signed, role)));
        }
        let (last, outer) = (self.signals.len(), std::mem::replace(&mut self.in_formal, true));
        for Port { name: output, width, signed, .. } in &module.proof_outputs {
            let role = Role::ProofOutput;
            outputs.push((output.clone(), self.declare(&format!("{name}_{output}"), *width, *signed, role)));
        }
        self.in_formal = outer;
        self.items.push(Item::Instance(index));
        self.instances.push(InstanceUse {
            name: name.to_owned(),
            module: Rc::clone(module),
            inputs: connections,
            reset,
            outputs: (first..last).collect(),
            proof_outputs: (last..self.signals.len()).collect(),
        });
        Instance { module: module.name.clone(), outputs }
    }

    /// Takes clock and reset from inside, say from an instance, instead of from ports: before anything that uses them.
    pub fn clock_from(&mut self, clk: &Expr, rst: &Expr) {
        self.own_clock = Some(clk.brief());
        for (name, value) in [("clk", clk), ("rst", rst)] {
            self.names.remove(name);
            if self.accept_width(&format!("wire `{name}`"), "value", value, 1) {
                self.named(name, value);
            }
        }
    }

    /// A comment line before whatever comes next.
    pub fn comment(&mut self, text: &str) {
        self.items.push(Item::Comment(self.comments.len()));
        self.comments.push(text.to_owned());
    }

    /// States that these bits are deliberately not read: an input that this configuration does not need, or the part
    /// of a value that is thrown away. Without it lint tools warn.
    pub fn unused(&mut self, expr: &Expr) {
        if self.accept("unused bits", expr) {
            self.unused.push(expr.clone());
        }
    }
}
