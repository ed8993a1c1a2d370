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
use crate::rtl::{Builder, Expr, Module, Nets, RtlError, cat, lit};

/// A PCIe card: LitePCIe, `mst_core`, memory in block RAM that both reach ([`isa::pcie`]).
///
/// The pins are the connector's. Everything runs with PCIe's clock. `busy` is high while a run is in progress and `error` once one failed,
/// for LEDs.
///
/// # Errors
/// If the configuration is invalid, naming the field.
pub fn mst_pcie(config: &PcieConfig) -> Result<Rc<Module>, RtlError> {
    config.validate().map_err(refused("mst_pcie", "card configuration"))?;
    let parts = [
        ("litepcie", litepcie_core()),
        ("registers", card_registers(config)?),
        ("core", mst_core(&config.core)?),
        ("to_card", stream_to_card(config)?),
        ("to_host", stream_to_host(config)?),
        ("arbiter", memory_arbiter(config)?),
        ("ram", axi_ram(&config.into())?),
    ];
    let parts = parts.each_ref().map(|(name, module)| (*name, module));
    let doc = "Accelerator for Masked Spiking Transformers with memory of its own, on a PCIe card (docs/isa.md). litepcie_core comes\n\
               from litepcie_gen and litepcie.yml.";
    Module::build("mst_pcie", doc, |m: &mut Builder| Card { m, nets: Nets::new(&parts) }.build())
}

struct Card<'a> {
    m: &'a mut Builder,
    nets: Nets<'a>,
}

/// Signals of AXI4-Lite from the side that asks, and from the side that answers.
const ASKS: [&str; 8] = ["awvalid", "awaddr", "wvalid", "wdata", "bready", "arvalid", "araddr", "rready"];
const ANSWERS: [&str; 8] = ["awready", "wready", "bvalid", "bresp", "arready", "rvalid", "rdata", "rresp"];
/// Signals of AXI4 from the side that asks.
const BURSTS: [&str; 14] = [
    "arvalid", "araddr", "arlen", "arid", "rready", "awvalid", "awaddr", "awlen", "awid", "wvalid", "wdata",
    "wstrb", "wlast", "bready",
];

impl Card<'_> {
    fn build(mut self) {
        let interrupts = self.litepcie();
        self.registers();
        self.m.comment("What a reset of the core resets: all that has a part in its bursts.");
        let reset = self.of("litepcie", "rst") | self.of("registers", "reset_core");
        let reset = self.m.named("core_reset", &reset);
        self.core(&reset);
        self.streams(&reset);
        self.memory(&reset);
        self.interrupts(&interrupts);
        for (name, doc) in [("pcie_tx_p", "transmitted lanes"), ("pcie_tx_n", "their complements")] {
            self.m.asynchronous(name);
            let value = self.of("litepcie", name);
            self.m.output_doc(name, &value, doc);
        }
        for (name, doc) in
            [("busy", "a run is in progress"), ("error", "a run failed, and nothing reset the core since")]
        {
            let value = self.of("core", name);
            self.m.output_doc(name, &value, doc);
        }
    }

    /// The output of an instance.
    fn of(&mut self, instance: &str, port: &str) -> Expr {
        self.nets.output(self.m, instance, port)
    }

    /// Connections of inputs that are called `to` and the name to outputs called `from` and the name.
    fn bus(&mut self, to: &str, (instance, from): (&str, &str), names: &[&str]) -> Vec<(String, Expr)> {
        let connect = |name: &&str| (format!("{to}{name}"), self.of(instance, &format!("{from}{name}")));
        names.iter().map(connect).collect()
    }

    fn place(&mut self, instance: &str, inputs: Vec<(String, Expr)>) {
        let inputs: Vec<(&str, Expr)> =
            inputs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        self.nets.place(self.m, instance, &inputs);
    }

    /// Returns the interrupt lines, which are driven later.
    fn litepcie(&mut self) -> Expr {
        self.m.comment("PCIe, and the clock of everything else.");
        let mut inputs = Vec::new();
        for (name, width, doc) in [
            ("pcie_clk_p", 1, "reference clock of the slot, 100 MHz"),
            ("pcie_clk_n", 1, "its complement"),
            ("pcie_rst_n", 1, "PERST#: reset of the slot, active low"),
            ("pcie_rx_p", LANES, "received lanes"),
            ("pcie_rx_n", LANES, "their complements"),
        ] {
            self.m.asynchronous(name);
            inputs.push((name.to_owned(), self.m.input_doc(name, width, doc)));
        }
        let interrupts = self.m.wire("interrupts", INTERRUPTS);
        inputs.push(("msi_irqs".to_owned(), interrupts.clone()));
        // The writer's descriptors end where they say, not at a mark in the stream.
        for name in ["tlast", "tuser"] {
            inputs.push((format!("dma0_writer_axi_{name}"), lit(0, 1)));
        }
        inputs.extend(self.bus("mmap_axi_lite_", ("registers", "s_axil_"), &ANSWERS));
        inputs.extend(self.bus("dma0_reader_axi_", ("to_card", ""), &["tready"]));
        inputs.extend(self.bus("dma0_writer_axi_", ("to_host", ""), &["tvalid", "tdata"]));
        self.place("litepcie", inputs);
        let [clk, rst] = ["clk", "rst"].map(|name| self.of("litepcie", name));
        self.m.clock_from(&clk, &rst);
        interrupts
    }

    fn registers(&mut self) {
        self.m.comment("Registers.");
        let mut inputs = self.bus("s_axil_", ("litepcie", "mmap_axi_lite_"), &ASKS);
        let answers = ["awready", "wready", "bvalid", "arready", "rvalid", "rdata", "rresp"];
        inputs.extend(self.bus("m_axil_", ("core", "s_axil_"), &answers));
        for stream in ["to_card", "to_host"] {
            inputs.extend(self.bus(&format!("{stream}_"), (stream, ""), &["busy", "refused", "done", "crc"]));
        }
        self.place("registers", inputs);
    }

    fn core(&mut self, reset: &Expr) {
        let fixed = [
            ("rst", reset.clone()),
            ("s_axil_wstrb", lit(0xf, 4)),
            ("s_axil_awprot", lit(0, 3)),
            ("s_axil_arprot", lit(0, 3)),
        ];
        let mut inputs: Vec<(String, Expr)> = fixed.map(|(name, value)| (name.to_owned(), value)).into();
        inputs.extend(self.bus("s_axil_", ("registers", "m_axil_"), &ASKS));
        let owned = ["arready", "rvalid", "rid", "awready", "wready", "bvalid", "bid"];
        inputs.extend(self.bus("m_axi_", ("arbiter", "core_"), &owned));
        inputs.extend(self.bus("m_axi_", ("ram", ""), &["rdata", "rresp", "rlast", "bresp"]));
        self.place("core", inputs);
    }

    fn streams(&mut self, reset: &Expr) {
        self.m.comment("Streams.");
        let to_card = [("litepcie", "dma0_reader_axi_", ["tvalid", "tdata"].as_slice())];
        let to_host = [("litepcie", "dma0_writer_axi_", ["tready"].as_slice()), ("ram", "", &["rdata"])];
        for (name, others, answers) in [
            ("to_card", to_card.as_slice(), ["awready", "wready", "bvalid"].as_slice()),
            ("to_host", to_host.as_slice(), &["arready", "rvalid"]),
        ] {
            let mut inputs = vec![("rst".to_owned(), reset.clone())];
            inputs.extend(self.bus("", ("registers", ""), &["stop"]));
            inputs.extend(self.bus("", ("registers", &format!("{name}_")), &["start", "offset", "length"]));
            inputs.extend(self.bus("", ("arbiter", "stream_"), answers));
            for (instance, from, names) in others {
                inputs.extend(self.bus("", (instance, from), names));
            }
            self.place(name, inputs);
        }
    }

    fn memory(&mut self, reset: &Expr) {
        self.m.comment("Memory.");
        let mut inputs = vec![("rst".to_owned(), reset.clone())];
        let answers = ["arready", "rvalid", "rid", "awready", "wready", "bvalid", "bid"];
        inputs.extend(self.bus("", ("ram", ""), &answers));
        inputs.extend(self.bus("core_", ("core", "m_axi_"), &BURSTS));
        let writes = ["awvalid", "awaddr", "awlen", "wvalid", "wdata", "wlast"];
        inputs.extend(self.bus("stream_", ("to_card", ""), &writes));
        inputs.extend(self.bus("stream_", ("to_host", ""), &["arvalid", "araddr", "arlen"]));
        self.place("arbiter", inputs);
        let mut inputs = vec![("rst".to_owned(), reset.clone())];
        inputs.extend(self.bus("", ("arbiter", ""), &BURSTS));
        for name in ["host_valid", "host_write", "host_address", "host_wdata"] {
            let width = self.nets.input("ram", name).map_or(1, |port| port.width);
            inputs.push((name.to_owned(), lit(0, width)));
        }
        self.place("ram", inputs);
    }

    fn interrupts(&mut self, interrupts: &Expr) {
        let irq = self.of("core", "irq");
        let [to_host, to_card] = ["to_host", "to_card"].map(|stream| self.of(stream, "finished"));
        let m = &mut *self.m;
        m.comment("Interrupts: LitePCIe sends one for every cycle that a line is high.");
        let before = m.delay_reset("irq_d1", &irq);
        let rises = m.named("interrupt_rises", &(&irq & !before));
        m.assign(interrupts, &cat(&[lit(0, INTERRUPTS - 3), to_host, to_card, rises]));
    }
}
