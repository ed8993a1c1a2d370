//! How the rows of a linear layer are cut into passes, which decides what silence costs.

use crate::network::{Grid, Network, Source, Taps, Term, Weights};
use isa::MAX_SEGMENTS;

/// A slice of the inputs of a linear layer.
pub(super) struct Pass {
    pub diagonal: bool,
    /// Term and tap of each segment; of the image, whose taps lie in one row, the term alone.
    pub segments: Vec<(usize, usize)>,
    /// The channels of each segment that a dense pass reads; of the image its bytes, tap by tap and in each tap channel by channel.
    pub channels: Vec<usize>,
}

/// How a term reads; terms that read alike share passes.
#[derive(PartialEq)]
struct Reading {
    grid: Grid,
    /// The bytes of a position, see [`of_layer`].
    row: Vec<Option<usize>>,
    taps: Taps,
    shift: u32,
    diagonal: bool,
}

/// The passes of a layer's terms, whose dense rows have at most `largest` bytes. `stored` gives the bytes of a source's row: a
/// channel, or none where a byte pads; the row of an image is all that a term reads of it, and its gains are rows of weights like any.
pub(super) fn of_layer(
    network: &Network,
    terms: &[Term],
    largest: usize,
    stored: impl Fn(&Term) -> Vec<Option<usize>>,
) -> Vec<Pass> {
    let mut groups: Vec<(Reading, Vec<(usize, usize)>)> = Vec::new();
    for (index, term) in terms.iter().enumerate() {
        let (row, shift) = (stored(term), term.shift);
        let reading = match term.source {
            Source::Image => {
                Reading { grid: network.image.grid(), row, taps: Taps::TOKEN, shift, diagonal: false }
            }
            Source::Plane(id) => {
                let diagonal = matches!(term.weights, Weights::Diagonal(_));
                Reading { grid: network.layer(id).grid, row, taps: term.taps, shift, diagonal }
            }
        };
        let segments = (0..reading.taps.count()).map(|tap| (index, tap));
        match groups.iter_mut().find(|(other, _)| *other == reading) {
            Some((_, group)) => group.extend(segments),
            None => groups.push((reading, segments.collect())),
        }
    }
    groups.iter().flat_map(|(reading, segments)| cut(reading, segments, largest)).collect()
}

fn cut(reading: &Reading, segments: &[(usize, usize)], largest: usize) -> Vec<Pass> {
    let most = MAX_SEGMENTS as usize;
    if reading.diagonal {
        let pass =
            |segments: &[_]| Pass { diagonal: true, segments: segments.to_vec(), channels: Vec::new() };
        return segments.chunks(most).map(pass).collect();
    }
    let of_slice = |slice: &[Option<usize>]| -> Vec<Pass> {
        let channels: Vec<usize> = slice.iter().copied().flatten().collect();
        let pass = |segments: &[_]| Pass {
            diagonal: false,
            segments: segments.to_vec(),
            channels: channels.clone(),
        };
        segments.chunks((largest / slice.len()).clamp(1, most)).map(pass).collect()
    };
    reading.row.chunks(largest).flat_map(of_slice).collect()
}
