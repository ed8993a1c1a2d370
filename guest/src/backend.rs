//! What QEMU asks of the device, as the card understands it.

use crate::card::CardThread;
use crate::config_space::{self, ConfigSpace};
use isa::pcie::BAR0_BYTES;
use std::fs::File;
use std::io;
use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_INFO_EVENTFD, VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_MSIX_IRQ_INDEX,
    VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS, VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE,
    vfio_region_info,
};
use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, ServerBackend, ServerRegion};

/// Regions: configuration space and BAR 0.
pub fn regions() -> Vec<ServerRegion> {
    let region = |index| {
        let size = match index {
            VFIO_PCI_CONFIG_REGION_INDEX => config_space::BYTES as u64,
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

/// Interrupts: MSI-X alone.
pub fn interrupts() -> Vec<IrqInfo> {
    let kind = |index| match index {
        VFIO_PCI_MSIX_IRQ_INDEX => {
            IrqInfo { index, count: config_space::VECTORS, flags: VFIO_IRQ_INFO_EVENTFD }
        }
        _ => IrqInfo { index, count: 0, flags: 0 },
    };
    (0..VFIO_PCI_NUM_IRQS).map(kind).collect()
}

/// The card, for a vfio-user server.
pub struct Backend {
    card: CardThread,
    config: ConfigSpace,
}

impl Backend {
    /// The card with its configuration space as after power-up.
    pub fn new(card: CardThread) -> Backend {
        Backend { card, config: ConfigSpace::new() }
    }

    /// What the card did, in a line.
    pub fn summary(&self) -> String {
        self.card.summary().unwrap_or_else(|error| error.to_string())
    }
}

impl ServerBackend for Backend {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        if region == VFIO_PCI_CONFIG_REGION_INDEX {
            self.config.read(offset, data);
            return Ok(());
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
            self.config.write(offset, data);
            return self.card.set_bus_master(self.config.bus_master());
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
        self.config = ConfigSpace::new();
        self.card.reset()
    }

    fn set_irqs(&mut self, index: u32, _: u32, start: u32, _: u32, files: Vec<File>) -> io::Result<()> {
        if index != VFIO_PCI_MSIX_IRQ_INDEX || start != 0 {
            return Ok(());
        }
        self.card.connect_interrupt(files.into_iter().next())
    }
}
