//! The card on a thread of its own, so that it goes on while the guest does something else.

use crate::host_memory::GuestMemory;
use crate::packets::PacketCard;
use crate::registers::RegisterCard;
use clap::ValueEnum;
use std::fs::File;
use std::io;
use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use vfio_bindings::bindings::vfio::{VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX};

/// Sizes of the core: those of the boards' cards.
pub const PRESET: &str = "pcie";
/// Bytes of the card's memory, as the boards' cards have them.
pub const MEMORY_BYTES: u32 = 768 << 10;

/// Which card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The generated card with LitePCIe's own core, packet by packet; MSI.
    Packets,
    /// A model of the card's registers with the Verilated core; MSI-X.
    Registers,
    /// A model of the card's registers with the core in software; MSI-X.
    Software,
}

impl Kind {
    /// The kind of interrupt that it has, as VFIO numbers them.
    pub fn interrupt(self) -> u32 {
        match self {
            Kind::Packets => VFIO_PCI_MSI_IRQ_INDEX,
            Kind::Registers | Kind::Software => VFIO_PCI_MSIX_IRQ_INDEX,
        }
    }

    fn start(self, memory: GuestMemory) -> Result<Box<dyn Device>, CardError> {
        Ok(match self {
            Kind::Packets => Box::new(PacketCard::new(memory)?),
            Kind::Registers => Box::new(RegisterCard::verilated(memory)?),
            Kind::Software => Box::new(RegisterCard::software(memory)?),
        })
    }
}

/// Why there is no card.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// It cannot be generated.
    #[error(transparent)]
    Rtl(#[from] hdl::rtl::RtlError),
    /// The core cannot be simulated.
    #[error(transparent)]
    Sim(#[from] sim::SimError),
    /// The card cannot be simulated.
    #[error(transparent)]
    Pcie(#[from] sim::pcie::PcieError),
    /// The core's sizes are refused.
    #[error(transparent)]
    Config(#[from] isa::config::ConfigError),
}

/// A simulated card.
pub trait Device {
    /// Reads the register at byte `offset` of BAR 0.
    fn read(&mut self, offset: u32) -> u32;

    /// Writes the register at byte `offset` of BAR 0.
    fn write(&mut self, offset: u32, value: u32);

    /// Reads configuration space from byte `offset` on; zeros beyond its end.
    fn read_config(&mut self, offset: u64, into: &mut [u8]);

    /// Writes what may be written of configuration space from byte `offset` on.
    fn write_config(&mut self, offset: u64, data: &[u8]);

    /// The memory that it reaches.
    fn memory(&mut self) -> &mut GuestMemory;

    /// Lets some time pass. Returns whether anything may happen if more of it does.
    fn run(&mut self) -> bool;

    /// Interrupts that it has sent since this was last called.
    fn take_interrupts(&mut self) -> u64;

    /// Resets it and its configuration.
    fn reset(&mut self);
}

/// What the card is asked for.
enum Request {
    Read(u32, Sender<u32>),
    Write(u32, u32, Sender<()>),
    ReadConfig(u64, usize, Sender<Vec<u8>>),
    WriteConfig(u64, Vec<u8>, Sender<()>),
    Interrupt(Option<File>),
    Map { address: u64, bytes: u64, file: File, offset: u64, writable: bool },
    Unmap { address: u64, bytes: u64, done: Sender<()> },
    Reset(Sender<()>),
    Summary(Sender<String>),
}

/// The other end of the card's thread.
pub struct CardThread {
    requests: Sender<Request>,
}

impl CardThread {
    /// Starts a card that reaches `memory`.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn start(kind: Kind, memory: GuestMemory) -> Result<CardThread, Box<dyn std::error::Error>> {
        let (requests, inbox) = channel();
        let (started, outcome) = channel();
        std::thread::spawn(move || match kind.start(memory) {
            Ok(device) => {
                drop(started.send(Ok(())));
                Running { device, interrupt: None, raised: 0 }.run(&inbox);
            }
            Err(error) => drop(started.send(Err(error.to_string()))),
        });
        outcome.recv()??;
        Ok(CardThread { requests })
    }

    /// Sends a request that is answered.
    fn ask<T>(&self, request: impl FnOnce(Sender<T>) -> Request) -> io::Result<T> {
        let (answer, outcome) = channel();
        self.tell(request(answer))?;
        outcome.recv().map_err(|_| io::Error::other("the card's thread ended"))
    }

    fn tell(&self, request: Request) -> io::Result<()> {
        self.requests.send(request).map_err(|_| io::Error::other("the card's thread ended"))
    }

    /// Reads a register.
    pub fn read(&self, offset: u32) -> io::Result<u32> {
        self.ask(|answer| Request::Read(offset, answer))
    }

    /// Writes a register.
    pub fn write(&self, offset: u32, value: u32) -> io::Result<()> {
        self.ask(|done| Request::Write(offset, value, done))
    }

    /// Reads configuration space.
    pub fn read_config(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        into.copy_from_slice(&self.ask(|answer| Request::ReadConfig(offset, into.len(), answer))?);
        Ok(())
    }

    /// Writes configuration space.
    pub fn write_config(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.ask(|done| Request::WriteConfig(offset, data.to_vec(), done))
    }

    /// Where interrupts go.
    pub fn connect_interrupt(&self, event: Option<File>) -> io::Result<()> {
        self.tell(Request::Interrupt(event))
    }

    /// Grants memory.
    pub fn map(&self, address: u64, bytes: u64, file: File, offset: u64, writable: bool) -> io::Result<()> {
        self.tell(Request::Map { address, bytes, file, offset, writable })
    }

    /// Takes memory back; the card does not reach it any more when this returns.
    pub fn unmap(&self, address: u64, bytes: u64) -> io::Result<()> {
        self.ask(|done| Request::Unmap { address, bytes, done })
    }

    /// Resets the card.
    pub fn reset(&self) -> io::Result<()> {
        self.ask(Request::Reset)
    }

    /// What the card did, in a line.
    pub fn summary(&self) -> io::Result<String> {
        self.ask(Request::Summary)
    }
}

struct Running {
    device: Box<dyn Device>,
    interrupt: Option<File>,
    raised: u64,
}

impl Running {
    fn run(&mut self, inbox: &Receiver<Request>) {
        loop {
            let goes_on = self.device.run();
            self.interrupt();
            let request = if goes_on {
                match inbox.try_recv() {
                    Ok(request) => Some(request),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => return,
                }
            } else {
                match inbox.recv() {
                    Ok(request) => Some(request),
                    Err(_) => return,
                }
            };
            if let Some(request) = request {
                self.serve(request);
            }
        }
    }

    fn interrupt(&mut self) {
        let count = self.device.take_interrupts();
        if count > 0
            && let Some(event) = &mut self.interrupt
        {
            // A guest that does not look any more does not see it either.
            drop(event.write(&count.to_ne_bytes()));
            self.raised += count;
        }
    }

    fn serve(&mut self, request: Request) {
        // Whoever asked and does not wait for the answer does not want it.
        match request {
            Request::Read(offset, answer) => drop(answer.send(self.device.read(offset))),
            Request::Write(offset, value, done) => {
                self.device.write(offset, value);
                let _ = done.send(());
            }
            Request::ReadConfig(offset, bytes, answer) => {
                let mut data = vec![0; bytes];
                self.device.read_config(offset, &mut data);
                drop(answer.send(data));
            }
            Request::WriteConfig(offset, data, done) => {
                self.device.write_config(offset, &data);
                let _ = done.send(());
            }
            Request::Interrupt(event) => self.interrupt = event,
            Request::Map { address, bytes, file, offset, writable } => {
                self.device.memory().map(address, bytes, file, offset, writable);
            }
            Request::Unmap { address, bytes, done } => {
                self.device.memory().unmap(address, bytes);
                let _ = done.send(());
            }
            Request::Reset(done) => {
                self.device.reset();
                let _ = done.send(());
            }
            Request::Summary(answer) => {
                let GuestMemory { read_bytes, written_bytes, refused, .. } = self.device.memory();
                drop(answer.send(format!(
                    "card: {read_bytes} bytes read, {written_bytes} bytes written, {refused} accesses refused, {} interrupts sent",
                    self.raised
                )));
            }
        }
    }
}
