//! The host's memory, as the card reaches it.

use driver::pcie::{Buffer, Direction};
use isa::pcie::LOWEST_BUS_ADDRESS;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Bytes of a page.
pub(crate) const PAGE: u64 = 4096;
/// Where the first buffer below 4 GiB lies, and the first above.
const LOW: u64 = 0x1000_0000;
const HIGH: u64 = LOWEST_BUS_ADDRESS + 0x12_3400_0000;
/// Bytes between buffers that belong to none.
const GUARD: u64 = 16 * PAGE;

/// The host has no memory there that the card may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// What the card's requests reach: pages of a process, or of a guest.
pub trait HostMemory {
    /// Reads from bus address `address` on.
    ///
    /// # Errors
    /// If any of it is refused: the card gets an Unsupported Request.
    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), Refused>;

    /// Writes from bus address `address` on.
    ///
    /// # Errors
    /// If any of it is refused: nothing is written, and the card does not learn of it.
    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Refused>;
}

/// On which side of 4 GiB buffers lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// All above, where [`LOWEST_BUS_ADDRESS`] wants them.
    #[default]
    Above,
    /// All below.
    Below,
    /// In turn: what no driver may do.
    Mixed,
}

/// Buffers behind an IOMMU: all else is refused and counted.
#[derive(Clone, Debug, Default)]
pub struct Buffers(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    placement: Placement,
    mapped: BTreeMap<u64, Mapped>,
    used: u64,
    faults: u64,
}

#[derive(Debug)]
struct Mapped {
    data: Vec<u8>,
    direction: Direction,
}

impl Buffers {
    /// None yet.
    pub fn new(placement: Placement) -> Buffers {
        Buffers(Arc::new(Mutex::new(Table { placement, ..Table::default() })))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A zeroed buffer of whole pages.
    pub fn map(&self, bytes: usize, direction: Direction) -> SimBuffer {
        let mut table = self.table();
        let bytes = (bytes.max(1) as u64).next_multiple_of(PAGE);
        let above = match table.placement {
            Placement::Above => true,
            Placement::Below => false,
            Placement::Mixed => table.mapped.len().is_multiple_of(2),
        };
        let base = if above { HIGH } else { LOW };
        let address = base + table.used;
        table.used += bytes + GUARD;
        table.mapped.insert(address, Mapped { data: vec![0; bytes as usize], direction });
        SimBuffer { buffers: self.clone(), address, bytes: bytes as usize }
    }

    /// Requests that were refused.
    pub fn faults(&self) -> u64 {
        self.table().faults
    }
}

impl Table {
    /// The bytes of a request, if one buffer has all of them and allows it.
    fn find(
        &mut self,
        address: u64,
        bytes: usize,
        direction: Option<Direction>,
    ) -> Result<&mut [u8], Refused> {
        let (start, mapped) = self.mapped.range_mut(..=address).next_back().ok_or(Refused)?;
        let offset = (address - start) as usize;
        if direction.is_some_and(|direction| direction != mapped.direction) {
            return Err(Refused);
        }
        mapped.data.get_mut(offset..offset + bytes).ok_or(Refused)
    }

    fn counted<T>(&mut self, result: Result<T, Refused>) -> Result<T, Refused> {
        self.faults += u64::from(result.is_err());
        result
    }
}

impl HostMemory for Buffers {
    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), Refused> {
        let mut table = self.table();
        let result = table.find(address, into.len(), None).map(|from| into.copy_from_slice(from));
        table.counted(result)
    }

    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Refused> {
        let mut table = self.table();
        let result =
            table.find(address, data.len(), Some(Direction::ToHost)).map(|into| into.copy_from_slice(data));
        table.counted(result)
    }
}

/// A buffer of [`Buffers`]; unmapped when dropped.
#[derive(Debug)]
pub struct SimBuffer {
    buffers: Buffers,
    address: u64,
    bytes: usize,
}

impl Buffer for SimBuffer {
    fn address(&self) -> u64 {
        self.address
    }

    fn len(&self) -> usize {
        self.bytes
    }

    fn write(&mut self, offset: usize, data: &[u8]) {
        let mut table = self.buffers.table();
        let mapped = table.mapped.get_mut(&self.address).expect("mapped until it is dropped");
        mapped.data[offset..offset + data.len()].copy_from_slice(data);
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        let table = self.buffers.table();
        let mapped = table.mapped.get(&self.address).expect("mapped until it is dropped");
        into.copy_from_slice(&mapped.data[offset..offset + into.len()]);
    }
}

impl Drop for SimBuffer {
    fn drop(&mut self) {
        self.buffers.table().mapped.remove(&self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_buffers_are_reached_and_only_their_way() {
        let mut host = Buffers::default();
        let (mut there, back) = (host.map(10, Direction::ToCard), host.map(PAGE as usize, Direction::ToHost));
        there.write(4, &[1, 2, 3]);
        let mut found = [0; 3];
        host.read(there.address() + 4, &mut found).unwrap();
        assert_eq!(found, [1, 2, 3]);
        host.write(back.address(), &[9]).unwrap();
        let refused = [
            host.write(there.address(), &[0]),
            host.read(there.address() + PAGE - 1, &mut [0; 2]),
            host.read(back.address() - 1, &mut [0; 1]),
            host.write(back.address() + PAGE, &[0]),
        ];
        assert_eq!((refused, host.faults()), ([Err(Refused); 4], 4));
        drop(there);
        assert_eq!(host.read(HIGH, &mut [0; 1]), Err(Refused));
    }
}
