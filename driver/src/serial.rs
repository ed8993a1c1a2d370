//! An `mst_soc` at the end of a serial line.
//!
//! The line speaks LiteX's uartbone, see [`isa::soc`]. It has no checksum and no acknowledgement, so every access here ends with a look
//! at the device's `LINK_CRC`: what arrived there and what arrived here must be what was sent. An access that fails is not repeated:
//! a damaged command may have written anywhere. It is reported, and the next access first brings both ends back into step.

use crate::link::{Link, LinkError, window_range};
use isa::registers::{self, status};
use isa::soc;
use serialport::{ClearBuffer, DataBits, FlowControl, Parity, SerialPort, StopBits};
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// Commands of uartbone.
const WRITE_BURST: u8 = 1;
const READ_BURST: u8 = 2;
/// Words of the longest burst; its length is sent as 0.
const BURST_WORDS: usize = 256;
/// Bytes written between two looks at the checksum.
const CHECKED_BYTES: usize = 32 << 10;
/// Silence after which the device has dropped an incomplete command, with some to spare.
const SILENCE: Duration = Duration::from_millis(3 * 1000 / soc::SILENCE_PER_SECOND as u64 / 2);
/// Attempts to come into step.
const ATTEMPTS: u32 = 3;
/// Time between two looks at `STATUS` while a run is awaited.
const POLL: Duration = Duration::from_micros(500);

/// Why a serial line failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SerialError {
    /// The port cannot be opened or set up.
    #[error("{source}; is it the board's port (`mst list`), and may this user open it (group dialout)?")]
    Open {
        /// What the system reported.
        source: serialport::Error,
    },
    /// The port failed while in use.
    #[error("{source}; is the board still plugged in?")]
    Port {
        /// What the system reported.
        source: std::io::Error,
    },
    /// An answer did not come, or not whole.
    #[error(
        "{what}: {received} of {expected} bytes came within {waited:?}; is the bitstream loaded, and is the \
         board's baud rate {baud}? `mst --timeout SECONDS` waits longer"
    )]
    Silent {
        /// What was waited for.
        what: String,
        /// Bytes that came.
        received: usize,
        /// Bytes awaited.
        expected: usize,
        /// For how long.
        waited: Duration,
        /// The rate of the line.
        baud: u32,
    },
    /// The checksums of both ends differ.
    #[error(
        "{what}: bytes were damaged on the line (checksum 0x{found:08x} at the board, 0x{expected:08x} here); what was written before \
         may be damaged, too: load the network again, with a lower baud rate if it happens again"
    )]
    Damaged {
        /// What was under way.
        what: String,
        /// The board's checksum.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// Something else answers.
    #[error(
        "the device answers, but its identity is 0x{found:08x}, not 0x{expected:08x} (`MSTS`); is it an mst_soc?",
        expected = soc::IDENTITY
    )]
    NotASoc {
        /// What its identity register holds.
        found: u32,
    },
}

/// A board with `mst_soc` on a serial port.
pub struct SerialLink {
    port: Box<dyn SerialPort>,
    name: String,
    baud: u32,
    timeout: Duration,
    memory_bytes: u32,
    /// Whether both ends agree about where commands begin.
    in_step: bool,
    /// Of the bytes since `LINK_CRC` was written.
    checksum: crc32fast::Hasher,
}

impl SerialLink {
    /// Opens the port at `path` with `baud` bits a second, finds the board and asks for its memory's size. An answer may take `timeout` beyond
    /// the time that its bytes need on the line.
    ///
    /// # Errors
    /// If the port cannot be opened, nothing answers, or something that is no `mst_soc`.
    pub fn open(path: &str, baud: u32, timeout: Duration) -> Result<SerialLink, LinkError> {
        let port = serialport::new(path, baud)
            .data_bits(DataBits::Eight)
            .parity(Parity::None)
            .stop_bits(StopBits::One)
            .flow_control(FlowControl::None)
            .timeout(timeout)
            .open()
            .map_err(|source| LinkError::transport(path, SerialError::Open { source }))?;
        let mut link = SerialLink {
            port,
            name: path.to_owned(),
            baud,
            timeout,
            memory_bytes: 0,
            in_step: false,
            checksum: crc32fast::Hasher::new(),
        };
        link.memory_bytes = link.word("asking for the memory's size", soc::SOC_BASE + soc::MEMORY_BYTES)?;
        Ok(link)
    }

    /// Runs `body` in step, between a fresh checksum and its comparison.
    fn access(
        &mut self,
        what: &str,
        body: impl FnOnce(&mut SerialLink) -> Result<(), SerialError>,
    ) -> Result<(), LinkError> {
        self.in_step(|line| {
            line.clear_checksum()?;
            body(line)?;
            line.send(&ask_checksum())?;
            line.compare_checksum(what)
        })
    }

    /// Reads one word. Its command and that for the checksum go out together: the line is quick, a turn of USB is not.
    fn word(&mut self, what: &str, address: u32) -> Result<u32, LinkError> {
        self.in_step(|line| line.checked_word(what, address))
    }

    fn checked_word(&mut self, what: &str, address: u32) -> Result<u32, SerialError> {
        self.clear_checksum()?;
        let (ask, ask_checksum) = (header(READ_BURST, address, 1), ask_checksum());
        self.put(&[ask, ask_checksum].concat())?;
        self.checksum.update(&ask);
        let mut answer = [0; 4];
        self.receive(what, &mut answer)?;
        // The board takes the second command after it has sent the answer.
        self.checksum.update(&ask_checksum);
        self.compare_checksum(what)?;
        Ok(u32::from_be_bytes(answer))
    }

    /// Brings both ends into step if they are not, runs `body`, and remembers if it failed.
    fn in_step<T>(
        &mut self,
        body: impl FnOnce(&mut SerialLink) -> Result<T, SerialError>,
    ) -> Result<T, LinkError> {
        let outcome = if self.in_step { Ok(()) } else { self.come_into_step() }.and_then(|()| body(self));
        self.in_step = outcome.is_ok();
        outcome.map_err(|source| LinkError::transport(format!("serial line {}", self.name), source))
    }

    fn clear_checksum(&mut self) -> Result<(), SerialError> {
        self.write_words(soc::SOC_BASE + soc::LINK_CRC, &[0; 4])?;
        self.checksum = crc32fast::Hasher::new();
        Ok(())
    }

    /// Takes the board's checksum, which was asked for, and compares it.
    fn compare_checksum(&mut self, what: &str) -> Result<(), SerialError> {
        let expected = self.checksum.clone().finalize();
        let mut answer = [0; 4];
        self.receive(what, &mut answer)?;
        let found = u32::from_be_bytes(answer);
        if found == expected {
            Ok(())
        } else {
            Err(SerialError::Damaged { what: what.to_owned(), found, expected })
        }
    }

    /// Waits until the device has dropped whatever it half received, throws away whatever it sent, and asks who it is.
    fn come_into_step(&mut self) -> Result<(), SerialError> {
        let mut outcome = Ok(());
        for _ in 0..ATTEMPTS {
            outcome = self.meet();
            // With the port itself gone nothing will come.
            if matches!(outcome, Ok(()) | Err(SerialError::Port { .. })) {
                return outcome;
            }
        }
        outcome
    }

    fn meet(&mut self) -> Result<(), SerialError> {
        let port = |error: serialport::Error| SerialError::Port { source: error.into() };
        self.port.clear(ClearBuffer::Output).map_err(port)?;
        std::thread::sleep(SILENCE);
        self.port.clear(ClearBuffer::Input).map_err(port)?;
        match self.checked_word("asking who is there", soc::SOC_BASE + soc::SOC_IDENTITY)? {
            soc::IDENTITY => Ok(()),
            found => Err(SerialError::NotASoc { found }),
        }
    }

    /// Writes whole words, given as the bytes of memory.
    fn write_words(&mut self, address: u32, data: &[u8]) -> Result<(), SerialError> {
        let mut frames = Vec::with_capacity(data.len() + data.len() / 64 + 16);
        let mut address = address;
        for burst in data.chunks(4 * BURST_WORDS) {
            frames.extend(header(WRITE_BURST, address, burst.len() / 4));
            frames.extend(burst.chunks_exact(4).flat_map(|word| [word[3], word[2], word[1], word[0]]));
            address += burst.len() as u32;
        }
        self.send(&frames)
    }

    /// Reads whole words as the bytes of memory.
    fn read_words(&mut self, address: u32, into: &mut [u8]) -> Result<(), SerialError> {
        let mut address = address;
        for burst in into.chunks_mut(4 * BURST_WORDS) {
            self.send(&header(READ_BURST, address, burst.len() / 4))?;
            self.receive(&format!("reading memory at 0x{address:08x}"), burst)?;
            burst.chunks_exact_mut(4).for_each(<[u8]>::reverse);
            address += burst.len() as u32;
        }
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), SerialError> {
        self.checksum.update(bytes);
        self.put(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), SerialError> {
        self.port.write_all(bytes).map_err(|source| SerialError::Port { source })
    }

    fn receive(&mut self, what: &str, into: &mut [u8]) -> Result<(), SerialError> {
        let started = Instant::now();
        // What was sent may still be on its way, and ten bits a byte take their time.
        let waiting = self.port.bytes_to_write().unwrap_or(0) as usize + into.len();
        let limit = self.timeout + Duration::from_secs_f64(10.0 * waiting as f64 / f64::from(self.baud));
        let mut received = 0;
        while received < into.len() {
            match self.port.read(&mut into[received..]) {
                Ok(count) => received += count,
                Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
                Err(source) => return Err(SerialError::Port { source }),
            }
            if received < into.len() && started.elapsed() > limit {
                let (what, expected) = (what.to_owned(), into.len());
                return Err(SerialError::Silent { what, received, expected, waited: limit, baud: self.baud });
            }
        }
        self.checksum.update(into);
        Ok(())
    }
}

/// The first six bytes of a command.
fn header(command: u8, address: u32, words: usize) -> [u8; 6] {
    let [a, b, c, d] = (address / 4).to_be_bytes();
    // 256 words are sent as 0.
    [command, (words % BURST_WORDS) as u8, a, b, c, d]
}

/// The command to read the checksum.
fn ask_checksum() -> [u8; 6] {
    header(READ_BURST, soc::SOC_BASE + soc::LINK_CRC, 1)
}

/// Refuses an offset that is no register.
fn core_register(access: &'static str, offset: u32) -> Result<u32, LinkError> {
    if offset < isa::registers::BYTES && offset.is_multiple_of(4) {
        Ok(soc::CORE_BASE + offset)
    } else {
        Err(LinkError::Register { access, offset, response: "DECERR" })
    }
}

impl Link for SerialLink {
    fn read_register(&mut self, offset: u32) -> Result<u32, LinkError> {
        let address = core_register("read", offset)?;
        self.word("reading a register", address)
    }

    fn write_register(&mut self, offset: u32, value: u32) -> Result<(), LinkError> {
        let address = core_register("write", offset)?;
        self.access("writing a register", |line| line.write_words(address, &value.to_le_bytes()))
    }

    fn read_memory(&mut self, offset: u64, into: &mut [u8]) -> Result<(), LinkError> {
        let range = window_range(offset, into.len(), self.memory_size())?;
        let (start, end) = (range.start / 4 * 4, range.end.next_multiple_of(4));
        let mut words = vec![0; end - start];
        self.access("reading memory", |line| line.read_words(soc::MEMORY_BASE + start as u32, &mut words))?;
        into.copy_from_slice(&words[range.start - start..range.end - start]);
        Ok(())
    }

    fn write_memory(&mut self, offset: u64, data: &[u8]) -> Result<(), LinkError> {
        let range = window_range(offset, data.len(), self.memory_size())?;
        let (start, end) = (range.start / 4 * 4, range.end.next_multiple_of(4));
        let mut words = vec![0; end - start];
        // The bytes around, in the words that are only partly written.
        for edge in [start, end.saturating_sub(4)] {
            let partly_written = edge < range.start || range.end < edge + 4;
            if !words.is_empty() && partly_written {
                self.read_memory(edge as u64, &mut words[edge - start..edge - start + 4])?;
            }
        }
        words[range.start - start..range.end - start].copy_from_slice(data);
        for (index, part) in words.chunks(CHECKED_BYTES).enumerate() {
            let address = soc::MEMORY_BASE + (start + index * CHECKED_BYTES) as u32;
            self.access("writing memory", |line| line.write_words(address, part))?;
        }
        Ok(())
    }

    fn memory_base(&self) -> u64 {
        soc::MEMORY_BASE.into()
    }

    fn memory_size(&self) -> u64 {
        self.memory_bytes.into()
    }

    /// The line has no interrupt: looks at `STATUS` until the run is over.
    fn wait_interrupt(&mut self, timeout: Duration) -> Result<bool, LinkError> {
        let started = Instant::now();
        loop {
            if self.read_register(registers::STATUS)? & (status::DONE | status::ERROR) != 0 {
                return Ok(true);
            }
            if started.elapsed() > timeout {
                return Ok(false);
            }
            std::thread::sleep(POLL);
        }
    }
}
