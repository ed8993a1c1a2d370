//! The bytes of a linear layer's weights. See "Weights" in [`isa::layout`].

use crate::ProgramError;
use crate::cut::{Cut, Kind, PassCut, SegmentCut};
use crate::layer::Site;
use model::network::{Source, Term, Weights};

/// Appends the weights of a linear layer, attention has none: tile by tile, pass by pass, one row of LANES bytes for each byte of a dense row, and for each segment of
/// a diagonal one.
///
/// # Errors
/// [`ProgramError::Layout`] if the layer reads a plane that is none.
pub fn push(bytes: &mut Vec<u8>, site: &Site<'_>, cut: &Cut) -> Result<(), ProgramError> {
    if site.op().is_attention() {
        return Ok(());
    }
    let row = site.row()?;
    let lanes = site.core.lanes as usize;
    let columns: Vec<Columns> =
        (0..site.terms().len()).map(|term| Columns::of(site, term)).collect::<Result<_, _>>()?;
    for tile in 0..site.tiles()? as usize {
        let outputs: Vec<Option<usize>> =
            (0..lanes).map(|lane| row.channel_at(tile * lanes + lane)).collect();
        for pass in &cut.passes {
            for segment in &pass.segments {
                let columns = &columns[segment.term];
                push_segment(bytes, &site.terms()[segment.term].weights, columns, pass, *segment, &outputs);
            }
        }
    }
    Ok(())
}

/// Rows of weights of one segment; padding on either side has weight 0.
fn push_segment(
    bytes: &mut Vec<u8>,
    weights: &Weights,
    columns: &Columns,
    pass: &PassCut,
    segment: SegmentCut,
    outputs: &[Option<usize>],
) {
    let Columns { taps, channels, .. } = *columns;
    match (pass.reading.kind, weights) {
        (Kind::Diagonal, weights) => {
            let gains =
                weights.data().chunks(weights.data().len() / taps).nth(segment.tap).unwrap_or_default();
            bytes.extend(outputs.iter().map(|output| output.map_or(0, |output| gains[output] as u8)));
        }
        (Kind::Dense, weights) => {
            for byte in pass.offset..pass.offset + pass.bytes {
                let input = columns.input(segment.tap, byte as usize);
                let weight = |output: usize, (tap, channel): (usize, usize)| match weights {
                    Weights::Dense(data) => data[(output * taps + tap) * channels + channel],
                    Weights::Diagonal(data) if output == channel => data[tap * channels + channel],
                    Weights::Diagonal(_) => 0,
                };
                bytes.extend(outputs.iter().map(|output| match (output, input) {
                    (Some(output), Some(input)) => weight(*output, input) as u8,
                    _ => 0,
                }));
            }
        }
    }
}

/// Which input of a term each byte of its source's rows is.
struct Columns {
    /// Taps of the term.
    taps: usize,
    /// Channels of its source.
    channels: usize,
    /// The channel at each byte of a plane's row; none for rows cut from the image, which hold all taps.
    plane: Option<Vec<Option<usize>>>,
}

impl Columns {
    fn of(site: &Site<'_>, term: usize) -> Result<Columns, ProgramError> {
        let Term { source, taps, .. } = &site.terms()[term];
        let plane = match source {
            Source::Image => None,
            Source::Plane(id) => Some(site.plane(*id)?),
        };
        let row = |plane: &isa::program::PlaneLayout| {
            (0..plane.row_bytes() as usize).map(|byte| plane.channel_at(byte)).collect()
        };
        Ok(Columns {
            taps: taps.count(),
            channels: plane.map_or(site.image_channels, |plane| plane.channels()),
            plane: plane.map(row),
        })
    }

    /// The tap and the channel at `byte` of a segment's row.
    fn input(&self, tap: usize, byte: usize) -> Option<(usize, usize)> {
        match &self.plane {
            Some(channels) => channels.get(byte).copied().flatten().map(|channel| (tap, channel)),
            None => Some((byte / self.channels, byte % self.channels)).filter(|&(tap, _)| tap < self.taps),
        }
    }
}
