//! The top: registers, run control, engine and bus masters.

use std::rc::Rc;

use isa::CoreConfig;
use isa::registers::status;

use super::csr::{csr, status_names};
use super::dma_read::dma_read;
use super::dma_write::dma_write;
use super::engine::engine;
use super::perf_counters::perf_counters;
use super::run_control::run_control;
use super::{layer_bits, refused};
use crate::rtl::{Builder, Expr, Module, Nets, RtlError, cat, constant, lit};

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
    let parts = [
        ("csr", csr(config)?),
        ("control", run_control()?),
        ("engine", engine(config)?),
        ("read", dma_read(config)?),
        ("write", dma_write(config)?),
        ("counters", perf_counters(config)?),
    ];
    let parts = parts.each_ref().map(|(name, module)| (*name, module));
    let doc = "Accelerator for Masked Spiking Transformers. One bitstream runs every network that fits its limits: layers are\n\
               descriptors in memory (docs/isa.md). AXI4-Lite slave for registers, AXI4 master for everything else.";
    Module::build("mst_core", doc, |m: &mut Builder| Core { m, nets: Nets::new(&parts), config }.build())
}

struct Core<'a> {
    m: &'a mut Builder,
    nets: Nets<'a>,
    config: &'a CoreConfig,
}

/// Inputs of the AXI4-Lite slave that lead to the registers.
const REGISTER_INPUTS: [&str; 9] =
    ["awaddr", "awvalid", "wdata", "wstrb", "wvalid", "bready", "araddr", "arvalid", "rready"];

impl Core<'_> {
    fn build(mut self) {
        let status = self.registers();
        self.masters();
        self.run_control();
        self.engine();
        self.counters();
        self.status(&status);
        self.bus();
    }

    /// The output of an instance.
    fn of(&mut self, instance: &str, port: &str) -> Expr {
        self.nets.output(self.m, instance, port)
    }

    /// Connections to outputs of an instance that have the same names.
    fn same<'n>(&mut self, instance: &str, ports: &[&'n str]) -> Vec<(&'n str, Expr)> {
        ports.iter().map(|&port| (port, self.of(instance, port))).collect()
    }

    /// Inputs of the top for inputs of a part, `prefix` before their names.
    fn inputs<'n>(&mut self, prefix: &str, part: &str, ports: &[&'n str]) -> Vec<(&'n str, Expr)> {
        let width = |port: &str| self.nets.input(part, port).map_or(1, |input| input.width);
        let sized: Vec<(&'n str, u32)> = ports.iter().map(|&port| (port, width(port))).collect();
        sized
            .into_iter()
            .map(|(port, width)| (port, self.m.input(&format!("{prefix}_{port}"), width)))
            .collect()
    }

    /// Returns the registers that are driven later.
    fn registers(&mut self) -> Vec<(String, Expr)> {
        self.m.comment("Registers.");
        let mut inputs = self.inputs("s_axil", "csr", &REGISTER_INPUTS);
        for name in ["s_axil_awprot", "s_axil_arprot"] {
            let protection = self.m.input(name, 3);
            self.m.unused(&protection);
        }
        let mut status = Vec::new();
        for name in status_names() {
            let name = name.to_lowercase();
            status.push((name.clone(), self.m.wire(&format!("status_{name}"), 32)));
        }
        inputs.extend(status.iter().map(|(name, wire)| (name.as_str(), wire.clone())));
        let csr = self.nets.place(self.m, "csr", &inputs);
        for name in ["awready", "wready", "bresp", "bvalid", "arready", "rdata", "rresp", "rvalid"] {
            self.m.output(&format!("s_axil_{name}"), &csr.output(name));
        }
        status
    }

    /// The bus address of the memory window. Bursts keep off 4 KiB borders by their offset alone, so it is a multiple of 4 KiB.
    fn memory_base(&mut self) -> Expr {
        let [low, high] = ["memory_base_low", "memory_base_high"].map(|port| self.of("csr", port));
        let m = &mut *self.m;
        m.unused(&low.slice(0, 12));
        let base = cat(&[low.slice(12, 20), lit(0, 12)]);
        let above = self.config.address_bits - 32;
        if above < 32 && above > 0 {
            m.unused(&high.slice(above, 32 - above));
        }
        if above == 0 { base } else { cat(&[high.slice(0, above), base]) }
    }

    fn masters(&mut self) {
        self.m.comment("Bus masters.");
        let base = self.memory_base();
        let window = [
            ("flush", self.of("control", "engine_reset")),
            ("memory_base", base),
            ("memory_size", self.of("csr", "memory_size")),
        ];
        let bus = ["arready", "rvalid", "rid", "rdata", "rresp", "rlast"];
        let mut inputs = self.inputs("m_axi", "read", &bus);
        inputs.extend(window.clone());
        let requests = [
            "weights_request_valid",
            "weights_request_offset",
            "weights_request_words",
            "weights_ready",
            "inputs_request_valid",
            "inputs_request_offset",
            "inputs_request_words",
            "inputs_ready",
        ];
        inputs.extend(self.same("engine", &requests));
        self.nets.place(self.m, "read", &inputs);
        let mut inputs = self.inputs("m_axi", "write", &["awready", "wready", "bvalid", "bresp", "bid"]);
        inputs.extend(window);
        let words = ["word_valid", "word_data", "burst_valid", "burst_offset", "burst_words", "layer_end"];
        inputs.extend(self.same("engine", &words));
        self.nets.place(self.m, "write", &inputs);
    }

    fn run_control(&mut self) {
        self.m.comment(
            "Run control. What the masters and the loader report arrives a cycle late, the end of a layer too. Nothing goes wrong in\n\
             that cycle: a refused request is dropped, a beat with an error is still in its FIFO, and no request follows.",
        );
        let [bad, stream] = ["response_error", "response_stream"].map(|port| self.of("read", port));
        let idle = self.of("read", "idle") & self.of("write", "idle");
        let asked =
            ["start", "soft_reset", "clear_done", "interrupt_enable", "descriptor_count", "descriptor_base"];
        let mut inputs = self.same("csr", &asked);
        inputs.extend(self.same("engine", &["loader_index", "layer_index"]));
        inputs.push(("bus_idle", idle));
        let mut reports = self.same("engine", &["loader_error", "loader_error_code", "sums_full"]);
        let faults = [
            "weights_fault",
            "weights_fault_code",
            "weights_fault_offset",
            "inputs_fault",
            "inputs_fault_code",
            "inputs_fault_offset",
        ];
        reports.extend(self.same("read", &faults));
        reports.extend([
            ("layer_retired", self.of("write", "layer_retired")),
            ("write_fault", self.of("write", "fault")),
            ("write_fault_code", self.of("write", "fault_code")),
            ("write_fault_offset", self.of("write", "fault_offset")),
            ("weights_response", &bad & !&stream),
            ("inputs_response", &bad & &stream),
            ("write_response", self.of("write", "response_error")),
        ]);
        for (name, value) in reports {
            inputs.push((name, self.m.delay(&format!("{name}_d1"), &value)));
        }
        let [last_read, last_written] = ["read", "write"].map(|master| {
            let offset = self.of(master, "last_offset");
            self.m.delay(&format!("{master}_offset_d1"), &offset)
        });
        inputs.extend([
            ("weights_response_offset", last_read.clone()),
            ("inputs_response_offset", last_read),
            ("write_response_offset", last_written),
        ]);
        self.nets.place(self.m, "control", &inputs);
    }

    fn engine(&mut self) {
        self.m.comment("Engine.");
        let count = self.of("csr", "descriptor_count");
        let mut inputs = vec![
            ("rst", self.of("control", "engine_reset")),
            ("layers_completed", self.of("control", "layers_completed")),
            ("descriptor_base", self.of("csr", "descriptor_base")),
            ("descriptor_count", count.slice(0, layer_bits())),
        ];
        let of_reads = [
            "weights_request_ready",
            "weights_valid",
            "weights_data",
            "inputs_request_ready",
            "inputs_valid",
            "inputs_data",
        ];
        inputs.extend(self.same("read", &of_reads));
        inputs.extend(self.same("write", &["word_ready", "layer_end_ready"]));
        self.nets.place(self.m, "engine", &inputs);
    }

    fn counters(&mut self) {
        self.m.comment("Counters.");
        let running = self.of("control", "running");
        let mut inputs = vec![
            ("clear", self.of("csr", "clear_counters")),
            ("busy", running.clone()),
            ("read_beats", self.of("read", "beat")),
            ("write_beats", self.of("write", "beat")),
        ];
        for (name, port) in [
            ("events", "count_event"),
            ("stall_weights", "count_stall_weights"),
            ("stall_inputs", "count_stall_inputs"),
            ("stall_fire", "count_stall_fire"),
            ("stall_output", "count_stall_output"),
            ("stall_order", "count_stall_order"),
            ("stall_switch", "count_stall_switch"),
            ("null_events", "count_null_event"),
        ] {
            inputs.push((name, self.of("engine", port) & &running));
        }
        inputs.extend(self.same("engine", &["emit", "transmitted"]));
        self.nets.place(self.m, "counters", &inputs);
    }

    fn status(&mut self, registers: &[(String, Expr)]) {
        for (name, wire) in registers {
            let value = match name.as_str() {
                "layers_completed" => self.of("control", "layers_completed").zext(32),
                "status" | "error" | "error_descriptor" | "error_address" => self.of("control", name),
                counter => self.of("counters", counter),
            };
            self.m.assign(wire, &value);
        }
        let irq = self.of("control", "irq");
        self.m.output_doc("irq", &irq, "interrupt: done or error, as `INTERRUPT_ENABLE` says; level");
        let flags = self.of("control", "status");
        let flag = |mask: u32| flags.bit(mask.trailing_zeros());
        self.m.output_doc("busy", &flag(status::BUSY), "a run is in progress, or about to begin");
        self.m.output_doc("error", &flag(status::ERROR), "a run failed, and no soft reset followed");
    }

    fn bus(&mut self) {
        self.m.comment(
            "AXI4 master: INCR bursts of whole beats, normal non-cacheable bufferable memory, unprivileged data.",
        );
        let size = u64::from(self.config.bus_bytes().trailing_zeros());
        let fixed = [
            ("size", constant("SIZE_BEAT", size, 3)),
            ("burst", constant("BURST_INCR", 1, 2)),
            ("cache", constant("CACHE_NORMAL_BUFFERABLE", 3, 4)),
            ("prot", constant("PROT_UNPRIVILEGED_SECURE_DATA", 0, 3)),
        ];
        for channel in ["aw", "ar"] {
            for (name, value) in &fixed {
                self.m.output(&format!("m_axi_{channel}{name}"), value);
            }
        }
        self.m.output("m_axi_awid", &lit(0, 1));
        let written = ["awaddr", "awlen", "awvalid", "wdata", "wstrb", "wlast", "wvalid", "bready"];
        let read = ["arid", "araddr", "arlen", "arvalid", "rready"];
        for (master, ports) in [("write", &written[..]), ("read", &read[..])] {
            for (port, value) in self.same(master, ports) {
                self.m.output(&format!("m_axi_{port}"), &value);
            }
        }
    }
}
