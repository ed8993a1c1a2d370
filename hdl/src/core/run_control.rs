//! Starts, stops and recovers a run.

use std::rc::Rc;

use isa::ErrorCode;
use isa::registers::status;

use super::codes::{error, state};
use super::layer_bits;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, lit, mux};

/// Bits of a descriptor's offset that are 0.
const ALIGNMENT_BITS: u32 = isa::descriptor::ALIGNMENT.trailing_zeros();

/// Owns the life of a run: start, completion, first error, soft reset.
///
/// | state | engine | bus |
/// |---|---|---|
/// | idle | in reset | quiet |
/// | drain | in reset | finishes what is under way, drops it |
/// | run | works | works |
///
/// Every start, error and soft reset passes through *drain*, so a run always begins with a quiet bus. The first error is kept
/// with its descriptor and address until a soft reset.
pub fn run_control() -> Result<Rc<Module>, RtlError> {
    let doc = "Owns the life of a run: start, completion, the first error, soft reset. Whatever ends a run, the bus is drained\n\
               before anything else begins.";
    Module::build("run_control", doc, |m: &mut Builder| {
        let ports = ports(m);
        let states = states(m);
        let errors = errors(m, &ports, &states);
        steps(m, &ports, &states, &errors);
        rules(m, &ports, &states, &errors);
        outputs(m, &ports, &states, &errors);
    })
}

/// What the host and the other modules say.
struct Ports {
    start: Expr,
    soft_reset: Expr,
    clear_done: Expr,
    enable: Expr,
    count: Expr,
    base: Expr,
    bus_idle: Expr,
    retired: Expr,
    loader_index: Expr,
    layer_index: Expr,
}

fn ports(m: &mut Builder) -> Ports {
    let start = m.input("start", 1);
    let soft_reset = m.input("soft_reset", 1);
    let clear_done = m.input("clear_done", 1);
    let enable = m.input_doc("interrupt_enable", 32, "bit 0: on done, bit 1: on error");
    m.unused(&enable.slice(2, 30));
    let count = m.input("descriptor_count", 32);
    let base = m.input("descriptor_base", 32);
    m.unused(&base.slice(ALIGNMENT_BITS, 32 - ALIGNMENT_BITS));
    let bus_idle = m.input_doc("bus_idle", 1, "no AXI transfer is under way");
    let retired = m.input_doc("layer_retired", 1, "a layer's outputs are in memory");
    let loader_index = m.input_doc("loader_index", layer_bits(), "descriptor being loaded");
    let layer_index = m.input_doc("layer_index", layer_bits(), "descriptor being computed");
    Ports { start, soft_reset, clear_done, enable, count, base, bus_idle, retired, loader_index, layer_index }
}

/// The state of the run.
struct States {
    completed: Expr,
    state: Expr,
    running: Expr,
    draining: Expr,
    failed: Expr,
    done: Expr,
    pending: Expr,
    idle_state: Expr,
    drain_state: Expr,
    run_state: Expr,
}

fn states(m: &mut Builder) -> States {
    let completed = m.reg_reset("layers_completed", layer_bits(), 0);

    let [idle_state, drain_state, run_state] =
        [("Idle", 0), ("Drain", 1), ("Run", 2)].map(|(name, code)| state(name, code, 2));
    let state = m.reg_reset("state", 2, 0);
    // A bit each: the fourth state does not occur.
    let running = m.named("running", &state.bit(1));
    let draining = m.named("draining", &state.bit(0));
    let failed = m.reg_reset("failed", 1, 0);
    let done = m.reg_reset("done_flag", 1, 0);
    let pending = m.reg_reset("start_pending", 1, 0);
    States { completed, state, running, draining, failed, done, pending, idle_state, drain_state, run_state }
}

/// The first error.
struct Errors {
    refused: Expr,
    found: Expr,
    fails: Expr,
    code: Expr,
    index: Expr,
    address: Expr,
}

fn errors(m: &mut Builder, ports: &Ports, states: &States) -> Errors {
    let sources = [
        ("loader_error", None),
        ("sums_full", Some(ErrorCode::TooLarge)),
        ("weights_fault", None),
        ("inputs_fault", None),
        ("write_fault", None),
        ("weights_response", Some(ErrorCode::ReadError)),
        ("inputs_response", Some(ErrorCode::ReadError)),
        ("write_response", Some(ErrorCode::WriteError)),
    ];
    m.comment("The first error wins; of several in one cycle the one listed first.");
    let bad_run = m.delay(
        "bad_run",
        &(ports.count.is_zero()
            | ports.count.slice(layer_bits(), 32 - layer_bits()).any()
            | ports.base.slice(0, ALIGNMENT_BITS).any()),
    );
    let busy = &states.running | &states.pending;
    let refused = m.named("start_refused", &(&ports.start & !&states.failed & (&busy | &bad_run)));
    let refusal = mux(&busy, &error(ErrorCode::StartWhileBusy), &error(ErrorCode::BadRun));
    let (mut reported, mut code, mut index, mut address) =
        (lit(0, 1), lit(0, 8), lit(0, layer_bits()), lit(0, 32));
    for (name, fixed) in sources.iter().rev() {
        let valid = m.input(name, 1);
        reported = reported | &valid;
        let this_code = match fixed {
            Some(code) => error(*code),
            None => m.input(&format!("{name}_code"), 8),
        };
        let this_index = match *name {
            "loader_error" | "weights_fault" | "weights_response" => &ports.loader_index,
            "write_fault" | "write_response" => &states.completed,
            _ => &ports.layer_index,
        };
        // What is wrong with a descriptor is no address.
        let this_address = match *name {
            "loader_error" | "sums_full" => lit(0, 32),
            _ => m.input(&format!("{name}_offset"), 32),
        };
        address = mux(&valid, &this_address, &address);
        code = mux(&valid, &this_code, &code);
        index = mux(&valid, this_index, &index);
    }
    m.comment("An error is registered, and kept in the next cycle; a refused start names no descriptor.");
    let reported = m.named("reported", &(&states.running & reported));
    let found = m.reg_reset("found", 1, 0);
    m.set_if(&found, &ports.soft_reset, &lit(0, 1));
    m.set(&found, &(&reported | &refused));
    let in_run = m.delay("found_in_run", &reported);
    let refusal = m.delay("refusal", &refusal);
    let [code, index, address] =
        [("code", code, refusal), ("index", index, lit(0, layer_bits())), ("address", address, lit(0, 32))]
            .map(|(name, value, refused)| mux(&in_run, &m.delay(&format!("found_{name}"), &value), &refused));
    let fails = m.named("error_now", &(&found & !&states.failed));
    let mut keep = |name: &str, value: &Expr| {
        let register = m.reg_reset(name, value.width(), 0);
        m.set_if(&register, &ports.soft_reset, &lit(0, value.width()));
        m.set_if(&register, &fails, value);
        register
    };
    let code = keep("error_code", &code);
    let index = keep("error_index", &index);
    let address = keep("error_offset", &address);
    m.set_if(&states.failed, &ports.soft_reset, &lit(0, 1));
    m.set_if(&states.failed, &fails, &lit(1, 1));
    Errors { refused, found, fails, code, index, address }
}

fn steps(m: &mut Builder, ports: &Ports, states: &States, errors: &Errors) {
    m.comment("Run.");
    let all_completed = m.delay("all_completed", &states.completed.eq(&ports.count.trunc(layer_bits())));
    let all_done = m.named("all_done", &(&states.running & all_completed));
    m.unused(&ports.count.slice(layer_bits(), 32 - layer_bits()));
    let accept = m.named("accept", &(&ports.start & !&states.failed & !&errors.refused));
    m.set_if(&states.pending, &(&ports.soft_reset | &errors.fails), &lit(0, 1));
    m.set_if(&states.pending, &accept, &lit(1, 1));
    m.set_if(&states.pending, &states.running, &lit(0, 1));
    m.set_if(&states.state, &(&ports.soft_reset | &errors.fails | &accept), &states.drain_state);
    m.set_if(
        &states.state,
        &(&states.draining & &ports.bus_idle),
        &mux(&states.pending, &states.run_state, &states.idle_state),
    );
    m.set_if(&states.state, &all_done, &states.idle_state);
    m.set_if(&states.completed, &accept, &lit(0, layer_bits()));
    // Not after an error was found: what it names is the layer that fails.
    m.set_if(
        &states.completed,
        &(&ports.retired & &states.running & !&errors.found),
        &states.completed.inc(),
    );
    m.set_if(&states.done, &(&accept | &ports.soft_reset | &ports.clear_done | &errors.fails), &lit(0, 1));
    m.set_if(&states.done, &all_done, &lit(1, 1));
}

fn rules(m: &mut Builder, ports: &Ports, states: &States, errors: &Errors) {
    m.formal(|m| {
        m.assert_formal(
            "known_state",
            "Idle, drain or run; there is no fourth state.",
            &states.state.ne(&lit(3, 2)),
        );
        m.assert_stable(
            "error_is_sticky",
            "The first error stays, with its descriptor and address, until a soft reset.",
            &(&states.failed & !&ports.soft_reset),
            &[&states.failed, &errors.code, &errors.index, &errors.address],
        );
        m.assert_next(
            "soft_reset_clears",
            "A soft reset clears the error.",
            &ports.soft_reset,
            &!&states.failed,
        );
        m.assert_next(
            "run_begins_drained",
            "A run begins only when the bus is quiet.",
            &(&states.draining & !&ports.bus_idle),
            &!&states.running,
        );
        m.assert_next(
            "run_begins_from_drain",
            "A run begins only from drain.",
            &(!&states.running & !&states.draining),
            &!&states.running,
        );
        m.assert_next("error_stops", "An error stops the run.", &errors.fails, &!&states.running);
        m.assert_formal(
            "failed_does_not_run",
            "After an error nothing runs.",
            &!(&states.failed & (&states.running | &states.pending)),
        );
    });
}

fn outputs(m: &mut Builder, ports: &Ports, states: &States, errors: &Errors) {
    let flags = [
        (status::BUSY, &states.running | &states.pending),
        (status::DONE, states.done.clone()),
        (status::ERROR, states.failed.clone()),
        (status::RESETTING, &states.draining & !&states.pending),
    ];
    let ordered: Vec<Expr> = flags.iter().rev().map(|(_, flag)| flag.clone()).collect();
    m.output_doc("engine_reset", &!&states.running, "holds the engine in reset");
    m.output("running", &states.running);
    m.output("layers_completed", &states.completed);
    m.output("status", &cat(&ordered).zext(32));
    m.output("error", &errors.code.zext(32));
    m.output("error_descriptor", &errors.index.zext(32));
    m.output("error_address", &errors.address);
    m.output("irq", &((&states.done & ports.enable.bit(0)) | (&states.failed & ports.enable.bit(1))));
}
