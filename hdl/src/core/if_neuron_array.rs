//! The array of lanes.

use std::rc::Rc;

use isa::CoreConfig;
use isa::layout::parameter_row;

use super::fields::inputs_of;
use super::if_neuron::if_neuron;
use super::sparse_attention::sparse_attention;
use crate::rtl::{Builder, Expr, Module, RtlError, cat};

/// Cycles from the control's decision to what it does to the row of spike bytes.
pub(super) const LAG: u32 = 3;

/// Inputs that hold still while a layer is in the array.
const OF_THE_LAYER: [&str; 5] = ["two_phase", "hard_reset", "mask_ratio", "is_diagonal", "is_attention"];
/// Inputs of the second cycle of firing, and of what follows it.
const AFTER_THE_CHOICE: [&str; 10] = [
    "load",
    "step",
    "preset",
    "latch",
    "rank",
    "raw_byte",
    "row_split",
    "column_split",
    "query_row_band",
    "query_column_band",
];

/// Inputs that are a lane's own, or that come to the lanes by a way of their own.
const OWN: [&str; 22] = [
    "adds_drive",
    "emit",
    "place",
    "slot_bit",
    "first_bit",
    "raw",
    "half",
    "weight",
    "own_spikes",
    "stored_sum",
    "load_sum",
    "coincidences",
    "connected",
    "load_bias_low",
    "load_bias_high",
    "load_theta_low",
    "load_theta_high",
    "load_v0_low",
    "load_v0_high",
    "load_seed_low",
    "load_seed_high",
    "load_flags",
];

/// LANES neurons and the attention unit that feeds them, all under the same control.
///
/// Signals that all lanes share keep the names they have in [`if_neuron`](super::if_neuron) and come from `neuron_control`. Nothing
/// that the lanes compute goes back to it, so they run a cycle after it (`_d1`): what leaves block RAM, and what is decided for all lanes, is
/// registered before a lane looks at it; what fires and emits is another cycle later (`_d2`), since a lane first chooses between drive and
/// threshold. The row of bytes is complete `LAG` (3) cycles after the control says so.
pub fn if_neuron_array(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    let lanes = config.lanes;
    let neuron = if_neuron(config)?;
    let attention = sparse_attention(config)?;
    let doc = "LANES integrate-and-fire neurons under one control, and the attention unit that feeds them. They run a cycle\n\
               after their control (_d1), firing and emission two (_d2).";
    Module::build("if_neuron_array", doc, |m: &mut Builder| {
        let mut input = |name: &str, width: u32, doc: &str| {
            let now = m.input_doc(name, width, doc);
            staged(m, &now, name)
        };
        let matrix_row = input("matrix_row", 8 * lanes, "int8 weights or spike bytes, lane 0 lowest");
        let own_spikes = input("own_spikes", 8 * lanes, "the segment's bytes (diagonal pass)");
        let parameters = input("parameter_row", 16 * lanes, "half-words, lane 0 lowest");
        let loads = input("load_rows", isa::layout::PARAMETER_ROWS, "one-hot: which parameter row is there");
        let sum_row = input("sum_row", config.membrane_bits * lanes, "partial sums, lane 0 lowest");
        let load_sum = input("load_sum", 1, "sums start from the partial sums");
        let load_bias_row = input("load_bias_row", 1, "the parameter row is a query's bias row");
        let load = |row: u32| loads.bit(row);
        let unit: Vec<(String, Expr)> =
            inputs_of(m, &attention, &["matrix_row", "parameter_row", "load_flags"])
                .into_iter()
                .map(|(name, value)| (name.clone(), staged(m, &value, &name)))
                .collect();
        let unit_inputs: Vec<(&str, Expr)> = unit
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()))
            .chain([
                ("matrix_row", matrix_row.clone()),
                ("parameter_row", parameters.clone()),
                ("load_flags", load(parameter_row::FLAGS)),
            ])
            .collect();
        let attention = m.instance("attention", &attention, &unit_inputs);
        let coincidences = attention.output("coincidences");
        let connected = attention.output("connected");

        let add = m.input_doc("add", 1, "membranes add the drive");
        let adds_drive = once(m, &add, "add");
        let shared: Vec<(String, Expr)> = inputs_of(m, &neuron, &OWN)
            .into_iter()
            .map(|(name, value)| {
                let still = OF_THE_LAYER.contains(&name.as_str());
                let value = if still { value } else { staged(m, &value, &name) };
                (name, value)
            })
            .collect();
        m.comment("The last step, from the mask gate to the byte, takes a cycle of its own.");
        let mut emission = |name: &str, width: u32, doc: &str| {
            let now = m.input_doc(name, width, doc);
            let first = once(m, &now, name);
            let second = m.delay(&format!("{name}_d2"), &first);
            (second.clone(), m.delay(&format!("{name}_d3"), &second))
        };
        let (emit, place) = emission("emit", 1, "a slot is emitted");
        let slot_bit = emission("slot_bit", 8, "one-hot position in the byte").1;
        let first_bit = emission("first_bit", 1, "clear the other bits").1;
        let raw = emission("raw", 1, "the byte takes a byte of the drive (`sum`)").1;
        let bits = config.membrane_bits;
        let (mut bytes, mut transmitted, mut sums) = (Vec::new(), Vec::new(), Vec::new());
        for lane in 0..lanes {
            let mut inputs: Vec<(&str, Expr)> =
                shared.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
            inputs.extend([
                ("adds_drive", adds_drive.clone()),
                ("emit", emit.clone()),
                ("place", place.clone()),
                ("slot_bit", slot_bit.clone()),
                ("first_bit", first_bit.clone()),
                ("raw", raw.clone()),
                ("half", parameters.slice(16 * lane, 16)),
                ("weight", matrix_row.slice(8 * lane, 8)),
                ("own_spikes", own_spikes.slice(8 * lane, 8)),
                ("stored_sum", sum_row.slice(bits * lane, bits).as_signed()),
                ("load_sum", load_sum.clone()),
                ("coincidences", coincidences.slice(4 * lane, 4)),
                ("connected", connected.bit(lane)),
                ("load_bias_low", load(parameter_row::BIAS_LOW) | &load_bias_row),
                ("load_bias_high", load(parameter_row::BIAS_HIGH)),
                ("load_theta_low", load(parameter_row::THETA_LOW)),
                ("load_theta_high", load(parameter_row::THETA_HIGH)),
                ("load_v0_low", load(parameter_row::V0_LOW)),
                ("load_v0_high", load(parameter_row::V0_HIGH)),
                ("load_seed_low", load(parameter_row::SEED_LOW)),
                ("load_seed_high", load(parameter_row::SEED_HIGH)),
                ("load_flags", load(parameter_row::FLAGS)),
            ]);
            let instance = m.instance(&format!("lane_{lane}"), &neuron, &inputs);
            sums.push(instance.output("partial_sum").as_unsigned());
            bytes.push(instance.output("spikes"));
            transmitted.push(instance.output("transmitted"));
        }
        sums.reverse();
        bytes.reverse();
        transmitted.reverse();
        m.output_doc("partial_sums", &cat(&sums), "drives, lane 0 lowest, two cycles after `capture`");
        m.output_doc("spikes", &cat(&bytes), "spike bytes, lane 0 lowest");
        m.output_doc("emitted", &place, "a slot was emitted");
        m.output_doc("transmitted", &cat(&transmitted), "its spikes");
    })
}

/// A value in the cycle after.
fn once(m: &mut Builder, value: &Expr, name: &str) -> Expr {
    m.delay(&format!("{name}_d1"), value)
}

/// A value in the cycle in which the lanes look at it.
fn staged(m: &mut Builder, value: &Expr, name: &str) -> Expr {
    let first = once(m, value, name);
    let later = AFTER_THE_CHOICE.contains(&name);
    if later { m.delay(&format!("{name}_d2"), &first) } else { first }
}
