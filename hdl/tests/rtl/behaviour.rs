//! The gallery's designs do in a simulator what the calls say.

use std::collections::BTreeMap;
use std::rc::Rc;

use hdl::rtl::{Module, Port};

use super::{gallery, tools};

/// Drives a clocked design. Each step sets inputs; the outputs are then read just before the next clock edge. The first
/// step, before which nothing is defined, shows none.
fn run(top: &Rc<Module>, steps: &[&str]) -> Vec<BTreeMap<String, Option<i64>>> {
    let mut text = "module bench;\n  reg clk = 0;\n  reg rst = 0;\n".to_owned();
    let mut ports = vec![".clk(clk)".to_owned()];
    if top.uses_reset() {
        ports.push(".rst(rst)".to_owned());
    }
    for (kind, initial, list) in [("reg", " = 0", top.inputs()), ("wire", "", top.outputs())] {
        for Port { name, width, .. } in list {
            text += &format!("  {kind} [{}:0] {name}{initial};\n", width - 1);
            ports.push(format!(".{name}({name})"));
        }
    }
    let names: Vec<&str> = top.outputs().iter().map(|port| port.name.as_str()).collect();
    text += &format!("  {} dut ({});\n  initial begin\n", top.name(), ports.join(", "));
    for (number, step) in steps.iter().enumerate() {
        text += &format!("    {step} #1;\n");
        if number > 0 {
            text += &format!("    $display(\"{}\", {});\n", "%0d ".repeat(names.len()), names.join(", "));
        }
        text += "    #1 clk = 1; #1 clk = 0;\n";
    }
    let lines = tools::simulate(top, &(text + "    $finish;\n  end\nendmodule\n"));
    let read = |line: &String| top.outputs().iter().zip(line.split_whitespace()).map(value).collect();
    lines.iter().map(read).collect()
}

/// Nothing for a value that is not defined yet.
fn value((port, text): (&Port, &str)) -> (String, Option<i64>) {
    let number = text.parse().ok().map(|bits: i64| {
        let negative = port.signed && bits >> (port.width - 1) & 1 == 1;
        if negative { bits - (1 << port.width) } else { bits }
    });
    (port.name.clone(), number)
}

fn column(rows: &[BTreeMap<String, Option<i64>>], name: &str) -> Vec<i64> {
    rows.iter().map(|row| row[name].unwrap_or_else(|| panic!("`{name}` is not defined"))).collect()
}

#[test]
fn reset_wins_then_the_first_matching_branch() {
    let steps =
        ["rst = 1;", "rst = 0; up = 1; down = 1;", "clear = 1;", "clear = 0; up = 0;", "down = 0;", ""];
    let rows = run(&gallery::counter(), &steps);
    assert_eq!(column(&rows, "count"), [3, 4, 0, 255, 255]);
    assert_eq!(column(&rows, "changed"), [0, 1, 1, 1, 0]);
}

#[test]
fn signed_registers_hold_negative_numbers() {
    let steps =
        ["rst = 1; value = 0;", "rst = 0; valid = 1; value = -8'sd100;", "value = 5;", "valid = 0;", ""];
    let rows = run(&gallery::accumulator(), &steps);
    assert_eq!(column(&rows, "total"), [-1, -101, -96, -96]);
    assert_eq!(column(&rows, "halved"), [-1, -51, -48, -48]);
    assert_eq!(column(&rows, "negative"), [1, 1, 1, 1]);
}

#[test]
fn lanes_are_written_alone_and_reads_hold() {
    let steps = [
        "write = 3; address = 5; data = 16'h1234; read = 1;",
        "write = 1; data = 16'hffff;",
        "write = 0;",
        "read = 0; address = 37;",
        "",
    ];
    let rows = run(&gallery::store(), &steps);
    assert_eq!(column(&rows[2..], "word"), [0x12ff, 0x12ff]);
    assert_eq!(column(&rows, "flag"), [0, 1, 1, 1]);
}

#[test]
fn instances_share_the_clock_and_the_reset() {
    let rows = run(&gallery::pair(), &["rst = 1;", "rst = 0; go = 1;", "", "", "", ""]);
    assert_eq!(column(&rows, "total"), [3, 3, 4, 5, 6]);
}
