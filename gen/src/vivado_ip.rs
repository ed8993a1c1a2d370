//! A script that packages the generated core as an IP of Vivado.

use hdl::rtl::{Module, Port};
use isa::CoreConfig;
use isa::registers::{self, Access, REGISTERS};
use std::fmt::Write;

/// The script for `top`, which is `mst_core` of these sizes. It reads the list of Verilog files beside it.
pub fn script(top: &Module, core: &CoreConfig) -> String {
    let name = top.name();
    let mut text = format!(
        "# Packages {name} as an IP: vivado -mode batch -source {name}_ip.tcl\n\
         # The IP goes into ./ip beside this script; add that folder to the project's IP repositories. Generated. Checked by tclsh against\n\
         # stubs of Vivado's commands, not run in Vivado.\n\
         set here [file dirname [file normalize [info script]]]\n\
         set list [open [file join $here {name}.f]]\n\
         set sources [list]\n\
         foreach source [split [string trim [read $list]] \\n] {{ lappend sources [file join $here $source] }}\n\
         close $list\n\n\
         create_project -in_memory\n\
         add_files -norecurse $sources\n\
         set_property top {name} [current_fileset]\n\
         ipx::package_project -root_dir [file join $here ip] -vendor mst -library accelerator -taxonomy /UserIP -import_files -force\n\
         set core [ipx::current_core]\n\
         set_property name {name} $core\n\
         set_property version {} $core\n\
         set_property display_name {{Masked Spiking Transformer accelerator}} $core\n\
         set_property description {{{} lanes, {}-bit bus}} $core\n\
         set_property supported_families [list artix7 Production kintex7 Production virtex7 Production zynq Production \\\n    \
             kintexu Production virtexu Production kintexuplus Production virtexuplus Production zynquplus Production] $core\n",
        env!("CARGO_PKG_VERSION").rsplit_once('.').map_or("0", |(version, _)| version),
        core.lanes,
        core.bus_bits,
    );
    text += "\n# Interfaces: what Vivado inferred from the names of the ports goes, what follows stays.\n\
             foreach bus [ipx::get_bus_interfaces -of_objects $core] {\n    \
                 ipx::remove_bus_interface [get_property NAME $bus] $core\n\
             }\n\
             foreach map [ipx::get_memory_maps -of_objects $core] {\n    \
                 ipx::remove_memory_map [get_property NAME $map] $core\n\
             }\n\
             proc interface {core name library kind mode maps} {\n    \
                 ipx::add_bus_interface $name $core\n    \
                 set bus [ipx::get_bus_interfaces $name -of_objects $core]\n    \
                 set_property bus_type_vlnv xilinx.com:$library:$kind:1.0 $bus\n    \
                 set_property abstraction_type_vlnv xilinx.com:$library:${kind}_rtl:1.0 $bus\n    \
                 set_property interface_mode $mode $bus\n    \
                 foreach {logical physical} $maps {\n        \
                     ipx::add_port_map $logical $bus\n        \
                     set_property physical_name $physical [ipx::get_port_maps $logical -of_objects $bus]\n    \
                 }\n    \
                 return $bus\n\
             }\n\
             proc parameter {bus name value} {\n    \
                 ipx::add_bus_parameter $name $bus\n    \
                 set_property value $value [ipx::get_bus_parameters $name -of_objects $bus]\n\
             }\n";
    interface(
        &mut text,
        "clk",
        "signal clock",
        "slave",
        &[("CLK", "clk")],
        &[("ASSOCIATED_BUSIF", "s_axil:m_axi"), ("ASSOCIATED_RESET", "rst")],
    );
    interface(&mut text, "rst", "signal reset", "slave", &[("RST", "rst")], &[("POLARITY", "ACTIVE_HIGH")]);
    interface(
        &mut text,
        "irq",
        "signal interrupt",
        "master",
        &[("INTERRUPT", "irq")],
        &[("SENSITIVITY", "LEVEL_HIGH")],
    );
    for (bus, mode, protocol) in [("s_axil", "slave", "AXI4LITE"), ("m_axi", "master", "AXI4")] {
        let maps = bus_ports(top.ports(), bus);
        let maps: Vec<(&str, &str)> =
            maps.iter().map(|(logical, physical)| (logical.as_str(), *physical)).collect();
        interface(&mut text, bus, "interface aximm", mode, &maps, &[("PROTOCOL", protocol)]);
    }
    text += &address_space(core);
    text += &address_block();
    text + "\nipx::create_xgui_files $core\n\
            ipx::update_checksums $core\n\
            ipx::check_integrity $core\n\
            ipx::save_core $core\n"
}

/// Logical and physical names of the ports of a bus.
fn bus_ports<'a>(ports: &'a [Port], bus: &str) -> Vec<(String, &'a str)> {
    let logical = |port: &'a Port| {
        let signal = port.name.strip_prefix(bus)?.strip_prefix('_')?;
        Some((signal.to_uppercase(), port.name.as_str()))
    };
    ports.iter().filter_map(logical).collect()
}

/// Adds an interface with its port maps and parameters.
fn interface(
    text: &mut String,
    name: &str,
    kind: &str,
    mode: &str,
    maps: &[(&str, &str)],
    parameters: &[(&str, &str)],
) {
    let maps: Vec<String> = maps.iter().map(|(logical, physical)| format!("{logical} {physical}")).collect();
    let _ = write!(
        text,
        "\nset bus [interface $core {name} {kind} {mode} {{\n    {}\n}}]\n",
        maps.join("\n    ")
    );
    for (name, value) in parameters {
        let _ = writeln!(text, "parameter $bus {name} {value}");
    }
}

/// What the master reaches: as much as its address bits say.
fn address_space(core: &CoreConfig) -> String {
    format!(
        "\nipx::add_address_space m_axi $core\n\
         set space [ipx::get_address_spaces m_axi -of_objects $core]\n\
         set_property range {} $space\n\
         set_property width {} $space\n\
         set_property master_address_space_ref m_axi [ipx::get_bus_interfaces m_axi -of_objects $core]\n",
        1u128 << core.address_bits,
        core.bus_bits,
    )
}

/// The registers behind `s_axil`.
fn address_block() -> String {
    let mut text = format!(
        "\nipx::add_memory_map s_axil $core\n\
         set_property slave_memory_map_ref s_axil [ipx::get_bus_interfaces s_axil -of_objects $core]\n\
         set map [ipx::get_memory_maps s_axil -of_objects $core]\n\
         ipx::add_address_block registers $map\n\
         set block [ipx::get_address_blocks registers -of_objects $map]\n\
         set_property range {} $block\n\
         set_property width 32 $block\n\
         set_property usage register $block\n\
         foreach {{name offset access description}} {{\n",
        registers::BYTES
    );
    for register in REGISTERS {
        let access = match register.access {
            Access::ReadOnly => "read-only",
            Access::ReadWrite => "read-write",
            Access::WriteOne => "write-only",
        };
        let _ =
            writeln!(text, "    {} 0x{:03x} {access} {{{}}}", register.name, register.offset, register.doc);
    }
    text + "} {\n    \
            ipx::add_register $name $block\n    \
            set register [ipx::get_registers $name -of_objects $block]\n    \
            set_property address_offset $offset $register\n    \
            set_property size 32 $register\n    \
            set_property access $access $register\n    \
            set_property description $description $register\n\
            }\n"
}
