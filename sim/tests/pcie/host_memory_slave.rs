//! LitePCIe's AXI slave for host memory, beside which the card's DMA is measured.

use driver::pcie::Direction;
use sim::pcie::{HostMemorySlave, RootOptions};

const BYTES: usize = 16 << 10;

#[test]
fn the_slave_moves_host_memory_in_bursts() {
    let slave = HostMemorySlave::build().unwrap_or_else(|error| panic!("{error}"));
    for options in [RootOptions::default(), RootOptions::random(3)] {
        for direction in [Direction::ToCard, Direction::ToHost] {
            for beats in [1, 16, 256] {
                let moved = slave.run(options.clone(), direction, BYTES, beats).unwrap();
                assert!(moved.right, "{direction:?}, bursts of {beats}");
                let bytes = moved.traffic.read_bytes + moved.traffic.written_bytes;
                assert_eq!(bytes, BYTES as u64, "{direction:?}, bursts of {beats}");
            }
        }
    }
}

#[test]
fn a_master_that_loses_a_word_is_found() {
    let slave = HostMemorySlave::build_edited(|files| {
        let file = files.iter_mut().find(|file| file.name == "mst_pcie.v").unwrap();
        for (text, wrong) in [
            ("sum <= sum + lanes;", "sum <= sum + lanes + (slave_rdata[63:32] == 32'h9e3779b9);"),
            ("word <= word + 28'd1;", "word <= word + 28'd1 + (word == 28'd77);"),
        ] {
            assert!(file.text.contains(text));
            file.text = file.text.replace(text, wrong);
        }
    });
    let slave = slave.unwrap_or_else(|error| panic!("{error}"));
    for direction in [Direction::ToCard, Direction::ToHost] {
        assert!(!slave.run(RootOptions::default(), direction, BYTES, 16).unwrap().right, "{direction:?}");
    }
}
