//! Every port of every top says what it carries and which clock it belongs to.

use std::rc::Rc;

use hdl::core::mst_core;
use hdl::rtl::{Module, PortDirection};
use hdl::shell::{mst_pcie, mst_soc};
use isa::{CoreConfig, PcieConfig, SocConfig};

fn tops() -> Vec<Rc<Module>> {
    let preset = |name| CoreConfig::preset(name).expect("a preset");
    let soc =
        SocConfig { core: preset("ecp5"), memory_bytes: 304 << 10, clock_hz: 50_000_000, baud: 1_000_000 };
    let card = PcieConfig { core: preset("pcie"), memory_bytes: 768 << 10, clock_hz: 125_000_000 };
    let built = [mst_core(&preset("tiny")), mst_soc(&soc), mst_pcie(&card)];
    built.into_iter().map(|top| top.unwrap_or_else(|error| panic!("{error}"))).collect()
}

fn position(top: &Module, name: &str) -> usize {
    top.ports().iter().position(|port| port.name == name).unwrap_or_else(|| panic!("no port `{name}`"))
}

#[test]
fn every_port_of_a_top_is_described() {
    for top in tops() {
        for port in top.ports() {
            assert!(!port.doc.is_empty(), "{}: port `{}` has no description", top.name(), port.name);
            assert!(!port.doc.contains('|'), "{}: `{}` would break a table", top.name(), port.name);
        }
    }
}

#[test]
fn ports_are_those_of_the_verilog_in_its_order() {
    for top in tops() {
        let header = top.text().split(");").next().expect("a header");
        let lines = header
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("input") || line.starts_with("output"));
        let declared: Vec<(String, String)> = lines
            .map(|line| {
                let words: Vec<&str> = line.split("//").next().unwrap().split_whitespace().collect();
                (words[0].to_owned(), words.last().unwrap().trim_end_matches(',').to_owned())
            })
            .collect();
        let listed: Vec<(String, String)> =
            top.ports().iter().map(|port| (port.direction.verilog().to_owned(), port.name.clone())).collect();
        assert_eq!(listed, declared, "{}", top.name());
    }
}

#[test]
fn a_port_belongs_to_the_clock_unless_it_is_one_or_asynchronous() {
    let [core, soc, card] = &tops()[..] else { panic!("three tops") };
    let clock = |top: &Module, name: &str| top.ports()[position(top, name)].clock.clone();
    assert_eq!(clock(core, "clk"), None);
    assert_eq!(clock(core, "rst").as_deref(), Some("clk"));
    assert_eq!(clock(core, "m_axi_rdata").as_deref(), Some("clk"));
    assert_eq!(clock(soc, "rx"), None);
    assert_eq!(clock(soc, "tx").as_deref(), Some("clk"));
    assert_eq!(clock(card, "pcie_tx_p"), None);
    assert_eq!(clock(card, "busy").as_deref(), Some("litepcie_clk"));
}

#[test]
fn the_ports_of_an_axi_channel_stand_together() {
    let core = &tops()[0];
    for bus in ["s_axil", "m_axi"] {
        let mut last = 0;
        for channel in ["aw", "w", "b", "ar", "r"] {
            let valid = position(core, &format!("{bus}_{channel}valid"));
            let ready = position(core, &format!("{bus}_{channel}ready"));
            assert_eq!(ready, valid + 1, "{bus} {channel}");
            assert_ne!(core.ports()[valid].direction, core.ports()[ready].direction);
            assert!(last < valid, "{bus}: channel {channel} is out of order");
            last = ready;
        }
    }
    assert_eq!(core.ports()[position(core, "m_axi_awaddr")].direction, PortDirection::Output);
    assert!(core.text().contains("    // AXI write address channel\n"), "{}", core.text());
}
