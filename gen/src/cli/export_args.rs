//! Options of the commands that write files for other tools.

use super::{CoreArgs, ImageArgs, NetworkArgs};
use clap::{Args, ValueEnum};
use hdl::shell::litepcie::Phy;
use std::path::PathBuf;

/// `gen verilog`.
#[derive(Args, Debug)]
pub struct VerilogArgs {
    /// Sizes.
    #[command(flatten)]
    pub core: CoreArgs,
    /// Write the system `mst_soc` instead, the core with memory and a serial line, with the sizes in this file: one like
    /// constraints/ulx3s/mst_soc.json.
    #[arg(long, value_name = "FILE", conflicts_with = "CoreArgs")]
    pub soc: Option<PathBuf>,
    /// Write the PCIe card `mst_pcie` instead, the core with memory behind LitePCIe, with the sizes in this file: one like
    /// constraints/acorn/mst_pcie.json.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["CoreArgs", "soc"])]
    pub pcie: Option<PathBuf>,
    /// The hard block of the card's FPGA, for `litepcie.yml`.
    #[arg(long, value_enum, default_value_t = PhyArg::SevenSeries, requires = "pcie")]
    pub phy: PhyArg,
    /// Folder to write to; made if it does not exist.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// A hard block for PCIe.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PhyArg {
    /// Xilinx 7-series.
    SevenSeries,
    /// Xilinx UltraScale+.
    UltrascalePlus,
}

impl From<PhyArg> for Phy {
    fn from(phy: PhyArg) -> Phy {
        match phy {
            PhyArg::SevenSeries => Phy::SevenSeries,
            PhyArg::UltrascalePlus => Phy::UltraScalePlus,
        }
    }
}

/// `gen spikes`.
#[derive(Args, Debug)]
pub struct SpikesArgs {
    /// The network.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Number of images [default: 100, or as many as there are]
    #[arg(long, value_name = "N", help_heading = "Images")]
    pub images: Option<usize>,
    /// Where they are.
    #[command(flatten)]
    pub source: ImageArgs,
    /// Safetensors file to write.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `gen vectors`.
#[derive(Args, Debug)]
pub struct VectorsArgs {
    /// The network.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Number of layers to run, from the first on [default: all]
    #[arg(long, value_name = "N")]
    pub layers: Option<usize>,
    /// Where the image is.
    #[command(flatten)]
    pub source: ImageArgs,
    /// Sizes.
    #[command(flatten)]
    pub core: CoreArgs,
    /// Folder to write to; made if it does not exist.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}
