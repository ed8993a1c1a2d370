//! The core with memory of its own, on a PCIe card.

use std::rc::Rc;

use isa::PcieConfig;

use super::axi_ram::axi_ram;
use super::card_registers::card_registers;
use super::litepcie::{INTERRUPTS, LANES, litepcie_core};
use super::memory_arbiter::memory_arbiter;
use super::stream_to_card::stream_to_card;
use super::stream_to_host::stream_to_host;
use crate::core::{mst_core, refused};
use crate::rtl::{Builder, Expr, Instance, Module, RtlError, cat, lit};

/// A PCIe card: LitePCIe, `mst_core`, memory in block RAM that both reach ([`isa::pcie`]).
///
/// The pins are the connector's. Everything runs with PCIe's clock. `busy` is high while a run is in progress and `error` once one failed,
/// for LEDs.
///
/// # Errors
/// If the configuration is invalid, naming the field.
pub fn mst_pcie(config: &PcieConfig) -> Result<Rc<Module>, RtlError> {
    config.validate().map_err(refused("mst_pcie", "card configuration"))?;
    let parts = Parts {
        litepcie: litepcie_core(),
        registers: card_registers(config)?,
        core: mst_core(&config.core)?,
        arbiter: memory_arbiter(config)?,
        ram: axi_ram(&config.into())?,
        to_card: stream_to_card(config)?,
        to_host: stream_to_host(config)?,
    };
    let doc = "Accelerator for Masked Spiking Transformers with memory of its own, on a PCIe card (docs/isa.md). litepcie_core comes\n\
               from litepcie_gen and litepcie.yml.";
    Module::build("mst_pcie", doc, |m: &mut Builder| build(m, &parts))
}

struct Parts {
    litepcie: Rc<Module>,
    registers: Rc<Module>,
    core: Rc<Module>,
    arbiter: Rc<Module>,
    ram: Rc<Module>,
    to_card: Rc<Module>,
    to_host: Rc<Module>,
}

/// An instance whose inputs come from modules that are placed later: wires that [`Later::drive`] connects.
struct Later<'a> {
    prefix: &'a str,
    wires: Vec<(String, Expr)>,
}

impl<'a> Later<'a> {
    /// A wire for every input of `module` that is not in `given`.
    fn inputs(m: &mut Builder, prefix: &'a str, module: &Module, given: &[(&str, Expr)]) -> Later<'a> {
        let missing = module.inputs().iter().filter(|port| given.iter().all(|(name, _)| *name != port.name));
        let wires = missing
            .map(|port| (port.name.clone(), m.wire(&format!("to_{prefix}_{}", port.name), port.width)));
        Later { prefix, wires: wires.collect() }
    }

    /// Places the instance.
    fn place(&self, m: &mut Builder, module: &Rc<Module>, given: &[(&str, Expr)]) -> Instance {
        let wires = self.wires.iter().map(|(name, wire)| (name.as_str(), wire.clone()));
        let inputs: Vec<(&str, Expr)> = given.iter().cloned().chain(wires).collect();
        m.instance(self.prefix, module, &inputs)
    }

    /// Connects an input.
    fn drive(&self, m: &mut Builder, name: &str, value: &Expr) {
        let (_, wire) = self.wires.iter().find(|(wire, _)| wire == name).expect("an input of the instance");
        m.assign(wire, value);
    }
}

/// Places an instance whose other inputs are driven later.
fn place<'a>(
    m: &mut Builder,
    name: &'a str,
    module: &Rc<Module>,
    given: &[(&str, Expr)],
) -> (Later<'a>, Instance) {
    let without_reset: Vec<(&str, Expr)> = given.iter().filter(|(name, _)| *name != "rst").cloned().collect();
    let later = Later::inputs(m, name, module, &without_reset);
    let instance = later.place(m, module, given);
    (later, instance)
}

fn build(m: &mut Builder, parts: &Parts) {
    m.comment("PCIe, and the clock of everything else.");
    let one = |value: u64, width: u32| lit(value, width);
    let mut given: Vec<(&str, Expr)> = Vec::new();
    for (name, width, doc) in [
        ("pcie_clk_p", 1, "reference clock of the slot, 100 MHz"),
        ("pcie_clk_n", 1, "its complement"),
        ("pcie_rst_n", 1, "PERST#: reset of the slot, active low"),
        ("pcie_rx_p", LANES, "received lanes"),
        ("pcie_rx_n", LANES, "their complements"),
    ] {
        m.asynchronous(name);
        given.push((name, m.input_doc(name, width, doc)));
    }
    // The writer's descriptors end where they say, not at a mark in the stream.
    given.extend([("dma0_writer_axi_tlast", one(0, 1)), ("dma0_writer_axi_tuser", one(0, 1))]);
    let (to_litepcie, litepcie) = place(m, "litepcie", &parts.litepcie, &given);
    m.clock_from(&litepcie.output("clk"), &litepcie.output("rst"));

    m.comment("Registers.");
    let (to_registers, registers) = place(m, "registers", &parts.registers, &[]);
    for name in ["awvalid", "awaddr", "wvalid", "wdata", "bready", "arvalid", "araddr", "rready"] {
        to_registers.drive(m, &format!("s_axil_{name}"), &litepcie.output(&format!("mmap_axi_lite_{name}")));
    }
    for name in ["awready", "wready", "bvalid", "bresp", "arready", "rvalid", "rdata", "rresp"] {
        to_litepcie.drive(m, &format!("mmap_axi_lite_{name}"), &registers.output(&format!("s_axil_{name}")));
    }

    m.comment("What a reset of the core resets: all that has a part in its bursts.");
    let reset = m.named("core_reset", &(litepcie.output("rst") | registers.output("reset_core")));
    let given = [
        ("rst", reset.clone()),
        ("s_axil_wstrb", one(0xf, 4)),
        ("s_axil_awprot", one(0, 3)),
        ("s_axil_arprot", one(0, 3)),
    ];
    let (to_core, core) = place(m, "core", &parts.core, &given);
    for name in ["awvalid", "awaddr", "wvalid", "wdata", "bready", "arvalid", "araddr", "rready"] {
        to_core.drive(m, &format!("s_axil_{name}"), &registers.output(&format!("m_axil_{name}")));
    }
    for name in ["awready", "wready", "bvalid", "arready", "rvalid", "rdata", "rresp"] {
        to_registers.drive(m, &format!("m_axil_{name}"), &core.output(&format!("s_axil_{name}")));
    }

    m.comment("Streams.");
    let mut streams = Vec::new();
    for (name, module) in [("to_card", &parts.to_card), ("to_host", &parts.to_host)] {
        let of_registers = |what: &str| registers.output(&format!("{name}_{what}"));
        let given = [
            ("rst", reset.clone()),
            ("stop", registers.output("stop")),
            ("start", of_registers("start")),
            ("offset", of_registers("offset")),
            ("length", of_registers("length")),
        ];
        let (inputs, stream) = place(m, name, module, &given);
        for what in ["busy", "refused", "done", "crc"] {
            to_registers.drive(m, &format!("{name}_{what}"), &stream.output(what));
        }
        streams.push((inputs, stream));
    }
    let [(into_to_card, to_card), (into_to_host, to_host)] = [&streams[0], &streams[1]];
    for name in ["tvalid", "tdata"] {
        into_to_card.drive(m, name, &litepcie.output(&format!("dma0_reader_axi_{name}")));
        to_litepcie.drive(m, &format!("dma0_writer_axi_{name}"), &to_host.output(name));
    }
    to_litepcie.drive(m, "dma0_reader_axi_tready", &to_card.output("tready"));
    into_to_host.drive(m, "tready", &litepcie.output("dma0_writer_axi_tready"));

    m.comment("Memory.");
    let (to_arbiter, arbiter) = place(m, "arbiter", &parts.arbiter, &[("rst", reset.clone())]);
    let given = [
        ("rst", reset),
        ("host_valid", one(0, 1)),
        ("host_write", one(0, 1)),
        (
            "host_address",
            one(0, parts.ram.inputs().iter().find(|p| p.name == "host_address").map_or(1, |p| p.width)),
        ),
        ("host_wdata", one(0, 32)),
    ];
    let (to_ram, ram) = place(m, "ram", &parts.ram, &given);
    for name in [
        "arvalid", "araddr", "arlen", "arid", "rready", "awvalid", "awaddr", "awlen", "awid", "wvalid",
        "wdata", "wstrb", "wlast", "bready",
    ] {
        to_ram.drive(m, name, &arbiter.output(name));
        to_arbiter.drive(m, &format!("core_{name}"), &core.output(&format!("m_axi_{name}")));
    }
    for name in ["arready", "rvalid", "rid", "awready", "wready", "bvalid", "bid"] {
        to_arbiter.drive(m, name, &ram.output(name));
        to_core.drive(m, &format!("m_axi_{name}"), &arbiter.output(&format!("core_{name}")));
    }
    for name in ["rdata", "rresp", "rlast", "bresp"] {
        to_core.drive(m, &format!("m_axi_{name}"), &ram.output(name));
    }
    for name in ["awvalid", "awaddr", "awlen", "wvalid", "wdata", "wlast"] {
        to_arbiter.drive(m, &format!("stream_{name}"), &to_card.output(name));
    }
    for name in ["arvalid", "araddr", "arlen"] {
        to_arbiter.drive(m, &format!("stream_{name}"), &to_host.output(name));
    }
    for name in ["awready", "wready", "bvalid"] {
        into_to_card.drive(m, name, &arbiter.output(&format!("stream_{name}")));
    }
    for name in ["arready", "rvalid"] {
        into_to_host.drive(m, name, &arbiter.output(&format!("stream_{name}")));
    }
    into_to_host.drive(m, "rdata", &ram.output("rdata"));

    m.comment("Interrupts: LitePCIe sends one for every cycle that a line is high.");
    let before = m.delay_reset("interrupt_before", &core.output("irq"));
    let rises = m.named("interrupt_rises", &(core.output("irq") & !before));
    let lines = cat(&[one(0, INTERRUPTS - 3), to_host.output("finished"), to_card.output("finished"), rises]);
    to_litepcie.drive(m, "msi_irqs", &lines);

    for (name, doc) in [("pcie_tx_p", "transmitted lanes"), ("pcie_tx_n", "their complements")] {
        m.asynchronous(name);
        m.output_doc(name, &litepcie.output(name), doc);
    }
    m.output_doc("busy", &core.output("busy"), "a run is in progress");
    m.output_doc("error", &core.output("error"), "a run failed, and nothing reset the core since");
}
