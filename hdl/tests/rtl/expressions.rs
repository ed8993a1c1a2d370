//! Random expressions mean in Verilog what a few lines of Rust say.

use std::rc::Rc;

use hdl::rtl::{Builder, Expr, Module, cat, lit, mux, select, slit};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use super::tools;

/// Names, widths and signedness of the inputs. Several have one shape, so that they meet as they are.
const INPUTS: [(&str, u32, bool); 7] = [
    ("a", 8, false),
    ("b", 8, false),
    ("c", 8, true),
    ("d", 8, true),
    ("e", 1, false),
    ("f", 64, false),
    ("g", 13, true),
];

/// In a step's operand: counted from the newest entry of the pool, not from the oldest.
const RECENT: u16 = 0x8000;

/// Kinds of step.
const OPERATIONS: u8 = 29;

/// One step: operation, three operands from the pool, a number.
type Step = (u8, u16, u16, u16, u32);

/// The value of a pool entry from those of the earlier ones.
type Meaning = Box<dyn Fn(&[u64]) -> u64>;

#[derive(Default)]
struct Pool {
    exprs: Vec<Expr>,
    /// Whether a later entry is made of this one.
    used: Vec<bool>,
    meanings: Vec<Meaning>,
}

fn mask(width: u32) -> u64 {
    if width == 64 { u64::MAX } else { (1 << width) - 1 }
}

/// As a signed number if `signed`, in a type that holds both kinds.
fn number(bits: u64, width: u32, signed: bool) -> i128 {
    let negative = signed && bits >> (width - 1) & 1 == 1;
    i128::from(bits) - if negative { 1 << width } else { 0 }
}

/// The shape of an expression: width and signedness.
type Shape = (u32, bool);

fn shape(expr: &Expr) -> Shape {
    (expr.width(), expr.is_signed())
}

/// Extends (by its own sign) or cuts to another shape.
fn fit(expr: &Expr, (width, signed): Shape) -> Expr {
    let sized = match expr.width() {
        own if own > width => expr.trunc(width),
        _ if expr.is_signed() => expr.sext(width),
        _ => expr.zext(width),
    };
    if signed { sized.as_signed() } else { sized.as_unsigned() }
}

fn fit_bits(bits: u64, from: Shape, width: u32) -> u64 {
    number(bits, from.0, from.1) as u64 & mask(width)
}

impl Pool {
    fn add(&mut self, expr: Expr, meaning: impl Fn(&[u64]) -> u64 + 'static) {
        let mask = mask(expr.width());
        self.exprs.push(expr);
        self.used.push(false);
        self.meanings.push(Box::new(move |values| meaning(values) & mask));
    }

    fn pick(&mut self, operand: u16) -> usize {
        let count = self.exprs.len();
        let index = match operand & RECENT {
            0 => operand as usize % count,
            _ => count - 1 - ((operand ^ RECENT) as usize % 6).min(count - 1),
        };
        self.used[index] = true;
        index
    }

    /// Interprets one step: whatever the numbers are, some legal expression comes of them.
    fn step(&mut self, (op, a, b, c, n): Step) {
        let (ia, ib, ic) = (self.pick(a), self.pick(b), self.pick(c));
        let [a, b, c] = [ia, ib, ic].map(|index| self.exprs[index].clone());
        let (sa, sb, sc) = (shape(&a), shape(&b), shape(&c));
        let (w, signed) = sa;
        let y = fit(&b, sa);
        let x_bits = move |v: &[u64]| v[ia];
        let y_bits = move |v: &[u64]| fit_bits(v[ib], sb, w);
        let num = move |bits: u64| number(bits, w, signed);
        match op {
            0 => self.add(&a + &y, move |v| x_bits(v).wrapping_add(y_bits(v))),
            1 => self.add(&a - &y, move |v| x_bits(v).wrapping_sub(y_bits(v))),
            2 => self.add(&a & &y, move |v| x_bits(v) & y_bits(v)),
            3 => self.add(&a | &y, move |v| x_bits(v) | y_bits(v)),
            4 => self.add(&a ^ &y, move |v| x_bits(v) ^ y_bits(v)),
            5 => self.add(a.eq(&y), move |v| (x_bits(v) == y_bits(v)).into()),
            6 => self.add(a.ne(&y), move |v| (x_bits(v) != y_bits(v)).into()),
            7 => self.add(a.lt(&y), move |v| (num(x_bits(v)) < num(y_bits(v))).into()),
            8 => self.add(a.le(&y), move |v| (num(x_bits(v)) <= num(y_bits(v))).into()),
            9 => self.add(a.gt(&y), move |v| (num(x_bits(v)) > num(y_bits(v))).into()),
            10 => self.add(a.ge(&y), move |v| (num(x_bits(v)) >= num(y_bits(v))).into()),
            11 => self.add(!&a, move |v| !x_bits(v)),
            12 => self.add(a.any(), move |v| (x_bits(v) != 0).into()),
            13 => self.add(a.all(), move |v| (x_bits(v) == mask(w)).into()),
            14 => self.add(a.parity(), move |v| (x_bits(v).count_ones() & 1).into()),
            15 => {
                let n = n % (w + 2);
                self.add(a.shl(n), move |v| x_bits(v).checked_shl(n).unwrap_or(0));
            }
            16 => {
                let n = n % (w + 2);
                self.add(a.shr(n), move |v| (num(x_bits(v)) >> n) as u64);
            }
            17 => {
                let by = fit(&b, (1 + n % 7, false));
                let width = by.width();
                self.add(a.shl_by(&by), move |v| {
                    let by = fit_bits(v[ib], sb, width) as u32;
                    x_bits(v).checked_shl(by).unwrap_or(0)
                });
            }
            18 => {
                let by = fit(&b, (1 + n % 7, false));
                let width = by.width();
                self.add(a.shr_by(&by), move |v| {
                    (num(x_bits(v)) >> fit_bits(v[ib], sb, width).min(127)) as u64
                });
            }
            19 => {
                let bit = n % c.width();
                self.add(
                    mux(&c.bit(bit), &a, &y),
                    move |v| if v[ic] >> bit & 1 == 1 { x_bits(v) } else { y_bits(v) },
                );
            }
            20 => {
                let (high, low) = (w.min(32), b.width().min(32));
                let parts = [a.trunc(high), b.trunc(low)];
                self.add(cat(&parts), move |v| (v[ia] & mask(high)) << low | v[ib] & mask(low));
            }
            21 => {
                let (width, times) = (w.min(16), 1 + n % 4);
                self.add(a.trunc(width).repeat(times), move |v| {
                    (0..times).fold(0, |so_far, k| so_far | (v[ia] & mask(width)) << (k * width))
                });
            }
            22 | 23 => {
                let lsb = n % w;
                let width = 1 + n / 64 % (w - lsb);
                self.add(a.slice(lsb, width), move |v| v[ia] >> lsb);
            }
            24 => self.words(ia, ib, n),
            25 => self.choice([ia, ib, ic], n),
            26 => {
                let wide = (w + n % 9).min(64);
                self.add(a.sext(wide), move |v| number(v[ia], w, true) as u64);
                self.add(a.zext(wide).as_signed(), move |v| v[ia]);
            }
            27 if w < 64 => self.add(a.add_wide(&y), move |v| (num(x_bits(v)) + num(y_bits(v))) as u64),
            27 => {
                self.add(&a.inc() ^ &y.dec(), move |v| x_bits(v).wrapping_add(1) ^ y_bits(v).wrapping_sub(1))
            }
            _ => {
                let value = u64::from(n) & mask(w);
                let wide = i64::from(n as i32);
                self.add(a.ge_lit(value), move |v| (num(x_bits(v)) >= num(value)).into());
                self.add(c.lt_lit(0), move |v| (number(v[ic], sc.0, sc.1) < 0).into());
                self.add(lit(n.into(), 32), move |_| n.into());
                self.add(slit(wide, 33), move |_| wide as u64);
            }
        }
    }

    /// A word at a dynamic index, for word widths that are and are not powers of two.
    fn words(&mut self, base: usize, index: usize, n: u32) {
        let width = [1, 2, 3, 5, 8][n as usize % 5];
        let index_width = 1 + n / 5 % 3;
        let (sa, sb) = (shape(&self.exprs[base]), shape(&self.exprs[index]));
        let all = fit(&self.exprs[base], (width << index_width, false));
        let (total, which) = (all.width(), fit(&self.exprs[index], (index_width, false)));
        self.add(all.slice_at(&which, width), move |v| {
            fit_bits(v[base], sa, total) >> (fit_bits(v[index], sb, index_width) * u64::from(width))
        });
    }

    /// A choice among several, often not a power of two of them, sometimes with an index that reaches too far.
    fn choice(&mut self, [a, b, c]: [usize; 3], n: u32) {
        let shapes = [a, b, c].map(|i| shape(&self.exprs[i]));
        let count = 1 + n as usize % 9;
        let index_width = 4 + n / 9 % 2;
        let from = move |k: usize| [a, b, c, a, c, b, b, a, c][k];
        let choices: Vec<Expr> = (0..count).map(|k| fit(&self.exprs[from(k)], shapes[0])).collect();
        let index = fit(&self.exprs[c], (index_width, false));
        self.add(select(&index, &choices), move |v| {
            let chosen = from((fit_bits(v[c], shapes[2], index_width) as usize).min(count - 1));
            let shape = if chosen == a {
                shapes[0]
            } else if chosen == b {
                shapes[1]
            } else {
                shapes[2]
            };
            fit_bits(v[chosen], shape, shapes[0].0)
        });
    }
}

/// Builds the steps; every value that no other is made of becomes an output.
fn build(m: &mut Builder, steps: &[Step]) -> (Pool, Vec<usize>) {
    let mut pool = Pool::default();
    for (index, (name, width, signed)) in INPUTS.into_iter().enumerate() {
        let input = if signed { m.input_signed(name, width, "") } else { m.input(name, width) };
        m.unused(&input);
        pool.add(input, move |v| v[index]);
    }
    for (number, step) in steps.iter().enumerate() {
        pool.step(*step);
        let last = pool.exprs.len() - 1;
        if step.4.is_multiple_of(7) {
            let named = m.named(&format!("named{number}"), &pool.exprs[last]);
            m.unused(&named);
            pool.exprs[last] = named;
        }
    }
    let shown: Vec<usize> = (INPUTS.len()..pool.exprs.len()).filter(|index| !pool.used[*index]).collect();
    for index in &shown {
        m.output(&format!("y{index}"), &pool.exprs[*index]);
    }
    (pool, shown)
}

type Simulate = fn(&Rc<Module>, &str) -> Vec<String>;

fn check(scripts: &[Vec<Step>], vectors: &[[u64; INPUTS.len()]], waived: &[&str], simulate: Simulate) {
    let mut modules = Vec::new();
    let mut expected: Vec<Vec<String>> = vec![Vec::new(); vectors.len()];
    for (number, steps) in scripts.iter().enumerate() {
        let mut built = None;
        let name = format!("script{number}");
        let module = Module::build(&name, "Random expressions.", |m| built = Some(build(m, steps)));
        modules.push(module.unwrap_or_else(|error| panic!("{error}")));
        let (pool, shown) = built.expect("the body ran");
        for (vector, expected) in vectors.iter().zip(&mut expected) {
            let mut values: Vec<u64> =
                vector.iter().zip(INPUTS).map(|(value, (_, width, _))| value & mask(width)).collect();
            for meaning in &pool.meanings[INPUTS.len()..] {
                values.push(meaning(&values));
            }
            expected.extend(shown.iter().map(|index| format!("{:x}", values[*index])));
        }
    }
    let mut outputs = Vec::new();
    let top = Module::build("top", "All scripts.", |m| {
        let inputs: Vec<Expr> = INPUTS.iter().map(|(name, width, _)| m.input(name, *width)).collect();
        let connections: Vec<(&str, Expr)> =
            INPUTS.iter().map(|(name, ..)| *name).zip(inputs.iter().cloned()).collect();
        for module in &modules {
            let instance = m.instance(&format!("u_{}", module.name()), module, &connections);
            for port in module.outputs() {
                let name = format!("{}_{}", module.name(), port.name);
                m.output(&name, &instance.output(&port.name));
                outputs.push((name, port.width));
            }
        }
    });
    let top = top.unwrap_or_else(|error| panic!("{error}"));
    tools::lint_but(&top, waived);
    let lines = simulate(&top, &bench(&outputs, vectors));
    for (vector, (line, expected)) in lines.iter().zip(&expected).enumerate() {
        let found: Vec<&str> = line.split_whitespace().collect();
        for (((name, _), found), expected) in outputs.iter().zip(&found).zip(expected) {
            let found = found.trim_start_matches('0');
            let found = if found.is_empty() { "0" } else { found };
            assert_eq!(found, expected, "{name} for inputs {:x?}", vectors[vector]);
        }
        assert_eq!(found.len(), expected.len());
    }
    assert_eq!(lines.len(), vectors.len());
}

fn bench(outputs: &[(String, u32)], vectors: &[[u64; INPUTS.len()]]) -> String {
    let mut text = "module bench;\n".to_owned();
    let ports: Vec<String> = INPUTS.iter().map(|(name, ..)| format!(".{name}({name})")).collect();
    let shown: Vec<String> = outputs.iter().map(|(name, _)| format!(".{name}({name})")).collect();
    for (name, width, _) in INPUTS {
        text += &format!("  reg [{}:0] {name};\n", width - 1);
    }
    for (name, width) in outputs {
        text += &format!("  wire [{}:0] {name};\n", width - 1);
    }
    text += &format!("  top dut ({}, {});\n  initial begin\n", ports.join(", "), shown.join(", "));
    for vector in vectors {
        for (value, (name, width, _)) in vector.iter().zip(INPUTS) {
            text += &format!("    {name} = {width}'h{:x};\n", value & mask(width));
        }
        let names: Vec<&str> = outputs.iter().map(|(name, _)| name.as_str()).collect();
        let format = vec!["%h"; names.len()].join(" ");
        text += &format!("    #1 $display(\"{format}\", {});\n", names.join(", "));
    }
    text + "    $finish;\n  end\nendmodule\n"
}

#[test]
fn every_operation_keeps_its_meaning_inside_every_other() {
    let mut scripts = Vec::new();
    for inner in 0..OPERATIONS {
        let mut steps = Vec::new();
        for outer in 0..OPERATIONS {
            for variant in 0..4u32 {
                let n = u32::from(inner) * 977 + u32::from(outer) * 7919 + variant * 104_729;
                let signed = if variant % 2 == 0 { 0 } else { 2 };
                steps.push((inner, signed, signed + 1, 0, n));
                let value = (RECENT, signed);
                let (left, right) = if variant < 2 { value } else { (value.1, value.0) };
                steps.push((outer, left, right, signed, n / 3));
            }
        }
        scripts.push(steps);
    }
    let vectors: Vec<[u64; INPUTS.len()]> = (1..24u64)
        .map(|n| std::array::from_fn(|k| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(9 * k as u32)))
        .collect();
    check(&scripts, &vectors, &["-Wno-UNSIGNED", "-Wno-CMPCONST"], tools::simulate);
}

#[test]
fn every_number_of_choices_is_reached_by_every_index() {
    let module = Module::build("choices", "All sizes of choice.", |m| {
        let index = m.input("index", 5);
        for count in 1..=17u64 {
            let choices: Vec<Expr> = (0..count).map(|choice| lit(choice, 8) ^ index.zext(8)).collect();
            m.output(&format!("y{count}"), &select(&index, &choices));
        }
    });
    let module = module.unwrap_or_else(|error| panic!("{error}"));
    let ports: Vec<String> = (1..=17).map(|count| format!(".y{count}(y[{} +: 8])", count * 8)).collect();
    let bench = format!(
        "module bench; reg [5:0] i; wire [143:0] y; choices dut (.index(i[4:0]), {}); initial begin\n\
         for (i = 0; i < 32; i = i + 1) begin #1 $display(\"%h\", y[143:8]); end $finish; end endmodule\n",
        ports.join(", ")
    );
    let lines = tools::simulate(&module, &bench);
    assert_eq!(lines.len(), 32);
    for (index, line) in lines.iter().enumerate() {
        let expected: Vec<String> =
            (1..=17).rev().map(|count: usize| format!("{:02x}", index.min(count - 1) ^ index)).collect();
        assert_eq!(*line, expected.concat(), "index {index}");
    }
}

fn operand() -> impl Strategy<Value = u16> {
    prop_oneof![0..7u16, any::<u16>(), Just(RECENT), RECENT..RECENT + 6]
}

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(u64::MAX), Just(1), Just(0x8080_8080_8080_8080), any::<u64>(), any::<u64>()]
}

fn step() -> impl Strategy<Value = Step> {
    (0..OPERATIONS, operand(), operand(), operand(), any::<u32>())
}

proptest! {
    // One case is many scripts: nearly all the time goes into starting the simulators.
    #![proptest_config(ProptestConfig {
        cases: 1,
        max_shrink_iters: 8,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_expressions_keep_their_meaning(
        scripts in prop::collection::vec(prop::collection::vec(step(), 1..50), 20),
        vectors in prop::collection::vec(prop::array::uniform7(value()), 20),
    ) {
        // A random comparison, or an index, may well be constant in a way that only Verilator sees.
        let waived = ["-Wno-UNSIGNED", "-Wno-CMPCONST", "-Wno-UNUSEDSIGNAL"];
        check(&scripts, &vectors, &waived, tools::simulate_in_all);
    }
}
