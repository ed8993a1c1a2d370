//! The two ways in which the kernel gives a device to a process and maps memory for it: groups and containers, or iommufd.

use super::VfioError;
use super::sys::{self, Mapping};
use super::sysfs::{Bdf, Device};
use super::{call, open};
use crate::pcie::function::Direction;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use vfio_bindings::bindings::vfio::{VFIO_GROUP_FLAGS_VIABLE, VFIO_TYPE1v2_IOMMU};

/// Files of the kernel.
const CONTAINER: &str = "/dev/vfio/vfio";
const GROUPS: &str = "/dev/vfio";
const CHARACTER_DEVICES: &str = "/dev/vfio/devices";
const IOMMUFD: &str = "/dev/iommu";

/// By which interface the kernel gives a device to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// The device's IOMMU group in a container: `/dev/vfio/N`, `/dev/vfio/vfio`.
    Group,
    /// The device alone, mappings in iommufd: `/dev/vfio/devices/vfioN`, `/dev/iommu`. Kernels from 6.6 on that were built with it.
    Iommufd,
}

impl Interface {
    /// The one that the files under `root` (`/`) offer for a device: that of groups, if there are both.
    fn found(root: &Path, group: &str, character: Option<&str>) -> Interface {
        let there = |path: PathBuf| root.join(path.strip_prefix("/").unwrap_or(&path)).exists();
        let iommufd = character.is_some_and(|name| there(Path::new(CHARACTER_DEVICES).join(name)));
        match there(Path::new(GROUPS).join(group)) {
            false if iommufd && there(IOMMUFD.into()) => Interface::Iommufd,
            _ => Interface::Group,
        }
    }
}

impl std::fmt::Display for Interface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Interface::Group => "group",
            Interface::Iommufd => "iommufd",
        })
    }
}

/// What memory the device reaches; the kernel takes all of it back when this is dropped.
pub(super) enum AddressSpace {
    /// A container, and the group in it, which belongs to this process as long as it is open.
    Container { container: File, _group: File },
    /// A space of iommufd, by its number.
    Iommufd { iommufd: File, space: u32 },
}

impl AddressSpace {
    /// Takes the device in group `group` at `address` by `interface`, or by whichever there is.
    pub(super) fn take(
        found: &Device,
        group: &str,
        address: &Bdf,
        interface: Option<Interface>,
    ) -> Result<(AddressSpace, File), VfioError> {
        let character = found.character.as_deref();
        match interface.unwrap_or_else(|| Interface::found(Path::new("/"), group, character)) {
            Interface::Group => AddressSpace::of_group(group, address),
            Interface::Iommufd => {
                let character = character.ok_or(VfioError::NoIommufd)?;
                AddressSpace::of_iommufd(group, character).map_err(|error| match error {
                    VfioError::Open { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                        VfioError::NoIommufd
                    }
                    other => other,
                })
            }
        }
    }

    fn of_group(group_name: &str, address: &Bdf) -> Result<(AddressSpace, File), VfioError> {
        let container = open(PathBuf::from(CONTAINER))?;
        let group = open(Path::new(GROUPS).join(group_name))?;
        let flags = sys::group_flags(&group).map_err(call("the group's status"))?;
        if flags & VFIO_GROUP_FLAGS_VIABLE == 0 {
            return Err(not_viable(group_name));
        }
        if !sys::has_iommu(&container, VFIO_TYPE1v2_IOMMU).map_err(call("the kinds of IOMMU"))? {
            return Err(VfioError::NoIommu);
        }
        sys::set_container(&group, &container).map_err(call("putting the group into a container"))?;
        sys::set_iommu(&container, VFIO_TYPE1v2_IOMMU).map_err(call("switching the IOMMU on"))?;
        let name = CString::new(address.to_string()).expect("an address has no zero byte");
        let device = sys::device(&group, &name).map_err(call("opening the device"))?;
        Ok((AddressSpace::Container { container, _group: group }, device))
    }

    fn of_iommufd(group: &str, character: &str) -> Result<(AddressSpace, File), VfioError> {
        let iommufd = open(PathBuf::from(IOMMUFD))?;
        let device = open(Path::new(CHARACTER_DEVICES).join(character))?;
        sys::bind_iommufd(&device, &iommufd).map_err(|source| match source.kind() {
            // Also what other devices of the group make of it.
            io::ErrorKind::ResourceBusy => not_viable(group),
            _ => VfioError::Call { what: "binding the device to iommufd", source },
        })?;
        let space = sys::new_space(&iommufd).map_err(call("making an address space"))?;
        sys::attach(&device, space).map_err(call("attaching the device to its address space"))?;
        Ok((AddressSpace::Iommufd { iommufd, space }, device))
    }

    pub(super) fn interface(&self) -> Interface {
        match self {
            AddressSpace::Container { .. } => Interface::Group,
            AddressSpace::Iommufd { .. } => Interface::Iommufd,
        }
    }

    /// Lets the device reach `mapping` from bus address `address` on.
    pub(super) fn map(&self, mapping: &Mapping, address: u64, direction: Direction) -> io::Result<()> {
        let writable = direction == Direction::ToHost;
        match self {
            AddressSpace::Container { container, .. } => sys::map_dma(container, mapping, address, writable),
            AddressSpace::Iommufd { iommufd, space } => {
                sys::map_space(iommufd, *space, mapping, address, writable)
            }
        }
    }

    /// Takes a mapping back.
    pub(super) fn unmap(&self, address: u64, bytes: u64) -> io::Result<()> {
        match self {
            AddressSpace::Container { container, .. } => sys::unmap_dma(container, address, bytes),
            AddressSpace::Iommufd { iommufd, space } => sys::unmap_space(iommufd, *space, address, bytes),
        }
    }
}

fn not_viable(group: &str) -> VfioError {
    let devices = PathBuf::from(format!("/sys/kernel/iommu_groups/{group}/devices"));
    VfioError::NotViable { group: group.to_owned(), devices }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iommufd_is_taken_where_there_is_no_group() {
        let root = std::env::temp_dir().join(format!("mst-interface-{}", std::process::id()));
        let make = |path: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        let found = |character| Interface::found(&root, "14", character);
        assert_eq!(found(Some("vfio0")), Interface::Group, "whose error says what is missing");
        make("dev/vfio/devices/vfio0");
        assert_eq!(found(Some("vfio0")), Interface::Group, "iommufd itself is not there");
        make("dev/iommu");
        assert_eq!(found(Some("vfio0")), Interface::Iommufd);
        assert_eq!(found(Some("vfio1")), Interface::Group);
        assert_eq!(found(None), Interface::Group);
        make("dev/vfio/14");
        assert_eq!(found(Some("vfio0")), Interface::Group);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
