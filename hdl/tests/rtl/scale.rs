//! Large designs cost time and text in proportion to their size.

use hdl::rtl::{Expr, Module, lit, mux, select};

use super::tools;

#[test]
fn shared_values_are_written_once() {
    let module = Module::build("shared", "Every level uses the one below twice.", |m| {
        let (a, b) = (m.input("a", 16), m.input("b", 16));
        let mut value = a.clone();
        for level in 0..200u32 {
            value = mux(&a.bit(level % 16), &(&value + &b), &(value.shr(1) ^ &value));
        }
        m.output("y", &value);
    })
    .unwrap();
    assert!(module.text().len() < 100_000, "{}", module.text().len());
    tools::lint(&module);
}

#[test]
fn depth_is_no_limit() {
    let module = Module::build("deep", "A chain of a hundred thousand operators.", |m| {
        let (a, b) = (m.input("a", 8), m.input("b", 8));
        let mut value = a.clone();
        for level in 0..50_000u64 {
            value = (&value ^ &b) + lit(level % 256, 8);
        }
        m.output("y", &value);
        m.output("z", &(0..50_000u32).fold(a.bit(0), |so_far, level| so_far ^ b.bit(level % 8)));
    });
    assert!(module.is_ok());
}

#[test]
fn sixty_four_lanes_with_wide_choices() {
    let lane = Module::build("lane", "One of many.", |m| {
        let (index, entries) = (m.input("index", 6), m.input("entries", 64 * 12));
        let choices: Vec<Expr> = (0..64).map(|n| entries.slice(12 * n, 12)).collect();
        m.output("y", &select(&index, &choices));
        m.output("z", &entries.slice_at(&index, 12));
    })
    .unwrap();
    let top = Module::build("lanes", "All of them.", |m| {
        let (indices, values) = (m.input("indices", 64 * 6), m.input("values", 64 * 12));
        for n in 0..64 {
            let inputs = [("index", indices.slice(6 * n, 6)), ("entries", values.clone())];
            let instance = m.instance(&format!("u_lane{n}"), &lane, &inputs);
            m.output(&format!("y{n}"), &(instance.output("y") ^ instance.output("z")));
        }
    })
    .unwrap();
    tools::lint(&top);
}
