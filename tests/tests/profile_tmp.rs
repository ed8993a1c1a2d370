use driver::program::{Planes, Program, ProgramOptions};
use tests::cosim::Cosim;
use model::*;
use model::checkpoint::Checkpoint;
use model::convert::{convert, ConvertOptions};
use std::collections::BTreeMap;
#[test]
fn profile() {
    let preset = std::env::var("P").unwrap_or("ecp5".into());
    let t: u32 = std::env::var("T").map_or(8, |v| v.parse().unwrap());
    let mode = match std::env::var("M").as_deref() { Ok("if") => Some(isa::Neuron::If), _ => None };
    let mask = std::env::var("K").ok().map(|v| MaskRatio(v.parse().unwrap()));
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let ck = Checkpoint::load(&root.join("models/fashion-mnist/checkpoint.safetensors")).unwrap();
    let net = convert(&ck, &ConvertOptions::new("x")).unwrap();
    let conf = net.configure(&RunOptions { neuron: mode, mask, ..RunOptions::new(t) }).unwrap();
    let data = model::images::Dataset::load(&root.join("models/data/fashion-mnist")).unwrap();
    let mut core = isa::CoreConfig::preset(&preset).unwrap(); if let Ok(b) = std::env::var("B") { core.bus_bits = b.parse().unwrap(); } let cosim = Cosim::new(core);
    let image = data.image(0);
    let t0 = std::time::Instant::now();
    let mut acc = cosim.accelerator(&sim::SimOptions::default()).unwrap();
    let mut program = Program::compile(&conf, &cosim.core, &ProgramOptions { memory_size: acc.window_size(), planes: Planes::Keep }).unwrap();
    if std::env::var("S").is_ok() { program.walk_step_by_step(); }
    acc.load(&program).unwrap();
    let found = acc.infer(image).unwrap();
    eprintln!("whole {:?} {:?}", found.counters, t0.elapsed());
    let trace = Executor::new(&conf).trace(image).unwrap();
    for (i, p) in trace.planes.iter().enumerate() {
        let core = acc.read_plane(LayerId(i)).unwrap();
        assert!(p.first_difference(&core).is_none(), "{i}");
    }
    assert_eq!(found.logits, trace.logits);
    let work = model::work::work(&conf, image, &trace, cosim.core.lanes as usize, cosim.core.bus_bytes() as usize);
    let (_, prof) = acc.run_profiled(image).unwrap();
    let mut by: BTreeMap<String, (u64, u64, u64)> = BTreeMap::new();
    for (w, p) in work.iter().zip(&prof) {
        let c = &p.counters;
        eprintln!("{:34} {:9} ev {:6} need {:6} busy {:6} {:5.1}%  w{} i{} f{} o{} ord{} sw{} null{}", p.name, w.operation, c.events, w.needed_cycles, c.busy_cycles, 100.0 * w.needed_cycles as f64 / c.busy_cycles as f64, c.stall_weights, c.stall_inputs, c.stall_fire, c.stall_output, c.stall_order, c.stall_switch, c.null_events);
        let e = by.entry(w.operation.to_string()).or_default(); e.0 += w.needed_cycles as u64; e.1 += c.busy_cycles as u64; e.2 += c.events as u64;
    }
    let need: u64 = by.values().map(|v| v.0).sum();
    for (k, v) in by { eprintln!("{k}: need {} busy {} = {:.1}%", v.0, v.1, 100.0 * v.0 as f64 / v.1 as f64); }
    eprintln!("total need {need} / whole busy {} = {:.1}%", found.counters.busy_cycles, 100.0 * need as f64 / found.counters.busy_cycles as f64);
}
