//! The text of a whole module.

use std::collections::HashSet;
use std::rc::Rc;

use super::always::{Chain, Chunk, Process, join};
use super::builder::{Builder, Item, Register, Role, Signal};
use super::expr::Expr;
use super::lower::Design;
use super::ports::PortDirection;
use super::print::{Printer, declaration, shape};
use super::unread;

/// Memories with a registered read and more bits than this are asked for as block RAM.
const DISTRIBUTED_BITS: u64 = 1024;

/// Writes a module that has passed its checks.
pub(super) fn module(builder: &mut Builder, doc: &str) -> String {
    let unused: Vec<Expr> = builder.unused.iter().flat_map(unread::signals).collect();
    let logic = roots(builder, &builder.items);
    // An output that is its own signal counts as read.
    let outputs = builder.outputs.iter().map(|output| output.value.clone());
    let logic: Vec<Expr> = logic.into_iter().chain(outputs).chain(unused.iter().cloned()).collect();
    let design = Design::new(&logic);
    let ids: Vec<usize> = logic.iter().map(|root| design.root(root)).collect();
    let names = std::mem::take(&mut builder.names);
    let mut writer =
        Writer { printer: Printer::new(design, &ids, names), chunks: Vec::new(), open: Vec::new(), builder };
    for item in writer.builder.items.clone() {
        writer.item(item);
    }
    let read = unread::Coverage::new(&writer.printer.design, &ids);
    let mut open = std::mem::take(&mut writer.open);
    for expr in &unused {
        open.push(writer.value(expr, "unused"));
    }
    for (id, name) in &writer.printer.hoisted {
        open.extend(read.holes(*id, name));
    }
    let mut declared = HashSet::new();
    let constants = writer.printer.constants(&mut declared);
    if !constants.is_empty() {
        writer.chunks.insert(0, Chunk::Block(constants));
    }
    open.extend(writer.formal(&read, &mut declared));
    let mut listed = HashSet::new();
    open.retain(|bits| listed.insert(bits.clone()));
    writer.unread(open);
    header(writer.builder, doc) + &join(&writer.chunks) + "\nendmodule\n\n`default_nettype wire\n"
}

/// Every value that these items compute, in the order of the text.
pub(super) fn roots(builder: &Builder, items: &[Item]) -> Vec<Expr> {
    let mut roots: Vec<Expr> = Vec::new();
    for item in items {
        match *item {
            Item::Named(index) | Item::Assign(index) | Item::Always(index) | Item::MemoryRead(index) => {
                match &builder.signals[index].role {
                    Role::Named { value } | Role::Wire { driver: Some(value) } => roots.push(value.clone()),
                    Role::Register(register) => {
                        let branches = register.branches.iter().flat_map(|(cond, value)| [cond, value]);
                        let values = register.reset.iter().chain(branches).chain(&register.otherwise);
                        roots.extend(values.cloned());
                    }
                    Role::MemoryOutput { enable, address, .. } => {
                        roots.extend([enable.clone(), address.clone()]);
                    }
                    _ => {}
                }
            }
            Item::MemoryWrite(index) => {
                if let Some(write) = &builder.memories[index].write {
                    roots.push(write.address.clone());
                    roots
                        .extend(write.lanes.iter().flat_map(|(enable, data)| [enable.clone(), data.clone()]));
                }
            }
            Item::Instance(index) => {
                let instance = &builder.instances[index];
                roots.extend(instance.inputs.iter().chain(&instance.reset).cloned());
            }
            Item::Property(index) => roots.extend(builder.properties[index].values().cloned()),
            _ => {}
        }
    }
    roots
}

struct Writer<'a> {
    builder: &'a Builder,
    printer: Printer,
    chunks: Vec<Chunk>,
    /// Outputs of instances that nothing reads.
    open: Vec<String>,
}

impl Writer<'_> {
    /// The text of a value; what it needs is declared before.
    fn value(&mut self, expr: &Expr, target: &str) -> String {
        let mut lines = Vec::new();
        let text = self.printer.value(self.printer.design.root(expr), target, &mut lines);
        self.lines(lines);
        text
    }

    fn lines(&mut self, lines: Vec<String>) {
        if !lines.is_empty() {
            self.chunks.push(Chunk::Lines(lines));
        }
    }

    fn define(&mut self, head: &str, name: &str, value: &Expr) {
        let mut lines = Vec::new();
        self.printer.define(head, name, self.printer.design.root(value), name, &mut lines);
        self.lines(lines);
    }

    fn is_port(&self, index: usize) -> bool {
        let signal = &self.builder.signals[index];
        self.builder.outputs.iter().any(|output| output.name == signal.name)
    }

    fn item(&mut self, item: Item) {
        let builder = self.builder;
        match item {
            Item::Moved => {}
            Item::Comment(index) => {
                let text = builder.comments[index].lines().map(|line| format!("// {line}")).collect();
                self.chunks.push(Chunk::Comment(text));
            }
            Item::Declare(index) if self.is_port(index) || builder.proof_outputs.contains(&index) => {}
            Item::Declare(index) => {
                let signal = &builder.signals[index];
                let kind = match signal.role {
                    Role::Wire { .. } => "wire",
                    Role::AnyConstant => "(* anyconst *) reg",
                    _ => "reg",
                };
                let (width, signed) = (signal.expr.width(), signal.expr.is_signed());
                let declared = declaration(kind, width, signed, &signal.name);
                let start = match &signal.role {
                    Role::Register(Register { reset: Some(value), .. }) if !builder.implicit_ports().1 => {
                        format!(" = {}", self.value(value, &signal.name))
                    }
                    _ => String::new(),
                };
                self.lines(vec![declared + &start + ";"]);
            }
            Item::Named(index) | Item::Assign(index) => {
                let signal = &builder.signals[index];
                let (head, value) = match &signal.role {
                    Role::Named { value } if !self.is_port(index) => {
                        let (width, signed) = (value.width(), value.is_signed());
                        (declaration("wire", width, signed, &signal.name), value)
                    }
                    Role::Named { value } | Role::Wire { driver: Some(value) } => {
                        (format!("assign {}", signal.name), value)
                    }
                    _ => return,
                };
                self.define(&head, &signal.name, value);
            }
            Item::Always(index) => {
                let signal = &builder.signals[index];
                if let Role::Register(register) = &signal.role {
                    self.register(&signal.name, register);
                }
            }
            Item::Memory(index) => {
                let memory = &builder.memories[index];
                let word = shape(memory.width, false);
                let registered = |signal: &Signal| matches!(signal.role, Role::MemoryOutput { memory, .. } if memory == index);
                // A read of the word being written is unspecified; without this, tools add logic to specify it.
                // And left to themselves some build kilobits from look-up tables.
                let block = match builder.signals.iter().any(registered) {
                    true if u64::from(memory.width) * u64::from(memory.depth) > DISTRIBUTED_BITS => {
                        "(* no_rw_check, ram_style = \"block\" *) "
                    }
                    true => "(* no_rw_check *) ",
                    false => "",
                };
                self.lines(vec![format!("{block}reg {word}{} [0:{}];", memory.name, memory.depth - 1)]);
            }
            Item::MemoryWrite(index) => self.memory_write(index),
            Item::MemoryRead(index) => self.memory_read(index),
            Item::Instance(index) => self.instance(index),
            Item::Property(index) => self.property(index),
            Item::ResetFirst => self.chunks.push(Chunk::Block(vec![
                "// Every run begins with a cycle of reset.".to_owned(),
                "initial assume (rst);".to_owned(),
            ])),
            Item::Output(index) => {
                let output = &builder.outputs[index];
                self.define(&format!("assign {}", output.name), &output.name, &output.value);
            }
        }
    }

    fn register(&mut self, name: &str, register: &Register) {
        let mut always = Chain::default();
        // Only a proof's register can have a reset value in a module without reset: it is declared with that value.
        if let Some(reset) = register.reset.as_ref().filter(|_| self.builder.implicit_ports().1) {
            let value = self.value(reset, name);
            always.branch(Some("rst".to_owned()), format!("{name} <= {value};"));
        }
        for (cond, value) in &register.branches {
            let cond = self.value(cond, name);
            let value = self.value(value, name);
            always.branch(Some(cond), format!("{name} <= {value};"));
        }
        if let Some(value) = &register.otherwise {
            let value = self.value(value, name);
            always.branch(None, format!("{name} <= {value};"));
        }
        Process::add(always, &mut self.chunks);
    }

    fn memory_write(&mut self, index: usize) {
        let memory = &self.builder.memories[index];
        let Some(write) = &memory.write else { return };
        let name = &memory.name;
        let address = self.value(&write.address, name);
        let lane_width = memory.width / write.lanes.len() as u32;
        let mut always = Chain::default();
        for (lane, (enable, data)) in write.lanes.iter().enumerate() {
            let enable = self.value(enable, name);
            let data = self.value(data, name);
            let low = lane as u32 * lane_width;
            let part = match (write.lanes.len(), lane_width) {
                (1, _) => String::new(),
                (_, 1) => format!("[{low}]"),
                _ => format!("[{}:{low}]", low + lane_width - 1),
            };
            always.parallel(&enable, format!("{name}[{address}]{part} <= {data};"));
        }
        self.chunks.push(Chunk::Process(Process::of(always)));
    }

    fn memory_read(&mut self, index: usize) {
        let signal = &self.builder.signals[index];
        let Role::MemoryOutput { memory, enable, address } = &signal.role else { return };
        let enable = self.value(enable, &signal.name);
        let address = self.value(address, &signal.name);
        let memory = &self.builder.memories[*memory].name;
        let mut always = Chain::default();
        always.parallel(&enable, format!("{} <= {memory}[{address}];", signal.name));
        self.chunks.push(Chunk::Process(Process::of(always)));
    }

    fn instance(&mut self, index: usize) {
        let builder = self.builder;
        let instance = &builder.instances[index];
        let module = Rc::clone(&instance.module);
        let mut connections: Vec<(&str, String)> = Vec::new();
        if module.uses_clock {
            connections.push(("clk", "clk".to_owned()));
        }
        if module.uses_reset {
            let other =
                instance.reset.as_ref().map(|value| self.value(value, &format!("{}_rst", instance.name)));
            connections.push(("rst", other.unwrap_or_else(|| "rst".to_owned())));
        }
        for (port, value) in module.inputs.iter().zip(&instance.inputs) {
            connections.push((&port.name, self.value(value, &format!("{}_{}", instance.name, port.name))));
        }
        let mut wires = Vec::new();
        for (port, signal) in module.outputs.iter().zip(&instance.outputs) {
            let signal_index = *signal;
            let signal = &builder.signals[signal_index];
            connections.push((&port.name, signal.name.to_string()));
            // An open connection would raise a warning of its own.
            self.open.extend((!self.printer.reads(&signal.expr)).then(|| signal.name.to_string()));
            if !self.is_port(signal_index) {
                wires.push(declaration("wire", port.width, port.signed, &signal.name) + ";");
            }
        }
        self.lines(wires);
        let widest = connections.iter().map(|(port, _)| port.len()).max().unwrap_or(0);
        let last = connections.len().saturating_sub(1);
        let shown = || module.proof_outputs.iter().zip(&instance.proof_outputs);
        if shown().next().is_some() {
            let declared = shown().map(|(port, signal)| {
                declaration("    wire", port.width, port.signed, &builder.signals[*signal].name) + ";\n"
            });
            self.chunks.push(Chunk::Formal(declared.collect()));
        }
        let mut lines = vec![format!("{} {} (", module.name, instance.name)];
        let connected = shown()
            .map(|(port, signal)| format!("    .{:widest$} ({}),", port.name, builder.signals[*signal].name));
        lines.extend(in_proofs(connected.collect()));
        for (position, (port, value)) in connections.iter().enumerate() {
            let comma = if position == last { "" } else { "," };
            lines.push(format!("    .{port:widest$} ({value}){comma}"));
        }
        lines.push(");".to_owned());
        self.chunks.push(Chunk::Block(lines));
    }

    /// Writes what only proofs see, with names of its own for intermediate values, so that the logic's text does not depend on it.
    /// Returns the parts of the logic's signals that nothing else reads.
    fn formal(&mut self, read: &unread::Coverage, declared: &mut HashSet<Rc<str>>) -> Vec<String> {
        let items = self.builder.formal_items.clone();
        if items.is_empty() {
            return Vec::new();
        }
        let roots = roots(self.builder, &items);
        let design = Design::new(&roots);
        let ids: Vec<usize> = roots.iter().map(|root| design.root(root)).collect();
        let names = std::mem::take(&mut self.printer.names);
        let logic = std::mem::replace(&mut self.printer, Printer::new(design, &ids, names));
        let before = std::mem::take(&mut self.chunks);
        let constants = self.printer.constants(declared);
        self.lines(constants);
        for item in items {
            self.item(item);
        }
        let inside = join(&std::mem::replace(&mut self.chunks, before));
        self.chunks.push(Chunk::Formal(inside));
        let proofs = std::mem::replace(&mut self.printer, logic);
        let only_in_proofs =
            |name: &str| self.builder.signals.iter().any(|signal| signal.formal && *signal.name == *name);
        let read_in_proofs = unread::Coverage::new(&proofs.design, &ids);
        read_in_proofs.beyond(&proofs.design, read, &self.printer.design, only_in_proofs)
    }

    fn property(&mut self, index: usize) {
        let builder = self.builder;
        let property = &builder.properties[index];
        let texts: Vec<String> = property.values().map(|value| self.value(value, property.name())).collect();
        let (_, reset) = builder.implicit_ports();
        self.chunks.push(Chunk::Block(property.lines(&texts, reset)));
    }

    /// Gathers what is deliberately not read, in the form that lint tools know.
    fn unread(&mut self, mut open: Vec<String>) {
        let (clock, reset) = self.builder.logic_ports();
        let (has_clock, has_reset) = self.builder.clock_ports();
        open.extend((has_clock && !clock).then(|| "clk".to_owned()));
        open.extend((has_reset && !reset).then(|| "rst".to_owned()));
        if open.is_empty() {
            return;
        }
        let line = format!("wire _unused_ok = &{{1'b0, {}}};", open.join(", "));
        if line.len() <= 100 {
            self.chunks.push(Chunk::Block(vec![line]));
            return;
        }
        let mut lines = vec!["wire _unused_ok = &{".to_owned(), "    1'b0".to_owned()];
        for bits in open {
            lines.last_mut().into_iter().for_each(|line| line.push(','));
            lines.push(format!("    {bits}"));
        }
        lines.push("};".to_owned());
        self.chunks.push(Chunk::Block(lines));
    }
}

fn header(builder: &Builder, doc: &str) -> String {
    let mut text = format!(
        "// SPDX-License-Identifier: {}\n// Generated by {} {}.\n\n",
        env!("CARGO_PKG_LICENSE"),
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
    );
    for line in doc.lines() {
        text += format!("// {}", line.trim_end()).trim_end();
        text.push('\n');
    }
    text += "\n`default_nettype none\n\n";
    let ports = builder.header_ports();
    let shapes = ports.iter().map(|(port, _)| shape(port.width, port.signed).len()).max().unwrap_or(0);
    let names = ports.iter().map(|(port, _)| port.name.len()).max().unwrap_or(0);
    text += &format!("module {} (\n", builder.name);
    let shown = builder.proof_ports();
    let shown =
        shown.iter().map(|port| format!("    output reg  {}{},", shape(port.width, port.signed), port.name));
    for line in in_proofs(shown.collect()) {
        text += &line;
        text.push('\n');
    }
    let last = ports.len().saturating_sub(1);
    let mut channel = None;
    for (position, (port, title)) in ports.iter().enumerate() {
        if *title != channel {
            text += &title.map_or(String::new(), |title| format!("    // AXI {title} channel\n"));
            channel = *title;
        }
        let signal = builder.signals.iter().find(|signal| *signal.name == *port.name);
        let kind = match (port.direction, signal.map(|signal| &signal.role)) {
            (PortDirection::Output, Some(Role::Register(_) | Role::MemoryOutput { .. })) => "reg ",
            _ => "wire",
        };
        let direction = port.direction.verilog();
        let shape = shape(port.width, port.signed);
        let name = if position == last { port.name.clone() } else { format!("{},", port.name) };
        let mut line = format!("    {direction:6} {kind} {shape:shapes$}{name}");
        if !port.doc.is_empty() {
            let pad = names + 1 - name.len().min(names + 1);
            line += &format!("{}  // {}", " ".repeat(pad), port.doc.lines().collect::<Vec<_>>().join(" "));
        }
        text += line.trim_end();
        text.push('\n');
    }
    text + ");\n\n"
}

/// Lines for formal tools alone.
fn in_proofs(lines: Vec<String>) -> Vec<String> {
    match lines.is_empty() {
        true => lines,
        false => [vec!["`ifdef FORMAL".to_owned()], lines, vec!["`endif".to_owned()]].concat(),
    }
}

/// The declaration of a module whose body is elsewhere, as Yosys and vendor tools take it.
pub(super) fn declaration_of(
    name: &str,
    doc: &str,
    inputs: &[(&str, u32)],
    outputs: &[(&str, u32)],
) -> String {
    let line = |direction: &str, &(port, width): &(&str, u32)| {
        format!("    {direction} wire {}{port}", shape(width, false))
    };
    let inputs = inputs.iter().map(|port| line("input ", port));
    let ports: Vec<String> = inputs.chain(outputs.iter().map(|port| line("output", port))).collect();
    format!("// {doc}\n\n(* blackbox *)\nmodule {name} (\n{}\n);\nendmodule\n", ports.join(",\n"))
}

impl Builder {
    /// Whether the module has ports `clk` and `rst`.
    pub(super) fn clock_ports(&self) -> (bool, bool) {
        let (clock, reset) = self.implicit_ports();
        (clock && self.own_clock.is_none(), reset && self.own_clock.is_none())
    }

    /// Whether anything in the module needs `clk` and `rst`.
    pub(super) fn implicit_ports(&self) -> (bool, bool) {
        let (clock, reset) = self.logic_ports();
        (clock || !self.formal_items.is_empty(), reset)
    }

    /// Whether anything but proofs needs `clk` and `rst`.
    fn logic_ports(&self) -> (bool, bool) {
        let mut clock = self.memories.iter().any(|memory| memory.write.is_some());
        let mut reset = false;
        for signal in self.signals.iter().filter(|signal| !signal.formal) {
            match &signal.role {
                Role::Register(register) => {
                    clock = true;
                    reset |= register.reset.is_some();
                }
                Role::MemoryOutput { .. } => clock = true,
                _ => {}
            }
        }
        for instance in &self.instances {
            clock |= instance.module.uses_clock;
            reset |= instance.module.uses_reset && instance.reset.is_none();
        }
        (clock, reset)
    }
}
