//! The ports of `mst_core`, channel by channel.

use crate::axi::{Address, MAX_BEAT, ManagerSignals, Response, SubordinateSignals, WriteData};
use crate::verilated::{Input, Model, ModelError, Output};

/// What the host drives on the AXI4-Lite port in a cycle.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HostSignals {
    /// AW: byte offset.
    pub(crate) write_address: Option<u32>,
    /// W.
    pub(crate) write_data: Option<u32>,
    /// BREADY.
    pub(crate) response_ready: bool,
    /// AR: byte offset.
    pub(crate) read_address: Option<u32>,
    /// RREADY.
    pub(crate) read_ready: bool,
}

/// What the core answers on the AXI4-Lite port in a cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RegisterSignals {
    /// AWREADY.
    pub(crate) write_address_ready: bool,
    /// WREADY.
    pub(crate) write_data_ready: bool,
    /// B: response code.
    pub(crate) write_response: Option<u8>,
    /// ARREADY.
    pub(crate) read_address_ready: bool,
    /// R: response code and data.
    pub(crate) read_data: Option<(u8, u32)>,
}

macro_rules! ports {
    (inputs: $($input:ident),*; outputs: $($output:ident),*;) => {
        /// A handle for every port.
        pub(crate) struct CorePorts {
            $($input: Input,)*
            $($output: Output,)*
        }

        impl CorePorts {
            pub(crate) fn new(model: &Model) -> Result<CorePorts, ModelError> {
                Ok(CorePorts {
                    $($input: model.input(stringify!($input))?,)*
                    $($output: model.output(stringify!($output))?,)*
                })
            }
        }
    };
}

ports! {
    inputs: rst,
        s_axil_awaddr, s_axil_awprot, s_axil_awvalid, s_axil_wdata, s_axil_wstrb, s_axil_wvalid, s_axil_bready,
        s_axil_araddr, s_axil_arprot, s_axil_arvalid, s_axil_rready,
        m_axi_awready, m_axi_wready, m_axi_bid, m_axi_bresp, m_axi_bvalid,
        m_axi_arready, m_axi_rid, m_axi_rdata, m_axi_rresp, m_axi_rlast, m_axi_rvalid;
    outputs: s_axil_awready, s_axil_wready, s_axil_bresp, s_axil_bvalid, s_axil_arready, s_axil_rdata, s_axil_rresp, s_axil_rvalid,
        m_axi_awid, m_axi_awaddr, m_axi_awlen, m_axi_awsize, m_axi_awburst, m_axi_awvalid,
        m_axi_wdata, m_axi_wstrb, m_axi_wlast, m_axi_wvalid, m_axi_bready,
        m_axi_arid, m_axi_araddr, m_axi_arlen, m_axi_arsize, m_axi_arburst, m_axi_arvalid, m_axi_rready,
        irq, busy, error;
}

impl CorePorts {
    pub(crate) fn set_reset(&self, model: &mut Model, reset: bool) {
        model.set(self.rst, u64::from(reset));
    }

    pub(crate) fn interrupt(&self, model: &Model) -> bool {
        model.get(self.irq) != 0
    }

    pub(crate) fn lights(&self, model: &Model) -> [bool; 2] {
        [self.busy, self.error].map(|light| model.get(light) != 0)
    }

    pub(crate) fn drive_host(&self, model: &mut Model, host: &HostSignals) {
        model.set(self.s_axil_awvalid, u64::from(host.write_address.is_some()));
        model.set(self.s_axil_awaddr, u64::from(host.write_address.unwrap_or(0)));
        model.set(self.s_axil_awprot, 0);
        model.set(self.s_axil_wvalid, u64::from(host.write_data.is_some()));
        model.set(self.s_axil_wdata, u64::from(host.write_data.unwrap_or(0)));
        model.set(self.s_axil_wstrb, 0xf);
        model.set(self.s_axil_bready, u64::from(host.response_ready));
        model.set(self.s_axil_arvalid, u64::from(host.read_address.is_some()));
        model.set(self.s_axil_araddr, u64::from(host.read_address.unwrap_or(0)));
        model.set(self.s_axil_arprot, 0);
        model.set(self.s_axil_rready, u64::from(host.read_ready));
    }

    pub(crate) fn sample_registers(&self, model: &Model) -> RegisterSignals {
        let bit = |port| model.get(port) != 0;
        RegisterSignals {
            write_address_ready: bit(self.s_axil_awready),
            write_data_ready: bit(self.s_axil_wready),
            write_response: bit(self.s_axil_bvalid).then(|| model.get(self.s_axil_bresp) as u8),
            read_address_ready: bit(self.s_axil_arready),
            read_data: bit(self.s_axil_rvalid)
                .then(|| (model.get(self.s_axil_rresp) as u8, model.get(self.s_axil_rdata) as u32)),
        }
    }

    pub(crate) fn drive_memory(&self, model: &mut Model, memory: &SubordinateSignals) {
        model.set(self.m_axi_awready, u64::from(memory.write_address_ready));
        model.set(self.m_axi_wready, u64::from(memory.write_data_ready));
        model.set(self.m_axi_arready, u64::from(memory.read_address_ready));
        model.set(self.m_axi_bvalid, u64::from(memory.write_response.is_some()));
        if let Some(b) = memory.write_response {
            model.set(self.m_axi_bid, u64::from(b.id));
            model.set(self.m_axi_bresp, b.response as u64);
        }
        model.set(self.m_axi_rvalid, u64::from(memory.read_data.is_some()));
        if let Some(r) = memory.read_data {
            model.set(self.m_axi_rid, u64::from(r.id));
            model.set(self.m_axi_rresp, r.response as u64);
            model.set(self.m_axi_rlast, u64::from(r.last));
            let (low, high) = halves(&r.data);
            model.set_wide(self.m_axi_rdata, &[low, high]);
        }
    }

    /// What a memory that has nothing to say puts on its payload signals: noise, for the core must not look at it.
    pub(crate) fn drive_noise(&self, model: &mut Model, noise: u64, memory: &SubordinateSignals) {
        if memory.read_data.is_none() {
            model.set(self.m_axi_rid, noise & 1);
            model.set(self.m_axi_rresp, noise >> 1 & 3);
            model.set(self.m_axi_rlast, noise >> 3 & 1);
            model.set_wide(self.m_axi_rdata, &[noise, !noise]);
        }
        if memory.write_response.is_none() {
            model.set(self.m_axi_bid, noise >> 4 & 1);
            model.set(self.m_axi_bresp, noise >> 5 & 3);
        }
    }

    pub(crate) fn sample_memory(&self, model: &Model) -> ManagerSignals {
        let bit = |port| model.get(port) != 0;
        ManagerSignals {
            write_address: bit(self.m_axi_awvalid).then(|| Address {
                id: model.get(self.m_axi_awid) as u8,
                address: model.get(self.m_axi_awaddr),
                len: model.get(self.m_axi_awlen) as u8,
                size: model.get(self.m_axi_awsize) as u8,
                burst: model.get(self.m_axi_awburst) as u8,
            }),
            write_data: bit(self.m_axi_wvalid).then(|| WriteData {
                data: beat(model.get_wide(self.m_axi_wdata)),
                strobe: model.get(self.m_axi_wstrb) as u16,
                last: bit(self.m_axi_wlast),
            }),
            response_ready: bit(self.m_axi_bready),
            read_address: bit(self.m_axi_arvalid).then(|| Address {
                id: model.get(self.m_axi_arid) as u8,
                address: model.get(self.m_axi_araddr),
                len: model.get(self.m_axi_arlen) as u8,
                size: model.get(self.m_axi_arsize) as u8,
                burst: model.get(self.m_axi_arburst) as u8,
            }),
            read_ready: bit(self.m_axi_rready),
        }
    }
}

/// Name of a response code.
pub(crate) fn response_name(code: u8) -> &'static str {
    match code {
        c if c == Response::Okay as u8 => "OKAY",
        c if c == Response::SlaveError as u8 => "SLVERR",
        c if c == Response::DecodeError as u8 => "DECERR",
        _ => "EXOKAY",
    }
}

fn halves(data: &[u8; MAX_BEAT]) -> (u64, u64) {
    let value = u128::from_le_bytes(*data);
    (value as u64, (value >> 64) as u64)
}

fn beat(words: &[u64]) -> [u8; MAX_BEAT] {
    let low = words.first().copied().unwrap_or(0);
    let high = words.get(1).copied().unwrap_or(0);
    (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
}
