//! Why a function cannot be had from the kernel, and what to do.

use std::io;
use std::path::PathBuf;

/// Why a function cannot be had from the kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VfioError {
    /// There is no such device.
    #[error(
        "no such PCIe device; `mst list` and `lspci -d 10ee:` show what there is; is the bitstream loaded, and was the bus scanned since?"
    )]
    NoDevice,
    /// The device is no card of ours.
    #[error(
        "vendor {vendor:04x}, device {device:04x}, subsystem {subsystem:04x}; a card has {:04x}, {:04x}, {:04x}: is it the right address \
         (`mst list`), and the right bitstream?",
        isa::pcie::VENDOR_ID,
        isa::pcie::DEVICE_ID,
        isa::pcie::SUBSYSTEM_ID
    )]
    OtherDevice {
        /// PCI vendor ID.
        vendor: u16,
        /// PCI device ID.
        device: u16,
        /// PCI subsystem ID.
        subsystem: u16,
    },
    /// Another driver has it, or none.
    #[error(
        "bound to {driver}, not to vfio-pci; as root: modprobe vfio-pci; echo vfio-pci > {device}/driver_override; \
         echo {name} > {device}/driver/unbind (if it is bound); echo {name} > /sys/bus/pci/drivers_probe",
        device = device.display()
    )]
    NotBound {
        /// The driver, or `no driver`.
        driver: String,
        /// Folder of the device.
        device: PathBuf,
        /// Its address.
        name: String,
    },
    /// The kernel has put it into no IOMMU group.
    #[error(
        "it is in no IOMMU group; switch on VT-d or AMD-Vi in the firmware, and boot the kernel with intel_iommu=on (AMD: on by itself)"
    )]
    NoGroup,
    /// A file of VFIO cannot be opened.
    #[error("{}: {source}; {}", path.display(), open_advice(source, path))]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
    /// Other devices of its group are still with the kernel.
    #[error("IOMMU group {group} is not viable: other devices in it are bound to other drivers; bind all in {} to vfio-pci, or move the card to another slot", devices.display())]
    NotViable {
        /// The group.
        group: String,
        /// Folder of its devices.
        devices: PathBuf,
    },
    /// The kernel has no type 1 IOMMU.
    #[error("the kernel offers no type 1 IOMMU; modprobe vfio_iommu_type1")]
    NoIommu,
    /// The kernel has no iommufd for the device.
    #[error(
        "the kernel offers no /dev/iommu, or the device no file in /dev/vfio/devices: it needs Linux 6.6 or later with CONFIG_VFIO_DEVICE_CDEV; use its group (`mst --vfio group`)"
    )]
    NoIommufd,
    /// Memory for a buffer cannot be had.
    #[error("{bytes} bytes for a buffer: {source}; {}", if *huge { "reserve huge pages: sysctl vm.nr_hugepages=N" } else { "free memory of this machine" })]
    Memory {
        /// Bytes of the buffer.
        bytes: usize,
        /// Whether huge pages were asked for.
        huge: bool,
        /// What the system reported.
        source: io::Error,
    },
    /// A buffer cannot be pinned.
    #[error(
        "a buffer of {bytes} bytes cannot be pinned: {source}; this process may lock {limit}: raise it (`ulimit -l`, or memlock in \
         /etc/security/limits.conf), or run as root"
    )]
    Pin {
        /// Bytes of the buffer.
        bytes: usize,
        /// The limit of the process.
        limit: String,
        /// What the system reported.
        source: io::Error,
    },
    /// BAR 0 is not that of a card.
    #[error("BAR 0 has {found} bytes and {}be mapped, a card's has {} and can: load the bitstream that belongs to this driver", if *mappable { "can " } else { "cannot " }, isa::pcie::BAR0_BYTES)]
    Bar {
        /// Its size.
        found: u64,
        /// Whether it can be mapped.
        mappable: bool,
    },
    /// The function has neither MSI-X nor MSI.
    #[error("the function has neither MSI-X nor MSI: load the bitstream that belongs to this driver")]
    NoInterrupt,
    /// A call failed.
    #[error("{what}: {source}; see `dmesg` for what the kernel says of the device")]
    Call {
        /// What was asked of the kernel.
        what: &'static str,
        /// What it reported.
        source: io::Error,
    },
}

fn open_advice(source: &io::Error, path: &std::path::Path) -> String {
    let path = path.display();
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("give your user the file: sudo chown $USER {path}, or a udev rule (docs/pcie-card.md)")
        }
        io::ErrorKind::ResourceBusy => "another program has the card open; end it".to_owned(),
        io::ErrorKind::NotFound => "modprobe vfio-pci, then bind the device again".to_owned(),
        _ => "see `dmesg`".to_owned(),
    }
}
