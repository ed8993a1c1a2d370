//! The netlist that Yosys makes of `tiny` for the Lattice ECP5, as a compiled model: look-up tables, carry chains, flip-flops, block RAM.
//!
//! Yosys' own simulation models stand for the cells, except for the block RAM, which has none: `gate_level/dp16kd.v`. There is no timing
//! and no routing in it.

use crate::cosim::{Cosim, DEADLINE};
use crate::yosys;
use hdl::rtl::VerilogFile;
use isa::CoreConfig;
use sim::Verilated;
use std::path::Path;

const BLOCK_RAM: &str = include_str!("gate_level/dp16kd.v");
/// The input that switches a fault on, and its bits.
const FAULT: (&str, u32) = ("fault", 5);
/// One inverted pin of each kind of cell: the cell, the pin, and a module that a small network cannot do without.
const KINDS: &[(&str, &str, &str)] = &[
    ("LUT4", "Z", "if_neuron"),
    ("CCU2C", "S0", "if_neuron"),
    ("PFUMX", "Z", "if_neuron"),
    ("L6MUX21", "Z", "spike_buffer"),
    ("TRELLIS_FF", "Q", "if_neuron"),
    ("TRELLIS_DPR16X4", "DO", "layer_tables"),
    ("DP16KD", "ADB6", "weight_buffer"),
    ("DP16KD", "WEA", "key_transposer"),
    ("DP16KD", "DIA0", "weight_buffer"),
];
/// Cells of each kind of which one has the fault.
const CELLS: u32 = 3;

/// An inverted pin.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Cell, pin and module.
    pub kind: (&'static str, &'static str, &'static str),
    /// The value of the input that switches it on.
    number: u32,
}

/// Every fault that can be switched on in the netlist, by kind.
pub fn faults() -> Vec<Vec<Fault>> {
    let of = |(index, &kind): (u32, &_)| {
        let first = 1 + index * CELLS;
        (first..first + CELLS).map(|number| Fault { kind, number }).collect()
    };
    (0..).zip(KINDS).map(of).collect()
}

/// Synthesises the core and compiles the netlist, whose faults are off.
///
/// # Errors
/// If a tool is missing or reports an error, or a block RAM is used in a way that its model does not know.
pub fn netlist() -> Result<Cosim, String> {
    let folder = yosys::folder("gate-level")?;
    let core = CoreConfig::preset("tiny").expect("a preset");
    let top = hdl::core::mst_core(&core).map_err(|error| error.to_string())?;
    let files = hdl::rtl::emit(&top).map_err(|error| error.to_string())?;
    for file in &files {
        let path = folder.join(&file.name);
        std::fs::write(&path, &file.text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let mut script = format!("read_verilog {}\nsynth_ecp5 -noflatten -top mst_core\n", names.join(" "));
    let (name, width) = FAULT;
    for fault in faults().iter().filter_map(|kind| kind.first()) {
        let (Fault { kind: (cell, pin, module), number }, list) =
            (fault, format!("faults{}.ys", fault.number));
        // Numbers the cells from `number` on.
        script += &format!(
            "mutate -list {CELLS} -seed 1 -mode inv -port {pin} -ctrl {name} {width} {number} -o {list} {module}/t:{cell}\n"
        );
    }
    for fault in faults().iter().filter_map(|kind| kind.first()) {
        script += &format!("script faults{}.ys\n", fault.number);
    }
    script += "write_verilog -noattr netlist.v\n";
    yosys::run(&folder, "synth", &script)?;
    let netlist = read(&folder.join("netlist.v"))?;
    check_block_rams(&netlist)?;
    let file = |name: &str, text: String| VerilogFile { name: name.to_owned(), text };
    let files =
        vec![file("netlist.v", netlist), file("cells.v", cells()?), file("dp16kd.v", BLOCK_RAM.to_owned())];
    let verilated = Verilated::build_netlist(&top, files, &[FAULT]).map_err(|error| error.to_string())?;
    Ok(Cosim { core, verilated, scratch: 0, deadline: DEADLINE })
}

/// The netlist with a fault switched on.
///
/// # Errors
/// If the model has no faults.
pub fn with_fault(netlist: &Cosim, fault: Fault) -> Result<Cosim, String> {
    let verilated = netlist.verilated.clone().strapped(FAULT.0, fault.number.into());
    Ok(Cosim { verilated: verilated.map_err(|error| error.to_string())?, ..netlist.clone() })
}

/// Port A only writes and port B only reads, without resets: all that the model knows.
fn check_block_rams(netlist: &str) -> Result<(), String> {
    let pins = [".WEB(", ".RSTA(", ".RSTB("];
    let used = netlist
        .lines()
        .map(str::trim)
        .find(|line| pins.iter().any(|pin| line.starts_with(pin)) && !line.contains("(1'h0)"));
    used.map_or(Ok(()), |line| Err(format!("a block RAM has {line}, which its model does not know")))
}

/// Yosys' models of the cells in one text, without the pins of the block RAM.
fn cells() -> Result<String, String> {
    let share = yosys::share()?;
    let text = read(&share.join("ecp5/cells_sim.v"))?;
    let (start, block_ram) =
        text.split_once("(* blackbox *)\nmodule DP16KD(").ok_or("cells_sim.v has no DP16KD")?;
    let end = block_ram.split_once("endmodule").ok_or("DP16KD in cells_sim.v has no end")?.1;
    include(&share.join("ecp5"), &format!("{start}{end}"))
}

/// Replaces each `include` by the file's text.
fn include(folder: &Path, text: &str) -> Result<String, String> {
    let mut whole = String::new();
    for line in text.lines() {
        match line.trim().strip_prefix("`include \"").and_then(|rest| rest.strip_suffix('"')) {
            Some(name) => whole += &include(folder, &read(&folder.join(name))?)?,
            None => whole += &format!("{line}\n"),
        }
    }
    Ok(whole)
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
