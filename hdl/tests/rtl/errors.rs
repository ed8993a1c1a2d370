//! Every mistake is refused, with the names of the signals involved.

use std::rc::Rc;

use hdl::rtl::{Builder, Expr, Fault, Module, cat, emit, lit, mux, select, slit};

/// The complaint about a module of which only `body` is wrong.
fn refused(body: impl FnOnce(&mut Builder)) -> String {
    Module::build("faulty", "", body).expect_err("a mistake").to_string()
}

/// The complaint about an expression of `a` (8 bits), `b` (4 bits) and `s` (signed, 8 bits).
fn refused_value(value: impl FnOnce(&Expr, &Expr, &Expr) -> Expr) -> String {
    refused(|m| {
        let (a, b, s) = (m.input("a", 8), m.input("b", 4), m.input_signed("s", 8, ""));
        let value = value(&a, &b, &s);
        m.output("y", &value);
    })
}

fn child() -> Rc<Module> {
    Module::build("child", "", |m| {
        let (x, z) = (m.input("x", 8), m.input("z", 1));
        let kept = m.delay("kept", &z);
        m.output("through", &!&x);
        m.output("kept", &kept);
    })
    .unwrap()
}

#[test]
fn operands_must_have_equal_widths() {
    assert_eq!(
        refused_value(|a, b, _| a + b),
        "module `faulty`, output `y`: +: `a` has 8 bits, `b` has 4; equal widths expected"
    );
    assert!(
        refused_value(|a, b, _| (a & lit(1, 8)).eq(b)).contains("==: `(a & 8'd1)` has 8 bits, `b` has 4")
    );
    assert!(refused_value(|a, b, _| mux(&b.bit(0), a, b)).contains("mux: `a` has 8 bits, `b` has 4"));
    assert!(refused_value(|a, b, _| a.add_wide(b)).contains("add_wide: `a` has 8 bits, `b` has 4"));
    assert!(
        refused_value(|a, b, _| select(&b.bit(0), &[a.clone(), b.clone()]))
            .contains("select: `a` has 8 bits")
    );
}

#[test]
fn operands_must_have_equal_signedness() {
    assert!(refused_value(|a, _, s| a + s).contains("+: `s` is signed, `a` is unsigned"));
    assert!(refused_value(|a, _, s| s.lt(a)).contains("<: `s` is signed, `a` is unsigned"));
    assert!(
        refused_value(|_, b, s| mux(&b.bit(0), s, &lit(0, 8))).contains("`s` is signed, `8'd0` is unsigned")
    );
    assert!(
        refused_value(|a, _, s| a.shl_by(s))
            .contains("shift amount: `s` is signed; an unsigned value expected")
    );
}

#[test]
fn conditions_have_one_bit() {
    assert!(refused_value(|a, b, _| mux(b, a, a)).contains("condition of mux: `b` has 4 bits; 1 expected"));
    let said = refused(|m| {
        let (a, r) = (m.input("a", 8), m.reg("r", 8));
        m.set_if(&r, &a, &a);
    });
    assert!(said.contains("register `r`: condition: `a` has 8 bits; 1 expected"), "{said}");
}

#[test]
fn literals_must_fit() {
    assert!(refused_value(|a, _, _| a + lit(256, 8)).contains("literal 256 does not fit in 8 bits"));
    assert!(refused_value(|_, b, _| b.eq_lit(16)).contains("literal 16 does not fit in 4 bits"));
    assert!(refused_value(|_, _, s| s + slit(128, 8)).contains("literal 128 does not fit in 8 bits"));
    assert!(refused_value(|_, _, s| s + slit(-129, 8)).contains("literal -129 does not fit in 8 bits"));
    let said = refused(|m| {
        let r = m.reg_reset("r", 2, 4);
        m.set(&r, &r);
    });
    assert!(said.contains("reset value of `r`: literal 4 does not fit in 2 bits"), "{said}");
}

#[test]
fn slices_must_lie_inside() {
    assert!(
        refused_value(|_, b, _| b.slice(2, 3))
            .contains("slice of 3 bits from bit 2 is outside `b`, which has 4")
    );
    assert!(refused_value(|_, b, _| b.bit(4)).contains("slice of 1 bits from bit 4 is outside `b`"));
    assert!(refused_value(|_, b, _| b.slice(1, 0)).contains("slice of 0 bits"));
    assert!(refused_value(|a, b, _| a.at(b)).contains("index `b` has 4 bits; at most 3 are needed"));
    assert!(
        refused_value(|a, b, _| a.slice_at(b, 3))
            .contains("word width of slice_at on `a` is 3; a divisor of 8")
    );
}

#[test]
fn extension_and_truncation_go_one_way() {
    assert!(refused_value(|a, _, _| a.zext(7)).contains("zext of `a` from 8 to 7 bits goes the wrong way"));
    assert!(refused_value(|a, _, _| a.sext(7)).contains("sext of `a` from 8 to 7 bits"));
    assert!(refused_value(|_, b, _| b.trunc(5)).contains("trunc of `b` from 4 to 5 bits"));
}

#[test]
fn empty_lists_and_narrow_indices_are_refused() {
    assert!(refused_value(|_, _, _| cat(&[])).contains("number of parts of cat is 0"));
    assert!(refused_value(|a, _, _| select(a, &[])).contains("number of choices of select is 0"));
    assert!(refused_value(|a, _, _| a.repeat(0)).contains("number of copies of `a` is 0"));
    let five = |a: &Expr, b: &Expr, _: &Expr| select(&b.trunc(2), &vec![a.clone(); 5]);
    assert!(refused_value(five).contains("index of select among 5 choices: `b[1:0]` has 2 bits; 3 expected"));
}

#[test]
fn the_first_fault_of_an_expression_is_the_one_reported() {
    let said = refused_value(|a, b, s| (a + b).zext(20) + (s & a).zext(20));
    assert!(said.contains("+: `a` has 8 bits, `b` has 4"), "{said}");
}

#[test]
fn wires_are_driven_exactly_once() {
    let said = refused(|m| {
        m.wire("loose", 4);
    });
    assert!(said.contains("wire `loose` is never assigned"), "{said}");
    let said = refused(|m| {
        let (a, w) = (m.input("a", 4), m.wire("w", 4));
        m.assign(&w, &a);
        m.assign(&w, &!a);
    });
    assert!(said.contains("`w` is driven twice"), "{said}");
    let said = refused(|m| {
        let (a, b) = (m.input("a", 4), m.input("b", 4));
        m.assign(&a, &b);
    });
    assert!(said.contains("`a` is not a forward declared wire"), "{said}");
    let said = refused(|m| {
        let (a, w) = (m.input("a", 4), m.wire("w", 5));
        m.assign(&w, &a);
    });
    assert!(said.contains("assign: `w` has 5 bits, `a` has 4"), "{said}");
}

#[test]
fn registers_are_set_and_have_one_default() {
    let said = refused(|m| {
        m.reg("idle", 4);
    });
    assert!(said.contains("register `idle` is never set"), "{said}");
    let said = refused(|m| {
        let (a, r) = (m.input("a", 4), m.reg("r", 4));
        m.set(&r, &a);
        m.set(&r, &a);
    });
    assert!(said.contains("`r` is driven twice"), "{said}");
    let said = refused(|m| {
        let (a, r) = (m.input("a", 4), m.reg_signed("r", 4));
        m.set(&r, &a);
    });
    assert!(said.contains("set: `r` is signed, `a` is unsigned"), "{said}");
    let said = refused(|m| {
        let a = m.input("a", 4);
        m.set(&(&a + &a), &a);
    });
    assert!(said.contains("`(a + a)` is not a register"), "{said}");
}

#[test]
fn memories_have_one_write_port_of_the_right_shape() {
    let with = |body: fn(&mut Builder, &hdl::rtl::Memory, [Expr; 3])| {
        refused(|m| {
            let inputs = [m.input("enable", 1), m.input("address", 4), m.input("data", 8)];
            let ram = m.memory("ram", 8, 16);
            body(m, &ram, inputs);
        })
    };
    assert!(with(|_, _, _| {}).contains("memory `ram` is never written"));
    let said = with(|m, ram, [enable, address, data]| {
        m.write(ram, &enable, &address, &data);
        m.write(ram, &enable, &address, &data);
    });
    assert!(said.contains("`ram` is driven twice"), "{said}");
    let said = with(|m, ram, [enable, address, data]| m.write(ram, &enable, &address.trunc(3), &data));
    assert!(said.contains("write address: `address[2:0]` has 3 bits; 4 expected"), "{said}");
    let said = with(|m, ram, [_, address, data]| m.write_lanes(ram, &data.trunc(3), &address, &data));
    assert!(said.contains("number of lanes in `data[2:0]` is 3; a divisor of 8"), "{said}");
    let said = with(|m, ram, [enable, address, _]| {
        m.read_sync("q", ram, &enable, &address.zext(5));
    });
    assert!(said.contains("memory `ram`: read address"), "{said}");
    let said = refused(|m| {
        m.memory("tiny", 8, 1);
    });
    assert!(said.contains("depth of `tiny` is 1; 2 or more expected"), "{said}");
}

#[test]
fn every_port_of_an_instance_is_connected_as_declared() {
    let with = |inputs: fn(&Expr) -> Vec<(&'static str, Expr)>| {
        refused(|m| {
            let a = m.input("a", 8);
            m.instance("u_child", &child(), &inputs(&a));
        })
    };
    let said = with(|a| vec![("x", a.clone())]);
    assert_eq!(said, "module `faulty`, instance `u_child`: input `z` of module `child` is not connected");
    let said = with(|a| vec![("x", a.clone()), ("z", a.clone())]);
    assert!(said.contains("input `z`: `a` has 8 bits; 1 expected"), "{said}");
    let said = with(|a| vec![("x", a.clone()), ("z", a.bit(0)), ("extra", a.clone())]);
    assert!(said.contains("module `child` has no input `extra`"), "{said}");
    let said = with(|a| vec![("x", a.clone()), ("z", a.bit(0)), ("z", a.bit(1))]);
    assert!(said.contains("`z` is driven twice"), "{said}");
    let said = refused(|m| {
        let a = m.input("a", 8);
        let instance = m.instance("u_child", &child(), &[("x", a.clone()), ("z", a.bit(0))]);
        m.output("y", &instance.output("missing"));
    });
    assert!(said.contains("output `y`: module `child` has no output `missing`"), "{said}");
}

#[test]
fn names_are_unique_and_legal() {
    let twice = |m: &mut Builder| {
        m.input("a", 1);
        m.input("a", 2);
    };
    assert!(refused(twice).contains("the name `a` is already used"));
    let output_twice = |m: &mut Builder| {
        let a = m.input("a", 1);
        m.output("y", &a);
        m.output("y", &a);
    };
    assert!(refused(output_twice).contains("`y` is driven twice"));
    let of_input = |m: &mut Builder| {
        let a = m.input("a", 1);
        m.output("a", &a);
    };
    assert!(refused(of_input).contains("the name `a` is already used"));
    let clock = |m: &mut Builder| {
        m.input("clk", 1);
    };
    assert!(refused(clock).contains("the name `clk` is already used"));
    for name in ["wire", "logic", "class", "1st", "a b", "", "a.b"] {
        let said = refused(|m| {
            m.input(name, 1);
        });
        assert!(said.contains(&format!("`{name}` cannot be a name")), "{said}");
    }
    let said = Module::build("module", "", |_| {}).unwrap_err().to_string();
    assert!(said.contains("`module` cannot be a name: it is a keyword"), "{said}");
    let said = refused(|m| {
        m.input("nothing", 0);
    });
    assert!(said.contains("width of `nothing` is 0"), "{said}");
}

#[test]
fn combinational_loops_are_shown() {
    let said = refused(|m| {
        let (a, x) = (m.input("a", 4), m.wire("x", 4));
        let y = m.named("y", &(&x + &a));
        let z = m.named("z", &!&y);
        m.assign(&x, &z);
    });
    assert!(said.contains("combinational loop: "), "{said}");
    for arrow in ["x -> y", "y -> z", "z -> x"] {
        assert!(said.contains(arrow), "{said}");
    }
}

#[test]
fn combinational_loops_are_seen_through_instances() {
    let around = |output: &'static str| {
        let child = child();
        Module::build("around", "", |m| {
            let back = m.wire("back", 8);
            let inputs = [("x", back.clone()), ("z", back.bit(0))];
            let instance = m.instance("u_child", &child, &inputs);
            m.assign(&back, &instance.output(output).sext(8));
            m.output("y", &back);
        })
    };
    let said = around("through").unwrap_err().to_string();
    assert!(
        said.contains("back -> u_child_through -> back")
            || said.contains("u_child_through -> back -> u_child_through"),
        "{said}"
    );
    around("kept").expect("a register breaks the loop");
}

#[test]
fn a_loop_through_an_unregistered_read_is_seen() {
    let said = refused(|m| {
        let ram = m.memory("ram", 4, 16);
        let address = m.wire("address", 4);
        let word = m.read_async(&ram, &address);
        m.write(&ram, &lit(1, 1), &address, &word);
        m.assign(&address, &word);
    });
    assert!(said.contains("combinational loop: address -> address"), "{said}");
}

#[test]
fn signals_of_another_module_are_refused() {
    let mut stray = None;
    Module::build("other", "", |m| {
        let alien = m.input("alien", 4);
        m.output("y", &alien);
        stray = Some(alien);
    })
    .unwrap();
    let stray = stray.unwrap();
    let said = refused(|m| m.output("y", &stray));
    assert!(said.contains("output `y`: `alien` belongs to another module"), "{said}");
    let said = refused(|m| {
        let a = m.input("a", 4);
        m.output("y", &(a + stray));
    });
    assert!(said.contains("`alien` belongs to another module"), "{said}");
}

#[test]
fn different_modules_of_one_name_are_refused() {
    let leaf = |width: u32| {
        Module::build("leaf", "", |m| {
            let a = m.input("a", width);
            m.output("y", &a);
        })
        .unwrap()
    };
    let top = Module::build("top", "", |m| {
        let a = m.input("a", 2);
        m.instance("u_one", &leaf(1), &[("a", a.bit(0))]);
        m.instance("u_two", &leaf(2), &[("a", a)]);
    })
    .unwrap();
    let error = emit(&top).unwrap_err();
    assert_eq!(*error.fault, Fault::ModuleNameClash { name: "leaf".to_owned() });
    assert!(error.to_string().contains("two different modules are named `leaf`"), "{error}");
}
