//! Random small graphs whose values are exact in integers: every weight is an integer multiple of its output's scale, and so are biases and thresholds.
//!
//! Then the integer network spikes exactly as often as the graph's QCFS says. What is left to chance in float64 is a sum on a step, so each drive is moved by a
//! quarter of an integer over all time steps, which no integer sum notices.

#![allow(dead_code, reason = "each test uses its own part")]

#[path = "../random/mod.rs"]
mod random;

use model::checkpoint::{BatchNorm, Normalisation};
use model::graph::{Activation, ActivationKind, Conv, Graph, Groups, Linear, MaxPool, Node, NodeId, NodeOp};
use model::network::{Axis, Grid, ImageShape, Mask, Taps};
use ndarray::{Array2, Array4};
pub use random::Random;

/// A tensor that maps may be made of: what an integer 1 of each channel's plane is there.
#[derive(Clone)]
struct Tensor {
    id: NodeId,
    grid: Grid,
    units: Vec<f64>,
    /// A sum of linear maps already comes before it.
    dense: Dense,
}

#[derive(Clone, Copy, PartialEq)]
enum Dense {
    No,
    /// It has this fan-in.
    Yes(usize),
}

impl Tensor {
    fn channels(&self) -> usize {
        self.units.len()
    }
}

pub struct Builder {
    random: Random,
    nodes: Vec<Node>,
    levels: u32,
}

/// A graph with QCFS of `levels` everywhere, for exact comparison.
pub fn exact(seed: u64) -> (Graph, u32) {
    let mut random = Random(seed);
    let levels = random.within(2, 6) as u32;
    let side = |random: &mut Random| 4 * random.within(1, 3) as usize;
    let image = ImageShape {
        height: side(&mut random),
        width: side(&mut random),
        channels: random.within(1, 3) as usize,
    };
    let mut builder = Builder { random, nodes: Vec::new(), levels };
    let (input, classes) = builder.network(image);
    let graph = Graph {
        name: "random".to_owned(),
        image,
        input,
        nodes: builder.nodes,
        classes,
        class_names: Vec::new(),
        example: None,
    };
    (graph, levels)
}

/// A graph of the same form whose weights are any numbers.
pub fn real(seed: u64) -> (Graph, u32) {
    let (mut graph, levels) = exact(seed);
    let mut random = Random(seed ^ 0x1234_5678);
    for node in &mut graph.nodes {
        let weights: Vec<&mut f32> = match &mut node.op {
            NodeOp::Conv(conv) => conv.weight.iter_mut().collect(),
            NodeOp::Linear(linear) => linear.weight.iter_mut().collect(),
            _ => continue,
        };
        weights.into_iter().for_each(|weight| *weight *= random.real(0.3, 1.7) as f32);
    }
    (graph, levels)
}

impl Builder {
    fn push(&mut self, op: NodeOp, inputs: &[NodeId]) -> NodeId {
        let name = format!("{}{}", op.name(), self.nodes.len());
        self.nodes.push(Node { name, inputs: inputs.to_vec(), op });
        NodeId(self.nodes.len() - 1)
    }

    fn network(&mut self, image: ImageShape) -> (Normalisation, usize) {
        let channels = image.channels;
        let std: Vec<f64> = (0..channels).map(|_| self.random.real(0.2, 1.0)).collect();
        let mean: Vec<f64> = (0..channels).map(|_| self.random.within(0, 200) as f64 / 255.0).collect();
        let units = std.iter().map(|std| 1.0 / (255.0 * std)).collect();
        let id = self.push(NodeOp::Input, &[]);
        let pixels = Tensor { id, grid: image.grid(), units, dense: Dense::No };
        let taps = self.taps(pixels.grid, 1);
        let outputs = self.random.within(1, 5) as usize;
        let sum = self.conv(&pixels, taps, outputs);
        let mut x = self.activated(sum, 20.0);
        for _ in 0..self.random.within(1, 5) {
            x = self.block(x);
        }
        let classes = self.random.within(1, 4) as usize;
        self.head(x, classes);
        (Normalisation { mean, std }, classes)
    }

    fn block(&mut self, x: Tensor) -> Tensor {
        let outputs = self.random.within(1, 6) as usize;
        match self.random.within(0, 8) {
            0 => {
                let taps = self.taps(x.grid, 2);
                let sum = self.conv(&x, taps, outputs);
                self.activated(sum, 1.0)
            }
            1 => self.residual(&x),
            2 => {
                // Batch norm in front of a layer whose border does not cut its constants.
                let normed = self.norm_before(&x);
                let taps = self.taps(x.grid, 0);
                let sum = self.conv(&normed, taps, outputs);
                self.activated(sum, 1.0)
            }
            3 => {
                let taps = self.taps(x.grid, 2);
                let sum = self.depthwise(&x, taps);
                self.activated(sum, 1.0)
            }
            4 => {
                let pooled = self.avg_pool(&x, 1);
                let taps = self.taps(pooled.grid, 0);
                let sum = self.conv(&pooled, taps, outputs);
                self.activated(sum, 1.0)
            }
            5 => {
                // Behind a convolution, and in front of an activation.
                let sum = if self.random.chance() { self.conv(&x, Taps::TOKEN, outputs) } else { x };
                let pooled = self.avg_pool(&sum, 0);
                self.activated(pooled, 1.0)
            }
            6 => self.max_pool(&x),
            7 if x.grid.rows.is_multiple_of(2) && x.grid.columns.is_multiple_of(2) => {
                let id = self.push(NodeOp::Merge, &[x.id]);
                let grid = Grid { rows: x.grid.rows / 2, columns: x.grid.columns / 2 };
                let merged = Tensor { id, grid, units: x.units.repeat(4), dense: Dense::No };
                let sum = self.linear(&merged, outputs);
                self.activated(sum, 1.0)
            }
            _ => self.stream(x),
        }
    }

    /// `act(conv(act(conv(x))) + shortcut)`: the shortcut as it is, or a convolution with the same stride.
    fn residual(&mut self, x: &Tensor) -> Tensor {
        let stride = if x.grid.rows.min(x.grid.columns) > 2 { self.random.within(1, 2) as usize } else { 1 };
        let outputs = if stride == 1 && self.random.chance() {
            x.channels()
        } else {
            self.random.within(1, 5) as usize
        };
        let sum = self.conv(x, Taps::square(3, stride, 1), outputs);
        let hidden = self.activated(sum, 1.0);
        let branch = self.conv(&hidden, Taps::square(3, 1, 1), outputs);
        let Dense::Yes(fan) = branch.dense else { unreachable!() };
        let shortcut = if stride == 1 && outputs == x.channels() {
            // 127 steps of a shift of 2.
            let gain = (0..outputs).map(|c| 127.0 * 4.0 * branch.units[c] / x.units[c]).collect();
            self.push(NodeOp::BatchNorm(BatchNorm { gain, offset: vec![0.0; outputs] }), &[x.id])
        } else {
            let scales = branch.units.clone();
            self.conv_of_scales(x, Taps::square(1, stride, 0), scales).id
        };
        let inputs = if self.random.chance() { [branch.id, shortcut] } else { [shortcut, branch.id] };
        let id = self.push(NodeOp::Add, &inputs);
        self.activated(Tensor { id, dense: Dense::Yes(fan * 2), ..branch }, 2.0)
    }

    /// A residual stream of planes that nothing replaces: `x + f(x) + g(x + f(x))`, read by batch norm.
    fn stream(&mut self, x: Tensor) -> Tensor {
        let mut stream = x.clone();
        for _ in 0..self.random.within(1, 2) {
            let normed = self.activated_stream(&stream);
            let sum = self.linear(&normed, x.channels());
            // The stream adds up planes of one unit: gains are then those of batch norm alone.
            let branch = self.activated_with(sum, &x.units);
            let id = self.push(NodeOp::Add, &[stream.id, branch.id]);
            stream.id = id;
        }
        self.activated_stream(&stream)
    }

    /// Batch norm and activation of a stream: each plane has a gain of 127 steps.
    fn activated_stream(&mut self, stream: &Tensor) -> Tensor {
        let gain: Vec<f64> = stream.units.iter().map(|_| self.random.real(0.5, 1.5)).collect();
        let scales: Vec<f64> =
            gain.iter().zip(&stream.units).map(|(gain, unit)| gain * unit / 127.0).collect();
        let offset =
            scales.iter().map(|scale| (self.random.within(-40, 40) as f64 + self.nudge()) * scale).collect();
        let id = self.push(NodeOp::BatchNorm(BatchNorm { gain, offset }), &[stream.id]);
        self.activation(id, stream.grid, &scales, |random| random.within(100, 250))
    }

    /// What no integer sum of all time steps notices.
    fn nudge(&self) -> f64 {
        0.25 / f64::from(self.levels)
    }

    /// A kernel that fits, with at most this padding.
    fn taps(&mut self, grid: Grid, padding: usize) -> Taps {
        let mut axis = |size: usize| {
            let kernel = self.random.within(1, 3.min(size as i64)) as usize;
            let padding = self.random.within(0, padding as i64) as usize;
            Axis { kernel, stride: self.random.within(1, 2) as usize, padding }
        };
        Taps { rows: axis(grid.rows), columns: axis(grid.columns) }
    }

    fn scales(&mut self, outputs: usize) -> Vec<f64> {
        (0..outputs).map(|_| self.random.real(0.001, 0.003)).collect()
    }

    /// Integers of a row, of which one is 127 or -127: it decides the scale.
    fn integers(&mut self, length: usize) -> Vec<f64> {
        let mut row: Vec<f64> = (0..length).map(|_| self.random.within(-60, 60) as f64).collect();
        let at = self.random.within(0, length as i64 - 1) as usize;
        row[at] = if self.random.chance() { 127.0 } else { -127.0 };
        row
    }

    fn conv(&mut self, x: &Tensor, taps: Taps, outputs: usize) -> Tensor {
        let scales = self.scales(outputs);
        self.conv_of_scales(x, taps, scales)
    }

    fn conv_of_scales(&mut self, x: &Tensor, taps: Taps, scales: Vec<f64>) -> Tensor {
        let (inputs, count) = (x.channels(), taps.count());
        let mut data = Vec::new();
        for scale in &scales {
            let row = self.integers(inputs * count);
            data.extend(row.iter().enumerate().map(|(at, k)| (k * scale / x.units[at / count]) as f32));
        }
        let shape = (scales.len(), inputs, taps.rows.kernel, taps.columns.kernel);
        let weight = Array4::from_shape_vec(shape, data).unwrap();
        let bias = self.bias(&scales);
        let id = self.push(NodeOp::Conv(Conv { weight, bias, taps, groups: Groups::One }), &[x.id]);
        let grid = taps.grid(x.grid).unwrap();
        Tensor { id, grid, units: scales, dense: Dense::Yes(inputs * count) }
    }

    fn depthwise(&mut self, x: &Tensor, taps: Taps) -> Tensor {
        let scales = self.scales(x.channels());
        let mut data = Vec::new();
        for (scale, unit) in scales.iter().zip(&x.units) {
            data.extend(self.integers(taps.count()).iter().map(|k| (k * scale / unit) as f32));
        }
        let shape = (scales.len(), 1, taps.rows.kernel, taps.columns.kernel);
        let weight = Array4::from_shape_vec(shape, data).unwrap();
        let bias = self.bias(&scales);
        // One channel is both.
        let groups = if x.channels() == 1 { Groups::One } else { Groups::Depthwise };
        let id = self.push(NodeOp::Conv(Conv { weight, bias, taps, groups }), &[x.id]);
        Tensor { id, grid: taps.grid(x.grid).unwrap(), units: scales, dense: Dense::Yes(taps.count()) }
    }

    fn linear(&mut self, x: &Tensor, outputs: usize) -> Tensor {
        let scales = self.scales(outputs);
        let mut data = Vec::new();
        for scale in &scales {
            let row = self.integers(x.channels());
            data.extend(row.iter().zip(&x.units).map(|(k, unit)| (k * scale / unit) as f32));
        }
        let weight = Array2::from_shape_vec((outputs, x.channels()), data).unwrap();
        let bias = self.bias(&scales);
        let id = self.push(NodeOp::Linear(Linear { weight, bias }), &[x.id]);
        Tensor { id, grid: x.grid, units: scales, dense: Dense::Yes(x.channels()) }
    }

    fn bias(&mut self, scales: &[f64]) -> Option<Vec<f32>> {
        let bias: Vec<f32> =
            scales.iter().map(|scale| (self.random.within(-90, 90) as f64 * scale) as f32).collect();
        self.random.chance().then_some(bias)
    }

    /// Gains and constants in units of what they stand before.
    fn norm_before(&mut self, x: &Tensor) -> Tensor {
        let gain: Vec<f64> = x
            .units
            .iter()
            .map(|_| self.random.real(0.5, 2.0) * [1.0, -1.0][self.random.within(0, 1) as usize])
            .collect();
        let units: Vec<f64> = gain.iter().zip(&x.units).map(|(gain, unit)| gain * unit).collect();
        let offset = units.iter().map(|unit| self.random.within(-2, 2) as f64 * unit).collect();
        let id = self.push(NodeOp::BatchNorm(BatchNorm { gain, offset }), &[x.id]);
        Tensor { id, units, ..x.clone() }
    }

    fn avg_pool(&mut self, x: &Tensor, padding: usize) -> Tensor {
        let axis = |random: &mut Random, size: usize| {
            let kernel = random.within(1, 2.min(size as i64)) as usize;
            // Strides of a kernel: taps behind a map do not overlap.
            Axis {
                kernel,
                stride: kernel,
                padding: (random.within(0, padding as i64) as usize).min(kernel - 1),
            }
        };
        let taps = Taps {
            rows: axis(&mut self.random, x.grid.rows),
            columns: axis(&mut self.random, x.grid.columns),
        };
        let id = self.push(NodeOp::AvgPool(taps), &[x.id]);
        let units = x.units.iter().map(|unit| unit / taps.count() as f64).collect();
        Tensor { id, grid: taps.grid(x.grid).unwrap(), units, ..*x }
    }

    fn max_pool(&mut self, x: &Tensor) -> Tensor {
        let axis = |random: &mut Random, size: usize| {
            let kernel = random.within(1, 3.min(size as i64)) as usize;
            Axis {
                kernel,
                stride: random.within(1, 2) as usize,
                padding: random.within(0, kernel as i64 / 2) as usize,
            }
        };
        let taps = Taps {
            rows: axis(&mut self.random, x.grid.rows),
            columns: axis(&mut self.random, x.grid.columns),
        };
        let id = self.push(NodeOp::MaxPool(MaxPool { taps, mask: Mask::default() }), &[x.id]);
        Tensor { id, grid: taps.grid(x.grid).unwrap(), ..x.clone() }
    }

    /// Batch norm with constants of its own, then an activation that sees `larger` times larger sums than spikes make.
    fn activated(&mut self, sum: Tensor, larger: f64) -> Tensor {
        let (normed, scales) = self.normed(&sum);
        let fan = match sum.dense {
            Dense::Yes(fan) => fan as f64,
            Dense::No => 1.0,
        };
        let most = (40.0 + 60.0 * fan.sqrt() * larger) as i64;
        self.activation(normed, sum.grid, &scales, |random| random.within(most / 2, most))
    }

    /// Like `activated`, with thresholds of given units.
    fn activated_with(&mut self, sum: Tensor, units: &[f64]) -> Tensor {
        let whole = |random: &mut Random, unit: f64| unit / random.within(50, 300) as f64;
        let scales: Vec<f64> = units.iter().map(|&unit| whole(&mut self.random, unit)).collect();
        let gain: Vec<f64> = scales.iter().zip(&sum.units).map(|(scale, unit)| scale / unit).collect();
        let offset =
            scales.iter().map(|scale| (self.random.within(-50, 50) as f64 + self.nudge()) * scale).collect();
        let id = self.push(NodeOp::BatchNorm(BatchNorm { gain, offset }), &[sum.id]);
        let thresholds = units.iter().map(|&unit| unit as f32).collect();
        self.fire(id, sum.grid, thresholds)
    }

    /// Batch norm behind a sum, and its scales; a sum of one value a tap has the scale of that.
    fn normed(&mut self, sum: &Tensor) -> (NodeId, Vec<f64>) {
        let gain: Vec<f64> = sum
            .units
            .iter()
            .map(|_| self.random.real(0.5, 2.0) * [1.0, 1.0, -1.0][self.random.within(0, 2) as usize])
            .collect();
        let steps = if sum.dense == Dense::No { 127.0 } else { 1.0 };
        let scales: Vec<f64> =
            gain.iter().zip(&sum.units).map(|(gain, unit)| (gain * unit).abs() / steps).collect();
        let offset =
            scales.iter().map(|scale| (self.random.within(-50, 50) as f64 + self.nudge()) * scale).collect();
        (self.push(NodeOp::BatchNorm(BatchNorm { gain, offset }), &[sum.id]), scales)
    }

    fn activation(
        &mut self,
        input: NodeId,
        grid: Grid,
        scales: &[f64],
        steps: impl Fn(&mut Random) -> i64,
    ) -> Tensor {
        let thresholds = scales.iter().map(|scale| (steps(&mut self.random) as f64 * scale) as f32).collect();
        self.fire(input, grid, thresholds)
    }

    fn fire(&mut self, input: NodeId, grid: Grid, thresholds: Vec<f32>) -> Tensor {
        let units = thresholds.iter().copied().map(f64::from).collect();
        let kind = ActivationKind::Qcfs { levels: self.levels };
        let id =
            self.push(NodeOp::Activation(Activation { kind, thresholds, mask: Mask::default() }), &[input]);
        Tensor { id, grid, units, dense: Dense::No }
    }

    /// Classes of one scale.
    fn head(&mut self, x: Tensor, classes: usize) {
        let positions = x.grid.tokens();
        let whole = Axis { kernel: 0, stride: 1, padding: 0 };
        let whole = |kernel| Axis { kernel, ..whole };
        let (id, units) = match self.random.within(0, 3) {
            0 => (self.push(NodeOp::Mean, &[x.id]), x.units.clone()),
            1 => {
                let taps = Taps { rows: whole(x.grid.rows), columns: whole(x.grid.columns) };
                let pooled = self.push(NodeOp::AvgPool(taps), &[x.id]);
                (self.push(NodeOp::Flatten, &[pooled]), x.units.clone())
            }
            2 => {
                // A hidden layer over the mean.
                let mean = self.push(NodeOp::Mean, &[x.id]);
                let units = x.units.iter().map(|unit| unit / positions as f64).collect();
                let mean = Tensor { id: mean, grid: Grid { rows: 1, columns: 1 }, units, dense: Dense::No };
                let sum = self.linear(&mean, 5);
                let hidden = self.activated(sum, positions as f64 / 2.0);
                (hidden.id, hidden.units)
            }
            _ => {
                let units = x.units.iter().flat_map(|&unit| vec![unit; positions]).collect();
                (self.push(NodeOp::Flatten, &[x.id]), units)
            }
        };
        let scale = self.random.real(0.01, 0.1);
        let mut data = Vec::new();
        for _ in 0..classes {
            let row = self.integers(units.len());
            data.extend(row.iter().zip(&units).map(|(k, unit)| (k * scale / unit) as f32));
        }
        let weight = Array2::from_shape_vec((classes, units.len()), data).unwrap();
        self.push(NodeOp::Linear(Linear { weight, bias: None }), &[id]);
    }
}
