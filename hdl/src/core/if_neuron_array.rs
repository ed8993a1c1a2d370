//! The array of lanes.

use std::rc::Rc;

use isa::CoreConfig;
use isa::layout::parameter_row;

use super::fields::inputs_of;
use super::if_neuron::if_neuron;
use super::sparse_attention::sparse_attention;
use crate::rtl::{Builder, Expr, Module, RtlError, cat};

/// LANES neurons and the attention unit that feeds them, all under the same control.
///
/// Signals that all lanes share keep the names they have in [`if_neuron`](super::if_neuron) and come from `neuron_control`.
pub fn if_neuron_array(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    let lanes = config.lanes;
    let neuron = if_neuron(config)?;
    let attention = sparse_attention(config)?;
    let doc = "LANES integrate-and-fire neurons under one control, and the attention unit that feeds them.";
    Module::build("if_neuron_array", doc, |m: &mut Builder| {
        let matrix_row = m.input_doc("matrix_row", 8 * lanes, "int8 weights or spike bytes, lane 0 lowest");
        let own_spikes = m.input_doc("own_spikes", 8 * lanes, "the segment's bytes (shortcut)");
        let parameters = m.input_doc("parameter_row", 16 * lanes, "half-words, lane 0 lowest");
        let loads =
            m.input_doc("load_rows", isa::layout::PARAMETER_ROWS, "one-hot: which parameter row is there");
        let load_bias_row = m.input_doc("load_bias_row", 1, "the parameter row is a query's bias row");
        let load = |row: u32| loads.bit(row);
        let unit = inputs_of(m, &attention, &["matrix_row", "parameter_row", "load_flags"]);
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

        let own = [
            "half",
            "weight",
            "own_spikes",
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
        let shared = inputs_of(m, &neuron, &own);
        let (mut bytes, mut transmitted) = (Vec::new(), Vec::new());
        for lane in 0..lanes {
            let mut inputs: Vec<(&str, Expr)> =
                shared.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
            inputs.extend([
                ("half", parameters.slice(16 * lane, 16)),
                ("weight", matrix_row.slice(8 * lane, 8)),
                ("own_spikes", own_spikes.slice(8 * lane, 8)),
                ("coincidences", coincidences.slice(11 * lane, 11)),
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
            bytes.push(instance.output("spikes"));
            transmitted.push(instance.output("transmitted"));
        }
        bytes.reverse();
        transmitted.reverse();
        m.output_doc("spikes", &cat(&bytes), "spike bytes, lane 0 lowest");
        m.output_doc("transmitted", &cat(&transmitted), "spikes of the slot being emitted");
    })
}
