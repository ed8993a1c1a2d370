//! The core with memory of its own, behind a serial line.

use std::rc::Rc;

use isa::SocConfig;

use super::axi_ram::axi_ram;
use super::host_bus::host_bus;
use super::serial_bridge::serial_bridge;
use super::uart_rx::uart_rx;
use super::uart_tx::uart_tx;
use crate::core::stream_fifo::stream_fifo;
use crate::core::{mst_core, refused};
use crate::rtl::{Builder, Expr, Module, Nets, RtlError, lit, mux};

/// Bytes that wait while an answer is sent: a host may send the next command before it has read the answer.
const WAITING_BYTES: u32 = 32;

/// An accelerator that needs nothing but a clock and a serial line: `mst_core`, memory in block RAM, LiteX's uartbone ([`isa::soc`]).
///
/// `rx` and `tx` rest high. `busy` is high while a run is in progress and `error` once one failed, for LEDs.
///
/// # Errors
/// If the configuration is invalid, naming the field.
pub fn mst_soc(config: &SocConfig) -> Result<Rc<Module>, RtlError> {
    config.validate().map_err(refused("mst_soc", "system configuration"))?;
    let parts = [
        ("receiver", uart_rx(config.cycles_per_bit())?),
        ("waiting", stream_fifo(8, WAITING_BYTES)?),
        ("transmitter", uart_tx(config.cycles_per_bit())?),
        ("bridge", serial_bridge(config.silence_cycles())?),
        ("bus", host_bus(config)?),
        ("core", mst_core(&config.core)?),
        ("ram", axi_ram(&config.into())?),
    ];
    let parts = parts.each_ref().map(|(name, module)| (*name, module));
    let doc = "Accelerator for Masked Spiking Transformers with memory of its own, behind a serial line (docs/isa.md).";
    Module::build("mst_soc", doc, |m: &mut Builder| {
        let mut nets = Nets::new(&parts);
        serial_line(m, &mut nets);
        accesses(m, &mut nets);
        core_and_memory(m, &mut nets);
        for (name, instance, doc) in [
            ("tx", "transmitter", "serial line out, high when idle"),
            ("busy", "core", "a run is in progress"),
            ("error", "core", "a run failed, and nothing reset the core since"),
        ] {
            let value = nets.output(m, instance, name);
            m.output_doc(name, &value, doc);
        }
    })
}

fn serial_line(m: &mut Builder, nets: &mut Nets<'_>) {
    let pin = m.input_doc("rx", 1, "serial line in, high when idle");
    m.asynchronous("rx");
    m.comment("Serial line.");
    nets.place(m, "receiver", &[("rx", pin)]);
    m.comment("The next byte waits in a register: what the bridge makes of it takes its cycle.");
    let byte_valid = m.reg_reset("byte_valid", 1, 0);
    let rx_ready = m.named("rx_ready", &!&byte_valid);
    let inputs = [
        ("flush", lit(0, 1)),
        ("push_valid", nets.output(m, "receiver", "valid")),
        ("push_data", nets.output(m, "receiver", "data")),
        ("pop_ready", rx_ready.clone()),
    ];
    let waiting = nets.place(m, "waiting", &inputs);
    let taken = nets.output(m, "bridge", "rx_ready");
    m.set(&byte_valid, &mux(&byte_valid, &!taken, &waiting.output("pop_valid")));
    let byte = m.sample("byte_data", &rx_ready, &waiting.output("pop_data"));
    let inputs =
        [("valid", nets.output(m, "bridge", "tx_valid")), ("data", nets.output(m, "bridge", "tx_data"))];
    nets.place(m, "transmitter", &inputs);
    let inputs = [
        ("rx_valid", byte_valid),
        ("rx_data", byte),
        ("tx_ready", nets.output(m, "transmitter", "ready")),
        ("bus_done", nets.output(m, "bus", "done")),
        ("bus_rdata", nets.output(m, "bus", "rdata")),
        ("crc_clear", nets.output(m, "bus", "crc_clear")),
    ];
    nets.place(m, "bridge", &inputs);
}

fn accesses(m: &mut Builder, nets: &mut Nets<'_>) {
    m.comment("Where accesses go.");
    let mut inputs = vec![
        ("valid", nets.output(m, "bridge", "bus_valid")),
        ("write", nets.output(m, "bridge", "bus_write")),
        ("address", nets.output(m, "bridge", "bus_address")),
        ("wdata", nets.output(m, "bridge", "bus_wdata")),
        ("crc", nets.output(m, "bridge", "crc")),
        ("memory_done", nets.output(m, "ram", "host_done")),
        ("memory_rdata", nets.output(m, "ram", "host_rdata")),
    ];
    for (input, output) in [
        ("m_axil_awready", "s_axil_awready"),
        ("m_axil_wready", "s_axil_wready"),
        ("m_axil_bvalid", "s_axil_bvalid"),
        ("m_axil_bresp", "s_axil_bresp"),
        ("m_axil_arready", "s_axil_arready"),
        ("m_axil_rvalid", "s_axil_rvalid"),
        ("m_axil_rdata", "s_axil_rdata"),
        ("m_axil_rresp", "s_axil_rresp"),
    ] {
        inputs.push((input, nets.output(m, "core", output)));
    }
    nets.place(m, "bus", &inputs);
}

fn core_and_memory(m: &mut Builder, nets: &mut Nets<'_>) {
    m.comment("The core.");
    let fixed = [("s_axil_wstrb", lit(0xf, 4)), ("s_axil_awprot", lit(0, 3)), ("s_axil_arprot", lit(0, 3))];
    let mut inputs: Vec<(String, Expr)> = fixed.map(|(name, value)| (name.to_owned(), value)).into();
    for name in ["awvalid", "awaddr", "wvalid", "wdata", "bready", "arvalid", "araddr", "rready"] {
        inputs.push((format!("s_axil_{name}"), nets.output(m, "bus", &format!("m_axil_{name}"))));
    }
    for name in
        ["awready", "wready", "bvalid", "bresp", "bid", "arready", "rvalid", "rid", "rdata", "rresp", "rlast"]
    {
        inputs.push((format!("m_axi_{name}"), nets.output(m, "ram", name)));
    }
    let inputs: Vec<(&str, Expr)> =
        inputs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    nets.place(m, "core", &inputs);

    m.comment("Memory.");
    let mut inputs = vec![
        ("host_valid", nets.output(m, "bus", "memory_valid")),
        ("host_write", nets.output(m, "bus", "memory_write")),
        ("host_address", nets.output(m, "bus", "memory_address")),
        ("host_wdata", nets.output(m, "bus", "memory_wdata")),
    ];
    for name in [
        "arvalid", "araddr", "arlen", "arid", "rready", "awvalid", "awaddr", "awlen", "awid", "wvalid",
        "wdata", "wstrb", "wlast", "bready",
    ] {
        inputs.push((name, nets.output(m, "core", &format!("m_axi_{name}"))));
    }
    nets.place(m, "ram", &inputs);
}
