//! Ports, wires and registers of a module under construction.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{Fault, RtlError};
use super::expr::{Expr, Kind};
use super::formal::Property;
use super::instance::InstanceUse;
use super::memory::MemoryUse;
use super::{names, ops};

/// A module under construction; see [`Module::build`](super::Module::build).
#[derive(Debug)]
pub struct Builder {
    pub(super) name: String,
    pub(super) id: u64,
    pub(super) signals: Vec<Signal>,
    pub(super) outputs: Vec<Output>,
    /// Registers that the parent's proofs may read.
    pub(super) proof_outputs: Vec<usize>,
    pub(super) memories: Vec<MemoryUse>,
    pub(super) instances: Vec<InstanceUse>,
    /// The text in order of appearance.
    pub(super) items: Vec<Item>,
    /// The same for what only proofs see.
    pub(super) formal_items: Vec<Item>,
    pub(super) in_formal: bool,
    pub(super) properties: Vec<Property>,
    pub(super) comments: Vec<String>,
    pub(super) unused: Vec<Expr>,
    pub(super) names: HashSet<String>,
    pub(super) faults: Vec<RtlError>,
    /// What `clk` comes from if it and `rst` are wires, not ports.
    pub(super) own_clock: Option<String>,
    /// Ports that belong to no clock.
    pub(super) asynchronous: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Signal {
    pub expr: Expr,
    pub name: Rc<str>,
    pub doc: String,
    pub role: Role,
    /// Only proofs see it.
    pub formal: bool,
}

#[derive(Debug)]
pub(super) enum Role {
    Input,
    /// Declared ahead, assigned once.
    Wire {
        driver: Option<Expr>,
    },
    /// Declared together with its value.
    Named {
        value: Expr,
    },
    Register(Register),
    /// Registered read of a memory.
    MemoryOutput {
        memory: usize,
        enable: Expr,
        address: Expr,
    },
    InstanceOutput {
        instance: usize,
        port: usize,
    },
    /// What an instance shows of its proofs' registers.
    ProofOutput,
    /// Chosen freely by a proof.
    AnyConstant,
}

#[derive(Debug, Default)]
pub(super) struct Register {
    pub reset: Option<Expr>,
    pub branches: Vec<(Expr, Expr)>,
    pub otherwise: Option<Expr>,
    /// Where its `always` block stands among the items.
    pub position: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Output {
    pub name: Rc<str>,
    pub doc: String,
    pub value: Expr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    Moved,
    Comment(usize),
    Declare(usize),
    Named(usize),
    Assign(usize),
    Always(usize),
    Memory(usize),
    MemoryWrite(usize),
    MemoryRead(usize),
    Instance(usize),
    Output(usize),
    Property(usize),
    /// The first cycle is a reset.
    ResetFirst,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl Builder {
    pub(super) fn new(name: &str) -> Builder {
        Builder {
            name: name.to_owned(),
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            signals: Vec::new(),
            outputs: Vec::new(),
            proof_outputs: Vec::new(),
            memories: Vec::new(),
            instances: Vec::new(),
            items: Vec::new(),
            formal_items: Vec::new(),
            in_formal: false,
            properties: Vec::new(),
            comments: Vec::new(),
            unused: Vec::new(),
            names: ["clk", "rst", "_unused_ok"].map(str::to_owned).into(),
            faults: Vec::new(),
            own_clock: None,
            asynchronous: Vec::new(),
        }
    }

    pub(super) fn error(&self, place: impl Into<String>, fault: Fault) -> RtlError {
        RtlError { module: self.name.clone(), place: place.into(), fault: Box::new(fault) }
    }

    pub(super) fn report(&mut self, place: impl Into<String>, fault: Fault) {
        let error = self.error(place, fault);
        self.faults.push(error);
    }

    /// Reports what is wrong with a value used here; true if nothing is.
    pub(super) fn accept(&mut self, place: &str, value: &Expr) -> bool {
        let fault = match (value.fault(), value.0.owner) {
            (Some(fault), _) => fault.clone(),
            (None, Some(owner)) if owner != self.id => Fault::ForeignSignal { value: value.brief() },
            _ => return true,
        };
        self.report(place, fault);
        false
    }

    pub(super) fn accept_width(&mut self, place: &str, role: &str, value: &Expr, expected: u32) -> bool {
        if !self.accept(place, value) {
            return false;
        }
        if value.width() != expected {
            let (value, found) = (value.brief(), value.width());
            self.report(place, Fault::WrongWidth { role: role.to_owned(), value, found, expected });
            return false;
        }
        true
    }

    pub(super) fn claim_name(&mut self, place: &str, name: &str) {
        if let Err(fault) = names::check(name) {
            self.report(place, fault);
        } else if !self.names.insert(name.to_owned()) {
            self.report(place, Fault::DuplicateName { name: name.to_owned() });
        }
    }

    pub(super) fn declare(&mut self, name: &str, width: u32, signed: bool, role: Role) -> Expr {
        let place = format!("signal `{name}`");
        self.claim_name(&place, name);
        if width == 0 {
            let what = format!("width of `{name}`");
            self.report(place, Fault::BadSize { what, found: 0, expected: "1 or more".to_owned() });
        }
        let index = self.signals.len();
        let name: Rc<str> = name.into();
        let kind = Kind::Signal { index, name: Rc::clone(&name) };
        let expr = Expr::leaf(width.max(1), signed, Some(self.id), kind);
        self.signals.push(Signal {
            expr: expr.clone(),
            name,
            doc: String::new(),
            role,
            formal: self.in_formal,
        });
        expr
    }

    /// The index of a signal of this module.
    pub(super) fn signal_of(&self, expr: &Expr) -> Option<usize> {
        match expr.0.kind {
            Kind::Signal { index, .. } if expr.0.owner == Some(self.id) => Some(index),
            _ => None,
        }
    }

    /// Whether a signal that is driven here was declared on the same side of `formal`.
    fn accept_side(&mut self, place: &str, index: Option<usize>) -> bool {
        let Some(signal) = index.map(|index| &self.signals[index]) else { return true };
        let (same, name) = (signal.formal == self.in_formal, signal.name.to_string());
        if !same {
            self.report(place, Fault::FormalOnly { signal: name });
        }
        same
    }

    /// An input port.
    pub fn input(&mut self, name: &str, width: u32) -> Expr {
        self.input_doc(name, width, "")
    }

    /// An input port with a comment that says what it carries and when it is valid.
    pub fn input_doc(&mut self, name: &str, width: u32, doc: &str) -> Expr {
        let expr = self.declare(name, width, false, Role::Input);
        self.document(doc);
        expr
    }

    /// An input port read as two's complement.
    pub fn input_signed(&mut self, name: &str, width: u32, doc: &str) -> Expr {
        let expr = self.declare(name, width, true, Role::Input);
        self.document(doc);
        expr
    }

    fn document(&mut self, doc: &str) {
        if let Some(signal) = self.signals.last_mut() {
            signal.doc = doc.to_owned();
        }
    }

    /// An output port that carries `value`; signed if the value is. A register or wire of the same name becomes the
    /// port itself.
    pub fn output(&mut self, name: &str, value: &Expr) {
        self.output_doc(name, value, "");
    }

    /// An output port with a comment that says what it carries and when it is valid.
    pub fn output_doc(&mut self, name: &str, value: &Expr, doc: &str) {
        let place = format!("output `{name}`");
        if !self.accept(&place, value) {
            return;
        }
        if self.outputs.iter().any(|output| *output.name == *name) {
            self.report(place, Fault::DoublyDriven { signal: name.to_owned() });
            return;
        }
        let same = self.signal_of(value).is_some_and(|index| {
            let signal = &self.signals[index];
            *signal.name == *name && !matches!(signal.role, Role::Input)
        });
        if !same {
            self.claim_name(&place, name);
            self.items.push(Item::Output(self.outputs.len()));
        }
        self.outputs.push(Output { name: name.into(), doc: doc.to_owned(), value: value.clone() });
    }

    /// A wire that is read before its driver is known; [`assign`](Builder::assign) drives it.
    pub fn wire(&mut self, name: &str, width: u32) -> Expr {
        self.forward_wire(name, width, false)
    }

    /// A wire read as two's complement; [`assign`](Builder::assign) drives it.
    pub fn signed_wire(&mut self, name: &str, width: u32) -> Expr {
        self.forward_wire(name, width, true)
    }

    fn forward_wire(&mut self, name: &str, width: u32, signed: bool) -> Expr {
        self.items.push(Item::Declare(self.signals.len()));
        self.declare(name, width, signed, Role::Wire { driver: None })
    }

    /// Drives a wire, exactly once.
    pub fn assign(&mut self, wire: &Expr, value: &Expr) {
        let place = format!("wire `{}`", wire.brief());
        if !self.accept(&place, wire) || !self.accept(&place, value) {
            return;
        }
        if let Some(fault) = ops::mismatch("assign", wire, value) {
            return self.report(place, fault);
        }
        let index = self.signal_of(wire);
        self.accept_side(&place, index);
        let fault = match index.map(|index| &mut self.signals[index].role) {
            Some(Role::Wire { driver: slot @ None }) => {
                *slot = Some(value.clone());
                self.items.extend(index.map(Item::Assign));
                return;
            }
            Some(Role::Wire { .. }) => Fault::DoublyDriven { signal: wire.brief() },
            _ => Fault::WrongKind { signal: wire.brief(), expected: "a forward declared wire" },
        };
        self.report(place, fault);
    }

    /// Names an intermediate value, so that the Verilog reads well; keeps its signedness.
    pub fn named(&mut self, name: &str, value: &Expr) -> Expr {
        if !self.accept(&format!("wire `{name}`"), value) {
            return value.clone();
        }
        self.items.push(Item::Named(self.signals.len()));
        self.declare(name, value.width(), value.is_signed(), Role::Named { value: value.clone() })
    }

    /// A register without reset, for data.
    pub fn reg(&mut self, name: &str, width: u32) -> Expr {
        self.register(name, width, false, None)
    }

    /// A register read as two's complement, without reset.
    pub fn reg_signed(&mut self, name: &str, width: u32) -> Expr {
        self.register(name, width, true, None)
    }

    /// A register that takes `reset_value` while `rst` is high, for control state.
    pub fn reg_reset(&mut self, name: &str, width: u32, reset_value: u64) -> Expr {
        self.register(name, width, false, Some(ops::lit(reset_value, width)))
    }

    /// A register read as two's complement that takes `reset_value` while `rst` is high.
    pub fn reg_signed_reset(&mut self, name: &str, width: u32, reset_value: i64) -> Expr {
        self.register(name, width, true, Some(ops::slit(reset_value, width)))
    }

    fn register(&mut self, name: &str, width: u32, signed: bool, reset: Option<Expr>) -> Expr {
        let place = format!("reset value of `{name}`");
        let reset = reset.filter(|value| self.accept(&place, value));
        self.items.push(Item::Declare(self.signals.len()));
        self.declare(name, width, signed, Role::Register(Register { reset, ..Register::default() }))
    }

    /// The value a register takes when no branch of [`set_if`](Builder::set_if) matches; at most once.
    pub fn set(&mut self, reg: &Expr, value: &Expr) {
        self.drive_register(reg, None, value);
    }

    /// A branch of a register: the first whose condition holds is taken, in order of the calls. If none matches and
    /// there is no [`set`](Builder::set), the register holds.
    pub fn set_if(&mut self, reg: &Expr, cond: &Expr, value: &Expr) {
        self.drive_register(reg, Some(cond), value);
    }

    fn drive_register(&mut self, reg: &Expr, cond: Option<&Expr>, value: &Expr) {
        let place = format!("register `{}`", reg.brief());
        if !self.accept(&place, reg) || !self.accept(&place, value) {
            return;
        }
        if cond.is_some_and(|cond| !self.accept_width(&place, "condition", cond, 1)) {
            return;
        }
        if let Some(fault) = ops::mismatch("set", reg, value) {
            return self.report(place, fault);
        }
        let end = self.items.len();
        let index = self.signal_of(reg);
        if !self.accept_side(&place, index) {
            return;
        }
        let Some((index, Role::Register(register))) = index.map(|i| (i, &mut self.signals[i].role)) else {
            return self.report(place, Fault::WrongKind { signal: reg.brief(), expected: "a register" });
        };
        match cond {
            Some(cond) => register.branches.push((cond.clone(), value.clone())),
            None if register.otherwise.is_some() => {
                return self.report(place, Fault::DoublyDriven { signal: reg.brief() });
            }
            None => register.otherwise = Some(value.clone()),
        }
        if let Some(old) = register.position.replace(end) {
            self.items[old] = Item::Moved;
        }
        self.items.push(Item::Always(index));
    }

    /// States the largest value that a signal has to carry in this configuration; one that is too narrow for it is refused.
    pub fn carries(&mut self, signal: &Expr, largest: u64) {
        self.fits(&signal.brief(), largest, signal.width());
    }

    /// The same for a field or port of `available` bits that this module does not read as a whole.
    pub fn fits(&mut self, signal: &str, largest: u64, available: u32) {
        let needed = ops::bits_of(largest);
        if needed > available {
            let fault = Fault::TooNarrow { signal: signal.to_owned(), largest, needed, available };
            self.report(format!("signal `{signal}`"), fault);
        }
    }

    /// Refuses a size for which this module is not made.
    pub fn requires(&mut self, what: &str, found: u64, holds: bool, expected: &str) {
        if !holds {
            let (what, expected) = (what.to_owned(), expected.to_owned());
            self.report("its sizes", Fault::BadSize { what, found, expected });
        }
    }

    /// A register without reset that follows `value` one cycle later.
    pub fn delay(&mut self, name: &str, value: &Expr) -> Expr {
        self.following(name, false, None, value)
    }

    /// The same with a reset to 0.
    pub fn delay_reset(&mut self, name: &str, value: &Expr) -> Expr {
        self.following(name, true, None, value)
    }

    /// A register without reset that takes `value` at the end of each cycle with `when`.
    pub fn sample(&mut self, name: &str, when: &Expr, value: &Expr) -> Expr {
        self.following(name, false, Some(when), value)
    }

    fn following(&mut self, name: &str, reset: bool, when: Option<&Expr>, value: &Expr) -> Expr {
        if !self.accept(&format!("register `{name}`"), value) {
            return value.clone();
        }
        let reset = reset.then(|| ops::lit(0, value.width()));
        let reg = self.register(name, value.width(), value.is_signed(), reset);
        self.drive_register(&reg, when, value);
        reg
    }
}
