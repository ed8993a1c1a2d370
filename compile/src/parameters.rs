//! The bytes of a layer's parameter blocks and bias rows. See [`isa::layout`].

use crate::cut::Cut;
use crate::layer::Site;
use crate::walk::Blocks;
use crate::{ProgramError, limits};
use isa::layout::{flag, parameter_row};
use isa::mask;
use model::mask::{Lfsr, MaskBits};
use model::network::{Operation, Walk, Windows};

/// What the parameter block holds for one lane.
#[derive(Clone, Copy)]
struct Lane {
    bias: i32,
    theta: i32,
    v0: i32,
    seed: u32,
    flags: u16,
}

impl Lane {
    /// A lane without a channel: it never fires, and its LFSR runs from a state that is not zero.
    const EMPTY: Lane = Lane { bias: 0, theta: 1, v0: 0, seed: 1, flags: 0 };

    /// The lane's half-word in `row` of the parameter block.
    fn half_word(&self, row: u32) -> u16 {
        match row {
            parameter_row::BIAS_LOW => self.bias as u16,
            parameter_row::BIAS_HIGH => (self.bias >> 16) as u16,
            parameter_row::THETA_LOW => self.theta as u16,
            parameter_row::THETA_HIGH => (self.theta >> 16) as u16,
            parameter_row::V0_LOW => self.v0 as u16,
            parameter_row::V0_HIGH => (self.v0 >> 16) as u16,
            parameter_row::SEED_LOW => self.seed as u16,
            parameter_row::SEED_HIGH => (self.seed >> 16) as u16,
            _ => self.flags,
        }
    }
}

fn push_block(bytes: &mut Vec<u8>, lanes: &[Lane]) {
    for row in 0..isa::layout::PARAMETER_ROWS {
        bytes.extend(lanes.iter().flat_map(|lane| lane.half_word(row).to_le_bytes()));
    }
}

/// Appends the parameter blocks of a linear layer: strip by strip, if each has its own, and tile by tile.
///
/// # Errors
/// [`ProgramError::Limit`] if a parameter does not fit the core's membrane.
pub fn push_linear(bytes: &mut Vec<u8>, site: &Site<'_>, cut: &Cut) -> Result<(), ProgramError> {
    let row = site.row()?;
    let lanes = site.tiles()? * site.core.lanes;
    let lane = |position: u32| match row.channel_at(position as usize) {
        Some(channel) => stored_lane(site, channel),
        None => Ok(Lane::EMPTY),
    };
    let mut lanes = (0..lanes).map(lane).collect::<Result<Vec<_>, _>>()?;
    let mut masks: Vec<Option<Lfsr>> = (0..lanes.len())
        .map(|position| row.channel_at(position).map(|channel| Lfsr::new(site.seed, site.draws, channel)))
        .collect();
    let strips = if site.own_parameters() { cut.strips.as_slice() } else { &cut.strips[..1] };
    let mut drawn = 0;
    for strip in strips {
        let draws = (strip.tokens_before - drawn) * u64::from(site.time_steps);
        drawn = strip.tokens_before;
        for (lane, mask) in lanes.iter_mut().zip(&mut masks) {
            let Some(mask) = mask else { continue };
            for _ in 0..draws {
                mask.draw();
            }
            lane.seed = mask.state();
        }
        lanes.chunks(site.core.lanes as usize).for_each(|tile| push_block(bytes, tile));
    }
    Ok(())
}

fn stored_lane(site: &Site<'_>, channel: usize) -> Result<Lane, ProgramError> {
    let bias = match &site.layer.operation {
        Operation::Linear { bias, .. } => bias[channel],
        Operation::Scores { .. } | Operation::Context { .. } => 0,
    };
    let fires = site.layer.neuron.is_some();
    let (theta, v0) = if fires { (site.layer.theta[channel], site.layer.v0[channel]) } else { (1, 0) };
    let start = site.accumulator_start(bias, v0);
    let place = || format!("channel {channel}");
    Ok(Lane {
        bias: limits::membrane(site, "bias", place, start)?,
        theta: limits::membrane(site, "threshold", place, i64::from(theta))?,
        v0: limits::membrane(site, "initial membrane", place, i64::from(v0))?,
        seed: mask::seed(site.seed, site.draws as u32, channel as u32),
        flags: flag::VALID,
    })
}

/// Appends the parameter blocks of every job of `scores`: head, tile, window. Lane `l` of tile `t` is key `t * LANES + l`.
///
/// # Errors
/// [`ProgramError::Limit`] if a parameter does not fit the core's membrane.
pub fn push_scores(bytes: &mut Vec<u8>, site: &Site<'_>, heads: usize) -> Result<(), ProgramError> {
    let blocks = Blocks::new(site.layer.walk, site.layer.grid);
    let keys = blocks.tokens();
    for head in 0..heads {
        let place = || format!("head {head}");
        let theta = limits::membrane(site, "threshold", place, i64::from(site.layer.theta[head]))?;
        let v0 = limits::membrane(site, "initial membrane", place, i64::from(site.layer.v0[head]))?;
        for tile in 0..keys.div_ceil(site.core.lanes) {
            for block in 0..blocks.count() {
                let lane = |lane: u32| {
                    let key = tile * site.core.lanes + lane;
                    if key >= keys {
                        return Lane::EMPTY;
                    }
                    let channel = (block * heads as u32 + head as u32) * keys + key;
                    let seed = mask::seed(site.seed, site.draws as u32, channel);
                    Lane { bias: 0, theta, v0, seed, flags: flag::VALID | band_flags(windows(site), key) }
                };
                push_block(bytes, &(0..site.core.lanes).map(lane).collect::<Vec<_>>());
            }
        }
    }
    Ok(())
}

/// The windows of an attention layer.
fn windows(site: &Site<'_>) -> Windows {
    match site.layer.walk {
        Walk::Windows(windows) => windows,
        Walk::Raster => unreachable!("`check_network` refuses attention in raster order"),
    }
}

/// In which bands a key of a window lies.
fn band_flags(windows: Windows, key: u32) -> u16 {
    let (row_band, column_band) = windows.bands(key as usize);
    (u16::from(row_band) * flag::ROW_BAND) | (u16::from(column_band) * flag::COLUMN_BAND)
}

/// Appends the parameter blocks of every job of `context`: head, tile, window. Lane `l` of tile `t` is channel `t * LANES + l` of
/// the head.
///
/// # Errors
/// [`ProgramError::Limit`] if a parameter does not fit the core's membrane.
pub fn push_context(bytes: &mut Vec<u8>, site: &Site<'_>, heads: usize) -> Result<(), ProgramError> {
    let blocks = Blocks::new(site.layer.walk, site.layer.grid);
    let head_size = (site.layer.channels / heads) as u32;
    for head in 0..heads as u32 {
        for tile in 0..head_size.div_ceil(site.core.lanes) {
            let lanes = (0..site.core.lanes)
                .map(|lane| tile * site.core.lanes + lane)
                .map(|c| {
                    if c < head_size {
                        stored_lane(site, (head * head_size + c) as usize)
                    } else {
                        Ok(Lane::EMPTY)
                    }
                })
                .collect::<Result<Vec<_>, _>>()?;
            for block in 0..blocks.count() {
                let mut lanes = lanes.clone();
                for (lane, c) in lanes.iter_mut().zip(tile * site.core.lanes..head_size) {
                    let channel = (block * heads as u32 + head) * head_size + c;
                    lane.seed = mask::seed(site.seed, site.draws as u32, channel);
                }
                push_block(bytes, &lanes);
            }
        }
    }
    Ok(())
}

/// Appends the bias rows of `scores`: for each head and tile, one row for each query of a window.
///
/// # Errors
/// [`ProgramError::Limit`] if a bias does not fit 16 bits.
pub fn push_bias_rows(
    bytes: &mut Vec<u8>,
    site: &Site<'_>,
    heads: usize,
    bias: &[i32],
) -> Result<(), ProgramError> {
    let windows = windows(site);
    let (keys, positions) = (windows.tokens(), windows.positions());
    for head in 0..heads {
        for tile in 0..keys.div_ceil(site.core.lanes as usize) {
            for query in 0..keys {
                for lane in 0..site.core.lanes as usize {
                    let key = tile * site.core.lanes as usize + lane;
                    let value = if key < keys {
                        let position = head * positions + windows.relative(query, key);
                        let start = site.accumulator_start(bias[position], site.layer.v0[head]);
                        limits::bias_row(site, head, start)?
                    } else {
                        0
                    };
                    bytes.extend(value.to_le_bytes());
                }
            }
        }
    }
    Ok(())
}
