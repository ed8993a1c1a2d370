//! What a core refuses, found before anything is sent to it.

use crate::ProgramError;
use crate::layer::Site;
use isa::config::{LARGEST_BIAS_ROWS, LARGEST_FAN_IN, LARGEST_MEMBRANE_BITS, LARGEST_WEIGHT_ROWS};
use isa::{CoreConfig, Descriptor, MAX_COUNT, MAX_SEGMENTS, MAX_TIME_STEPS, descriptor};
use model::network::{Network, Operation, Walk};
use model::{Configured, LayerId};

/// Largest count that a field of the descriptor holds.
const COUNT_MAX: usize = MAX_COUNT as usize;
/// Largest cyclic shift that a descriptor holds.
const SHIFT_MAX: usize = 15;

/// Checks what can be said before anything is laid out: time steps, counts, heads, windows.
///
/// # Errors
/// [`ProgramError::Network`] or [`ProgramError::Limit`] with the first value that is out of range.
pub fn check_network(network: &Network, time_steps: u32, core: &CoreConfig) -> Result<(), ProgramError> {
    let refuse = |reason: String| Err(ProgramError::Network { network: network.name.clone(), reason });
    if !(1..=MAX_TIME_STEPS).contains(&time_steps) {
        return refuse(format!(
            "{time_steps} time steps asked for, the core runs 1..={MAX_TIME_STEPS}; use fewer (`--time-steps`)"
        ));
    }
    if network.layers.is_empty() || network.layers.len() > COUNT_MAX {
        return refuse(format!(
            "{} layers, the core runs 1..={COUNT_MAX}; use a network with fewer",
            network.layers.len()
        ));
    }
    for (index, layer) in network.layers.iter().enumerate() {
        let limit = |what: &str, found: usize, max: usize, advice: &str| {
            if (1..=max).contains(&found) {
                return Ok(());
            }
            Err(ProgramError::Limit {
                index,
                layer: layer.name.clone(),
                what: what.to_owned(),
                found: found as i64,
                allowed: format!("1..={max}"),
                advice: advice.to_owned(),
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
                let advice = match larger_core("--bias-rows", tokens as u64, LARGEST_BIAS_ROWS) {
                    Some(core) => format!("{core}, or use smaller windows"),
                    None => {
                        format!("use smaller windows, as no core has more than {LARGEST_BIAS_ROWS} bias rows")
                    }
                };
                limit("tokens of a window", tokens, core.bias_rows as usize, &advice)?;
            }
            Operation::Shortcut { inputs, .. } => {
                let advice = "add fewer planes in one layer";
                limit("inputs of the shortcut", inputs.len(), MAX_SEGMENTS as usize, advice)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// How to get a core whose size in `option` is at least `needed`, if there can be one.
fn larger_core(option: &str, needed: u64, largest: u32) -> Option<String> {
    (needed <= largest.into()).then(|| format!("generate a core with `{option} {needed}`"))
}

/// What to do about sums that need `bits`.
fn wider_membrane(bits: u32, time_steps: u32) -> String {
    let fewer = if time_steps > 1 {
        "run fewer time steps (`--time-steps`)"
    } else {
        "use smaller weights or fewer inputs"
    };
    match larger_core("--membrane-bits", bits.into(), LARGEST_MEMBRANE_BITS) {
        Some(core) => format!("{fewer}, or {core}"),
        None => format!("{fewer}, as no membrane is wider than {LARGEST_MEMBRANE_BITS} bits"),
    }
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
                advice: wider_membrane(needed, network.time_steps()),
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
    let limit = |what: &str, found: u32, max: u32, advice: &dyn Fn() -> String| {
        if found <= max {
            return Ok(());
        }
        Err(ProgramError::Limit {
            index,
            layer: layer.to_owned(),
            what: what.to_owned(),
            found: i64::from(found),
            allowed: format!("at most {max}"),
            advice: advice(),
        })
    };
    let op = isa::Op::ALL.get(d.op as usize).copied().unwrap_or(isa::Op::Dense);
    // A shortcut's row is its segments, whose number `check_network` bounds.
    let row = if op == isa::Op::Shortcut { 0 } else { d.segments * d.segment_words * 8 };
    limit("fan-in (padded bytes of an input row)", row, core.max_fan_in, &|| match larger_core(
        "--max-fan-in",
        row.next_multiple_of(64).into(),
        LARGEST_FAN_IN,
    ) {
        Some(larger) if row > core.weight_rows => {
            format!("{larger} and `--weight-rows {}`, or use a narrower layer", row.next_power_of_two())
        }
        Some(larger) => format!("{larger}, or use a narrower layer"),
        None => format!("use a narrower layer, as no core takes more than {LARGEST_FAN_IN}"),
    })?;
    let rows = if op.is_attention() { d.chunks * d.segment_words * 8 } else { d.matrix_rows };
    limit("matrix rows of a job", rows, core.weight_rows, &|| {
        let fewer = if op.is_attention() && d.chunks > 1 {
            "use fewer time steps (`--time-steps`) or a narrower layer"
        } else {
            "use a narrower layer"
        };
        match larger_core("--weight-rows", rows.next_power_of_two().into(), LARGEST_WEIGHT_ROWS) {
            Some(larger) => format!("{larger}, or {fewer}"),
            None => format!("{fewer}, as no core has more than {LARGEST_WEIGHT_ROWS} weight rows"),
        }
    })?;
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
        advice: "use a smaller network or a smaller image".to_owned(),
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
            advice: wider_membrane(i64::BITS - value.unsigned_abs().leading_zeros() + 1, site.time_steps),
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
        advice: "run fewer time steps (`--time-steps`), or convert the checkpoint with room for these (`gen convert --room-for`)".to_owned(),
    })
}
