//! A Verilated `mst_soc` of which only the pins are touched: the serial line, bit by bit.

use crate::SimError;
use crate::verilated::{Input, Model, Output, Tracing, Verilated};
use isa::SocConfig;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Cycles that a reset lasts.
const RESET_CYCLES: u64 = 4;
/// Cycles between two looks at the host's end of the line.
const SLICE: u64 = 2_000;
/// Rest between slices in which nothing happens.
const REST: Duration = Duration::from_millis(1);

/// A running system on a chip, and the other end of its serial line.
pub struct SocPins {
    model: Model,
    rx: Input,
    tx: Output,
    busy: Output,
    error: Output,
    cycles_per_bit: u64,
    /// Bytes on their way to the chip.
    to_chip: VecDeque<u8>,
    /// The frame being sent, its lowest bit on the line, and how many cycles that bit has left.
    sent: u32,
    sent_wait: u64,
    /// The frame being received, filled from the top, and the cycles to its next sample; none while the line rests.
    received: Option<(u32, u64)>,
    from_chip: Vec<u8>,
}

impl SocPins {
    /// Compiles `soc` (an `mst_soc` generated for `config`), powers it up and resets it. Waves go to `trace`, if any.
    ///
    /// # Errors
    /// If it cannot be compiled or loaded.
    pub fn new(
        soc: &Rc<hdl::rtl::Module>,
        config: &SocConfig,
        trace: Option<&Path>,
    ) -> Result<SocPins, SimError> {
        let tracing = if trace.is_some() { Tracing::Fst } else { Tracing::None };
        let verilated = Verilated::build(soc, tracing)?;
        let mut model = Model::new(&verilated, 1, trace)?;
        let (rst, rx) = (model.input("rst")?, model.input("rx")?);
        let (tx, busy, error) = (model.output("tx")?, model.output("busy")?, model.output("error")?);
        model.set(rst, 1);
        model.set(rx, 1);
        (0..RESET_CYCLES).for_each(|_| model.cycle());
        model.set(rst, 0);
        Ok(SocPins {
            model,
            rx,
            tx,
            busy,
            error,
            cycles_per_bit: config.cycles_per_bit().into(),
            to_chip: VecDeque::new(),
            sent: 0,
            sent_wait: 0,
            received: None,
            from_chip: Vec::new(),
        })
    }

    /// Puts bytes on the line to the chip, behind those that are still on their way.
    pub fn send(&mut self, bytes: &[u8]) {
        self.to_chip.extend(bytes);
    }

    /// Takes the bytes that came from the chip.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.from_chip)
    }

    /// Clock cycles since power-up.
    pub fn cycles(&self) -> u64 {
        self.model.cycles()
    }

    /// The light that says a run is in progress.
    pub fn busy(&self) -> bool {
        self.model.get(self.busy) != 0
    }

    /// The light that says a run failed.
    pub fn error(&self) -> bool {
        self.model.get(self.error) != 0
    }

    /// Whether the line rests in both directions and nothing runs.
    pub fn resting(&self) -> bool {
        self.to_chip.is_empty() && self.sent == 0 && self.received.is_none() && !self.busy()
    }

    /// Runs `cycles` clock cycles.
    pub fn run(&mut self, cycles: u64) {
        for _ in 0..cycles {
            let level = self.next_level();
            self.model.set(self.rx, level);
            self.model.cycle();
            let level = self.model.get(self.tx) != 0;
            self.sample(level);
        }
    }

    /// What the line to the chip carries in the next cycle: start bit, eight data bits, stop bit, high in between.
    fn next_level(&mut self) -> u64 {
        if self.sent_wait == 0 {
            self.sent >>= 1;
            if self.sent == 0 {
                let Some(byte) = self.to_chip.pop_front() else { return 1 };
                // The one above the stop bit says where the frame ends.
                self.sent = 0b11 << 9 | u32::from(byte) << 1;
            }
            if self.sent == 1 {
                self.sent = 0;
                return self.next_level();
            }
            self.sent_wait = self.cycles_per_bit;
        }
        self.sent_wait -= 1;
        u64::from(self.sent & 1)
    }

    fn sample(&mut self, level: bool) {
        match &mut self.received {
            None if level => {}
            None => self.received = Some((0x100, self.cycles_per_bit + self.cycles_per_bit / 2 - 1)),
            Some((_, wait @ 1..)) => *wait -= 1,
            Some((frame, wait)) => {
                let ends = *frame & 1 == 1;
                if ends {
                    // A byte whose stop bit is low never left the transmitter.
                    if level {
                        self.from_chip.push((*frame >> 1) as u8);
                    }
                    self.received = None;
                } else {
                    *frame = *frame >> 1 | u32::from(level) << 8;
                    *wait = self.cycles_per_bit - 1;
                }
            }
        }
    }

    /// Carries bytes between `port` and the chip until `stop` is set. A read of `port` that has nothing must return at once, with
    /// `WouldBlock` or `TimedOut`.
    ///
    /// # Errors
    /// What `port` reports otherwise.
    pub fn serve(&mut self, port: &mut (impl Read + Write), stop: &AtomicBool) -> std::io::Result<()> {
        let mut buffer = [0; 256];
        while !stop.load(Ordering::Relaxed) {
            if self.to_chip.len() < buffer.len() {
                match port.read(&mut buffer) {
                    Ok(count) => self.send(&buffer[..count]),
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(error) => return Err(error),
                }
            }
            let rests = self.resting();
            self.run(SLICE);
            port.write_all(&self.take())?;
            if rests {
                std::thread::sleep(REST);
            }
        }
        Ok(())
    }
}
