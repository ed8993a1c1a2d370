//! Where the accelerator is.

use crate::error::MstError;
use clap::{Args, ValueEnum};
use driver::link::Link;
use driver::pcie::vfio::{Bdf, Interface, Pages, VfioFunction};
use driver::pcie::{PcieLink, PcieOptions, Traffic};
use driver::{Accelerator, LinkError, SerialLink};
use indicatif::{ProgressBar, ProgressStyle};
use isa::CoreConfig;
use sim::{SimLink, SimOptions};
use std::str::FromStr;
use std::time::Duration;

/// The rate of the boards that `constraints/` describes.
const BAUD: u32 = 1_000_000;

/// Where the accelerator is, and how long it may take.
#[derive(Args, Debug)]
pub struct Place {
    /// The way to the accelerator: `serial:PATH[@BAUD]` (1000000 unless given), `pcie:BUS:DEVICE.FUNCTION` or `sim[:PRESET]` (ecp5
    /// unless given).
    #[arg(long, global = true, env = "MST_LINK", value_name = "LINK")]
    pub link: Option<LinkArg>,
    /// Seconds that an answer of the link may take.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    timeout: f64,
    /// Seconds that one image may take on the core.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    deadline: f64,
    /// A PCIe card's buffers are made of pages of 2 MiB, of which two must be reserved (sysctl vm.nr_hugepages): fewer entries in the
    /// IOMMU.
    #[arg(long, global = true)]
    huge_pages: bool,
    /// How the kernel gives a PCIe card to this program: by its IOMMU group, or by iommufd (Linux 6.6 and later, if built with it)
    /// [default: group where there is one]
    #[arg(long, global = true, value_enum, value_name = "INTERFACE")]
    vfio: Option<VfioArg>,
}

/// An interface of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum VfioArg {
    Group,
    Iommufd,
}

impl From<VfioArg> for Interface {
    fn from(argument: VfioArg) -> Interface {
        match argument {
            VfioArg::Group => Interface::Group,
            VfioArg::Iommufd => Interface::Iommufd,
        }
    }
}

/// A way to an accelerator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkArg {
    /// An `mst_soc` on a serial port.
    Serial {
        /// The port.
        path: String,
        /// Bits a second.
        baud: u32,
    },
    /// An `mst_pcie` in a slot of this machine.
    Pcie {
        /// Its address.
        address: Bdf,
    },
    /// A Verilated core.
    Sim {
        /// Name of its configuration.
        preset: String,
    },
}

impl FromStr for LinkArg {
    type Err = String;

    fn from_str(text: &str) -> Result<LinkArg, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "serial" if !rest.is_empty() => {
                let (path, baud) = match rest.rsplit_once('@') {
                    Some((path, baud)) => {
                        (path, baud.parse().map_err(|_| format!("`{baud}` is no baud rate"))?)
                    }
                    None => (rest, BAUD),
                };
                match baud {
                    0 => Err("0 is no baud rate".to_owned()),
                    _ => Ok(LinkArg::Serial { path: path.to_owned(), baud }),
                }
            }
            "pcie" => Ok(LinkArg::Pcie { address: rest.parse()? }),
            "sim" => {
                let preset = if rest.is_empty() { "ecp5" } else { rest };
                match CoreConfig::preset(preset) {
                    Some(_) => Ok(LinkArg::Sim { preset: preset.to_owned() }),
                    None => {
                        Err(format!("`{preset}` is no preset; there are {}", CoreConfig::PRESETS.join(", ")))
                    }
                }
            }
            _ => Err("allowed: serial:PATH[@BAUD], pcie:BUS:DEVICE.FUNCTION or sim[:PRESET]".to_owned()),
        }
    }
}

/// A duration that is no nonsense.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "allowed: a number of seconds".to_owned())?;
    if (0.001..=86_400.0).contains(&seconds) { Ok(seconds) } else { Err("allowed: 0.001..=86400".to_owned()) }
}

impl Place {
    /// The accelerator, found and reset.
    pub fn open(&self) -> Result<Accelerator<OpenLink>, MstError> {
        let timeout = Duration::from_secs_f64(self.timeout);
        let link = match self.link.as_ref().ok_or(MstError::NoLink)? {
            LinkArg::Serial { path, baud } => {
                OpenLink::Other(Box::new(SerialLink::open(path, *baud, timeout)?))
            }
            LinkArg::Pcie { address } => {
                let pages = if self.huge_pages { Pages::Huge } else { Pages::Small };
                let function = VfioFunction::open(address, pages, self.vfio.map(Interface::from))?;
                let options = PcieOptions { deadline: timeout, ..PcieOptions::default() };
                OpenLink::Pcie(Box::new(PcieLink::open(function, &options)?))
            }
            LinkArg::Sim { preset } => {
                let core = CoreConfig::preset(preset).expect("checked when it was read");
                let spinner =
                    spinner(format!("compiling the simulation of `{preset}` (half a minute, once)"));
                let link = SimLink::new(&hdl::core::mst_core(&core)?, &core, &SimOptions::default())?;
                spinner.finish_and_clear();
                OpenLink::Other(Box::new(link))
            }
        };
        let mut accelerator = Accelerator::open(link)?;
        accelerator.set_deadline(Duration::from_secs_f64(self.deadline));
        Ok(accelerator)
    }
}

/// A spinner on stderr if that is a terminal.
pub fn spinner(what: String) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} {msg}  {elapsed}").expect("the template is well-formed");
    let spinner = ProgressBar::new_spinner().with_style(style).with_message(what);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// An open link: a PCIe card can do more than others.
pub enum OpenLink {
    /// A card.
    Pcie(Box<PcieLink<VfioFunction>>),
    /// A serial line or a simulation.
    Other(Box<dyn Link>),
}

impl OpenLink {
    /// What a card's DMA carried; nothing for other links.
    pub fn traffic(&self) -> Option<Traffic> {
        match self {
            OpenLink::Pcie(link) => Some(link.traffic()),
            OpenLink::Other(_) => None,
        }
    }

    /// How the kernel gives a card to this process, in a few words; nothing for other links.
    pub fn function(&mut self) -> Option<String> {
        match self {
            OpenLink::Pcie(link) => {
                let function = link.function();
                let pages = match function.pages() {
                    Pages::Small => "4 KiB",
                    Pages::Huge => "2 MiB",
                };
                let (interrupt, interface) = (function.interrupt(), function.interface());
                Some(format!("interrupts by {interrupt}, VFIO by {interface}, buffers in pages of {pages}"))
            }
            OpenLink::Other(_) => None,
        }
    }

    /// Sends bytes through a card's DMA and back; returns how many, nothing for other links.
    pub fn loopback(&mut self) -> Result<Option<usize>, LinkError> {
        match self {
            OpenLink::Pcie(link) => link.loopback(usize::MAX).map(Some),
            OpenLink::Other(_) => Ok(None),
        }
    }

    /// Resets a whole card; other links have no such reset.
    pub fn reset(&mut self) -> Result<(), LinkError> {
        match self {
            OpenLink::Pcie(link) => link.reset(),
            OpenLink::Other(_) => Ok(()),
        }
    }
}

impl std::ops::Deref for OpenLink {
    type Target = dyn Link;

    fn deref(&self) -> &(dyn Link + 'static) {
        match self {
            OpenLink::Pcie(link) => link.as_ref(),
            OpenLink::Other(link) => link.as_ref(),
        }
    }
}

/// Which makes it a [`Link`], too.
impl std::ops::DerefMut for OpenLink {
    fn deref_mut(&mut self) -> &mut (dyn Link + 'static) {
        match self {
            OpenLink::Pcie(link) => link.as_mut(),
            OpenLink::Other(link) => link.as_mut(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_as_the_help_says() {
        let serial = |path: &str, baud| Ok(LinkArg::Serial { path: path.to_owned(), baud });
        assert_eq!("serial:/dev/ttyUSB0".parse(), serial("/dev/ttyUSB0", BAUD));
        assert_eq!("serial:/dev/ttyUSB0@115200".parse(), serial("/dev/ttyUSB0", 115_200));
        assert_eq!("sim".parse(), Ok(LinkArg::Sim { preset: "ecp5".to_owned() }));
        assert_eq!("sim:tiny".parse(), Ok(LinkArg::Sim { preset: "tiny".to_owned() }));
        assert_eq!("pcie:0000:03:00.0".parse(), Ok(LinkArg::Pcie { address: "03:00.0".parse().unwrap() }));
        for wrong in [
            "pcie",
            "pcie:3",
            "",
            "serial",
            "serial:",
            "serial:/dev/x@0",
            "serial:/dev/x@fast",
            "sim:huge",
            "usb:1",
        ] {
            assert!(wrong.parse::<LinkArg>().is_err(), "{wrong}");
        }
    }
}
