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

/// One term: a linear map of the activations (or pixels) that a source stands for. A tap outside the source's grid adds nothing.
#[derive(Clone, Debug)]
pub(super) struct Term {
    /// What it reads.
    pub source: Source,
    /// Positions of the source.
    pub grid: Grid,
    /// Channels of the source.
    pub inputs: usize,
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
        Expression::source(Source::Plane(id), grid, channels, vec![0.0; channels])
    }

    /// The normalised pixels. A pixel byte of 0 is not 0 then; what it stands for is the offset.
    pub fn image(normalisation: &Normalisation, Shape { grid, channels }: Shape) -> Expression {
        let offset = (0..channels).map(|channel| normalisation.black(channel)).collect();
        Expression::source(Source::Image, grid, channels, offset)
    }

    fn source(source: Source, grid: Grid, channels: usize, offset: Vec<f64>) -> Expression {
        let term = Term { source, grid, inputs: channels, taps: Taps::TOKEN, map: Map::identity(channels) };
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
        if self.offset.iter().all(|&offset| offset == 0.0) {
            return Ok(vec![0.0; outputs]);
        }
        let (count, inputs) = (taps.count(), self.channels);
        let sum = |o: usize| match map {
            // Channel by channel, as frameworks store kernels.
            Map::Dense(data) => {
                let weight = |i: usize, tap: usize| data[(o * count + tap) * inputs + i] * self.offset[i];
                (0..inputs).map(|i| (0..count).map(|tap| weight(i, tap)).sum::<f64>()).sum()
            }
            Map::Sparse(rows) => rows[o].iter().map(|entry| entry.gain * self.offset[entry.channel]).sum(),
        };
        if taps.rows.padding == 0 && taps.columns.padding == 0 {
            return Ok((0..outputs).map(sum).collect());
        }
        let reads = |i: usize| match map {
            Map::Dense(_) => true,
            Map::Sparse(rows) => rows.iter().flatten().any(|entry| entry.channel == i && entry.gain != 0.0),
        };
        match (0..inputs).find(|&i| self.offset[i] != 0.0 && reads(i)) {
            None => Ok(vec![0.0; outputs]),
            Some(channel) => Err(self.cut_constant(node, channel)),
        }
    }

    /// A constant in front of padding: at the border, fewer taps see it than inside, so it is no bias.
    fn cut_constant(&self, node: &Node, channel: usize) -> ModelError {
        let constant = self.offset[channel];
        if self.terms.iter().any(|term| term.source == Source::Image) {
            return unmappable(
                node,
                format!(
                    "its padding is 0 after normalisation, but a black pixel of channel {channel} is {constant:.4} there, and a bias is \
                     the same at all positions"
                ),
                "normalise with a mean of 0 (only `std`) and train again, or pad the images themselves and set its padding to 0",
            );
        }
        unmappable(
            node,
            format!(
                "a constant of {constant:.4} in channel {channel} comes before its padding of zeros, so that borders see less of it, and a \
                 bias is the same at all positions"
            ),
            "put the batch norm behind this node, or set its padding to 0, and train again",
        )
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
}
