//! What a core refuses, found before anything is sent to it.

use crate::ProgramError;
use crate::layer::Site;
use isa::{CoreConfig, Descriptor, MAX_SEGMENTS, MAX_TIME_STEPS, descriptor};
use model::network::{Network, Operation, Walk};
use model::{Configured, LayerId};

/// Largest count that a 12-bit field of the descriptor holds.
const COUNT_MAX: usize = (1 << 12) - 1;
/// Largest cyclic shift that a descriptor holds.
const SHIFT_MAX: usize = 15;

/// Checks what can be said before anything is laid out: time steps, counts, heads, windows.
///
/// # Errors
/// [`ProgramError::Network`] or [`ProgramError::Limit`] with the first value that is out of range.
pub fn check_network(network: &Network, time_steps: u32, core: &CoreConfig) -> Result<(), ProgramError> {
    let refuse = |reason: String| Err(ProgramError::Network { network: network.name.clone(), reason });
    if !(1..=MAX_TIME_STEPS).contains(&time_steps) {
        return refuse(format!("{time_steps} time steps asked for, the core runs 1..={MAX_TIME_STEPS}"));
    }
    if network.layers.is_empty() || network.layers.len() > COUNT_MAX {
        return refuse(format!("{} layers, the core runs 1..={COUNT_MAX}", network.layers.len()));
    }
    for (index, layer) in network.layers.iter().enumerate() {
        let limit = |what: &str, found: usize, max: usize, advice: &'static str| {
            if (1..=max).contains(&found) {
                return Ok(());
            }
            Err(ProgramError::Limit {
                index,
                layer: layer.name.clone(),
                what: what.to_owned(),
                found: found as i64,
                allowed: format!("1..={max}"),
                advice,
            })
        };
        limit("token rows", layer.grid.rows, COUNT_MAX, "use a smaller image or larger patches")?;
        limit("token columns", layer.grid.columns, COUNT_MAX, "use a smaller image or larger patches")?;
        limit("channels", layer.channels, 8 * COUNT_MAX, "use a narrower network")?;
        if let Walk::Windows(windows) = layer.walk {
            limit("window size", windows.size, COUNT_MAX, "use smaller windows")?;
            limit("shift + 1", windows.shift + 1, SHIFT_MAX + 1, "use smaller windows")?;
        }
        match &layer.operation {
            Operation::Scores { heads, .. } | Operation::Context { heads, .. } => {
                limit("heads", *heads, 255, "use fewer heads")?;
                if !matches!(layer.walk, Walk::Windows(_)) {
                    return refuse(format!(
                        "layer {index} `{}` attends in raster order; give it windows (one of the grid's size for global attention)",
                        layer.name
                    ));
                }
                let tokens = if let Walk::Windows(windows) = layer.walk { windows.tokens() } else { 0 };
                limit(
                    "tokens of a window",
                    tokens,
                    core.bias_rows as usize,
                    "use a core with more bias_rows or smaller windows",
                )?;
            }
            Operation::Shortcut { inputs, .. } => {
                limit(
                    "inputs of the shortcut",
                    inputs.len(),
                    MAX_SEGMENTS as usize,
                    "add the planes in two layers",
                )?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks that no sum of any layer can leave the core's membrane.
///
/// # Errors
/// [`ProgramError::Limit`] with the first layer whose sums can.
pub fn check_membranes(network: &Configured, core: &CoreConfig) -> Result<(), ProgramError> {
    for (index, layer) in network.layers.iter().enumerate() {
        let needed = network.bounds(LayerId(index)).signed_bits();
        if needed > core.membrane_bits {
            return Err(ProgramError::Limit {
                index,
                layer: layer.name.clone(),
                what: "membrane width that its sums can need".to_owned(),
                found: i64::from(needed),
                allowed: format!("at most {} bits", core.membrane_bits),
                advice: "run fewer time steps or use a core with more membrane_bits",
            });
        }
    }
    Ok(())
}

/// Checks a finished descriptor against the buffers of `core` and the widths of its fields.
///
/// # Errors
/// [`ProgramError::Limit`] with the first value that is too large.
pub fn check_descriptor(
    core: &CoreConfig,
    index: usize,
    layer: &str,
    d: &Descriptor,
) -> Result<(), ProgramError> {
    let limit = |what: &str, found: u32, max: u32, advice: &'static str| {
        if found <= max {
            return Ok(());
        }
        Err(ProgramError::Limit {
            index,
            layer: layer.to_owned(),
            what: what.to_owned(),
            found: i64::from(found),
            allowed: format!("at most {max}"),
            advice,
        })
    };
    let op = isa::Op::ALL.get(d.op as usize).copied().unwrap_or(isa::Op::Dense);
    // A shortcut's row is its segments, whose number `check_network` bounds.
    let row = if op == isa::Op::Shortcut { 0 } else { d.segments * d.segment_words * 8 };
    limit(
        "fan-in (padded bytes of an input row)",
        row,
        core.max_fan_in,
        "use a core with a larger max_fan_in or a narrower layer",
    )?;
    let rows = if op.is_attention() { d.chunks * d.segment_words * 8 } else { d.matrix_rows };
    limit(
        "matrix rows of a job",
        rows,
        core.weight_rows,
        "use a core with more weight_rows, fewer time steps or a narrower layer",
    )?;
    check_fields(index, layer, d)
}

/// Checks that every field holds its value.
fn check_fields(index: usize, layer: &str, d: &Descriptor) -> Result<(), ProgramError> {
    let written = Descriptor::from_words(&d.to_words());
    if written == *d {
        return Ok(());
    }
    let values = |d: &Descriptor| serde_json::to_value(d).unwrap_or_default();
    let (wanted, written) = (values(d), values(&written));
    let field = descriptor::FIELDS.iter().find(|f| wanted[f.name] != written[f.name]);
    let (name, width) = field.map_or(("rank", 6), |f| (f.name, f.width));
    Err(ProgramError::Limit {
        index,
        layer: layer.to_owned(),
        what: format!("descriptor field {name}"),
        found: wanted[name].as_i64().unwrap_or(-1),
        allowed: format!("0..{}", 1u64 << width),
        advice: "use a smaller network or a smaller image",
    })
}

/// Checks that a parameter of the neuron at `place` fits the core's membrane.
///
/// # Errors
/// [`ProgramError::Limit`] if it does not.
pub fn membrane(
    site: &Site<'_>,
    what: &str,
    place: impl Fn() -> String,
    value: i64,
) -> Result<i32, ProgramError> {
    let half = 1i64 << (site.core.membrane_bits - 1);
    match i32::try_from(value) {
        Ok(small) if (-half..half).contains(&value) => Ok(small),
        _ => Err(ProgramError::Limit {
            index: site.index,
            layer: site.layer.name.clone(),
            what: format!("{what} of {}", place()),
            found: value,
            allowed: format!("{}..={} ({} membrane bits)", -half, half - 1, site.core.membrane_bits),
            advice: "run fewer time steps or use a core with more membrane_bits",
        }),
    }
}

/// Checks that the start value of a scores accumulator fits a bias row.
///
/// # Errors
/// [`ProgramError::Limit`] if it does not.
pub fn bias_row(site: &Site<'_>, head: usize, value: i64) -> Result<i16, ProgramError> {
    i16::try_from(value).map_err(|_| ProgramError::Limit {
        index: site.index,
        layer: site.layer.name.clone(),
        what: format!("position bias times time steps plus initial membrane of head {head}"),
        found: value,
        allowed: "-32768..=32767".to_owned(),
        advice: "run fewer time steps or convert with a smaller fraction",
    })
}
