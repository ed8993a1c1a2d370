//! What only formal tools see: rules, assumptions, covers and the state that they need, under `ifdef FORMAL`.

use super::builder::{Builder, Item, Role};
use super::error::Fault;
use super::expr::{Expr, Kind, post_order};
use super::render::roots;

/// A statement about every cycle without reset.
#[derive(Debug)]
pub(super) struct Property {
    kind: PropertyKind,
    name: String,
    rule: String,
    /// The statement is only made if this held in the cycle before.
    pub before: Option<Expr>,
    pub condition: Option<Expr>,
    /// Signals that keep their value of the cycle before.
    pub unchanged: Vec<Expr>,
}

#[derive(Debug, Clone, Copy)]
enum PropertyKind {
    Assert,
    Assume,
    Cover,
}

impl Builder {
    /// Declares state and values that only proofs use. Nothing else may read them.
    pub fn formal<T>(&mut self, body: impl FnOnce(&mut Builder) -> T) -> T {
        let outer = std::mem::replace(&mut self.in_formal, true);
        std::mem::swap(&mut self.items, &mut self.formal_items);
        let result = body(self);
        std::mem::swap(&mut self.items, &mut self.formal_items);
        self.in_formal = outer;
        result
    }

    /// A value that a proof chooses freely once and for all: what holds for it holds for every value. Inside
    /// [`formal`](Builder::formal) only.
    pub fn any_constant(&mut self, name: &str, width: u32) -> Expr {
        self.items.push(Item::Declare(self.signals.len()));
        self.declare(name, width, false, Role::AnyConstant)
    }

    /// Lets the proofs of the module around this one read a register of this one's proofs, as the instance's output of that name.
    pub fn proof_output(&mut self, register: &Expr) {
        let index = self.signal_of(register);
        let fits = |index: &usize| {
            let signal = &self.signals[*index];
            signal.formal && matches!(signal.role, Role::Register(_))
        };
        match index.filter(fits) {
            Some(index) => self.proof_outputs.push(index),
            None => {
                let fault =
                    Fault::WrongKind { signal: register.brief(), expected: "a register of the proofs" };
                self.report(format!("output `{}`", register.brief()), fault);
            }
        }
    }

    /// A rule that holds in every cycle without reset, for formal tools only (under `ifdef FORMAL`).
    pub fn assert_formal(&mut self, name: &str, rule: &str, condition: &Expr) {
        self.property(PropertyKind::Assert, name, rule, None, Some(condition), &[]);
    }

    /// A rule about the cycle after one in which `before` held.
    pub fn assert_next(&mut self, name: &str, rule: &str, before: &Expr, condition: &Expr) {
        self.property(PropertyKind::Assert, name, rule, Some(before), Some(condition), &[]);
    }

    /// A rule that signals keep their values into the cycle after one in which `before` held.
    pub fn assert_stable(&mut self, name: &str, rule: &str, before: &Expr, signals: &[&Expr]) {
        self.property(PropertyKind::Assert, name, rule, Some(before), None, signals);
    }

    /// What a proof may take for granted of the environment.
    pub fn assume_formal(&mut self, name: &str, rule: &str, condition: &Expr) {
        self.property(PropertyKind::Assume, name, rule, None, Some(condition), &[]);
    }

    /// The environment's side of [`assert_stable`](Builder::assert_stable).
    pub fn assume_stable(&mut self, name: &str, rule: &str, before: &Expr, signals: &[&Expr]) {
        self.property(PropertyKind::Assume, name, rule, Some(before), None, signals);
    }

    /// A situation that must be possible: without it a proof could hold because nothing ever happens.
    pub fn cover_formal(&mut self, name: &str, situation: &str, condition: &Expr) {
        self.property(PropertyKind::Cover, name, situation, None, Some(condition), &[]);
    }

    /// Every run begins with a cycle of reset. For the top of a proof.
    pub fn assume_reset_first(&mut self) {
        self.formal_items.push(Item::ResetFirst);
    }

    fn property(
        &mut self,
        kind: PropertyKind,
        name: &str,
        rule: &str,
        before: Option<&Expr>,
        condition: Option<&Expr>,
        unchanged: &[&Expr],
    ) {
        let place = format!("property `{name}`");
        self.claim_name(&place, name);
        let mut fine = true;
        for value in before.into_iter().chain(condition) {
            fine &= self.accept_width(&place, "condition", value, 1);
        }
        for value in unchanged {
            fine &= self.accept(&place, value);
        }
        if !fine {
            return;
        }
        let index = self.properties.len();
        self.properties.push(Property {
            kind,
            name: name.to_owned(),
            rule: rule.to_owned(),
            before: before.cloned(),
            condition: condition.cloned(),
            unchanged: unchanged.iter().map(|value| (*value).clone()).collect(),
        });
        // Inside `formal` the lists are exchanged.
        let items = if self.in_formal { &mut self.items } else { &mut self.formal_items };
        items.push(Item::Property(index));
    }

    /// Reports logic that depends on what only proofs may read, and proofs that contain logic.
    pub(super) fn check_formal(&mut self) {
        if self.formal_items.is_empty() {
            return;
        }
        let mut leaks = Vec::new();
        let mut logic = roots(self, &self.items);
        logic.extend(self.outputs.iter().map(|output| output.value.clone()));
        for value in post_order(&logic) {
            if let Kind::Signal { index, name, .. } = &value.0.kind
                && self.signals[*index].formal
            {
                leaks.push(name.to_string());
            }
        }
        let outside = |item: &Item| {
            matches!(item, Item::Instance(_) | Item::MemoryWrite(_) | Item::MemoryRead(_) | Item::Output(_))
        };
        if self.formal_items.iter().any(outside) {
            leaks.push("an instance, output or memory port inside `formal`".to_owned());
        }
        for signal in leaks {
            self.report("its proofs", Fault::FormalOnly { signal });
        }
    }
}

impl Property {
    /// The values that the statement reads.
    pub fn values(&self) -> impl Iterator<Item = &Expr> {
        self.before.iter().chain(&self.condition).chain(&self.unchanged)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The statement, given the text of its values. `guarded` says that there is a reset, in which nothing holds.
    pub fn lines(&self, texts: &[String], guarded: bool) -> Vec<String> {
        let mut texts = texts.iter();
        let mut guards: Vec<String> = guarded.then(|| "!rst".to_owned()).into_iter().collect();
        if self.before.is_some() {
            guards.push(if guarded { "!$past(rst)" } else { "!$initstate" }.to_owned());
            guards.extend(texts.next().map(|before| format!("$past({before})")));
        }
        let condition = self.condition.as_ref().and_then(|_| texts.next().cloned());
        let stable = texts.map(|signal| format!("$stable({signal})"));
        let held: Vec<String> = condition.into_iter().chain(stable).collect();
        let word = match self.kind {
            PropertyKind::Assert => "assert",
            PropertyKind::Assume => "assume",
            PropertyKind::Cover => "cover",
        };
        let statement = format!("{}: {word} ({});", self.name, held.join(" && "));
        let mut lines: Vec<String> = self.rule.lines().map(|line| format!("// {line}")).collect();
        lines.push("always @(posedge clk) begin".to_owned());
        let guard = format!("    if ({}) ", guards.join(" && "));
        match guards.as_slice() {
            [] => lines.push(format!("    {statement}")),
            _ if guard.len() + statement.len() <= 96 => lines.push(guard + &statement),
            _ => lines.extend([guard.trim_end().to_owned(), format!("        {statement}")]),
        }
        lines.push("end".to_owned());
        lines
    }
}
