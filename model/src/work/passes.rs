//! How the rows of a linear layer are cut into passes, which decides what silence costs.

use crate::network::{Grid, LayerId, Network, Source, Taps, Term, Weights};
use isa::MAX_SEGMENTS;

/// A slice of the inputs of a linear layer.
pub(super) struct Pass {
    pub diagonal: bool,
    /// Term and tap of each segment.
    pub segments: Vec<(usize, usize)>,
    /// The channels of each segment that a dense pass reads.
    pub channels: Vec<usize>,
}

/// How a term reads; terms that read alike share passes.
#[derive(PartialEq)]
struct Reading {
    image: bool,
    grid: Grid,
    /// The bytes of a position, see [`of_layer`].
    row: Vec<Option<usize>>,
    taps: Taps,
    shift: u32,
    diagonal: bool,
}

/// The passes of a layer's terms, whose dense rows have at most `largest` bytes. `stored` gives the bytes of a layer's row: a
/// channel, or none where a byte pads.
pub(super) fn of_layer(
    network: &Network,
    terms: &[Term],
    largest: usize,
    stored: impl Fn(LayerId) -> Vec<Option<usize>>,
) -> Vec<Pass> {
    let mut groups: Vec<(Reading, Vec<(usize, usize)>)> = Vec::new();
    for (index, term) in terms.iter().enumerate() {
        let (grid, row) = match term.source {
            Source::Image => (network.image.grid(), (0..network.image.channels).map(Some).collect()),
            Source::Plane(id) => (network.layer(id).grid, stored(id)),
        };
        let (image, taps, shift) = (term.source == Source::Image, term.taps, term.shift);
        let diagonal = matches!(term.weights, Weights::Diagonal(_));
        let reading = Reading { image, grid, row, taps, shift, diagonal };
        let segments = (0..taps.count()).map(|tap| (index, tap));
        match groups.iter_mut().find(|(other, _)| *other == reading) {
            Some((_, group)) => group.extend(segments),
            None => groups.push((reading, segments.collect())),
        }
    }
    groups.iter().flat_map(|(reading, segments)| cut(reading, segments, largest)).collect()
}

/// The image's bytes lie as one row, whatever the number of taps; segments of planes are counted.
fn cut(reading: &Reading, segments: &[(usize, usize)], largest: usize) -> Vec<Pass> {
    let most = if reading.image { usize::MAX } else { MAX_SEGMENTS as usize };
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
