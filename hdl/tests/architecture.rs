//! The block diagrams of docs/architecture.md are those of the design.

use hdl::core::{engine::engine, mst_core};
use hdl::rtl::{Module, mermaid};
use hdl::shell::mst_pcie;
use isa::{CoreConfig, PcieConfig};
use std::rc::Rc;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/architecture.md");

/// Replaces the Mermaid block that follows the module's marker.
fn with_diagram(page: &str, module: &Rc<Module>) -> String {
    let marker = format!("<!-- diagram: {} -->\n```mermaid\n", module.name());
    let (before, rest) = page.split_once(&marker).unwrap_or_else(|| panic!("no `{marker}` in the page"));
    let (_, after) = rest.split_once("```\n").expect("the block ends");
    format!("{before}{marker}{}```\n{after}", mermaid(module))
}

#[test]
fn diagrams_are_in_step() {
    let core = CoreConfig::preset("ecp5").expect("a preset");
    let card = PcieConfig {
        core: CoreConfig::preset("pcie").expect("a preset"),
        memory_bytes: 768 << 10,
        clock_hz: 125_000_000,
    };
    let found = std::fs::read_to_string(PAGE).expect("the page");
    let mut page = found.clone();
    for module in [mst_core(&core).unwrap(), engine(&core).unwrap(), mst_pcie(&card).unwrap()] {
        page = with_diagram(&page, &module);
    }
    if std::env::var_os("MST_UPDATE_DOCS").is_some() {
        return std::fs::write(PAGE, &page).unwrap();
    }
    assert!(
        page == found,
        "docs/architecture.md differs from the design: run the test with MST_UPDATE_DOCS=1"
    );
}
