//! The calls to the kernel and the accesses to memory that a device shares: all `unsafe` of this crate.
//!
//! Three invariants hold everywhere below. A call passes the structure that `linux/vfio.h` or `linux/iommufd.h` has for its number, alive and exclusively
//! borrowed until the call returns. A [`Mapping`] owns its pages until it is dropped and no reference into them is ever made, so that a
//! device may change them at any time. Every access to them is volatile and inside, which is checked first.
#![allow(unsafe_code)]

use iommufd_bindings::{
    IOMMUFD_CMD_IOAS_ALLOC, IOMMUFD_CMD_IOAS_MAP, IOMMUFD_CMD_IOAS_UNMAP, IOMMUFD_TYPE, iommu_ioas_alloc,
    iommu_ioas_map, iommu_ioas_unmap, iommufd_ioas_map_flags_IOMMU_IOAS_MAP_FIXED_IOVA as FIXED_ADDRESS,
    iommufd_ioas_map_flags_IOMMU_IOAS_MAP_READABLE as READABLE,
    iommufd_ioas_map_flags_IOMMU_IOAS_MAP_WRITEABLE as WRITEABLE,
};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::ioctl::{self, Ioctl, IoctlOutput, Opcode, opcode};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use std::ffi::{CStr, c_void};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;
use vfio_bindings::bindings::vfio::{
    VFIO_BASE, VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, VFIO_TYPE, vfio_device_info,
    vfio_group_status, vfio_iommu_type1_dma_map, vfio_irq_info, vfio_region_info,
};

/// Numbers of the calls, counted from `VFIO_BASE`; see `linux/vfio.h`.
mod call {
    pub const CHECK_EXTENSION: u8 = 1;
    pub const SET_IOMMU: u8 = 2;
    pub const GROUP_GET_STATUS: u8 = 3;
    pub const GROUP_SET_CONTAINER: u8 = 4;
    pub const GROUP_GET_DEVICE_FD: u8 = 6;
    pub const DEVICE_GET_INFO: u8 = 7;
    pub const DEVICE_GET_REGION_INFO: u8 = 8;
    pub const DEVICE_GET_IRQ_INFO: u8 = 9;
    pub const DEVICE_SET_IRQS: u8 = 10;
    pub const DEVICE_RESET: u8 = 11;
    pub const MAP_DMA: u8 = 13;
    pub const UNMAP_DMA: u8 = 14;
    pub const BIND_IOMMUFD: u8 = 18;
    pub const ATTACH_IOMMUFD_PT: u8 = 19;
}

/// A call and its argument: a pointer, or a number in its place.
struct Call {
    operation: Opcode,
    argument: *mut c_void,
}

/// A call of VFIO.
fn vfio(number: u8) -> Opcode {
    opcode::none(VFIO_TYPE, VFIO_BASE as u8 + number)
}

/// A call of iommufd.
fn iommufd(command: u32) -> Opcode {
    opcode::none(IOMMUFD_TYPE, command as u8)
}

// SAFETY: the operation code is one of the two headers', `IS_MUTATING` is the cautious choice, and the output is the returned number alone.
unsafe impl Ioctl for Call {
    type Output = i32;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.operation
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.argument
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<i32> {
        Ok(out)
    }
}

/// Calls with a number in place of a pointer.
fn call_number(file: impl AsFd, number: u8, argument: usize) -> io::Result<i32> {
    let argument = std::ptr::without_provenance_mut(argument);
    // SAFETY: the calls that are made so take no pointer.
    Ok(unsafe { ioctl::ioctl(file, Call { operation: vfio(number), argument }) }?)
}

/// Calls of VFIO with a structure.
fn call_with<T>(file: impl AsFd, number: u8, argument: &mut T) -> io::Result<i32> {
    call_operation(file, vfio(number), argument)
}

/// Calls with a structure.
fn call_operation<T>(file: impl AsFd, operation: Opcode, argument: &mut T) -> io::Result<i32> {
    let argument = std::ptr::from_mut(argument).cast();
    // SAFETY: each caller below passes the structure of its call, with `argsz` or `size` no larger than it is.
    Ok(unsafe { ioctl::ioctl(file, Call { operation, argument }) }?)
}

pub(super) fn has_iommu(container: &File, kind: u32) -> io::Result<bool> {
    Ok(call_number(container, call::CHECK_EXTENSION, kind as usize)? != 0)
}

pub(super) fn set_iommu(container: &File, kind: u32) -> io::Result<()> {
    call_number(container, call::SET_IOMMU, kind as usize).map(drop)
}

pub(super) fn group_flags(group: &File) -> io::Result<u32> {
    let mut status = vfio_group_status { argsz: size_of::<vfio_group_status>() as u32, flags: 0 };
    call_with(group, call::GROUP_GET_STATUS, &mut status)?;
    Ok(status.flags)
}

pub(super) fn set_container(group: &File, container: &File) -> io::Result<()> {
    let mut descriptor: i32 = container.as_raw_fd();
    call_with(group, call::GROUP_SET_CONTAINER, &mut descriptor).map(drop)
}

pub(super) fn device(group: &File, name: &CStr) -> io::Result<File> {
    let call = Call { operation: vfio(call::GROUP_GET_DEVICE_FD), argument: name.as_ptr().cast_mut().cast() };
    // SAFETY: the kernel reads a string that ends with 0, and writes nothing.
    let descriptor = unsafe { ioctl::ioctl(group, call) }?;
    // SAFETY: the kernel made this descriptor for this call; nobody else has it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(descriptor) }))
}

pub(super) fn device_flags(device: &File) -> io::Result<u32> {
    let mut info = vfio_device_info { argsz: size_of::<vfio_device_info>() as u32, ..Default::default() };
    call_with(device, call::DEVICE_GET_INFO, &mut info)?;
    Ok(info.flags)
}

pub(super) fn region(device: &File, index: u32) -> io::Result<vfio_region_info> {
    let argsz = size_of::<vfio_region_info>() as u32;
    let mut info = vfio_region_info { argsz, index, ..Default::default() };
    call_with(device, call::DEVICE_GET_REGION_INFO, &mut info)?;
    Ok(info)
}

pub(super) fn interrupts(device: &File, index: u32) -> io::Result<u32> {
    let mut info = vfio_irq_info { argsz: size_of::<vfio_irq_info>() as u32, index, ..Default::default() };
    call_with(device, call::DEVICE_GET_IRQ_INFO, &mut info)?;
    Ok(info.count)
}

/// Sends interrupt 0 of kind `index` to `event`.
pub(super) fn send_interrupt_to(device: &File, index: u32, event: &OwnedFd) -> io::Result<()> {
    use vfio_bindings::bindings::vfio::{VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_DATA_EVENTFD};
    // `struct vfio_irq_set` with one descriptor as data: argsz, flags, index, start, count, data.
    let flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    let mut set: [u32; 6] = [24, flags, index, 0, 1, event.as_raw_fd() as u32];
    call_with(device, call::DEVICE_SET_IRQS, &mut set).map(drop)
}

pub(super) fn reset(device: &File) -> io::Result<()> {
    call_number(device, call::DEVICE_RESET, 0).map(drop)
}

pub(super) fn map_dma(container: &File, mapping: &Mapping, address: u64, writable: bool) -> io::Result<()> {
    let flags = VFIO_DMA_MAP_FLAG_READ | if writable { VFIO_DMA_MAP_FLAG_WRITE } else { 0 };
    let mut map = vfio_iommu_type1_dma_map {
        argsz: size_of::<vfio_iommu_type1_dma_map>() as u32,
        flags,
        vaddr: mapping.start as u64,
        iova: address,
        size: mapping.bytes as u64,
    };
    call_with(container, call::MAP_DMA, &mut map).map(drop)
}

pub(super) fn unmap_dma(container: &File, address: u64, bytes: u64) -> io::Result<()> {
    // `struct vfio_iommu_type1_dma_unmap` without data: argsz and flags, iova, size.
    let mut unmap: [u64; 3] = [24, address, bytes];
    if cfg!(target_endian = "big") {
        unmap[0] <<= 32;
    }
    call_with(container, call::UNMAP_DMA, &mut unmap).map(drop)
}

/// Gives the device to this process, its mappings to `iommufd`.
pub(super) fn bind_iommufd(device: &File, iommufd: &File) -> io::Result<()> {
    // `struct vfio_device_bind_iommufd` without the token that later kernels added: argsz, flags, iommufd, out_devid.
    let mut bind: [u32; 4] = [16, 0, iommufd.as_raw_fd() as u32, 0];
    call_with(device, call::BIND_IOMMUFD, &mut bind).map(drop)
}

/// Makes an address space; returns its number.
pub(super) fn new_space(file: &File) -> io::Result<u32> {
    let mut space = iommu_ioas_alloc { size: size_of::<iommu_ioas_alloc>() as u32, ..Default::default() };
    call_operation(file, iommufd(IOMMUFD_CMD_IOAS_ALLOC), &mut space)?;
    Ok(space.out_ioas_id)
}

/// What `space` maps is what the device reaches.
pub(super) fn attach(device: &File, space: u32) -> io::Result<()> {
    // `struct vfio_device_attach_iommufd_pt` without the PASID that later kernels added: argsz, flags, pt_id.
    let mut attach: [u32; 3] = [12, 0, space];
    call_with(device, call::ATTACH_IOMMUFD_PT, &mut attach).map(drop)
}

pub(super) fn map_space(
    file: &File,
    space: u32,
    mapping: &Mapping,
    address: u64,
    writable: bool,
) -> io::Result<()> {
    let mut map = iommu_ioas_map {
        size: size_of::<iommu_ioas_map>() as u32,
        flags: FIXED_ADDRESS | READABLE | if writable { WRITEABLE } else { 0 },
        ioas_id: space,
        user_va: mapping.start as u64,
        length: mapping.bytes as u64,
        iova: address,
        ..Default::default()
    };
    call_operation(file, iommufd(IOMMUFD_CMD_IOAS_MAP), &mut map).map(drop)
}

pub(super) fn unmap_space(file: &File, space: u32, address: u64, bytes: u64) -> io::Result<()> {
    let size = size_of::<iommu_ioas_unmap>() as u32;
    let mut unmap = iommu_ioas_unmap { size, ioas_id: space, iova: address, length: bytes };
    call_operation(file, iommufd(IOMMUFD_CMD_IOAS_UNMAP), &mut unmap).map(drop)
}

/// A descriptor that counts interrupts.
pub(super) fn event() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// Waits until `event` has counted, and sets it back.
pub(super) fn wait(event: &OwnedFd, timeout: Duration) -> io::Result<bool> {
    let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
    match poll(&mut [PollFd::new(event, PollFlags::IN)], Some(&timeout)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(false),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    match rustix::io::read(event, &mut [0; 8]) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::AGAIN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Pages that a device shares: registers, or a buffer.
pub(super) struct Mapping {
    start: *mut u8,
    bytes: usize,
}

// SAFETY: the pages belong to the process, not to a thread, and `Mapping` is their only owner.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `bytes` bytes of `file` from `offset` on.
    pub(super) fn of_file(file: &File, offset: u64, bytes: usize) -> io::Result<Mapping> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: without an address, the kernel picks pages that nothing else uses.
        let start = unsafe { mmap(std::ptr::null_mut(), bytes, protection, MapFlags::SHARED, file, offset) }?;
        Ok(Mapping { start: start.cast(), bytes })
    }

    /// Zeroed memory; `huge` asks for pages of 2 MiB, of which `bytes` must be a multiple.
    pub(super) fn of_memory(bytes: usize, huge: bool) -> io::Result<Mapping> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let huge = if huge { MapFlags::HUGETLB | MapFlags::HUGE_2MB } else { MapFlags::empty() };
        // A child process must not get the pages in place of this one when either writes: shared.
        let flags = MapFlags::SHARED | huge;
        // SAFETY: without an address, the kernel picks pages that nothing else uses.
        let start = unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, protection, flags) }?;
        Ok(Mapping { start: start.cast(), bytes })
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The place of `length` bytes from `offset` on.
    fn at(&self, offset: usize, length: usize) -> *mut u8 {
        let end = offset.checked_add(length);
        assert!(
            end.is_some_and(|end| end <= self.bytes),
            "{length} bytes at {offset} of a mapping of {} bytes",
            self.bytes
        );
        // SAFETY: inside the mapping, as was just checked.
        unsafe { self.start.add(offset) }
    }

    pub(super) fn read_u32(&self, offset: usize) -> u32 {
        assert!(offset.is_multiple_of(4), "register at {offset}, which is no multiple of 4");
        // SAFETY: inside, aligned (mappings begin at pages), and any bits are a number.
        u32::from_le(unsafe { self.at(offset, 4).cast::<u32>().read_volatile() })
    }

    pub(super) fn write_u32(&self, offset: usize, value: u32) {
        assert!(offset.is_multiple_of(4), "register at {offset}, which is no multiple of 4");
        // SAFETY: inside and aligned.
        unsafe { self.at(offset, 4).cast::<u32>().write_volatile(value.to_le()) }
    }

    pub(super) fn read(&self, offset: usize, into: &mut [u8]) {
        let start = self.at(offset, into.len());
        for (index, byte) in into.iter_mut().enumerate() {
            // SAFETY: `at` has checked the whole range.
            *byte = unsafe { start.add(index).read_volatile() };
        }
    }

    pub(super) fn write(&mut self, offset: usize, data: &[u8]) {
        let start = self.at(offset, data.len());
        for (index, &byte) in data.iter().enumerate() {
            // SAFETY: `at` has checked the whole range.
            unsafe { start.add(index).write_volatile(byte) }
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by the constructors with this size; nothing refers to the pages any more. Failure would leave them mapped.
        let _ = unsafe { munmap(self.start.cast(), self.bytes) };
    }
}
