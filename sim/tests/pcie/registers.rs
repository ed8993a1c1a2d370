//! Configuration space and BAR 0.

use crate::host::{self, CONFIG, card_register, function};
use driver::pcie::Function;
use isa::pcie::{self, BAR0_BYTES, CARD_BASE, CORE_BASE, litepcie};
use sim::pcie::RootOptions;
use sim::pcie::config_space::offset;

#[test]
fn the_host_finds_the_card_and_sizes_its_bar() {
    let mut function = function(RootOptions::default());
    let root = function.root();
    let id = root.config_read(offset::ID);
    assert_eq!(id, u32::from(pcie::DEVICE_ID) << 16 | u32::from(pcie::VENDOR_ID));
    let place = root.config_read(offset::BAR0);
    root.config_write(offset::BAR0, u32::MAX, 0xf);
    assert_eq!(!root.config_read(offset::BAR0) + 1, BAR0_BYTES);
    root.config_write(offset::BAR0, place, 0xf);

    let mut at = root.config_read(offset::CAPABILITIES) as usize & 0xff;
    let mut found = Vec::new();
    while at != 0 {
        let header = root.config_read(at);
        found.push(header & 0xff);
        at = (header >> 8 & 0xff) as usize;
    }
    assert_eq!(found, [0x05, 0x10], "MSI and PCI Express");
    assert_eq!(card_register(&mut function, pcie::CARD_IDENTITY), pcie::IDENTITY);
}

#[test]
fn registers_of_all_three_blocks_are_where_they_belong() {
    for options in [RootOptions::default(), RootOptions::random(3)] {
        let mut function = function(options.clone());
        let mut read = |offset: u32| function.read(offset).unwrap();
        assert_eq!(read(CARD_BASE + pcie::CARD_IDENTITY), pcie::IDENTITY);
        assert_eq!(read(CARD_BASE + pcie::MEMORY_BYTES), CONFIG.memory_bytes);
        assert_eq!(read(CARD_BASE + pcie::CLOCK_HZ), CONFIG.clock_hz);
        assert_eq!(read(CORE_BASE + isa::registers::IDENTITY), isa::IDENTITY);
        assert_eq!(read(litepcie::PHY_MAX_PAYLOAD_SIZE), options.max_payload);
        assert_eq!(read(litepcie::PHY_MAX_REQUEST_SIZE), options.max_request);
        assert_eq!(read(litepcie::PHY_BUS_MASTER_ENABLE), 1);
        assert_eq!(read(litepcie::PHY_MSI_ENABLE), 1);
        // Link up, 5 Gb/s, four lanes.
        assert_eq!(read(litepcie::PHY_LINK_STATUS) & 0xf, 0b1011);
        // Nothing is there.
        for nowhere in [CARD_BASE + 0x100, CARD_BASE + 0x1000, BAR0_BYTES - 4, BAR0_BYTES] {
            assert_eq!(read(nowhere), u32::MAX, "0x{nowhere:x}");
        }
    }
}

#[test]
fn what_is_written_is_read() {
    let mut function = function(RootOptions::random(4));
    for (index, register) in [
        litepcie::CTRL_SCRATCH,
        CARD_BASE + pcie::TO_CARD_OFFSET,
        CARD_BASE + pcie::TO_HOST_OFFSET,
        CORE_BASE + isa::registers::MEMORY_SIZE,
    ]
    .into_iter()
    .enumerate()
    {
        for value in [0x1234_5670 ^ (index as u32) << 20, 0xf0] {
            function.write(register, value).unwrap();
            assert_eq!(function.read(register).unwrap(), value, "0x{register:x}");
        }
    }
    // Without memory enabled the card is not there.
    function.root().config_write(offset::COMMAND, 0, 0b11);
    assert_eq!(card_register(&mut function, pcie::CARD_IDENTITY), u32::MAX);
    function.reset().unwrap();
    assert_eq!(card_register(&mut function, pcie::CARD_IDENTITY), pcie::IDENTITY);
    assert_eq!(function.read(litepcie::MSI_ENABLE).unwrap(), 0);
    host::enable_interrupts(&mut function);
}
