//! Block diagrams say what the module says.

use hdl::rtl::{Module, mermaid};

#[test]
fn a_line_has_both_directions_and_ends_at_the_blocks_that_logic_connects() {
    let source = Module::build("source", "Counts.", |m| {
        let ready = m.input("ready", 1);
        let by = m.input("by", 8);
        let count = m.reg_reset("count", 12, 0);
        m.set_if(&count, &ready, &(&count + by.zext(12)));
        m.output("word_data", &count);
        m.output("word_valid", &count.bit(0));
    })
    .unwrap();
    let sink = Module::build("sink", "Takes.", |m| {
        let data = m.input("data", 12);
        let valid = m.input("valid", 1);
        m.output("ready", &(&valid & data.any()));
    })
    .unwrap();
    let top = Module::build("top", "Both.", |m| {
        let pace = m.input("pace_a", 8);
        // One bit arrives, however many decide it.
        let hold = m.input("hold", 32);
        let ready = m.wire("ready", 1);
        let from = m.instance("from", &source, &[("ready", &ready & !hold.any()), ("by", !&pace)]);
        let shifted = m.named("shifted", &from.output("word_data").shl(1));
        let to = m.instance("to", &sink, &[("data", shifted), ("valid", from.output("word_valid"))]);
        m.assign(&ready, &to.output("ready"));
        let held = m.delay("held", &from.output("word_data"));
        m.output("level_now", &from.output("word_data"));
        m.output("later", &held);
    })
    .unwrap();
    let expected = "flowchart TB
    port_level([\"level\"])
    port_pace([\"pace\"])
    u_from[\"<b>from</b><br/>source\"]
    u_to[\"<b>to</b><br/>sink\"]
    port_pace -->|\"pace_a\"| u_from
    u_from -->|\"level_now\"| port_level
    u_from -->|\"word_*<br/>⟵ ready\"| u_to
";
    assert_eq!(mermaid(&top), expected);
}
