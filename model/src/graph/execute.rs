//! The float forward pass of a graph, in float64: what it differs by from a framework is that framework's rounding.
//!
//! Masks are random, activations are not: a masked node passes on its expected activation, which is the activation times the share of spikes
//! that are kept.

use super::{
    Activation, ActivationKind, Attention, Conv, Graph, Groups, Linear, Node, NodeId, NodeOp, Shape,
};
use crate::error::ModelError;
use crate::float::Jitter;
use crate::network::{Grid, Taps, Walk};
use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

/// Told the name of each layer of the integer network but the readout, and its activations: tokens x channels, as its plane has them.
pub type Observer<'o> = &'o mut dyn FnMut(&str, ArrayView2<'_, f64>);

impl Graph {
    /// The logits of one image of bytes.
    ///
    /// # Errors
    /// If the graph's [shapes](Graph::shapes) do not fit, or the image does not have the size that the graph takes.
    pub fn logits(&self, image: &[u8]) -> Result<Vec<f32>, ModelError> {
        self.observe(image, &mut |_, _| ())
    }

    /// The logits of many images, on all threads of the rayon pool.
    ///
    /// # Errors
    /// As [`Graph::logits`].
    pub fn logits_batch(&self, images: &[&[u8]]) -> Result<Vec<Vec<f32>>, ModelError> {
        let shapes = self.shapes()?;
        let logits = |image: &&[u8]| {
            self.forward(&shapes, image, &mut |_, _| (), Jitter::none()).map(|(logits, _)| logits)
        };
        images.par_iter().map(logits).collect()
    }

    /// The logits of one image; `observer` sees every activation as it is passed on. Scores come head by head, window
    /// by window, query by query.
    ///
    /// # Errors
    /// As [`Graph::logits`].
    pub fn observe(&self, image: &[u8], observer: Observer<'_>) -> Result<Vec<f32>, ModelError> {
        self.forward(&self.shapes()?, image, observer, Jitter::none()).map(|(logits, _)| logits)
    }

    /// The logits of an image whose activations are moved by `jitter`, and the largest sum of magnitudes that a logit adds up.
    pub(super) fn forward(
        &self,
        shapes: &[Shape],
        image: &[u8],
        observer: Observer<'_>,
        jitter: Jitter,
    ) -> Result<(Vec<f32>, f32), ModelError> {
        let expected = self.image.bytes();
        if image.len() != expected {
            return Err(ModelError::ImageSize { found: image.len(), expected });
        }
        let mut last_reader = vec![0; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|input| last_reader[input.0] = index);
        }
        let mut forward = Forward { graph: self, shapes, image, values: Vec::new(), observer, jitter };
        let mut magnitude = 0f64;
        for (index, node) in self.nodes.iter().enumerate() {
            if index + 1 == self.nodes.len() {
                magnitude = forward.magnitude(node);
            }
            let value = forward.value(index, node);
            forward.values.push(value);
            for input in &node.inputs {
                if last_reader[input.0] == index {
                    forward.values[input.0].cells = Array2::zeros((0, 0));
                }
            }
        }
        let logits = forward.values.pop().expect("a graph has nodes").cells;
        Ok((logits.iter().map(|&logit| logit as f32).collect(), magnitude as f32))
    }
}

/// A node's tensor.
struct Value {
    /// Positions x channels.
    cells: Array2<f64>,
    /// Values that each cell was added up from, since the last activation.
    summed: usize,
}

struct Forward<'a, 'o> {
    graph: &'a Graph,
    shapes: &'a [Shape],
    image: &'a [u8],
    values: Vec<Value>,
    observer: Observer<'o>,
    jitter: Jitter,
}

impl Forward<'_, '_> {
    fn input(&self, node: &Node, number: usize) -> &Value {
        let NodeId(input) = node.inputs[number];
        &self.values[input]
    }

    fn value(&mut self, index: usize, node: &Node) -> Value {
        let shape = self.shapes[index];
        if matches!(node.op, NodeOp::Input) {
            return Value { cells: self.pixels(shape), summed: 1 };
        }
        let Value { cells: x, summed } = self.input(node, 0);
        let grid = self.shapes[node.inputs[0].0].grid;
        let (cells, summed) = match &node.op {
            NodeOp::Input => unreachable!("done above"),
            NodeOp::Conv(conv) => {
                (convolved(conv, x, grid), summed * conv.weight.len() / conv.weight.dim().0)
            }
            NodeOp::Linear(linear) => (linear_of(linear, x), summed * linear.weight.ncols()),
            NodeOp::BatchNorm(norm) => {
                let mut y = x.clone();
                for mut row in y.rows_mut() {
                    for ((y, gain), offset) in row.iter_mut().zip(&norm.gain).zip(&norm.offset) {
                        *y = gain * *y + offset;
                    }
                }
                (y, *summed)
            }
            NodeOp::Activation(activation) => {
                let (mut y, summed) = (x.clone(), *summed);
                self.activate(&node.name, activation, &mut y, Thresholds::OfChannels, summed);
                (y, 1)
            }
            NodeOp::Add => {
                let mut sum = x.clone();
                (1..node.inputs.len()).for_each(|number| sum += &self.input(node, number).cells);
                let most = (0..node.inputs.len()).map(|number| self.input(node, number).summed).max();
                (sum, most.unwrap_or(1) * node.inputs.len())
            }
            NodeOp::AvgPool(taps) => {
                let share = 1.0 / taps.count() as f64;
                let mean = pooled(x, *taps, grid, |of| of.sum::<f64>() * share);
                (mean, summed * taps.count())
            }
            NodeOp::MaxPool(pool) => {
                let kept = pool.mask.kept_of_products();
                let y = pooled(x, pool.taps, grid, |of| kept * of.fold(f64::NEG_INFINITY, f64::max));
                (self.observer)(&node.name, y.view());
                (y, 1)
            }
            NodeOp::Flatten => {
                let flat: Vec<f64> = x.t().iter().copied().collect();
                (Array2::from_shape_vec((1, flat.len()), flat).expect("one row"), *summed)
            }
            NodeOp::Mean => {
                let mean = x.mean_axis(Axis(0)).expect("a grid has positions");
                (mean.insert_axis(Axis(0)), summed * x.nrows())
            }
            NodeOp::Merge => (merged(x, grid), *summed),
            NodeOp::Attention(attention) => (self.attention(node, attention, grid), 1),
        };
        Value { cells, summed }
    }

    /// The largest sum of magnitudes that a logit adds up in the last node.
    fn magnitude(&self, node: &Node) -> f64 {
        let inputs = node.inputs.iter().map(|input| &self.values[input.0].cells);
        let most = |x: &Array2<f64>| x.iter().fold(0f64, |most, x| most.max(x.abs()));
        let NodeOp::Linear(Linear { weight, bias }) = &node.op else {
            return inputs.map(most).sum();
        };
        let x = self.values[node.inputs[0].0].cells.mapv(f64::abs);
        let sums = weight.mapv(|w| f64::from(w).abs()).dot(&x.t());
        sums.rows().into_iter().enumerate().fold(0.0, |most, (o, row)| {
            let bias = bias.as_ref().map_or(0.0, |bias| f64::from(bias[o]).abs());
            row.iter().fold(most, |most: f64, sum| most.max(sum + bias))
        })
    }

    fn pixels(&self, Shape { grid, channels }: Shape) -> Array2<f64> {
        let crate::checkpoint::Normalisation { mean, std } = &self.graph.input;
        Array2::from_shape_fn((grid.tokens(), channels), |(position, channel)| {
            let byte = self.image[channel * grid.tokens() + position];
            (f64::from(byte) / 255.0 - mean[channel]) / std[channel]
        })
    }

    /// Passes `x` through an activation. Each element was added up from `summed` values.
    fn activate(
        &mut self,
        name: &str,
        activation: &Activation,
        x: &mut Array2<f64>,
        of: Thresholds,
        summed: usize,
    ) {
        let kept = activation.mask.kept_of_products();
        let jitter = &mut self.jitter;
        // See `Jitter`: shares of a level.
        let most = (summed as f64).sqrt().max(16.0) / f64::from(1 << 20);
        let mut fire = |x: &mut f64, threshold: f32| {
            let (threshold, moved) = (f64::from(threshold), most * f64::from(jitter.next()));
            let share = match activation.kind {
                ActivationKind::Qcfs { levels } => {
                    let levels = f64::from(levels);
                    (*x * (levels / threshold) + 0.5 + moved).floor() / levels
                }
                ActivationKind::ReluClip | ActivationKind::If => *x / threshold + moved,
            };
            *x = threshold * kept * share.clamp(0.0, 1.0);
        };
        let (rows, thresholds) = (x.nrows(), &activation.thresholds);
        for (row, mut cells) in x.rows_mut().into_iter().enumerate() {
            match of {
                Thresholds::OfChannels => {
                    cells.iter_mut().zip(thresholds).for_each(|(x, &threshold)| fire(x, threshold));
                }
                Thresholds::OfHeads => {
                    let threshold = thresholds[row * thresholds.len() / rows];
                    cells.iter_mut().for_each(|x| fire(x, threshold));
                }
            }
        }
        (self.observer)(name, x.view());
    }

    fn attention(&mut self, node: &Node, attention: &Attention, grid: Grid) -> Array2<f64> {
        let windows = attention.windows;
        let [q, k, v] = [0, 1, 2].map(|number| self.input(node, number).cells.clone());
        let (n, head_size, count) = (windows.tokens(), q.ncols() / attention.heads, windows.count(grid));
        let order: Vec<usize> = Walk::Windows(windows).steps(grid).map(|step| step.token).collect();
        let block = |x: &Array2<f64>, head: usize, window: usize| {
            let rows = x.select(Axis(0), &order[window * n..(window + 1) * n]);
            rows.slice(s![.., head * head_size..(head + 1) * head_size]).to_owned()
        };
        let mut scores = Array2::zeros((attention.heads * count * n, n));
        for b in 0..attention.heads * count {
            let (head, window) = (b / count, b % count);
            let products =
                block(&q, head, window).dot(&block(&k, head, window).t()) / (head_size as f64).sqrt();
            for ((i, j), product) in products.indexed_iter() {
                let connected = windows.region(grid, window, i) == windows.region(grid, window, j);
                let bias = f64::from(attention.bias_table[(windows.relative(i, j), head)]);
                // The activation makes that 0.
                scores[(b * n + i, j)] = if connected { product + bias } else { f64::NEG_INFINITY };
            }
        }
        let name = format!("{}.scores", node.name);
        self.activate(&name, &attention.scores, &mut scores, Thresholds::OfHeads, head_size);
        let mut context = Array2::zeros(q.raw_dim());
        for b in 0..attention.heads * count {
            let (head, window) = (b / count, b % count);
            let sums = scores.slice(s![b * n..(b + 1) * n, ..]).dot(&block(&v, head, window));
            for ((i, c), &sum) in sums.indexed_iter() {
                context[(order[window * n + i], head * head_size + c)] = sum;
            }
        }
        let name = format!("{}.context", node.name);
        self.activate(&name, &attention.context, &mut context, Thresholds::OfChannels, n);
        context
    }
}

/// Whose thresholds they are.
#[derive(Clone, Copy)]
enum Thresholds {
    /// One a column.
    OfChannels,
    /// One a head; the rows of a head follow each other.
    OfHeads,
}

fn convolved(conv: &Conv, x: &Array2<f64>, source: Grid) -> Array2<f64> {
    let grid = conv.taps.grid(source).expect("shapes were checked");
    let (outputs, _, _, columns) = conv.weight.dim();
    let mut y = Array2::zeros((grid.tokens(), outputs));
    let positions: Vec<Vec<Option<usize>>> =
        (0..grid.tokens()).map(|token| conv.taps.positions(source, grid, token).collect()).collect();
    for tap in 0..conv.taps.count() {
        let weight = conv.weight.slice(s![.., .., tap / columns, tap % columns]).mapv(f64::from);
        // What each position reads at this tap, zeros outside.
        let mut seen = Array2::zeros((grid.tokens(), x.ncols()));
        for (token, positions) in positions.iter().enumerate() {
            if let Some(at) = positions[tap] {
                seen.row_mut(token).assign(&x.row(at));
            }
        }
        match conv.groups {
            Groups::One => y += &seen.dot(&weight.t()),
            Groups::Depthwise => y += &(seen * weight.column(0)),
        }
    }
    add_bias(&mut y, conv.bias.as_ref());
    y
}

fn linear_of(linear: &Linear, x: &Array2<f64>) -> Array2<f64> {
    let mut y = x.dot(&linear.weight.mapv(f64::from).t());
    add_bias(&mut y, linear.bias.as_ref());
    y
}

fn add_bias(y: &mut Array2<f64>, bias: Option<&Vec<f32>>) {
    let Some(bias) = bias else { return };
    for mut row in y.rows_mut() {
        row.iter_mut().zip(bias).for_each(|(y, &bias)| *y += f64::from(bias));
    }
}

/// What `pool` makes of the values at the taps inside the grid.
fn pooled(
    x: &Array2<f64>,
    taps: Taps,
    source: Grid,
    pool: impl Fn(&mut dyn Iterator<Item = f64>) -> f64,
) -> Array2<f64> {
    let grid = taps.grid(source).expect("shapes were checked");
    Array2::from_shape_fn((grid.tokens(), x.ncols()), |(token, channel)| {
        pool(&mut taps.positions(source, grid, token).flatten().map(|at| x[(at, channel)]))
    })
}

/// Each 2 x 2 square of positions as one of four times the channels.
fn merged(x: &Array2<f64>, grid: Grid) -> Array2<f64> {
    let (channels, columns) = (x.ncols(), grid.columns / 2);
    Array2::from_shape_fn((grid.tokens() / 4, 4 * channels), |(position, c)| {
        let (part, channel) = (c / channels, c % channels);
        let (row, column) = (position / columns * 2 + part / 2, position % columns * 2 + part % 2);
        x[(row * grid.columns + column, channel)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array4, array};

    const GRID: Grid = Grid { rows: 2, columns: 3 };

    /// One channel: 1 2 3 in the first row, 4 5 6 in the second.
    fn numbers() -> Array2<f64> {
        Array2::from_shape_fn((6, 1), |(position, _)| position as f64 + 1.0)
    }

    #[test]
    fn convolutions_see_zeros_outside() {
        let weight = Array4::from_shape_fn((1, 1, 3, 3), |(_, _, y, x)| (3 * y + x) as f32);
        let taps = Taps::square(3, 2, 1);
        let conv = Conv { weight, bias: Some(vec![100.0]), taps, groups: Groups::One };
        // Taps 4, 5, 7, 8 see 1, 2, 4, 5; taps 3, 4, 6, 7 see 2, 3, 5, 6.
        let expected = array![[100.0 + 4.0 + 10.0 + 28.0 + 40.0], [100.0 + 6.0 + 12.0 + 30.0 + 42.0]];
        assert_eq!(convolved(&conv, &numbers(), GRID), expected);
        assert_eq!(convolved(&Conv { groups: Groups::Depthwise, ..conv }, &numbers(), GRID), expected);
    }

    #[test]
    fn pools_count_and_compare_what_is_inside() {
        let taps = Taps::square(2, 2, 1);
        let max = pooled(&numbers(), taps, GRID, |of| of.fold(f64::NEG_INFINITY, f64::max));
        assert_eq!(max, array![[1.0], [3.0], [4.0], [6.0]]);
        let mean = pooled(&numbers(), taps, GRID, |of| of.sum::<f64>() / 4.0);
        assert_eq!(mean, array![[0.25], [1.25], [1.0], [2.75]]);
    }

    #[test]
    fn neighbours_come_row_by_row() {
        let x = Array2::from_shape_fn((4, 2), |(position, channel)| (10 * position + channel) as f64);
        let merged = merged(&x, Grid { rows: 2, columns: 2 });
        assert_eq!(merged, array![[0.0, 1.0, 10.0, 11.0, 20.0, 21.0, 30.0, 31.0]]);
    }
}
