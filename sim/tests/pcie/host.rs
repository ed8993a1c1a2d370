//! A host that moves data over [`isa::pcie`] with nothing above a [`Function`].

use driver::pcie::{Buffer, Direction, Function};
use isa::pcie::{self, card_control, litepcie};
use isa::{CoreConfig, PcieConfig};
use sim::pcie::{CardModel, RootOptions, SimFunction};
use sim::verilated::Tracing;
use std::sync::LazyLock;
use std::time::Duration;

/// A small card: what is around the core is the same in all.
pub static CONFIG: LazyLock<PcieConfig> = LazyLock::new(|| {
    let core = CoreConfig { lanes: 16, ..CoreConfig::preset("pcie").unwrap() };
    PcieConfig { core, memory_bytes: 160 << 10, clock_hz: 125_000_000 }
});

/// How long a stream may take in the simulation's time.
const LIMIT: Duration = Duration::from_micros(200);

pub fn card() -> CardModel {
    CardModel::build(&CONFIG, Tracing::None).unwrap_or_else(|error| panic!("{error}"))
}

pub fn function(options: RootOptions) -> SimFunction {
    started(&card(), options)
}

/// A function that the driver's first steps were done with.
pub fn started(card: &CardModel, options: RootOptions) -> SimFunction {
    let mut function = SimFunction::new(card, CONFIG.clock_hz, options, None).unwrap();
    enable_interrupts(&mut function);
    function
}

pub fn enable_interrupts(function: &mut SimFunction) {
    use pcie::interrupt::{CORE, DMA_READER, DMA_WRITER, TO_CARD, TO_HOST};
    let all = CORE | DMA_READER | DMA_WRITER | TO_CARD | TO_HOST;
    function.write(litepcie::MSI_ENABLE, all).unwrap();
}

pub fn card_register(function: &mut SimFunction, register: u32) -> u32 {
    function.read(pcie::CARD_BASE + register).unwrap()
}

pub fn set_card_register(function: &mut SimFunction, register: u32, value: u32) {
    function.write(pcie::CARD_BASE + register, value).unwrap();
}

/// CRC-32, bit by bit.
pub fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}

/// Gives a DMA engine descriptors for all of a buffer, at most `piece` bytes each, and starts it.
pub fn program(function: &mut SimFunction, engine: u32, address: u64, bytes: usize, piece: usize) {
    use litepcie::dma;
    let mut set = |register: u32, value: u32| function.write(engine + register, value).unwrap();
    set(dma::ENABLE, 0);
    set(dma::TABLE_RESET, 1);
    set(dma::TABLE_LOOP, 0);
    for from in (0..bytes).step_by(piece) {
        let at = address + from as u64;
        set(dma::TABLE_VALUE_HIGH, piece.min(bytes - from) as u32);
        set(dma::TABLE_VALUE_LOW, at as u32);
        set(dma::TABLE_WRITE, (at >> 32) as u32);
    }
    set(dma::ENABLE, 1);
}

/// Waits until `register` says that `bytes` have moved; returns what it says then, or after some time.
pub fn wait_done(function: &mut SimFunction, register: u32, bytes: usize) -> usize {
    let end = function.clock() + LIMIT;
    loop {
        let done = card_register(function, register) as usize;
        if done == bytes || function.clock() >= end {
            return done;
        }
    }
}

/// Begins a stream to the card; the buffer must outlive it.
#[must_use]
pub fn begin_to_card(
    function: &mut SimFunction,
    place: u32,
    data: &[u8],
    piece: usize,
) -> <SimFunction as Function>::Buffer {
    let mut buffer = function.buffer(data.len(), Direction::ToCard).unwrap();
    buffer.write(0, data);
    set_card_register(function, pcie::TO_CARD_OFFSET, place);
    set_card_register(function, pcie::TO_CARD_LENGTH, data.len() as u32);
    program(function, litepcie::DMA_READER, buffer.address(), data.len(), piece);
    buffer
}

/// Copies `data` to the card; returns how many bytes got there.
pub fn to_card(function: &mut SimFunction, place: u32, data: &[u8], piece: usize) -> usize {
    let buffer = begin_to_card(function, place, data, piece);
    let done = wait_done(function, pcie::TO_CARD_DONE, data.len());
    function.write(litepcie::DMA_READER + litepcie::dma::ENABLE, 0).unwrap();
    drop(buffer);
    done
}

/// Copies `bytes` from the card; as many as came.
pub fn to_host(function: &mut SimFunction, place: u32, bytes: usize, piece: usize) -> Vec<u8> {
    let buffer = function.buffer(bytes, Direction::ToHost).unwrap();
    program(function, litepcie::DMA_WRITER, buffer.address(), bytes, piece);
    set_card_register(function, pcie::TO_HOST_OFFSET, place);
    set_card_register(function, pcie::TO_HOST_LENGTH, bytes as u32);
    let done = wait_done(function, pcie::TO_HOST_DONE, bytes);
    // The writer has a payload or two of its own: it is through when its table is and the link is quiet.
    let end = function.clock() + LIMIT;
    let descriptors = bytes.div_ceil(piece) as u32;
    let status = litepcie::DMA_WRITER + litepcie::dma::TABLE_STATUS;
    while function.read(status).unwrap() & 0xffff < descriptors && function.clock() < end {}
    let mut data = vec![0; bytes];
    buffer.read(0, &mut data);
    function.write(litepcie::DMA_WRITER + litepcie::dma::ENABLE, 0).unwrap();
    data.truncate(done);
    data
}

/// Ends both streams and says what the status is when the bursts that were under way have ended.
pub fn stream_reset(function: &mut SimFunction) -> u32 {
    for engine in [litepcie::DMA_READER, litepcie::DMA_WRITER] {
        function.write(engine + litepcie::dma::ENABLE, 0).unwrap();
    }
    set_card_register(function, pcie::CARD_CONTROL, card_control::STREAM_RESET);
    function.root().step(500).unwrap();
    card_register(function, pcie::CARD_STATUS)
}

/// Bytes that differ everywhere.
pub fn pattern(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..bytes).map(step).collect()
}
