//! How a layer is cut: its fan-in into passes, its tokens into strips. See [`isa::pass`] and "Order of evaluation" in [`isa::descriptor`].

use crate::walk::Strip;
use isa::program::{InputLayout, PlaneLayout, TokenOrder};
use isa::{CoreConfig, Grid, MAX_SEGMENTS, Pass, Taps};

/// How a source lies in memory, wherever that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Rows and columns of its tokens.
    pub grid: Grid,
    /// Order of its tokens.
    pub order: TokenOrder,
    /// Bytes of one chunk of a token.
    pub row_bytes: u32,
    /// Chunks of a token.
    pub chunks: u32,
}

impl Source {
    /// Bytes between tokens.
    pub fn token_bytes(&self) -> u32 {
        self.chunks * self.row_bytes
    }
}

impl From<&PlaneLayout> for Source {
    fn from(plane: &PlaneLayout) -> Source {
        let PlaneLayout { grid, order, chunks, .. } = *plane;
        Source { grid, order, row_bytes: plane.row_bytes(), chunks }
    }
}

impl From<&InputLayout> for Source {
    fn from(input: &InputLayout) -> Source {
        Source { grid: input.grid, order: TokenOrder::Raster, row_bytes: input.row_bytes, chunks: 1 }
    }
}

/// Whether each output channel sees all channels of a segment, or its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A row of weights for each byte.
    Dense,
    /// A row of gains for each segment.
    Diagonal,
}

/// How a term reads its source. Terms that read alike share passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// How the source lies.
    pub source: Source,
    /// Which of its tokens are read; [`Taps::TOKEN`] of rows that the host has cut from the image.
    pub taps: Taps,
    /// Power of two of every product.
    pub shift: u32,
    /// Dense or diagonal.
    pub kind: Kind,
}

/// One segment of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentCut {
    /// Index of the layer's term.
    pub term: usize,
    /// Index of the tap.
    pub tap: usize,
}

/// One pass of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassCut {
    /// How its segments are read.
    pub reading: Reading,
    /// First byte of the source's row.
    pub offset: u32,
    /// Bytes of each segment.
    pub bytes: u32,
    /// The segments.
    pub segments: Vec<SegmentCut>,
}

impl PassCut {
    /// Rows of weights.
    pub fn matrix_rows(&self) -> u32 {
        let rows = match self.reading.kind {
            Kind::Dense => self.bytes,
            Kind::Diagonal => 1,
        };
        rows * self.segments.len() as u32
    }
}

/// The passes and strips of a layer.
#[derive(Clone, Debug)]
pub struct Cut {
    /// The passes, which all strips have.
    pub passes: Vec<PassCut>,
    /// The strips.
    pub strips: Vec<Strip>,
}

impl Cut {
    /// 64-bit words of each pass record.
    pub fn pass_words(&self, core: &CoreConfig) -> u32 {
        let longest = self.passes.iter().map(|pass| pass.segments.len()).max().unwrap_or(0);
        Pass::words_for(longest as u32, core.bus_bytes())
    }

    /// Rows of weights of a tile, over all passes.
    pub fn matrix_rows(&self) -> u64 {
        self.passes.iter().map(|pass| u64::from(pass.matrix_rows())).sum()
    }
}

/// The passes of terms that read so, one reading a term: terms that read alike together, in the order of the first of them. A row that is longer
/// than `max_fan_in` is cut into slices of channels, and all taps of a slice come before the next one.
pub fn passes(readings: &[Reading], core: &CoreConfig) -> Vec<PassCut> {
    let mut groups: Vec<(Reading, Vec<SegmentCut>)> = Vec::new();
    for (term, reading) in readings.iter().enumerate() {
        let segments = (0..reading.taps.count()).map(|tap| SegmentCut { term, tap });
        match groups.iter_mut().find(|(other, _)| other == reading) {
            Some((_, group)) => group.extend(segments),
            None => groups.push((*reading, segments.collect())),
        }
    }
    let of_group = |(reading, segments): &(Reading, Vec<SegmentCut>)| {
        let row = reading.source.row_bytes;
        let largest = if reading.kind == Kind::Dense { core.max_fan_in } else { row };
        let mut passes = Vec::new();
        for offset in (0..row).step_by(largest.max(1) as usize) {
            let bytes = largest.min(row - offset);
            let fitting = if reading.kind == Kind::Dense { core.max_fan_in / bytes } else { MAX_SEGMENTS };
            passes.extend(segments.chunks(fitting.min(MAX_SEGMENTS) as usize).map(|segments| PassCut {
                reading: *reading,
                offset,
                bytes,
                segments: segments.to_vec(),
            }));
        }
        passes
    };
    groups.iter().flat_map(of_group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reading(row_bytes: u32, kernel: usize, shift: u32, kind: Kind) -> Reading {
        let source =
            Source { grid: Grid { rows: 8, columns: 8 }, order: TokenOrder::Raster, row_bytes, chunks: 1 };
        Reading { source, taps: Taps::square(kernel, 1, 0), shift, kind }
    }

    fn core() -> CoreConfig {
        CoreConfig { max_fan_in: 128, weight_rows: 128, ..CoreConfig::preset("tiny").unwrap() }
    }

    /// Offset, bytes and number of segments of each pass.
    fn shapes(readings: &[Reading]) -> Vec<(u32, u32, usize)> {
        passes(readings, &core()).iter().map(|pass| (pass.offset, pass.bytes, pass.segments.len())).collect()
    }

    #[test]
    fn taps_fill_passes() {
        assert_eq!(shapes(&[reading(128, 1, 0, Kind::Dense)]), [(0, 128, 1)]);
        assert_eq!(shapes(&[reading(40, 3, 0, Kind::Dense)]), [(0, 40, 3), (0, 40, 3), (0, 40, 3)]);
        assert_eq!(shapes(&[reading(8, 5, 0, Kind::Dense)]), [(0, 8, 16), (0, 8, 9)]);
    }

    #[test]
    fn long_rows_are_cut_into_slices() {
        let expected = [(0, 128, 1); 4].into_iter().chain([(128, 64, 2); 2]).collect::<Vec<_>>();
        assert_eq!(shapes(&[reading(192, 2, 0, Kind::Dense)]), expected);
    }

    #[test]
    fn a_diagonal_pass_has_sixteen_segments_whatever_their_length() {
        assert_eq!(shapes(&[reading(1024, 5, 0, Kind::Diagonal)]), [(0, 1024, 16), (0, 1024, 9)]);
    }

    #[test]
    fn terms_that_read_alike_share_passes_and_others_do_not() {
        let (a, b) = (reading(8, 1, 0, Kind::Diagonal), reading(8, 1, 3, Kind::Diagonal));
        let cut = passes(&[a, b, a], &core());
        let terms: Vec<Vec<usize>> =
            cut.iter().map(|pass| pass.segments.iter().map(|segment| segment.term).collect()).collect();
        assert_eq!(terms, [vec![0, 2], vec![1]]);
        assert_eq!(shapes(&[a, reading(8, 1, 0, Kind::Dense), reading(8, 2, 0, Kind::Diagonal)]).len(), 3);
    }

    proptest! {
        /// Every byte of every tap of every term is in one pass, and no pass is larger than the core.
        #[test]
        fn passes_cover_each_input_once(
            terms in prop::collection::vec((1u32..40, 1usize..6, 0u32..2, any::<bool>()), 1..6),
        ) {
            let kind = |diagonal| if diagonal { Kind::Diagonal } else { Kind::Dense };
            let readings: Vec<Reading> =
                terms.iter().map(|&(words, kernel, shift, diagonal)| reading(8 * words, kernel, shift, kind(diagonal))).collect();
            let mut seen = std::collections::HashSet::new();
            for pass in passes(&readings, &core()) {
                prop_assert!((1..=16).contains(&pass.segments.len()));
                prop_assert!(pass.reading.kind == Kind::Diagonal || pass.matrix_rows() <= 128);
                for segment in &pass.segments {
                    prop_assert_eq!(readings[segment.term], pass.reading);
                    for byte in pass.offset..pass.offset + pass.bytes {
                        prop_assert!(seen.insert((segment.term, segment.tap, byte)), "read twice");
                    }
                }
            }
            let inputs = |reading: &Reading| reading.taps.count() * reading.source.row_bytes as usize;
            prop_assert_eq!(seen.len(), readings.iter().map(inputs).sum::<usize>());
        }
    }
}
