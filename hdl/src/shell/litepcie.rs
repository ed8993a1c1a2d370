//! LitePCIe's stand-alone core: what it is generated from, and its ports.

use std::rc::Rc;

use isa::PcieConfig;
use isa::pcie;

use crate::rtl::Module;

/// Name of the generated module.
pub const NAME: &str = "litepcie_core";
/// Lanes of the link.
pub const LANES: u32 = 4;
/// Bits of its streams.
const STREAM_BITS: u32 = 128;
/// Interrupt lines of the card.
pub const INTERRUPTS: u32 = 4;

/// Which hard block LitePCIe talks to. Its streams are as wide as it takes for a clock of 125 MHz, and the ports of the core are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phy {
    /// 7-series, 5 GT/s.
    #[default]
    SevenSeries,
    /// UltraScale+, 8 GT/s. LitePCIe's registers from `PHY_BUS_MASTER_ENABLE` to `PHY_MAX_PAYLOAD_SIZE` lie 4 bytes lower.
    UltraScalePlus,
}

impl Phy {
    /// LitePCIe's name, an FPGA that has it (only a script that we do without depends on which), bits of the block's streams.
    fn fields(self) -> (&'static str, &'static str, u32) {
        match self {
            Phy::SevenSeries => ("S7PCIEPHY", "xc7a200t", 128),
            Phy::UltraScalePlus => ("USPPCIEPHY", "xcvu9p-fsgd2104-2L-e", 256),
        }
    }
}

/// What `litepcie_gen` makes the core of `mst_pcie` from: the text of `litepcie.yml`.
pub fn yaml(config: &PcieConfig, phy: Phy) -> String {
    let own = [
        ("clk_freq", config.clock_hz.to_string()),
        ("mmap_slave", "False".to_owned()),
        ("dma_channels", "1".to_owned()),
        ("dma_buffering", "1024".to_owned()),
        ("dma_loopback", "True".to_owned()),
        ("dma_synchronizer", "False".to_owned()),
        ("dma_monitor", "False".to_owned()),
    ];
    text(&[&common(phy)[..], &own].concat())
}

/// The same for a core with an AXI slave for host memory in place of DMA: what the card does not use, for comparison.
pub fn slave_yaml() -> String {
    let own = [
        ("clk_freq", 125_000_000.to_string()),
        ("mmap_slave", "True".to_owned()),
        ("mmap_slave_axi_full", "True".to_owned()),
        ("dma_channels", "0".to_owned()),
    ];
    text(&[&common(Phy::SevenSeries)[..], &own].concat())
}

fn common(phy: Phy) -> [(&'static str, String); 14] {
    let (name, device, bits) = phy.fields();
    [
        ("phy", name.to_owned()),
        ("phy_device", device.to_owned()),
        ("phy_lanes", LANES.to_string()),
        ("phy_data_width", STREAM_BITS.to_string()),
        ("phy_pcie_data_width", bits.to_string()),
        ("phy_bar0_size", format!("0x{:x}", pcie::BAR0_BYTES)),
        // The clock is PCIe's own: nothing of ours runs in another.
        ("clk_external", "False".to_owned()),
        ("ep_address_width", "64".to_owned()),
        ("ep_max_pending_requests", "8".to_owned()),
        // What is above LitePCIe's own registers goes to the card, at the address that it has in BAR 0.
        ("mmap", "True".to_owned()),
        ("mmap_base", format!("0x{:x}", pcie::CORE_BASE)),
        ("mmap_size", format!("0x{:x}", pcie::BAR0_BYTES - pcie::CORE_BASE)),
        ("mmap_translation", "0x0".to_owned()),
        ("msi_irqs", INTERRUPTS.to_string()),
    ]
}

fn text(fields: &[(&str, String)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

/// The generated core, declared: one DMA channel, registers of the card on AXI4-Lite, its clock and reset from PCIe.
pub fn litepcie_core() -> Rc<Module> {
    let doc = "LitePCIe, from litepcie_gen and litepcie.yml.";
    let inputs = [
        ("pcie_clk_p", 1),
        ("pcie_clk_n", 1),
        ("pcie_rst_n", 1),
        ("pcie_rx_p", LANES),
        ("pcie_rx_n", LANES),
        ("mmap_axi_lite_awready", 1),
        ("mmap_axi_lite_wready", 1),
        ("mmap_axi_lite_bvalid", 1),
        ("mmap_axi_lite_bresp", 2),
        ("mmap_axi_lite_arready", 1),
        ("mmap_axi_lite_rvalid", 1),
        ("mmap_axi_lite_rdata", 32),
        ("mmap_axi_lite_rresp", 2),
        ("dma0_reader_axi_tready", 1),
        ("dma0_writer_axi_tvalid", 1),
        ("dma0_writer_axi_tdata", STREAM_BITS),
        ("dma0_writer_axi_tlast", 1),
        ("dma0_writer_axi_tuser", 1),
        ("msi_irqs", INTERRUPTS),
    ];
    let outputs = [
        ("clk", 1),
        ("rst", 1),
        ("pcie_tx_p", LANES),
        ("pcie_tx_n", LANES),
        ("mmap_axi_lite_awvalid", 1),
        ("mmap_axi_lite_awaddr", 32),
        ("mmap_axi_lite_awprot", 3),
        ("mmap_axi_lite_wvalid", 1),
        ("mmap_axi_lite_wdata", 32),
        ("mmap_axi_lite_wstrb", 4),
        ("mmap_axi_lite_bready", 1),
        ("mmap_axi_lite_arvalid", 1),
        ("mmap_axi_lite_araddr", 32),
        ("mmap_axi_lite_arprot", 3),
        ("mmap_axi_lite_rready", 1),
        ("dma0_reader_axi_tvalid", 1),
        ("dma0_reader_axi_tdata", STREAM_BITS),
        ("dma0_reader_axi_tlast", 1),
        ("dma0_reader_axi_tuser", 1),
        ("dma0_writer_axi_tready", 1),
        ("dma0_status_reader_enable", 1),
        ("dma0_status_writer_enable", 1),
    ];
    Module::foreign(NAME, doc, &inputs, &outputs)
}
