//! Finished modules, and the files they become.

use std::collections::HashMap;
use std::rc::Rc;

use super::builder::Builder;
use super::error::{Fault, RtlError};
use super::links::{self, Link};
use super::ports::{Port, PortDirection};
use super::{check, names, render};

/// A finished module: checked, immutable, to be instantiated any number of times.
#[derive(Debug)]
pub struct Module {
    pub(super) name: String,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    /// All of them, in the order of the Verilog.
    pub(super) ports: Vec<Port>,
    /// Registers of its proofs that the proofs of the module around it may read.
    pub(super) proof_outputs: Vec<Port>,
    /// For each output, the inputs that reach it without a register between.
    pub(super) paths: Vec<Vec<usize>>,
    pub(super) uses_clock: bool,
    pub(super) uses_reset: bool,
    pub(super) children: Vec<Rc<Module>>,
    /// Names of the instances, and what they are instances of.
    pub(super) instances: Vec<(String, Rc<Module>)>,
    /// What runs between them.
    pub(super) links: Vec<Link>,
    pub(super) text: String,
    /// Its Verilog comes from elsewhere: `text` only declares it.
    pub(super) foreign: bool,
}

impl Module {
    /// Builds a module: `body` declares its ports and logic, then everything is checked. The doc text becomes the
    /// header of the Verilog file.
    pub fn build(name: &str, doc: &str, body: impl FnOnce(&mut Builder)) -> Result<Rc<Module>, RtlError> {
        let mut builder = Builder::new(name);
        if let Err(fault) = names::check(name) {
            builder.report("its name", fault);
        }
        body(&mut builder);
        check::complete(&mut builder);
        check::constants(&mut builder);
        builder.check_formal();
        if let Some(error) = builder.faults.first() {
            return Err(error.clone());
        }
        let paths = check::paths(&builder).map_err(|fault| builder.error("its wires", fault))?;
        let (uses_clock, uses_reset) = builder.clock_ports();
        let text = render::module(&mut builder, doc);
        let mut children: Vec<Rc<Module>> = Vec::new();
        for instance in &builder.instances {
            if !children.iter().any(|child| Rc::ptr_eq(child, &instance.module)) {
                children.push(Rc::clone(&instance.module));
            }
        }
        let links = links::links(&builder);
        let placed =
            builder.instances.iter().map(|instance| (instance.name.clone(), Rc::clone(&instance.module)));
        let instances = placed.collect();
        let (inputs, outputs) = builder.ports();
        let ports = builder.header_ports().into_iter().map(|(port, _)| port).collect();
        let name = name.to_owned();
        Ok(Rc::new(Module {
            name,
            inputs,
            outputs,
            ports,
            proof_outputs: builder.proof_ports(),
            paths,
            uses_clock,
            uses_reset,
            children,
            instances,
            links,
            text,
            foreign: false,
        }))
    }

    /// A module whose Verilog comes from elsewhere: [`emit`] leaves it out, its [`text`](Module::text) is a declaration without a body. No
    /// input may reach an output without a register between. An input `clk` or `rst` connects itself, as those of any module.
    pub fn foreign(name: &str, doc: &str, inputs: &[(&str, u32)], outputs: &[(&str, u32)]) -> Rc<Module> {
        let port = |direction| {
            move |&(name, width): &(&str, u32)| {
                let (name, doc) = (name.to_owned(), String::new());
                Port { name, direction, width, signed: false, clock: None, doc }
            }
        };
        let all_inputs: Vec<Port> = inputs.iter().map(port(PortDirection::Input)).collect();
        let outputs_of: Vec<Port> = outputs.iter().map(port(PortDirection::Output)).collect();
        let has = |name: &str| inputs.iter().any(|(input, _)| *input == name);
        Rc::new(Module {
            name: name.to_owned(),
            ports: all_inputs.iter().chain(&outputs_of).cloned().collect(),
            inputs: all_inputs
                .into_iter()
                .filter(|port| !["clk", "rst"].contains(&port.name.as_str()))
                .collect(),
            outputs: outputs_of,
            proof_outputs: Vec::new(),
            paths: vec![Vec::new(); outputs.len()],
            uses_clock: has("clk"),
            uses_reset: has("rst"),
            children: Vec::new(),
            instances: Vec::new(),
            links: Vec::new(),
            text: render::declaration_of(name, doc, inputs, outputs),
            foreign: true,
        })
    }

    /// The module's name, which is also that of its file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The inputs in order of declaration, without `clk` and `rst`.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// The outputs in order of declaration.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Every port, `clk` and `rst` included, in the order of the Verilog: the ports of a bus stand together, channel by channel.
    pub fn ports(&self) -> &[Port] {
        &self.ports
    }

    /// Whether the module has a `clk` input.
    pub fn uses_clock(&self) -> bool {
        self.uses_clock
    }

    /// Whether the module has a `rst` input.
    pub fn uses_reset(&self) -> bool {
        self.uses_reset
    }

    /// The Verilog text of this module alone.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// One file of Verilog source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerilogFile {
    /// File name, `<module>.v`.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// The files of a design: one for each distinct module under `top`, children first.
pub fn emit(top: &Rc<Module>) -> Result<Vec<VerilogFile>, RtlError> {
    let mut files = Vec::new();
    let mut seen: HashMap<&str, &Rc<Module>> = HashMap::new();
    let mut stack: Vec<(&Rc<Module>, bool)> = vec![(top, false)];
    while let Some((module, children_done)) = stack.pop() {
        if children_done {
            if module.foreign {
                continue;
            }
            files.push(VerilogFile { name: format!("{}.v", module.name), text: module.text.clone() });
            continue;
        }
        match seen.get(module.name.as_str()) {
            Some(known) if Rc::ptr_eq(known, module) => {}
            Some(known) if known.text == module.text => {
                // Built twice from the same parameters. Its children are looked at all the same: they may differ.
                stack.extend(module.children.iter().map(|child| (child, false)));
            }
            Some(_) => {
                return Err(RtlError {
                    module: top.name.clone(),
                    place: "its hierarchy".to_owned(),
                    fault: Box::new(Fault::ModuleNameClash { name: module.name.clone() }),
                });
            }
            None => {
                seen.insert(&module.name, module);
                stack.push((module, true));
                stack.extend(module.children.iter().rev().map(|child| (child, false)));
            }
        }
    }
    Ok(files)
}
