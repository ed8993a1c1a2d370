//! `mst_pcie` with LitePCIe's own core in Yosys, the hard block a black box: nothing undriven, nothing driven twice.

use hdl::rtl::{VerilogFile, emit};
use hdl::shell::litepcie::{Phy, yaml};
use hdl::shell::mst_pcie;
use isa::{CoreConfig, PcieConfig};
use sim::pcie::Litepcie;
use std::path::PathBuf;
use tests::yosys;

const READ: &str =
    "read_verilog -lib -specify +/xilinx/cells_sim.v\nread_verilog -lib +/xilinx/cells_xtra.v\n";

fn config() -> PcieConfig {
    let core = CoreConfig { lanes: 16, ..CoreConfig::preset("pcie").unwrap() };
    PcieConfig { core, memory_bytes: 160 << 10, clock_hz: 125_000_000 }
}

/// The module around the hard block, of which LitePCIe has the vendor's tool make the contents.
fn hard_block_name(phy: Phy) -> &'static str {
    match phy {
        Phy::SevenSeries => "pcie_s7",
        Phy::UltraScalePlus => "pcie_support",
    }
}

/// The hard block declared with the ports that LitePCIe connects; wide ones, for their widths are nowhere said.
fn hard_block(litepcie: &str, name: &str) -> String {
    let begin = format!("// Instance {name} of {name} Module.");
    let start = litepcie.find(&begin).expect("LitePCIe has a hard block");
    let instance = &litepcie[start..];
    let instance = &instance[..instance.find("\n);").expect("the instance ends")];
    let (parameters, ports) = instance.split_once("// Inputs.").expect("LiteX says which are inputs");
    let (inputs, outputs) = ports.split_once("// Outputs.").expect("LiteX says which are outputs");
    let declared = |text: &str, what: &str| -> Vec<String> {
        let names = text.lines().filter_map(|line| line.trim().strip_prefix('.')?.split([' ', '(']).next());
        names.map(|name| format!("    {what} {name}")).collect()
    };
    let parameters =
        declared(parameters, "parameter").iter().map(|line| format!("{line} = 0;\n")).collect::<String>();
    let ports = [declared(inputs, "input [511:0]"), declared(outputs, "output [511:0]")].concat();
    assert!(ports.len() > 50, "{ports:?}");
    let names = ports.iter().filter_map(|port| port.split(' ').next_back()).collect::<Vec<_>>().join(", ");
    let ports = ports.join(";\n");
    format!("(* blackbox *)\nmodule {name} ({names});\n{parameters}{ports};\nendmodule\n")
}

/// Runs `steps` on the card after `edit`, and returns the folder and what `check` found each time.
fn checked(
    name: &str,
    phy: Phy,
    steps: &str,
    edit: impl FnOnce(&mut Vec<VerilogFile>),
) -> (PathBuf, Vec<String>) {
    let folder = yosys::folder(&format!("card-{name}")).unwrap();
    let litepcie = Litepcie::of(&yaml(&config(), phy)).unwrap().source().unwrap();
    let mut files = emit(&mst_pcie(&config()).unwrap()).unwrap();
    files.push(VerilogFile {
        name: "hard_block.v".into(),
        text: hard_block(&litepcie.text, hard_block_name(phy)),
    });
    files.push(litepcie);
    edit(&mut files);
    for file in &files {
        std::fs::write(folder.join(&file.name), &file.text).unwrap();
    }
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    // LitePCIe's always_comb.
    let script =
        format!("{READ}read_verilog -sv {}\nhierarchy -check -top mst_pcie\n{steps}", names.join(" "));
    yosys::run(&folder, "check", &script).unwrap();
    let log = std::fs::read_to_string(folder.join("check.log")).unwrap();
    let found =
        log.lines().filter(|line| line.starts_with("Found and reported")).map(str::to_owned).collect();
    (folder, found)
}

#[test]
fn nothing_in_the_card_is_undriven() {
    for (name, phy) in [("elaborated", Phy::SevenSeries), ("elaborated-plus", Phy::UltraScalePlus)] {
        let (_, found) = checked(name, phy, "proc\nopt_clean\ncheck\n", |_| ());
        assert_eq!(found, ["Found and reported 0 problems."], "{name}");
    }
}

#[test]
fn an_undriven_net_is_found() {
    let (_, found) = checked("planted", Phy::SevenSeries, "proc\nopt_clean\ncheck\n", |files| {
        let top = files.iter_mut().find(|file| file.name == "mst_pcie.v").unwrap();
        let line = "    assign ram_rid_net = ram_rid;\n";
        assert!(top.text.contains(line), "{}", top.text);
        top.text = top.text.replace(line, "");
    });
    assert!(found.iter().all(|line| line != "Found and reported 0 problems."), "{found:?}");
}

#[test]
#[ignore = "five minutes of Yosys; run by name"]
fn the_card_synthesises_for_7_series() {
    synthesises("xc7", Phy::SevenSeries, &["RAMB36E1", "IBUFDS_GTE2"], "DSP48E1");
}

#[test]
#[ignore = "five minutes of Yosys; run by name"]
fn the_card_synthesises_for_ultrascale_plus() {
    synthesises("xcup", Phy::UltraScalePlus, &["RAMB36E2", "IBUFDS_GTE4"], "DSP48E2");
}

/// The whole synthesis for a family: no problem, these cells, none of that one.
fn synthesises(family: &str, phy: Phy, cells: &[&str], multiplier: &str) {
    let steps = format!(
        "synth_xilinx -family {family} -top mst_pcie -noiopad\ncheck\ntee -o stat.txt stat -top mst_pcie\n"
    );
    let (folder, found) = checked(family, phy, &steps, |_| ());
    assert!(
        found.iter().all(|line| line == "Found and reported 0 problems.") && !found.is_empty(),
        "{found:?}"
    );
    let counted = std::fs::read_to_string(folder.join("stat.txt")).unwrap();
    assert!(cells.iter().all(|cell| counted.contains(cell)), "{counted}");
    assert!(!counted.contains(multiplier), "{counted}");
}
