//! Data between host memory and the card's, both ways.

use crate::host::{
    CONFIG, begin_to_card, card_register, crc32, function, pattern, program, set_card_register, stream_reset,
    to_card, to_host,
};
use driver::pcie::{Buffer, Direction, Function};
use isa::pcie::{self, card_control, card_status, interrupt, litepcie};
use sim::pcie::{CardModel, Placement, RootOptions, SimFunction};
use sim::verilated::Tracing;
use std::time::Duration;

#[test]
fn a_stream_there_and_back_is_exact() {
    let mut function = function(RootOptions::default());
    let data = pattern(5000 * 16, 1);
    assert_eq!(to_card(&mut function, 4096, &data, 8192), data.len());
    assert_eq!(card_register(&mut function, pcie::TO_CARD_CRC), crc32(&data));
    assert!(to_host(&mut function, 4096, data.len(), 8192) == data);
    assert_eq!(card_register(&mut function, pcie::TO_HOST_CRC), crc32(&data));
    assert_eq!(function.faults(), 0);
}

#[test]
fn random_streams_through_hosts_of_bad_manners_are_exact() {
    let card = crate::host::card();
    for seed in 1..=6 {
        let mut function = crate::host::started(&card, RootOptions::random(seed));
        let mut image = vec![0; CONFIG.memory_bytes as usize];
        // Every word of the memory is known before parts of it change.
        assert_eq!(to_card(&mut function, 0, &image, 1 << 16), image.len());
        for round in 0..4 {
            let draw = pattern(8, seed * 31 + round);
            let words = 1 + (usize::from(draw[0]) << 8 | usize::from(draw[1])) % 700;
            let place = (usize::from(draw[2]) << 8 | usize::from(draw[3])) % (image.len() / 16 - words) * 16;
            let piece = 4096 << (draw[4] % 3);
            let data = pattern(16 * words, seed << 8 | round);
            image[place..place + data.len()].copy_from_slice(&data);
            assert_eq!(to_card(&mut function, place as u32, &data, piece), data.len(), "{seed} {round}");
            assert_eq!(card_register(&mut function, pcie::TO_CARD_CRC), crc32(&data), "{seed} {round}");
            let (from, bytes) =
                (place.saturating_sub(512), (16 * words + 1024).min(image.len() - place.saturating_sub(512)));
            let found = to_host(&mut function, from as u32, bytes, piece);
            assert!(found == image[from..from + bytes], "{seed} {round}");
            assert_eq!(card_register(&mut function, pcie::TO_HOST_CRC), crc32(&found), "{seed} {round}");
        }
        assert_eq!((function.faults(), function.root().dropped_writes()), (0, 0));
    }
}

#[test]
fn a_planted_bug_in_the_memory_is_found() {
    let planted = CardModel::build_edited(&CONFIG, Tracing::None, |files| {
        let file = files.iter_mut().find(|file| file.name == "stream_to_card.v").unwrap();
        let text = "beats_left <= beats_left - 7'd1;";
        assert!(file.text.contains(text), "{}", file.text);
        // Every burst loses its last word.
        file.text = file.text.replace("last_beat = beats_left == 7'd0;", "last_beat = beats_left <= 7'd1;");
    });
    let mut function = crate::host::started(&planted.unwrap(), RootOptions::default());
    let data = pattern(4096, 5);
    let same =
        to_card(&mut function, 0, &data, 4096) == data.len() && to_host(&mut function, 0, 4096, 4096) == data;
    assert!(!same);
}

#[test]
fn loopback_leaves_the_card_alone() {
    let below = RootOptions { buffers: Placement::Below, ..RootOptions::default() };
    for options in [RootOptions::default(), below, RootOptions::random(9)] {
        let mut function = function(options);
        let data = pattern(3 * 4096, 2);
        let mut there = function.buffer(data.len(), Direction::ToCard).unwrap();
        let back = function.buffer(data.len(), Direction::ToHost).unwrap();
        there.write(0, &data);
        function.write(litepcie::DMA_LOOPBACK, 1).unwrap();
        program(&mut function, litepcie::DMA_WRITER, back.address(), data.len(), 4096);
        program(&mut function, litepcie::DMA_READER, there.address(), data.len(), 8192);
        function.root().step(20_000).unwrap();
        let mut found = vec![0; data.len()];
        back.read(0, &mut found);
        assert!(found == data);
        assert_eq!(card_register(&mut function, pcie::TO_CARD_DONE), 0);
    }
}

/// Why [`isa::pcie::LOWEST_BUS_ADDRESS`] is what it is. A LitePCIe in which this passes without error would not need it.
#[test]
fn litepcie_loses_data_if_addresses_are_on_both_sides_of_4_gib() {
    let mut function = function(RootOptions { buffers: Placement::Mixed, ..RootOptions::default() });
    let there = function.buffer(3 * 4096, Direction::ToCard).unwrap();
    let back = function.buffer(3 * 4096, Direction::ToHost).unwrap();
    function.write(litepcie::DMA_LOOPBACK, 1).unwrap();
    program(&mut function, litepcie::DMA_WRITER, back.address(), back.len(), 4096);
    program(&mut function, litepcie::DMA_READER, there.address(), there.len(), 8192);
    let error = function.root().step(20_000).unwrap_err();
    assert!(error.to_string().contains("is not as long as its header says"), "{error}");
}

#[test]
fn streams_that_cannot_be_are_refused() {
    let mut function = function(RootOptions::default());
    let memory = CONFIG.memory_bytes;
    for (place, length, fits) in [
        (0, memory, true),
        (memory - 16, 16, true),
        (memory, 16, false),
        (16, memory, false),
        (8, 16, false),
        (0, 24, false),
        (u32::MAX - 15, 32, false),
        (memory, 0, true),
    ] {
        for (offset, length_at, refused, busy) in [
            (
                pcie::TO_CARD_OFFSET,
                pcie::TO_CARD_LENGTH,
                card_status::TO_CARD_REFUSED,
                card_status::TO_CARD_BUSY,
            ),
            (
                pcie::TO_HOST_OFFSET,
                pcie::TO_HOST_LENGTH,
                card_status::TO_HOST_REFUSED,
                card_status::TO_HOST_BUSY,
            ),
        ] {
            set_card_register(&mut function, offset, place);
            set_card_register(&mut function, length_at, length);
            let expected = match (fits, length) {
                (false, _) => refused,
                (true, 0) => 0,
                (true, _) => busy,
            };
            assert_eq!(card_register(&mut function, pcie::CARD_STATUS), expected, "{place} {length}");
            // A second one has to wait for the first.
            if expected == busy {
                set_card_register(&mut function, length_at, 16);
                assert_eq!(card_register(&mut function, pcie::CARD_STATUS), busy | refused);
            }
            assert_eq!(stream_reset(&mut function), 0);
        }
    }
}

#[test]
fn every_stream_raises_one_interrupt() {
    let mut function = function(RootOptions::random(5));
    let data = pattern(4096, 3);
    assert_eq!(to_card(&mut function, 0, &data, 4096), data.len());
    let vector = |function: &mut SimFunction| {
        let vector = function.read(litepcie::MSI_VECTOR).unwrap();
        function.write(litepcie::MSI_CLEAR, vector).unwrap();
        vector
    };
    assert_eq!(vector(&mut function), interrupt::TO_CARD | interrupt::DMA_READER);
    assert_eq!(vector(&mut function), 0);
    assert!(function.wait_interrupt(Duration::ZERO).unwrap());
    to_host(&mut function, 0, 4096, 4096);
    assert_eq!(vector(&mut function), interrupt::TO_HOST | interrupt::DMA_WRITER);
    assert!(function.wait_interrupt(Duration::ZERO).unwrap());
    assert!(!function.wait_interrupt(Duration::from_micros(5)).unwrap());
}

/// Ends streams at every stage, then moves data as if nothing had been.
#[test]
fn streams_end_where_they_are_and_others_follow() {
    let card = crate::host::card();
    for reset in [card_control::STREAM_RESET, card_control::CORE_RESET] {
        for seed in 0..12 {
            let mut function = crate::host::started(&card, RootOptions::random(seed));
            let data = pattern(6 * 4096, seed);
            let back = function.buffer(data.len(), Direction::ToHost).unwrap();
            program(&mut function, litepcie::DMA_WRITER, back.address(), data.len(), 4096);
            set_card_register(&mut function, pcie::TO_HOST_OFFSET, 0);
            set_card_register(&mut function, pcie::TO_HOST_LENGTH, data.len() as u32);
            let there = begin_to_card(&mut function, 32 << 10, &data, 4096);
            function.root().step(seed as u32 * 97).unwrap();
            for engine in [litepcie::DMA_READER, litepcie::DMA_WRITER] {
                function.write(engine + litepcie::dma::ENABLE, 0).unwrap();
            }
            set_card_register(&mut function, pcie::CARD_CONTROL, reset);
            // Completions that are still on their way come to a reader that drops them.
            function.root().step(8_000).unwrap();
            assert_eq!(card_register(&mut function, pcie::CARD_STATUS), 0, "{seed}");
            drop((there, back));
            let data = pattern(4 * 4096, seed ^ 77);
            assert_eq!(to_card(&mut function, 16, &data, 8192), data.len(), "{seed}");
            assert!(to_host(&mut function, 16, data.len(), 4096) == data, "{seed}");
            assert_eq!(card_register(&mut function, pcie::TO_HOST_CRC), crc32(&data));
        }
    }
}
