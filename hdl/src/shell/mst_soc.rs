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
use crate::rtl::{Builder, Expr, Module, RtlError, lit, mux};

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
    let core = mst_core(&config.core)?;
    let ram = axi_ram(&config.into())?;
    let bus = host_bus(config)?;
    let bridge = serial_bridge(config.silence_cycles())?;
    let receiver = uart_rx(config.cycles_per_bit())?;
    let transmitter = uart_tx(config.cycles_per_bit())?;
    let waiting = stream_fifo(8, WAITING_BYTES)?;
    let doc = "Accelerator for Masked Spiking Transformers with memory of its own, behind a serial line (docs/isa.md).";
    Module::build("mst_soc", doc, |m: &mut Builder| {
        let pin = m.input_doc("rx", 1, "serial line in, high when idle");
        m.asynchronous("rx");
        m.comment("Serial line.");
        let receiver = m.instance("receiver", &receiver, &[("rx", pin)]);
        m.comment("The next byte waits in a register: what the bridge makes of it takes its cycle.");
        let byte_taken = m.wire("byte_taken", 1);
        let byte_valid = m.reg_reset("byte_valid", 1, 0);
        let rx_ready = m.named("rx_ready", &!&byte_valid);
        let waiting = m.instance(
            "waiting",
            &waiting,
            &[
                ("flush", lit(0, 1)),
                ("push_valid", receiver.output("valid")),
                ("push_data", receiver.output("data")),
                ("pop_ready", rx_ready.clone()),
            ],
        );
        m.set(&byte_valid, &mux(&byte_valid, &!&byte_taken, &waiting.output("pop_valid")));
        let byte = m.sample("byte_data", &rx_ready, &waiting.output("pop_data"));
        let tx_valid = m.wire("tx_valid", 1);
        let tx_data = m.wire("tx_data", 8);
        let transmitter = m.instance(
            "transmitter",
            &transmitter,
            &[("valid", tx_valid.clone()), ("data", tx_data.clone())],
        );
        let bus_done = m.wire("access_done", 1);
        let bus_rdata = m.wire("access_rdata", 32);
        let crc_clear = m.wire("crc_restart", 1);
        let bridge = m.instance(
            "bridge",
            &bridge,
            &[
                ("rx_valid", byte_valid),
                ("rx_data", byte),
                ("tx_ready", transmitter.output("ready")),
                ("bus_done", bus_done.clone()),
                ("bus_rdata", bus_rdata.clone()),
                ("crc_clear", crc_clear.clone()),
            ],
        );
        m.assign(&byte_taken, &bridge.output("rx_ready"));
        m.assign(&tx_valid, &bridge.output("tx_valid"));
        m.assign(&tx_data, &bridge.output("tx_data"));

        m.comment("Where accesses go.");
        let memory_done = m.wire("memory_done", 1);
        let memory_rdata = m.wire("memory_rdata", 32);
        let mut inputs: Vec<(String, Expr)> = vec![
            ("valid".into(), bridge.output("bus_valid")),
            ("write".into(), bridge.output("bus_write")),
            ("address".into(), bridge.output("bus_address")),
            ("wdata".into(), bridge.output("bus_wdata")),
            ("crc".into(), bridge.output("crc")),
            ("memory_done".into(), memory_done.clone()),
            ("memory_rdata".into(), memory_rdata.clone()),
        ];
        let answers = [
            ("awready", 1),
            ("wready", 1),
            ("bvalid", 1),
            ("bresp", 2),
            ("arready", 1),
            ("rvalid", 1),
            ("rdata", 32),
            ("rresp", 2),
        ];
        let answers = wires_to(m, "axil", &answers, &mut inputs);
        let inputs: Vec<(&str, Expr)> =
            inputs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let bus = m.instance("bus", &bus, &inputs);
        m.assign(&bus_done, &bus.output("done"));
        m.assign(&bus_rdata, &bus.output("rdata"));
        m.assign(&crc_clear, &bus.output("crc_clear"));

        m.comment("The core.");
        let mut inputs: Vec<(String, Expr)> = vec![
            ("s_axil_wstrb".into(), lit(0xf, 4)),
            ("s_axil_awprot".into(), lit(0, 3)),
            ("s_axil_arprot".into(), lit(0, 3)),
        ];
        for name in ["awvalid", "awaddr", "wvalid", "wdata", "bready", "arvalid", "araddr", "rready"] {
            inputs.push((format!("s_axil_{name}"), bus.output(&format!("m_axil_{name}"))));
        }
        let memory = [
            ("awready", 1),
            ("wready", 1),
            ("bvalid", 1),
            ("bresp", 2),
            ("bid", 1),
            ("arready", 1),
            ("rvalid", 1),
            ("rid", 1),
            ("rdata", config.core.bus_bits),
            ("rresp", 2),
            ("rlast", 1),
        ];
        let memory = wires_to(m, "axi", &memory, &mut inputs);
        let inputs: Vec<(&str, Expr)> =
            inputs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let core = m.instance("core", &core, &inputs);
        for (name, wire) in &answers {
            m.assign(wire, &core.output(&format!("s_axil_{name}")));
        }

        m.comment("Memory.");
        let mut inputs = vec![
            ("host_valid", bus.output("memory_valid")),
            ("host_write", bus.output("memory_write")),
            ("host_address", bus.output("memory_address")),
            ("host_wdata", bus.output("memory_wdata")),
        ];
        for name in [
            "arvalid", "araddr", "arlen", "arid", "rready", "awvalid", "awaddr", "awlen", "awid", "wvalid",
            "wdata", "wstrb", "wlast", "bready",
        ] {
            inputs.push((name, core.output(&format!("m_axi_{name}"))));
        }
        let ram = m.instance("ram", &ram, &inputs);
        m.assign(&memory_done, &ram.output("host_done"));
        m.assign(&memory_rdata, &ram.output("host_rdata"));
        for (name, wire) in &memory {
            m.assign(wire, &ram.output(name));
        }

        m.output_doc("tx", &transmitter.output("tx"), "serial line out, high when idle");
        m.output_doc("busy", &core.output("busy"), "a run is in progress");
        m.output_doc("error", &core.output("error"), "a run failed, and nothing reset the core since");
    })
}

/// A wire for each answer of a bus whose other end is placed later, as an input of the manager; returns them by the answers' names.
fn wires_to<'a>(
    m: &mut Builder,
    bus: &str,
    answers: &[(&'a str, u32)],
    inputs: &mut Vec<(String, Expr)>,
) -> Vec<(&'a str, Expr)> {
    let wires: Vec<_> =
        answers.iter().map(|&(name, width)| (name, m.wire(&format!("{bus}_{name}"), width))).collect();
    inputs.extend(wires.iter().map(|(name, wire)| (format!("m_{bus}_{name}"), wire.clone())));
    wires
}
