//! Sums of linear maps of spikes: what stands between two activations.

use crate::checkpoint::Normalisation;
use crate::error::ModelError;
use crate::graph::shapes::POINT;
use crate::graph::{Node, Shape, unmappable};
use crate::network::{Grid, LayerId, Source, Taps};

/// An affine function of planes or of the image: `sum of terms + offset` at each position of `grid`.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    /// Positions at which it is evaluated.
    pub grid: Grid,
    /// What its value is.
    pub positions: Positions,
    /// Channels.
    pub channels: usize,
    /// Its terms.
    pub terms: Vec<Term>,
    /// The same at every position, one a channel.
    pub offset: Vec<f64>,
}

/// What the value of an expression is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Positions {
    /// The values at all positions.
    Each,
    /// Their mean, at one position.
    Averaged,
}

/// One term: a linear map of the activations (or pixels) that a source stands for. A tap outside a plane's grid adds nothing.
#[derive(Clone, Debug)]
pub(super) struct Term {
    /// What it reads.
    pub source: Source,
    /// Positions of the source.
    pub grid: Grid,
    /// Channels of the source.
    pub inputs: usize,
    /// What a tap outside the image reads, one a channel: what normalises to 0. Empty for planes.
    pub border: Vec<f64>,
    /// Which positions each position of the expression reads.
    pub taps: Taps,
    /// Weights.
    pub map: Map,
}

/// Weights of a linear map.
#[derive(Clone, Debug)]
pub(super) enum Map {
    /// `w[o, tap, i]` at `(o * taps + tap) * inputs + i`.
    Dense(Vec<f64>),
    /// The few inputs that each output reads.
    Sparse(Vec<Vec<Entry>>),
}

/// One weight of a sparse map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    pub tap: usize,
    pub channel: usize,
    pub gain: f64,
}

impl Map {
    /// Every output is its own channel at one tap.
    pub fn identity(channels: usize) -> Map {
        Map::diagonal(channels, 1, |_, _| 1.0)
    }

    /// Every output reads its own channel at all taps.
    pub fn diagonal(channels: usize, taps: usize, gain: impl Fn(usize, usize) -> f64) -> Map {
        let row = |channel| (0..taps).map(|tap| Entry { tap, channel, gain: gain(channel, tap) }).collect();
        Map::Sparse((0..channels).map(row).collect())
    }

    /// Whether every output reads its own channel alone.
    pub fn is_diagonal(&self) -> bool {
        let Map::Sparse(rows) = self else { return false };
        rows.iter().enumerate().all(|(o, row)| row.iter().all(|entry| entry.channel == o))
    }

    /// The weights of an output: tap, channel and weight.
    pub fn row(&self, output: usize, taps: usize, inputs: usize) -> Vec<Entry> {
        match self {
            Map::Sparse(rows) => rows[output].clone(),
            Map::Dense(data) => {
                let row = &data[output * taps * inputs..][..taps * inputs];
                let entry = |(i, &gain)| Entry { tap: i / inputs, channel: i % inputs, gain };
                row.iter().enumerate().map(entry).collect()
            }
        }
    }

    /// Multiplies the weights of each output by its gain.
    pub fn scale_outputs(&mut self, outputs: usize, gain: impl Fn(usize) -> f64) {
        match self {
            Map::Sparse(rows) => rows
                .iter_mut()
                .enumerate()
                .for_each(|(o, row)| row.iter_mut().for_each(|entry| entry.gain *= gain(o))),
            Map::Dense(data) => {
                let length = data.len() / outputs;
                data.chunks_mut(length)
                    .enumerate()
                    .for_each(|(o, row)| row.iter_mut().for_each(|weight| *weight *= gain(o)));
            }
        }
    }
}

impl Expression {
    /// The activations of a layer.
    pub fn plane(id: LayerId, Shape { grid, channels }: Shape) -> Expression {
        Expression::source(Source::Plane(id), grid, channels, [vec![0.0; channels], Vec::new()])
    }

    /// The normalised pixels. A pixel byte of 0 is not 0 then; what it stands for is the offset, and the border makes up for it.
    pub fn image(normalisation: &Normalisation, Shape { grid, channels }: Shape) -> Expression {
        let offset: Vec<f64> = (0..channels).map(|channel| normalisation.black(channel)).collect();
        let border = offset.iter().map(|black| -black).collect();
        Expression::source(Source::Image, grid, channels, [offset, border])
    }

    fn source(source: Source, grid: Grid, channels: usize, [offset, border]: [Vec<f64>; 2]) -> Expression {
        let (inputs, map) = (channels, Map::identity(channels));
        let term = Term { source, grid, inputs, border, taps: Taps::TOKEN, map };
        Expression { grid, positions: Positions::Each, channels, terms: vec![term], offset }
    }

    /// The layer whose activations these are, unchanged.
    pub fn as_plane(&self) -> Option<LayerId> {
        let [Term { source: Source::Plane(id), taps: Taps::TOKEN, map: Map::Sparse(rows), inputs, .. }] =
            self.terms.as_slice()
        else {
            return None;
        };
        let own = |(o, row): (usize, &Vec<Entry>)| *row == [Entry { tap: 0, channel: o, gain: 1.0 }];
        let unchanged = rows.len() == *inputs && rows.iter().enumerate().all(own);
        (unchanged && self.positions == Positions::Each && self.offset.iter().all(|&offset| offset == 0.0))
            .then_some(*id)
    }

    /// Positions of its value.
    pub fn shown_grid(&self) -> Grid {
        match self.positions {
            Positions::Each => self.grid,
            Positions::Averaged => POINT,
        }
    }

    /// The linear map `map` with `taps` of this expression, without a bias. A position outside its grid adds nothing.
    ///
    /// # Errors
    /// If the result is no linear map with taps of the sources: two dense maps in a row, a constant that borders cut off, or a border that the
    /// two maps see differently.
    pub fn mapped(
        &self,
        node: &Node,
        taps: Taps,
        map: &Map,
        outputs: usize,
    ) -> Result<Expression, ModelError> {
        if self.positions == Positions::Averaged {
            if taps != Taps::TOKEN {
                return self.spread(node)?.mapped(node, taps, map, outputs);
            }
            // The mean over positions of a map of each position is that map of the mean.
            let each = Expression { positions: Positions::Each, ..self.clone() };
            return Ok(Expression {
                positions: Positions::Averaged,
                ..each.mapped(node, taps, map, outputs)?
            });
        }
        let grid = taps.grid(self.grid).expect("shapes were checked");
        self.terms.iter().try_for_each(|term| super::compose::check(node, term, map))?;
        let offset = self.mapped_offset(node, taps, map, outputs)?;
        let terms = self.terms.iter().map(|term| {
            let composed = super::compose::taps(node, term, taps, self.grid, grid)?;
            let map = super::compose::maps(node, term, self.channels, taps, map, composed, outputs)?;
            Ok(Term { taps: composed, map, ..term.clone() })
        });
        let terms = terms.collect::<Result<_, _>>()?;
        Ok(Expression { grid, positions: Positions::Each, channels: outputs, terms, offset })
    }

    /// What a map makes of the offset.
    fn mapped_offset(
        &self,
        node: &Node,
        taps: Taps,
        map: &Map,
        outputs: usize,
    ) -> Result<Vec<f64>, ModelError> {
        let (count, inputs) = (taps.count(), self.channels);
        let reads = |i: usize| match map {
            Map::Dense(_) => true,
            Map::Sparse(rows) => rows.iter().flatten().any(|entry| entry.channel == i && entry.gain != 0.0),
        };
        let mut outside = (0..inputs).map(|i| (i, self.outside(i)));
        if taps.is_padded()
            && let Some((channel, constant)) = outside.find(|&(i, constant)| constant != 0.0 && reads(i))
        {
            return Err(unmappable(
                node,
                format!(
                    "a constant of {constant:.4} in channel {channel} comes before its padding of zeros, so that borders see less of it, \
                     and a bias is the same at all positions"
                ),
                "put the batch norm behind this node, or set its padding to 0, and train again",
            ));
        }
        if self.offset.iter().all(|&offset| offset == 0.0) {
            return Ok(vec![0.0; outputs]);
        }
        let sum = |o: usize| match map {
            // Channel by channel, as frameworks store kernels.
            Map::Dense(data) => {
                let weight = |i: usize, tap: usize| data[(o * count + tap) * inputs + i] * self.offset[i];
                (0..inputs).map(|i| (0..count).map(|tap| weight(i, tap)).sum::<f64>()).sum()
            }
            Map::Sparse(rows) => rows[o].iter().map(|entry| entry.gain * self.offset[entry.channel]).sum(),
        };
        Ok((0..outputs).map(sum).collect())
    }

    /// What a channel is where each tap lies outside its source. It must be 0 for padding with zeros.
    fn outside(&self, channel: usize) -> f64 {
        let of_term = |term: &Term| -> f64 {
            let Term { border, taps, inputs, map, .. } = term;
            let row = || map.row(channel, taps.count(), *inputs).into_iter();
            if border.is_empty() { 0.0 } else { row().map(|entry| entry.gain * border[entry.channel]).sum() }
        };
        let offset = self.offset[channel];
        let value = offset + self.terms.iter().map(of_term).sum::<f64>();
        // A difference of sums of the same products is 0 but for rounding.
        if value.abs() <= 1e-9 * offset.abs() { 0.0 } else { value }
    }

    /// Its value at one position as a map of that position's taps, not as a mean.
    pub fn spread(&self, node: &Node) -> Result<Expression, ModelError> {
        let each = Expression { positions: Positions::Each, ..self.clone() };
        match self.positions {
            Positions::Each => Ok(each),
            Positions::Averaged => super::fold_pooling::whole_grid(node, &each),
        }
    }

    /// Adds a constant to each channel.
    pub fn add_offset(&mut self, constants: &[f64]) {
        self.offset.iter_mut().zip(constants).for_each(|(offset, constant)| *offset += constant);
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{node, plane};
    use super::*;

    #[test]
    fn a_plane_is_told_from_what_was_made_of_it() {
        let plane = plane(2, 3, 4);
        assert_eq!(plane.as_plane(), Some(LayerId(0)));
        let doubled = Map::diagonal(4, 1, |_, _| 2.0);
        assert_eq!(plane.mapped(&node(), Taps::TOKEN, &doubled, 4).unwrap().as_plane(), None);
        let mut moved = plane.clone();
        moved.add_offset(&[0.0, 1.0, 0.0, 0.0]);
        assert_eq!(moved.as_plane(), None);
    }

    #[test]
    fn a_constant_before_padding_is_refused_unless_it_is_0() {
        let (taps, map) = (Taps::square(3, 1, 1), Map::Dense(vec![1.0; 9 * 2]));
        let mut input = plane(4, 4, 2);
        assert!(input.mapped(&node(), taps, &map, 1).is_ok());
        input.add_offset(&[0.0, 0.5]);
        let said = input.mapped(&node(), taps, &map, 1).unwrap_err().to_string();
        assert!(said.contains("module `here`") && said.contains("0.5000 in channel 1"), "{said}");
        let inside = input.mapped(&node(), Taps::square(3, 1, 0), &map, 1).unwrap();
        assert_eq!(inside.offset, [4.5]);
    }

    #[test]
    fn the_border_of_an_image_makes_padding_0_after_normalisation() {
        let normalisation = Normalisation { mean: vec![0.5, 0.25], std: vec![0.25, 0.5] };
        let shape = Shape { grid: Grid { rows: 4, columns: 4 }, channels: 2 };
        let image = Expression::image(&normalisation, shape);
        let (taps, map) = (Taps::square(3, 1, 1), Map::Dense((0..18).map(f64::from).collect()));
        let sums = image.mapped(&node(), taps, &map, 1).unwrap();
        assert_eq!(
            sums.offset,
            [-2.0 * 72.0 - 0.5 * 81.0],
            "every tap of a black image counts, wherever it lies"
        );
        let mut moved = image;
        moved.add_offset(&[0.0, 0.125]);
        let said = moved.mapped(&node(), taps, &map, 1).unwrap_err().to_string();
        assert!(said.contains("0.1250 in channel 1"), "{said}");
        // A black pixel is 0 here, and the border is not.
        moved.add_offset(&[2.0, 0.375]);
        assert_eq!(moved.offset, [0.0, 0.0]);
        let said = moved.mapped(&node(), taps, &map, 1).unwrap_err().to_string();
        assert!(said.contains("2.0000 in channel 0"), "{said}");
    }
}
