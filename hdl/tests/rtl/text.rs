//! The text is what a reviewer sees: these snapshots change only on purpose.

use std::rc::Rc;

use hdl::rtl::{Module, emit, lit};

use super::{gallery, tools};

fn text(module: &Rc<Module>) -> String {
    let files = emit(module).expect("the design is consistent");
    files.last().expect("one file at least").text.clone()
}

#[test]
fn counter() {
    insta::assert_snapshot!(text(&gallery::counter()));
}

#[test]
fn accumulator() {
    insta::assert_snapshot!(text(&gallery::accumulator()));
}

#[test]
fn store() {
    insta::assert_snapshot!(text(&gallery::store()));
}

#[test]
fn picker() {
    insta::assert_snapshot!(text(&gallery::picker()));
}

#[test]
fn pair() {
    insta::assert_snapshot!(text(&gallery::pair()));
}

#[test]
fn every_design_is_free_of_warnings() {
    gallery::all().iter().for_each(tools::lint);
}

#[test]
fn yosys_accepts_every_design_and_infers_block_ram() {
    for design in gallery::all() {
        tools::yosys(&design, "proc; opt; check -assert");
    }
    let said = tools::yosys(&gallery::store(), "synth_ecp5 -noflatten; stat");
    assert!(said.contains("DP16KD"), "{said}");
}

#[test]
fn formal_tools_see_the_rules() {
    let said = tools::yosys_formal(&gallery::pair(), "prep; select -assert-count 1 t:$check t:$assert; stat");
    assert!(said.contains("$check"), "{said}");
}

#[test]
fn children_come_first_and_once() {
    let names: Vec<String> = emit(&gallery::pair()).unwrap().into_iter().map(|file| file.name).collect();
    assert_eq!(names, ["counter.v", "pair.v"]);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    for (first, second) in gallery::all().iter().zip(gallery::all()) {
        assert_eq!(emit(first).unwrap(), emit(&second).unwrap());
    }
}

#[test]
fn a_module_built_twice_from_the_same_parameters_is_one_file() {
    let top = Module::build("top", "", |m| {
        for (name, child) in [("u_a", gallery::counter()), ("u_b", gallery::counter())] {
            let inputs = ["clear", "up", "down"].map(|port| (port, lit(0, 1)));
            let instance = m.instance(name, &child, &inputs);
            m.output(&format!("{name}_now"), &instance.output("count"));
        }
    })
    .unwrap();
    assert_eq!(emit(&top).unwrap().len(), 2);
    tools::lint(&top);
}

#[test]
fn a_foreign_module_is_declared_not_written_and_may_give_the_clock() {
    let source =
        Module::foreign("source", "A clock from elsewhere.", &[("pin", 1)], &[("clk", 1), ("rst", 1)]);
    assert!(
        source.text().contains("(* blackbox *)\nmodule source (\n    input  wire pin,\n    output wire clk,")
    );
    let top = Module::build("top", "Counts.", |m| {
        let pin = m.input("pin", 1);
        let source = m.instance("source", &source, &[("pin", pin)]);
        m.clock_from(&source.output("clk"), &source.output("rst"));
        let count = m.reg_reset("count", 4, 0);
        m.set(&count, &count.inc());
        m.output("count", &count);
    })
    .unwrap();
    let files = emit(&top).unwrap();
    assert_eq!(files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["top.v"]);
    let text = &files[0].text;
    assert!(!text.contains("input  wire clk") && text.contains("wire clk = source_clk;"), "{text}");
    assert!(text.contains("posedge clk") && text.contains("if (rst)"), "{text}");
    assert!(!top.uses_clock() && !top.uses_reset());
}
