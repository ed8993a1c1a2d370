//! What can be asked for on the command line.

mod core_args;
mod export_args;
mod run_args;

use crate::report::SpeedArgs;
use crate::screen::Format;
use crate::synth::Family;
use clap::{Args, Parser, Subcommand};
pub use core_args::CoreArgs;
pub use export_args::{SpikesArgs, VectorsArgs, VerilogArgs};
pub use run_args::{ImageArgs, NetworkArgs, NeuronArg};
use std::path::PathBuf;

/// Spiking vision networks on FPGAs: generate the core, convert networks, run and check them.
#[derive(Debug, Parser)]
#[command(
    name = "gen",
    version,
    propagate_version = true,
    after_help = "From nothing to a checked core:\n  \
        gen convert models/fashion-mnist/checkpoint.safetensors --out net.mst\n  \
        gen run net.mst --images 1000         how accurate it is\n  \
        gen cosim net.mst --images 3          the generated core spikes like the reference\n  \
        gen verilog --preset ecp5 --out rtl   the Verilog of that core\n\n\
        Files are written in full or not at all; a symbolic link stays and its target is replaced, a device is written to directly.\n\
        Exit codes: 0 success, 1 core and reference differ, 2 refused (bad input, missing tool)."
)]
pub struct Cli {
    /// Print one JSON document instead of text. A path in it is a string, or where it is no Unicode `{"bytes": [...]}`.
    #[arg(long, global = true)]
    json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// How results are printed.
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Text }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the Verilog of a core, with port table, registers (SystemRDL, C) and packages for other tools.
    #[command(after_help = "Examples:\n  \
        gen verilog --preset ecp5 --out rtl\n  \
        gen verilog --preset pcie --lanes 32 --out rtl\n  \
        gen verilog --soc constraints/ulx3s/mst_soc.json --out rtl\n  \
        gen verilog --pcie constraints/acorn/mst_pcie.json --out rtl\n  \
        verilator --lint-only -Wall --top-module mst_core -F rtl/mst_core.f\n  \
        fusesoc --cores-root rtl run --target lint mst:accelerator:mst_core\n  \
        peakrdl html rtl/mst_core.rdl -o registers\n\n\
        Writes one file a module, and beside them:\n  \
        mst_core.f         the files, children first\n  \
        mst_core.json      the sizes, which the driver compares with the core's own\n  \
        mst_core_ports.md  the ports: direction, width, clock, meaning\n  \
        mst_core.rdl, .h   the registers in SystemRDL; in C with descriptors, passes and error codes\n  \
        mst_core.core      the package for FuseSoC\n  \
        generated.sha256   all that was written, for `sha256sum -c`\n  \
        mst_core_ip.tcl    a script that packages the core for Vivado's block designs\n\
        Of a system (--soc) the names are `mst_soc`, with `csr.csv` for LiteX's clients in place of the script; of a card (--pcie) they are\n\
        `mst_pcie`, with `litepcie.yml`, from which `litepcie_gen` makes the module `litepcie_core`, in place of package and script.\n\
        `mst_core.rdl` and `mst_core.h` stay, and `mst_soc` or `mst_pcie` has what is around the core.\n\
        The same options give the same bytes. Files of these names are written anew. A file of an earlier run that is not written again is removed if it is as that run\n\
        left it; all other files in the folder stay.")]
    Verilog(VerilogArgs),
    /// Convert a trained checkpoint or graph into an integer network.
    #[command(after_help = "Examples:\n  \
        gen convert models/fashion-mnist/checkpoint.safetensors --out net.mst\n  \
        gen convert models/fashion-mnist/checkpoint.safetensors --out net.mst --room-for 32 --report\n\n\
        Checkpoints (Masked Spiking Transformers) and graphs (`mst-graph`: ResNet, VGG, ...) are described in docs/checkpoint.md. The same checkpoint and options give the same bytes.")]
    Convert(ConvertArgs),
    /// Compile a network for a core, into a program that a host loads without the network.
    #[command(after_help = "Examples:\n  \
        gen verilog --preset ecp5 --out rtl && gen compile net.mst --core rtl/mst_core.json --out net.mstp\n  \
        mst --link serial:/dev/ttyUSB0 load net.mstp\n\n\
        The file holds descriptors, passes, weights and the memory map, with a checksum, for one core, one T and one set of masks. It is refused\n\
        by a core of other sizes, and by drivers of another interface version.")]
    Compile(CompileArgs),
    /// Show a network: layers, thresholds, the range that each layer's sums were proven to keep; for each preset memory, passes and strips.
    #[command(after_help = "Examples:\n  gen info\n  gen info net.mst --time-steps 16 --json")]
    Info(InfoArgs),
    /// Classify images with the bit-exact reference.
    #[command(after_help = "Examples:\n  \
        gen run --images 10000 --float        beside the float network it was made from\n  \
        gen run --neuron if --time-steps 64   the neuron that needs no second phase\n  \
        gen run --mask q=0.75,k=0.75,attn=0.75  three of four spikes of the attention dropped\n  \
        gen run --mask 0,stages.0:0.5         every second spike, in the first stage alone\n  \
        gen run --part held-out --images 5000 the images that training made its choices on\n  \
        gen run my.mst --data photos --resize your own pictures, in a folder for each class (docs/images.md)\n  \
        gen run --energy --json               energy as papers report it, and each constant with its source\n\n\
        A masked spike was fired but is not transmitted: it costs nothing. `--json` adds the class of each image, the confusion matrix (rows:\n\
        labels, columns: classes; null above 1,024 classes), the pairs of label and class that occur, and for each layer its mask, fired and transmitted spikes and synaptic events, which are the\n\
        additions that transmitted spikes drive. P is power as linear in the spikes (the paper's Eq. 10): those of a time step / 1 ms * α,\n\
        for α joules a spike.\n\n\
        RAYON_NUM_THREADS limits the threads.")]
    Run(RunArgs),
    /// Classify images over a grid of time steps, neurons, masks and seeds, into one file of points.
    #[command(after_help = "Examples:\n  \
        gen sweep net.mst --time-steps 2,4,8,16 --neuron if,two_phase --out time.csv\n  \
        gen sweep net.mst --mask 0 --mask q=0.5 --mask q=0.75 --seed 1,2,3 --out masks.csv\n  \
        gen sweep net.mst masked.mst --mask as-converted --mask 0 --out both.json\n\n\
        Each point is in the file as soon as it is measured, and what is in the file is not measured again: a sweep that\n\
        was stopped goes on with the same command, and a larger grid adds its new points. A file with other columns, or\n\
        with points of a network that is not named (or has changed), is refused. Columns: network, hash (of the file),\n\
        time_steps, neuron, mask, seed, data (hash of images and labels), part, first, images; then sums over these images:\n\
        correct and accuracy (empty without labels), fired, spikes (transmitted), synaptic_events, power (in α·W).")]
    Sweep(SweepArgs),
    /// Write one page about networks: accuracy, masks, power, spikes of each layer, activation maps, distributions.
    #[command(after_help = "Examples:\n  \
        gen report net.mst --out report.html\n  \
        gen report net.mst --with masked.mst --images 10000 --sweep points.csv --out report.html\n\n\
        The page is one HTML file that needs no network and no script, in light and dark, for screens and paper. It has the\n\
        counterparts of the paper's Fig. 3 and 5 to 7 and of its Table 3. Cycles an image are an estimate from the spikes, for the\n\
        core of --preset (or --lanes, --bus-bits, …): a lower bound, which `gen cosim` replaces by a measurement; images a second\n\
        are those at --clock. The float accuracy is that of the checkpoint that each network was converted from, which its file\n\
        remembers by path and hash; or `--float CHECKPOINT`. With --sweep, points are taken from that file and new ones added to it, as\n\
        `gen sweep` does, so that a report that was stopped goes on.")]
    Report(ReportArgs),
    /// Write every spike of the bit-exact reference to a file, for comparison with other simulators.
    #[command(after_help = "Example:\n  gen spikes --images 100 --out spikes.safetensors\n\n\
        One byte tensor a layer, named like it: [images, tokens, channels, bytes], time step t in bit t mod 8 of byte t / 8.\n\
        Tokens are in raster order; those of scores are heads, then windows, then queries, and their channels are keys.\n\
        The tensor `logits` holds a 32-bit integer a class and image.")]
    Spikes(SpikesArgs),
    /// Write the memory of a run, before and after, for other test benches.
    #[command(after_help = "Examples:\n  \
        gen vectors --preset tiny --layers 3 --out vectors\n  \
        gen vectors net.mst --preset ecp5 --out vectors\n\n\
        Writes `before.bin`, the memory window with descriptors, passes, parameters, weights and the image, `after.bin`, what the reference\n\
        says it must hold when the core is done, and `run.json`: sizes of the core, descriptors to run, and where the spikes\n\
        of each layer lie. Places that the run must write hold 0xa5 before. tests/cocotb/ is a bench that uses them.")]
    Vectors(VectorsArgs),
    /// Run images on the generated core and on the reference; compare every spike and every logit.
    #[command(after_help = "Examples:\n  \
        gen cosim                              three images on the core for an ECP5 board\n  \
        gen cosim --per-layer                  where the cycles go\n  \
        gen cosim --stalls 7 --preset tiny     with random stalls on all bus channels\n  \
        gen cosim --images 1 --trace out.fst   with waves of every signal\n  \
        gen cosim large.mst --layers 3..5      two layers of a large network alone\n\n\
        The core is compiled with Verilator (`cargo xtask setup` fetches it) and kept for the next time.\n\
        `useful` is the share of busy cycles that the network's spikes need on that many lanes: their events, a cycle for each\n\
        row without one (null events), and T cycles a token at least. The shares of the busy cycles are another cut of the same\n\
        whole and sum to 100 %: cycles with an event, null events, and waits by cause (docs/architecture.md, Counters).")]
    Cosim(CosimArgs),
    /// Run images on the generated PCIe card, packet by packet; compare every logit, measure the link.
    #[command(after_help = "Examples:\n  \
        gen card                                              two images on the card for an Acorn\n  \
        gen card --images 4 --json\n\n\
        The card is compiled with Verilator around LitePCIe's own core (`cargo xtask setup litex` fetches its generator).")]
    Card(CardArgs),
    /// Synthesise a core with Yosys: cells of each module, and no multiplier, latch or undriven net.
    #[command(after_help = "Examples:\n  \
        gen synth                                  the core for an ECP5 board\n  \
        gen synth --preset tiny --family xc7 --json\n\n\
        Yosys keeps modules apart, so that cells can be counted by module. The Verilog, Yosys' script and its log stay in\n\
        the folder. Exit code 1 if a defect was found: a DSP block, a latch, an undriven or multiply driven net, a memory of more\n\
        than 64 rows that is no block RAM, a warning of Yosys that is not known to be harmless.")]
    Synth(SynthArgs),
}

/// `gen convert`.
#[derive(Args, Debug)]
pub struct ConvertArgs {
    /// The checkpoint or graph: a safetensors file from train/.
    #[arg(value_name = "CHECKPOINT")]
    pub checkpoint: PathBuf,
    /// Network file to write.
    #[arg(long, value_name = "NET")]
    pub out: PathBuf,
    /// Name of the network [default: the graph's, or the checkpoint's folder]
    #[arg(long)]
    pub name: Option<String>,
    /// Neuron mode of all layers.
    #[arg(long, value_enum, default_value_t = NeuronArg::TwoPhase)]
    pub neuron: NeuronArg,
    /// Time steps that integer scales leave room for in a 24-bit membrane.
    #[arg(long, value_name = "T", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub room_for: u32,
    /// Show for each layer what rounding cost, its threshold, and the range that its sums were proven to keep.
    #[arg(long)]
    pub report: bool,
}

/// `gen compile`.
#[derive(Args, Debug)]
pub struct CompileArgs {
    /// The network.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Sizes of the core: the `mst_core.json`, `mst_soc.json` or `mst_pcie.json` that `gen verilog` writes beside it.
    #[arg(long, value_name = "FILE")]
    pub core: PathBuf,
    /// Program file to write.
    #[arg(long, value_name = "NETP")]
    pub out: PathBuf,
    /// Bytes of memory that the board gives to the core [default: what the file of the sizes says, else as many as the program needs]
    #[arg(long, value_name = "N")]
    pub memory_bytes: Option<u64>,
    /// Give the program a second place for an image, so that one image is written while the core computes another: PCIe cards stream so.
    #[arg(long)]
    pub streaming: bool,
}

/// `gen info`.
#[derive(Args, Debug)]
pub struct InfoArgs {
    /// The network.
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// `gen run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// The network.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Number of images [default: 100, or as many as there are]
    #[arg(long, value_name = "N", help_heading = "Images")]
    pub images: Option<usize>,
    /// Where they are.
    #[command(flatten)]
    pub source: ImageArgs,
    /// Also run the float network of a checkpoint: of this one, or without a value of the one that the network was converted from
    #[arg(long, value_name = "CHECKPOINT", num_args = 0..=1, help_heading = "Reference")]
    pub float: Option<Option<PathBuf>>,
    /// Signed width that sums and membranes must fit, proven before the run: `if` neurons need 25 from T = 128 on.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(16..=32), help_heading = "Reference")]
    pub membrane_bits: u32,
    /// Also tell energy: synaptic operations beside the float network's products, and the bits that move on a core: of this preset, or of the
    /// `mst_core.json` that `gen verilog` writes
    #[arg(long, value_name = "CORE", num_args = 0..=1, default_missing_value = "ecp5", help_heading = "Energy")]
    pub energy: Option<String>,
    /// JSON file that sets constants, each with its source: `{"memory_bit": {"picojoules": 4.5, "source": "…"}}` [default: 45 nm, as papers have them]
    #[arg(long, value_name = "FILE", requires = "energy", help_heading = "Energy")]
    pub energy_constants: Option<PathBuf>,
}

/// `gen sweep`.
#[derive(Args, Debug)]
pub struct SweepArgs {
    /// Network files, from `gen convert`.
    #[arg(required = true, value_name = "NET")]
    pub nets: Vec<PathBuf>,
    /// File of points: .csv, one line a point, or .json, one array.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Numbers of time steps T: 1 to 256 each.
    #[arg(long, value_name = "T,T", value_delimiter = ',', default_value = "8")]
    pub time_steps: Vec<u32>,
    /// Neuron modes [default: as converted]
    #[arg(long, value_enum, value_name = "MODE,MODE", value_delimiter = ',')]
    pub neuron: Vec<NeuronArg>,
    /// Mask rules as for `gen run`, or `as-converted`; once for each point [default: as-converted]
    #[arg(long, value_name = "RULES", allow_hyphen_values = true)]
    pub mask: Vec<String>,
    /// Seeds of the masks [default: as converted]
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    pub seed: Vec<u32>,
    /// Number of images [default: 1000, or as many as there are]
    #[arg(long, value_name = "N", help_heading = "Images")]
    pub images: Option<usize>,
    /// Where they are.
    #[command(flatten)]
    pub source: ImageArgs,
}

/// `gen report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// Network file, from `gen convert` [default: models/fashion-mnist/net.mst]
    pub net: Option<PathBuf>,
    /// File to write.
    #[arg(long, value_name = "HTML")]
    pub out: PathBuf,
    /// Show the accuracy of this checkpoint's float network beside the first network's; without a value, insist on that of the one
    /// it was converted from [default: of each network the one that it was converted from, if it is still there]
    #[arg(long, value_name = "CHECKPOINT", num_args = 0..=1)]
    pub float: Option<Option<PathBuf>>,
    /// Further networks to put beside it.
    #[arg(long, value_name = "NET,NET", value_delimiter = ',')]
    pub with: Vec<PathBuf>,
    /// Time steps T of everything that does not vary them: 1 to 256.
    #[arg(long, value_name = "T", default_value_t = 8)]
    pub time_steps: u32,
    /// Number of images; 500 take a minute or two on two processors [default: 500, or as many as there are]
    #[arg(long, value_name = "N", help_heading = "Images")]
    pub images: Option<usize>,
    /// File of points to read and to add to: .csv or .json.
    #[arg(long, value_name = "FILE")]
    pub sweep: Option<PathBuf>,
    /// Where the images are.
    #[command(flatten)]
    pub source: ImageArgs,
    /// What cycles and images a second are told for.
    #[command(flatten)]
    pub speed: SpeedArgs,
    /// JSON file that sets constants of energy, as for `gen run`.
    #[arg(long, value_name = "FILE", help_heading = "Energy")]
    pub energy_constants: Option<PathBuf>,
}

/// `gen cosim`.
#[derive(Args, Debug)]
pub struct CosimArgs {
    /// The network.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Number of images [default: 3, or as many as there are]
    #[arg(long, value_name = "N", help_heading = "Images")]
    pub images: Option<usize>,
    /// Where they are.
    #[command(flatten)]
    pub source: ImageArgs,
    /// Sizes.
    #[command(flatten)]
    pub core: CoreArgs,
    /// Run these layers alone, on the planes that the reference gives them: `7`, `3..9` (without 9), `conv1..=conv4` (with conv4), `3..`, by
    /// index or name as `gen info` shows them [default: all]
    #[arg(long, value_name = "A..B")]
    pub layers: Option<String>,
    /// How the simulation goes.
    #[command(flatten)]
    pub simulation: SimulationArgs,
}

/// `gen card`.
#[derive(Args, Debug)]
pub struct CardArgs {
    /// The network.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Number of images [default: 2, or as many as there are]
    #[arg(long, value_name = "N", help_heading = "Images")]
    pub images: Option<usize>,
    /// Where they are.
    #[command(flatten)]
    pub source: ImageArgs,
    /// Sizes of the card [default: constraints/acorn/mst_pcie.json]
    #[arg(long, value_name = "FILE")]
    pub pcie: Option<PathBuf>,
}

/// `gen synth`.
#[derive(Args, Debug)]
pub struct SynthArgs {
    /// Sizes.
    #[command(flatten)]
    pub core: CoreArgs,
    /// FPGA family.
    #[arg(long, value_enum, default_value_t = Family::Ecp5)]
    pub family: Family,
    /// Folder for Verilog, script and log [default: out/synth/PRESET-FAMILY]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Markdown page whose section for this preset and family is replaced by the new figures.
    #[arg(long, value_name = "FILE")]
    pub update: Option<PathBuf>,
}

/// How the simulation goes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Simulation")]
pub struct SimulationArgs {
    /// Stall all bus channels at random, reorder and interleave reads; the same seed, the same stalls.
    #[arg(long, value_name = "SEED")]
    pub stalls: Option<u64>,
    /// Write waves of every signal to an FST file (slower by an order of magnitude, about 100 MB an image).
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Run every image once more layer by layer, and show what each layer cost.
    #[arg(long)]
    pub per_layer: bool,
    /// Walk every spike as an event of its own: the same spikes in more cycles, to see what merging events saves.
    #[arg(long)]
    pub step_by_step: bool,
    /// Go on after an image that differs.
    #[arg(long)]
    pub keep_going: bool,
    /// Images simulated at the same time [default: the number of processors; 1 with --trace]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
}
