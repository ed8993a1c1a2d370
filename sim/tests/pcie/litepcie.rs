//! LitePCIe's generated core is the one that [`isa::pcie::litepcie`] describes.

use crate::host::CONFIG;
use isa::pcie::litepcie as registers;
use sim::pcie::Litepcie;
use std::collections::HashMap;

#[test]
fn its_registers_are_where_isa_says() {
    let csr = std::fs::read_to_string(Litepcie::generate(&CONFIG).unwrap().registers()).unwrap();
    let found: HashMap<&str, u32> = csr
        .lines()
        .filter_map(|line| {
            let mut fields = line.strip_prefix("csr_register,")?.split(',');
            let (name, address) = (fields.next()?, fields.next()?);
            Some((name, u32::from_str_radix(address.trim_start_matches("0x"), 16).ok()?))
        })
        .collect();
    let mut expected = vec![
        ("ctrl_scratch".to_owned(), registers::CTRL_SCRATCH),
        ("pcie_phy_phy_link_status".to_owned(), registers::PHY_LINK_STATUS),
        ("pcie_phy_phy_msi_enable".to_owned(), registers::PHY_MSI_ENABLE),
        ("pcie_phy_phy_bus_master_enable".to_owned(), registers::PHY_BUS_MASTER_ENABLE),
        ("pcie_phy_phy_max_request_size".to_owned(), registers::PHY_MAX_REQUEST_SIZE),
        ("pcie_phy_phy_max_payload_size".to_owned(), registers::PHY_MAX_PAYLOAD_SIZE),
        ("pcie_msi_enable".to_owned(), registers::MSI_ENABLE),
        ("pcie_msi_clear".to_owned(), registers::MSI_CLEAR),
        ("pcie_msi_vector".to_owned(), registers::MSI_VECTOR),
        ("pcie_dma0_loopback_enable".to_owned(), registers::DMA_LOOPBACK),
    ];
    for (engine, base) in [("writer", registers::DMA_WRITER), ("reader", registers::DMA_READER)] {
        use registers::dma;
        for (name, offset) in [
            ("enable", dma::ENABLE),
            // Two words, the higher first.
            ("table_value", dma::TABLE_VALUE_HIGH),
            ("table_we", dma::TABLE_WRITE),
            ("table_loop_prog_n", dma::TABLE_LOOP),
            ("table_loop_status", dma::TABLE_STATUS),
            ("table_level", dma::TABLE_LEVEL),
            ("table_reset", dma::TABLE_RESET),
        ] {
            expected.push((format!("pcie_dma0_{engine}_{name}"), base + offset));
        }
    }
    for (name, address) in expected {
        assert_eq!(found.get(name.as_str()), Some(&address), "{name}");
    }
}
