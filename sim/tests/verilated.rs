//! Generated modules as compiled models.

use hdl::rtl::Module;
use sim::{Model, Tracing, Verilated};
use std::rc::Rc;

/// Adds a wide input to a wide register in every cycle with `enable`.
fn accumulator(width: u32) -> Rc<Module> {
    Module::build(&format!("accumulator_{width}"), "Adds `step` in every cycle with `enable`.", |m| {
        let enable = m.input_doc("enable", 1, "add in this cycle");
        let step = m.input_doc("step", width, "what is added");
        let sum = m.reg_reset("sum", width, 0);
        m.set_if(&sum, &enable, &(&sum + &step));
        m.output_doc("total", &sum, "the sum");
    })
    .unwrap()
}

fn run(width: u32, tracing: Tracing, trace: Option<&std::path::Path>) -> Vec<u64> {
    let verilated = Verilated::build(&accumulator(width), tracing).unwrap();
    let mut model = Model::new(&verilated, 1, trace).unwrap();
    let (rst, enable) = (model.input("rst").unwrap(), model.input("enable").unwrap());
    let (step, total) = (model.input("step").unwrap(), model.output("total").unwrap());
    model.set(rst, 1);
    model.cycle();
    model.set(rst, 0);
    model.set(enable, 1);
    model.set_wide(step, &[u64::MAX, 2, 3]);
    for _ in 0..3 {
        model.cycle();
    }
    model.set(enable, 0);
    model.cycle();
    model.get_wide(total).to_vec()
}

#[test]
fn narrow_and_wide_ports_carry_their_values() {
    assert_eq!(run(40, Tracing::None, None), [(3 * ((1 << 40) - 1)) & ((1 << 40) - 1)]);
    assert_eq!(run(64, Tracing::None, None), [u64::MAX - 2]);
    assert_eq!(run(100, Tracing::None, None), [u64::MAX - 2, 8]);
    assert_eq!(run(160, Tracing::None, None), [u64::MAX - 2, 8, 9]);
}

#[test]
fn a_trace_is_written_when_asked_for() {
    let folder = std::env::temp_dir().join(format!("mst-trace-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("waves.fst");
    run(100, Tracing::Fst, Some(&file));
    let waves = std::fs::read(&file).unwrap();
    assert!(waves.len() > 100, "{} bytes", waves.len());
    std::fs::remove_dir_all(&folder).unwrap();
    let traced = Verilated::build(&accumulator(100), Tracing::Fst).unwrap();
    let error = Model::new(&traced, 1, Some(&file)).err().unwrap();
    assert!(error.to_string().contains("its folder must exist"), "{error}");

    let plain = Verilated::build(&accumulator(100), Tracing::None).unwrap();
    let error = Model::new(&plain, 1, Some(&file)).err().unwrap();
    assert!(error.to_string().contains("Tracing::Fst"), "{error}");
}

#[test]
fn unknown_ports_are_refused_with_the_ports_there_are() {
    let model = Model::new(&Verilated::build(&accumulator(40), Tracing::None).unwrap(), 1, None).unwrap();
    let error = model.input("stepp").unwrap_err().to_string();
    assert_eq!(error, "no input port `stepp`; there are: rst, enable, step");
}

#[test]
fn processes_and_threads_that_build_the_same_model_share_it() {
    let builds: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(|| {
                let verilated = Verilated::build(&accumulator(41), Tracing::None).unwrap();
                verilated.library().to_owned()
            })
        })
        .collect();
    let libraries: Vec<_> = builds.into_iter().map(|build| build.join().unwrap()).collect();
    assert!(libraries.windows(2).all(|pair| pair[0] == pair[1]));
}
