//! Memory of the guest, as far as its IOMMU lets the card reach it.

use sim::pcie::{HostMemory, Refused};
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// What a defective card adds to its addresses.
const STRAY: u64 = 1 << 30;

struct Mapping {
    bytes: u64,
    file: File,
    file_offset: u64,
    writable: bool,
}

/// What is mapped now. Behind a virtual IOMMU every page is a mapping of its own, so accesses are split where mappings end.
#[derive(Default)]
pub struct GuestMemory {
    mappings: BTreeMap<u64, Mapping>,
    stray_from: Option<u64>,
    accesses: u64,
    /// Bytes that the card read.
    pub read_bytes: u64,
    /// Bytes that it wrote.
    pub written_bytes: u64,
    /// Accesses that were refused.
    pub refused: u64,
}

impl GuestMemory {
    /// Memory that a card with a defect misses from its `stray_from`-th access on.
    pub fn new(stray_from: Option<u64>) -> GuestMemory {
        GuestMemory { stray_from, ..GuestMemory::default() }
    }

    /// Grants `bytes` bytes at bus address `address`: those of `file` from `file_offset` on.
    pub fn map(&mut self, address: u64, bytes: u64, file: File, file_offset: u64, writable: bool) {
        self.mappings.insert(address, Mapping { bytes, file, file_offset, writable });
    }

    /// Takes back what lies in a range.
    pub fn unmap(&mut self, address: u64, bytes: u64) {
        self.mappings.retain(|&base, mapping| {
            base.saturating_add(mapping.bytes) <= address || base >= address.saturating_add(bytes)
        });
    }

    /// The file, the place in it and the length of the longest piece of an access that lies in one mapping.
    fn piece(&self, address: u64, bytes: usize, write: bool) -> Option<(&File, u64, usize)> {
        let (base, mapping) = self.mappings.range(..=address).next_back()?;
        let inside = address - base;
        let left =
            mapping.bytes.checked_sub(inside).filter(|&left| left > 0 && (mapping.writable || !write))?;
        let bytes = bytes.min(usize::try_from(left).unwrap_or(usize::MAX));
        Some((&mapping.file, mapping.file_offset + inside, bytes))
    }

    /// Copies all pieces of an access, or none if one of them is refused.
    fn access(
        &mut self,
        address: u64,
        bytes: usize,
        write: bool,
        mut copy: impl FnMut(&File, u64, Range<usize>) -> std::io::Result<()>,
    ) -> Result<(), Refused> {
        let stray = self.stray_from.is_some_and(|from| self.accesses >= from);
        self.accesses += 1;
        let address = if stray { address.wrapping_add(STRAY) } else { address };
        let mut pieces = Vec::new();
        let mut done = 0;
        while let Some((file, offset, length)) =
            self.piece(address.wrapping_add(done as u64), bytes - done, write).filter(|_| done < bytes)
        {
            pieces.push((file, offset, done..done + length));
            done += length;
        }
        let copied =
            done == bytes && pieces.into_iter().all(|(file, offset, part)| copy(file, offset, part).is_ok());
        if copied {
            return Ok(());
        }
        self.refused += 1;
        if self.refused == 1 {
            let kind = if write { "write" } else { "read" };
            println!("IOMMU refuses the card a {kind} of {bytes} bytes at 0x{address:x}");
        }
        Err(Refused)
    }
}

impl HostMemory for GuestMemory {
    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), Refused> {
        let bytes = into.len();
        self.access(address, bytes, false, |file, offset, part| file.read_exact_at(&mut into[part], offset))?;
        self.read_bytes += bytes as u64;
        Ok(())
    }

    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Refused> {
        self.access(address, data.len(), true, |file, offset, part| file.write_all_at(&data[part], offset))?;
        self.written_bytes += data.len() as u64;
        Ok(())
    }
}
