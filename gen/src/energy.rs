//! Energy as the field reports it: counted operations, and counted bits that move, times published constants.
//!
//! No measurement: nothing here knows an FPGA's wires, clock tree or leakage. It tells where a network spends, and lets rows of other papers stand
//! beside it.

use crate::core_work::CoreWork;
use crate::error::GenError;
use crate::evaluation::Evaluation;
use crate::files;
use crate::screen::{grouped, ratio};
use isa::program::{Program, Strip};
use isa::{CoreConfig, Schedule};
use model::{Configured, synapses};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What the text and the page say about all of it.
pub const CAVEAT: &str =
    "An estimate from counts and published constants of 45 nm circuits, no measurement of a board.";

/// Joules of one operation, and who says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constant {
    /// In 10^-12 J.
    pub picojoules: f64,
    /// Where it is published.
    pub source: String,
}

/// The constants; a file may set some of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Constants {
    /// A synaptic operation: one addition.
    pub addition: Constant,
    /// A multiplication and addition of the float network, and of the image's layer.
    pub multiply_accumulate: Constant,
    /// A bit read from or written to a register.
    pub register_bit: Constant,
    /// A bit read from or written to block RAM.
    pub block_ram_bit: Constant,
    /// A bit read from or written to the board's memory.
    pub memory_bit: Constant,
}

/// What a file of constants is.
const WANTED: &str = "name a JSON file like `{\"memory_bit\": {\"picojoules\": 4.5, \"source\": \"LPDDR4, data sheet\"}}`, with any of addition, \
                      multiply_accumulate, register_bit, block_ram_bit, memory_bit";

const HOROWITZ: &str = "M. Horowitz, Computing's energy problem, ISSCC 2014: 45 nm";
const HAN: &str = "S. Han et al., Learning both weights and connections, NeurIPS 2015, Table 1: 45 nm";

impl Default for Constants {
    fn default() -> Constants {
        let constant = |picojoules: f64, source: &str, what: &str| Constant {
            picojoules,
            source: format!("{source}, {what}"),
        };
        Constants {
            addition: constant(0.9, HOROWITZ, "32-bit float addition"),
            multiply_accumulate: constant(4.6, HOROWITZ, "32-bit float multiplication 3.7 and addition 0.9"),
            register_bit: constant(1.0 / 32.0, HAN, "register file, 1 pJ for 32 bits"),
            block_ram_bit: constant(5.0 / 32.0, HAN, "SRAM cache, 5 pJ for 32 bits"),
            memory_bit: constant(640.0 / 32.0, HAN, "DRAM, 640 pJ for 32 bits"),
        }
    }
}

impl Constants {
    /// Those of a file, where it sets them.
    ///
    /// # Errors
    /// If it cannot be read, names another constant, or a number is negative or none.
    pub fn load(path: Option<&Path>) -> Result<Constants, GenError> {
        let Some(path) = path else { return Ok(Constants::default()) };
        let constants: Constants = files::json(path, WANTED)?;
        for (name, constant) in constants.named() {
            if !(0.0..1e12).contains(&constant.picojoules) {
                let allowed = format!("0 or more picojoules for `{name}`");
                return Err(GenError::Option {
                    option: "--energy-constants",
                    found: constant.picojoules.to_string(),
                    allowed,
                });
            }
        }
        Ok(constants)
    }

    /// Each with its name in the file.
    pub fn named(&self) -> [(&'static str, &Constant); 5] {
        [
            ("addition", &self.addition),
            ("multiply_accumulate", &self.multiply_accumulate),
            ("register_bit", &self.register_bit),
            ("block_ram_bit", &self.block_ram_bit),
            ("memory_bit", &self.memory_bit),
        ]
    }
}

/// What an image costs.
#[derive(Clone, Debug, Serialize)]
pub struct Energy {
    /// Additions that spikes drive: synaptic events.
    pub synaptic_operations: f64,
    /// Products of the layers that read the image, whose pixels are numbers.
    pub image_products: u64,
    /// Both, times their constants.
    pub spiking_picojoules: f64,
    /// Products of the float network: of all layers.
    pub float_products: u64,
    /// These times their constant.
    pub float_picojoules: f64,
    /// Bits that move on a core; none if it does not run the network.
    pub moved: Option<Moved>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What was multiplied with.
    pub constants: Constants,
}

/// Bits that an image moves on a core.
#[derive(Clone, Debug, Serialize)]
pub struct Moved {
    /// The core.
    pub core: CoreConfig,
    /// Images that events were counted of.
    pub images: usize,
    /// Read from and written to the board's memory: everything that passes the bus.
    pub memory_bits: u64,
    /// Read from and written to block RAM: a row of weights an event; weights, keys, parameters and input rows as they come, the latter two once more
    /// as they are used; partial sums between passes.
    pub block_ram_bits: u64,
    /// Read from and written to the lanes' accumulators and membranes: once an event, and once a threshold step.
    pub register_bits: u64,
    /// All three times their constants.
    pub picojoules: f64,
}

impl Energy {
    /// The energy of an evaluated network, on the core that `work` was counted for.
    pub fn new(
        network: &Configured,
        evaluation: &Evaluation,
        work: &Result<CoreWork, String>,
        constants: &Constants,
    ) -> Energy {
        let products = synapses::products(network);
        let layers = network.layers.iter().zip(&products);
        let image_products =
            layers.filter(|(layer, _)| layer.operation.reads_image()).map(|(_, products)| products).sum();
        let float_products = products.iter().sum();
        let synaptic_operations = ratio(evaluation.synaptic_events, evaluation.images as u64);
        let multiply = constants.multiply_accumulate.picojoules;
        Energy {
            synaptic_operations,
            image_products,
            spiking_picojoules: synaptic_operations * constants.addition.picojoules
                + image_products as f64 * multiply,
            float_products,
            float_picojoules: float_products as f64 * multiply,
            moved: work.as_ref().ok().map(|work| Moved::new(work, constants)),
            refused: work.as_ref().err().cloned(),
            constants: constants.clone(),
        }
    }

    /// The float network's energy over the spiking one's.
    pub fn gain(&self) -> f64 {
        self.float_picojoules / self.spiking_picojoules
    }

    /// Lines below a run's results.
    pub fn text(&self) -> String {
        let mut text = format!(
            "energy of an image: {} synaptic operations and {} products of the image, {}; the float network: {} products, {}, x{:.2}\n",
            grouped(self.synaptic_operations as u64),
            grouped(self.image_products),
            joules(self.spiking_picojoules),
            grouped(self.float_products),
            joules(self.float_picojoules),
            self.gain(),
        );
        match &self.moved {
            Some(moved) => {
                text += &format!(
                    "moved on {} lanes: {} bits of memory, {} of block RAM, {} of registers: {}\n",
                    moved.core.lanes,
                    grouped(moved.memory_bits),
                    grouped(moved.block_ram_bits),
                    grouped(moved.register_bits),
                    joules(moved.picojoules),
                );
            }
            None => {
                let reason = self.refused.as_deref().unwrap_or_default();
                text += &format!("moved on the core: –, {reason}\n");
            }
        }
        text + CAVEAT + "\n"
    }
}

impl Moved {
    fn new(CoreWork { program, images, events, .. }: &CoreWork, constants: &Constants) -> Moved {
        let traffic = program.traffic();
        let lanes = u64::from(program.core.lanes);
        let row_bits = lanes * u64::from(program.core.membrane_bits);
        let Steps { sums, thresholds } = steps(program);
        let buffered = traffic.weights + traffic.keys + 2 * (traffic.parameters + traffic.inputs);
        let memory_bits = 8 * (traffic.read() + traffic.written());
        let block_ram_bits = events * lanes * 8 + 8 * buffered + 2 * sums * row_bits;
        let register_bits = 2 * (events + thresholds) * row_bits;
        let terms = [
            (memory_bits, &constants.memory_bit),
            (block_ram_bits, &constants.block_ram_bit),
            (register_bits, &constants.register_bit),
        ];
        let picojoules = terms.into_iter().map(|(bits, constant)| bits as f64 * constant.picojoules).sum();
        Moved {
            core: program.core.clone(),
            images: *images,
            memory_bits,
            block_ram_bits,
            register_bits,
            picojoules,
        }
    }
}

/// What lanes do beside taking events, in steps of all lanes.
struct Steps {
    /// Partial sums that are stored and read back.
    sums: u64,
    /// Threshold steps.
    thresholds: u64,
}

fn steps(program: &Program) -> Steps {
    let steps = program.strips().map(|Strip { descriptor: d, passes }| {
        let tokens =
            u64::from(d.blocks_y * d.blocks_x * d.inner_y * d.inner_x) * u64::from(d.tiles * d.groups);
        let thresholds = tokens * u64::from(d.time_steps);
        let kept = if d.schedule == Schedule::EachStep as u32 { thresholds } else { tokens };
        if d.sum == 1 { (0, 0) } else { ((passes.len() as u64 - 1) * kept, thresholds) }
    });
    let (sums, thresholds) = steps.fold((0, 0), |(a, b), (sums, thresholds)| (a + sums, b + thresholds));
    Steps { sums, thresholds }
}

/// An energy in the unit that suits it.
pub fn joules(picojoules: f64) -> String {
    const UNITS: [(f64, &str); 5] = [(1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ"), (1.0, "pJ")];
    let unit = UNITS.iter().find(|(size, _)| picojoules >= *size).unwrap_or(&UNITS[4]);
    let number = picojoules / unit.0;
    let digits = if number >= 100.0 {
        0
    } else if number >= 10.0 {
        1
    } else {
        2
    };
    format!("{number:.digits$} {}", unit.1)
}
