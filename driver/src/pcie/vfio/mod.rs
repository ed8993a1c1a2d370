//! A function that the kernel's VFIO gives to this process: BAR 0 mapped, exactly the buffers in use mapped through the IOMMU, the
//! interrupt as an eventfd; see `Documentation/driver-api/vfio.rst` of the kernel. By its group and a container, or by iommufd.

mod error;
mod iommu;
mod sys;
pub mod sysfs;

pub use error::VfioError;
pub use iommu::Interface;
pub use sysfs::{Bdf, Device};

use super::function::{Buffer, Direction, Function};
use crate::link::LinkError;
use iommu::AddressSpace;
use isa::PAGE;
use isa::pcie::BAR0_BYTES;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use sys::Mapping;
use vfio_bindings::bindings::vfio::{
    VFIO_DEVICE_FLAGS_RESET, VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX,
    VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_REGION_INFO_FLAG_MMAP,
};

/// Bus address of the first buffer: above the window of interrupts, too.
const FIRST_ADDRESS: u64 = isa::pcie::LOWEST_BUS_ADDRESS;
/// Offset of the command register in configuration space (PCI Local Bus 3.0, 6.2.2).
const COMMAND: u64 = 4;
/// Memory space and bus master enable.
const COMMAND_BITS: u16 = 1 << 1 | 1 << 2;
/// Bytes of a huge page.
const HUGE_PAGE: usize = 2 << 20;

/// How buffers are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Pages {
    /// Of 4 KiB.
    #[default]
    Small,
    /// Of 2 MiB, which must have been reserved: fewer entries in the IOMMU.
    Huge,
}

/// How the function's interrupt reaches the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptKind {
    /// By a write to an address in configuration space.
    Msi,
    /// By a write to an address in a table of the card's.
    MsiX,
}

impl std::fmt::Display for InterruptKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            InterruptKind::Msi => "MSI",
            InterruptKind::MsiX => "MSI-X",
        })
    }
}

/// A function that the kernel's VFIO gives to this process.
pub struct VfioFunction {
    name: String,
    interrupt: InterruptKind,
    registers: Mapping,
    device: File,
    config_offset: u64,
    resettable: bool,
    event: OwnedFd,
    space: Arc<AddressSpace>,
    pages: Pages,
    next_address: u64,
    opened: Instant,
}

impl VfioFunction {
    /// Takes the function at `address`, by `interface` or by the one that there is: that of groups, if there are both.
    ///
    /// # Errors
    /// [`VfioError`] in [`LinkError::Transport`]: what is missing on the way to the card, and what to do.
    pub fn open(
        address: &Bdf,
        pages: Pages,
        interface: Option<Interface>,
    ) -> Result<VfioFunction, LinkError> {
        VfioFunction::take(address, pages, interface)
            .map_err(|source| LinkError::transport(transport(address), source))
    }

    fn take(address: &Bdf, pages: Pages, interface: Option<Interface>) -> Result<VfioFunction, VfioError> {
        let devices = Path::new(sysfs::DEVICES);
        let found = Device::read(devices, address)?;
        let (space, device) = AddressSpace::take(&found, found.usable(devices)?, address, interface)?;
        let flags = sys::device_flags(&device).map_err(call("asking about the device"))?;
        let config = sys::region(&device, VFIO_PCI_CONFIG_REGION_INDEX)
            .map_err(call("asking about configuration space"))?;
        let (interrupt, event) = connect_interrupt(&device)?;
        let function = VfioFunction {
            name: address.to_string(),
            interrupt,
            registers: map_registers(&device)?,
            event,
            resettable: flags & VFIO_DEVICE_FLAGS_RESET != 0,
            config_offset: config.offset,
            device,
            space: Arc::new(space),
            pages,
            next_address: FIRST_ADDRESS,
            opened: Instant::now(),
        };
        function.enable()?;
        Ok(function)
    }

    /// Which kind of interrupt it uses.
    pub fn interrupt(&self) -> InterruptKind {
        self.interrupt
    }

    /// By which interface the kernel gives it to this process.
    pub fn interface(&self) -> Interface {
        self.space.interface()
    }

    /// How its buffers are made.
    pub fn pages(&self) -> Pages {
        self.pages
    }

    /// Lets the function answer to memory accesses and make its own.
    fn enable(&self) -> Result<(), VfioError> {
        let place = self.config_offset + COMMAND;
        let mut command = [0; 2];
        let failed = "enabling memory and bus mastering";
        self.device.read_exact_at(&mut command, place).map_err(call(failed))?;
        let command = u16::from_le_bytes(command) | COMMAND_BITS;
        self.device.write_all_at(&command.to_le_bytes(), place).map_err(call(failed))
    }

    fn new_buffer(&mut self, bytes: usize, direction: Direction) -> Result<VfioBuffer, VfioError> {
        let huge = self.pages == Pages::Huge;
        let bytes = bytes.next_multiple_of(if huge { HUGE_PAGE } else { PAGE as usize });
        let mapping =
            Mapping::of_memory(bytes, huge).map_err(|source| VfioError::Memory { bytes, huge, source })?;
        let address = self.next_address;
        self.space.map(&mapping, address, direction).map_err(|source| VfioError::Pin {
            bytes,
            limit: memlock(),
            source,
        })?;
        // A page that nobody is granted, and the alignment of huge pages.
        self.next_address = (address + (bytes as u64) + PAGE).next_multiple_of(HUGE_PAGE as u64);
        Ok(VfioBuffer { mapping, address, space: Arc::clone(&self.space) })
    }

    fn offset(access: &'static str, offset: u32) -> Result<usize, LinkError> {
        if offset < BAR0_BYTES && offset.is_multiple_of(4) {
            Ok(offset as usize)
        } else {
            Err(LinkError::Register { access, offset, response: "no register of BAR 0" })
        }
    }

    fn error(&self, source: VfioError) -> LinkError {
        LinkError::transport(transport(&self.name), source)
    }
}

fn transport(name: impl std::fmt::Display) -> String {
    format!("PCIe card {name}")
}

fn call(what: &'static str) -> impl FnOnce(io::Error) -> VfioError {
    move |source| VfioError::Call { what, source }
}

fn open(path: PathBuf) -> Result<File, VfioError> {
    File::options().read(true).write(true).open(&path).map_err(|source| VfioError::Open { path, source })
}

fn map_registers(device: &File) -> Result<Mapping, VfioError> {
    let bar = sys::region(device, VFIO_PCI_BAR0_REGION_INDEX).map_err(call("asking about BAR 0"))?;
    let mappable = bar.flags & VFIO_REGION_INFO_FLAG_MMAP != 0;
    if bar.size != u64::from(BAR0_BYTES) || !mappable {
        return Err(VfioError::Bar { found: bar.size, mappable });
    }
    Mapping::of_file(device, bar.offset, BAR0_BYTES as usize).map_err(call("mapping BAR 0"))
}

/// An eventfd that counts the function's interrupts: MSI-X if it has that, else MSI.
fn connect_interrupt(device: &File) -> Result<(InterruptKind, OwnedFd), VfioError> {
    let event = sys::event().map_err(call("making an eventfd"))?;
    for (kind, index) in
        [(InterruptKind::MsiX, VFIO_PCI_MSIX_IRQ_INDEX), (InterruptKind::Msi, VFIO_PCI_MSI_IRQ_INDEX)]
    {
        if sys::interrupts(device, index).map_err(call("asking about interrupts"))? > 0 {
            sys::send_interrupt_to(device, index, &event).map_err(call("enabling the interrupt"))?;
            return Ok((kind, event));
        }
    }
    Err(VfioError::NoInterrupt)
}

/// How much memory this process may lock.
fn memlock() -> String {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
    limit.map_or_else(|| "any amount".to_owned(), |bytes| format!("{bytes} bytes"))
}

impl Function for VfioFunction {
    type Buffer = VfioBuffer;

    fn name(&self) -> &str {
        &self.name
    }

    fn read(&mut self, offset: u32) -> Result<u32, LinkError> {
        Ok(self.registers.read_u32(VfioFunction::offset("read", offset)?))
    }

    fn write(&mut self, offset: u32, value: u32) -> Result<(), LinkError> {
        self.registers.write_u32(VfioFunction::offset("write", offset)?, value);
        Ok(())
    }

    fn buffer(&mut self, bytes: usize, direction: Direction) -> Result<VfioBuffer, LinkError> {
        self.new_buffer(bytes, direction).map_err(|source| self.error(source))
    }

    fn wait_interrupt(&mut self, timeout: Duration) -> Result<bool, LinkError> {
        sys::wait(&self.event, timeout).map_err(|source| self.error(call("waiting for an interrupt")(source)))
    }

    /// Where the kernel has no way to reset the function alone, it is only enabled again: the link resets streams and core itself.
    fn reset(&mut self) -> Result<(), LinkError> {
        if self.resettable {
            sys::reset(&self.device).map_err(|source| self.error(call("resetting the function")(source)))?;
        }
        self.enable().map_err(|source| self.error(source))
    }

    fn clock(&self) -> Duration {
        self.opened.elapsed()
    }
}

/// Pinned host memory that the function reaches until this is dropped.
pub struct VfioBuffer {
    mapping: Mapping,
    address: u64,
    space: Arc<AddressSpace>,
}

impl Buffer for VfioBuffer {
    fn address(&self) -> u64 {
        self.address
    }

    fn len(&self) -> usize {
        self.mapping.bytes()
    }

    fn write(&mut self, offset: usize, data: &[u8]) {
        self.mapping.write(offset, data);
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        self.mapping.read(offset, into);
    }
}

impl Drop for VfioBuffer {
    fn drop(&mut self) {
        // The kernel takes the mapping back when the address space is closed, should this fail.
        let _ = self.space.unmap(self.address, self.mapping.bytes() as u64);
    }
}
