//! The top: registers, run control, engine and bus masters.

use std::rc::Rc;

use isa::CoreConfig;
use isa::registers::status;

use super::csr::{ADDRESS_BITS, csr, status_names};
use super::dma_read::{dma_read, length_bits};
use super::dma_write::{BURST_WORD_BITS, dma_write};
use super::engine::engine;
use super::perf_counters::perf_counters;
use super::run_control::run_control;
use super::{layer_bits, refused};
use crate::rtl::{Builder, Expr, Module, RtlError, cat, constant, lit};

/// The accelerator: AXI4-Lite slave `s_axil_*`, AXI4 master `m_axi_*`, interrupt `irq`, lights `busy` and `error`; one clock, one
/// synchronous reset.
///
/// # Errors
/// If the configuration is invalid, naming the field.
pub fn mst_core(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    config.validate().map_err(refused("mst_core", "core configuration"))?;
    mst_core_of_any_size(config)
}

/// The same for sizes beyond those that are built and tested: correct, or refused.
///
/// # Errors
/// If the configuration has the wrong shape, naming the field, or if a signal inside is too narrow for it, naming the signal.
pub fn mst_core_of_any_size(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    let parts = Parts {
        csr: csr(config)?,
        control: run_control()?,
        engine: engine(config)?,
        read: dma_read(config)?,
        write: dma_write(config)?,
        counters: perf_counters(config)?,
    };
    let doc = "Accelerator for Masked Spiking Transformers. One bitstream runs every network that fits its limits: layers are\n\
               descriptors in memory (docs/isa.md). AXI4-Lite slave for registers, AXI4 master for everything else.";
    Module::build("mst_core", doc, |m: &mut Builder| build(m, config, &parts))
}

struct Parts {
    csr: Rc<Module>,
    control: Rc<Module>,
    engine: Rc<Module>,
    read: Rc<Module>,
    write: Rc<Module>,
    counters: Rc<Module>,
}

fn build(m: &mut Builder, config: &CoreConfig, parts: &Parts) {
    let bus = config.bus_bits;
    m.comment("Registers.");
    let mut inputs: Vec<(String, Expr)> = Vec::new();
    for (name, width) in [
        ("awaddr", ADDRESS_BITS),
        ("awvalid", 1),
        ("wdata", 32),
        ("wstrb", 4),
        ("wvalid", 1),
        ("bready", 1),
        ("araddr", ADDRESS_BITS),
        ("arvalid", 1),
        ("rready", 1),
    ] {
        inputs.push((name.into(), m.input(&format!("s_axil_{name}"), width)));
    }
    for name in ["s_axil_awprot", "s_axil_arprot"] {
        let protection = m.input(name, 3);
        m.unused(&protection);
    }
    let mut status: Vec<(String, Expr)> = Vec::new();
    for name in status_names() {
        let name = name.to_lowercase();
        let wire = m.wire(&format!("status_{name}"), 32);
        status.push((name.clone(), wire.clone()));
        inputs.push((name, wire));
    }
    let connections: Vec<(&str, Expr)> = inputs.iter().map(|(n, e)| (n.as_str(), e.clone())).collect();
    let csr = m.instance("csr", &parts.csr, &connections);
    for name in ["awready", "wready", "bresp", "bvalid", "arready", "rdata", "rresp", "rvalid"] {
        m.output(&format!("s_axil_{name}"), &csr.output(name));
    }

    m.comment("Bus masters.");
    // Bursts keep off 4 KiB borders by their offset alone, so the base must be a multiple of 4 KiB.
    let low = csr.output("memory_base_low");
    m.unused(&low.slice(0, 12));
    let base = cat(&[low.slice(12, 20), lit(0, 12)]);
    let base = if config.address_bits > 32 {
        let high = csr.output("memory_base_high");
        if config.address_bits < 64 {
            m.unused(&high.slice(config.address_bits - 32, 64 - config.address_bits));
        }
        cat(&[high.slice(0, config.address_bits - 32), base])
    } else {
        base
    };
    let size = csr.output("memory_size");
    let engine_reset = m.wire("engine_reset", 1);
    let ports = |m: &mut Builder, list: &[(&'static str, u32)]| -> Vec<(&'static str, Expr)> {
        list.iter().map(|&(name, width)| (name, m.input(&format!("m_axi_{name}"), width))).collect()
    };
    let mut engine_nets = Vec::new();
    let mut from_engine = |m: &mut Builder, name: &'static str, width: u32| {
        let wire = m.wire(&format!("engine_{name}_net"), width);
        engine_nets.push((name, wire.clone()));
        wire
    };
    let mut inputs =
        ports(m, &[("arready", 1), ("rvalid", 1), ("rid", 1), ("rdata", bus), ("rresp", 2), ("rlast", 1)]);
    inputs.extend([
        ("flush", engine_reset.clone()),
        ("memory_base", base.clone()),
        ("memory_size", size.clone()),
    ]);
    for (port, width) in [
        ("weights_request_valid", 1),
        ("weights_request_offset", 32),
        ("weights_request_words", length_bits(config)),
        ("weights_ready", 1),
        ("inputs_request_valid", 1),
        ("inputs_request_offset", 32),
        ("inputs_request_words", length_bits(config)),
        ("inputs_ready", 1),
    ] {
        inputs.push((port, from_engine(m, port, width)));
    }
    let read = m.instance("read", &parts.read, &inputs);
    let mut inputs = ports(m, &[("awready", 1), ("wready", 1), ("bvalid", 1), ("bresp", 2), ("bid", 1)]);
    inputs.extend([("flush", engine_reset.clone()), ("memory_base", base), ("memory_size", size)]);
    for (port, width) in [
        ("word_valid", 1),
        ("word_data", 64),
        ("burst_valid", 1),
        ("burst_offset", 32),
        ("burst_words", BURST_WORD_BITS),
        ("layer_end", 1),
    ] {
        inputs.push((port, from_engine(m, port, width)));
    }
    let write = m.instance("write", &parts.write, &inputs);

    m.comment(
        "Run control. What the masters and the loader report arrives a cycle late, the end of a layer too. Nothing goes wrong in\n\
         that cycle: a refused request is dropped, a beat with an error is still in its FIFO, and no request follows.",
    );
    let weights_response = read.output("response_error") & !read.output("response_stream");
    let inputs_response = read.output("response_error") & read.output("response_stream");
    let mut inputs: Vec<(&str, Expr)> =
        ["start", "soft_reset", "clear_done", "interrupt_enable", "descriptor_count", "descriptor_base"]
            .map(|name| (name, csr.output(name)))
            .into();
    inputs.extend([
        ("bus_idle", read.output("idle") & write.output("idle")),
        ("loader_index", from_engine(m, "loader_index", layer_bits())),
        ("layer_index", from_engine(m, "layer_index", layer_bits())),
    ]);
    let reports = [
        ("layer_retired", write.output("layer_retired")),
        ("loader_error", from_engine(m, "loader_error", 1)),
        ("loader_error_code", from_engine(m, "loader_error_code", 8)),
        ("weights_fault", read.output("weights_fault")),
        ("weights_fault_code", read.output("weights_fault_code")),
        ("weights_fault_offset", read.output("weights_fault_offset")),
        ("inputs_fault", read.output("inputs_fault")),
        ("inputs_fault_code", read.output("inputs_fault_code")),
        ("inputs_fault_offset", read.output("inputs_fault_offset")),
        ("write_fault", write.output("fault")),
        ("write_fault_code", write.output("fault_code")),
        ("write_fault_offset", write.output("fault_offset")),
        ("weights_response", weights_response),
        ("inputs_response", inputs_response),
        ("write_response", write.output("response_error")),
    ];
    inputs.extend(reports.map(|(name, value)| (name, m.delay(&format!("reported_{name}"), &value))));
    let last_read = m.delay("last_read_offset", &read.output("last_offset"));
    let last_written = m.delay("last_written_offset", &write.output("last_offset"));
    inputs.extend([
        ("weights_response_offset", last_read.clone()),
        ("inputs_response_offset", last_read),
        ("write_response_offset", last_written),
    ]);
    let control = m.instance("control", &parts.control, &inputs);
    m.assign(&engine_reset, &control.output("engine_reset"));

    m.comment("Engine.");
    let completed = control.output("layers_completed");
    let inputs = [
        ("rst", control.output("engine_reset")),
        ("layers_completed", completed.clone()),
        ("descriptor_base", csr.output("descriptor_base")),
        ("descriptor_count", csr.output("descriptor_count").slice(0, layer_bits())),
        ("weights_request_ready", read.output("weights_request_ready")),
        ("weights_valid", read.output("weights_valid")),
        ("weights_data", read.output("weights_data")),
        ("inputs_request_ready", read.output("inputs_request_ready")),
        ("inputs_valid", read.output("inputs_valid")),
        ("inputs_data", read.output("inputs_data")),
        ("word_ready", write.output("word_ready")),
        ("layer_end_ready", write.output("layer_end_ready")),
    ];
    let engine = m.instance("engine", &parts.engine, &inputs);
    for (name, wire) in &engine_nets {
        m.assign(wire, &engine.output(name));
    }

    m.comment("Counters.");
    let running = control.output("running");
    let counted = |name: &str| engine.output(name) & &running;
    let counters = m.instance(
        "counters",
        &parts.counters,
        &[
            ("clear", csr.output("clear_counters")),
            ("busy", running.clone()),
            ("events", counted("count_event")),
            ("stall_weights", counted("count_stall_weights")),
            ("stall_inputs", counted("count_stall_inputs")),
            ("stall_fire", counted("count_stall_fire")),
            ("stall_output", counted("count_stall_output")),
            ("stall_order", counted("count_stall_order")),
            ("stall_switch", counted("count_stall_switch")),
            ("null_events", counted("count_null_event")),
            ("read_beats", read.output("beat")),
            ("write_beats", write.output("beat")),
            ("emit", engine.output("emit")),
            ("transmitted", engine.output("transmitted")),
        ],
    );
    for (name, wire) in &status {
        let value = match name.as_str() {
            "layers_completed" => completed.zext(32),
            "status" | "error" | "error_descriptor" | "error_address" => control.output(name),
            counter => counters.output(counter),
        };
        m.assign(wire, &value);
    }
    m.output_doc(
        "irq",
        &control.output("irq"),
        "interrupt: done or error, as `INTERRUPT_ENABLE` says; level",
    );
    let flag = |mask: u32| control.output("status").bit(mask.trailing_zeros());
    m.output_doc("busy", &flag(status::BUSY), "a run is in progress, or about to begin");
    m.output_doc("error", &flag(status::ERROR), "a run failed, and no soft reset followed");

    m.comment(
        "AXI4 master: INCR bursts of whole beats, normal non-cacheable bufferable memory, unprivileged data.",
    );
    let size = constant("SIZE_BEAT", u64::from((bus / 8).trailing_zeros()), 3);
    let burst = constant("BURST_INCR", 1, 2);
    let cache = constant("CACHE_NORMAL_BUFFERABLE", 3, 4);
    let prot = constant("PROT_UNPRIVILEGED_SECURE_DATA", 0, 3);
    for (name, value) in [
        ("awid", lit(0, 1)),
        ("awaddr", write.output("awaddr")),
        ("awlen", write.output("awlen")),
        ("awsize", size.clone()),
        ("awburst", burst.clone()),
        ("awcache", cache.clone()),
        ("awprot", prot.clone()),
        ("awvalid", write.output("awvalid")),
        ("wdata", write.output("wdata")),
        ("wstrb", write.output("wstrb")),
        ("wlast", write.output("wlast")),
        ("wvalid", write.output("wvalid")),
        ("bready", write.output("bready")),
        ("arid", read.output("arid")),
        ("araddr", read.output("araddr")),
        ("arlen", read.output("arlen")),
        ("arsize", size),
        ("arburst", burst),
        ("arcache", cache),
        ("arprot", prot),
        ("arvalid", read.output("arvalid")),
        ("rready", read.output("rready")),
    ] {
        m.output(&format!("m_axi_{name}"), &value);
    }
}
