//! Starts, stops and recovers a run.

use std::rc::Rc;

use isa::ErrorCode;
use isa::registers::status;

use super::codes::{error, state};
use super::layer_bits;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, lit, mux};

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
        let start = m.input("start", 1);
        let soft_reset = m.input("soft_reset", 1);
        let clear_done = m.input("clear_done", 1);
        let enable = m.input_doc("interrupt_enable", 32, "bit 0: on done, bit 1: on error");
        m.unused(&enable.slice(2, 30));
        let count = m.input("descriptor_count", 32);
        let base = m.input("descriptor_base", 32);
        m.unused(&base.slice(8, 24));
        let bus_idle = m.input_doc("bus_idle", 1, "no AXI transfer is under way");
        let retired = m.input_doc("layer_retired", 1, "a layer's outputs are in memory");
        let loader_index = m.input_doc("loader_index", layer_bits(), "descriptor being loaded");
        let layer_index = m.input_doc("layer_index", layer_bits(), "descriptor being computed");
        let sources = [
            ("loader_error", None),
            ("weights_fault", None),
            ("inputs_fault", None),
            ("write_fault", None),
            ("weights_response", Some(ErrorCode::ReadError)),
            ("inputs_response", Some(ErrorCode::ReadError)),
            ("write_response", Some(ErrorCode::WriteError)),
        ];
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

        m.comment("The first error wins; of several in one cycle the one listed first.");
        let bad_run = m.delay(
            "bad_run",
            &(count.is_zero() | count.slice(layer_bits(), 32 - layer_bits()).any() | base.slice(0, 8).any()),
        );
        let busy = &running | &pending;
        let refused = m.named("start_refused", &(&start & !&failed & (&busy | &bad_run)));
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
                "loader_error" | "weights_fault" | "weights_response" => &loader_index,
                "write_fault" | "write_response" => &completed,
                _ => &layer_index,
            };
            // What is wrong with a descriptor is no address.
            let this_address = match *name {
                "loader_error" => lit(0, 32),
                _ => m.input(&format!("{name}_offset"), 32),
            };
            address = mux(&valid, &this_address, &address);
            code = mux(&valid, &this_code, &code);
            index = mux(&valid, this_index, &index);
        }
        m.comment("An error is registered, and kept in the next cycle; a refused start names no descriptor.");
        let reported = m.named("reported", &(&running & reported));
        let found = m.reg_reset("found", 1, 0);
        m.set_if(&found, &soft_reset, &lit(0, 1));
        m.set(&found, &(&reported | &refused));
        let in_run = m.delay("found_in_run", &reported);
        let refusal = m.delay("refusal", &refusal);
        let [code, index, address] = [
            ("code", code, refusal),
            ("index", index, lit(0, layer_bits())),
            ("address", address, lit(0, 32)),
        ]
        .map(|(name, value, refused)| mux(&in_run, &m.delay(&format!("found_{name}"), &value), &refused));
        let fails = m.named("error_now", &(&found & !&failed));
        let mut keep = |name: &str, value: &Expr| {
            let register = m.reg_reset(name, value.width(), 0);
            m.set_if(&register, &soft_reset, &lit(0, value.width()));
            m.set_if(&register, &fails, value);
            register
        };
        let code = keep("error_code", &code);
        let index = keep("error_index", &index);
        let address = keep("error_offset", &address);
        m.set_if(&failed, &soft_reset, &lit(0, 1));
        m.set_if(&failed, &fails, &lit(1, 1));

        m.comment("Run.");
        let all_completed = m.delay("all_completed", &completed.eq(&count.trunc(layer_bits())));
        let all_done = m.named("all_done", &(&running & all_completed));
        m.unused(&count.slice(layer_bits(), 32 - layer_bits()));
        let accept = m.named("accept", &(&start & !&failed & !&refused));
        m.set_if(&pending, &(&soft_reset | &fails), &lit(0, 1));
        m.set_if(&pending, &accept, &lit(1, 1));
        m.set_if(&pending, &running, &lit(0, 1));
        m.set_if(&state, &(&soft_reset | &fails | &accept), &drain_state);
        m.set_if(&state, &(&draining & &bus_idle), &mux(&pending, &run_state, &idle_state));
        m.set_if(&state, &all_done, &idle_state);
        m.set_if(&completed, &accept, &lit(0, layer_bits()));
        // Not after an error was found: what it names is the layer that fails.
        m.set_if(&completed, &(&retired & &running & !&found), &completed.inc());
        m.set_if(&done, &(&accept | &soft_reset | &clear_done | &fails), &lit(0, 1));
        m.set_if(&done, &all_done, &lit(1, 1));

        m.formal(|m| {
            m.assert_formal(
                "known_state",
                "Idle, drain or run; there is no fourth state.",
                &state.ne(&lit(3, 2)),
            );
            m.assert_stable(
                "error_is_sticky",
                "The first error stays, with its descriptor and address, until a soft reset.",
                &(&failed & !&soft_reset),
                &[&failed, &code, &index, &address],
            );
            m.assert_next("soft_reset_clears", "A soft reset clears the error.", &soft_reset, &!&failed);
            m.assert_next(
                "run_begins_drained",
                "A run begins only when the bus is quiet.",
                &(&draining & !&bus_idle),
                &!&running,
            );
            m.assert_next(
                "run_begins_from_drain",
                "A run begins only from drain.",
                &(!&running & !&draining),
                &!&running,
            );
            m.assert_next("error_stops", "An error stops the run.", &fails, &!&running);
            m.assert_formal(
                "failed_does_not_run",
                "After an error nothing runs.",
                &!(&failed & (&running | &pending)),
            );
        });
        let flags = [
            (status::BUSY, &running | &pending),
            (status::DONE, done.clone()),
            (status::ERROR, failed.clone()),
            (status::RESETTING, &draining & !&pending),
        ];
        let ordered: Vec<Expr> = flags.iter().rev().map(|(_, flag)| flag.clone()).collect();
        m.output_doc("engine_reset", &!&running, "holds the engine in reset");
        m.output("running", &running);
        m.output("layers_completed", &completed);
        m.output("status", &cat(&ordered).zext(32));
        m.output("error", &code.zext(32));
        m.output("error_descriptor", &index.zext(32));
        m.output("error_address", &address);
        m.output("irq", &((&done & enable.bit(0)) | (&failed & enable.bit(1))));
    })
}
