//! FPGA families that Yosys synthesises for, and what their cells are called.

use clap::ValueEnum;

/// An FPGA family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// Lattice ECP5.
    Ecp5,
    /// Xilinx 7 series.
    Xc7,
    /// Xilinx UltraScale+.
    Xcup,
}

/// What a cell is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A look-up table of 4 (ECP5) or up to 6 inputs (Xilinx).
    Lut,
    /// A carry cell: 2 bits (ECP5), 4 (7 series) or 8 (UltraScale+).
    Carry,
    /// Distributed memory.
    LutRam,
    /// A flip-flop.
    FlipFlop,
    /// A block RAM.
    BlockRam,
    /// A multiplier or DSP block.
    Dsp,
    /// A latch.
    Latch,
}

impl Family {
    /// As Yosys and the command line call it.
    pub fn name(self) -> &'static str {
        match self {
            Family::Ecp5 => "ecp5",
            Family::Xc7 => "xc7",
            Family::Xcup => "xcup",
        }
    }

    /// The Yosys command that synthesises `top` and keeps its modules apart.
    pub fn synthesis(self, top: &str) -> String {
        match self {
            Family::Ecp5 => format!("synth_ecp5 -noflatten -top {top}"),
            Family::Xc7 | Family::Xcup => format!("synth_xilinx -family {} -top {top}", self.name()),
        }
    }

    /// What a cell of that type is, if it is counted.
    pub fn kind(self, cell: &str) -> Option<Kind> {
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| cell.starts_with(prefix));
        let kinds: [(Kind, &[&str]); 7] = match self {
            Family::Ecp5 => [
                (Kind::Lut, &["LUT4"]),
                (Kind::Carry, &["CCU2C"]),
                (Kind::LutRam, &["TRELLIS_DPR16X4"]),
                (Kind::FlipFlop, &["TRELLIS_FF"]),
                (Kind::BlockRam, &["DP16KD", "PDPW16KD"]),
                (Kind::Dsp, &["MULT18X18", "MULT9X9", "ALU54", "ALU24", "PRADD"]),
                (Kind::Latch, &["$_DLATCH", "$dlatch", "$_SR_", "FD1S1"]),
            ],
            Family::Xc7 | Family::Xcup => [
                (Kind::Lut, &["LUT", "INV"]),
                (Kind::Carry, &["CARRY"]),
                (Kind::LutRam, &["RAM16", "RAM32", "RAM64", "RAM128", "RAM256", "RAM512"]),
                (Kind::FlipFlop, &["FD"]),
                (Kind::BlockRam, &["RAMB", "URAM"]),
                (Kind::Dsp, &["DSP"]),
                (Kind::Latch, &["LDCE", "LDPE", "$_DLATCH", "$dlatch", "$_SR_"]),
            ],
        };
        kinds.into_iter().find(|(_, prefixes)| starts(prefixes)).map(|(kind, _)| kind)
    }
}
