//! What a core refuses, found before anything is sent to it.

use crate::ProgramError;
use crate::cut::Cut;
use crate::layer::Site;
use isa::config::{
    LARGEST_BIAS_ROWS, LARGEST_FAN_IN, LARGEST_MEMBRANE_BITS, LARGEST_SUM_ROWS, LARGEST_WEIGHT_ROWS,
};
use isa::program::Strip;
use isa::{CoreConfig, Descriptor, Field, MAX_COUNT, MAX_TIME_STEPS, Pass, descriptor, pass};
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
                let Walk::Windows(windows) = layer.walk else {
                    return refuse(format!(
                        "layer {index} `{}` attends in raster order; give it windows (one of the grid's size for global attention)",
                        layer.name
                    ));
                };
                let advice = match larger_core("--bias-rows", windows.tokens() as u64, LARGEST_BIAS_ROWS) {
                    Some(core) => format!("{core}, or use smaller windows"),
                    None => {
                        format!("use smaller windows, as no core has more than {LARGEST_BIAS_ROWS} bias rows")
                    }
                };
                limit("tokens of a window", windows.tokens(), core.bias_rows as usize, &advice)?;
            }
            Operation::Linear { .. } => {}
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

/// Why a layer that keeps a partial sum of each time step cannot be cut into strips: not even one token fits.
pub fn too_few_sums(site: &Site<'_>) -> ProgramError {
    let needed = site.time_steps;
    let mut advice = Vec::from_iter(larger_core("--sum-rows", needed.into(), LARGEST_SUM_ROWS));
    advice.push("run fewer time steps (`--time-steps`)".to_owned());
    ProgramError::Limit {
        index: site.index,
        layer: site.layer.name.clone(),
        what: "partial sums of a token between passes".to_owned(),
        found: needed.into(),
        allowed: format!("at most {}", site.core.sum_rows),
        advice: advice.join(", or "),
    }
}

/// Checks the passes and strips of all layers: that counts hold them, and that attention's rows fit the core's buffers.
///
/// # Errors
/// [`ProgramError::Limit`] with the first layer that has too many passes or too long rows, or with the layer that has most strips.
pub fn check_cuts(
    network: &Network,
    core: &CoreConfig,
    cuts: &[Cut],
    chunks: u32,
) -> Result<(), ProgramError> {
    let limit = |index: usize, what: &str, found: usize, max: usize, advice: &dyn Fn() -> String| {
        if found <= max {
            return Ok(());
        }
        Err(ProgramError::Limit {
            index,
            layer: network.layers[index].name.clone(),
            what: what.to_owned(),
            found: found as i64,
            allowed: format!("at most {max}"),
            advice: advice(),
        })
    };
    for (index, cut) in cuts.iter().enumerate() {
        limit(index, "passes of a tile", cut.passes.len(), COUNT_MAX, &|| {
            if core.max_fan_in < LARGEST_FAN_IN {
                format!(
                    "generate a core with `--max-fan-in {LARGEST_FAN_IN}` and `--weight-rows {LARGEST_WEIGHT_ROWS}`, or use a narrower layer"
                )
            } else {
                "use a narrower layer or smaller kernels".to_owned()
            }
        })?;
        let Operation::Linear { .. } = network.layers[index].operation else {
            let row = cut.passes.iter().map(|pass| pass.bytes).max().unwrap_or(0);
            limit(
                index,
                "padded bytes of a row that attends",
                row as usize,
                core.max_fan_in as usize,
                &|| longer_row(row, core),
            )?;
            let rows = chunks * row;
            limit(index, "matrix rows of a job", rows as usize, core.weight_rows as usize, &|| {
                more_weight_rows(rows, chunks)
            })?;
            continue;
        };
    }
    let strips = |cut: &Cut| cut.strips.len();
    let most = (0..cuts.len()).rev().max_by_key(|&index| strips(&cuts[index])).unwrap_or(0);
    limit(
        most,
        "descriptors of the network, most of which are strips of this layer,",
        cuts.iter().map(strips).sum(),
        COUNT_MAX,
        &|| {
            if core.sum_rows < LARGEST_SUM_ROWS {
                format!("generate a core with `--sum-rows` beyond {}, or use a smaller image", core.sum_rows)
            } else {
                "use a smaller image".to_owned()
            }
        },
    )
}

fn longer_row(row: u32, core: &CoreConfig) -> String {
    match larger_core("--max-fan-in", row.next_multiple_of(64).into(), LARGEST_FAN_IN) {
        Some(larger) if row > core.weight_rows => {
            format!(
                "{larger} and `--weight-rows {}`, or use smaller heads or windows",
                row.next_power_of_two()
            )
        }
        Some(larger) => format!("{larger}, or use smaller heads or windows"),
        None => format!("use smaller heads or windows, as no core takes more than {LARGEST_FAN_IN}"),
    }
}

fn more_weight_rows(rows: u32, chunks: u32) -> String {
    let fewer = if chunks > 1 {
        "use fewer time steps (`--time-steps`) or smaller heads or windows"
    } else {
        "use smaller heads or windows"
    };
    match larger_core("--weight-rows", rows.next_power_of_two().into(), LARGEST_WEIGHT_ROWS) {
        Some(larger) => format!("{larger}, or {fewer}"),
        None => format!("{fewer}, as no core has more than {LARGEST_WEIGHT_ROWS} weight rows"),
    }
}

/// Checks that every field of a strip's records holds its value.
///
/// # Errors
/// [`ProgramError::Limit`] with the first value that is too large.
pub fn check_records(index: usize, layer: &str, strip: &Strip) -> Result<(), ProgramError> {
    let d = &strip.descriptor;
    let written = Descriptor::from_words(&d.to_words());
    if written != *d {
        let values = [d, &written].map(|record| serde_json::to_value(record).unwrap_or_default());
        return Err(misfit(index, layer, "descriptor", descriptor::FIELDS, values));
    }
    for pass in &strip.passes {
        let written = Pass::from_words(&pass.to_words());
        if written != *pass {
            let values = [pass, &written].map(|record| serde_json::to_value(record).unwrap_or_default());
            return Err(misfit(index, layer, "pass", pass::FIELDS, values));
        }
    }
    Ok(())
}

/// Names the first field of a record that holds another value than it should.
fn misfit(
    index: usize,
    layer: &str,
    record: &str,
    fields: &[Field],
    [wanted, written]: [serde_json::Value; 2],
) -> ProgramError {
    let field = fields.iter().find(|field| wanted[field.name] != written[field.name]);
    let (name, largest) =
        field.map_or(("table", u64::from(MAX_COUNT)), |field| (field.name, field.largest()));
    ProgramError::Limit {
        index,
        layer: layer.to_owned(),
        what: format!("{record} field {name}"),
        found: wanted[name].as_i64().unwrap_or(-1),
        allowed: format!("0..={largest}"),
        advice: "use a smaller network or a smaller image".to_owned(),
    }
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
