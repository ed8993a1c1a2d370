//! What QEMU asks of the device, as the card understands it.

use crate::card::CardThread;
use isa::pcie::BAR0_BYTES;
use std::fs::File;
use std::io;
use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_INFO_EVENTFD, VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_NUM_IRQS,
    VFIO_PCI_NUM_REGIONS, VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE, vfio_region_info,
};
use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, ServerBackend, ServerRegion};

/// Bytes of configuration space.
const CONFIG_BYTES: u64 = 4096;
/// Interrupts of the card: one.
const VECTORS: u32 = 1;

/// Regions: configuration space and BAR 0.
pub fn regions() -> Vec<ServerRegion> {
    let region = |index| {
        let size = match index {
            VFIO_PCI_CONFIG_REGION_INDEX => CONFIG_BYTES,
            VFIO_PCI_BAR0_REGION_INDEX => BAR0_BYTES.into(),
            _ => 0,
        };
        let flags = if size > 0 { VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE } else { 0 };
        let argsz = size_of::<vfio_region_info>() as u32;
        let region_info = vfio_region_info { argsz, index, size, flags, ..Default::default() };
        ServerRegion { region_info, sparse_areas: Vec::new(), mmap_fd: None }
    };
    (0..VFIO_PCI_NUM_REGIONS).map(region).collect()
}

/// Interrupts: those of one `kind`.
pub fn interrupts(kind: u32) -> Vec<IrqInfo> {
    let info = |index| {
        let (count, flags) = if index == kind { (VECTORS, VFIO_IRQ_INFO_EVENTFD) } else { (0, 0) };
        IrqInfo { index, count, flags }
    };
    (0..VFIO_PCI_NUM_IRQS).map(info).collect()
}

/// The card, for a vfio-user server.
pub struct Backend {
    card: CardThread,
    interrupt: u32,
}

impl Backend {
    /// The card, whose interrupts are of a kind.
    pub fn new(card: CardThread, interrupt: u32) -> Backend {
        Backend { card, interrupt }
    }

    /// What the card did, in a line.
    pub fn summary(&self) -> String {
        self.card.summary().unwrap_or_else(|error| error.to_string())
    }
}

impl ServerBackend for Backend {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        if region == VFIO_PCI_CONFIG_REGION_INDEX {
            return self.card.read_config(offset, data);
        }
        // Registers are words; a part of one is cut out of it.
        for (at, byte) in (offset as u32..).zip(data.iter_mut()).filter(|(at, _)| at % 4 != 0) {
            *byte = self.card.read(at & !3)?.to_le_bytes()[at as usize % 4];
        }
        let words = (offset as u32).next_multiple_of(4) - offset as u32;
        for (index, word) in data[words as usize..].chunks_mut(4).enumerate() {
            let value = self.card.read(offset as u32 + words + 4 * index as u32)?.to_le_bytes();
            word.copy_from_slice(&value[..word.len()]);
        }
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        if region == VFIO_PCI_CONFIG_REGION_INDEX {
            return self.card.write_config(offset, data);
        }
        // The card has no byte enables on its registers: less than a word is not written.
        for (index, word) in data.chunks_exact(4).enumerate() {
            let value = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            self.card.write(offset as u32 + 4 * index as u32, value)?;
        }
        Ok(())
    }

    fn dma_map(
        &mut self,
        flags: DmaMapFlags,
        offset: u64,
        address: u64,
        size: u64,
        file: Option<File>,
    ) -> io::Result<()> {
        // Without a file it is no memory but another device's registers.
        match file {
            Some(file) => self.card.map(address, size, file, offset, flags.contains(DmaMapFlags::WRITE)),
            None => Ok(()),
        }
    }

    fn dma_unmap(&mut self, flags: DmaUnmapFlags, address: u64, size: u64) -> io::Result<()> {
        let (address, size) =
            if flags.contains(DmaUnmapFlags::UNMAP_ALL) { (0, u64::MAX) } else { (address, size) };
        self.card.unmap(address, size)
    }

    fn reset(&mut self) -> io::Result<()> {
        self.card.reset()
    }

    fn set_irqs(&mut self, index: u32, _: u32, start: u32, _: u32, files: Vec<File>) -> io::Result<()> {
        if index != self.interrupt || start != 0 {
            return Ok(());
        }
        self.card.connect_interrupt(files.into_iter().next())
    }
}
