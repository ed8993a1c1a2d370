//! Instances that read each other: what one placed later drives is a wire until then.

use std::rc::Rc;

use super::builder::Builder;
use super::error::Fault;
use super::expr::Expr;
use super::instance::Instance;
use super::module::Module;
use super::ports::Port;

/// The instances of a module under construction, and wires for outputs that were read before their instance was placed.
#[derive(Debug)]
pub struct Nets<'a> {
    modules: Vec<(&'a str, &'a Rc<Module>)>,
    placed: Vec<(&'a str, Instance)>,
    /// Instance, output, and the wire that carries it for all readers.
    wires: Vec<(&'a str, String, Expr)>,
}

impl<'a> Nets<'a> {
    /// Instances by their names, and what they are instances of.
    pub fn new(modules: &[(&'a str, &'a Rc<Module>)]) -> Nets<'a> {
        Nets { modules: modules.to_vec(), placed: Vec::new(), wires: Vec::new() }
    }

    fn module(&self, instance: &str) -> Option<(&'a str, &'a Rc<Module>)> {
        self.modules.iter().find(|(name, _)| *name == instance).copied()
    }

    /// An input of an instance.
    pub fn input(&self, instance: &str, port: &str) -> Option<&'a Port> {
        self.module(instance)?.1.inputs().iter().find(|input| input.name == port)
    }

    /// The value of an output, whether its instance is placed or not.
    pub fn output(&mut self, m: &mut Builder, instance: &str, port: &str) -> Expr {
        if let Some((.., wire)) = self.wires.iter().find(|(name, of, _)| *name == instance && of == port) {
            return wire.clone();
        }
        if let Some((_, placed)) = self.placed.iter().find(|(name, _)| *name == instance) {
            return placed.output(port);
        }
        let known = self.module(instance).and_then(|(name, module)| {
            Some((name, module.outputs().iter().find(|output| output.name == port)?))
        });
        let Some((instance, output)) = known else {
            let (module, port) = (instance.to_owned(), port.to_owned());
            return Expr::poison(1, false, Fault::UnknownPort { module, direction: "output", port });
        };
        let name = format!("{instance}_{port}_net");
        let wire =
            if output.signed { m.signed_wire(&name, output.width) } else { m.wire(&name, output.width) };
        self.wires.push((instance, port.to_owned(), wire.clone()));
        wire
    }

    /// Places an instance ([`Builder::instance`]) and drives the wires that wait for it.
    pub fn place(&mut self, m: &mut Builder, instance: &str, inputs: &[(&str, Expr)]) -> Instance {
        let (name, module) = self.module(instance).unwrap_or_else(|| panic!("no instance `{instance}`"));
        let placed = m.instance(name, module, inputs);
        for (.., port, wire) in self.wires.iter().filter(|(of, ..)| *of == name) {
            m.assign(wire, &placed.output(port));
        }
        self.placed.push((name, placed.clone()));
        placed
    }
}
