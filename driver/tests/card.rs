//! A card at the level of its registers: what the link does with LitePCIe's DMA, against a model that knows nothing of the driver.

#[allow(dead_code)]
#[path = "../../compile/tests/program/small.rs"]
mod small;

use driver::link::{Link, LinkError};
use driver::pcie::{PcieLink, PcieOptions};
use driver::{Accelerator, Inference};
use isa::pcie::{card_control, litepcie};
use proptest::prelude::*;
use sim::{Card, CardFunction, SoftCore};

const MEMORY: usize = 1 << 20;

fn card_with(memory: usize, options: &PcieOptions) -> PcieLink<CardFunction<SoftCore>> {
    let core = SoftCore::new(&small::tiny(), memory).unwrap();
    PcieLink::open(CardFunction::new(Card::new(core)), options).unwrap()
}

fn card() -> PcieLink<CardFunction<SoftCore>> {
    card_with(MEMORY, &PcieOptions::default())
}

fn image(n: usize) -> Vec<u8> {
    (0..64).map(|i| (i * (n + 3) * 7 + n * 31) as u8).collect()
}

#[test]
fn a_network_on_a_card_answers_as_on_a_bare_core() {
    let program = small::program();
    let mut bare = Accelerator::open(SoftCore::new(&small::tiny(), MEMORY).unwrap()).unwrap();
    bare.load(&program).unwrap();
    let mut on_card = Accelerator::open(card()).unwrap();
    on_card.load(&program).unwrap();
    for n in 0..5 {
        let expected: Inference = bare.infer(&image(n)).unwrap();
        assert_eq!(on_card.infer(&image(n)).unwrap(), expected);
    }
    let traffic = on_card.link().traffic();
    let sent: usize = program.image.iter().map(|segment| segment.bytes.len()).sum();
    assert!(traffic.to_card_bytes >= sent as u64 && traffic.to_host_bytes > 0, "{traffic:?}");
    assert!(traffic.interrupts > 0, "{traffic:?}");
}

#[test]
fn the_card_reaches_its_buffers_and_nothing_else() {
    let mut link = card_with(MEMORY, &PcieOptions { buffer_bytes: 8192, ..PcieOptions::default() });
    let data: Vec<u8> = (0..50_000).map(|i| (i * 7) as u8).collect();
    link.write_memory(3, &data).unwrap();
    let mut back = vec![0; data.len()];
    link.read_memory(3, &mut back).unwrap();
    assert_eq!(back, data);
    assert_eq!(link.function().refused(), 0);
    assert!(link.function().guards_intact());
}

#[test]
fn a_range_outside_the_memory_moves_nothing() {
    let mut link = card();
    let before = link.traffic();
    for (offset, length) in [(MEMORY as u64, 1), (MEMORY as u64 - 1, 2), (u64::MAX, 1), (u64::MAX, 0)] {
        let outside = |result| matches!(result, Err(LinkError::OutsideWindow { .. }));
        assert!(outside(link.write_memory(offset, &vec![0; length])), "{offset}, {length}");
        assert!(outside(link.read_memory(offset, &mut vec![0; length])), "{offset}, {length}");
    }
    assert_eq!(link.traffic(), before);
}

#[test]
fn what_is_no_register_is_refused() {
    let mut link = card();
    for offset in [0x1000, 0x1001, 2, u32::MAX] {
        assert!(matches!(link.read_register(offset), Err(LinkError::Register { .. })), "{offset:x}");
        assert!(matches!(link.write_register(offset, 0), Err(LinkError::Register { .. })), "{offset:x}");
    }
}

#[test]
fn loopback_sends_and_brings_back_and_leaves_the_card_usable() {
    let mut link = card();
    link.write_memory(100, b"untouched").unwrap();
    for bytes in [4096, 65_536, 256 << 10] {
        assert_eq!(link.loopback(bytes).unwrap(), bytes);
    }
    let mut found = [0; 9];
    link.read_memory(100, &mut found).unwrap();
    assert_eq!(&found, b"untouched");
}

#[test]
fn streams_left_running_by_someone_else_do_not_disturb() {
    use driver::pcie::Function;
    let mut link = card();
    // Descriptors of the driver before, in a loop, and streams that wait for data.
    for engine in [litepcie::DMA_READER, litepcie::DMA_WRITER] {
        for _ in 0..3 {
            link.function().write(engine + litepcie::dma::TABLE_VALUE_HIGH, 4096).unwrap();
            link.function().write(engine + litepcie::dma::TABLE_VALUE_LOW, 0).unwrap();
            link.function().write(engine + litepcie::dma::TABLE_WRITE, 1).unwrap();
        }
        link.function().write(engine + litepcie::dma::TABLE_LOOP, 1).unwrap();
    }
    link.function().write(isa::pcie::CARD_BASE + isa::pcie::TO_HOST_LENGTH, 4096).unwrap();
    link.function().write(isa::pcie::CARD_BASE + isa::pcie::CARD_CONTROL, card_control::CORE_RESET).unwrap();
    link.reset().unwrap();
    link.write_memory(0, &[7; 100]).unwrap();
    let mut found = [0; 100];
    link.read_memory(0, &mut found).unwrap();
    assert_eq!(found, [7; 100]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any sequence of writes and reads, at any place and of any length, through buffers of any size, is that of plain memory.
    #[test]
    fn memory_is_exact_at_any_place_and_length(
        buffer_pages in 1usize..6,
        accesses in prop::collection::vec((any::<bool>(), 0usize..70_000, 0usize..40_000, any::<u8>()), 1..8),
    ) {
        const BYTES: usize = 72 << 10;
        let mut link = card_with(BYTES, &PcieOptions { buffer_bytes: buffer_pages * 4096, ..PcieOptions::default() });
        let mut plain = vec![0; BYTES];
        for (write, at, length, seed) in accesses {
            let length = length.min(BYTES - at);
            if write {
                let data: Vec<u8> = (0..length).map(|i| (i as u8).wrapping_mul(13).wrapping_add(seed)).collect();
                link.write_memory(at as u64, &data).unwrap();
                plain[at..at + length].copy_from_slice(&data);
            } else {
                let mut found = vec![0; length];
                link.read_memory(at as u64, &mut found).unwrap();
                prop_assert_eq!(&found, &plain[at..at + length]);
            }
        }
        let mut found = vec![0; BYTES];
        link.read_memory(0, &mut found).unwrap();
        prop_assert_eq!(found, plain);
        prop_assert_eq!(link.function().refused(), 0);
        prop_assert!(link.function().guards_intact());
    }
}
