//! What only formal tools see.

use hdl::rtl::{Builder, Fault, Module, emit, lit};

use crate::tools;

/// A counter of the proof's own, and a rule, an assumption and a cover over it.
fn watched(m: &mut Builder) {
    let up = m.input("up", 1);
    let count = m.reg_reset("count", 4, 0);
    m.set_if(&count, &up, &count.inc());
    m.formal(|m| {
        let expected = m.reg_reset("expected", 4, 0);
        m.set_if(&expected, &up, &expected.inc());
        m.assert_formal("counts", "The count is what the proof counts.", &count.eq(&expected));
        m.assert_stable("holds", "Without `up` nothing moves.", &!&up, &[&count]);
    });
    m.assume_formal("sometimes", "It counts while it is not full.", &(&up | count.all()));
    m.cover_formal("wraps", "It is full.", &count.all());
    m.output("count", &count);
}

#[test]
fn proofs_leave_the_logic_as_it_is() {
    let with = Module::build("watched", "", watched).unwrap();
    let text = &emit(&with).unwrap()[0].text;
    let (logic, rules) = text.split_once("`ifdef FORMAL").unwrap();
    assert!(!logic.contains("expected") && rules.contains("expected <= expected + 4'd1;"), "{text}");
    let stable = "if (!rst && !$past(rst) && $past(~up)) holds: assert ($stable(count));";
    assert!(rules.contains(stable), "{text}");
    tools::lint(&with);
    tools::yosys_formal(&with, "prep; select -assert-count 4 t:$check");
}

#[test]
fn without_a_reset_a_proof_register_starts_with_its_value() {
    let module = Module::build("plain", "", |m| {
        let value = m.input("value", 1);
        let delayed = m.delay("delayed", &value);
        m.formal(|m| {
            let known = m.reg_reset("known", 1, 0);
            m.set(&known, &lit(1, 1));
            m.assert_next("follows", "It follows.", &(&known & &value), &delayed);
        });
        m.output("delayed", &delayed);
    });
    let text = module.unwrap().text().to_owned();
    assert!(
        text.contains("reg known = 1'b0;") && text.contains("!$initstate") && !text.contains("rst"),
        "{text}"
    );
}

#[test]
fn logic_must_not_read_what_belongs_to_proofs() {
    let leak = Module::build("leak", "", |m| {
        let value = m.input("value", 1);
        let secret = m.formal(|m| m.delay("secret", &value));
        m.output("out", &secret);
    });
    assert!(matches!(*leak.unwrap_err().fault, Fault::FormalOnly { .. }));
    let driven = Module::build("driven", "", |m| {
        let value = m.input("value", 1);
        let reg = m.reg("kept", 1);
        m.formal(|m| m.set(&reg, &value));
        m.output("kept", &reg);
    });
    assert!(matches!(*driven.unwrap_err().fault, Fault::FormalOnly { .. }));
}
