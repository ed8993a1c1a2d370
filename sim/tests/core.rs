//! The Verilated core through [`SimLink`]: results under stalls, bus errors, resets.

mod network;

use compile::ProgramOptions;
use driver::{Accelerator, DriverError, Inference, LinkError};
use isa::program::Planes;
use isa::{CoreConfig, ErrorCode};
use model::reference::Executor;
use model::{RunOptions, SpikePlane};
use sim::axi::{Fault, FaultTarget, Response, Stalls};
use sim::{SimLink, SimOptions, Tracing, Verilated};
use std::time::Duration;

fn core() -> CoreConfig {
    CoreConfig::preset("tiny").unwrap()
}

fn verilated() -> Verilated {
    Verilated::build(&hdl::core::mst_core(&core()).unwrap(), Tracing::None).unwrap()
}

/// An accelerator with a random network loaded, and an image for it.
fn loaded(seed: u64, time_steps: u32, options: &SimOptions) -> (Accelerator<SimLink>, Vec<u8>) {
    let (network, image) = network::random(seed);
    let configured = network.configure(&RunOptions::new(time_steps)).unwrap();
    let link = SimLink::with_model(&verilated(), &core(), options).unwrap();
    let mut accelerator = Accelerator::open_expecting(link, &core()).unwrap();
    accelerator.set_deadline(Duration::from_millis(10));
    let options = ProgramOptions { memory_size: accelerator.window_size(), planes: Planes::Keep };
    accelerator.load(&compile::compile(&configured, &core(), &options).unwrap()).unwrap();
    (accelerator, image)
}

fn compare(seed: u64, time_steps: u32, options: &SimOptions) {
    let (mut accelerator, image) = loaded(seed, time_steps, options);
    let configured = network::random(seed).0.configure(&RunOptions::new(time_steps)).unwrap();
    let expected = Executor::new(&configured).trace(&image).unwrap();
    let found = accelerator.infer(&image).unwrap();
    for (index, plane) in expected.planes.iter().enumerate() {
        let read = SpikePlane::from(&accelerator.read_plane(index).unwrap());
        let name = &configured.layers[index].name;
        assert_eq!(read.first_difference(plane), None, "seed {seed}, T {time_steps}, layer {index} `{name}`");
    }
    assert_eq!(found.logits, expected.logits);
}

/// A small network that is used where only the bus matters, and what it gives.
fn small(options: &SimOptions) -> (Accelerator<SimLink>, Vec<u8>, Inference) {
    let (mut quiet, image) = loaded(3, 8, &SimOptions::default());
    let good = quiet.infer(&image).unwrap();
    (loaded(3, 8, options).0, image, good)
}

#[test]
fn random_networks_agree() {
    for (seed, time_steps) in [(0, 8), (1, 3), (2, 12), (3, 1)] {
        compare(seed, time_steps, &SimOptions::default());
    }
}

#[test]
fn random_networks_agree_under_random_stalls() {
    for (seed, time_steps) in [(0, 8), (1, 8), (4, 20), (8, 5)] {
        let stalls = Some(Stalls { seed, percent: 40 });
        compare(seed, time_steps, &SimOptions { stalls, latency: 1..=60, ..SimOptions::default() });
    }
}

#[test]
fn bus_errors_stop_the_run_and_a_reset_recovers() {
    for (target, expected) in [
        (FaultTarget::ReadBeat(3), ErrorCode::ReadError),
        (FaultTarget::ReadBeat(1500), ErrorCode::ReadError),
        (FaultTarget::WriteBeat(0), ErrorCode::WriteError),
        (FaultTarget::WriteBeat(200), ErrorCode::WriteError),
    ] {
        for response in [Response::SlaveError, Response::DecodeError] {
            let faults = vec![Fault { target: target.clone(), response }];
            let stalls = Some(Stalls { seed: 5, percent: 20 });
            let (mut accelerator, image, good) =
                small(&SimOptions { faults, stalls, ..SimOptions::default() });
            match accelerator.infer(&image) {
                Err(DriverError::Core(fault)) => assert_eq!(fault.error_code(), Some(expected), "{target:?}"),
                other => panic!("{target:?}: {other:?}"),
            }
            accelerator.link().memory().faults_mut().clear();
            accelerator.reset().unwrap();
            assert_eq!(accelerator.infer(&image).unwrap().logits, good.logits, "{target:?}");
        }
    }
}

#[test]
fn a_hard_reset_at_any_cycle_recovers() {
    let stalls = Some(Stalls { seed: 7, percent: 20 });
    let (mut accelerator, image, good) = small(&SimOptions { stalls, ..SimOptions::default() });
    for after in [0, 1, 7, 40, 63, 200, 999, 2500, 7001, 12_000] {
        let now = accelerator.link().cycles();
        accelerator.link().reset_at(now + after);
        match accelerator.infer(&image) {
            Err(DriverError::Deadline { .. } | DriverError::Link(LinkError::NoAnswer { .. })) => {}
            // So early that the run was not yet started, and the reset came before the base address was written.
            Err(DriverError::Core(_)) if after < 100 => {}
            other => panic!("reset after {after} cycles: {other:?}"),
        }
        accelerator.reset().unwrap();
        assert_eq!(accelerator.infer(&image).unwrap().logits, good.logits, "reset after {after} cycles");
    }
}

#[test]
fn a_soft_reset_in_a_run_drains_the_bus_and_recovers() {
    let stalls = Some(Stalls { seed: 9, percent: 30 });
    let options = SimOptions { stalls, latency: 1..=200, ..SimOptions::default() };
    let (mut accelerator, image, good) = small(&options);
    for microseconds in [1, 2, 5, 17, 40, 83, 110] {
        accelerator.set_deadline(Duration::from_micros(microseconds));
        match accelerator.infer(&image) {
            Err(DriverError::Deadline { .. }) => {}
            other => panic!("after {microseconds} us: {other:?}"),
        }
        accelerator.set_deadline(Duration::from_millis(10));
        accelerator.reset().unwrap();
        assert_eq!(accelerator.link().memory().in_flight(), 0, "reset while bursts were in flight");
        assert_eq!(accelerator.infer(&image).unwrap().logits, good.logits, "after {microseconds} us");
    }
}

#[test]
fn unknown_registers_do_not_hang_the_bus() {
    let (mut accelerator, image, good) = small(&SimOptions::default());
    for offset in [0x018, 0x060, 0x0ff, 0xffc] {
        let _ = driver::Link::read_register(accelerator.link(), offset & !3);
        let _ = driver::Link::write_register(accelerator.link(), offset & !3, 0xffff_ffff);
    }
    assert_eq!(accelerator.infer(&image).unwrap().logits, good.logits);
}
