//! What `/sys/bus/pci` says of the cards in this machine.

use super::VfioError;
use isa::pcie;
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where the kernel lists PCI devices.
pub const DEVICES: &str = "/sys/bus/pci/devices";

/// Address of a PCI function: `0000:03:00.0`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Bdf(String);

impl FromStr for Bdf {
    type Err = String;

    /// Reads `DDDD:BB:DD.F`, or `BB:DD.F` in domain 0000.
    fn from_str(text: &str) -> Result<Bdf, String> {
        let refuse = || format!("`{text}` is no PCI address; allowed: 0000:03:00.0 or 03:00.0, hexadecimal");
        let number = |part: &str, digits: usize, below: u32| {
            let all = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            u32::from_str_radix(part, 16).ok().filter(|&value| all && value < below).ok_or_else(refuse)
        };
        let parts: Vec<&str> = text.split(':').collect();
        let (domain, bus, rest) = match parts.as_slice() {
            [domain, bus, rest] => (*domain, *bus, *rest),
            [bus, rest] => ("0000", *bus, *rest),
            _ => return Err(refuse()),
        };
        let (device, function) = rest.split_once('.').ok_or_else(refuse)?;
        let (domain, bus) = (number(domain, 4, 1 << 16)?, number(bus, 2, 1 << 8)?);
        let (device, function) = (number(device, 2, 32)?, number(function, 1, 8)?);
        Ok(Bdf(format!("{domain:04x}:{bus:02x}:{device:02x}.{function:x}")))
    }
}

impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A PCI function as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its address.
    pub address: Bdf,
    /// PCI vendor ID.
    pub vendor: u16,
    /// PCI device ID.
    pub device: u16,
    /// PCI subsystem ID.
    pub subsystem: u16,
    /// The driver that it is bound to.
    pub driver: Option<String>,
    /// Its IOMMU group.
    pub group: Option<String>,
    /// Its name in `/dev/vfio/devices`, where a kernel with iommufd has a file for it.
    pub character: Option<String>,
}

impl Device {
    /// Reads what the folder `devices` says of the function at `address`.
    ///
    /// # Errors
    /// [`VfioError::NoDevice`] if it is not there.
    pub fn read(devices: &Path, address: &Bdf) -> Result<Device, VfioError> {
        let folder = devices.join(&address.0);
        let id = |file: &str| {
            let text = std::fs::read_to_string(folder.join(file)).ok()?;
            u16::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
        };
        let target = |link: &str| {
            let target: PathBuf = std::fs::read_link(folder.join(link)).ok()?;
            Some(target.file_name()?.to_string_lossy().into_owned())
        };
        let (Some(vendor), Some(device), Some(subsystem)) =
            (id("vendor"), id("device"), id("subsystem_device"))
        else {
            return Err(VfioError::NoDevice);
        };
        let (driver, group) = (target("driver"), target("iommu_group"));
        let character = std::fs::read_dir(folder.join("vfio-dev"))
            .ok()
            .and_then(|mut entries| Some(entries.next()?.ok()?.file_name().to_string_lossy().into_owned()));
        Ok(Device { address: address.clone(), vendor, device, subsystem, driver, group, character })
    }

    /// Whether its IDs are those of a card.
    pub fn is_card(&self) -> bool {
        [self.vendor, self.device, self.subsystem] == [pcie::VENDOR_ID, pcie::DEVICE_ID, pcie::SUBSYSTEM_ID]
    }

    /// Refuses what is no card, is not bound to vfio-pci, or is in no group; returns the group.
    pub(super) fn usable(&self, devices: &Path) -> Result<&str, VfioError> {
        if !self.is_card() {
            let Device { vendor, device, subsystem, .. } = *self;
            return Err(VfioError::OtherDevice { vendor, device, subsystem });
        }
        let group = self.group.as_deref().ok_or(VfioError::NoGroup)?;
        if self.driver.as_deref() != Some("vfio-pci") {
            let driver = self.driver.clone().unwrap_or_else(|| "no driver".to_owned());
            let (device, name) = (devices.join(&self.address.0), self.address.to_string());
            return Err(VfioError::NotBound { driver, device, name });
        }
        Ok(group)
    }
}

/// The cards in the folder `devices`, by address.
pub fn cards(devices: &Path) -> Vec<Device> {
    let entries = std::fs::read_dir(devices).into_iter().flatten().flatten();
    let addresses = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<Bdf>().ok());
    let mut cards: Vec<Device> = addresses
        .filter_map(|address| Device::read(devices, &address).ok())
        .filter(Device::is_card)
        .collect();
    cards.sort_by(|a, b| a.address.cmp(&b.address));
    cards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_a_domain() {
        let read = |text: &str| text.parse::<Bdf>().map(|bdf| bdf.to_string());
        assert_eq!(read("03:00.0").unwrap(), "0000:03:00.0");
        assert_eq!(read("0001:AF:1f.7").unwrap(), "0001:af:1f.7");
        for wrong in ["", "3:0.0", "03:00", "03:20.0", "03:00.8", "0000:03:00.0.0", "x:03:00.0", "03:+1.0"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    fn card(driver: Option<&str>, group: Option<&str>) -> Device {
        Device {
            address: "03:00.0".parse().unwrap(),
            vendor: pcie::VENDOR_ID,
            device: pcie::DEVICE_ID,
            subsystem: pcie::SUBSYSTEM_ID,
            driver: driver.map(str::to_owned),
            group: group.map(str::to_owned),
            character: None,
        }
    }

    #[test]
    fn the_kernels_files_say_what_a_device_is() {
        let devices = std::env::temp_dir().join(format!("mst-devices-{}", std::process::id()));
        let folder = devices.join("0000:03:00.0");
        std::fs::create_dir_all(folder.join("vfio-dev/vfio3")).unwrap();
        for (file, id) in [
            ("vendor", pcie::VENDOR_ID),
            ("device", pcie::DEVICE_ID),
            ("subsystem_device", pcie::SUBSYSTEM_ID),
        ] {
            std::fs::write(folder.join(file), format!("0x{id:04x}\n")).unwrap();
        }
        std::os::unix::fs::symlink("../../drivers/vfio-pci", folder.join("driver")).unwrap();
        std::os::unix::fs::symlink("../../iommu_groups/14", folder.join("iommu_group")).unwrap();
        let expected = Device { character: Some("vfio3".to_owned()), ..card(Some("vfio-pci"), Some("14")) };
        assert_eq!(cards(&devices), [expected]);
        std::fs::remove_dir_all(&devices).unwrap();
    }

    #[test]
    fn what_cannot_be_used_says_why_and_what_to_do() {
        let devices = Path::new(DEVICES);
        assert_eq!(card(Some("vfio-pci"), Some("7")).usable(devices).unwrap(), "7");
        let message = |device: Device| device.usable(devices).unwrap_err().to_string();
        assert!(message(card(None, Some("7"))).contains("echo 0000:03:00.0 > /sys/bus/pci/drivers_probe"));
        assert!(message(card(Some("xdma"), Some("7"))).starts_with("bound to xdma"));
        assert!(message(card(Some("vfio-pci"), None)).contains("intel_iommu=on"));
        let other = Device { subsystem: 7, ..card(Some("vfio-pci"), Some("7")) };
        assert!(message(other).starts_with("vendor 10ee, device 7024, subsystem 0007"));
    }
}
