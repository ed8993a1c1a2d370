//! `mst_pcie` with LitePCIe's own core in Yosys, the hard block a black box: nothing undriven, nothing driven twice.

use hdl::rtl::{VerilogFile, emit};
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

/// The hard block declared with the ports that LitePCIe connects; wide ones, for their widths are nowhere said.
fn hard_block(litepcie: &str) -> String {
    let start = litepcie.find("\npcie_s7 pcie_s7(").expect("LitePCIe has a hard block");
    let instance = &litepcie[start..];
    let instance = &instance[..instance.find("\n);").expect("the instance ends")];
    let (inputs, outputs) = instance.split_once("// Outputs.").expect("LiteX says which are outputs");
    let ports = |text: &str, direction: &str| -> Vec<String> {
        let names = text.lines().filter_map(|line| line.trim().strip_prefix('.')?.split([' ', '(']).next());
        names.map(|name| format!("    {direction} [127:0] {name}")).collect()
    };
    let ports = [ports(inputs, "input"), ports(outputs, "output")].concat();
    assert!(ports.len() > 150, "{ports:?}");
    format!("(* blackbox *)\nmodule pcie_s7 (\n{}\n);\nendmodule\n", ports.join(",\n"))
}

/// Runs `steps` on the card after `edit`, and returns the folder and what `check` found each time.
fn checked(name: &str, steps: &str, edit: impl FnOnce(&mut Vec<VerilogFile>)) -> (PathBuf, Vec<String>) {
    let folder = yosys::folder(&format!("card-{name}")).unwrap();
    let litepcie = Litepcie::generate(&config()).unwrap().source().unwrap();
    let mut files = emit(&mst_pcie(&config()).unwrap()).unwrap();
    files.push(VerilogFile { name: "pcie_s7.v".into(), text: hard_block(&litepcie.text) });
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
    let (_, found) = checked("elaborated", "proc\nopt_clean\ncheck\n", |_| ());
    assert_eq!(found, ["Found and reported 0 problems."]);
}

#[test]
fn an_undriven_net_is_found() {
    let (_, found) = checked("planted", "proc\nopt_clean\ncheck\n", |files| {
        let top = files.iter_mut().find(|file| file.name == "mst_pcie.v").unwrap();
        let line = "    assign to_arbiter_rid = ram_rid;\n";
        assert!(top.text.contains(line), "{}", top.text);
        top.text = top.text.replace(line, "");
    });
    assert!(found.iter().all(|line| line != "Found and reported 0 problems."), "{found:?}");
}

#[test]
#[ignore = "five minutes of Yosys; run by name"]
fn the_card_synthesises_for_7_series() {
    let steps =
        "synth_xilinx -family xc7 -top mst_pcie -noiopad\ncheck\ntee -o stat.txt stat -top mst_pcie\n";
    let (folder, found) = checked("xc7", steps, |_| ());
    assert!(
        found.iter().all(|line| line == "Found and reported 0 problems.") && !found.is_empty(),
        "{found:?}"
    );
    let cells = std::fs::read_to_string(folder.join("stat.txt")).unwrap();
    assert!(cells.contains("RAMB36E1") && cells.contains("IBUFDS_GTE2"), "{cells}");
    assert!(!cells.contains("DSP48E1"), "{cells}");
}
