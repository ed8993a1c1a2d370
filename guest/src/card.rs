//! The card on a thread of its own, so that it goes on while the guest does something else.

use crate::host_memory::GuestMemory;
use clap::ValueEnum;
use driver::link::Link;
use isa::CoreConfig;
use sim::{Card, SimLink, SimOptions, SoftCore};
use std::fs::File;
use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

/// Bytes of the card's memory.
const MEMORY: usize = 1 << 20;
/// Steps between two looks for requests.
const STEPS: u32 = 16;

/// What computes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Core {
    /// The generated Verilog.
    Verilated,
    /// The interpreter of descriptors.
    Software,
}

/// What the card is asked for.
enum Request {
    Read(u32, Sender<u32>),
    Write(u32, u32, Sender<()>),
    BusMaster(bool),
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
    /// Starts the card.
    ///
    /// # Errors
    /// If there is no such preset or the core cannot be built.
    pub fn start(core: Core, preset: &str, stray_from: Option<u64>) -> Result<CardThread, String> {
        let config = CoreConfig::preset(preset).ok_or_else(|| format!("`{preset}` is no preset"))?;
        let (requests, inbox) = channel();
        let (started, outcome) = channel();
        std::thread::spawn(move || {
            let memory = GuestMemory::new(stray_from);
            match new_core(core, &config) {
                Ok(core) => {
                    drop(started.send(Ok(())));
                    Running { card: Card::new(core), memory, interrupt: None, raised: 0 }.run(&inbox);
                }
                Err(error) => drop(started.send(Err(error))),
            }
        });
        outcome.recv().map_err(|_| "the card's thread ended".to_owned())??;
        Ok(CardThread { requests })
    }

    /// Sends a request that is answered.
    fn ask<T>(&self, request: impl FnOnce(Sender<T>) -> Request) -> std::io::Result<T> {
        let (answer, outcome) = channel();
        self.tell(request(answer))?;
        outcome.recv().map_err(|_| std::io::Error::other("the card's thread ended"))
    }

    fn tell(&self, request: Request) -> std::io::Result<()> {
        self.requests.send(request).map_err(|_| std::io::Error::other("the card's thread ended"))
    }

    /// Reads a register.
    pub fn read(&self, offset: u32) -> std::io::Result<u32> {
        self.ask(|answer| Request::Read(offset, answer))
    }

    /// Writes a register.
    pub fn write(&self, offset: u32, value: u32) -> std::io::Result<()> {
        self.ask(|answer| Request::Write(offset, value, answer))
    }

    /// Lets the card access memory, or not.
    pub fn set_bus_master(&self, enabled: bool) -> std::io::Result<()> {
        self.tell(Request::BusMaster(enabled))
    }

    /// Where interrupts go.
    pub fn connect_interrupt(&self, event: Option<File>) -> std::io::Result<()> {
        self.tell(Request::Interrupt(event))
    }

    /// Grants memory.
    pub fn map(
        &self,
        address: u64,
        bytes: u64,
        file: File,
        offset: u64,
        writable: bool,
    ) -> std::io::Result<()> {
        self.tell(Request::Map { address, bytes, file, offset, writable })
    }

    /// Takes memory back; the card does not reach it any more when this returns.
    pub fn unmap(&self, address: u64, bytes: u64) -> std::io::Result<()> {
        self.ask(|done| Request::Unmap { address, bytes, done })
    }

    /// Resets the card.
    pub fn reset(&self) -> std::io::Result<()> {
        self.ask(Request::Reset)
    }

    /// What the card did, in a line.
    pub fn summary(&self) -> std::io::Result<String> {
        self.ask(Request::Summary)
    }
}

fn new_core(core: Core, config: &CoreConfig) -> Result<Box<dyn Link>, String> {
    Ok(match core {
        Core::Software => Box::new(SoftCore::new(config, MEMORY).map_err(|error| error.to_string())?),
        Core::Verilated => {
            let options = SimOptions {
                memory_bytes: MEMORY,
                memory_base: Some(isa::pcie::MEMORY_BASE),
                ..SimOptions::default()
            };
            let module = hdl::core::mst_core(config).map_err(|error| error.to_string())?;
            Box::new(SimLink::new(&module, config, &options).map_err(|error| error.to_string())?)
        }
    })
}

struct Running {
    card: Card<Box<dyn Link>>,
    memory: GuestMemory,
    interrupt: Option<File>,
    raised: u64,
}

impl Running {
    fn run(&mut self, inbox: &Receiver<Request>) {
        loop {
            let request = if self.card.busy() {
                match inbox.try_recv() {
                    Ok(request) => Some(request),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => return,
                }
            } else {
                // A last step, in which a core that has just ended raises its interrupt.
                self.step();
                match inbox.recv() {
                    Ok(request) => Some(request),
                    Err(_) => return,
                }
            };
            match request {
                Some(request) => self.serve(request),
                None => (0..STEPS).for_each(|_| self.step()),
            }
        }
    }

    fn step(&mut self) {
        self.card.step(&mut self.memory);
        if self.card.take_interrupt()
            && let Some(event) = &mut self.interrupt
        {
            // A guest that does not look any more does not see it either.
            drop(event.write(&1u64.to_ne_bytes()));
            self.raised += 1;
        }
    }

    fn serve(&mut self, request: Request) {
        // Whoever asked and does not wait for the answer does not want it.
        match request {
            Request::Read(offset, answer) => drop(answer.send(self.card.read(offset))),
            Request::Write(offset, value, answer) => {
                self.card.write(offset, value);
                self.step();
                let _ = answer.send(());
            }
            Request::BusMaster(enabled) => self.card.set_bus_master(enabled),
            Request::Interrupt(event) => self.interrupt = event,
            Request::Map { address, bytes, file, offset, writable } => {
                self.memory.map(address, bytes, file, offset, writable);
            }
            Request::Unmap { address, bytes, done } => {
                self.memory.unmap(address, bytes);
                let _ = done.send(());
            }
            Request::Reset(done) => {
                self.card.reset();
                let _ = done.send(());
            }
            Request::Summary(answer) => {
                let GuestMemory { read_bytes, written_bytes, refused, .. } = &self.memory;
                drop(answer.send(format!(
                    "card: {read_bytes} bytes read, {written_bytes} bytes written, {refused} accesses refused, {} interrupts sent",
                    self.raised
                )));
            }
        }
    }
}
