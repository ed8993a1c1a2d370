//! What goes wrong on the link, what the host sees of it, and that a reset of the function mends it.
//!
//! LitePCIe looks neither at a completion's status nor at its mark of poisoned data, and has no timeout: a read without data leaves the stream
//! short, wrong data show in the stream's checksum alone.

use crate::host::{
    begin_to_card, card, card_register, crc32, enable_interrupts, function, pattern, program,
    set_card_register, started, to_card, to_host, wait_done,
};
use driver::pcie::{Buffer, Direction, Function};
use isa::pcie::{self, litepcie};
use sim::pcie::config_space::{offset, status};
use sim::pcie::{Fault, RootOptions, SimFunction};

/// After a reset of the function, streams are as good as new.
fn recovers(function: &mut SimFunction) {
    function.reset().unwrap();
    enable_interrupts(function);
    let data = pattern(3 * 4096, 99);
    assert_eq!(to_card(function, 4096, &data, 4096), data.len());
    assert_eq!(card_register(function, pcie::TO_CARD_CRC), crc32(&data));
    assert!(to_host(function, 4096, data.len(), 8192) == data);
}

/// Bytes that got to the card, whether their checksum is right, and the status register, with one read of eight gone wrong.
fn stream_with(function: &mut SimFunction, fault: Fault) -> (usize, bool, u32) {
    let data = pattern(8 * 512, 7);
    function.root().inject(3, fault);
    let done = to_card(function, 0, &data, 4096);
    let right = card_register(function, pcie::TO_CARD_CRC) == crc32(&data);
    (done, right, function.root().config_read(offset::COMMAND))
}

#[test]
fn a_lost_completion_leaves_the_stream_short() {
    let mut function = function(RootOptions::default());
    let (done, right, _) = stream_with(&mut function, Fault::Lost);
    assert!(done <= 3 * 512 && !right, "{done}");
    recovers(&mut function);
}

#[test]
fn an_unsupported_request_leaves_the_stream_short() {
    let mut function = function(RootOptions::default());
    let (done, right, said) = stream_with(&mut function, Fault::Unsupported);
    assert!(done < 8 * 512 && !right, "{done}");
    assert!(said & status::RECEIVED_MASTER_ABORT != 0);
    recovers(&mut function);
}

/// LitePCIe takes an answer without data for a word: a read of 16 bytes that is refused looks complete.
#[test]
fn a_refused_read_of_one_word_shows_in_the_checksum() {
    let mut function = function(RootOptions::default());
    let data = pattern(16, 8);
    function.root().inject(0, Fault::Unsupported);
    let done = to_card(&mut function, 0, &data, 4096);
    assert!(card_register(&mut function, pcie::TO_CARD_CRC) != crc32(&data), "{done}");
    recovers(&mut function);
}

#[test]
fn poisoned_data_show_in_the_checksum() {
    let mut function = function(RootOptions::default());
    let (done, right, said) = stream_with(&mut function, Fault::Poisoned);
    assert_eq!((done, right), (8 * 512, false), "LitePCIe takes them for good");
    assert!(said & status::DETECTED_PARITY_ERROR != 0);
    recovers(&mut function);
}

/// Its data stay in LitePCIe until the tag is used again.
#[test]
fn a_completion_nobody_asked_for_shows_at_the_latest_in_the_next_stream() {
    let card = card();
    for tag in [0, 7] {
        let mut function = started(&card, RootOptions::default());
        let (_, first, _) = stream_with(&mut function, Fault::Unexpected { tag });
        let data = pattern(8 * 512, 13);
        let all = to_card(&mut function, 0, &data, 4096) == data.len();
        let second = all && card_register(&mut function, pcie::TO_CARD_CRC) == crc32(&data);
        assert!(!(first && second), "tag {tag}: the streams are as if nothing had been");
        recovers(&mut function);
    }
}

/// LitePCIe waits for ever for a place to put it, and nothing else gets by: the card does not even answer reads of registers.
#[test]
fn a_completion_with_a_tag_that_is_none_stops_the_card_until_it_is_reset() {
    let mut function = function(RootOptions::default());
    let data = pattern(8 * 512, 7);
    function.root().inject(3, Fault::Unexpected { tag: 200 });
    let buffer = begin_to_card(&mut function, 0, &data, 4096);
    function.root().step(2_000).unwrap();
    let error = function.read(pcie::CARD_BASE + pcie::TO_CARD_DONE).unwrap_err();
    assert!(error.to_string().contains("not answered"), "{error}");
    drop(buffer);
    recovers(&mut function);
}

#[test]
fn reads_outside_buffers_are_refused_and_counted() {
    let mut function = function(RootOptions::default());
    let data = pattern(2 * 4096, 4);
    let mut buffer = function.buffer(4096, Direction::ToCard).unwrap();
    buffer.write(0, &data[..4096]);
    set_card_register(&mut function, pcie::TO_CARD_OFFSET, 0);
    set_card_register(&mut function, pcie::TO_CARD_LENGTH, 8192);
    program(&mut function, litepcie::DMA_READER, buffer.address(), 8192, 8192);
    assert!(wait_done(&mut function, pcie::TO_CARD_DONE, 8192) < 8192);
    assert!(function.faults() > 0);
    recovers(&mut function);
}

#[test]
fn writes_where_the_card_may_not_write_are_dropped_and_show_in_the_checksum() {
    let mut function = function(RootOptions::default());
    let data = pattern(4096, 6);
    assert_eq!(to_card(&mut function, 0, &data, 4096), data.len());
    // What the card may read it must not write.
    let mut buffer = function.buffer(4096, Direction::ToCard).unwrap();
    buffer.write(0, &[0x11; 4096]);
    program(&mut function, litepcie::DMA_WRITER, buffer.address(), 4096, 4096);
    set_card_register(&mut function, pcie::TO_HOST_OFFSET, 0);
    set_card_register(&mut function, pcie::TO_HOST_LENGTH, 4096);
    assert_eq!(wait_done(&mut function, pcie::TO_HOST_DONE, 4096), 4096, "posted writes are not answered");
    function.root().step(2_000).unwrap();
    let mut found = [0; 4096];
    buffer.read(0, &mut found);
    assert!(found == [0x11; 4096]);
    assert!(card_register(&mut function, pcie::TO_HOST_CRC) != crc32(&found));
    assert_eq!(function.root().dropped_writes(), function.faults());
    assert!(function.faults() > 0);
    recovers(&mut function);
}

#[test]
fn a_reset_of_the_link_ends_everything() {
    let card = card();
    for steps in [200, 500, 900] {
        let mut function = started(&card, RootOptions::random(steps.into()));
        let data = pattern(8 * 4096, 12);
        let buffer = begin_to_card(&mut function, 0, &data, 4096);
        function.root().step(steps).unwrap();
        function.root().reset().unwrap();
        drop(buffer);
        // Memory is not enabled any more: that is how the host sees it.
        assert_eq!(card_register(&mut function, pcie::TO_CARD_DONE), u32::MAX);
        recovers(&mut function);
        assert_eq!(function.faults(), 0, "nothing that was under way came back");
    }
}
