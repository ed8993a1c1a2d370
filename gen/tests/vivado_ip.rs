//! The script that packages the core for Vivado, run by tclsh with stubs in place of Vivado's commands: it has not run in Vivado.

mod support;

use isa::CoreConfig;
use isa::registers::{Access, REGISTERS};
use std::collections::BTreeMap;
use std::process::{Command, Output};
use support::{succeeds, text, workspace};
use tempfile::TempDir;

fn generated(preset: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    succeeds(&["verilog", "--preset", preset, "--out", text(folder.path())]);
    folder
}

fn tclsh(folder: &TempDir) -> Output {
    let mut tclsh = Command::new("tclsh");
    tclsh.arg(workspace().join("gen/tests/vivado_ip.tcl")).arg(folder.path().join("mst_core_ip.tcl"));
    tclsh.output().expect("tclsh starts (Debian: apt-get install tcl)")
}

/// The commands that the script calls.
fn calls(folder: &TempDir) -> Vec<String> {
    let output = tclsh(folder);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// `set_property NAME VALUE OBJECT` for each object whose handle has all of `object`: the object and the value.
fn properties(calls: &[String], name: &str, object: &str) -> BTreeMap<String, String> {
    let prefix = format!("set_property {name} ");
    let values = calls.iter().filter_map(|call| call.strip_prefix(&prefix)?.rsplit_once(' '));
    let of = values.filter(|(_, of)| of.contains(object));
    of.map(|(value, of)| (of.to_owned(), value.to_owned())).collect()
}

#[test]
fn every_port_is_in_its_interface() {
    for preset in CoreConfig::PRESETS {
        let (folder, core) = (generated(preset), CoreConfig::preset(preset).unwrap());
        let calls = calls(&folder);
        let maps = properties(&calls, "physical_name", "port_map:");
        let mut mapped: Vec<(String, String)> = maps.into_iter().map(|(map, port)| (port, map)).collect();
        mapped.sort();
        let map = |bus: &str, logical: &str| format!("core/bus_interface:{bus}/port_map:{logical}");
        let top = hdl::core::mst_core(&core).unwrap();
        let mut expected: Vec<(String, String)> = Vec::new();
        for port in top.ports() {
            let name = port.name.as_str();
            let place = match (name, name.strip_prefix("s_axil_"), name.strip_prefix("m_axi_")) {
                ("clk", ..) => map("clk", "CLK"),
                ("rst", ..) => map("rst", "RST"),
                ("irq", ..) => map("irq", "INTERRUPT"),
                // For lights: no interface.
                ("busy" | "error", ..) => continue,
                (_, Some(signal), _) => map("s_axil", &signal.to_uppercase()),
                (_, _, Some(signal)) => map("m_axi", &signal.to_uppercase()),
                _ => panic!("{name} has no place in the IP"),
            };
            expected.push((name.to_owned(), place));
        }
        expected.sort();
        assert_eq!(mapped, expected, "{preset}");

        let kinds = properties(&calls, "bus_type_vlnv", "bus_interface:");
        let kind = |bus: &str| kinds[&format!("core/bus_interface:{bus}")].as_str();
        assert_eq!(["s_axil", "m_axi"].map(kind), ["xilinx.com:interface:aximm:1.0"; 2]);
        assert_eq!(kind("clk"), "xilinx.com:signal:clock:1.0");
        let modes = properties(&calls, "interface_mode", "bus_interface:");
        let mode = |bus: &str| modes[&format!("core/bus_interface:{bus}")].as_str();
        assert_eq!(["s_axil", "m_axi", "irq"].map(mode), ["slave", "master", "master"]);
        for (bus, parameter, value) in [
            ("clk", "ASSOCIATED_BUSIF", "s_axil:m_axi"),
            ("clk", "ASSOCIATED_RESET", "rst"),
            ("rst", "POLARITY", "ACTIVE_HIGH"),
            ("irq", "SENSITIVITY", "LEVEL_HIGH"),
            ("s_axil", "PROTOCOL", "AXI4LITE"),
        ] {
            let of = format!("core/bus_interface:{bus}/bus_parameter:{parameter}");
            assert_eq!(properties(&calls, "value", &of).get(&of).map(String::as_str), Some(value), "{of}");
        }
        let space = properties(&calls, "range", "address_space:m_axi");
        assert_eq!(space["core/address_space:m_axi"], (1u128 << core.address_bits).to_string());
    }
}

#[test]
fn the_address_block_has_the_registers_of_isa() {
    let calls = calls(&generated("tiny"));
    let block = "core/memory_map:s_axil/address_block:registers";
    assert_eq!(properties(&calls, "range", block)[block], isa::registers::BYTES.to_string());
    let of = |name: &str| properties(&calls, name, &format!("{block}/register:"));
    let (offsets, accesses) = (of("address_offset"), of("access"));
    assert_eq!(offsets.len(), REGISTERS.len());
    for register in REGISTERS {
        let place = format!("{block}/register:{}", register.name);
        assert_eq!(offsets[&place], format!("0x{:03x}", register.offset), "{place}");
        let access = match register.access {
            Access::ReadOnly => "read-only",
            Access::ReadWrite => "read-write",
            Access::WriteOne => "write-only",
        };
        assert_eq!(accesses[&place], access, "{place}");
    }
}

#[test]
fn every_file_is_in_the_ip_and_what_vivado_inferred_is_not() {
    let folder = generated("tiny");
    let calls = calls(&folder);
    let added = calls.iter().find(|call| call.starts_with("add_files ")).unwrap();
    for file in std::fs::read_to_string(folder.path().join("mst_core.f")).unwrap().lines() {
        let path = folder.path().join(file);
        assert!(path.is_file() && added.contains(text(&path)), "{file}: {added}");
    }
    for inferred in ["remove_bus_interface inferred_1 core", "remove_memory_map inferred_2 core"] {
        assert!(calls.iter().any(|call| call == &format!("ipx::{inferred}")), "{inferred}: {calls:#?}");
    }
    let removed = calls.iter().rposition(|call| call.starts_with("ipx::remove_")).unwrap();
    let first = calls.iter().position(|call| call.starts_with("ipx::add_")).unwrap();
    assert!(removed < first && calls.last().unwrap() == "ipx::save_core core");
}

/// The stubs are no use if they take everything.
#[test]
fn a_mistake_in_the_script_is_an_error() {
    let folder = generated("tiny");
    let path = folder.path().join("mst_core_ip.tcl");
    let script = std::fs::read_to_string(&path).unwrap();
    for (right, wrong) in [
        ("ipx::add_port_map $logical $bus", "ipx::add_port_map $physical $bus"),
        ("ipx::get_memory_maps s_axil", "ipx::get_memory_maps m_axi"),
        ("ipx::save_core", "ipx::store_core"),
        ("ipx::add_bus_interface $name $core", "ipx::add_bus_interface $name $kore"),
    ] {
        assert!(script.contains(right), "{right}");
        std::fs::write(&path, script.replace(right, wrong)).unwrap();
        assert!(!tclsh(&folder).status.success(), "{wrong}");
    }
}
